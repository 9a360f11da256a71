//! The answers of the content path, held against the document: bytes, parts, redirects, and their errors.

use super::{CONTENT, Document, JOB};
use crate::support::{Providers, Proxy, Response, Upstream, get, send};
use serde_json::Value;
use std::io::Write;

/// A body that is no JSON: its type is one of those that the document names, which may be ranges such as `video/*`.
#[track_caller]
pub fn is_of_these(media: &Value, response: &Response, what: &str) {
    let given = response.header("content-type").unwrap_or_else(|| panic!("{what}: no type"));
    let (class, _) = given.split_once('/').unwrap_or_else(|| panic!("{what}: {given}"));
    let names = [given.to_owned(), format!("{class}/*"), "*/*".to_owned()];
    assert!(names.iter().any(|name| media.get(name).is_some()), "{what}: {given} is not described");
    assert!(!response.body.is_empty(), "{what}: no bytes");
}

/// Whatever is said of the bytes of a job: for some of them a file, whole and in parts.
pub fn check(document: &Document, proxy: &Proxy, video: &str) {
    let target = format!("{video}/content");
    let whole = get(proxy.address(), &target);
    document.check(CONTENT, "get", &whole, &target);
    document.check(CONTENT, "head", &send(proxy.address(), "HEAD", &target, &[]), &target);
    if whole.status != 200 {
        return;
    }
    let tag = whole.header("etag").unwrap_or_else(|| panic!("{target} has no tag"));
    let asked = [
        ("get", "range", "bytes=2-5", 206),
        ("get", "range", "bytes=99999999-", 416),
        ("get", "if-none-match", tag, 304),
        ("head", "if-none-match", tag, 304),
        ("head", "range", "bytes=2-5", 200),
    ];
    for (method, header, value, status) in asked {
        let response = send(proxy.address(), &method.to_ascii_uppercase(), &target, &[(header, value)]);
        assert_eq!(response.status, status, "{method} {target} {value}: {}", response.text());
        document.check(CONTENT, method, &response, &target);
    }
}

/// Renderings, videos that are not there, and jobs that have none yet.
pub fn check_renderings(document: &Document, providers: &Providers) {
    let proxy = Proxy::start(&providers.config("retries: 0"));
    let job = |code: &str| JOB.replace("00:", &format!("{code}:"));
    let asked = [
        ("00", "?variant=thumbnail", 200, ""),
        ("00", "?variant=spritesheet&index=0", 200, ""),
        ("00", "?variant=sound", 400, "invalid_variant"),
        ("00", "?index=1", 400, "invalid_index"),
        ("00", "?index=x", 400, "invalid_index"),
        ("01", "", 409, "video_failed"),
        ("10", "", 409, "video_not_ready"),
    ];
    for (code, query, status, error) in asked {
        let target = format!("{}/content{query}", job(code));
        let response = get(proxy.address(), &target);
        assert_eq!(response.status, status, "{target}: {}", response.text());
        document.check(CONTENT, "get", &response, &target);
        if !error.is_empty() {
            assert_eq!(response.code(), error, "{target}");
        }
        assert_eq!(response.header("openai-poll-after-ms").is_some(), error == "video_not_ready", "{target}");
        document.check(CONTENT, "head", &send(proxy.address(), "HEAD", &target, &[]), &target);
    }
}

/// What becomes of links: handed out, dead, leading nowhere or to something else, or to a file of unknown length.
pub fn check_links(document: &Document) {
    const REPLICATE: &str = "/v1/videos/q7h2m9x4c1rj80cv5t6wbn3d00:replicate/content";
    let page = Upstream::start(|request, stream| {
        let answer: &[u8] = match request.target.as_str() {
            "/dead.mp4" => b"HTTP/1.1 403 X\r\ncontent-type: text/xml\r\ncontent-length: 0\r\n\r\n",
            "/page.mp4" => b"HTTP/1.1 200 X\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi",
            "/busy.mp4" => b"HTTP/1.1 503 X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            _ => b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        };
        stream.write_all(answer).is_ok()
    });
    let here = format!("http://{}", page.address());
    let asked = [
        ("https://replicate.delivery/a.mp4", "mode: redirect", 302, ""),
        ("https://elsewhere.example/a.mp4", "mode: redirect", 502, "upstream_invalid_response"),
        ("http://169.254.169.254/a.mp4", "mode: stream", 502, "upstream_invalid_response"),
        (&format!("{here}/dead.mp4"), "mode: stream", 410, "video_expired"),
        (&format!("{here}/page.mp4"), "mode: stream", 502, "upstream_invalid_response"),
        (&format!("{here}/busy.mp4"), "mode: stream", 503, "upstream_unavailable"),
        (&format!("{here}/live.mp4"), "mode: stream", 200, ""),
    ];
    for (link, mode, status, code) in asked {
        let job = format!(r#"{{"id":"q7h2m9x4c1rj80cv5t6wbn3d00","status":"succeeded","output":"{link}"}}"#);
        let provider = Upstream::json(200, &job);
        let proxy = Proxy::start(&format!(
            "providers:\n  replicate: {{base_url: \"http://{}\", credentials: {{api_key: k-123456}}, retries: 0, \
             content: {{{mode}, allow_hosts: [\"{}\"]}}}}\n",
            provider.address(),
            page.address()
        ));
        let response = get(proxy.address(), REPLICATE);
        assert_eq!(response.status, status, "{link}: {}", response.text());
        document.check(CONTENT, "get", &response, link);
        if !code.is_empty() {
            assert_eq!(response.code(), code, "{link}");
        }
        document.check(CONTENT, "head", &send(proxy.address(), "HEAD", REPLICATE, &[]), link);
    }
}
