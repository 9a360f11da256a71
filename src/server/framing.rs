//! Requests whose length could be read in two ways: what one server takes for a body another takes for a request.
//!
//! Pingora 0.9.1 settles such doubts by the letter of RFC 9112 and serves the request. A service behind us may settle
//! them otherwise, so they end here.

use crate::video::{ApiError, ErrorKind};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use pingora::proxy::Session;

/// What is wrong with the head of a request, if anything is.
pub(super) fn fault(session: &Session, header_size: usize) -> Option<ApiError> {
    let downstream = session.as_downstream();
    if downstream.is_http2() {
        // Its frames have lengths of their own, and its limits were told to the client.
        return None;
    }
    let raw = downstream.to_h1_raw();
    if raw.len() > header_size {
        return Some(ApiError::new(ErrorKind::HeaderTooLarge));
    }
    doubt(&session.req_header().headers, &raw).map(|doubt| ApiError::because(ErrorKind::BadRequest, doubt))
}

fn doubt(headers: &HeaderMap, raw: &[u8]) -> Option<&'static str> {
    if headers.contains_key(TRANSFER_ENCODING) {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !codings.next().is_some_and(is_chunked) || codings.next().is_some() {
            return Some("The request has a Transfer-Encoding other than chunked.");
        }
        // Pingora has taken the length out of the parsed headers.
        if headers.contains_key(CONTENT_LENGTH) || has_length(raw) {
            return Some("The request has both a Transfer-Encoding and a Content-Length.");
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_number = |value: &HeaderValue| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => Some("The request has more than one Content-Length."),
        (Some(length), None) if !is_number(length) => Some("The Content-Length of the request is no number."),
        _ => None,
    }
}

/// Whether a header line as it came is a Content-Length.
fn has_length(raw: &[u8]) -> bool {
    let name = CONTENT_LENGTH.as_str().as_bytes();
    let begins = |line: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    raw.split(|byte| *byte == b'\n').skip(1).any(begins)
}
