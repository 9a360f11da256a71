//! From a source's answer to ours: which part of the file it holds, and what is said about it.

use super::range::{ByteRange, Part, is_same_version, total_of_none};
use crate::gateway::answer::ROOM;
use crate::video::time::from_http_date;
use crate::video::{ApiError, ErrorKind};
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What is answered with bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Whole {
        length: Option<u64>,
    },
    /// A part of it; so many bytes of the source come before it.
    Part {
        part: Part,
        skip: u64,
    },
    /// The client holds this version already.
    NotModified,
    /// The file has no byte of the range.
    NoSuchPart {
        total: Option<u64>,
    },
    /// The range was for another version: the source must be asked for the whole.
    AskForWhole,
}

/// What a file is, in headers that go to the client as they are.
const ABOUT: [HeaderName; 3] = [ETAG, LAST_MODIFIED, CONTENT_ENCODING];

/// How the types of what is no video end: an error, a login form, or a page that would run in the name of our origin.
const NO_FILES: &[&str] = &["html", "json", "xml"];

/// What an answer of a source holds, for a client with these headers. `range` is what the source was asked for, or, for
/// a source that gives the whole, what is to be cut out of it.
pub(super) fn of(
    status: StatusCode,
    source: &HeaderMap,
    client: &HeaderMap,
    range: Option<ByteRange>,
) -> Result<Opening, ApiError> {
    if status == StatusCode::RANGE_NOT_SATISFIABLE && range.is_some() {
        let is_conditional = client.contains_key(IF_RANGE);
        return Ok(if is_conditional {
            Opening::AskForWhole
        } else {
            Opening::NoSuchPart { total: total_of_none(source) }
        });
    }
    check_type(source)?;
    let (etag, modified) = (source.get(ETAG), source.get(LAST_MODIFIED));
    if is_held(client, etag, modified) {
        return Ok(Opening::NotModified);
    }
    let length = length_of(source);
    let is_wanted = is_same_version(client, etag, modified);
    match (status, range) {
        (StatusCode::OK, Some(range)) if is_wanted => Ok(match length {
            Some(total) => match range.of(total) {
                Some(part) => Opening::Part { part, skip: part.start },
                None => Opening::NoSuchPart { total: Some(total) },
            },
            // A range of a file of unknown length cannot be cut; a server may send the whole.
            None => Opening::Whole { length },
        }),
        (StatusCode::OK, _) => Ok(Opening::Whole { length }),
        (StatusCode::PARTIAL_CONTENT, Some(_)) if !is_wanted => Ok(Opening::AskForWhole),
        (StatusCode::PARTIAL_CONTENT, Some(range)) => {
            let part = Part::given(source).filter(|part| range.is_met_by(part));
            let part = part.filter(|part| length.is_none_or(|length| length == part.length()));
            let part = part.ok_or_else(|| {
                invalid("The source of a video at {p} gave another part of it than it was asked for.")
            })?;
            Ok(Opening::Part { part, skip: 0 })
        }
        _ => Err(invalid("The source of a video at {p} gave a part of it that nobody asked for.")),
    }
}

/// The same for a client who wants the head alone: the whole file, as far as its source says how long it is.
pub(super) fn of_head(status: StatusCode, source: &HeaderMap, client: &HeaderMap) -> Result<Opening, ApiError> {
    check_type(source)?;
    if is_held(client, source.get(ETAG), source.get(LAST_MODIFIED)) {
        return Ok(Opening::NotModified);
    }
    let length = match status {
        StatusCode::PARTIAL_CONTENT => Part::given(source).and_then(|part| part.total),
        StatusCode::RANGE_NOT_SATISFIABLE => total_of_none(source),
        _ => length_of(source),
    };
    Ok(Opening::Whole { length })
}

/// Fails for a page where a video should be.
fn check_type(source: &HeaderMap) -> Result<(), ApiError> {
    let content_type = source.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    match NO_FILES.iter().any(|end| content_type.to_ascii_lowercase().ends_with(end)) {
        true => Err(invalid(&format!("The source of a video at {{p}} gave {content_type} instead of it."))),
        false => Ok(()),
    }
}

fn length_of(source: &HeaderMap) -> Option<u64> {
    source.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
}

