//! What became of a request, for whoever called, for logs and for counters.

use crate::video::{ApiError, ErrorKind, Status};
use std::sync::Arc;
use std::time::Duration;

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The answer has been written.
    Answered(Answered),
    /// The request is not for a video; nothing was read or written.
    NotOurs(NotOurs),
}

/// Why a request is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOurs {
    /// The path is not one of ours.
    Path,
    /// The path is ours, the method is not: it takes GET and HEAD.
    Method,
}

/// What was answered, for logs and counters. Holds no secret and no query string.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// Bytes of the body, of a file those that were sent.
    pub bytes: u64,
    /// The answer is the file itself, or a part of it.
    pub is_file: bool,
    pub request_id: String,
    /// The form of the path, where the request was for a video.
    pub route: Option<&'static str>,
    /// The configured name of the provider, once it was known.
    pub provider: Option<Arc<str>>,
    /// The name of the client's key.
    pub key: Option<String>,
    /// `error.code` of an error.
    pub error: Option<String>,
    /// The row of the table of errors, of which there are few enough for a label.
    pub error_kind: Option<ErrorKind>,
    /// The state of the job that was answered.
    pub job_status: Option<Status>,
    /// `x-vidgate-cache` of an answer with a video.
    pub cache: Option<&'static str>,
    /// How long it took to get an answer from the provider or the cache.
    pub upstream: Option<Duration>,
    /// HTTP status of the provider's answer, where this request waited for one.
    pub upstream_status: Option<u16>,
    /// From the head of the request to the answer, the writing of it left out.
    pub took: Duration,
}

impl Outcome {
    /// Whether `request_filter` should return `true`.
    pub fn is_answered(&self) -> bool {
        matches!(self, Outcome::Answered(_))
    }
}

impl Answered {
    /// Notes the error that is answered.
    pub(super) fn fail(&mut self, error: &ApiError) {
        self.error = Some(error.code().to_owned());
        self.error_kind = Some(error.kind);
        self.upstream_status = error.said.as_ref().map(|said| said.status);
    }
}
