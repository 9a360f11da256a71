//! Everything that goes wrong has one documented answer.

use crate::expect;
use crate::support::{Client, PATIENCE, Providers, Proxy, Response, UNRESOLVABLE, Upstream, get, send, wait_until};
use std::io::Write;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use vidgate::sandbox::KINDS;

/// One row of the table of errors.
#[derive(Clone, Copy)]
struct Row {
    status: u16,
    /// Empty where it is the provider's.
    code: &'static str,
    kind: &'static str,
    /// The proxy itself says no.
    is_ours: bool,
    retry_after: Option<&'static str>,
}

const fn row(status: u16, code: &'static str, kind: &'static str, is_ours: bool) -> Row {
    Row { status, code, kind, is_ours, retry_after: None }
}

const REFUSED: Row = row(400, "", "invalid_request_error", false);
const NOT_FOUND: Row = row(404, "video_not_found", "not_found_error", false);
const LIMITED: Row = Row { retry_after: Some("30"), ..row(429, "rate_limit_exceeded", "rate_limit_error", false) };
const AUTH: Row = row(502, "upstream_auth_failed", "upstream_error", false);
const FUNDS: Row = row(502, "upstream_account_error", "upstream_error", false);
const BROKEN: Row = row(502, "upstream_error", "upstream_error", false);
const UNAVAILABLE: Row = Row { retry_after: Some("30"), ..row(503, "upstream_unavailable", "upstream_error", false) };
const UNREACHABLE: Row = row(502, "upstream_unreachable", "upstream_error", true);
const LATE: Row = row(504, "upstream_timeout", "timeout_error", true);
const UNREADABLE: Row = row(502, "upstream_invalid_response", "upstream_error", true);

/// Checks an answer against its row, and the envelope against itself.
#[track_caller]
fn assert_row(response: &Response, row: Row, provider: Option<&str>, what: &str) {
    let body = response.json();
    let text = response.text();
    assert_eq!(response.status, row.status, "{what}: {text}");
    assert_eq!(body["status_code"], row.status, "{what}: {text}");
    if !row.code.is_empty() {
        assert_eq!(body["error"]["code"], row.code, "{what}: {text}");
    }
    assert_eq!(body["type"], row.kind, "{what}: {text}");
    assert_eq!(body["is_bifrost_error"], row.is_ours, "{what}: {text}");
    assert_eq!(response.header("retry-after"), row.retry_after, "{what}: {text}");
    let id = response.header("x-request-id").unwrap();
    assert_eq!((body["event_id"].as_str(), body["error"]["event_id"].as_str()), (Some(id), Some(id)), "{what}");
    assert_eq!(body["extra_fields"]["provider"].as_str(), provider, "{what}: {text}");
    assert_eq!(body["extra_fields"]["request_type"], "video_retrieve", "{what}");
    assert!(body["extra_fields"]["model_requested"].is_null(), "{what}");
    assert!(body["error"]["type"].is_string() && body["error"]["code"].is_string(), "{what}: {text}");
    assert!(body["error"]["message"].as_str().is_some_and(|message| message.len() > 20), "{what}: {text}");
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 6, "{what}: {keys:?}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(response.header("openai-poll-after-ms"), None, "{what}");
}

/// Asks for the example jobs of every kind with this outcome.
fn for_every_job(proxy: &Proxy, code: &str, mut check: impl FnMut(&str, &str, Response)) {
    for kind in KINDS {
        for job in kind.jobs(code) {
            check(kind.name, &job, get(proxy.address(), &format!("/v1/videos/{job}:{}", kind.name)));
        }
    }
}

#[test]
fn a_providers_refusal_is_told_as_documented_for_every_kind() {
    let providers = Providers::instant();
    let table = [
        ("40", REFUSED),
        ("41", AUTH),
        ("42", FUNDS),
        ("44", NOT_FOUND),
        ("49", LIMITED),
        ("50", BROKEN),
        ("52", BROKEN),
        ("53", UNAVAILABLE),
        ("60", UNREADABLE),
        ("61", UNREADABLE),
        ("62", UNREADABLE),
        ("63", UNREADABLE),
        ("67", UNREADABLE),
    ];
    for (code, row) in table {
        // A proxy for each, since a refusal can hold the credential for the next.
        let proxy = Proxy::start(&providers.config("retries: 0"));
        for_every_job(&proxy, code, |kind, job, response| {
            // Some have one answer for a malformed name and for one that they do not know.
            let told =
                expect::of(kind).jobs[0].refusals.get(code).and_then(|refusal| refusal.client.as_ref()?.code.clone());
            let row = if told.as_deref() == Some(NOT_FOUND.code) { NOT_FOUND } else { row };
            assert_row(&response, row, Some(kind), &format!("{job}:{kind}"));
        });
    }
}

