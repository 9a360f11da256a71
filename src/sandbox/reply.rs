//! An answer before it is put on the wire.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use std::time::Duration;

/// What is answered, and how it is delivered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub delivery: Delivery,
}

/// How a reply gets to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    After(Duration),
    /// Half of the body, then the connection ends.
    Cut,
    /// Nothing, and the end of the connection after so long.
    Never(Duration),
}

impl Reply {
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Reply { status, headers, body: body.into(), delivery: Delivery::Whole }
    }

    pub fn json(status: StatusCode, body: &Value) -> Reply {
        Reply::new(status, "application/json", body.to_string())
    }

    pub fn ok(body: &Value) -> Reply {
        Reply::json(StatusCode::OK, body)
    }

    /// Sets a header; a value that cannot stand in one is left out.
    pub fn with(mut self, name: HeaderName, value: &str) -> Reply {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}
