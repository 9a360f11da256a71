//! How often clients may ask, and who they are when there are proxies in front.

use crate::support::{Client, Providers, Proxy, Response, Upstream, send, wait_until};

const DONE: &str = "/v1/videos/video_a00:openai";

fn ask(proxy: &Proxy, target: &str, headers: &[(&str, &str)]) -> Response {
    send(proxy.address(), "GET", target, headers)
}

/// How many of so many requests are let in.
fn let_in(proxy: &Proxy, count: usize, target: &str, headers: &[(&str, &str)]) -> usize {
    (0..count).filter(|_| ask(proxy, target, headers).status != 429).count()
}

#[track_caller]
fn assert_limited(response: &Response, whose: &str, within: std::ops::RangeInclusive<u64>) {
    assert_eq!((response.status, response.code().as_str()), (429, "rate_limit_exceeded"), "{}", response.text());
    let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with(&format!("This {whose} has used up its rate")), "{message}");
    let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!(within.contains(&seconds), "{seconds}");
}

#[test]
fn an_address_may_ask_so_often_for_whatever() {
    let providers = Providers::instant();
    let service = Upstream::json(200, "{}");
    let config = format!(
        "client_rate: {{per_address: 4/m}}\npassthrough: {{upstreams: \"http://{}\"}}\n{}",
        service.address(),
        providers.config("")
    );
    let proxy = Proxy::start(&config);
    assert_eq!(ask(&proxy, DONE, &[]).status, 200);
    assert_eq!(ask(&proxy, DONE, &[]).header("x-vidgate-cache"), Some("hit"));
    assert_eq!(ask(&proxy, "/v1/videos/..:openai", &[]).status, 400);
    assert_eq!(ask(&proxy, "/elsewhere", &[]).status, 200);
    for target in [DONE, "/v1/videos/..:openai", "/elsewhere"] {
        // The next of four in a minute is free after a quarter of it.
        assert_limited(&ask(&proxy, target, &[]), "address", 10..=15);
    }
    // Nobody is trusted, so this names nobody.
    assert_limited(&ask(&proxy, DONE, &[("X-Forwarded-For", "1.2.3.4")]), "address", 10..=15);
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn a_rate_comes_back_with_time() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&format!("client_rate: {{per_address: 2/s}}\n{}", providers.config("")));
    assert!(let_in(&proxy, 20, DONE, &[]) < 20);
    wait_until("the rate has come back", || ask(&proxy, DONE, &[]).status == 200);
}

#[test]
fn who_a_client_is_when_proxies_are_trusted() {
    let providers = Providers::instant();
    let start = |trusted: &str| {
        let rate = "client_rate: {per_address: 1/h}";
        Proxy::start(&format!("{rate}\ntrusted_proxies: {trusted}\n{}", providers.config("")))
    };
    let proxy = start("[127.0.0.0/8, 10.0.0.0/8]");
    let table: &[(&[(&str, &str)], u16)] = &[
        (&[("X-Forwarded-For", "1.1.1.1")], 200),
        (&[("X-Forwarded-For", "1.1.1.1")], 429),
        (&[("X-Forwarded-For", "1.1.1.2")], 200),
        // What a client wrote itself, and the hops of ours, change nothing.
        (&[("X-Forwarded-For", "9.9.9.9, 1.1.1.2, 10.0.0.1")], 429),
        (&[("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-For", "1.1.1.2")], 429),
        (&[("X-Forwarded-For", "2001:db8::1")], 200),
        (&[("X-Forwarded-For", "[2001:db8::2]:80")], 429),
        (&[("X-Forwarded-For", "2001:db8:0:1::1")], 200),
        (&[("Forwarded", "for=1.1.1.2")], 429),
        (&[("Forwarded", "for=1.1.1.3;proto=https")], 200),
        (&[("Forwarded", "for=1.1.1.4"), ("X-Forwarded-For", "1.1.1.3")], 429),
        (&[], 200),
        (&[("X-Forwarded-For", "garbage")], 429),
    ];
    for (headers, status) in table {
        assert_eq!(ask(&proxy, DONE, headers).status, *status, "{headers:?}");
    }
    let proxy = start("[10.0.0.0/8]");
    assert_eq!(let_in(&proxy, 2, DONE, &[("X-Forwarded-For", "1.1.1.1")]), 1);
    assert_eq!(let_in(&proxy, 2, DONE, &[("X-Forwarded-For", "1.1.1.2")]), 0);
}

