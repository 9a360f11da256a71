//! What goes to a provider and what comes back, without hosts, credentials or sockets.

use crate::video::{ApiError, ErrorKind, Video};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

/// One call of a provider's API: everything but its address and its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub method: Method,
    /// Percent-encoded path below the base URL, with its query: `/tasks/123?x=y`.
    pub path: String,
    /// A JSON body.
    pub body: Option<String>,
}

/// A provider's whole answer to a call, unfolded if it was compressed.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Unix seconds at which it was there, for dates in its headers.
    pub received_at: i64,
}

/// What a reply means.
#[derive(Debug)]
pub enum Step<'a> {
    /// The job's state.
    Done(Box<Video<'a>>),
    /// The query failed; this says nothing about the job.
    Failed(ApiError),
    /// One more call is needed to know.
    Then(Call),
}

impl Call {
    pub fn get(path: impl Into<String>) -> Call {
        Call { method: Method::GET, path: path.into(), body: None }
    }

    pub fn post(path: impl Into<String>, body: String) -> Call {
        Call { method: Method::POST, path: path.into(), body: Some(body) }
    }
}

impl Reply {
    /// Reads the body as the JSON object that the provider documents.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        // The derived readers would take an array for the fields in their order; no API answers with one.
        if self.body.trim_ascii_start().starts_with(b"[") {
            return Err(self.invalid("as JSON: it is an array rather than an object"));
        }
        // The library's own message may quote the body; its place and category do not.
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Eof => "it ends too early",
                serde_json::error::Category::Data => "it has another shape than documented",
                _ => "it is not JSON",
            };
            self.invalid(&format!("as JSON: {what} (line {}, column {})", error.line(), error.column()))
        })
    }

    /// The error for an answer that is not what the provider documents. `why` must not quote the answer.
    pub fn invalid(&self, why: &str) -> ApiError {
        let kind = self.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("no content type");
        let (status, length) = (self.status.as_u16(), self.body.len());
        let detail = format!("The answer of {{p}} ({status}, {kind}, {length} bytes) could not be read {why}.");
        ApiError::because(ErrorKind::UpstreamInvalidResponse, detail)
    }
}

impl<'a> From<Video<'a>> for Step<'a> {
    fn from(video: Video<'a>) -> Self {
        Step::Done(Box::new(video))
    }
}

impl<'a> From<Result<Video<'a>, ApiError>> for Step<'a> {
    fn from(result: Result<Video<'a>, ApiError>) -> Self {
        match result {
            Ok(video) => video.into(),
            Err(error) => Step::Failed(error),
        }
    }
}
