//! Who asks, and how: what of a client's request matters to us.

use super::client::Trusted;
use super::rates::Rates;
use super::trace::Span;
use http::header::{AUTHORIZATION, HOST, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use pingora::proxy::Session;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::{Builder, Uuid};

const REQUEST_ID: &str = "x-request-id";
const MAX_REQUEST_ID: usize = 128;

/// The parts of a client's request that an answer depends on.
pub(super) struct Caller<'a> {
    pub request_id: String,
    pub headers: &'a HeaderMap,
    /// `scheme://host` by which the client reaches us, without a slash at the end.
    pub origin: Cow<'a, str>,
    /// Where it comes from; only where that is counted.
    pub address: Option<IpAddr>,
    /// Where somebody traces us: the span of this request.
    pub span: Option<&'a Span>,
}

impl<'a> Caller<'a> {
    pub fn of(session: &'a Session, public_url: Option<&'a str>, trusted: &Trusted, rates: &Rates) -> Caller<'a> {
        let headers = &session.req_header().headers;
        let origin = public_url.map_or_else(|| Cow::Owned(origin(session, trusted)), Cow::Borrowed);
        let address = if rates.is_limited() { trusted.client(session) } else { None };
        Caller { request_id: request_id(headers), headers, origin, address, span: None }
    }

    pub fn authorization(&self) -> Option<&'a HeaderValue> {
        self.headers.get(AUTHORIZATION)
    }

    /// The span that calls to a provider are made within: that of this request, else the client's.
    pub fn trace(&self) -> Option<Span> {
        self.span.cloned().or_else(|| Span::of(self.headers))
    }

    /// Whether a header that switches something on says so.
    pub fn wants(&self, name: &str) -> bool {
        self.headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
    }

    /// Whether the client holds this version already (RFC 9110, 13.1.2: weak comparison).
    pub fn holds(&self, etag: &str) -> bool {
        let lists = self.headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    }
}

/// The client's own id where it is 1 to 128 visible ASCII characters, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    given_request_id(headers).map_or_else(fresh_id, str::to_owned)
}

/// The client's own id of a request, where it is 1 to 128 visible ASCII characters.
pub fn given_request_id(headers: &HeaderMap) -> Option<&str> {
    let is_plain = |id: &&str| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(is_plain)
}

/// A UUID of version 7. It only has to be unique, so its random part needs no call of the system.
fn fresh_id() -> String {
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let id = Builder::from_unix_timestamp_millis(u64::try_from(now).unwrap_or_default(), &random).into_uuid();
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

/// The scheme and host that the client used, as a trusted proxy says, else the request's own; a host that could not stand in a URL is left out.
fn origin(session: &Session, trusted: &Trusted) -> String {
    let header = session.req_header();
    let is_tls = session.as_downstream().digest().is_some_and(|digest| digest.ssl_digest.is_some());
    let (told_scheme, told_host) = trusted.origin(session);
    let scheme = told_scheme.unwrap_or(if is_tls { "https" } else { "http" });
    let authority = header.uri.authority().map(|authority| authority.as_str());
    let host = header.headers.get(HOST).and_then(|host| host.to_str().ok()).or(authority);
    let host = told_host.or(host);
    let is_host_char = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    match host.filter(|host| !host.is_empty() && host.bytes().all(is_host_char)) {
        Some(host) => [scheme, "://", host].concat(),
        None => String::new(),
    }
}