#[test]
fn a_relayed_error_has_the_providers_own_words() {
    let providers = Providers::instant();
    for kind in KINDS {
        let forms = expect::of(kind.name).jobs;
        for (number, form) in forms.iter().enumerate() {
            for (outcome, told) in
                form.refusals.iter().filter_map(|(code, refusal)| Some((code, refusal.client.as_ref()?)))
            {
                let proxy = Proxy::start(&providers.config("retries: 0"));
                let job = kind.jobs(outcome).nth(number).unwrap();
                let error = get(proxy.address(), &format!("/v1/videos/{job}:{}", kind.name)).json()["error"].clone();
                let is_or_any = |key: &str, want: &Option<String>| want.as_ref().is_none_or(|want| error[key] == *want);
                assert!(is_or_any("code", &told.code) && is_or_any("type", &told.r#type), "{job}: {error}");
                let says = told.says.as_deref().unwrap_or_default();
                assert!(error["message"].as_str().unwrap().contains(says), "{job}: {error}");
                assert_eq!(error["param"].as_str(), told.param.as_deref(), "{job}: {error}");
            }
        }
    }
}

#[test]
fn a_short_refusal_is_waited_out() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config("retries: 2"));
    for code in ["48", "55"] {
        for_every_job(&proxy, code, |kind, job, response| {
            assert_eq!(response.status, 200, "{job}:{kind}: {}", response.text());
            assert_eq!(providers.sandbox.calls(kind, job), 2, "{job}:{kind}");
        });
    }
    let proxy = Proxy::start(&Providers::config(&providers, "retries: 0"));
    let response = get(proxy.address(), "/v1/videos/video_again48:openai");
    assert_row(&response, Row { retry_after: Some("1"), ..LIMITED }, Some("openai"), "Retry-After: 0");
    let response = get(proxy.address(), "/v1/videos/video_again55:openai");
    assert_row(&response, Row { retry_after: Some("1"), ..UNAVAILABLE }, Some("openai"), "no Retry-After");
}

#[test]
fn a_compressed_answer_is_read() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    for_every_job(&proxy, "66", |kind, job, response| {
        assert_eq!(response.status, 200, "{job}:{kind}: {}", response.text());
        assert_eq!(response.json()["status"], "completed");
        assert_eq!(response.header("content-encoding"), None);
    });
}

#[test]
fn a_provider_that_does_not_answer_in_time_is_504() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config("timeout: 300ms, retries: 0"));
    for kind in KINDS {
        let job = kind.jobs("65").next().unwrap();
        let response = get(proxy.address(), &format!("/v1/videos/{job}:{}", kind.name));
        assert_row(&response, LATE, Some(kind.name), kind.name);
    }
}

#[test]
fn a_key_that_the_provider_refuses_is_the_operators_fault() {
    let providers = Providers::instant();
    let config = providers.config("retries: 0").replace("test-key-123", "wrong-key-123");
    let proxy = Proxy::start(&config);
    for_every_job(&proxy, "00", |kind, job, response| assert_row(&response, AUTH, Some(kind), job));
}

#[test]
fn a_provider_that_is_not_there_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "providers:\n  refused: {{kind: openai, base_url: \"http://{address}/v1\", retries: 1}}\n  \
         nameless: {{kind: openai, base_url: \"http://{UNRESOLVABLE}/v1\", allow_insecure: true, retries: 0}}\n"
    );
    let proxy = Proxy::start(&config);
    for name in ["refused", "nameless"] {
        let response = get(proxy.address(), &format!("/v1/videos/video_1:{name}"));
        assert_row(&response, UNREACHABLE, Some(name), name);
    }
}

#[test]
fn a_provider_that_goes_away_is_unreachable() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config("retries: 1, poll: {cache: false}"));
    assert_eq!(get(proxy.address(), "/v1/videos/video_a00:openai").status, 200);
    drop(providers);
    let response = get(proxy.address(), "/v1/videos/video_a00:openai");
    assert_row(&response, UNREACHABLE, Some("openai"), "after a working answer");
}

