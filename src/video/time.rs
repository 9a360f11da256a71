//! Times as providers write them, turned into Unix seconds (UTC, fractions cut).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// Seconds since the epoch in the year 5138; anything above is milliseconds.
const LATEST_SECONDS: f64 = 1e11;

/// Reads ISO 8601 with a zone and any fraction; a time without a zone is local to `zone_hours` east of UTC.
pub fn from_text(text: &str, zone_hours: i8) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return positive(time.as_second());
    }
    if let Ok(number) = text.parse::<f64>() {
        return from_number(number);
    }
    let local: DateTime = text.parse().ok()?;
    let zone = TimeZone::fixed(Offset::from_hours(zone_hours).ok()?);
    positive(local.to_zoned(zone).ok()?.timestamp().as_second())
}

/// Reads Unix time in seconds or in milliseconds.
pub fn from_number(number: f64) -> Option<i64> {
    let seconds = if number > LATEST_SECONDS { number / 1000.0 } else { number };
    if !seconds.is_finite() || seconds > LATEST_SECONDS {
        return None;
    }
    positive(seconds as i64)
}

/// Reads an HTTP date (`Wed, 21 Oct 2015 07:28:00 GMT`).
pub fn from_http_date(text: &str) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    positive(zoned.as_second())
}

/// Zero is how some servers write "not yet".
fn positive(seconds: i64) -> Option<i64> {
    (seconds > 0).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_gives_unix_seconds() {
        let table = [
            ("2024-06-27T19:49:32.335Z", 0, Some(1719517772)),
            ("2024-06-27T19:49:32Z", 0, Some(1719517772)),
            ("2024-06-27T19:49:32.123456789Z", 0, Some(1719517772)),
            ("2024-06-27T21:49:32+02:00", 0, Some(1719517772)),
            ("2024-06-27T19:49:32", 0, Some(1719517772)),
            ("2024-06-28 03:49:32", 8, Some(1719517772)),
            ("2024-06-28 03:49:32.999", 8, Some(1719517772)),
            ("1719517772", 0, Some(1719517772)),
            ("1719517772335", 0, Some(1719517772)),
            ("", 0, None),
            ("0", 0, None),
            ("yesterday", 0, None),
            ("NaN", 0, None),
        ];
        for (text, zone, want) in table {
            assert_eq!(from_text(text, zone), want, "{text}");
        }
        assert_eq!(from_number(1719517772.9), Some(1719517772));
        assert_eq!(from_number(1719517772335.0), Some(1719517772));
        assert_eq!(from_number(f64::INFINITY), None);
        assert_eq!(from_number(-1.0), None);
        assert_eq!(from_http_date("Wed, 21 Oct 2015 07:28:00 GMT"), Some(1445412480));
    }
}
