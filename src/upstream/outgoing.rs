//! A call as it goes out, and what it may cost.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method};
use pingora::Error;
use pingora::http::RequestHeader;

/// A call with its credentials, ready to be sent.
pub struct Outgoing<'a> {
    pub method: Method,
    /// The whole path with its query, base path included.
    pub path: &'a str,
    /// `Host` included.
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
    /// The head of the request, in Pingora's form.
    pub(super) fn header(&self) -> Result<Box<RequestHeader>, Box<Error>> {
        let mut header = RequestHeader::build(self.method.clone(), self.path.as_bytes(), Some(8 + self.headers.len()))?;
        for (name, value) in &self.headers {
            header.append_header(name.clone(), value.clone())?;
        }
        if let Some(body) = &self.body {
            header.insert_header(CONTENT_LENGTH, body.len())?;
        }
        Ok(Box::new(header))
    }
}
