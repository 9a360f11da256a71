//! Parts of a file, as clients ask for them and as sources give them (RFC 9110, 14).

use http::header::{CONTENT_RANGE, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};

/// One range of bytes that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// `bytes=500-`
    From(u64),
    /// `bytes=500-999`, both ends included
    Between(u64, u64),
    /// `bytes=-500`
    Last(u64),
}

/// The part of a file that an answer holds; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub start: u64,
    pub end: u64,
    /// The length of the whole file, where it is known.
    pub total: Option<u64>,
}

impl ByteRange {
    /// The range that a request asks for. Several ranges, other units and what is malformed count as none: a server may
    /// then send the whole.
    pub fn asked(headers: &HeaderMap) -> Option<ByteRange> {
        let mut given = headers.get_all(RANGE).iter();
        let (only, None) = (given.next()?, given.next()) else { return None };
        let (unit, set) = only.to_str().ok()?.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => Some(ByteRange::Last(number(last)?)),
            (false, true) => Some(ByteRange::From(number(first)?)),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(ByteRange::Between(first, last))
            }
        }
    }

    /// The same as a header for a source.
    pub fn header(self) -> Option<HeaderValue> {
        let text = match self {
            ByteRange::From(first) => format!("bytes={first}-"),
            ByteRange::Between(first, last) => format!("bytes={first}-{last}"),
            ByteRange::Last(length) => format!("bytes=-{length}"),
        };
        HeaderValue::from_str(&text).ok()
    }

    /// The part of a file of this length; `None` when it has no byte of the range.
    pub fn of(self, total: u64) -> Option<Part> {
        let (start, end) = match self {
            ByteRange::From(first) => (first, u64::MAX),
            ByteRange::Between(first, last) => (first, last),
            ByteRange::Last(0) => return None,
            ByteRange::Last(length) => (total.saturating_sub(length), u64::MAX),
        };
        let last = total.checked_sub(1)?;
        (start <= last).then_some(Part { start, end: end.min(last), total: Some(total) })
    }

    /// Whether this is the part that a source should give for the range.
    pub fn is_met_by(self, part: &Part) -> bool {
        match (self, part.total) {
            (_, Some(total)) => self.of(total) == Some(*part),
            (ByteRange::From(first), None) => part.start == first,
            (ByteRange::Between(first, last), None) => part.start == first && part.end <= last,
            (ByteRange::Last(_), None) => false,
        }
    }
}

impl Part {
    /// What a source says that it gives.
    pub fn given(headers: &HeaderMap) -> Option<Part> {
        let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim();
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        let part = Part { start: number(start)?, end: number(end)?, total };
        let is_sound = part.start <= part.end && part.total.is_none_or(|total| part.end < total);
        is_sound.then_some(part)
    }

    pub fn length(&self) -> u64 {
        self.end - self.start + 1
    }

    pub fn header(&self) -> String {
        let total = self.total.map_or("*".to_owned(), |total| total.to_string());
        format!("bytes {}-{}/{total}", self.start, self.end)
    }
}

/// The length of the file that a source gives when it has no byte of a range (`bytes */1234`).
pub(super) fn total_of_none(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes */")?)
}

/// Whether a range is to be honoured for a file with this tag and date: `If-Range` names the same version, or there is
/// no such condition. A weak tag never matches (13.1.5).
pub(super) fn is_same_version(asked: &HeaderMap, etag: Option<&HeaderValue>, modified: Option<&HeaderValue>) -> bool {
    let Some(wanted) = asked.get(IF_RANGE) else { return true };
    match wanted.as_bytes() {
        [b'"', ..] => etag == Some(wanted),
        [b'W', b'/', ..] => false,
        _ => modified == Some(wanted),
    }
}

/// Digits only: `u64`'s own parser takes a sign.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use http::header::{ETAG, LAST_MODIFIED};

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn one_range_is_understood_and_everything_else_is_none() {
        let table = [
            ("bytes=0-", Some(ByteRange::From(0))),
            ("bytes=5-9", Some(ByteRange::Between(5, 9))),
            ("BYTES = 5 - 9", Some(ByteRange::Between(5, 9))),
            ("bytes=-4", Some(ByteRange::Last(4))),
            ("bytes=0-99999999999999999999999", Some(ByteRange::Between(0, u64::MAX))),
            ("bytes=9-5", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes=+1-2", None),
            ("bytes=a-b", None),
            ("bytes=--1", None),
            ("seconds=0-1", None),
            ("0-1", None),
        ];
        for (text, want) in table {
            assert_eq!(ByteRange::asked(&headers(&[(RANGE, text)])), want, "{text}");
        }
        assert_eq!(ByteRange::asked(&headers(&[(RANGE, "bytes=0-1"), (RANGE, "bytes=3-4")])), None);
        assert_eq!(ByteRange::asked(&headers(&[])), None);
    }

    #[test]
    fn a_range_is_cut_to_the_file() {
        let table = [
            (ByteRange::From(0), 10, Some((0, 9))),
            (ByteRange::From(9), 10, Some((9, 9))),
            (ByteRange::From(10), 10, None),
            (ByteRange::Between(2, 3), 10, Some((2, 3))),
            (ByteRange::Between(2, 30), 10, Some((2, 9))),
            (ByteRange::Between(10, 30), 10, None),
            (ByteRange::Last(3), 10, Some((7, 9))),
            (ByteRange::Last(30), 10, Some((0, 9))),
            (ByteRange::Last(0), 10, None),
            (ByteRange::From(0), 0, None),
            (ByteRange::Last(1), 0, None),
        ];
        for (range, total, want) in table {
            let part = range.of(total);
            assert_eq!(part.map(|part| (part.start, part.end)), want, "{range:?} of {total}");
            if let Some(part) = part {
                assert!(range.is_met_by(&part));
                assert!(!range.is_met_by(&Part { start: part.start + 1, end: part.end + 1, total: None }));
            }
        }
    }

    #[test]
    fn what_a_source_gives_must_make_sense() {
        let table = [
            ("bytes 0-9/10", Some((0, 9, Some(10)))),
            ("bytes 5-9/*", Some((5, 9, None))),
            ("bytes 0-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("bytes 0-9", None),
            ("items 0-9/10", None),
        ];
        for (text, want) in table {
            let part = Part::given(&headers(&[(CONTENT_RANGE, text)]));
            assert_eq!(part.map(|part| (part.start, part.end, part.total)), want, "{text}");
            assert!(part.is_none_or(|part| part.header() == text));
        }
        assert_eq!(total_of_none(&headers(&[(CONTENT_RANGE, "bytes */10")])), Some(10));
    }

    #[test]
    fn a_condition_holds_for_the_same_version_only() {
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let source = headers(&[(ETAG, "\"a\""), (LAST_MODIFIED, date)]);
        let weak = headers(&[(ETAG, "W/\"a\"")]);
        let table = [
            (None, &source, true),
            (Some("\"a\""), &source, true),
            (Some("\"b\""), &source, false),
            (Some("W/\"a\""), &source, false),
            (Some("W/\"a\""), &weak, false),
            (Some("\"a\""), &weak, false),
            (Some(date), &source, true),
            (Some("Wed, 21 Oct 2015 07:28:01 GMT"), &source, false),
            (Some(date), &weak, false),
        ];
        for (condition, source, want) in table {
            let lines: Vec<_> = condition.iter().map(|text| (IF_RANGE, *text)).collect();
            let got = is_same_version(&headers(&lines), source.get(ETAG), source.get(LAST_MODIFIED));
            assert_eq!(got, want, "{condition:?}");
        }
    }
}
