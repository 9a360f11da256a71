//! A request as it arrived, and as a kind reads it.

use super::origin;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::net::SocketAddr;

/// A request that the sandbox received.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: Method,
    /// Path and query, as sent.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Recorded {
    /// The path, as sent.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        form_value(query.as_bytes(), name)
    }

    /// The origin under which the client reached the sandbox: links must lead back there.
    pub(super) fn origin(&self, address: SocketAddr) -> String {
        match self.headers.get(HOST).and_then(|host| host.to_str().ok()) {
            Some(host) if !host.is_empty() => format!("http://{host}"),
            _ => origin(address),
        }
    }
}

/// A field of a form, decoded.
pub fn form_value(form: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A request to one kind, with its base path taken off.
pub struct Request<'a> {
    pub recorded: &'a Recorded,
    /// What follows the base path, each segment decoded, so that `%2F` stays inside its segment.
    pub segments: Vec<String>,
    /// `http://{host}`, for links to files.
    pub origin: String,
    /// The kind's base URL, for links to its own API.
    pub base_url: String,
}

impl Request<'_> {
    /// The method and the segments, to be matched against what a kind serves.
    pub fn route(&self) -> (&str, Vec<&str>) {
        (self.recorded.method.as_str(), self.segments.iter().map(String::as_str).collect())
    }

    /// The body as JSON; null when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.recorded.body).unwrap_or_default()
    }

    pub fn has_header(&self, name: &str) -> bool {
        self.recorded.headers.contains_key(name)
    }
}

/// The decoded segments of a path that begins with a slash or is empty.
pub fn segments(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Vec::new();
    }
    path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_slash_stays_inside_its_segment() {
        assert_eq!(segments("/async-invoke/arn%3Aaws%2Fx"), ["async-invoke", "arn:aws/x"]);
        assert_eq!(segments("/videos/"), ["videos", ""]);
        assert!(segments("").is_empty());
        assert!(segments("/").is_empty());
    }
}
