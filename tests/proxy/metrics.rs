//! `/metrics`: the numbers are right, the text is what Prometheus reads, and nobody can make it grow.

use crate::support::{Client, Proxy, Upstream, get, send, wait_until};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;

/// An answer to a scrape, read strictly.
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    pub fn of(admin: SocketAddr) -> Scrape {
        let response = get(admin, "/metrics");
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Scrape::parse(&response.text())
    }

    /// The text format 0.0.4: every family described once and in one piece, every series once.
    fn parse(text: &str) -> Scrape {
        assert!(text.ends_with('\n'), "the last line is cut");
        let (mut series, mut seen) = (BTreeMap::new(), BTreeSet::new());
        let mut family: Option<(String, String)> = None;
        let mut helped = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').unwrap();
                assert!(seen.insert(name.to_owned()), "{name} comes twice");
                assert!(!words.is_empty(), "{line}");
                helped = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, helped, "a type without its help");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                family = Some((name.to_owned(), kind.to_owned()));
            } else {
                let (name, labels, value) = sample(line);
                let (own, kind) = family.as_ref().unwrap_or_else(|| panic!("no family: {line}"));
                let ending = name.strip_prefix(own.as_str()).unwrap_or_else(|| panic!("not of {own}: {line}"));
                match kind.as_str() {
                    "histogram" => assert!(["_sum", "_count", "_bucket"].contains(&ending), "{line}"),
                    _ => assert_eq!(ending, "", "{line}"),
                }
                assert_eq!(labels.contains_key("le"), ending == "_bucket", "{line}");
                let key = format!("{name}{labels:?}");
                assert!(series.insert(key, value).is_none(), "twice: {line}");
            }
        }
        Scrape(series)
    }

    /// The sum over all series of this name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let start = format!("{name}{{");
        let found: Vec<f64> = self
            .0
            .iter()
            .filter(|(key, _)| key.starts_with(&start))
            .filter(|(key, _)| labels.iter().all(|(label, value)| key.contains(&format!("{label:?}: {value:?}"))))
            .map(|(_, value)| *value)
            .collect();
        assert!(!found.is_empty(), "no {name} with {labels:?} in {:#?}", self.0);
        found.iter().sum()
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.0.keys().filter_map(|key| key.split('{').next()).collect()
    }

    fn series(&self) -> BTreeSet<&String> {
        self.0.keys().collect()
    }
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (head, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = match head.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').unwrap_or_else(|| panic!("open braces: {line}"))),
        None => (head, ""),
    };
    let is_name = |text: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(good)
    };
    assert!(is_name(name), "{line}");
    let mut found = BTreeMap::new();
    for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once('=').unwrap_or_else(|| panic!("no label: {line}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.unwrap_or_else(|| panic!("no quotes: {line}"));
        // No value of ours needs an escape.
        assert!(is_name(label) && !value.contains(['"', '\\']), "{line}");
        assert!(found.insert(label.to_owned(), value.to_owned()).is_none(), "{line}");
    }
    (name.to_owned(), found, value)
}

pub const QUEUED: &str = r#"{"id":"video_1","status":"queued"}"#;

pub fn entry(name: &str, upstream: &Upstream) -> String {
    let address = upstream.address();
    format!(
        "  {name}: {{kind: openai, base_url: \"http://{address}/v1\", credentials: {{api_key: k}}, retries: 0, \
         poll: {{fresh_for: 10m}}}}\n"
    )
}