#[test]
fn hits_may_be_free_for_addresses_and_keys() {
    let providers = Providers::instant();
    let key = "{name: web, sha256: \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\", rate: 2/h}";
    let secret = ("x-api-key", "secret");
    let auth = format!("client_auth: {{keys: [{key}]}}\n");
    let providers = providers.config("");
    let start = |rate: &str| Proxy::start(&format!("client_rate: {rate}\n{auth}{providers}"));

    let free = start("{exempt_hits: true}");
    assert_eq!(let_in(&free, 10, DONE, &[secret]), 10);
    assert_eq!(let_in(&free, 3, "/v1/videos/video_b00:openai", &[secret]), 3);
    assert_limited(&ask(&free, "/v1/videos/video_c00:openai", &[secret]), "key", 1_500..=1_800);
    assert_eq!(ask(&free, DONE, &[secret]).status, 200);

    let counted = start("{exempt_hits: false}");
    assert_eq!(let_in(&counted, 10, DONE, &[secret]), 2);

    let free = start("{per_address: 1/h, exempt_hits: true}");
    assert_eq!(let_in(&free, 10, DONE, &[secret]), 10);
    assert_limited(&ask(&free, "/v1/videos/video_b00:openai", &[secret]), "address", 3_000..=3_600);
    // Wrong keys are not free.
    assert_limited(&ask(&free, DONE, &[("x-api-key", "guess")]), "address", 3_000..=3_600);
}

#[test]
fn the_access_log_names_the_client_and_nobody_upstream_hears_of_it() {
    let upstream = Upstream::json(200, r#"{"status":"queued"}"#);
    let entry = format!("providers:\n  own: {{kind: openai, base_url: \"http://{}/v1\"}}\n", upstream.address());
    let proxy = Proxy::start(&format!("trusted_proxies: 127.0.0.1\n{entry}"));
    let headers = [("X-Forwarded-For", "203.0.113.7"), ("x-request-id", "r-client")];
    assert_eq!(ask(&proxy, "/v1/videos/video_1:own", &headers).status, 200);
    wait_until("the line is there", || proxy.log().contains("r-client"));
    let log = proxy.log();
    let line = log.lines().find(|line| line.contains("r-client")).unwrap();
    assert!(line.contains("\"client\":\"203.0.113.7\""), "{line}");
    let requests = upstream.requests();
    assert!(requests[0].headers.iter().all(|(_, value)| !value.contains("203.0.113.7")), "{:?}", requests[0].headers);
}

#[test]
fn trusted_proxies_say_by_which_origin_clients_reach_us() {
    let providers = Providers::instant();
    let link = |trusted: &str, headers: &[(&str, &str)]| {
        let proxy = Proxy::start(&format!("trusted_proxies: {trusted}\n{}", providers.config("")));
        let video = Client::connect(proxy.address()).request("GET", DONE, headers, b"");
        let url = video.json()["videos"][0]["url"].as_str().unwrap().to_owned();
        url.split_once("/v1/").unwrap().0.to_owned()
    };
    let both = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "videos.example.com")];
    assert_eq!(link("127.0.0.1", &both), "https://videos.example.com");
    assert_eq!(link("127.0.0.1", &both[..1]), "https://videos.test");
    assert_eq!(link("127.0.0.1", &[("X-Forwarded-Proto", "gopher")]), "http://videos.test");
    assert_eq!(
        link("127.0.0.1", &[("X-Forwarded-Host", "evil.test, videos.example.com")]),
        "http://videos.example.com"
    );
    assert_eq!(link("10.0.0.1", &both), "http://videos.test");
}
