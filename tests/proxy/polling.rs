//! One poll at the provider however many clients ask, and an answer even from a bad provider.

use crate::support::{Client, Proxy, Request, Response, Upstream, get, send, wait_until};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;

/// A provider whose next answer can be changed while it runs, and that can be made to wait.
struct Provider {
    upstream: Upstream,
    next: Arc<Mutex<(u16, String, String)>>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

const QUEUED: &str = r#"{"id":"video_1","status":"queued"}"#;
const RUNNING: &str = r#"{"id":"video_1","status":"in_progress","progress":40}"#;
const DONE: &str = r#"{"id":"video_1","status":"completed"}"#;

impl Provider {
    fn new(body: &str) -> Provider {
        let next = Arc::new(Mutex::new((200, String::new(), body.to_owned())));
        let gate = Arc::new((Mutex::new(true), Condvar::new()));
        let (answer, held) = (Arc::clone(&next), Arc::clone(&gate));
        let upstream = Upstream::start(move |_, stream| {
            let open = held.0.lock().unwrap();
            drop(held.1.wait_while(open, |open| !*open).unwrap());
            let (status, headers, body) = answer.lock().unwrap().clone();
            write_answer(stream, status, &headers, &body)
        });
        Provider { upstream, next, gate }
    }

    fn says(&self, status: u16, headers: &str, body: &str) {
        *self.next.lock().unwrap() = (status, headers.to_owned(), body.to_owned());
    }

    /// Holds answers back, or lets them go.
    fn open(&self, open: bool) {
        *self.gate.0.lock().unwrap() = open;
        self.gate.1.notify_all();
    }

    fn calls(&self) -> usize {
        self.upstream.requests().len()
    }

