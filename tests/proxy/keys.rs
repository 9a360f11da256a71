//! Whose keys are asked for, and which of ours are used.

use crate::support::{Providers, Proxy, Request, Response, Upstream, send, temporary};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

fn sha256(key: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// One entry of `client_auth.keys`.
fn key(name: &str, more: &str) -> String {
    format!("    - {{name: {name}, sha256: \"{}\"{more}}}\n", sha256(&format!("key-{name}")))
}

fn with_keys(keys: &[String], rest: &str) -> String {
    format!("client_auth:\n  keys:\n{}{rest}", keys.concat())
}

const DONE: &str = "/v1/videos/video_a00:openai";

fn ask(proxy: &Proxy, headers: &[(&str, &str)]) -> Response {
    send(proxy.address(), "GET", DONE, headers)
}

#[track_caller]
fn assert_no_key(response: &Response) {
    assert_eq!((response.status, response.code().as_str()), (401, "invalid_api_key"), "{}", response.text());
    assert!(response.header("www-authenticate").is_some());
    let body = response.json();
    assert_eq!((body["type"].as_str(), body["is_bifrost_error"].as_bool()), (Some("authentication_error"), Some(true)));
}

#[test]
fn a_key_is_taken_from_any_of_the_three_headers() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&with_keys(&[key("web", "")], &providers.config("")));
    let table: &[(&[(&str, &str)], bool)] = &[
        (&[("x-bf-vk", "key-web")], true),
        (&[("x-api-key", "key-web")], true),
        (&[("Authorization", "Bearer key-web")], true),
        (&[("Authorization", "bearer  key-web")], true),
        (&[("x-bf-vk", "key-other"), ("x-api-key", "key-web")], true),
        (&[], false),
        (&[("x-bf-vk", "")], false),
        (&[("x-bf-vk", "key-other")], false),
        (&[("x-bf-vk", "Bearer key-web")], false),
        (&[("Authorization", "key-web")], false),
        (&[("Authorization", "Basic key-web")], false),
        (&[("Authorization", "Bearer key-webx")], false),
        (&[("Authorization", "Bearer key-we")], false),
        (&[("Authorization", "Bearer")], false),
        (&[("Cookie", "key-web")], false),
    ];
    for (headers, is_let_in) in table {
        let response = ask(&proxy, headers);
        match is_let_in {
            true => assert_eq!(response.status, 200, "{headers:?}: {}", response.text()),
            false => assert_no_key(&response),
        }
    }
    // The hash is no key, and the query no place for one.
    assert_no_key(&ask(&proxy, &[("x-api-key", &sha256("key-web"))]));
    assert_no_key(&send(proxy.address(), "GET", &format!("{DONE}?key=key-web"), &[]));
}

#[test]
fn the_headers_are_looked_through_in_their_order() {
    let providers = Providers::instant();
    let keys =
        [key("vk", ", providers: [openai]"), key("x", ", providers: [azure]"), key("auth", ", providers: [azure]")];
    let proxy = Proxy::start(&with_keys(&keys, &providers.config("")));
    let vk = ("x-bf-vk", "key-vk");
    let x = ("x-api-key", "key-x");
    let auth = ("Authorization", "Bearer key-auth");
    // Only the key of the first is for openai.
    assert_eq!(ask(&proxy, &[auth, x, vk]).status, 200);
    assert_eq!(ask(&proxy, &[auth, x]).code(), "provider_not_allowed");
    let vk_last = [("x-api-key", "key-x"), ("Authorization", "Bearer key-vk")];
    assert_eq!(ask(&proxy, &vk_last).code(), "provider_not_allowed");
}

#[test]
fn without_a_key_nothing_is_told_about_ids_and_providers() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&with_keys(&[key("web", "")], &providers.config("")));
    for path in
        [DONE, "/v1/videos/..:openai", "/v1/videos/video_1:nobody", "/v1/videos/video_1", "/v1/videos/%zz:openai"]
    {
        assert_no_key(&send(proxy.address(), "GET", path, &[]));
    }
    assert!(providers.sandbox.last_request().is_none());
}

