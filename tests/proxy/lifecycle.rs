//! From start to stop.

use crate::support::{Client, PATIENCE, Providers, Proxy, Upstream, get, send, wait_until};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// A proxy before an upstream that answers each request when it is told to.
fn held(more: &str) -> (Upstream, Sender<()>, Proxy) {
    let (release, gate) = channel();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |_, stream| {
        let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        let body = r#"{"status":"queued"}"#;
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).is_ok()
    });
    let base = format!("http://{}/v1", upstream.address());
    let proxy = Proxy::start(&format!("{more}providers:\n  own: {{kind: openai, base_url: \"{base}\"}}\n"));
    (upstream, release, proxy)
}

fn begin(proxy: &Proxy, upstream: &Upstream) -> Client {
    let mut client = Client::connect(proxy.address());
    client.write(b"GET /v1/videos/video_1:own HTTP/1.1\r\nHost: videos.test\r\n\r\n");
    wait_until("the request is at the provider", || !upstream.requests().is_empty());
    client
}

fn wait_for_exit(proxy: &mut Proxy) -> i32 {
    let mut code = None;
    wait_until("the program has ended", || {
        code = proxy.exit_code();
        code.is_some()
    });
    code.unwrap()
}

#[test]
fn a_request_in_flight_is_answered_before_the_program_ends() {
    let (upstream, release, mut proxy) = held("drain: 100ms\nadmin: 127.0.0.1:0\n");
    let admin = proxy.admin_address();
    let mut client = begin(&proxy, &upstream);
    proxy.signal("TERM");
    wait_until("the program drains", || proxy.log().contains("draining"));
    // It waits for the request, well beyond the time of the drain, and takes no new one.
    wait_until("the drain is over", || TcpStream::connect(proxy.address()).is_err());
    assert!(TcpStream::connect(admin).is_err());
    let waited = Instant::now();
    wait_until("it goes on waiting", || waited.elapsed() > Duration::from_millis(500));
    assert_eq!(proxy.exit_code(), None);
    release.send(()).unwrap();
    assert_eq!(client.read(false).json()["status"], "queued");
    assert_eq!(wait_for_exit(&mut proxy), 0);
}

#[test]
fn a_draining_program_still_serves_and_says_that_it_is_not_ready() {
    let providers = Providers::instant();
    let mut proxy = Proxy::start(&format!("drain: 10m\nadmin: 127.0.0.1:0\n{}", providers.config("")));
    let admin = proxy.admin_address();
    wait_until("it is ready", || get(admin, "/readyz").status == 200);
    proxy.signal("TERM");
    wait_until("it is not ready any more", || get(admin, "/readyz").status == 503);
    assert_eq!(get(admin, "/livez").status, 200);
    assert_eq!(get(admin, "/status").json()["draining"], true);
    let answer = get(proxy.address(), "/v1/videos/video_a00:openai");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "the client goes on elsewhere");
    // Whoever asks twice is in a hurry.
    proxy.signal("TERM");
    assert_eq!(wait_for_exit(&mut proxy), 0);
}

#[test]
fn a_request_that_takes_too_long_does_not_hold_the_program_up() {
    let (upstream, _release, mut proxy) = held("drain: 10ms\nshutdown_timeout: 200ms\n");
    let _client = begin(&proxy, &upstream);
    proxy.signal("TERM");
    assert_eq!(wait_for_exit(&mut proxy), 0);
    assert!(proxy.log().contains("shutdown_timeout"), "{}", proxy.log());
}

#[test]
fn an_interrupt_stops_at_once() {
    let (upstream, _release, mut proxy) = held("drain: 10m\n");
    let _client = begin(&proxy, &upstream);
    proxy.signal("INT");
    assert_eq!(wait_for_exit(&mut proxy), 0);
}

#[test]
fn the_admin_listener_answers_and_serves_no_clients() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&format!("admin: 127.0.0.1:0\n{}", providers.config("")));
    let admin = proxy.admin_address();
    wait_until("it is ready", || get(admin, "/readyz").status == 200);
    assert_eq!(get(admin, "/livez").status, 200);
    let status = get(admin, "/status");
    assert_eq!((status.status, status.header("content-type")), (200, Some("application/json")));
    let status = status.json();
    assert_eq!((status["version"].as_str(), status["ready"].as_bool()), (Some(env!("CARGO_PKG_VERSION")), Some(true)));
    assert_eq!(status["in_flight"], 0);
    assert_eq!(status["providers"].as_array().unwrap().len(), vidgate::sandbox::KINDS.len());
    assert_eq!(get(admin, "/v1/videos/video_a00:openai").status, 404);
    assert!(providers.sandbox.last_request().is_none());
    let head = send(admin, "HEAD", "/livez", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    let refused = send(admin, "POST", "/livez", &[]);
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!(
        "listen: {address}\nadmin: null\nproviders:\n  own: {{kind: openai, base_url: \"http://127.0.0.1:9/v1\"}}\n"
    );
    let output = crate::support::run(&["serve"], Some(&config), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&address.to_string()), "{text}");
}
