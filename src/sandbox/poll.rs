//! What a kind is told when a job of its is polled.

use super::outcome::{Ending, Refusal};
use super::pace::{Pace, State};
use super::request::Request;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A poll of a job, let in and not refused.
pub struct Poll<'a> {
    pub request: &'a Request<'a>,
    pub job: &'a str,
    pub state: State,
    /// How the job ends, known to the sandbox from the start: what was asked for never changes between polls.
    pub ending: Ending,
    pub times: Times,
}

impl Poll<'_> {
    /// Where the job's video can be fetched without credentials.
    pub fn file_url(&self) -> String {
        format!("{}/files/{}.mp4", self.request.origin, self.stem())
    }

    /// The job's last segment, reduced to what stands in any path.
    pub fn stem(&self) -> String {
        let last = self.job.rsplit('/').next().unwrap_or_default();
        last.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect()
    }
}

/// When a job was first asked for, left the queue, and ends.
#[derive(Clone, Copy)]
pub struct Times {
    pub created: Timestamp,
    pub started: Timestamp,
    pub ended: Timestamp,
}

impl Times {
    pub fn new(created: Timestamp, pace: Pace) -> Times {
        let after = |delay: Duration| {
            let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
            created.checked_add(delay).unwrap_or(Timestamp::MAX)
        };
        Times { created, started: after(pace.queued_for.min(pace.done_after)), ended: after(pace.done_after) }
    }
}

/// A request that the provider turns away.
pub struct Refused<'a> {
    pub refusal: Refusal,
    /// The job asked for; empty when the request named none.
    pub job: &'a str,
    /// In seconds; the header is set for every kind, the body is the kind's.
    pub retry_after: Option<u32>,
}
