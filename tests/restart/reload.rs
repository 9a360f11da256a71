//! A new config while requests are served.

use crate::load::Load;
use crate::support::{Client, PATIENCE, Providers, Proxy, Upstream, get, send, wait_until};
use crate::{alone, config_facts, wait_for};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// A provider whose videos say which `x-config` header the call carried.
fn telling() -> Upstream {
    Upstream::start(|request, stream| {
        let told = request.header("x-config").unwrap_or("none");
        answer(stream, told)
    })
}

fn answer(stream: &mut TcpStream, model: &str) -> bool {
    let body = format!(r#"{{"id":"video_1","object":"video","status":"completed","model":"{model}","progress":100}}"#);
    let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).is_ok()
}

/// A config whose name stands in the answers' URLs, in what the provider is sent, and in the path of a service.
fn config(provider: &Upstream, service: &Upstream, name: &str, key: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\npublic_url: https://{name}.test\nlog: {{access: false}}\n\
         passthrough: {{match: {{path: /{name}}}, upstreams: [\"http://{}\"]}}\n\
         providers:\n  own:\n    kind: openai\n    base_url: \"http://{}/v1\"\n    credentials: {{api_key: {key}}}\n    \
         headers: {{x-config: {name}}}\n    poll: {{fresh_for: 50ms}}\n",
        service.address(),
        provider.address()
    )
}

/// Replaces a file in one step, as a careful editor does.
fn replace(file: &std::path::Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

#[test]
fn no_request_fails_or_sees_two_configs_while_the_config_is_reloaded() {
    let _alone = alone();
    let (provider, service) = (telling(), Upstream::json(200, "{}"));
    let texts = ["one", "two"].map(|name| config(&provider, &service, name, "key"));
    let proxy = Proxy::start(&texts[0]);
    let (address, admin) = (proxy.address(), proxy.admin_address());
    let load = Load::start(
        4,
        move || address,
        |number| format!("/v1/videos/video_{}:own", number % 500),
        |answer| {
            let text = answer.text();
            let is_of =
                |name: &str| text.contains(&format!("\"{name}\"")) && text.contains(&format!("https://{name}.test/v1"));
            let mixes = |one: &str, two: &str| {
                text.contains(&format!("\"{one}\"")) && text.contains(&format!("https://{two}.test"))
            };
            let is_mixed = mixes("one", "two") || mixes("two", "one");
            let is_whole = answer.status == 200 && !is_mixed && (is_of("one") || is_of("two"));
            if is_whole { Ok(()) } else { Err(format!("{} {text}", answer.status)) }
        },
    );
    let started = Instant::now();
    let (mut good, mut bad) = (0, 0);
    for round in 0..20_u64 {
        let begun = load.sent();
        if round % 2 == 0 {
            replace(proxy.file(), &format!("{}    colour: red\n    retries: many\n", texts[0]));
            let answer = send(admin, "POST", "/reload", &[]);
            bad += 1;
            assert_eq!(answer.status, 400, "{}", answer.text());
            assert_eq!(answer.json()["faults"].as_array().unwrap().len(), 2, "{}", answer.text());
        } else {
            replace(proxy.file(), &texts[usize::from(round % 4 == 1)]);
            let answer = send(admin, "POST", "/reload", &[]);
            good += 1;
            assert_eq!((answer.status, answer.json()["generation"].as_u64()), (200, Some(good + 1)));
        }
        wait_for(admin, good, bad);
        let end = started + Duration::from_millis(1500 * (round + 1));
        wait_until("there was some load", || load.sent() > begun + 50 && Instant::now() > end);
    }
    let (sent, failures) = load.stop();
    println!("20 reloads, half of them refused: {sent} requests, {} failures", failures.len());
    assert!(failures.is_empty(), "{:?}", &failures[..failures.len().min(5)]);
    assert_eq!(proxy.log().matches("colour").count(), 10, "each fault has its line");
}

/// Signal, admin listener and watch; and what each of them changes.
#[test]
fn a_config_is_reloaded_by_signal_by_the_admin_listener_and_by_its_file() {
    let _alone = alone();
    let (provider, service) = (telling(), Upstream::json(200, "{}"));
    let text = |name: &str| config(&provider, &service, name, "key");
    let proxy = Proxy::start(&text("one"));
    let admin = proxy.admin_address();
    let facts = config_facts(admin);
    assert_eq!((facts["generation"].as_u64(), facts["last_error"].is_null()), (Some(1), true));

    replace(proxy.file(), &text("two").replace("access: false", "access: true"));
    proxy.signal("HUP");
    wait_for(admin, 1, 0);
    assert_eq!(get(proxy.address(), "/one").status, 404);
    assert_eq!(get(proxy.address(), "/two").status, 200);
    assert_eq!(get(proxy.address(), "/v1/videos/video_1:own").json()["model"], "two");
    wait_until("requests are logged", || proxy.log().contains("vidgate::access"));

    replace(proxy.file(), &format!("reload: watch\nthreads: 3\n{}", text("three")));
    assert_eq!(send(admin, "POST", "/reload", &[]).json()["generation"], 3);
    wait_until("the log says what is ignored", || proxy.log().contains(r#""ignored":"threads""#));
    assert_eq!(send(admin, "GET", "/reload", &[]).header("allow"), Some("POST"));

    replace(proxy.file(), "reload: [watch");
    wait_for(admin, 2, 1);
    assert!(config_facts(admin)["last_error"].is_string());
    replace(proxy.file(), &text("four"));
    wait_for(admin, 3, 1);
    let facts = config_facts(admin);
    assert_eq!((facts["generation"].as_u64(), facts["last_error"].is_null()), (Some(4), true));
    assert_eq!(get(proxy.address(), "/v1/videos/video_1:own").json()["model"], "four");
}

#[test]
fn answers_stay_for_an_unchanged_entry_and_go_with_its_credential() {
    let _alone = alone();
    let (provider, service) = (telling(), Upstream::json(200, "{}"));
    let text = |key: &str, more: &str| {
        format!("{}{more}", config(&provider, &service, "one", key).replace("fresh_for: 50ms", "fresh_for: 10m"))
    };
    let proxy = Proxy::start(&text("old-key", ""));
    let admin = proxy.admin_address();
    let ask = || get(proxy.address(), "/v1/videos/video_1:own").header("x-vidgate-cache").unwrap().to_owned();
    assert_eq!((ask(), ask()), ("miss".into(), "hit".into()));
    // Another time limit, and another entry, are no reason to ask again.
    let other = "    timeout: 9s\n  other: {kind: openai, base_url: \"http://127.0.0.1:9/v1\"}\n";
    replace(proxy.file(), &text("old-key", other));
    assert_eq!(send(admin, "POST", "/reload", &[]).status, 200);
    assert_eq!((ask(), provider.requests().len()), ("hit".into(), 1));
    replace(proxy.file(), &text("new-key", other));
    assert_eq!(send(admin, "POST", "/reload", &[]).status, 200);
    assert_eq!(ask(), "miss");
    assert_eq!(provider.requests().last().unwrap().header("authorization"), Some("Bearer new-key"));
}

#[test]
fn a_request_in_flight_keeps_its_config() {
    let _alone = alone();
    let (release, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let provider = Upstream::start(move |request, stream| {
        let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        answer(stream, request.header("x-config").unwrap_or("none"))
    });
    let service = Upstream::json(200, "{}");
    let proxy = Proxy::start(&config(&provider, &service, "one", "key"));
    let mut client = Client::connect(proxy.address());
    client.write(b"GET /v1/videos/video_1:own HTTP/1.1\r\nHost: videos.test\r\n\r\n");
    wait_until("the request is at the provider", || !provider.requests().is_empty());
    replace(proxy.file(), &config(&provider, &service, "two", "key"));
    assert_eq!(send(proxy.admin_address(), "POST", "/reload", &[]).status, 200);
    // The new config asks for itself, though the old one's answer is awaited.
    let mut other = Client::connect(proxy.address());
    other.write(b"GET /v1/videos/video_1:own HTTP/1.1\r\nHost: videos.test\r\n\r\n");
    wait_until("the other is there as well", || provider.requests().len() == 2);
    release.send(()).unwrap();
    release.send(()).unwrap();
    for (client, name) in [(&mut client, "one"), (&mut other, "two")] {
        let text = client.read(false).text();
        assert!(text.contains(&format!("\"{name}\"")), "{text}");
        assert!(text.contains(&format!("https://{name}.test/v1")), "{text}");
    }
}

#[test]
fn rate_limits_and_connections_go_on() {
    let _alone = alone();
    let providers = Providers::instant();
    let digest = ring::digest::digest(&ring::digest::SHA256, b"secret-1");
    let hash: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let config = format!(
        "admin: 127.0.0.1:0\nclient_auth: {{keys: [{{name: web, sha256: \"{hash}\", rate: 2/h}}]}}\n{}",
        providers.config("")
    );
    let proxy = Proxy::start(&config);
    let admin = proxy.admin_address();
    let mut client = Client::connect(proxy.address());
    let mut ask = || client.request("GET", "/v1/videos/video_a00:openai", &[("x-api-key", "secret-1")], b"").status;
    assert_eq!((ask(), ask()), (200, 200));
    assert_eq!(send(admin, "POST", "/reload", &[]).status, 200);
    assert_eq!(ask(), 429, "a reload gives no second chance, nor does it close connections");
}

#[test]
fn the_tasks_of_a_service_end_with_it_and_those_of_a_new_one_run_before_it_is_used() {
    let _alone = alone();
    let (old, new) = (Upstream::json(200, "{}"), Upstream::json(200, "{}"));
    let dead = Upstream::json(503, "{}");
    let text = |upstreams: &[&Upstream]| {
        let list: Vec<String> = upstreams.iter().map(|upstream| format!("\"http://{}\"", upstream.address())).collect();
        format!(
            "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
             passthrough: {{upstreams: [{}], health_check: {{path: /health, interval: 100ms}}}}\n",
            list.join(", ")
        )
    };
    let proxy = Proxy::start(&text(&[&old]));
    let admin = proxy.admin_address();
    wait_until("its health is checked", || old.requests().len() > 2);
    replace(proxy.file(), &text(&[&dead, &new]));
    assert_eq!(send(admin, "POST", "/reload", &[]).status, 200);
    // The dead one has been found out before the first request.
    (0..4).for_each(|_| assert_eq!(get(proxy.address(), "/x").status, 200));
    let before = old.requests().len();
    let after = new.requests().len();
    wait_until("the new one is checked again and again", || new.requests().len() > after + 5);
    assert!(old.requests().len() <= before + 1, "the old one is still being checked");
}
