//! Parts of files (RFC 9110, 14): one range of bytes, as storage services give it.

use super::reply::Reply;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, RANGE};
use http::{HeaderMap, StatusCode};

/// The part of a file that a request asks for, or the whole reply where it asks for none or it is no file.
pub fn cut(reply: Reply, headers: &HeaderMap) -> Reply {
    let asked = headers.get(RANGE).and_then(|range| range.to_str().ok()).and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|range| range.split_once('-')) else { return reply };
    if reply.status != StatusCode::OK || !reply.headers.contains_key(ACCEPT_RANGES) {
        return reply;
    }
    let total = reply.body.len();
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return reply;
    }
    let (start, end) = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(first), last) => (first, last.map_or(total, |last| total.min(last.saturating_add(1)))),
        (None, Some(length)) => (total.saturating_sub(length), total),
        (None, None) => return reply,
    };
    if start >= end {
        let none = Reply::new(StatusCode::RANGE_NOT_SATISFIABLE, "text/plain", "");
        return none.with(CONTENT_RANGE, &format!("bytes */{total}"));
    }
    let range = format!("bytes {start}-{}/{total}", end - 1);
    let body = reply.body.slice(start..end);
    Reply { status: StatusCode::PARTIAL_CONTENT, body, ..reply }.with(CONTENT_RANGE, &range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::media;

    #[test]
    fn one_range_is_cut_out() {
        let total = media::download().body.len();
        let table = [
            ("bytes=0-", 206, total),
            ("bytes=0-0", 206, 1),
            ("bytes=5-9", 206, 5),
            ("bytes=-4", 206, 4),
            ("bytes=9-999999999", 206, total - 9),
            ("bytes=999999999-", 416, 0),
            ("bytes=0-1,4-5", 200, total),
            ("items=0-1", 200, total),
        ];
        for (range, status, length) in table {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range.parse().unwrap());
            let reply = cut(media::download(), &headers);
            assert_eq!((reply.status.as_u16(), reply.body.len()), (status, length), "{range}");
        }
    }
}