#[test]
fn a_key_reaches_the_providers_it_is_for() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&with_keys(&[key("web", ", providers: [openai]")], &providers.config("")));
    let mine = [("x-bf-vk", "key-web")];
    assert_eq!(ask(&proxy, &mine).status, 200);
    let response = send(proxy.address(), "GET", "/v1/videos/video_a00:azure", &mine);
    assert_eq!((response.status, response.code().as_str()), (403, "provider_not_allowed"));
    let body = response.json();
    assert_eq!((body["type"].as_str(), body["is_bifrost_error"].as_bool()), (Some("permission_error"), Some(true)));
    assert_eq!(body["extra_fields"]["provider"], "azure");
}

#[test]
fn a_key_ends_when_it_expires() {
    let providers = Providers::instant();
    let keys = [key("old", ", expires: 2020-01-31"), key("new", ", expires: 2999-12-31")];
    let proxy = Proxy::start(&with_keys(&keys, &providers.config("")));
    let response = ask(&proxy, &[("x-bf-vk", "key-old")]);
    assert_no_key(&response);
    assert!(response.text().contains("expired"));
    assert_eq!(ask(&proxy, &[("x-bf-vk", "key-new")]).status, 200);
}

#[test]
fn a_key_has_its_own_rate() {
    let providers = Providers::instant();
    let keys = [key("slow", ", rate: 2/h"), key("fast", "")];
    let proxy = Proxy::start(&with_keys(&keys, &providers.config("")));
    let slow = [("x-bf-vk", "key-slow")];
    assert_eq!([ask(&proxy, &slow).status, ask(&proxy, &slow).status], [200, 200]);
    let response = ask(&proxy, &slow);
    assert_eq!((response.status, response.code().as_str()), (429, "rate_limit_exceeded"));
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    let body = response.json();
    assert_eq!((body["type"].as_str(), body["is_bifrost_error"].as_bool()), (Some("rate_limit_error"), Some(true)));
    assert_eq!(ask(&proxy, &[("x-bf-vk", "key-fast")]).status, 200);
}

#[test]
fn keys_may_stand_in_a_file_of_their_own() {
    let providers = Providers::instant();
    let file = temporary("keys.yaml");
    fs::write(&file, format!("{}{}", key("one", ""), key("two", ", providers: [azure]")).replace("    - ", "- "))
        .unwrap();
    let config = format!("client_auth:\n  keys_file: {}\n{}", file.display(), providers.config(""));
    let proxy = Proxy::start(&config);
    fs::remove_file(&file).unwrap();
    assert_eq!(ask(&proxy, &[("x-bf-vk", "key-one")]).status, 200);
    assert_eq!(ask(&proxy, &[("x-bf-vk", "key-two")]).code(), "provider_not_allowed");
    assert_no_key(&ask(&proxy, &[("x-bf-vk", "key-three")]));
}

#[test]
fn the_name_of_a_key_is_logged_and_not_the_key() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&with_keys(&[key("web", "")], &providers.config("")));
    assert_eq!(ask(&proxy, &[("x-bf-vk", "key-web"), ("x-request-id", "r-77")]).status, 200);
    crate::support::wait_until("the request is logged", || proxy.log().contains("r-77"));
    let log = proxy.log();
    let line = log.lines().find(|line| line.contains("r-77")).unwrap();
    assert!(line.contains("\"key\":\"web\""), "{line}");
    assert!(!log.contains("key-web"), "{log}");
}

fn answer(stream: &mut TcpStream, status: u16, body: &str) -> bool {
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
}

fn token(request: &Request) -> &str {
    request.header("authorization").unwrap_or_default()
}

