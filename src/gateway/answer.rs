//! Answers as they are written to clients.

use super::poll::{How, Told};
use super::text::{Ready, Spelling};
use crate::video::{ApiError, CacheDebug, Envelope, ErrorKind, ExtraFields};
use bytes::Bytes;
use http::header::{
    AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::borrow::Cow;
use std::time::Duration;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_VIDGATE_CACHE: HeaderName = HeaderName::from_static("x-vidgate-cache");
const X_VIDGATE_CREDENTIAL: HeaderName = HeaderName::from_static("x-vidgate-credential");
const POLL_AFTER: HeaderName = HeaderName::from_static("openai-poll-after-ms");

/// Bodies up to this are copied into one piece, which leaves in one packet with the header; larger ones are not copied.
const SMALL: usize = 16 * 1024;

/// A status, headers and a body.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// In pieces, so that a kept answer can be sent without copying it.
    body: Vec<Bytes>,
}

/// What is particular to one answer with a video.
pub(super) struct Answering<'a> {
    pub spelling: Spelling<'a>,
    pub provider: &'a str,
    pub request_id: &'a str,
    /// Of the exchange; zero when none was made.
    pub latency: Duration,
    /// When to ask again; `None` for a job that has ended.
    pub poll_after: Option<Duration>,
}

impl Answer {
    /// A video, or 304 for a client that holds it already.
    pub fn video(told: &Told, answering: &Answering<'_>, holds: impl Fn(&str) -> bool) -> Answer {
        let ready = ready(told, answering);
        let mut headers = common_headers(answering.request_id);
        headers.push((X_VIDGATE_CACHE, HeaderValue::from_static(told.how.as_str())));
        headers.push((ETAG, ready.etag.clone()));
        if let Some(interval) = answering.poll_after {
            headers.push((POLL_AFTER, HeaderValue::from(millis(interval))));
        }
        if let Some(credential) = &told.kept.credential {
            push(&mut headers, X_VIDGATE_CREDENTIAL, credential);
        }
        if told.how == How::Stale {
            headers.push((AGE, HeaderValue::from(told.kept.said_at.elapsed().as_secs())));
        }
        if holds(ready.etag.to_str().unwrap_or_default()) {
            return Answer { status: StatusCode::NOT_MODIFIED, headers, body: Vec::new() };
        }
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        Answer { status: StatusCode::OK, headers, body: ready.body.clone() }
    }

    /// An error in the envelope, with the headers that go with its status.
    pub fn error(error: &ApiError, request_id: &str, provider: Option<&str>) -> Answer {
        let mut headers = common_headers(request_id);
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        if let Some(seconds) = error.retry_after_seconds() {
            headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        match error.kind {
            ErrorKind::VideoNotReady => {
                headers.push((POLL_AFTER, HeaderValue::from(millis(error.retry_after.unwrap_or_default()))));
            }
            ErrorKind::MethodNotAllowed => headers.push((ALLOW, HeaderValue::from_static("GET, HEAD"))),
            ErrorKind::InvalidApiKey => headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => {}
        }
        let body = serde_json::to_vec(&Envelope::new(error, request_id, provider)).unwrap_or_default();
        Answer { status: error.status(), headers, body: vec![body.into()] }
    }

    /// A status and headers alone: a redirect, or 304.
    pub fn empty(status: StatusCode, request_id: &str, more: Vec<(HeaderName, HeaderValue)>) -> Answer {
        let mut headers = common_headers(request_id);
        headers.extend(more);
        Answer { status, headers, body: Vec::new() }
    }

    /// The headers of an answer with the bytes of a video, besides those that say what it is.
    pub fn headers_of_bytes(request_id: &str, how: How) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = common_headers(request_id);
        headers.push((X_VIDGATE_CACHE, HeaderValue::from_static(how.as_str())));
        // What a source calls a video must not be taken for a page.
        headers.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
        headers
    }

    /// Bytes of the body.
    pub fn len(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }

    /// Writes it; for HEAD all but the body. With its length known, header and body leave in one packet.
    pub async fn write(self, session: &mut Session) -> pingora::Result<()> {
        let has_body = self.status != StatusCode::NOT_MODIFIED;
        let length = self.len();
        // Without the table of names as they were spelled: ours are lower-case.
        let mut header = ResponseHeader::build_no_case(self.status, Some(self.headers.len() + 2))?;
        for (name, value) in self.headers {
            header.append_header(name, value)?;
        }
        if has_body {
            header.insert_header(CONTENT_LENGTH, length)?;
        }
        let sends_body = has_body && session.req_header().method != Method::HEAD;
        session.write_response_header(Box::new(header), !sends_body).await?;
        if sends_body {
            let last = self.body.len().saturating_sub(1);
            for (at, piece) in self.body.into_iter().enumerate() {
                session.write_response_body(Some(piece), at == last).await?;
            }
        }
        Ok(())
    }
}

/// The body and its tag. Those of a hit are the same for all who ask in the same way, and are made once.
fn ready<'a>(told: &'a Told, answering: &Answering<'_>) -> Cow<'a, Ready> {
    let spelling = &answering.spelling;
    let is_kept = matches!(told.how, How::Hit | How::Stale);
    if let Some(ready) = told.kept.ready.get().filter(|ready| is_kept && ready.fits(spelling)) {
        return Cow::Borrowed(ready);
    }
    let mut body = told.text.spelled(spelling);
    body.push(extra_fields(told, answering));
    let ready = Ready::new(spelling, told.text.etag(spelling), in_one_piece(body));
    if is_kept {
        // Whoever comes first sets it; other spellings are made each time.
        let _ = told.kept.ready.set(ready.clone());
    }
    Cow::Owned(ready)
}

/// The end of the object: what is said about the answer rather than about the video.
fn extra_fields(told: &Told, answering: &Answering<'_>) -> Bytes {
    let model = told.text.model.as_deref();
    let cache_id = format!("{:032x}", told.key.0);
    let hit_type = match told.how {
        How::Off | How::Miss => None,
        How::Hit => Some("direct"),
        How::Coalesced => Some("coalesced"),
        How::Stale => Some("stale"),
    };
    let cache_debug = (told.how != How::Off).then_some(CacheDebug {
        cache_hit: hit_type.is_some(),
        cache_id: &cache_id,
        hit_type,
        requested_provider: answering.provider,
        requested_model: model,
        provider_used: answering.provider,
        model_used: model,
    });
    let extra = ExtraFields {
        request_type: "video_retrieve",
        provider: answering.provider,
        model_requested: model,
        model_deployment: told.text.deployment.as_deref(),
        latency: millis(answering.latency),
        chunk_index: 0,
        cache_debug,
        raw_request: told.raw.request.as_deref(),
        raw_response: told.raw.response.as_deref(),
    };
    let mut end = Vec::with_capacity(256);
    end.extend_from_slice(b",\"extra_fields\":");
    if serde_json::to_writer(&mut end, &extra).is_err() {
        end.extend_from_slice(b"null");
    }
    end.push(b'}');
    end.into()
}

fn in_one_piece(body: Vec<Bytes>) -> Vec<Bytes> {
    if body.iter().map(Bytes::len).sum::<usize>() > SMALL { body } else { vec![body.concat().into()] }
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
