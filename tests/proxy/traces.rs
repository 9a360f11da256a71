//! Spans: what a collector on loopback gets of requests, and that a bad one costs requests nothing.

use crate::metrics::{QUEUED, Scrape, entry};
use crate::support::{Client, Proxy, Request, Upstream, get, send, wait_until};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// All spans that came with these requests.
fn spans_in(requests: &[Request]) -> Vec<Value> {
    let spans = |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    };
    requests.iter().flat_map(spans).collect()
}

/// The spans of a collector, once there are so many.
#[track_caller]
fn spans(collector: &Upstream, count: usize) -> Vec<Value> {
    let mut spans = Vec::new();
    wait_until("the spans arrive", || {
        spans = spans_in(&collector.requests());
        spans.len() >= count
    });
    assert_eq!(spans.len(), count, "{spans:#?}");
    spans
}

#[track_caller]
fn of_kind(spans: &[Value], kind: u64) -> &Value {
    let mut found = spans.iter().filter(|span| span["kind"] == kind);
    let span = found.next().unwrap_or_else(|| panic!("none of kind {kind} in {spans:#?}"));
    assert!(found.next().is_none(), "several of kind {kind} in {spans:#?}");
    span
}

/// The attributes of a span, with numbers as numbers.
fn attributes(span: &Value) -> Value {
    let pairs = span["attributes"].as_array().unwrap().iter().map(|pair| {
        let value = &pair["value"];
        let number = value["intValue"].as_str().map(|digits| json!(digits.parse::<u64>().unwrap()));
        (pair["key"].as_str().unwrap().to_owned(), number.unwrap_or_else(|| value["stringValue"].clone()))
    });
    pairs.collect::<serde_json::Map<_, _>>().into()
}

fn config(collector: impl std::fmt::Display, more: &str, rest: &str) -> String {
    format!("admin: 127.0.0.1:0\ntraces: {{endpoint: \"http://{collector}\", {more}}}\n{rest}")
}

fn collector() -> Upstream {
    Upstream::json(200, "{}")
}

fn nanos(span: &Value, key: &str) -> u64 {
    span[key].as_str().unwrap().parse().unwrap()
}

/// The parts of the `traceparent` that an upstream was told last.
fn told(upstream: &Upstream) -> Vec<String> {
    let request = upstream.requests().last().unwrap().clone();
    request.header("traceparent").unwrap().split('-').map(str::to_owned).collect()
}

