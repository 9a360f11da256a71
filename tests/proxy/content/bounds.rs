//! How far credentials go, whose they are, and what is counted.

use super::{CONTENT, answer, config, provider};
use crate::support::{Client, Proxy, Upstream, get, send, wait_until};
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MP4: (&str, &str) = ("content-type", "video/mp4");
const JSON: (&str, &str) = ("content-type", "application/json");
const OPENAIS: &str = "/v1/videos/video_a:openai/content";

/// An API like OpenAI's with one finished job, whose file is answered by `file`.
fn api(file: impl Fn(&crate::support::Request, &mut TcpStream) -> bool + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |request, stream| match request.target.as_str() {
        "/v1/videos/video_a" => {
            answer(stream, 200, &[JSON], br#"{"id":"video_a","object":"video","status":"completed"}"#)
        }
        _ => file(request, stream),
    })
}

fn before(api: &Upstream, more: &str) -> Proxy {
    Proxy::start(&format!("providers:\n  openai:\n    base_url: http://{}/v1\n    retries: 0\n{more}", api.address()))
}

#[test]
fn a_bucket_is_opened_with_keys_of_its_own_cloud_only() {
    let storage = Upstream::start(|_, stream| answer(stream, 200, &[MP4], b"x"));
    let provider = provider(|_| "gs://somebodys-bucket/a.mp4".into());
    let proxy = Proxy::start(&config(&provider, &format!("storage_url: \"http://{}\"", storage.address())));
    let got = get(proxy.address(), CONTENT);
    assert_eq!((got.status, got.code().as_str()), (502, "upstream_invalid_response"), "{}", got.text());
    assert_eq!(storage.requests().len(), 0, "the key of Replicate is nothing to Google");
}

#[test]
fn a_chain_that_left_the_providers_host_comes_back_without_its_credential() {
    let home: Arc<Mutex<String>> = Arc::default();
    let back = Arc::clone(&home);
    let cdn = Upstream::start(move |_, stream| {
        let location = format!("{}/v1/end", back.lock().unwrap());
        answer(stream, 302, &[("location", &location)], b"")
    });
    let away = format!("http://{}/x", cdn.address());
    let api = api(move |request, stream| match request.target.as_str() {
        "/v1/end" => answer(stream, 200, &[MP4], b"back"),
        _ => answer(stream, 302, &[("location", &away)], b""),
    });
    *home.lock().unwrap() = format!("http://{}", api.address());
    let more = format!(
        "    credentials: forward\n    headers: {{X-Gate: gate-secret}}\n    content: {{allow_hosts: [\"{}\"]}}\n",
        cdn.address()
    );
    let proxy = before(&api, &more);
    let got = send(proxy.address(), "GET", OPENAIS, &[("Authorization", "Bearer of-the-client")]);
    assert_eq!((got.status, got.text().as_str()), (200, "back"));
    let last = api.requests().pop().unwrap();
    assert_eq!((last.target.as_str(), last.header("authorization")), ("/v1/end", None));
    let foreign = cdn.requests();
    assert_eq!((foreign[0].header("authorization"), foreign[0].header("x-gate")), (None, None));
}

