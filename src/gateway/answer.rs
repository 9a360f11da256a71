//! Answers as they are written to clients.

use super::body::Body;
use super::poll::{How, Told};
use super::text::{Ready, Spelling, hex};
use crate::video::{ApiError, CacheDebug, Envelope, ErrorKind, ExtraFields};
use http::header::{
    AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::borrow::Cow;
use std::time::Duration;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_VIDGATE_CACHE: HeaderName = HeaderName::from_static("x-vidgate-cache");
const X_VIDGATE_CREDENTIAL: HeaderName = HeaderName::from_static("x-vidgate-credential");
const POLL_AFTER: HeaderName = HeaderName::from_static("openai-poll-after-ms");

/// Room for all headers, those that Pingora adds included.
pub(super) const ROOM: usize = 12;

/// A status, headers and a body.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Body,
}

/// What is particular to one answer with a video.
pub(super) struct Answering<'a> {
    pub spelling: Spelling<'a>,
    pub provider: &'a str,
    pub request_id: &'a str,
    /// Of the exchange; zero when none was made.
    pub latency: Duration,
    /// When to ask again; `None` for a job that has ended.
    pub poll_after: Option<&'a HeaderValue>,
}

impl Answer {
    /// A video, or 304 for a client that holds it already.
    pub fn video(told: &Told, answering: &Answering<'_>, holds: impl Fn(&str) -> bool) -> Answer {
        let ready = ready(told, answering);
        let is_held = holds(ready.etag.to_str().unwrap_or_default());
        let (mut headers, body) = match ready {
            Cow::Borrowed(ready) => (ready.headers.clone(), ready.body.clone()),
            Cow::Owned(ready) => (ready.headers, ready.body),
        };
        insert(&mut headers, X_REQUEST_ID, answering.request_id);
        if let Some(interval) = answering.poll_after {
            headers.insert(POLL_AFTER, interval.clone());
        }
        if told.how == How::Stale {
            headers.insert(AGE, HeaderValue::from(told.kept.said_at.elapsed().as_secs()));
        }
        if is_held {
            headers.remove(CONTENT_TYPE);
            headers.remove(CONTENT_LENGTH);
            return Answer { status: StatusCode::NOT_MODIFIED, headers, body: Body::default() };
        }
        Answer { status: StatusCode::OK, headers, body }
    }

    /// An error in the envelope, with the headers that go with its status.
    pub fn error(error: &ApiError, request_id: &str, provider: Option<&str>) -> Answer {
        let mut headers = common_headers(request_id);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = error.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match error.kind {
            ErrorKind::VideoNotReady => {
                headers.insert(POLL_AFTER, poll_after(error.retry_after.unwrap_or_default()));
            }
            ErrorKind::MethodNotAllowed => _ = headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD")),
            ErrorKind::InvalidApiKey => _ = headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            _ => {}
        }
        let body = serde_json::to_vec(&Envelope::new(error, request_id, provider)).unwrap_or_default();
        Answer { status: error.status(), headers, body: Body::from(body) }
    }

    /// A status and headers alone: a redirect, or 304.
    pub fn empty(status: StatusCode, request_id: &str, more: HeaderMap) -> Answer {
        let mut headers = common_headers(request_id);
        headers.extend(more);
        Answer { status, headers, body: Body::default() }
    }

    /// The headers of an answer with the bytes of a video, besides those that say what it is.
    pub fn headers_of_bytes(request_id: &str, how: How) -> HeaderMap {
        let mut headers = common_headers(request_id);
        headers.insert(X_VIDGATE_CACHE, HeaderValue::from_static(how.as_str()));
        // What a source calls a video must not be taken for a page.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers
    }

    /// Bytes of the body.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Writes it; for HEAD all but the body. With its length known, header and body leave in one packet.
    pub async fn write(mut self, session: &mut Session) -> pingora::Result<()> {
        let has_body = self.status != StatusCode::NOT_MODIFIED;
        if has_body && !self.headers.contains_key(CONTENT_LENGTH) {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(self.len()));
        }
        let sends_body = has_body && session.req_header().method != Method::HEAD;
        session.write_response_header(Box::new(response(self.status, self.headers)), !sends_body).await?;
        if sends_body {
            let last = self.body.rest.len();
            for (at, piece) in std::iter::once(self.body.first).chain(self.body.rest).enumerate() {
                session.write_response_body(Some(piece), at == last).await?;
            }
        }
        Ok(())
    }
}

/// The head of an answer, in Pingora's form. Its own way of adding headers reads each name anew.
pub(super) fn response(status: StatusCode, headers: HeaderMap) -> ResponseHeader {
    let (mut parts, ()) = Response::new(()).into_parts();
    (parts.status, parts.headers) = (status, headers);
    parts.into()
}

/// The value of `openai-poll-after-ms`.
pub(super) fn poll_after(interval: Duration) -> HeaderValue {
    HeaderValue::from(millis(interval))
}

/// The body, its tag and the headers that go with them. Those of a hit are the same for all who ask in the same way, and
/// are made once.
fn ready<'a>(told: &'a Told, answering: &Answering<'_>) -> Cow<'a, Ready> {
    let spelling = &answering.spelling;
    let is_kept = matches!(told.how, How::Hit | How::Stale);
    if let Some(ready) = told.kept.ready.get().filter(|ready| is_kept && ready.fits(spelling)) {
        return Cow::Borrowed(ready);
    }
    let mut body = told.text.spelled(spelling);
    write_extra_fields(body.end(), told, answering);
    let (etag, body) = (told.text.etag(spelling), body.finish());
    let headers = lasting_headers(told, &etag, body.len());
    let ready = Ready::new(spelling, etag, headers, body);
    if is_kept {
        // Whoever comes first sets it; other spellings are made each time.
        let _ = told.kept.ready.set(ready.clone());
    }
    Cow::Owned(ready)
}

/// The headers that do not depend on who asks, nor when.
fn lasting_headers(told: &Told, etag: &HeaderValue, length: usize) -> HeaderMap {
    let mut headers = uncached();
    headers.insert(X_VIDGATE_CACHE, HeaderValue::from_static(told.how.as_str()));
    headers.insert(ETAG, etag.clone());
    if let Some(credential) = &told.kept.credential {
        insert(&mut headers, X_VIDGATE_CREDENTIAL, credential);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers
}

/// The end of the object: what is said about the answer rather than about the video.
fn write_extra_fields(end: &mut Vec<u8>, told: &Told, answering: &Answering<'_>) {
    let model = told.text.model.as_deref();
    let cache_id = (told.how != How::Off).then(|| hex(told.key.0));
    let hit_type = match told.how {
        How::Off | How::Miss => None,
        How::Hit => Some("direct"),
        How::Coalesced => Some("coalesced"),
        How::Stale => Some("stale"),
    };
    let cache_debug = cache_id.as_deref().map(|cache_id| CacheDebug {
        cache_hit: hit_type.is_some(),
        cache_id,
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
    end.extend_from_slice(b",\"extra_fields\":");
    if serde_json::to_writer(&mut *end, &extra).is_err() {
        end.extend_from_slice(b"null");
    }
    end.push(b'}');
}

fn common_headers(request_id: &str) -> HeaderMap {
    let mut headers = uncached();
    insert(&mut headers, X_REQUEST_ID, request_id);
    headers
}

/// Headers that begin with what holds for every answer: no cache on the way keeps it.
fn uncached() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(ROOM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
