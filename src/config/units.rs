//! Durations, sizes and rates as they are written in the config.

use std::time::Duration;

/// Beyond a leap year a duration is a mistake, and adding it to a clock could overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const SIZES: &[(&str, u64)] = &[("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const RATES: &[(&str, u64)] = &[("/s", 1), ("/m", 60), ("/h", 3_600)];

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests; at least 1.
    pub count: u32,
    /// The time they are counted over: a second, a minute or an hour.
    pub per: Duration,
}

/// Reads `250ms`, `3s`, `5m`, `24h`, up to 366 days.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text, DURATIONS)?;
    Some(Duration::from_millis(number.checked_mul(unit)?)).filter(|duration| *duration <= LONGEST)
}

/// Reads `64KiB`, `16MiB`, `1GiB` or a number of bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text, SIZES)?;
    number.checked_mul(unit)
}

/// Reads `50/s`, `600/m`, `1000/h`.
pub(super) fn rate(text: &str) -> Option<Rate> {
    let (number, seconds) = split(text, RATES)?;
    let count = u32::try_from(number).ok().filter(|count| *count > 0)?;
    Some(Rate { count, per: Duration::from_secs(seconds) })
}

/// A number and what its unit stands for.
fn split(text: &str, units: &[(&str, u64)]) -> Option<(u64, u64)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, worth) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    Some((number.parse().ok()?, *worth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        let table = [
            ("250ms", Some(250)),
            ("3s", Some(3_000)),
            ("5m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("0s", Some(0)),
            (" 10 s ", Some(10_000)),
            ("8784h", Some(31_622_400_000)),
            ("8785h", None),
            ("30", None),
            ("1.5s", None),
            ("-1s", None),
            ("s", None),
            ("", None),
            ("1d", None),
            ("3 sec", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ];
        for (text, millis) in table {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_binary_units() {
        let table = [
            ("64KiB", Some(65_536)),
            ("16MiB", Some(16_777_216)),
            ("1GiB", Some(1_073_741_824)),
            ("4096", Some(4_096)),
            ("0", Some(0)),
            ("1 MiB", Some(1_048_576)),
            ("1MB", None),
            ("1mib", None),
            ("1.5MiB", None),
            ("-1", None),
            ("", None),
            ("18446744073709551615GiB", None),
        ];
        for (text, want) in table {
            assert_eq!(size(text), want, "{text}");
        }
    }

    #[test]
    fn rates_are_a_count_for_a_time() {
        let table = [
            ("50/s", Some((50, 1))),
            ("600/m", Some((600, 60))),
            ("1000/h", Some((1_000, 3_600))),
            ("0/s", None),
            ("50", None),
            ("/s", None),
            ("5/d", None),
            ("99999999999/s", None),
        ];
        for (text, want) in table {
            let want = want.map(|(count, seconds)| Rate { count, per: Duration::from_secs(seconds) });
            assert_eq!(rate(text), want, "{text}");
        }
    }
}
