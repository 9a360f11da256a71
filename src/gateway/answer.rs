//! Answers as they are written to clients.

use crate::video::{ApiError, Envelope, ErrorKind, ExtraFields, Status, Video, VideoBody, VideoId};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use ring::digest;
use serde_json::value::RawValue;
use std::fmt::Write as _;
use std::time::Duration;

/// What of an id stays as it is in a path: unreserved characters, and the colon and slashes that ids are made of.
const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_VIDGATE_CACHE: HeaderName = HeaderName::from_static("x-vidgate-cache");
const POLL_AFTER: HeaderName = HeaderName::from_static("openai-poll-after-ms");

/// A status, headers and a body.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

/// A video as JSON, open at its end so that `extra_fields` can follow.
#[derive(Debug)]
pub(super) struct VideoText {
    /// The object without its closing brace.
    open: Vec<u8>,
    pub etag: String,
    pub status: Status,
    model: Option<String>,
    deployment: Option<String>,
}

/// What is particular to one answer with a video.
pub(super) struct Answering<'a> {
    pub provider: &'a str,
    pub request_id: &'a str,
    pub latency: Duration,
    /// When to ask again; `None` for a job that has ended.
    pub poll_after: Option<Duration>,
    pub raw_request: Option<&'a RawValue>,
    pub raw_response: Option<&'a RawValue>,
}

impl VideoText {
    pub fn new(video: &Video<'_>, id: &VideoId, origin: &str) -> VideoText {
        let content_url = format!("{origin}/v1/videos/{}/content?index=", utf8_percent_encode(id.as_str(), ID));
        let body = VideoBody { id: id.as_str(), provider: id.provider(), video, content_url: &content_url };
        // Writing to memory what has only strings for keys cannot fail.
        let mut open = serde_json::to_vec(&body).unwrap_or_default();
        let hash = digest::digest(&digest::SHA256, &open);
        open.pop();
        let mut etag = String::with_capacity(34);
        etag.push('"');
        for byte in hash.as_ref().iter().take(16) {
            let _ = write!(etag, "{byte:02x}");
        }
        etag.push('"');
        VideoText {
            open,
            etag,
            status: video.status,
            model: video.model.as_deref().map(str::to_owned),
            deployment: video.deployment.as_deref().map(str::to_owned),
        }
    }
}

impl Answer {
    /// A video, or 304 for a client that holds it already.
    pub fn video(text: &VideoText, answering: &Answering<'_>, is_held: bool) -> Answer {
        let mut headers = common_headers(answering.request_id);
        headers.push((X_VIDGATE_CACHE, HeaderValue::from_static("off")));
        push(&mut headers, ETAG, &text.etag);
        if let Some(interval) = answering.poll_after {
            headers.push((POLL_AFTER, HeaderValue::from(millis(interval))));
        }
        if is_held {
            return Answer { status: StatusCode::NOT_MODIFIED, headers, body: Bytes::new() };
        }
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        let extra = ExtraFields {
            request_type: "video_retrieve",
            provider: answering.provider,
            model_requested: text.model.as_deref(),
            model_deployment: text.deployment.as_deref(),
            latency: millis(answering.latency),
            chunk_index: 0,
            raw_request: answering.raw_request,
            raw_response: answering.raw_response,
        };
        let extra = serde_json::to_vec(&extra).unwrap_or_else(|_| b"null".to_vec());
        let mut body = Vec::with_capacity(text.open.len() + extra.len() + 20);
        body.extend_from_slice(&text.open);
        body.extend_from_slice(b",\"extra_fields\":");
        body.extend_from_slice(&extra);
        body.push(b'}');
        Answer { status: StatusCode::OK, headers, body: body.into() }
    }

    /// An error in the envelope, with the headers that go with its status.
    pub fn error(error: &ApiError, request_id: &str, provider: Option<&str>) -> Answer {
        let mut headers = common_headers(request_id);
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        if let Some(seconds) = error.retry_after_seconds() {
            headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        match error.kind {
            ErrorKind::MethodNotAllowed => headers.push((ALLOW, HeaderValue::from_static("GET, HEAD"))),
            ErrorKind::InvalidApiKey => headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => {}
        }
        let body = serde_json::to_vec(&Envelope::new(error, request_id, provider)).unwrap_or_default();
        Answer { status: error.status(), headers, body: body.into() }
    }

    /// Writes it; for HEAD all but the body. With its length known, header and body leave in one packet.
    pub async fn write(self, session: &mut Session) -> pingora::Result<()> {
        let has_body = self.status != StatusCode::NOT_MODIFIED;
        let mut header = ResponseHeader::build(self.status, Some(self.headers.len() + 2))?;
        for (name, value) in self.headers {
            header.append_header(name, value)?;
        }
        if has_body {
            header.insert_header(CONTENT_LENGTH, self.body.len())?;
        }
        let sends_body = has_body && session.req_header().method != Method::HEAD;
        session.write_response_header(Box::new(header), !sends_body).await?;
        if sends_body {
            session.write_response_body(Some(self.body), true).await?;
        }
        Ok(())
    }
}

fn common_headers(request_id: &str) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::with_capacity(8);
    push(&mut headers, X_REQUEST_ID, request_id);
    headers.push((CACHE_CONTROL, HeaderValue::from_static("private, no-store")));
    headers
}

fn push(headers: &mut Vec<(HeaderName, HeaderValue)>, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.push((name, value));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
