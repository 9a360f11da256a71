//! What the sandbox remembers of the jobs it was asked for.

use jiff::Timestamp;
use std::collections::{HashMap, VecDeque};
use tokio::time::Instant;

/// More jobs than this, and the oldest are forgotten.
pub const MOST_JOBS: usize = 10_000;

/// The jobs, each known by its kind and its name.
#[derive(Default)]
pub struct Jobs {
    records: HashMap<Key, Record>,
    /// The keys of `records`, oldest first.
    order: VecDeque<Key>,
}

type Key = (String, String);

#[derive(Default)]
struct Record {
    calls: u64,
    polls: u64,
    start: Option<Start>,
}

/// When a job was first polled.
#[derive(Clone, Copy)]
pub struct Start {
    /// On tokio's clock, which says how far the job has come.
    pub at: Instant,
    /// On the wall clock, which dates its answers.
    pub wall: Timestamp,
}

impl Jobs {
    /// Counts a request that names the job.
    pub fn count(&mut self, kind: &str, job: &str) -> u64 {
        let record = self.record(kind, job);
        record.calls += 1;
        record.calls
    }

    /// Notes a poll that the provider lets in. Gives the job's start, and whether this poll was it.
    pub fn poll(&mut self, kind: &str, job: &str, now: Start) -> (Start, bool) {
        let record = self.record(kind, job);
        record.polls += 1;
        (*record.start.get_or_insert(now), record.polls == 1)
    }

    /// The job's start, which is now when nobody asked before.
    pub fn start(&mut self, kind: &str, job: &str, now: Start) -> Start {
        *self.record(kind, job).start.get_or_insert(now)
    }

    pub fn calls(&self, kind: &str, job: &str) -> u64 {
        self.records.get(&key(kind, job)).map_or(0, |record| record.calls)
    }

    fn record(&mut self, kind: &str, job: &str) -> &mut Record {
        let key = key(kind, job);
        if !self.records.contains_key(&key) {
            self.order.push_back(key.clone());
            if self.order.len() > MOST_JOBS
                && let Some(oldest) = self.order.pop_front()
            {
                self.records.remove(&oldest);
            }
        }
        self.records.entry(key).or_default()
    }
}

fn key(kind: &str, job: &str) -> Key {
    (kind.to_owned(), job.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_job_is_forgotten_when_there_are_too_many() {
        let mut jobs = Jobs::default();
        for number in 0..=MOST_JOBS {
            jobs.count("openai", &number.to_string());
        }
        assert_eq!(jobs.calls("openai", "0"), 0);
        assert_eq!(jobs.calls("openai", "1"), 1);
        assert_eq!(jobs.records.len(), MOST_JOBS);
        assert_eq!(jobs.order.len(), MOST_JOBS);
    }

    #[test]
    fn equal_names_of_two_kinds_are_two_jobs() {
        let mut jobs = Jobs::default();
        jobs.count("openai", "video_1");
        jobs.count("openai", "video_1");
        jobs.count("azure", "video_1");
        assert_eq!((jobs.calls("openai", "video_1"), jobs.calls("azure", "video_1")), (2, 1));
    }
}