#[test]
fn the_clients_own_credentials_reach_the_provider_unchanged() {
    let upstream = Upstream::start(|request, stream| match token(request) {
        "Bearer good" | "Custom  a,b=\"c\"" => answer(stream, 200, r#"{"status":"queued"}"#),
        "Bearer weak" => {
            answer(stream, 403, r#"{"error":{"message":"Not for you.","code":"no_access","type":"perm"}}"#)
        }
        _ => answer(
            stream,
            401,
            r#"{"error":{"message":"Who are you?","code":"bad_key","type":"invalid_request_error"}}"#,
        ),
    });
    let provider = format!(
        "providers:\n  own: {{kind: openai, base_url: \"http://{}/v1\", credentials: forward}}\n",
        upstream.address()
    );
    let ask = |proxy: &Proxy, headers: &[(&str, &str)]| send(proxy.address(), "GET", "/v1/videos/video_1:own", headers);

    let proxy = Proxy::start(&provider);
    for value in ["Bearer good", "Custom  a,b=\"c\""] {
        assert_eq!(ask(&proxy, &[("Authorization", value)]).status, 200, "{value}");
        assert_eq!(token(upstream.requests().last().unwrap()), value);
    }
    for (value, status, code) in [("Bearer weak", 403, "no_access"), ("Bearer bad", 401, "bad_key")] {
        let response = ask(&proxy, &[("Authorization", value)]);
        assert_eq!((response.status, response.code().as_str()), (status, code), "{}", response.text());
        let body = response.json();
        assert_eq!(
            (body["type"].as_str(), body["is_bifrost_error"].as_bool()),
            (Some("authentication_error"), Some(false))
        );
        assert_eq!(body["extra_fields"]["provider"], "own");
    }
    let before = upstream.requests().len();
    assert_no_key(&ask(&proxy, &[]));
    assert_eq!(upstream.requests().len(), before);

    // With keys of ours, Authorization stays the provider's.
    let proxy = Proxy::start(&with_keys(&[key("web", "")], &provider));
    let good = ("Authorization", "Bearer good");
    for name in ["x-bf-vk", "x-api-key"] {
        assert_eq!(ask(&proxy, &[good, (name, "key-web")]).status, 200, "{name}");
        let requests = upstream.requests();
        let request = requests.last().unwrap();
        assert_eq!(token(request), "Bearer good");
        assert!(request.headers.iter().all(|(_, value)| !value.contains("key-web")), "{:?}", request.headers);
    }
    let before = upstream.requests().len();
    assert_no_key(&ask(&proxy, &[good]));
    assert_no_key(&ask(&proxy, &[("Authorization", "Bearer key-web")]));
    assert_eq!(upstream.requests().len(), before);
}

#[test]
fn a_job_is_asked_for_with_the_next_credential_where_one_does_not_know_it() {
    let upstream = Upstream::start(|request, stream| {
        let job = request.target.rsplit('/').next().unwrap().to_owned();
        match (token(request), job.as_str()) {
            ("Bearer second-key", "video_second") => answer(stream, 200, r#"{"status":"queued"}"#),
            ("Bearer third-key", _) => answer(stream, 401, r#"{"error":{"message":"Revoked."}}"#),
            ("Bearer first-key", "video_broken") => answer(stream, 500, r#"{"error":{"message":"Oops."}}"#),
            _ => answer(stream, 404, r#"{"error":{"message":"Not found."}}"#),
        }
    });
    let start = |keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|key| format!("{{name: {key}, api_key: {key}-key}}")).collect();
        let base = format!("http://{}/v1", upstream.address());
        Proxy::start(&format!(
            "providers:\n  own: {{kind: openai, base_url: \"{base}\", retries: 0, credentials: [{}]}}\n",
            keys.join(", ")
        ))
    };
    let tried = |proxy: &Proxy, job: &str| {
        let before = upstream.requests().len();
        let response = send(proxy.address(), "GET", &format!("/v1/videos/{job}:own"), &[]);
        let tokens: Vec<String> =
            upstream.requests()[before..].iter().map(|request| token(request).replace("Bearer ", "")).collect();
        (response.status, tokens.join(" "))
    };
    let both = start(&["first", "second"]);
    assert_eq!(tried(&both, "video_second"), (200, "first-key second-key".to_owned()));
    assert_eq!(tried(&both, "video_nowhere"), (404, "first-key second-key".to_owned()));
    // A failed query says nothing about the job: it is not asked for elsewhere.
    assert_eq!(tried(&both, "video_broken"), (502, "first-key".to_owned()));
    // One that works and does not know the job says more than one that is refused.
    assert_eq!(tried(&start(&["third", "first"]), "video_nowhere"), (404, "third-key first-key".to_owned()));
    assert_eq!(tried(&start(&["first", "third"]), "video_nowhere"), (404, "first-key third-key".to_owned()));
    assert_eq!(tried(&start(&["third", "second"]), "video_second"), (200, "third-key second-key".to_owned()));
    assert_eq!(tried(&start(&["third"]), "video_second"), (502, "third-key".to_owned()));
}
