//! A span that is over.

use crate::gateway::{SpanId, TraceId};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Characters of a path that are kept, so that what waits is bounded in memory.
const LONGEST: usize = 512;

/// A span as it waits to be sent.
#[derive(Debug)]
pub struct Record {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Parent,
    pub kind: Kind,
    pub name: String,
    pub began: SystemTime,
    pub took: Duration,
    pub attributes: Vec<Attribute>,
    pub is_error: bool,
}

/// Of whom a span is a part.
#[derive(Debug, Clone, Copy)]
pub enum Parent {
    Nobody,
    /// A span of somebody else's.
    Remote(SpanId),
    Ours(SpanId),
}

/// Whether we were asked or have asked.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Server,
    Client,
}

pub type Attribute = (&'static str, Value);

#[derive(Debug)]
pub enum Value {
    Text(String),
    Word(&'static str),
    /// A configured one.
    Name(Arc<str>),
    Number(u64),
}

/// A method that is one of those that everybody knows; others are for clients to choose, and not repeated.
pub fn known_method(method: &http::Method) -> Option<&'static str> {
    const KNOWN: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.iter().find(|known| **known == method.as_str()).copied()
}

/// A path without its query, even one that was encoded into it, and not endless.
pub fn plain_path(path: &str) -> String {
    let begins_query = |(at, mark): &(usize, &str)| {
        let rest = path.get(at + 1..).unwrap_or_default().trim_start_matches("25");
        *mark == "?" || rest.get(..2).is_some_and(|code| code.eq_ignore_ascii_case("3f"))
    };
    let end = path.match_indices(['?', '%']).find(begins_query).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or_default().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_where_its_query_begins() {
        let table = [
            ("/v1/videos/video_1:p", "/v1/videos/video_1:p"),
            ("/v1/videos/a%2Fb%25:p", "/v1/videos/a%2Fb%25:p"),
            ("/a?key=1", "/a"),
            ("/a%3Fkey=1", "/a"),
            ("/a%3fkey=1?x", "/a"),
            ("/a%253Fkey=1", "/a"),
            ("/a%25253fkey=1", "/a"),
            ("/a%", "/a%"),
            ("/ä%3", "/ä%3"),
            ("", ""),
        ];
        for (path, want) in table {
            assert_eq!(plain_path(path), want, "{path}");
        }
        assert_eq!(plain_path(&"ä".repeat(5_000)), "ä".repeat(LONGEST));
    }
}
