//! How far a job has come.

use super::outcome::{Ending, Outcome, Stay};
use std::time::Duration;

/// A job that stays in progress for ever stops moving here.
const STUCK_AT: f64 = 0.5;

/// How fast jobs move, counted from their first poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Queued for so long.
    pub queued_for: Duration,
    /// In progress until so long after the first poll; one that is not longer than `queued_for` means never in progress.
    pub done_after: Duration,
}

impl Pace {
    /// The first poll already finds the job at its end.
    pub const INSTANT: Pace = Pace { queued_for: Duration::ZERO, done_after: Duration::ZERO };
}

impl Default for Pace {
    fn default() -> Self {
        Pace { queued_for: Duration::from_secs(1), done_after: Duration::from_secs(4) }
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Queued,
    /// The share of the work that is done, from 0 up to 1.
    InProgress(f64),
    /// A state word that nobody knows.
    Unknown,
    Ended(Ending),
}

/// Where a job with this outcome is, so long after its first poll.
pub fn state(outcome: Outcome, pace: Pace, elapsed: Duration) -> State {
    let ending = match outcome {
        Outcome::Stays(Stay::Queued) => return State::Queued,
        Outcome::Stays(Stay::Unknown) => return State::Unknown,
        Outcome::Stays(Stay::InProgress) => None,
        Outcome::Ends(ending) => Some(ending),
        Outcome::Refuses { .. } | Outcome::Breaks(_) => Some(Ending::Completed),
    };
    match ending {
        Some(ending) if elapsed >= pace.done_after => State::Ended(ending),
        _ if elapsed < pace.queued_for => State::Queued,
        Some(_) => State::InProgress(share(pace, elapsed)),
        None => State::InProgress(share(pace, elapsed).min(STUCK_AT)),
    }
}

fn share(pace: Pace, elapsed: Duration) -> f64 {
    let work = pace.done_after.saturating_sub(pace.queued_for);
    if work.is_zero() {
        return 1.0;
    }
    (elapsed.saturating_sub(pace.queued_for).as_secs_f64() / work.as_secs_f64()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETES: Outcome = Outcome::Ends(Ending::Completed);

    fn after(outcome: Outcome, pace: Pace, milliseconds: u64) -> State {
        state(outcome, pace, Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_job_is_queued_then_in_progress_then_ended() {
        let pace = Pace::default();
        assert_eq!(after(COMPLETES, pace, 0), State::Queued);
        assert_eq!(after(COMPLETES, pace, 999), State::Queued);
        assert_eq!(after(COMPLETES, pace, 1000), State::InProgress(0.0));
        assert_eq!(after(COMPLETES, pace, 2500), State::InProgress(0.5));
        assert_eq!(after(COMPLETES, pace, 4000), State::Ended(Ending::Completed));
    }

    #[test]
    fn a_job_at_once_is_ended_at_its_first_poll() {
        assert_eq!(after(COMPLETES, Pace::INSTANT, 0), State::Ended(Ending::Completed));
    }

    #[test]
    fn a_job_that_stays_never_ends() {
        let cases = [
            (Stay::Queued, State::Queued),
            (Stay::InProgress, State::InProgress(STUCK_AT)),
            (Stay::Unknown, State::Unknown),
        ];
        for (stay, want) in cases {
            assert_eq!(after(Outcome::Stays(stay), Pace::default(), 1_000_000), want);
            assert_eq!(after(Outcome::Stays(stay), Pace::INSTANT, 0), want);
        }
    }
}
