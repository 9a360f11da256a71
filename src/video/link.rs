//! What a result's link says of itself: until when it is signed, and what it points to.

use super::time;
use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use url::Url;

/// File endings of results, and what they hold.
const CONTENT_TYPES: &[(&str, &str)] = &[
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("avi", "video/x-msvideo"),
    ("ts", "video/mp2t"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("ogv", "video/ogg"),
    ("3gp", "video/3gpp"),
    ("wmv", "video/x-ms-wmv"),
    ("flv", "video/x-flv"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("bmp", "image/bmp"),
    ("avif", "image/avif"),
    ("tiff", "image/tiff"),
    ("svg", "image/svg+xml"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("opus", "audio/ogg"),
    ("txt", "text/plain"),
    ("srt", "text/plain"),
    ("vtt", "text/vtt"),
    ("json", "application/json"),
    ("zip", "application/zip"),
];

/// The content type that a link's file ending stands for; `None` for an ending that is not in the table.
pub fn content_type_of(link: &str) -> Option<&'static str> {
    let path = link.split(['?', '#']).next()?;
    let file = path.rsplit('/').next()?;
    let (_, ending) = file.rsplit_once('.')?;
    CONTENT_TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)).map(|(_, content_type)| *content_type)
}

/// Whether a content type may be that of a video: it says so, or it says nothing (`application/octet-stream`).
pub fn may_be_video(content_type: &str) -> bool {
    let (kind, detail) = content_type.split_once('/').unwrap_or_default();
    kind.eq_ignore_ascii_case("video") || detail.eq_ignore_ascii_case("octet-stream")
}

/// The Unix second at which a signed link stops working, where its query says so.
pub fn signed_until(link: &str) -> Option<i64> {
    let url = Url::parse(link).ok()?;
    url.query()?;
    let get = |names: &[&str]| {
        url.query_pairs()
            .find(|(key, _)| names.iter().any(|name| key.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value.into_owned())
    };
    signed_from_a_date(&get)
        .or_else(|| get(&["se"]).and_then(|end| time::from_text(&end, 0)))
        .or_else(|| get(&["_jwt"]).and_then(|token| jwt_expiry(&token)))
        .or_else(|| get(&["Policy"]).and_then(|policy| cloudfront_expiry(&policy)))
        .or_else(|| get(&["q-sign-time"]).and_then(|span| unix(span.split(';').nth(1)?)))
        .or_else(|| get(&["Expires", "x-expires"]).and_then(|end| unix(&end)))
}

/// A link without its query, which may hold a signature: what may stand in a message or a log.
pub fn without_query(link: &str) -> &str {
    link.split(['?', '#']).next().unwrap_or_default()
}

/// AWS, Google Cloud Storage and their kin: a start (`20240627T194932Z`) and a number of seconds.
fn signed_from_a_date(get: &impl Fn(&[&str]) -> Option<String>) -> Option<i64> {
    let start = get(&["X-Amz-Date", "X-Goog-Date", "X-Tos-Date", "x-oss-date"])?;
    let seconds = get(&["X-Amz-Expires", "X-Goog-Expires", "X-Tos-Expires", "x-oss-expires"])?;
    let start = DateTime::strptime("%Y%m%dT%H%M%SZ", &start).ok()?;
    let start = start.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    start.checked_add(seconds.parse::<u32>().ok()?.into())
}

/// Only plausible Unix times: some services use `Expires` for a number of seconds.
fn unix(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|seconds| (1_000_000_000..100_000_000_000).contains(seconds))
}

fn jwt_expiry(token: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    time::from_number(serde_json::from_slice::<Claims>(&payload).ok()?.exp)
}

/// CloudFront's custom policy: base64 with `-_~` for `+=/`, one statement, an end in epoch seconds.
fn cloudfront_expiry(policy: &str) -> Option<i64> {
    let standard: String = policy
        .chars()
        .map(|c| match c {
            '-' => '-',
            '_' => '=',
            '~' => '_',
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    let json = URL_SAFE.decode(standard).ok()?;
    let json = String::from_utf8(json).ok()?;
    let (_, tail) = json.split_once("\"AWS:EpochTime\"")?;
    let digits: String = tail.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    unix(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_content_type() {
        assert_eq!(content_type_of("https://a/b.mp4?x=.png"), Some("video/mp4"));
        assert_eq!(content_type_of("https://a/b.WEBM"), Some("video/webm"));
        assert_eq!(content_type_of("https://a.mp4/b"), None);
        assert_eq!(content_type_of("https://a/b.mp4/c"), None);
    }

    #[test]
    fn a_video_may_go_by_a_type_that_says_nothing() {
        for kind in ["video/mp4", "Video/MP4", "application/octet-stream", "binary/octet-stream"] {
            assert!(may_be_video(kind), "{kind}");
        }
        for kind in ["image/png", "audio/mpeg", "application/json", "videos/mp4", "mp4", ""] {
            assert!(!may_be_video(kind), "{kind}");
        }
    }

    #[test]
    fn signed_links_say_when_they_end() {
        let jwt = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"exp":1719604172}"#));
        let policy = r#"{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":1719604172}}}]}"#;
        let policy = URL_SAFE.encode(policy).replace('_', "~").replace('=', "_");
        let table = [
            (format!("https://a/v.mp4?_jwt={jwt}"), Some(1719604172)),
            (format!("https://a/v.mp4?Policy={policy}&Signature=x"), Some(1719604172)),
            ("https://a/v?X-Amz-Date=20240627T194932Z&X-Amz-Expires=3600".into(), Some(1719521372)),
            ("https://a/v?X-Goog-Date=20240627T194932Z&X-Goog-Expires=60".into(), Some(1719517832)),
            ("https://a/v?se=2024-06-27T19%3A49%3A32Z&sig=x".into(), Some(1719517772)),
            ("https://a/v?Expires=1719604172&Signature=x".into(), Some(1719604172)),
            ("https://a/v?Expires=3600".into(), None),
            ("https://a/v?q-sign-time=1719517772;1719604172".into(), Some(1719604172)),
            ("https://a/v.mp4?_jwt=...".into(), None),
            ("https://a/v.mp4".into(), None),
            ("not a link".into(), None),
        ];
        for (link, want) in table {
            assert_eq!(signed_until(&link), want, "{link}");
        }
    }
}