impl Opening {
    pub fn status(&self) -> StatusCode {
        match self {
            Opening::Part { .. } => StatusCode::PARTIAL_CONTENT,
            Opening::NotModified => StatusCode::NOT_MODIFIED,
            Opening::NoSuchPart { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Opening::Whole { .. } | Opening::AskForWhole => StatusCode::OK,
        }
    }

    /// Bytes that are sent.
    pub fn length(&self) -> Option<u64> {
        match self {
            Opening::Whole { length } => *length,
            Opening::Part { part, .. } => Some(part.length()),
            _ => Some(0),
        }
    }

    /// The headers that tell the client, besides the length.
    pub fn headers(&self, source: &HeaderMap, content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(ROOM);
        for name in ABOUT {
            headers.extend(source.get(&name).map(|value| (name, value.clone())));
        }
        let can_cut = self.length().is_some() || source.get(ACCEPT_RANGES).is_some_and(|unit| unit == "bytes");
        if can_cut {
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if *self == Opening::NotModified {
            return headers;
        }
        if let Opening::Part { part, .. } = self {
            headers.extend(HeaderValue::from_str(&part.header()).ok().map(|value| (CONTENT_RANGE, value)));
        }
        let given = source.get(CONTENT_TYPE).cloned().filter(says_something);
        let content_type = given.or_else(|| HeaderValue::from_str(content_type).ok());
        headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
        headers
    }
}

/// Storage that was told nothing says `application/octet-stream`, which no player plays.
fn says_something(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let (_, detail) = text.split_once('/').unwrap_or_default();
    !detail.is_empty() && !detail.eq_ignore_ascii_case("octet-stream")
}

/// RFC 9110, 13.2.2: tags first, dates only where no tag was given.
fn is_held(client: &HeaderMap, etag: Option<&HeaderValue>, modified: Option<&HeaderValue>) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    if client.contains_key(IF_NONE_MATCH) {
        // Any version will do for a star, also one without a tag.
        let etag = etag.and_then(|etag| etag.to_str().ok()).map(opaque);
        let lists = client.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
        return lists.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || Some(opaque(tag)) == etag);
    }
    let date = |value: Option<&HeaderValue>| from_http_date(value?.to_str().ok()?);
    let (since, modified) = (date(client.get(IF_MODIFIED_SINCE)), date(modified));
    since.zip(modified).is_some_and(|(since, modified)| modified <= since)
}

/// The whole was asked for, and something else came again.
pub(super) fn never_whole() -> ApiError {
    invalid("The source of a video at {p} gave a part of it, or none, where the whole was asked for.")
}

fn invalid(detail: &str) -> ApiError {
    ApiError::because(ErrorKind::UpstreamInvalidResponse, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn an_answer_of_a_source_becomes_ours() {
        let whole = |length| Ok(Opening::Whole { length });
        let part = |start, end, total, skip| Ok(Opening::Part { part: Part { start, end, total }, skip });
        let of_10: &[(&'static str, &str)] = &[("content-length", "10"), ("etag", "\"a\"")];
        let some = |status: u16, source: &[(&'static str, &str)], client: &[(&'static str, &str)], range| {
            of(StatusCode::from_u16(status).unwrap(), &headers(source), &headers(client), range).map_err(|_| ())
        };
        let range = Some(ByteRange::Between(2, 4));
        let given: &[(&'static str, &str)] =
            &[("content-range", "bytes 2-4/10"), ("content-length", "3"), ("etag", "\"a\"")];
        let table = [
            (some(200, of_10, &[], None), whole(Some(10))),
            (some(200, &[], &[], range), whole(None)),
            (some(200, of_10, &[], range), part(2, 4, Some(10), 2)),
            (some(200, of_10, &[("if-range", "\"a\"")], range), part(2, 4, Some(10), 2)),
            (some(200, of_10, &[("if-range", "\"b\"")], range), whole(Some(10))),
            (some(200, of_10, &[], Some(ByteRange::From(10))), Ok(Opening::NoSuchPart { total: Some(10) })),
            (some(206, given, &[], range), part(2, 4, Some(10), 0)),
            (some(206, given, &[("if-range", "\"b\"")], range), Ok(Opening::AskForWhole)),
            (some(206, given, &[], None), Err(())),
            (some(206, given, &[], Some(ByteRange::Between(3, 4))), Err(())),
            (some(206, &[("content-range", "bytes 2-4/10"), ("content-length", "9")], &[], range), Err(())),
            (some(206, &[], &[], range), Err(())),
            (some(416, &[("content-range", "bytes */10")], &[], range), Ok(Opening::NoSuchPart { total: Some(10) })),
            (some(416, &[], &[("if-range", "\"a\"")], range), Ok(Opening::AskForWhole)),
            (some(200, of_10, &[("if-none-match", "\"x\", W/\"a\"")], range), Ok(Opening::NotModified)),
            (some(200, of_10, &[("if-none-match", "\"x\"")], None), whole(Some(10))),
            (some(200, &[("content-type", "text/html; charset=utf-8")], &[], None), Err(())),
            (some(200, &[("content-type", "application/json")], &[], None), Err(())),
            (some(200, &[("content-type", "image/svg+XML")], &[], None), Err(())),
        ];
        for (at, (got, want)) in table.into_iter().enumerate() {
            assert_eq!(got, want, "row {at}");
        }
    }

    #[test]
    fn a_type_that_says_nothing_is_replaced() {
        let table = [("video/webm", "video/webm"), ("binary/octet-stream", "video/mp4"), ("x", "video/mp4")];
        for (given, want) in table {
            let all = Opening::Whole { length: Some(1) }.headers(&headers(&[("content-type", given)]), "video/mp4");
            assert_eq!(all[CONTENT_TYPE], want, "{given}: {all:?}");
        }
    }
}
