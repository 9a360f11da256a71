//! What goes to a provider and what comes back, without hosts, credentials or sockets.

use crate::video::{ApiError, Video};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

/// One call of a provider's API: everything but its address and its credentials.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// Percent-encoded path below the base URL, with its query: `/tasks/123?x=y`.
    pub path: String,
    pub body: Option<Body>,
}

/// A JSON body.
#[derive(Debug, Clone)]
pub struct Body(pub String);

/// A provider's whole answer to a call, unfolded if it was compressed.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a reply means.
pub enum Step<'a> {
    /// The job's state.
    Done(Box<Video<'a>>),
    /// The query failed; this says nothing about the job.
    Failed(ApiError),
    /// One more call is needed to know.
    Then(Call),
}
