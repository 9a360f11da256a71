//! Headers and framing: what clients get, and what providers get.

use crate::expect;
use crate::support::{Client, Providers, Proxy, Request, Response, Upstream, entries, get, send};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vidgate::providers;
use vidgate::sandbox::KINDS;

const DONE: &str = "/v1/videos/video_a00:openai";
const QUEUED: &str = "/v1/videos/video_a10:openai";
const UNKNOWN: &str = "/v1/videos/video_a44:openai";

/// Every request reaches its provider.
fn sandboxed() -> (Providers, Proxy) {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config("poll: {cache: false}"));
    (providers, proxy)
}

fn names(response: &Response) -> Vec<&str> {
    // The first two belong to the connection.
    let is_ours = |name: &&str| !matches!(*name, "date" | "connection");
    let mut names: Vec<&str> = response.headers.iter().map(|(name, _)| name.as_str()).filter(is_ours).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_answer_has_the_documented_headers_and_no_others() {
    let (_providers, proxy) = sandboxed();
    let always = [
        "cache-control",
        "content-length",
        "content-type",
        "etag",
        "x-request-id",
        "x-vidgate-cache",
        "x-vidgate-credential",
    ];
    let video = get(proxy.address(), DONE);
    assert_eq!(names(&video), always);
    assert_eq!(video.header("content-type"), Some("application/json"));
    assert_eq!(video.header("cache-control"), Some("private, no-store"));
    assert_eq!(video.header("content-length"), Some(video.body.len().to_string().as_str()));

    let queued = get(proxy.address(), QUEUED);
    let mut with_poll = always.to_vec();
    with_poll.push("openai-poll-after-ms");
    with_poll.sort_unstable();
    assert_eq!(names(&queued), with_poll);

    let error = get(proxy.address(), UNKNOWN);
    assert_eq!(error.header("content-type"), Some("application/json"));
    assert_eq!(error.header("cache-control"), Some("private, no-store"));
    assert_eq!(error.header("etag"), None);
}

#[test]
fn a_client_is_told_when_to_poll_only_while_the_job_runs() {
    let (_providers, proxy) = sandboxed();
    for kind in KINDS {
        let interval = providers::find(kind.name).unwrap().poll_interval.as_millis().to_string();
        for (code, want) in
            [("10", Some(interval.as_str())), ("11", Some(interval.as_str())), ("00", None), ("01", None)]
        {
            for job in kind.jobs(code) {
                let response = get(proxy.address(), &format!("/v1/videos/{job}:{}", kind.name));
                assert_eq!(response.status, 200, "{job}");
                assert_eq!(response.header("openai-poll-after-ms"), want, "{job}:{}", kind.name);
            }
        }
    }
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config("poll: {interval: 2500ms}"));
    for _ in 0..2 {
        assert_eq!(get(proxy.address(), QUEUED).header("openai-poll-after-ms"), Some("2500"));
    }
}

#[test]
fn head_is_get_without_the_body() {
    let (_providers, proxy) = sandboxed();
    let id = [("x-request-id", "fixed")];
    let mut client = Client::connect(proxy.address());
    for path in [DONE, QUEUED, UNKNOWN, "/v1/videos/..:openai", "/nowhere"] {
        let full = client.request("GET", path, &id, b"");
        let head = client.request("HEAD", path, &id, b"");
        assert_eq!((head.status, names(&head)), (full.status, names(&full)), "{path}");
        for name in ["etag", "content-type", "cache-control", "x-request-id", "openai-poll-after-ms"] {
            assert_eq!(head.header(name), full.header(name), "{path}: {name}");
        }
        let length = |response: &Response| response.header("content-length").unwrap().parse::<usize>().unwrap();
        // The latency in the body has as many digits as it has.
        assert!(length(&head).abs_diff(full.body.len()) <= 4, "{path}");
        if full.status != 200 {
            assert_eq!(length(&head), full.body.len(), "{path}");
        }
    }
    let held = client.request("GET", DONE, &[], b"").header("etag").unwrap().to_owned();
    assert_eq!(client.request("HEAD", DONE, &[("If-None-Match", &held)], b"").status, 304);
    // The connection has stayed in step all along.
    assert_eq!(client.request("GET", DONE, &[], b"").json()["id"], "video_a00:openai");
}