#[test]
fn an_answer_that_is_not_the_documented_one_is_invalid() {
    let head = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{more}\r\n{body}", body.len())
    };
    let huge = format!("{{\"status\":\"queued\",\"x\":\"{}\"}}", "y".repeat(3000));
    let table = [
        ("no http", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(), UNREADABLE),
        ("too large", head("200 OK", "", &huge), UNREADABLE),
        ("too large, unannounced", format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{huge}"), UNREADABLE),
        ("array", head("200 OK", "", "[]"), UNREADABLE),
        ("string", head("200 OK", "", "\"queued\""), UNREADABLE),
        ("null", head("200 OK", "", "null"), UNREADABLE),
        ("no status", head("200 OK", "", "{\"id\":\"x\"}"), UNREADABLE),
        ("not utf-8", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{\u{ff}".to_owned(), UNREADABLE),
        ("false gzip", head("200 OK", "content-encoding: gzip\r\n", "{}"), UNREADABLE),
        ("brotli", head("200 OK", "content-encoding: br\r\n", "{}"), UNREADABLE),
        ("redirect", head("302 Found", "location: http://evil.example/\r\n", ""), UNREADABLE),
        ("short", "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_owned(), UNREADABLE),
        ("teapot", head("418 I'm a teapot", "", "{}"), BROKEN),
        ("500 in html", head("500 X", "content-type: text/html\r\n", "<html>"), BROKEN),
        ("nothing", String::new(), UNREACHABLE),
    ];
    let answers: Vec<(&str, String)> = table.iter().map(|(name, answer, _)| (*name, answer.clone())).collect();
    let upstream = Upstream::start(move |request, stream| {
        let number: usize = request.target.rsplit('_').next().unwrap().parse().unwrap();
        let _ = stream.write_all(answers[number].1.as_bytes());
        false
    });
    let base = format!("http://{}/v1", upstream.address());
    let proxy = Proxy::start(&format!(
        "providers:\n  own: {{kind: openai, base_url: \"{base}\", retries: 0, max_body: 2KiB, timeout: 5s, breaker: null}}\n"
    ));
    for (number, (what, _, row)) in table.iter().enumerate() {
        let response = get(proxy.address(), &format!("/v1/videos/video_{number}:own"));
        assert_row(&response, *row, Some("own"), what);
    }
}

/// An upstream that answers each request when it is told to.
fn held() -> (Upstream, Sender<()>) {
    let (release, gate) = channel();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |_, stream| {
        let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        let body = r#"{"status":"queued"}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
    });
    (upstream, release)
}

#[test]
fn what_is_too_much_is_shed() {
    let overloaded = Row { retry_after: Some("1"), ..row(503, "overloaded", "overloaded_error", true) };
    for (setting, more, provider) in [("max_requests: 1\n", "", None), ("", ", max_concurrent: 1", Some("own"))] {
        let (upstream, release) = held();
        let base = format!("http://{}/v1", upstream.address());
        let proxy =
            Proxy::start(&format!("{setting}providers:\n  own: {{kind: openai, base_url: \"{base}\"{more}}}\n"));
        let mut first = Client::connect(proxy.address());
        first.write(b"GET /v1/videos/video_1:own HTTP/1.1\r\nHost: videos.test\r\n\r\n");
        wait_until("the first request is at the provider", || !upstream.requests().is_empty());
        assert_row(&get(proxy.address(), "/v1/videos/video_2:own"), overloaded, provider, setting);
        release.send(()).unwrap();
        assert_eq!(first.read(false).status, 200);
        // Its place is free again.
        release.send(()).unwrap();
        wait_until("the place is given back", || get(proxy.address(), "/v1/videos/video_3:own").status == 200);
    }
}

#[test]
fn what_is_wrong_with_the_request_itself_is_told_alike() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    let wrong = |status, code| row(status, code, "invalid_request_error", true);
    let table = [
        ("GET", "/v1/videos/video_1", wrong(400, "invalid_video_id"), None),
        ("GET", "/v1/videos/%zz:openai", wrong(400, "invalid_video_id"), None),
        ("GET", "/v1/videos/..:openai", wrong(400, "invalid_video_id"), Some("openai")),
        ("GET", "/v1/videos/video_1:nobody", wrong(400, "unknown_provider"), None),
        ("GET", "/nowhere", wrong(404, "route_not_found"), None),
        ("POST", "/v1/videos", wrong(404, "route_not_found"), None),
        ("POST", "/v1/videos/video_1:openai", wrong(405, "method_not_allowed"), None),
    ];
    for (method, path, row, provider) in table {
        let response = send(proxy.address(), method, path, &[("x-request-id", "r1")]);
        assert_row(&response, row, provider, path);
        assert_eq!(response.header("x-request-id"), Some("r1"));
    }
}

#[test]
fn a_connection_that_died_in_the_pool_is_no_failure_of_the_provider() {
    let upstream = Upstream::start(|_, stream| {
        let body = r#"{"status":"queued"}"#;
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        // Closed without a word.
        false
    });
    let base = format!("http://{}/v1", upstream.address());
    let proxy = Proxy::start(&format!("providers:\n  own: {{kind: openai, base_url: \"{base}\", retries: 0}}\n"));
    for number in 0..20 {
        let response = get(proxy.address(), &format!("/v1/videos/video_{number}:own"));
        assert_eq!(response.status, 200, "{number}: {}", response.text());
    }
}