#[test]
fn a_clients_trace_goes_on_through_both_spans_to_the_provider() {
    let (collector, provider) = (collector(), Upstream::json(200, QUEUED));
    let headers = "headers: {Authorization: \"Basic abc\"}, service_name: videos";
    let endpoint = format!("{}/otlp", collector.address());
    let proxy = Proxy::start(&config(endpoint, headers, &format!("providers:\n{}", entry("p", &provider))));
    let response =
        send(proxy.address(), "GET", "/v1/videos/video_1:p?x=y", &[("traceparent", SAMPLED), ("tracestate", "a=b")]);
    assert_eq!(response.status, 200);

    let spans = spans(&collector, 2);
    let (server, client) = (of_kind(&spans, SERVER), of_kind(&spans, CLIENT));
    assert!(spans.iter().all(|span| span["traceId"] == TRACE), "{spans:#?}");
    assert_eq!((&server["parentSpanId"], &server["flags"]), (&json!(PARENT), &json!(0x301)));
    assert_eq!((&client["parentSpanId"], &client["flags"]), (&server["spanId"], &json!(0x101)));
    assert_eq!(told(&provider), ["00", TRACE, client["spanId"].as_str().unwrap(), "01"]);
    assert_eq!(provider.requests()[0].header("tracestate"), Some("a=b"));

    assert_eq!(server["name"], "GET /v1/videos/{video_id}");
    let want = json!({
        "http.request.method": "GET", "url.path": "/v1/videos/video_1:p", "url.scheme": "http",
        "http.route": "/v1/videos/{video_id}", "network.protocol.version": "1.1", "client.address": "127.0.0.1",
        "http.response.status_code": 200, "vidgate.provider": "p", "vidgate.cache": "miss",
        "vidgate.job_status": "queued",
    });
    assert_eq!(attributes(server), want);
    assert_eq!(client["name"], "GET");
    let url = format!("http://{}/v1/videos/video_1", provider.address());
    let want = json!({
        "http.request.method": "GET", "server.address": "127.0.0.1", "server.port": provider.address().port(),
        "url.full": url, "vidgate.provider": "p", "http.response.status_code": 200,
    });
    assert_eq!(attributes(client), want);
    assert!(spans.iter().all(|span| span["status"] == json!({})), "{spans:#?}");
    assert!(nanos(server, "startTimeUnixNano") <= nanos(client, "startTimeUnixNano"), "{spans:#?}");
    assert!(nanos(client, "startTimeUnixNano") < nanos(client, "endTimeUnixNano"), "{spans:#?}");
    assert!(nanos(client, "endTimeUnixNano") <= nanos(server, "endTimeUnixNano"), "{spans:#?}");

    let batch = &collector.requests()[0];
    assert_eq!((batch.method.as_str(), batch.target.as_str()), ("POST", "/otlp/v1/traces"));
    assert_eq!(batch.header("content-type"), Some("application/json"));
    assert_eq!(batch.header("authorization"), Some("Basic abc"));
    let body: Value = serde_json::from_slice(&batch.body).unwrap();
    let resource = attributes(&body["resourceSpans"][0]["resource"]);
    assert_eq!(
        (&resource["service.name"], &resource["service.version"]),
        (&json!("videos"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(resource["service.instance.id"].as_str().unwrap().len(), 36);
    assert_eq!(Scrape::of(proxy.admin_address()).sum("vidgate_spans_dropped_total", &[]), 0.0);
}

#[test]
fn what_is_not_sampled_is_not_exported() {
    let (collector, provider) = (collector(), Upstream::json(200, QUEUED));
    let rest = format!(
        "passthrough: {{upstreams: [\"http://{}\"]}}\nproviders:\n{}",
        provider.address(),
        entry("p", &provider)
    );
    let proxy = Proxy::start(&config(collector.address(), "sample: 0", &rest));
    for path in ["/v1/videos/video_1:p", "/v1/videos/video_2:nobody", "/other"] {
        send(proxy.address(), "GET", path, &[("traceparent", UNSAMPLED)]);
        send(proxy.address(), "GET", path, &[]);
        send(proxy.address(), "GET", path, &[("traceparent", "00-what-is-this-01")]);
    }
    // The decision goes on to the provider, with a span of our own.
    let first = provider.requests()[0].header("traceparent").unwrap().to_owned();
    assert!(first.starts_with(&UNSAMPLED[..36]) && first.ends_with("-00") && first != UNSAMPLED, "{first}");
    // What was put into the queue before this one would have come before it.
    send(proxy.address(), "GET", "/other", &[("traceparent", SAMPLED)]);
    assert_eq!(spans(&collector, 1)[0]["traceId"], TRACE);
}

#[test]
fn a_request_without_a_trace_gets_one() {
    let (collector, provider) = (collector(), Upstream::json(200, QUEUED));
    let proxy =
        Proxy::start(&config(collector.address(), "sample: 1", &format!("providers:\n{}", entry("p", &provider))));
    get(proxy.address(), "/v1/videos/video_1:p");
    let found = spans(&collector, 2);
    let (server, client) = (of_kind(&found, SERVER), of_kind(&found, CLIENT));
    assert!(server.get("parentSpanId").is_none() && server["flags"] == 0x101, "{server}");
    let trace = server["traceId"].as_str().unwrap();
    assert_eq!(told(&provider), ["00", trace, client["spanId"].as_str().unwrap(), "01"]);
    wait_until("the log has its id", || proxy.log().contains(&format!("\"trace_id\":\"{trace}\"")));

    // An answer of the cache makes no call.
    get(proxy.address(), "/v1/videos/video_1:p");
    let found = spans(&collector, 3);
    let hit = attributes(&found[2]);
    assert_eq!((&hit["vidgate.cache"], &found[2]["kind"]), (&json!("hit"), &json!(SERVER)));
    assert_ne!(found[2]["traceId"], server["traceId"]);
}

#[test]
fn a_passed_through_request_has_a_span_and_keeps_its_headers() {
    let (collector, service) = (collector(), Upstream::json(503, "{}"));
    let rest = format!("passthrough: {{upstreams: [\"http://{}\"]}}\n", service.address());
    let proxy = Proxy::start(&config(collector.address(), "sample: 1", &rest));
    send(proxy.address(), "POST", "/v1/videos?secret=x", &[("traceparent", SAMPLED)]);
    assert_eq!(service.requests()[0].header("traceparent"), Some(SAMPLED));
    send(proxy.address(), "BREW", "/pot", &[]);
    assert_eq!(service.requests()[1].header("traceparent"), None);
    let spans = spans(&collector, 2);
    assert_eq!((&spans[0]["name"], &spans[0]["parentSpanId"]), (&json!("POST"), &json!(PARENT)));
    let want = json!({
        "http.request.method": "POST", "url.path": "/v1/videos", "url.scheme": "http", "error.type": "503",
        "network.protocol.version": "1.1", "client.address": "127.0.0.1", "http.response.status_code": 503,
    });
    assert_eq!(attributes(&spans[0]), want);
    assert_eq!(spans[0]["status"], json!({"code": 2}));
    assert_eq!((&spans[1]["name"], &attributes(&spans[1])["http.request.method"]), (&json!("HTTP"), &json!("_OTHER")));
}

#[test]
fn errors_and_new_tries_are_told() {
    let collector = collector();
    let answers = |request: &Request, stream: &mut std::net::TcpStream| {
        let status = request.target.rsplit('_').next().unwrap();
        let rest = if status == "503" { "retry-after: 0\r\n" } else { "" };
        stream.write_all(format!("HTTP/1.1 {status} X\r\n{rest}content-length: 2\r\n\r\n{{}}").as_bytes()).is_ok()
    };
    let provider = Upstream::start(answers);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let entry = |name: &str, address, more: &str| {
        format!("  {name}: {{kind: openai, base_url: \"http://{address}/v1\", breaker: null, {more}}}\n")
    };
    let rest =
        format!("providers:\n{}{}", entry("p", provider.address(), "retries: 2"), entry("gone", gone, "retries: 1"));
    let proxy = Proxy::start(&config(collector.address(), "sample: 1", &rest));
    let table = [
        // The request; of its own span: status, error, whether it is one; of the call's: status, error, new tries.
        ("video_404:p", 404, "video_not_found", false, json!(404), "404", json!(null)),
        ("video_500:p", 502, "upstream_error", true, json!(500), "500", json!(null)),
        ("video_503:p", 503, "upstream_unavailable", true, json!(503), "503", json!(2)),
        ("video_1:gone", 502, "upstream_unreachable", true, json!(null), "upstream_unreachable", json!(1)),
    ];
    for (at, (id, status, error, is_error, call_status, call_error, resent)) in table.iter().enumerate() {
        let response = get(proxy.address(), &format!("/v1/videos/{id}"));
        assert_eq!((response.status, response.code().as_str()), (*status, *error), "{id}");
        let all = spans(&collector, 2 * (at + 1));
        let (server, client) = (of_kind(&all[2 * at..], SERVER), of_kind(&all[2 * at..], CLIENT));
        assert_eq!(
            (&attributes(server)["http.response.status_code"], &attributes(server)["error.type"]),
            (&json!(status), &json!(error))
        );
        assert_eq!(server["status"], if *is_error { json!({"code": 2}) } else { json!({}) }, "{id}");
        let call = attributes(client);
        assert_eq!(
            (&call["http.response.status_code"], &call["error.type"]),
            (call_status, &json!(call_error)),
            "{id}"
        );
        assert_eq!((&call["http.request.resend_count"], &client["status"]), (resent, &json!({"code": 2})), "{id}");
        assert_eq!(client["parentSpanId"], server["spanId"], "{id}");
    }
    // The words for an id that is none do not repeat it.
    get(proxy.address(), "/v1/videos/video_1%3Fkey=1:p");
    let last = spans(&collector, 9).pop().unwrap();
    assert_eq!(attributes(&last)["url.path"], "/v1/videos/video_1");
    assert_eq!(attributes(&last)["error.type"], "invalid_video_id");
}

/// A proxy with this collector whose every request is traced, and a connection to it.
fn all_traced(collector: impl std::fmt::Display, more: &str) -> (Proxy, Client) {
    let provider = Upstream::json(200, QUEUED);
    let rest = format!("{more}log: {{access: false}}\nproviders:\n{}", entry("p", &provider));
    let proxy = Proxy::start(&config(collector, "sample: 1", &rest));
    let client = Client::connect(proxy.address());
    (proxy, client)
}

fn ask(client: &mut Client, times: usize) {
    (0..times).for_each(|_| assert_eq!(client.request("GET", "/v1/videos/video_1:p", &[], b"").status, 200));
}

fn dropped(proxy: &Proxy) -> f64 {
    Scrape::of(proxy.admin_address()).sum("vidgate_spans_dropped_total", &[])
}

fn times_said(proxy: &Proxy, words: &str) -> usize {
    proxy.log().matches(words).count()
}

const OUTAGE: &str = "the collector takes no spans";

#[test]
fn a_collector_that_hangs_holds_up_no_request_and_bounds_what_waits() {
    let hanging = Upstream::start(|_, _| {
        std::thread::sleep(Duration::from_secs(3600));
        false
    });
    let (proxy, mut client) = all_traced(hanging.address(), "");
    ask(&mut client, 1);
    wait_until("a batch is under way", || !hanging.requests().is_empty());
    // More than the queue holds and the next batch takes.
    for _ in 0..6_000 {
        let asked_at = Instant::now();
        ask(&mut client, 1);
        // The collector has 10 s for its answer.
        assert!(asked_at.elapsed() < Duration::from_secs(5), "{:?}", asked_at.elapsed());
    }
    let lost = dropped(&proxy);
    assert!(lost >= 6_000.0 - 4_096.0 - 512.0, "{lost}");
}

#[test]
fn a_collector_that_refuses_is_reported_once_and_its_return_too() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (proxy, mut client) = all_traced(address, "");
    // Each a batch of its own.
    for batch in 1..=3 {
        ask(&mut client, 1);
        wait_until("the spans are dropped", || dropped(&proxy) >= f64::from(batch));
    }
    wait_until("it is said", || times_said(&proxy, OUTAGE) > 0);
    let collector = Upstream::at(TcpListener::bind(address).unwrap(), |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").is_ok()
    });
    ask(&mut client, 1);
    spans(&collector, 1);
    wait_until("its return is said", || times_said(&proxy, "the collector takes spans again") == 1);
    assert_eq!(times_said(&proxy, OUTAGE), 1, "{}", proxy.log());
    assert!(proxy.log().contains("the connection was refused"), "{}", proxy.log());
}

#[test]
fn a_collector_that_answers_with_errors_costs_spans_and_no_requests() {
    for (answer, says) in [
        ("HTTP/1.1 500 X\r\ncontent-length: 6\r\n\r\nsecret", "it answered 500"),
        ("HTTP/1.1 401 X\r\ncontent-length: 6\r\n\r\nsecret", "it answered 401"),
        ("secret\r\n\r\n", "is not HTTP"),
    ] {
        let failing = Upstream::start(move |_, stream| stream.write_all(answer.as_bytes()).is_err());
        let (proxy, mut client) = all_traced(failing.address(), "");
        for batch in 1..=2 {
            ask(&mut client, 1);
            wait_until("the spans are dropped", || dropped(&proxy) >= f64::from(batch));
        }
        wait_until("it is said", || times_said(&proxy, OUTAGE) > 0);
        assert_eq!(times_said(&proxy, OUTAGE), 1, "{}", proxy.log());
        assert!(proxy.log().contains(says) && !proxy.log().contains("secret"), "{}", proxy.log());
    }
    // One that takes a part of a batch is in order, and what it left out is lost.
    let picky = Upstream::json(200, r#"{"partialSuccess":{"rejectedSpans":"1"}}"#);
    let (proxy, mut client) = all_traced(picky.address(), "");
    ask(&mut client, 1);
    wait_until("one span is lost", || dropped(&proxy) == 1.0);
    assert_eq!(times_said(&proxy, OUTAGE), 0, "{}", proxy.log());
}

#[test]
fn a_collector_that_asks_for_rest_gets_it() {
    let busy = Upstream::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 429 X\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n").is_ok()
    });
    let (proxy, mut client) = all_traced(busy.address(), "");
    ask(&mut client, 1);
    wait_until("the first batch is lost", || dropped(&proxy) > 0.0);
    let (before, asked_at) = (busy.requests().len(), Instant::now());
    ask(&mut client, 600);
    wait_until("the next batch comes", || busy.requests().len() > before);
    // Measured from a moment after its answer.
    assert!(asked_at.elapsed() > Duration::from_millis(1_000), "{:?}", asked_at.elapsed());
}

#[test]
fn what_waits_is_sent_before_the_program_ends() {
    let collector = collector();
    let (mut proxy, mut client) = all_traced(collector.address(), "drain: 1ms\n");
    ask(&mut client, 600);
    proxy.signal("TERM");
    wait_until("it ends", || proxy.exit_code() == Some(0));
    // A call for the first, and each of them.
    assert_eq!(spans_in(&collector.requests()).len(), 601);
}

#[test]
fn a_collector_that_hangs_does_not_keep_the_program_from_ending() {
    let hanging = Upstream::start(|_, _| {
        std::thread::sleep(Duration::from_secs(3600));
        false
    });
    let (mut proxy, mut client) = all_traced(hanging.address(), "drain: 1ms\nshutdown_timeout: 2s\n");
    ask(&mut client, 600);
    wait_until("a batch is under way", || !hanging.requests().is_empty());
    drop(client);
    let told_at = Instant::now();
    proxy.signal("TERM");
    wait_until("it ends", || proxy.exit_code() == Some(0));
    assert!(told_at.elapsed() < Duration::from_secs(5), "{:?}", told_at.elapsed());
    assert!(proxy.log().contains("spans were left behind"), "{}", proxy.log());
}