#[test]
fn a_connection_serves_many_requests() {
    let (_providers, proxy) = sandboxed();
    let mut client = Client::connect(proxy.address());
    for number in 0..20 {
        let (job, status) =
            if number % 5 == 4 { (format!("video_{number}_44"), 404) } else { (format!("video_{number}_00"), 200) };
        let response = client.request("GET", &format!("/v1/videos/{job}:openai"), &[], b"");
        assert_eq!(response.status, status, "{number}");
        assert!(response.text().contains(&job), "{number}: {}", response.text());
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order_or_not_at_all() {
    let (_providers, proxy) = sandboxed();
    let mut client = Client::connect(proxy.address());
    let request =
        |number: u32| format!("GET /v1/videos/video_{number}_00:openai HTTP/1.1\r\nHost: videos.test\r\n\r\n");
    let all: String = (0..5).map(request).collect();
    client.write(all.as_bytes());
    assert_eq!(client.read(false).json()["id"], "video_0_00:openai");
    // Closing the connection after an answer is a server's right (RFC 9112, 9.3.2); a mix-up is not.
    let rest = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    let ids: Vec<&str> =
        rest.match_indices("\"id\":\"").filter_map(|(at, _)| rest[at + 6..].split('"').next()).collect();
    let want: Vec<String> = (1..=ids.len()).map(|number| format!("video_{number}_00:openai")).collect();
    assert_eq!(ids, want);
}

#[test]
fn a_body_is_never_taken_for_the_next_request() {
    let (providers, proxy) = sandboxed();
    let hidden = b"GET /v1/videos/video_hidden00:openai HTTP/1.1\r\nHost: videos.test\r\n\r\n";
    for method in ["GET", "POST", "DELETE"] {
        for path in [DONE, "/v1/videos/..:openai", "/nowhere"] {
            let mut client = Client::connect(proxy.address());
            let first = client.request(method, path, &[("x-request-id", "first")], hidden);
            assert_eq!(first.header("x-request-id"), Some("first"));
            client.write(
                b"GET /v1/videos/video_next00:openai HTTP/1.1\r\nHost: videos.test\r\nConnection: close\r\n\r\n",
            );
            // Either the connection goes on after the body, or it is closed.
            let rest = client.read_to_end();
            let rest = String::from_utf8_lossy(&rest);
            assert!(!rest.contains("video_hidden"), "{method} {path}: {rest}");
            assert!(rest.is_empty() || rest.contains("video_next00:openai"), "{method} {path}: {rest}");
        }
    }
    assert_eq!(providers.sandbox.calls("openai", "video_hidden00"), 0);
}

#[test]
fn the_etag_is_of_the_video_and_not_of_the_exchange() {
    let delay = AtomicU64::new(0);
    let upstream = Upstream::start(move |_, stream| {
        std::thread::sleep(Duration::from_millis(delay.fetch_add(20, Ordering::Relaxed)));
        let body = r#"{"status":"in_progress","progress":40}"#;
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
    });
    let config = format!(
        "providers:\n  own: {{kind: openai, base_url: \"http://{}/v1\", poll: {{cache: false}}}}\n",
        upstream.address()
    );
    let proxy = Proxy::start(&config);
    let ask = || get(proxy.address(), "/v1/videos/video_1:own");
    let (first, second) = (ask(), ask());
    let latency = |response: &Response| response.json()["extra_fields"]["latency"].as_u64().unwrap();
    assert!(latency(&second) > latency(&first));
    let etag = first.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag} is not strong");
    assert_eq!(second.header("etag"), Some(etag));
    // Another job, another tag.
    assert_ne!(get(proxy.address(), "/v1/videos/video_2:own").header("etag"), Some(etag));
}

#[test]
fn a_version_that_the_client_holds_is_304() {
    let (_providers, proxy) = sandboxed();
    let etag = get(proxy.address(), QUEUED).header("etag").unwrap().to_owned();
    let table = [
        (etag.clone(), true),
        (format!("W/{etag}"), true),
        (format!("\"other\", {etag}"), true),
        (format!("\"other\",W/{etag} , \"third\""), true),
        ("*".to_owned(), true),
        ("\"other\"".to_owned(), false),
        ("W/\"other\"".to_owned(), false),
        (etag.trim_matches('"').to_owned(), false),
        (String::new(), false),
    ];
    let mut client = Client::connect(proxy.address());
    for (held, is_match) in table {
        let response = client.request("GET", QUEUED, &[("If-None-Match", &held), ("x-request-id", "r1")], b"");
        assert_eq!(response.status, if is_match { 304 } else { 200 }, "{held}");
        assert_eq!(response.header("etag"), Some(etag.as_str()), "{held}");
        assert_eq!(response.header("x-request-id"), Some("r1"));
        assert_eq!(response.header("cache-control"), Some("private, no-store"));
        assert_eq!(response.header("openai-poll-after-ms"), Some("10000"));
        if is_match {
            assert_eq!((response.header("content-length"), response.header("content-type")), (None, None), "{held}");
        }
    }
    // Two headers are one list.
    let lines = [("If-None-Match", "\"other\""), ("If-None-Match", etag.as_str())];
    assert_eq!(client.request("GET", QUEUED, &lines, b"").status, 304);
    // An error has no version.
    assert_eq!(client.request("GET", UNKNOWN, &[("If-None-Match", "*")], b"").status, 404);
}

#[test]
fn a_request_id_is_kept_when_it_is_plain_and_made_anew_when_it_is_not() {
    let (providers, proxy) = sandboxed();
    let longest = "x".repeat(128);
    for id in ["a", "req-1", "!~", "0123_abc/def:ghi", "\"quoted\",;=", longest.as_str()] {
        let response = send(proxy.address(), "GET", DONE, &[("X-Request-Id", id)]);
        assert_eq!(response.header("x-request-id"), Some(id));
        assert_eq!(providers.sandbox.last_request().unwrap().headers["x-request-id"], id);
    }
    let too_long = "x".repeat(129);
    let odd: [&[u8]; 6] = [b"", b"a b", b"a\tb", "é".as_bytes(), b"\xff", too_long.as_bytes()];
    for id in odd {
        for path in [DONE, UNKNOWN, "/nowhere"] {
            let mut client = Client::connect(proxy.address());
            let head = [b"GET ", path.as_bytes(), b" HTTP/1.1\r\nHost: videos.test\r\nX-Request-Id: ", id, b"\r\n\r\n"];
            client.write(&head.concat());
            let response = client.read(false);
            let made =
                response.header("x-request-id").unwrap_or_else(|| panic!("{}: {}", id.escape_ascii(), response.status));
            assert!(is_uuid(made), "{}: {made}", id.escape_ascii());
            if response.status != 200 {
                assert_eq!(response.json()["event_id"], made);
            }
        }
        assert!(is_uuid(providers.sandbox.last_request().unwrap().headers["x-request-id"].to_str().unwrap()));
    }
    let (one, other) = (get(proxy.address(), DONE), get(proxy.address(), DONE));
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[test]
fn an_old_client_is_answered_and_its_connection_closed() {
    let (_providers, proxy) = sandboxed();
    for path in [DONE, UNKNOWN] {
        let mut client = Client::connect(proxy.address());
        client.write(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        let response = client.read(false);
        assert_eq!(response.header("content-length"), Some(response.body.len().to_string().as_str()));
        assert_eq!(response.header("transfer-encoding"), None);
        assert!(client.read_to_end().is_empty());
    }
}

#[test]
fn the_absolute_form_of_a_target_is_the_same_request() {
    let (providers, proxy) = sandboxed();
    let table = [
        ("http://videos.test/v1/videos/video_a00:openai", "videos.test", 200),
        ("http://videos.test:80/v1/videos/video_a00:openai?x=1", "videos.test:80", 200),
        ("http://videos.test/v1/videos/video_a00%3Aopenai", "videos.test", 200),
        ("http://videos.test", "videos.test", 404),
        ("http://videos.test/v1/videos/", "videos.test", 404),
        ("http://videos.test/v1/videos/..:openai", "videos.test", 400),
        ("http://videos.test/v1/videos/video_1/remix", "videos.test", 404),
        // A target and a Host that disagree are two requests in one.
        ("http://evil.example/v1/videos/video_a00:openai", "videos.test", 400),
    ];
    for (target, host, status) in table {
        let response = send(proxy.address(), "GET", target, &[("Host", host)]);
        assert_eq!(response.status, status, "{target}: {}", response.text());
        if status == 200 {
            assert_eq!(response.json()["id"], "video_a00:openai");
            let request = providers.sandbox.last_request().unwrap();
            assert_eq!(request.target, "/openai/v1/videos/video_a00");
            assert_eq!(request.headers["host"], providers.sandbox.address().to_string());
        }
    }
}

#[test]
fn links_of_ours_lead_where_the_client_came_from() {
    let providers = Providers::instant();
    let config = providers.config("");
    let link = |proxy: &Proxy, host: &str| {
        let video = send(proxy.address(), "GET", DONE, &[("Host", host)]).json();
        video["videos"][0]["url"].as_str().unwrap().to_owned()
    };
    let proxy = Proxy::start(&config);
    assert_eq!(link(&proxy, "videos.test:8443"), "http://videos.test:8443/v1/videos/video_a00:openai/content?index=0");
    let proxy = Proxy::start(&format!("public_url: https://videos.example.com/base/\n{config}"));
    assert_eq!(link(&proxy, "evil.test"), "https://videos.example.com/base/v1/videos/video_a00:openai/content?index=0");
}

#[test]
fn other_methods_are_refused_with_those_that_are_allowed() {
    let (providers, proxy) = sandboxed();
    let mut client = Client::connect(proxy.address());
    for method in ["OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
        for path in [DONE, "/v1/videos/video_a00:openai/content", "/v1/videos/models/m/operations/x:gemini"] {
            let response = client.request(method, path, &[], b"");
            assert_eq!((response.status, response.code().as_str()), (405, "method_not_allowed"), "{method} {path}");
            assert_eq!(response.header("allow"), Some("GET, HEAD"), "{method} {path}");
            assert_eq!(response.json()["is_bifrost_error"], true);
        }
        let response = client.request(method, "/v1/videos", &[], b"");
        assert_eq!((response.status, response.code().as_str()), (404, "route_not_found"), "{method}");
    }
    assert!(providers.sandbox.last_request().is_none());
}

/// What a nosy or hostile client sends along.
const CLIENT_HEADERS: &[(&str, &str)] = &[
    ("Cookie", "session=client"),
    ("Authorization", "Bearer client-token"),
    ("X-Api-Key", "client-key"),
    ("X-BF-VK", "client-vk"),
    ("Api-Key", "client-azure"),
    ("X-Goog-Api-Key", "client-google"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"),
    ("Forwarded", "for=10.0.0.1"),
    ("X-Real-IP", "10.0.0.1"),
    ("Via", "1.1 somewhere"),
    ("User-Agent", "curl/8"),
    ("Accept", "text/html"),
    ("Accept-Encoding", "br, zstd"),
    ("Accept-Language", "de"),
    ("Content-Type", "text/plain"),
    ("Origin", "https://evil.example"),
    ("Referer", "https://evil.example/"),
    ("Range", "bytes=0-1"),
    ("If-None-Match", "\"x\""),
    ("If-Modified-Since", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ("Cache-Control", "no-cache"),
    ("OpenAI-Organization", "org-client"),
    ("X-Runway-Version", "1999-01-01"),
    ("tracestate", "a=b"),
    ("X-Custom", "1"),
];

#[test]
fn a_provider_gets_only_what_its_api_needs() {
    let upstream = Upstream::json(200, r#"{"status":"queued"}"#);
    let base_url = |kind: &str| format!("http://{}/{kind}/v1", upstream.address());
    let extra = |kind: &str| format!("headers: {{X-Extra: \"{kind}-1\", User-Agent: mine}}");
    let mut config = entries(base_url, "our-key", extra);
    config.push_str(&format!("  plain: {{kind: openai, base_url: \"http://{}/plain\"}}\n", upstream.address()));
    let proxy = Proxy::start(&config);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut headers = CLIENT_HEADERS.to_vec();
    headers.extend([("x-request-id", "r1"), ("traceparent", trace)]);
    let ours = format!("vidgate/{}", env!("CARGO_PKG_VERSION"));
    let host = upstream.address().to_string();
    let last = || upstream.requests().last().unwrap().clone();

    send(proxy.address(), "GET", "/v1/videos/video_1:plain", &headers);
    let want = [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("host", host.as_str()),
        ("traceparent", ONWARD),
        ("tracestate", "a=b"),
        ("user-agent", ours.as_str()),
        ("x-request-id", "r1"),
    ];
    assert_eq!(sorted(&last()), want);

    for kind in KINDS {
        let expected = expect::of(kind.name);
        let own = expected.headers.iter().map(|(name, value)| (name.as_str(), value.replace("{key}", "our-key")));
        let own: Vec<(&str, String)> = own.collect();
        for job in kind.examples {
            send(proxy.address(), "GET", &format!("/v1/videos/{job}:{}", kind.name), &headers);
            let request = last();
            let (extra, length) = (format!("{}-1", kind.name), request.body.len().to_string());
            let mut want = vec![
                ("accept", "application/json"),
                ("accept-encoding", "identity"),
                ("host", host.as_str()),
                ("traceparent", ONWARD),
                ("tracestate", "a=b"),
                ("user-agent", "mine"),
                ("x-extra", extra.as_str()),
                ("x-request-id", "r1"),
            ];
            want.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
            if request.method == "POST" {
                want.extend([("content-type", "application/json"), ("content-length", length.as_str())]);
            }
            want.sort_unstable();
            assert_eq!(sorted(&request), want, "{job}:{}", kind.name);
        }
    }
}

/// What goes upstream of a trace: the same id, another span.
const ONWARD: &str = "the trace goes on";

fn sorted(request: &Request) -> Vec<(&str, &str)> {
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (_, value) in headers.iter_mut().filter(|(name, _)| *name == "traceparent") {
        let span = value.strip_prefix("00-0af7651916cd43dd8448eb211c80319c-").and_then(|rest| rest.strip_suffix("-01"));
        if span.is_some_and(|span| span.len() == 16 && span != "b7ad6b7169203331") {
            *value = ONWARD;
        }
    }
    for (_, value) in headers.iter_mut().filter(|(_, value)| is_uuid(value)) {
        *value = providers::FRESH_UUID;
    }
    headers.sort_unstable();
    headers
}

#[test]
fn pixverse_gets_another_trace_id_on_every_request_also_when_it_is_repeated() {
    let upstream = Upstream::json(503, "{}");
    let base = format!("http://{}/openapi/v2", upstream.address());
    let config = format!(
        "providers:\n  pixverse: {{base_url: \"{base}\", credentials: {{api_key: our-key}}, retries: 2, poll: {{cache: false}}}}\n"
    );
    let proxy = Proxy::start(&config);
    for _ in 0..2 {
        assert_eq!(get(proxy.address(), "/v1/videos/402718365590100:pixverse").status, 503);
    }
    let requests = upstream.requests();
    let mut ids: Vec<&str> = requests.iter().filter_map(|request| request.header("ai-trace-id")).collect();
    assert!(ids.len() == requests.len() && ids.len() >= 4 && ids.iter().all(|id| is_uuid(id)), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), requests.len(), "{ids:?}");
}

#[test]
fn the_providers_side_is_shown_only_where_it_is_allowed_and_asked_for() {
    let providers = Providers::instant();
    let config = providers.config("poll: {cache: false}");
    let both = [("x-bf-send-back-raw-request", "true"), ("x-bf-send-back-raw-response", "true")];
    let fields = |proxy: &Proxy, headers: &[(&str, &str)]| {
        send(proxy.address(), "GET", DONE, headers).json()["extra_fields"].as_object().unwrap().clone()
    };

    let closed = Proxy::start(&config);
    let extra = fields(&closed, &both);
    assert!(!extra.contains_key("raw_request") && !extra.contains_key("raw_response"));

    let open = Proxy::start(&format!("allow_raw: true\n{config}"));
    for headers in [&[][..], &[("x-bf-send-back-raw-request", "false")], &[("x-bf-send-back-raw-response", "1")]] {
        let extra = fields(&open, headers);
        assert!(!extra.contains_key("raw_request") && !extra.contains_key("raw_response"), "{headers:?}");
    }
    let extra = fields(&open, &both[..1]);
    assert!(extra.contains_key("raw_request") && !extra.contains_key("raw_response"));
    let extra = fields(&open, &both);
    assert_eq!(extra["raw_request"]["method"], "GET");
    assert_eq!(extra["raw_request"]["url"], format!("{}/videos/video_a00", providers.sandbox.base_url("openai")));
    assert_eq!(extra["raw_request"]["headers"]["authorization"], "***");
    assert_eq!(extra["raw_response"]["id"], "video_a00");
    assert_eq!(extra["raw_response"]["status"], "completed");
}