    /// A config with this provider as `p`; `more` is added to its entry.
    fn config(&self, more: &str) -> String {
        entry("p", self.upstream.address(), "{api_key: test-key-1}", more)
    }
}

fn entry(name: &str, address: SocketAddr, credentials: &str, more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    format!(
        "providers:\n  {name}: {{kind: openai, base_url: 'http://{address}/v1', credentials: {credentials}, retries: 0{more}}}\n"
    )
}

fn write_answer(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> bool {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
}

fn poll(proxy: &Proxy) -> Response {
    get(proxy.address(), "/v1/videos/video_1:p")
}

fn cache(response: &Response) -> &str {
    response.header("x-vidgate-cache").unwrap_or("-")
}

#[test]
fn a_crowd_costs_one_call() {
    let provider = Provider::new(RUNNING);
    let admin = admin();
    let proxy = Proxy::start(&format!("admin: {admin}\n{}", provider.config("poll: {fresh_for: 0s}")));
    provider.open(false);
    let (address, crowd) = (proxy.address(), 50);
    let ready = Arc::new(Barrier::new(crowd + 1));
    let clients: Vec<_> = (0..crowd)
        .map(|_| {
            let ready = Arc::clone(&ready);
            thread::spawn(move || {
                let mut client = Client::connect(address);
                client.write(b"GET /v1/videos/video_1:p HTTP/1.1\r\nHost: a\r\n\r\n");
                ready.wait();
                client.read(false)
            })
        })
        .collect();
    ready.wait();
    wait_until("the call has come", || provider.calls() == 1);
    // Everybody must have joined before it is answered.
    wait_until("all are in the house", || in_flight(admin) == Some(crowd as u64));
    provider.open(true);
    let responses: Vec<Response> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!(provider.calls(), 1);
    assert!(responses.iter().all(|response| response.status == 200));
    assert_eq!(responses.iter().filter(|response| cache(response) == "miss").count(), 1);
    let coalesced: Vec<_> = responses.iter().filter(|response| cache(response) == "coalesced").collect();
    assert_eq!(coalesced.len(), crowd - 1);
    let debug = &coalesced[0].json()["extra_fields"]["cache_debug"];
    assert_eq!((debug["cache_hit"].as_bool(), debug["hit_type"].as_str()), (Some(true), Some("coalesced")));
}

/// A free port for an admin listener.
fn admin() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Requests that the proxy is busy with, by its own count.
fn in_flight(admin: SocketAddr) -> Option<u64> {
    TcpStream::connect(admin).ok()?;
    get(admin, "/status").json()["in_flight"].as_u64()
}

#[test]
fn an_answer_is_served_again_while_it_is_fresh() {
    let provider = Provider::new(RUNNING);
    let proxy = Proxy::start(&provider.config("poll: {fresh_for: 60s, interval: 7s}"));
    let (first, second) = (poll(&proxy), poll(&proxy));
    assert_eq!((cache(&first), cache(&second), provider.calls()), ("miss", "hit", 1));
    assert_eq!(first.header("etag"), second.header("etag"));
    assert_eq!(second.header("openai-poll-after-ms"), Some("7000"));
    let extra = &second.json()["extra_fields"];
    assert_eq!((extra["latency"].as_u64(), extra["cache_debug"]["hit_type"].as_str()), (Some(0), Some("direct")));
    // Another spelling of the same job is the same job, under the id that was asked for.
    let doubled = get(proxy.address(), "/v1/videos/video_1:p:p");
    assert_eq!((cache(&doubled), doubled.json()["id"].as_str()), ("hit", Some("video_1:p:p")));
    let other_host = send(proxy.address(), "GET", "/v1/videos/video_1:p", &[("Host", "other.test")]);
    assert_eq!((cache(&other_host), provider.calls()), ("hit", 1));
}

#[test]
fn links_of_a_kept_answer_follow_the_host_that_is_asked() {
    let provider = Provider::new(DONE);
    let proxy = Proxy::start(&provider.config(""));
    for host in ["one.test", "two.test:8443"] {
        let response = send(proxy.address(), "GET", "/v1/videos/video_1:p", &[("Host", host)]);
        let link = format!("http://{host}/v1/videos/video_1:p/content?index=0");
        assert_eq!(response.json()["videos"][0]["url"].as_str(), Some(link.as_str()));
    }
    assert_eq!(provider.calls(), 1);
}

#[test]
fn with_the_cache_off_every_poll_is_a_call() {
    let provider = Provider::new(RUNNING);
    let proxy = Proxy::start(&provider.config("poll: {cache: false}"));
    for calls in 1..4 {
        let response = poll(&proxy);
        assert_eq!((cache(&response), provider.calls()), ("off", calls));
        assert!(response.json()["extra_fields"].get("cache_debug").is_none());
    }
    // Nothing is remembered either: each answer is what the provider says now.
    provider.says(200, "", DONE);
    assert_eq!(poll(&proxy).json()["status"], "completed");
    provider.says(200, "", RUNNING);
    assert_eq!(poll(&proxy).json()["status"], "in_progress");
}

#[test]
fn a_client_that_leaves_takes_the_answer_from_nobody() {
    let provider = Provider::new(DONE);
    let admin = admin();
    let proxy = Proxy::start(&format!("admin: {admin}\n{}", provider.config("poll: {fresh_for: 0s}")));
    provider.open(false);
    let mut leader = Client::connect(proxy.address());
    leader.write(b"GET /v1/videos/video_1:p HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the call has come", || provider.calls() == 1);
    let address = proxy.address();
    let follower = thread::spawn(move || get(address, "/v1/videos/video_1:p"));
    wait_until("both are in the house", || in_flight(admin) == Some(2));
    drop(leader);
    provider.open(true);
    assert_eq!(follower.join().unwrap().json()["status"], "completed");
    assert_eq!(provider.calls(), 1);
}

#[test]
fn a_failing_provider_is_stood_in_for() {
    let provider = Provider::new(RUNNING);
    let proxy = Proxy::start(&provider.config("timeout: 300ms, breaker: null, poll: {fresh_for: 0s}"));
    assert_eq!(cache(&poll(&proxy)), "miss");
    let failures =
        [(500, "", "{}"), (503, "", ""), (429, "", "{}"), (200, "", "<html>"), (200, "content-encoding: br\r\n", "x")];
    for (status, headers, body) in failures {
        provider.says(status, headers, body);
        let response = poll(&proxy);
        assert_eq!((response.status, cache(&response)), (200, "stale"), "{status} {body}");
        assert!(response.header("age").is_some());
        assert_eq!(response.json()["extra_fields"]["cache_debug"]["hit_type"], "stale");
        assert_eq!(response.json()["progress"], 40);
    }
    provider.open(false);
    assert_eq!(cache(&poll(&proxy)), "stale", "a timeout");
    provider.open(true);
    for (status, code) in [(401, "upstream_auth_failed"), (404, "video_not_found"), (402, "upstream_account_error")] {
        provider.says(status, "", "{}");
        assert_eq!(poll(&proxy).code(), code);
        provider.says(200, "", RUNNING);
        wait_until("it is known again", || cache(&poll(&proxy)) == "miss");
    }
}

#[test]
fn an_end_is_not_taken_back_and_progress_does_not_fall() {
    let provider = Provider::new(RUNNING);
    let proxy = Proxy::start(&provider.config("breaker: null, poll: {fresh_for: 0s}"));
    assert_eq!(poll(&proxy).json()["progress"], 40);
    provider.says(200, "", r#"{"status":"in_progress","progress":10}"#);
    assert_eq!(poll(&proxy).json()["progress"], 40);
    provider.says(200, "", r#"{"status":"failed","progress":0,"error":{"code":"x","message":"y"}}"#);
    let failed = poll(&proxy).json();
    assert_eq!((failed["status"].as_str(), failed["progress"].as_u64()), (Some("failed"), Some(40)));
    provider.says(200, "", RUNNING);
    assert_eq!(poll(&proxy).json()["status"], "failed");
}

#[test]
fn a_long_wait_holds_further_polls() {
    let waits = [
        ("retry-after: 30\r\n", "{}"),
        ("retry-after-ms: 30000\r\n", "{}"),
        (
            "",
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s"}]}}"#,
        ),
    ];
    for (headers, body) in waits {
        let provider = Provider::new(QUEUED);
        let config = format!(
            "providers:\n  p: {{kind: gemini, base_url: 'http://{}/v1', credentials: {{api_key: test-key-1}}, retries: 0, poll: {{fresh_for: 0s}}}}\n",
            provider.upstream.address()
        );
        let proxy = Proxy::start(&config);
        provider.says(429, headers, body);
        for _ in 0..3 {
            let response = get(proxy.address(), "/v1/videos/models/m/operations/o:p");
            assert_eq!((response.status, response.code().as_str()), (429, "rate_limit_exceeded"));
            let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
            assert!((25..=30).contains(&wait), "{wait}");
        }
        assert_eq!(provider.calls(), 1, "{headers}{body}");
    }
}

#[test]
fn a_provider_that_keeps_failing_is_left_alone() {
    let provider = Provider::new("{}");
    provider.says(500, "", "{}");
    let proxy = Proxy::start(&provider.config("breaker: {failures: 3, window: 10s, ratio: 0.5, open_for: 60s}"));
    for _ in 0..3 {
        assert_eq!(poll(&proxy).code(), "upstream_error");
    }
    let response = poll(&proxy);
    assert_eq!((response.status, response.code().as_str()), (503, "upstream_unavailable"));
    assert!(response.header("retry-after").is_some());
    assert_eq!(provider.calls(), 3);
}

#[test]
fn a_slow_provider_cannot_take_the_house() {
    let (slow, good) = (Provider::new(RUNNING), Provider::new(RUNNING));
    slow.open(false);
    let config = format!(
        "{}  q: {{kind: openai, base_url: 'http://{}/v1', credentials: {{api_key: test-key-2}}}}\n",
        slow.config("max_concurrent: 2, poll: {fresh_for: 0s}"),
        good.upstream.address()
    );
    let proxy = Proxy::start(&config);
    let mut waiting = Vec::new();
    for job in 0..2 {
        let mut client = Client::connect(proxy.address());
        client.write(format!("GET /v1/videos/video_{job}:p HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        waiting.push(client);
    }
    wait_until("both calls have come", || slow.calls() == 2);
    let response = get(proxy.address(), "/v1/videos/video_3:p");
    assert_eq!((response.status, response.code().as_str()), (503, "overloaded"));
    assert_eq!(get(proxy.address(), "/v1/videos/video_3:q").status, 200);
    slow.open(true);
    assert!(waiting.iter_mut().all(|client| client.read(false).status == 200));
}

#[test]
fn above_max_requests_the_house_is_full() {
    let provider = Provider::new(RUNNING);
    provider.open(false);
    let proxy = Proxy::start(&format!("max_requests: 1\n{}", provider.config("")));
    let mut first = Client::connect(proxy.address());
    first.write(b"GET /v1/videos/video_1:p HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the call has come", || provider.calls() == 1);
    let response = poll(&proxy);
    assert_eq!((response.status, response.code().as_str()), (503, "overloaded"));
    assert_eq!(response.header("retry-after"), Some("1"));
    provider.open(true);
    assert_eq!(first.read(false).status, 200);
    wait_until("there is room again", || poll(&proxy).status == 200);
}

/// Knows jobs by the account that made them.
fn two_accounts() -> Upstream {
    Upstream::start(|request: &Request, stream| {
        let account = request.header("authorization").unwrap_or_default().trim_start_matches("Bearer key-of-account-");
        if request.target.starts_with(&format!("/v1/videos/{account}_")) {
            write_answer(stream, 200, "", &format!(r#"{{"status":"in_progress","prompt":"{account}"}}"#))
        } else {
            write_answer(stream, 404, "", r#"{"error":{"message":"not found"}}"#)
        }
    })
}

#[test]
fn a_job_is_asked_for_with_the_credential_that_knows_it() {
    let upstream = two_accounts();
    let credentials = "[{name: one, api_key: key-of-account-one}, {name: two, api_key: key-of-account-two}]";
    let proxy = Proxy::start(&entry("p", upstream.address(), credentials, "poll: {fresh_for: 0s}"));
    for (job, account, first_calls) in [("one_1", "one", 1), ("two_1", "two", 2)] {
        let before = upstream.requests().len();
        for poll in 0..4 {
            let response = get(proxy.address(), &format!("/v1/videos/{job}:p"));
            assert_eq!((response.status, response.header("x-vidgate-credential")), (200, Some(account)));
            assert_eq!(upstream.requests().len() - before, first_calls + poll);
        }
    }
    // Many at once: all are found, and after its first poll each costs one call.
    let mut client = Client::connect(proxy.address());
    let mut ask_for_all = || {
        let before = upstream.requests().len();
        for number in 0..200 {
            let account = if number % 2 == 0 { "one" } else { "two" };
            let response = client.request("GET", &format!("/v1/videos/{account}_many{number}:p"), &[], b"");
            assert_eq!((response.status, response.json()["prompt"].as_str()), (200, Some(account)));
        }
        upstream.requests().len() - before
    };
    assert_eq!((ask_for_all(), ask_for_all(), ask_for_all()), (300, 200, 200));

    let before = upstream.requests().len();
    assert_eq!(get(proxy.address(), "/v1/videos/three_1:p").code(), "video_not_found");
    assert_eq!(upstream.requests().len() - before, 2, "each credential once");
}

#[test]
fn tenants_never_see_each_others_answers() {
    let upstream = Upstream::start(|request: &Request, stream| {
        let tenant = request.header("authorization").unwrap_or_default().chars().last().unwrap_or_default();
        write_answer(stream, 200, "", &format!(r#"{{"status":"in_progress","prompt":"for {tenant}"}}"#))
    });
    let proxy = Proxy::start(&entry("p", upstream.address(), "forward", "poll: {fresh_for: 60s}"));
    for _ in 0..3 {
        for tenant in ["a", "b"] {
            let own = format!("Bearer key-of-tenant-{tenant}");
            let response = send(proxy.address(), "GET", "/v1/videos/same_job:p", &[("Authorization", &own)]);
            assert_eq!(response.json()["prompt"].as_str(), Some(format!("for {tenant}").as_str()));
        }
    }
    assert_eq!(upstream.requests().len(), 2, "one call per tenant");
}

#[test]
fn an_answer_that_is_too_large_is_shared_but_not_kept() {
    let large = "A".repeat(2 * 1024 * 1024);
    let body = format!(r#"{{"status":"completed","videos":[{{"base64":"{large}"}}]}}"#);
    let provider = Provider::new(&body);
    let proxy = Proxy::start(&provider.config(""));
    for calls in 1..3 {
        let response = poll(&proxy);
        assert_eq!((cache(&response), provider.calls()), ("miss", calls));
        assert_eq!(response.json()["videos"][0]["base64"].as_str().map(str::len), Some(large.len()));
    }
}

#[test]
fn status_tells_how_the_cache_and_the_providers_are() {
    let provider = Provider::new(RUNNING);
    let admin = admin();
    let proxy = Proxy::start(&format!("admin: {admin}\n{}", provider.config("poll: {fresh_for: 60s}")));
    poll(&proxy);
    poll(&proxy);
    wait_until("admin answers", || TcpStream::connect(admin).is_ok());
    let status = get(admin, "/status").json();
    assert_eq!((status["poll_cache"]["misses"].as_u64(), status["poll_cache"]["hits"].as_u64()), (Some(1), Some(1)));
    assert_eq!((status["poll_cache"]["entries"].as_u64(), status["poll_cache"]["jobs"].as_u64()), (Some(1), Some(1)));
    assert!(status["poll_cache"]["bytes"].as_u64().is_some_and(|bytes| bytes > 300));
    let state = &status["providers"][0];
    assert_eq!(
        (state["name"].as_str(), state["breaker"].as_str(), state["in_flight"].as_u64()),
        (Some("p"), Some("closed"), Some(0))
    );

    provider.says(429, "retry-after: 30\r\n", "{}");
    assert_eq!(get(proxy.address(), "/v1/videos/video_2:p").status, 429);
    let held = &get(admin, "/status").json()["providers"][0]["held"][0];
    assert_eq!(held["credential"], "default");
    assert!(held["seconds"].as_u64().is_some_and(|seconds| (25..=31).contains(&seconds)));
}

#[test]
fn a_link_that_dies_soon_is_asked_for_again() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let provider = Provider::new("");
    let proxy = Proxy::start(&provider.config("poll: {fresh_for: 0s}"));
    let signed =
        |end: u64| format!(r#"{{"status":"completed","videos":[{{"url":"https://cdn.test/v.mp4?Expires={end}"}}]}}"#);
    provider.says(200, "", &signed(now + 30));
    assert_eq!((cache(&poll(&proxy)), cache(&poll(&proxy)), provider.calls()), ("miss", "miss", 2));
    provider.says(200, "", &signed(now + 3600));
    let renewed = poll(&proxy);
    assert!(renewed.text().contains(&format!("Expires={}", now + 3600)));
    assert_eq!((cache(&poll(&proxy)), provider.calls()), ("hit", 3));
}

#[test]
fn an_unknown_job_is_not_asked_for_again_at_once() {
    let provider = Provider::new("{}");
    provider.says(404, "", r#"{"error":{"message":"no such video"}}"#);
    let proxy = Proxy::start(&provider.config(""));
    for _ in 0..5 {
        assert_eq!(poll(&proxy).code(), "video_not_found");
    }
    assert!(provider.calls() <= 2, "{}", provider.calls());
}
