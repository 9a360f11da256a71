//! Several upstreams: in turn, the dead ones left out.

use super::{Service, nobody};
use crate::support::{Client, Proxy, get, wait_until};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

fn config(upstreams: &[SocketAddr], more: &str) -> String {
    let urls: Vec<_> = upstreams.iter().map(|address| format!("\"http://{address}\"")).collect();
    format!("passthrough: {{upstreams: [{}]{more}}}\n", urls.join(", "))
}

/// A service whose `/health` answers with a status that can be changed.
fn checked(name: &'static str) -> (Service, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(204));
    let health = Arc::clone(&status);
    let service = Service::answering(move |request| {
        let (status, body) = match request.target().as_str() {
            "/health?deep" => (health.load(Ordering::SeqCst), ""),
            _ => (200, name),
        };
        let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        format!("HTTP/1.1 {status} X\r\n{length}\r\n{body}").into_bytes()
    });
    (service, status)
}

#[test]
fn upstreams_take_turns() {
    let services = ["a", "b", "c"].map(Service::saying);
    let proxy = Proxy::start(&config(&services.each_ref().map(|service| service.address), ""));
    let mut client = Client::connect(proxy.address());
    let mut counts = BTreeMap::new();
    for _ in 0..12 {
        *counts.entry(client.request("GET", "/", &[], b"").text()).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("a".into(), 4), ("b".into(), 4), ("c".into(), 4)]));
}

#[test]
fn a_dead_upstream_is_skipped_whatever_the_method() {
    let service = Service::saying("alive");
    let proxy = Proxy::start(&config(&[nobody(), service.address, nobody()], ""));
    // Many at once, so that turns are taken in every order.
    let address = proxy.address();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(move || {
                let mut client = Client::connect(address);
                for i in 0..20 {
                    let (method, body) = if i % 2 == 0 { ("GET", vec![]) } else { ("POST", vec![b'x'; 70_000]) };
                    let response = client.request(method, "/", &[], &body);
                    assert_eq!((response.status, response.text().as_str()), (200, "alive"), "{method}");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(service.seen().len(), 160);
    assert!(service.seen().iter().all(|seen| seen.method == "GET" || seen.method == "POST"));
}

#[test]
fn when_all_are_dead_it_is_502_in_the_envelope() {
    for upstreams in [&[nobody()][..], &[nobody(), nobody()]] {
        let proxy = Proxy::start(&config(upstreams, ""));
        let response = get(proxy.address(), "/x?secret=1");
        assert_eq!((response.status, response.code().as_str()), (502, "upstream_unreachable"), "{}", response.text());
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("connection"), Some("close"));
    }
}

#[test]
fn a_health_check_takes_an_upstream_out_and_back_in() {
    let ((one, health), (two, _)) = (checked("one"), checked("two"));
    let check = ", health_check: {path: \"/health?deep\", interval: 20ms}";
    let proxy = Proxy::start(&config(&[one.address, two.address], check));
    let mut client = Client::connect(proxy.address());
    // A round of as many as there are upstreams tells who is in.
    let mut round = || {
        let mut names = [0; 2].map(|_| client.request("GET", "/", &[], b"").text());
        names.sort();
        names.join(" ")
    };
    assert_eq!(round(), "one two", "204 is healthy, and so is an upstream that was not checked yet");
    for status in [500, 404, 302] {
        health.store(status, Ordering::SeqCst);
        wait_until("the unhealthy one is out", || round() == "two two");
        health.store(200, Ordering::SeqCst);
        wait_until("the healthy one is back", || round() == "one two");
    }
    let checks = one.seen().into_iter().find(|seen| seen.target() == "/health?deep").unwrap();
    assert_eq!(checks.header("host"), Some(one.address.to_string().as_str()));
}

#[test]
fn when_all_are_unhealthy_it_is_503_with_retry_after() {
    let (service, health) = checked("one");
    health.store(503, Ordering::SeqCst);
    let proxy = Proxy::start(&config(&[service.address], ", health_check: {path: \"/health?deep\", interval: 20ms}"));
    wait_until("the only one is out", || get(proxy.address(), "/").status == 503);
    let response = get(proxy.address(), "/");
    assert_eq!(response.code(), "upstream_unavailable");
    assert_eq!(response.header("retry-after"), Some("1"));
    health.store(200, Ordering::SeqCst);
    wait_until("it is back", || get(proxy.address(), "/").text() == "one");
}

#[test]
fn the_first_request_finds_its_upstream_by_name() {
    let service = Service::saying("named");
    for _ in 0..3 {
        let url = format!("http://localhost:{}", service.address.port());
        let proxy = Proxy::start(&format!("passthrough: {{upstreams: [\"{url}\"]}}\n"));
        let response = get(proxy.address(), "/");
        assert_eq!((response.status, response.text().as_str()), (200, "named"));
    }
}