#[test]
fn a_client_whose_own_credential_is_refused_hears_of_it() {
    let api =
        api(|_, stream| answer(stream, 401, &[JSON], br#"{"error":{"code":"bad_key","message":"no: of-the-client"}}"#));
    let proxy = before(&api, "    credentials: forward\n");
    let got = send(proxy.address(), "GET", OPENAIS, &[("Authorization", "Bearer of-the-client")]);
    assert_eq!((got.status, got.json()["type"].as_str()), (401, Some("authentication_error")), "{}", got.text());
    assert!(!got.text().contains("of-the-client"), "{}", got.text());
    // Ours is the operator's matter.
    let proxy = before(&api, "    credentials: {api_key: of-the-client}\n");
    let got = get(proxy.address(), OPENAIS);
    assert_eq!((got.status, got.code().as_str()), (502, "upstream_auth_failed"), "{}", got.text());
    assert!(!got.text().contains("of-the-client"), "{}", got.text());
}

#[test]
fn a_source_that_repeats_our_secrets_repeats_them_to_nobody_else() {
    for status in [400, 403, 429, 500] {
        let api = api(move |request, stream| {
            let heard: Vec<&str> = request.headers.iter().map(|(_, value)| value.as_str()).collect();
            let text = format!("{} https://files.example/v.mp4?sig=SECRET-MARK-signed", heard.join(" "));
            let body = format!(r#"{{"error":{{"code":"x","message":"{text}"}}}}"#);
            answer(stream, status, &[JSON], body.as_bytes())
        });
        for credentials in ["    credentials: {api_key: SECRET-MARK-key}\n", "    credentials: forward\n", ""] {
            let more = format!("{credentials}    headers: {{X-Gate: SECRET-MARK-gate}}\n");
            let proxy = before(&api, &more);
            let got = send(proxy.address(), "GET", OPENAIS, &[("Authorization", "Bearer SECRET-MARK-client")]);
            assert!(got.status >= 400, "{status} {credentials}");
            assert!(!got.text().contains("SECRET-MARK"), "{status} {credentials}: {}", got.text());
            wait_until("the request is logged", || proxy.log().contains("/content"));
            assert!(!proxy.log().contains("SECRET-MARK"), "{status} {credentials}: {}", proxy.log());
        }
    }
}

#[test]
fn a_download_that_a_keys_rate_turns_away_is_counted_once() {
    let api = api(|_, stream| answer(stream, 200, &[MP4], b"x"));
    let key = "{name: web, sha256: \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\", rate: 1/h}";
    let proxy = Proxy::start(&format!(
        "client_rate: {{per_address: 3/h, exempt_hits: true}}\nclient_auth: {{keys: [{key}]}}\n\
         providers:\n  openai: {{base_url: \"http://{}/v1\", credentials: {{api_key: k-123456}}}}\n",
        api.address()
    ));
    let ask = || send(proxy.address(), "GET", OPENAIS, &[("x-api-key", "secret")]);
    assert_eq!(ask().status, 200);
    for whose in ["key", "key", "address"] {
        let got = ask();
        assert_eq!(got.status, 429);
        assert!(got.text().contains(&format!("This {whose} ")), "{whose}: {}", got.text());
    }
}

/// A file whose second half waits for a word.
fn held() -> (Upstream, mpsc::Sender<()>, Upstream) {
    let (release, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let source = Upstream::start(move |_, stream| {
        let head = "HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: 4004\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&[b'a'; 4000]));
        let _ = gate.lock().unwrap().recv_timeout(Duration::from_secs(20));
        stream.write_all(b"efgh").is_ok()
    });
    let address = source.address();
    (provider(move |_| format!("http://{address}/a.mp4")), release, source)
}

fn begin(proxy: &Proxy) -> Client {
    let mut client = Client::connect(proxy.address());
    client.write(format!("GET {CONTENT} HTTP/1.1\r\nHost: videos.test\r\n\r\n").as_bytes());
    let mut head = Vec::new();
    while !head.ends_with(b"aaaa") {
        head.extend(client.read_exactly(1));
    }
    client
}

#[test]
fn a_download_outlives_a_reload_and_is_waited_for_at_the_end() {
    let (provider, release, source) = held();
    let settings = config(&provider, &format!("allow_hosts: [\"{}\"]", source.address()));
    let mut proxy = Proxy::start(&format!("drain: 50ms\nshutdown_timeout: 10s\n{settings}"));
    let mut client = begin(&proxy);
    std::fs::write(proxy.file(), format!("drain: 50ms\nshutdown_timeout: 10s\nallow_raw: true\n{settings}")).unwrap();
    proxy.signal("HUP");
    wait_until("it is reloaded", || proxy.log().to_lowercase().contains("reload"));
    proxy.signal("TERM");
    wait_until("the drain is over", || TcpStream::connect(proxy.address()).is_err());
    assert_eq!(proxy.exit_code(), None);
    release.send(()).unwrap();
    let rest = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    assert!(rest.ends_with("aefgh") && rest.len() == 4000, "{} bytes", rest.len());
    wait_until("the program has ended", || proxy.exit_code() == Some(0));
}

#[test]
fn a_download_that_outlasts_the_end_is_cut_off() {
    let (provider, _release, source) = held();
    let settings = config(&provider, &format!("allow_hosts: [\"{}\"]", source.address()));
    let mut proxy = Proxy::start(&format!("drain: 50ms\nshutdown_timeout: 300ms\n{settings}"));
    let mut client = begin(&proxy);
    proxy.signal("TERM");
    wait_until("the program has ended", || proxy.exit_code().is_some());
    let rest = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    assert!(rest.bytes().all(|b| b == b'a'), "nothing is made up for what is missing: {rest}");
}

#[test]
fn a_file_is_opened_with_the_credential_that_knows_its_job() {
    const OTHER: Option<&str> = Some("Bearer k-other");
    let api = Upstream::start(|request, stream| match (request.target.as_str(), request.header("authorization")) {
        ("/v1/videos/video_a", OTHER) => {
            answer(stream, 200, &[JSON], br#"{"id":"video_a","object":"video","status":"completed"}"#)
        }
        (_, OTHER) => answer(stream, 200, &[MP4], b"found"),
        _ => answer(stream, 404, &[JSON], br#"{"error":{"message":"no such video"}}"#),
    });
    for cache in [true, false] {
        let keys = "[{name: one, api_key: k-first}, {name: other, api_key: k-other}]";
        let proxy = before(&api, &format!("    credentials: {keys}\n    poll: {{cache: {cache}}}\n"));
        for method in ["GET", "GET", "HEAD"] {
            let got = send(proxy.address(), method, OPENAIS, &[("Range", "bytes=0-")]);
            assert!(got.status < 300, "{method} {cache}: {} {}", got.status, got.text());
        }
    }
}

#[test]
fn a_download_is_counted_once_and_its_time_is_that_to_its_head() {
    let api = api(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: 8\r\n\r\nabcd");
        std::thread::sleep(Duration::from_millis(1500));
        stream.write_all(b"efgh").is_ok()
    });
    let proxy = Proxy::start(&format!(
        "admin: 127.0.0.1:0\nproviders:\n  openai: {{base_url: \"http://{}/v1\", credentials: {{api_key: k-123456}}}}\n",
        api.address()
    ));
    assert_eq!(get(proxy.address(), OPENAIS).text(), "abcdefgh");
    let of = |name: &str| -> f64 {
        let metrics = get(proxy.admin_address(), "/metrics").text();
        let lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains("openai"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    wait_until("it is counted", || of("vidgate_requests_total") > 0.0);
    assert!((of("vidgate_requests_total") - 1.0).abs() < 0.1);
    assert!((of("vidgate_request_duration_seconds_count") - 1.0).abs() < 0.1);
    assert!(of("vidgate_request_duration_seconds_sum") < 1.0);
}
