//! Clients that are slow, too large, too many or misleading; a good one beside them is served all the time.

use crate::support::{Client, Providers, Proxy, Response, Upstream, get, send, wait_until};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const DONE: &str = "/v1/videos/video_a00:openai";

fn start(limits: &str) -> (Providers, Upstream, Proxy) {
    let providers = Providers::instant();
    let service = Upstream::json(200, "{}");
    let config = format!(
        "limits: {{{limits}}}\npassthrough: {{upstreams: \"http://{}\"}}\n{}",
        service.address(),
        providers.config("")
    );
    let proxy = Proxy::start(&config);
    (providers, service, proxy)
}

#[track_caller]
fn assert_served(proxy: &Proxy) {
    assert_eq!(get(proxy.address(), DONE).status, 200);
}

/// Sends these bytes, and reads the answer and that nothing comes after it.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut client = Client::connect(address);
    client.write(bytes);
    let response = client.read(false);
    assert!(client.read_to_end().is_empty(), "the connection is closed");
    response
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, code: &str) {
    assert_eq!((response.status, response.code().as_str()), (status, code), "{}", response.text());
    assert_eq!(response.json()["event_id"], response.header("x-request-id").unwrap());
    assert_eq!(response.json()["is_bifrost_error"], true);
}

/// How long it takes until the peer closes; what it says before that.
fn until_closed(stream: &mut TcpStream) -> (Duration, String) {
    let began = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    (began.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_head_that_dribbles_in_is_cut_off() {
    let (_providers, service, proxy) = start("header_timeout: 600ms");
    for begin in
        ["G", "GET ", "GET /x HT", "GET /x HTTP/1.1\r\nHost: a\r\nX", "GET /x HTTP/1.1\r\nHost: a\r", "PR", "PRI * H"]
    {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        let mut dribble = stream.try_clone().unwrap();
        // Bytes keep coming, each in time: only the head as a whole is too slow.
        let dribbling = std::thread::spawn(move || {
            while dribble.write_all(b"a").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let (took, said) = until_closed(&mut stream);
        assert!(took < Duration::from_secs(5), "{begin:?}: {took:?}");
        if !begin.starts_with("PRI") {
            // The byte that is one too many may come before the time is over.
            let is_cut = said.starts_with("HTTP/1.1 408 ") && said.contains("request_timeout");
            let may_be_wrong = begin.ends_with("HT") || begin.ends_with('\r');
            assert!(is_cut || (may_be_wrong && said.starts_with("HTTP/1.1 400 ")), "{begin:?}: {said:?}");
        }
        assert_served(&proxy);
        drop(stream);
        dribbling.join().unwrap();
    }
    assert_eq!(service.requests().len(), 0);
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let (_providers, _service, proxy) = start("idle_timeout: 700ms, header_timeout: 300ms");
    let mut silent = TcpStream::connect(proxy.address()).unwrap();
    let (took, said) = until_closed(&mut silent);
    assert!(said.is_empty() && took < Duration::from_secs(5), "{took:?} {said:?}");

    let mut client = Client::connect(proxy.address());
    assert_eq!(client.request("GET", DONE, &[], b"").status, 200);
    // A body may take longer than a head: 600 ms of pauses.
    client.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    for byte in [b"a", b"b", b"c", b"d"] {
        std::thread::sleep(Duration::from_millis(150));
        client.write(byte);
    }
    assert_eq!(client.read(false).status, 200);
    assert_eq!(client.request("GET", DONE, &[], b"").status, 200);
    assert!(client.read_to_end().is_empty());
}

#[test]
fn heads_are_bounded() {
    let (_providers, service, proxy) = start("header_size: 16KiB");
    let request = |headers: &str| format!("GET {DONE} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").into_bytes();
    let fits = request(&format!("X-Long: {}\r\n", "a".repeat(15 << 10)));
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        client.write(&fits);
        assert_eq!(client.read(false).status, 200);
    }
    for size in [17 << 10, 40 << 10, 1 << 20] {
        let response = exchange(proxy.address(), &request(&format!("X-Long: {}\r\n", "a".repeat(size))));
        assert_refused(&response, 431, "header_too_large");
    }
    let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1 << 20));
    assert_refused(&exchange(proxy.address(), line.as_bytes()), 431, "header_too_large");
    let many: String = (0..10_000).map(|number| format!("X-{number}: a\r\n")).collect();
    let response = exchange(proxy.address(), &request(&many));
    assert!(matches!(response.status, 400 | 431), "{}", response.status);
    assert!(["bad_request", "header_too_large"].contains(&response.code().as_str()));
    assert_served(&proxy);
    // A body counts for nothing.
    let response = Client::connect(proxy.address()).request("POST", "/x", &[], &vec![b'a'; 1 << 20]);
    assert_eq!(response.status, 200);
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn garbage_is_refused_in_our_words() {
    let (_providers, service, proxy) = start("");
    let table: &[&[u8]] = &[
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a hello of TLS\r\n\r\n",
        b"\x00\x00\x00\x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ];
    for bytes in table {
        let response = exchange(proxy.address(), bytes);
        assert_refused(&response, 400, "bad_request");
        assert_served(&proxy);
    }
    assert_eq!(service.requests().len(), 0, "{:?}", service.requests());
}

#[test]
fn a_length_that_can_be_read_in_two_ways_reaches_no_service() {
    let (_providers, service, proxy) = start("");
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let table = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "transfer-encoding: CHUNKED\r\ncontent-length: 0",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer_Encoding: chunked\r\nContent-Length : 5",
        "X: a\r\nTransfer-Encoding: chunked\r\nContent-length:5",
    ];
    for lines in table {
        for target in ["/service", DONE] {
            let request = format!("POST {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{smuggled}");
            assert_refused(&exchange(proxy.address(), request.as_bytes()), 400, "bad_request");
        }
    }
    let old = format!("POST /service HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}");
    assert_refused(&exchange(proxy.address(), old.as_bytes()), 400, "bad_request");
    assert_eq!(service.requests().len(), 0, "{:?}", service.requests());
    assert_served(&proxy);
}

#[test]
fn requests_that_were_sent_ahead_are_no_others_than_they_say() {
    let (_providers, service, proxy) = start("");
    let mut client = Client::connect(proxy.address());
    client.write(
        format!("GET {DONE} HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03garbage\r\n\r\nGET /late HTTP/1.1\r\n\r\n").as_bytes(),
    );
    assert_eq!(client.read(false).status, 200);
    let rest = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{rest}");
    assert_eq!(service.requests().len(), 0);
    assert_served(&proxy);
}

#[test]
fn connections_above_the_limit_are_closed_at_once() {
    let (_providers, _service, proxy) = start("connections: 5");
    let ask = |stream: &mut TcpStream| {
        let mut said = [0; 4096];
        let _ = stream.write_all(format!("GET {DONE} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        stream.read(&mut said).is_ok_and(|length| said[..length].starts_with(b"HTTP/1.1 200"))
    };
    let mut held = Vec::new();
    // Each is known to have its place once it was answered; the first ones may find those of the start still taken.
    wait_until("all places are taken", || {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        if ask(&mut stream) {
            held.push(stream);
        }
        held.len() == 5
    });
    for _ in 0..20 {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
    assert!(held.iter_mut().all(ask));
    drop(held);
    wait_until("places are free again", || {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        let _ = stream.write_all(format!("GET {DONE} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes());
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        said.starts_with(b"HTTP/1.1 200")
    });
}

#[test]
fn an_upgrade_of_a_connection_is_not_a_head() {
    let (_providers, service, proxy) = start("header_timeout: 300ms");
    let response = send(proxy.address(), "GET", "/x", &[("Connection", "upgrade"), ("Upgrade", "websocket")]);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(service.requests().len(), 1);
}
