//! A call as it goes out, and what it may cost.

use crate::providers::FRESH_UUID;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method, Request};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OrErr};
use uuid::Uuid;

/// A call with its credentials, ready to be sent.
pub struct Outgoing<'a> {
    pub method: Method,
    /// The whole path with its query, base path included.
    pub path: &'a str,
    /// `Host` included. A [`FRESH_UUID`] becomes one each time that the call is sent.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Option<Bytes>,
}

/// What one exchange may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a reply, compressed and unfolded.
    pub max_body: usize,
    /// New tries after the first, not counting those over connections that had died in the pool.
    pub retries: u32,
}

impl Outgoing<'_> {
    /// The head of the request, in Pingora's form. Its own way of adding headers reads each name anew.
    pub(super) fn header(&self) -> Result<Box<RequestHeader>, Box<Error>> {
        let request = Request::builder().method(self.method.clone()).uri(self.path).body(());
        let (mut parts, ()) = request.or_err(ErrorType::InvalidHTTPHeader, "the path of a call")?.into_parts();
        parts.headers.reserve(2 + self.headers.len());
        for (name, value) in &self.headers {
            parts.headers.append(name, fresh(value)?);
        }
        if let Some(body) = &self.body {
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        Ok(Box::new(parts.into()))
    }
}

/// The value as it is sent this time.
fn fresh(value: &HeaderValue) -> Result<HeaderValue, Box<Error>> {
    // A configured value is marked as sensitive and is sent as it stands.
    if value.is_sensitive() || value != FRESH_UUID {
        return Ok(value.clone());
    }
    let mut buffer = Uuid::encode_buffer();
    let id = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(id).or_err(ErrorType::InvalidHTTPHeader, "a fresh id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_id_is_another_one_each_time_that_a_call_is_sent() {
        let plain = (HeaderName::from_static("x-plain"), HeaderValue::from_static("as it is"));
        let id = (HeaderName::from_static("x-id"), HeaderValue::from_static(FRESH_UUID));
        let outgoing = Outgoing { method: Method::GET, path: "/", headers: vec![plain, id], body: None };
        let sent = || {
            let header = outgoing.header().unwrap();
            assert_eq!(header.headers["x-plain"], "as it is");
            Uuid::parse_str(header.headers["x-id"].to_str().unwrap()).unwrap()
        };
        assert_ne!(sent(), sent());
    }

    #[test]
    fn a_configured_value_is_sent_as_it_stands() {
        let mut value = HeaderValue::from_static(FRESH_UUID);
        value.set_sensitive(true);
        assert_eq!(fresh(&value).unwrap(), FRESH_UUID);
    }
}