#[test]
fn what_happened_is_counted() {
    let (good, bad) = (Upstream::json(200, QUEUED), Upstream::json(500, r#"{"error":{"code":"x"}}"#));
    let odd = Upstream::json(200, r#"{"id":"video_1","status":"dreaming"}"#);
    let config =
        format!("admin: 127.0.0.1:0\nproviders:\n{}{}{}", entry("good", &good), entry("bad", &bad), entry("odd", &odd));
    let proxy = Proxy::start(&config);
    let (public, admin) = (proxy.address(), proxy.admin_address());
    let etag = get(public, "/v1/videos/video_1:good").header("etag").unwrap().to_owned();
    for _ in 0..3 {
        get(public, "/v1/videos/video_1:good");
    }
    assert_eq!(send(public, "GET", "/v1/videos/video_1:good", &[("if-none-match", &etag)]).status, 304);
    get(public, "/v1/videos/video_2:good");
    for _ in 0..5 {
        get(public, "/v1/videos/video_1:bad");
    }
    // The breaker is open now: refused without an exchange.
    assert_eq!(get(public, "/v1/videos/video_1:bad").code(), "upstream_unavailable");
    get(public, "/v1/videos/video_1:odd");
    get(public, "/v1/videos/video_1:nobody");
    get(public, "/v1/videos/a%20b:good");

    let scrape = Scrape::of(admin);
    let requests = |labels: &[(&str, &str)]| scrape.sum("vidgate_requests_total", labels);
    assert_eq!(requests(&[("provider", "good"), ("status", "2xx"), ("cache", "miss"), ("error", "none")]), 2.0);
    assert_eq!(requests(&[("provider", "good"), ("status", "2xx"), ("cache", "hit")]), 3.0);
    assert_eq!(requests(&[("provider", "good"), ("status", "3xx"), ("cache", "hit")]), 1.0);
    assert_eq!(requests(&[("provider", "good"), ("status", "4xx"), ("error", "invalid_video_id")]), 1.0);
    assert_eq!(requests(&[("provider", "bad"), ("error", "upstream_error"), ("status", "5xx")]), 5.0);
    assert_eq!(requests(&[("provider", "bad"), ("error", "upstream_unavailable")]), 1.0);
    assert_eq!(requests(&[("provider", "-"), ("error", "unknown_provider")]), 1.0);
    assert_eq!(requests(&[]), 15.0);
    let durations = |provider| scrape.sum("vidgate_request_duration_seconds_count", &[("provider", provider)]);
    assert_eq!(["good", "bad", "odd", "-"].map(durations), [7.0, 6.0, 1.0, 1.0]);
    let exchanges = |labels: &[(&str, &str)]| scrape.sum("vidgate_upstream_exchanges_total", labels);
    assert_eq!(exchanges(&[("provider", "good"), ("status", "2xx"), ("error", "none")]), 2.0);
    assert_eq!(exchanges(&[("provider", "bad"), ("status", "5xx"), ("error", "upstream_error")]), 5.0);
    assert_eq!(scrape.sum("vidgate_upstream_exchange_duration_seconds_count", &[("provider", "bad")]), 5.0);
    assert!(scrape.sum("vidgate_upstream_exchange_duration_seconds_sum", &[("provider", "good")]) > 0.0);
    for (name, labels, want) in [
        ("vidgate_breaker_state", &[("provider", "bad")][..], 2.0),
        ("vidgate_breaker_state", &[("provider", "good")], 0.0),
        ("vidgate_credentials_held", &[("provider", "good")], 0.0),
        ("vidgate_unknown_states_total", &[("provider", "odd")], 1.0),
        ("vidgate_poll_cache_entries", &[], 3.0),
        ("vidgate_jobs_remembered", &[], 3.0),
        ("vidgate_poll_cache_answers_total", &[("result", "hit")], 4.0),
        ("vidgate_poll_cache_answers_total", &[("result", "miss")], 3.0),
        ("vidgate_poll_cache_answers_total", &[("result", "stale")], 0.0),
        ("vidgate_upstream_exchanges_in_flight", &[("provider", "good")], 0.0),
        ("vidgate_log_lines_dropped_total", &[], 0.0),
        ("vidgate_reloads_total", &[("result", "failed")], 0.0),
        ("vidgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        ("vidgate_ready", &[], 1.0),
    ] {
        assert_eq!(scrape.sum(name, labels), want, "{name} {labels:?}");
    }
    assert!(scrape.sum("vidgate_poll_cache_bytes", &[]) > 100.0);
    assert!(scrape.sum("process_start_time_seconds", &[]) > 1.7e9);
    assert_buckets_add_up(&scrape);
}

/// Buckets grow with their bounds, and the last holds everything.
fn assert_buckets_add_up(scrape: &Scrape) {
    let bounds = ["0.001", "0.005", "0.05", "1.0", "60.0", "+Inf"];
    for name in ["vidgate_request_duration_seconds", "vidgate_upstream_exchange_duration_seconds"] {
        let labels = |bound| [("provider", "good"), ("le", bound)];
        let counts = bounds.map(|bound| scrape.sum(&format!("{name}_bucket"), &labels(bound)));
        assert!(counts.is_sorted(), "{name}: {counts:?}");
        assert_eq!(counts.last().copied(), Some(scrape.sum(&format!("{name}_count"), &[("provider", "good")])));
    }
}

#[test]
fn refused_keys_and_passed_through_requests_are_counted() {
    let (video, service) = (Upstream::json(200, QUEUED), Upstream::json(404, "{}"));
    let hash = ring::digest::digest(&ring::digest::SHA256, b"right");
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let config = format!(
        "admin: 127.0.0.1:0\nclient_auth: {{keys: [{{name: web, sha256: \"{hash}\", providers: [p]}}]}}\n\
         passthrough: {{upstreams: [\"http://{}\"]}}\nproviders:\n{}{}",
        service.address(),
        entry("p", &video),
        entry("q", &video)
    );
    let proxy = Proxy::start(&config);
    let (public, admin) = (proxy.address(), proxy.admin_address());
    let key = [("x-bf-vk", "right")];
    assert_eq!(get(public, "/v1/videos/video_1:p").status, 401);
    assert_eq!(send(public, "GET", "/v1/videos/video_1:q", &key).status, 403);
    assert_eq!(get(public, "/other").status, 401);
    assert_eq!(send(public, "GET", "/other", &key).status, 404);
    // The service's own page of this name is none of our business.
    assert_eq!(send(public, "GET", "/metrics", &key).status, 404);
    assert_eq!(service.requests().len(), 2);
    // These are counted once their answers have been written.
    wait_until("the requests are counted", || {
        let scrape = Scrape::of(admin);
        let refused = |reason| scrape.sum("vidgate_client_key_refusals_total", &[("reason", reason)]);
        (refused("invalid_api_key"), refused("provider_not_allowed")) == (2.0, 1.0)
            && scrape.sum("vidgate_passthrough_requests_total", &[("status", "4xx")]) == 2.0
            && scrape.sum("vidgate_requests_total", &[]) == 3.0
            && scrape.sum("vidgate_requests_in_flight", &[]) == 0.0
    });
}

#[test]
fn the_public_listener_never_serves_metrics() {
    let upstream = Upstream::json(200, QUEUED);
    let proxy = Proxy::start(&format!("admin: 127.0.0.1:0\nproviders:\n{}", entry("p", &upstream)));
    for path in ["/metrics", "//metrics", "/metrics/", "/v1/../metrics", "/%6detrics"] {
        let response = get(proxy.address(), path);
        assert_eq!(response.status, 404, "{path}");
        assert!(!response.text().contains("vidgate_"), "{path}: {}", response.text());
    }
    let open =
        send(proxy.admin_address(), "GET", "/metrics", &[("accept", "application/openmetrics-text; version=1.0.0")]);
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.text().ends_with("# EOF\n") && open.text().contains("# TYPE vidgate_requests counter\n"));
    assert_eq!(send(proxy.admin_address(), "HEAD", "/metrics", &[]).body.len(), 0);
    assert_eq!(send(proxy.admin_address(), "POST", "/metrics", &[]).status, 405);
}

/// A request that nobody made before; `number` says of what sort.
fn random_request(number: usize) -> Vec<u8> {
    const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "DELETE", "PATCH", "BREW"];
    let id = fastrand::u128(..);
    let path = match number % 8 {
        // The provider is asked for these.
        0 => format!("/v1/videos/video_{id:032x}:p"),
        1 => format!("/v1/videos/video_{id:032x}:{id:x}"),
        2 => format!("/v1/videos/video_{id:032x}:p{id:x}"),
        3 => format!("/v1/videos/a%00{id:x}:p"),
        4 => format!("/v1/videos/{id:x}"),
        5 => format!("/v1/videos/{id:x}:p/content"),
        6 => format!("/garbage/{id:x}?q={id:x}"),
        _ => format!("/v1/videos/%ZZ{id:x}:p"),
    };
    // Of each sort some.
    let method = if number % 7 == 3 { METHODS[number / 7 % METHODS.len()] } else { "GET" };
    let headers = format!("Host: {id:x}.test\r\nX-Request-Id: {id:x}\r\nUser-Agent: {id:x}\r\nX-Api-Key: {id:x}\r\n");
    format!("{method} {path} HTTP/1.1\r\n{headers}\r\n").into_bytes()
}

/// Makes such requests over one connection.
fn ask_at_random(public: SocketAddr, numbers: std::ops::Range<usize>) {
    let mut client = Client::connect(public);
    for number in numbers {
        let request = random_request(number);
        client.write(&request);
        client.read(request.starts_with(b"HEAD"));
    }
}

#[test]
fn a_hundred_thousand_random_ids_make_the_metrics_no_longer() {
    const FEW: usize = 800;
    const MANY: usize = 100_000;
    const CLIENTS: usize = 16;
    let upstream = Upstream::json(200, QUEUED);
    let proxy =
        Proxy::start(&format!("admin: 127.0.0.1:0\nlog: {{access: false}}\nproviders:\n{}", entry("p", &upstream)));
    let (public, admin) = (proxy.address(), proxy.admin_address());
    let counted = || Scrape::of(admin).sum("vidgate_requests_total", &[]);
    ask_at_random(public, 0..FEW);
    wait_until("the first requests are counted", || counted() == FEW as f64);
    let few = Scrape::of(admin);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let share = MANY / CLIENTS;
            scope.spawn(move || ask_at_random(public, client * share..(client + 1) * share));
        }
    });
    wait_until("all requests are counted", || counted() == (FEW + MANY) as f64);
    let many = Scrape::of(admin);
    assert_eq!(many.series(), few.series());
    assert!(many.0.len() < 150, "{} series", many.0.len());
    // What is counted is what was asked: many ids came to the provider, each once.
    let asked = upstream.requests().len();
    assert!(asked > MANY / 10, "{asked}");
    assert_eq!(many.sum("vidgate_upstream_exchanges_total", &[]), asked as f64);
    assert_eq!(many.sum("vidgate_jobs_remembered", &[]), asked as f64);
}
