//! When a call is sent again, and after which pause.

use super::clock::unix_now;
use super::download::Download;
use super::fault::{Again, Fault};
use crate::providers::retry_after;
use std::time::Duration;

/// The longest `Retry-After` that is waited for inside an exchange.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The pause before the first new try; it doubles, and is jittered over its whole length.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The pause before the next try; `None` when this result stands.
pub(super) fn pause(result: &Result<Download, Fault>, tried: u32) -> Option<Duration> {
    match result {
        Ok(reply) => {
            let asked = || retry_after(&reply.headers, unix_now());
            pause_after(reply.status.as_u16(), asked, tried)
        }
        Err(fault) => match fault.again {
            Again::AtOnce => Some(Duration::ZERO),
            Again::Later => Some(backoff(tried)),
            Again::Never => None,
        },
    }
}

/// `asked` is what the reply asks to wait.
fn pause_after(status: u16, asked: impl FnOnce() -> Option<Duration>, tried: u32) -> Option<Duration> {
    let is_short = |wait: &Duration| *wait <= LONGEST_WAIT;
    match status {
        429 => asked().filter(is_short),
        // Without a word about when, load balancers mean "in a moment".
        502..=504 => Some(asked().unwrap_or_else(|| backoff(tried))).filter(is_short),
        _ => None,
    }
}

/// Doubling pauses with jitter, so that a crowd does not come back as one.
fn backoff(tried: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << tried.min(3));
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn only_what_may_pass_in_a_moment_is_sent_again() {
        let table = [
            (200, None, false),
            (404, None, false),
            (500, None, false),
            (429, None, false),
            (429, Some(1), true),
            (429, Some(2), false),
            (502, None, true),
            (503, None, true),
            (503, Some(0), true),
            (503, Some(30), false),
            (504, None, true),
        ];
        for (status, wait, again) in table {
            assert_eq!(pause_after(status, || wait.map(Duration::from_secs), 0).is_some(), again, "{status} {wait:?}");
        }
    }

    #[test]
    fn pauses_grow_and_stay_below_the_longest() {
        for tried in 0..40 {
            let pause = backoff(tried);
            assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_WAIT, "{pause:?}");
        }
    }
}
