//! From a provider's word for a state to ours: one small table per provider.

use crate::video::{JobError, Status, Video};
use std::borrow::Cow;

/// What a provider's word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Queued,
    InProgress,
    Completed,
    Failed,
    /// Failed, with a code of its own that stands whatever the provider's code is.
    Cancelled,
    /// Failed, with a code of its own that stands whatever the provider's code is.
    Expired,
}

/// A provider's words, as it writes them.
pub type States = &'static [(&'static str, State)];

/// Answers that have no word for a state: they only say whether the job is done.
pub const NO_WORDS: States = &[];

impl<'a> Video<'a> {
    /// A job in the state that this word stands for. A word that is not in the table is `in_progress`, never an end.
    pub fn in_state(word: Cow<'a, str>, states: States) -> Video<'a> {
        match states.iter().find(|(known, _)| *known == word) {
            Some((_, state)) => Video::in_known_state(*state),
            None => Video { unknown_state: Some(word), ..Video::new(Status::InProgress) },
        }
    }

    /// A job in a state that is settled already.
    pub fn in_known_state(state: State) -> Video<'a> {
        let (status, code) = match state {
            State::Queued => (Status::Queued, None),
            State::InProgress => (Status::InProgress, None),
            State::Completed => (Status::Completed, None),
            State::Failed => (Status::Failed, None),
            State::Cancelled => (Status::Failed, Some("cancelled")),
            State::Expired => (Status::Failed, Some("expired")),
        };
        let mut video = Video::new(status);
        video.error = code.map(|code| JobError::new(code, ""));
        video
    }

    /// Tells why a failed job failed. The codes `cancelled` and `expired` stand; the provider's text goes into the message.
    pub fn fail_with(&mut self, error: JobError<'a>) {
        match &mut self.error {
            Some(known) => known.message = error.message,
            None => self.error = Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: States = &[("ok", State::Completed), ("gone", State::Cancelled)];

    #[test]
    fn an_unknown_word_never_ends_a_job() {
        let video = Video::in_state("paused".into(), STATES);
        assert_eq!((video.status, video.unknown_state.as_deref()), (Status::InProgress, Some("paused")));
    }

    #[test]
    fn a_cancelled_job_keeps_its_code() {
        let mut video = Video::in_state("gone".into(), STATES);
        video.fail_with(JobError::new("E42", "stopped by user"));
        assert_eq!(video.error, Some(JobError::new("cancelled", "stopped by user")));
    }
}
