//! One process after another.

use crate::alone;
use crate::load::Load;
use crate::support::{PATIENCE, Providers, Proxy, Response, Upstream, get, temporary, wait_until};
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Poll;

fn good(answer: &Response) -> Result<(), String> {
    if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
}

fn target(number: usize) -> String {
    format!("/v1/videos/video_{number}a00:openai")
}

fn wait_for_exit(proxy: &mut Proxy) {
    let mut code = None;
    wait_until("the old one has ended", || {
        code = proxy.exit_code();
        code.is_some()
    });
    assert_eq!(code, Some(0), "{}", proxy.log());
}

/// Starts a program that takes over from another, which ends.
fn take_over(mut old: Proxy, config: &str, sock: &Path) -> Proxy {
    let new = std::thread::scope(|scope| {
        let new = scope.spawn(|| Proxy::launch(config, &[], &["--upgrade", "--upgrade-sock", sock.to_str().unwrap()]));
        wait_until("the new one waits for the sockets", || {
            std::fs::metadata(sock).is_ok_and(|data| data.file_type().is_socket())
        });
        old.signal("QUIT");
        new.join().unwrap()
    });
    wait_for_exit(&mut old);
    new
}

#[test]
fn no_request_fails_while_sockets_are_handed_over_twice() {
    let _alone = alone();
    let (providers, sock) = (Providers::instant(), temporary("sock"));
    let config = format!("log: {{access: false}}\n{}", providers.config(""));
    let first =
        Proxy::launch(&format!("admin: 127.0.0.1:0\n{config}"), &[], &["--upgrade-sock", sock.to_str().unwrap()]);
    let (address, admin) = (first.address(), first.admin_address());
    let config = format!("listen: {address}\nadmin: {admin}\n{config}");
    let load = Load::start(4, move || address, target, good);
    let pid = first.pid();
    let second = take_over(first, &config, &sock);
    let between = load.sent();
    let third = take_over(second, &config, &sock);
    wait_until("the last one serves", || load.sent() > between + 100);
    let (sent, failures) = load.stop();
    println!("two hand-overs: {sent} requests, {} failures", failures.len());
    assert!(failures.is_empty(), "{:?}", &failures[..failures.len().min(5)]);
    assert_ne!(third.pid(), pid);
    wait_until("it is ready", || get(admin, "/readyz").status == 200);
}

#[test]
fn a_hand_over_to_nobody_changes_nothing() {
    let _alone = alone();
    let (providers, sock) = (Providers::instant(), temporary("sock"));
    let mut proxy = Proxy::launch(&providers.config(""), &[], &["--upgrade-sock", sock.to_str().unwrap()]);
    proxy.signal("QUIT");
    wait_until("it says so", || proxy.log().contains("started with --upgrade, waits there"));
    assert_eq!(get(proxy.address(), &target(1)).status, 200);
    assert_eq!(proxy.exit_code(), None);
}

#[test]
fn no_request_fails_when_a_program_ends_behind_a_client_that_watches_readyz() {
    let _alone = alone();
    let providers = Providers::instant();
    let config = format!("log: {{access: false}}\ndrain: 1s\nadmin: 127.0.0.1:0\n{}", providers.config(""));
    let (mut leaving, staying) = (Proxy::start(&config), Proxy::start(&config));
    let (first, second) = (leaving.address(), staying.address());
    let admin = leaving.admin_address();
    wait_until("it is ready", || get(admin, "/readyz").status == 200);
    let is_ready = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&is_ready);
    let place = move || if seen.load(Ordering::SeqCst) { first } else { second };
    let load = Load::start(4, place, target, good);
    wait_until("it is under load", || load.sent() > 200);
    leaving.signal("TERM");
    wait_until("it is not ready any more", || get(admin, "/readyz").status == 503);
    is_ready.store(false, Ordering::SeqCst);
    let before = load.sent();
    wait_for_exit(&mut leaving);
    wait_until("the other one serves", || load.sent() > before + 200);
    let (sent, failures) = load.stop();
    println!("SIGTERM: {sent} requests, {} failures", failures.len());
    assert!(failures.is_empty(), "{:?}", &failures[..failures.len().min(5)]);
}

#[test]
fn an_http_2_connection_is_told_to_go_and_its_stream_is_answered() {
    let _alone = alone();
    let (release, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let provider = Upstream::start(move |_, stream| {
        let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{\"status\":\"queued\"}").is_ok()
    });
    let base = provider.address();
    let mut proxy =
        Proxy::start(&format!("drain: 100ms\nproviders:\n  own: {{kind: openai, base_url: \"http://{base}/v1\"}}\n"));
    let url = format!("http://{}/v1/videos/video_1:own", proxy.address());
    let request = || http::Request::get(url.as_str()).body(()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut sender, answer) = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let (answer, _) = sender.send_request(request(), true).unwrap();
        (sender, answer)
    });
    wait_until("the request is at the provider", || !provider.requests().is_empty());
    proxy.signal("TERM");
    wait_until("the connection takes no new stream", || {
        let ready = runtime.block_on(std::future::poll_fn(|cx| Poll::Ready(sender.poll_ready(cx))));
        matches!(ready, Poll::Ready(Err(_)))
    });
    assert_eq!(proxy.exit_code(), None);
    release.send(()).unwrap();
    runtime.block_on(async {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let mut length = 0;
        while let Some(data) = body.data().await {
            length += data.unwrap().len();
        }
        assert!(length > 0);
    });
    wait_for_exit(&mut proxy);
}
