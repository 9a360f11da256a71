//! Sources that lie, and ones that say things nobody asked for: no client may take a piece of a file for all of it.

use super::{CONTENT, answer, config, provider};
use crate::support::{Client, Proxy, Upstream, get, send, wait_until};
use std::io::Write;
use std::time::Duration;

const RUNWAYS: &str = "0b1b5e0e-6a56-4c1c-9d63-0d5d0e6a7a10";
/// Headers of a request.
type Lines = &'static [(&'static str, &'static str)];

const MP4: (&str, &str) = ("content-type", "video/mp4");

fn before(source: &Upstream) -> (Upstream, Proxy) {
    let address = source.address();
    let provider = provider(move |_| format!("http://{address}/v/a.mp4?sig=SIGNED"));
    let proxy = Proxy::start(&config(&provider, &format!("allow_hosts: [\"{address}\"], idle_timeout: 2s")));
    (provider, proxy)
}

/// A source that answers everything with these bytes, and keeps the connection or not.
fn saying(text: &'static str, keeps: bool) -> Upstream {
    Upstream::start(move |_, stream| stream.write_all(text.as_bytes()).is_ok() && keeps)
}

/// All that a client of HTTP/1.1 reads until the connection ends.
fn read_off(proxy: &Proxy) -> String {
    let mut client = Client::connect(proxy.address());
    client.write(format!("GET {CONTENT} HTTP/1.1\r\nHost: videos.test\r\nConnection: close\r\n\r\n").as_bytes());
    String::from_utf8_lossy(&client.read_to_end()).into_owned()
}

#[test]
fn a_source_that_never_gives_the_whole_is_an_error() {
    let part = "HTTP/1.1 206 X\r\ncontent-type: video/mp4\r\netag: \"v2\"\r\ncontent-range: bytes 0-3/10\r\ncontent-length: 4\r\n\r\nabcd";
    let none = "HTTP/1.1 416 X\r\ncontent-range: bytes */10\r\ncontent-length: 0\r\n\r\n";
    for text in [part, none] {
        let source = saying(text, true);
        let (_provider, proxy) = before(&source);
        let got = send(proxy.address(), "GET", CONTENT, &[("Range", "bytes=0-3"), ("If-Range", "\"v1\"")]);
        assert_eq!((got.status, got.code().as_str()), (502, "upstream_invalid_response"), "{text}");
        assert_eq!(source.requests().len(), 2, "once with the range, once without");
    }
}

#[test]
fn chunks_count_and_not_the_length_beside_them() {
    let text = "HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
                a\r\nabcdefghij\r\n0\r\n\r\n";
    let (_provider, proxy) = before(&saying(text, false));
    let got = get(proxy.address(), CONTENT);
    assert!(got.status == 502 || got.body == b"abcdefghij", "{} {}", got.status, got.text());
}

#[test]
fn what_follows_a_file_is_never_the_answer_to_another_request() {
    let text = "HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: 4\r\n\r\nabcd\
                HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: 4\r\n\r\nEVIL";
    let (_provider, proxy) = before(&saying(text, true));
    for _ in 0..3 {
        assert_eq!(get(proxy.address(), CONTENT).text(), "abcd");
    }
}

#[test]
fn a_file_in_chunks_that_breaks_off_has_no_last_chunk() {
    let text = "HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n";
    let (_provider, proxy) = before(&saying(text, false));
    let got = read_off(&proxy);
    assert!(got.contains("abcd") && !got.ends_with("0\r\n\r\n"), "{got}");
    wait_until("the log says why", || proxy.log().contains("broke off"));
    assert!(!proxy.log().contains("SIGNED"), "{}", proxy.log());
}

#[test]
fn what_is_said_before_and_behind_a_file_is_left_out() {
    let text = "HTTP/1.1 103 X\r\nlink: </x>\r\n\r\nHTTP/1.1 100 X\r\n\r\nHTTP/1.1 200 X\r\ncontent-type: video/mp4\r\n\
                transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n4\r\nabcd\r\n0\r\nx-sum: 1\r\n\r\n";
    let (_provider, proxy) = before(&saying(text, false));
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let got = client.request("GET", CONTENT, &[], b"");
        assert_eq!((got.status, got.text().as_str(), got.header("x-sum")), (200, "abcd", None));
    }
}

#[test]
fn answers_that_are_no_file_are_errors() {
    let table = [
        "HTTP/1.1 204 X\r\n\r\n",
        "HTTP/1.1 205 X\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 304 X\r\netag: \"a\"\r\n\r\n",
        "HTTP/1.1 300 X\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:1/\r\n\r\n",
        "HTTP/1.1 302 X\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 206 X\r\ncontent-type: multipart/byteranges; boundary=x\r\ncontent-length: 4\r\n\r\nabcd",
        "HTTP/1.1 206 X\r\ncontent-type: video/mp4\r\ncontent-range: bytes 0-9/4\r\ncontent-length: 10\r\n\r\n0123456789",
        "HTTP/1.1 206 X\r\ncontent-type: video/mp4\r\ncontent-range: bytes 2-3/10\r\ncontent-length: 2\r\n\r\nab",
    ];
    for text in table {
        let (_provider, proxy) = before(&saying(text, false));
        let mut client = Client::connect(proxy.address());
        for _ in 0..2 {
            let got = client.request("GET", CONTENT, &[("Range", "bytes=0-9")], b"");
            assert_eq!(got.status, 502, "{text}: {}", got.text());
        }
    }
}

#[test]
fn a_link_that_cannot_be_asked_for_anew_is_not_called_gone() {
    let source = Upstream::start(|_, stream| answer(stream, 404, &[MP4], b""));
    let link = format!("http://{}/a.mp4", source.address());
    let polls = std::sync::atomic::AtomicUsize::new(0);
    let provider = Upstream::start(move |_, stream| {
        let body = format!(r#"{{"id":"{RUNWAYS}","status":"SUCCEEDED","output":["{link}"]}}"#);
        match polls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => answer(stream, 200, &[("content-type", "application/json")], body.as_bytes()),
            _ => answer(stream, 500, &[], b""),
        }
    });
    let settings = config(&provider, &format!("allow_hosts: [\"{}\"]", source.address()));
    let proxy = Proxy::start(&settings.replace("replicate", "runway"));
    let got = get(proxy.address(), &format!("/v1/videos/{RUNWAYS}:runway/content"));
    assert_eq!((got.status, got.code().as_str()), (503, "upstream_unavailable"), "{}", got.text());
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn conditions_are_weighed_as_the_standard_has_it() {
    const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    const LATER: &str = "Thu, 22 Oct 2015 07:28:00 GMT";
    const SOONER: &str = "Tue, 20 Oct 2015 07:28:00 GMT";
    const RANGE: (&str, &str) = ("Range", "bytes=0-1");
    let tagged = Upstream::start(move |_, stream| {
        answer(stream, 200, &[MP4, ("etag", "\"a\""), ("last-modified", DATE)], b"0123456789")
    });
    let dated = Upstream::start(move |_, stream| answer(stream, 200, &[MP4, ("last-modified", DATE)], b"0123456789"));
    let bare = Upstream::start(move |_, stream| answer(stream, 200, &[MP4], b"0123456789"));
    let table: &[(&Upstream, Lines, u16)] = &[
        (&tagged, &[("If-None-Match", "\"a\"")], 304),
        (&tagged, &[("If-None-Match", "W/\"a\", \"b\"")], 304),
        (&tagged, &[("If-None-Match", "*")], 304),
        (&tagged, &[("If-None-Match", "\"b\""), ("If-Modified-Since", DATE)], 200),
        (&tagged, &[("If-None-Match", "\"a\""), RANGE], 304),
        (&tagged, &[("If-None-Match", "\"b\""), RANGE], 206),
        (&tagged, &[("If-None-Match", "\"b\""), RANGE, ("If-Range", "\"a\"")], 206),
        (&tagged, &[RANGE, ("If-Range", "\"b\"")], 200),
        (&tagged, &[RANGE, ("If-Range", "W/\"a\"")], 200),
        (&tagged, &[("If-Range", "\"b\"")], 200),
        (&dated, &[("If-Modified-Since", DATE)], 304),
        (&dated, &[("If-Modified-Since", LATER)], 304),
        (&dated, &[("If-Modified-Since", SOONER)], 200),
        (&dated, &[("If-Modified-Since", "yesterday")], 200),
        (&dated, &[("If-None-Match", "\"a\""), ("If-Modified-Since", LATER)], 200),
        (&dated, &[RANGE, ("If-Range", DATE)], 206),
        (&dated, &[RANGE, ("If-Range", LATER)], 200),
        (&bare, &[("If-None-Match", "*")], 304),
        (&bare, &[("If-Modified-Since", LATER)], 200),
        (&bare, &[RANGE, ("If-Range", "\"a\"")], 200),
    ];
    for (source, headers, status) in table {
        let (_provider, proxy) = before(source);
        let mut client = Client::connect(proxy.address());
        for method in ["GET", "HEAD", "GET"] {
            let got = client.request(method, CONTENT, headers, b"");
            let want = if method == "HEAD" && *status == 206 { 200 } else { *status };
            assert_eq!(got.status, want, "{method} {headers:?}");
        }
    }
}

#[test]
fn a_kept_connection_is_in_order_after_every_kind_of_answer() {
    let source = Upstream::start(|request, stream| match request.header("range") {
        Some("bytes=50-") => answer(stream, 416, &[("content-range", "bytes */10")], b""),
        _ => answer(stream, 200, &[MP4, ("etag", "\"a\"")], b"0123456789"),
    });
    let (_provider, proxy) = before(&source);
    let mut client = Client::connect(proxy.address());
    let table: &[(&str, Lines, u16)] = &[
        ("HEAD", &[], 200),
        ("GET", &[("If-None-Match", "\"a\"")], 304),
        ("HEAD", &[("If-None-Match", "\"a\"")], 304),
        ("GET", &[("Range", "bytes=50-")], 416),
        ("GET", &[("Range", "bytes=0-0")], 206),
        ("HEAD", &[("Range", "bytes=50-")], 200),
    ];
    for (method, headers, status) in table {
        assert_eq!(client.request(method, CONTENT, headers, b"").status, *status, "{method} {headers:?}");
        let next = client.request("GET", CONTENT, &[], b"");
        assert_eq!((next.status, next.text().as_str()), (200, "0123456789"), "after {method} {headers:?}");
    }
    // All at once, as somebody does who does not wait for answers.
    let one = format!("GET {CONTENT} HTTP/1.1\r\nHost: videos.test\r\nRange: bytes=");
    let mut client = Client::connect(proxy.address());
    client.write(format!("{one}0-0\r\n\r\n{one}1-2\r\n\r\n{one}3-5\r\nConnection: close\r\n\r\n").as_bytes());
    let all = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    let ends: Vec<&str> = all.split("HTTP/1.1 ").skip(1).filter_map(|one| one.split("\r\n\r\n").nth(1)).collect();
    assert!(["0", "12", "345"].starts_with(&ends) && !ends.is_empty(), "{all}");
}

#[test]
fn a_stream_of_http_2_that_breaks_off_is_reset() {
    let lengths = ["content-length: 10\r\n\r\nabcd", "transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n"];
    for rest in lengths {
        let text = format!("HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\n{rest}");
        let source = Upstream::start(move |_, stream| {
            let _ = stream.write_all(text.as_bytes());
            false
        });
        let (_provider, proxy) = before(&source);
        let address = proxy.address();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (bytes, end) = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let request = http::Request::builder().uri(format!("http://{address}{CONTENT}")).body(()).unwrap();
            let (response, _) = sender.ready().await.unwrap().send_request(request, true).unwrap();
            let mut body = response.await.unwrap().into_body();
            let mut bytes = Vec::new();
            loop {
                match tokio::time::timeout(Duration::from_secs(5), body.data()).await.expect("an end") {
                    Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                    Some(Err(error)) => return (bytes, Some(error)),
                    None => return (bytes, None),
                }
            }
        });
        assert!(bytes == b"abcd" || bytes.is_empty(), "{bytes:?}");
        assert!(end.is_some_and(|error| error.is_reset()), "{rest}: the stream ended as if it were whole");
    }
}

#[test]
fn what_a_slow_source_has_given_reaches_the_client_at_once() {
    // By its length, in chunks, and a head with nothing behind it yet.
    let starts = [
        "content-length: 4000\r\n\r\nabcd",
        "transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n",
        "content-length: 4000\r\n\r\n",
    ];
    for start in starts {
        let text = format!("HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\n{start}");
        let (stop, gate) = std::sync::mpsc::channel::<()>();
        let gate = std::sync::Mutex::new(gate);
        let source = Upstream::start(move |_, stream| {
            let _ = stream.write_all(text.as_bytes());
            let _ = gate.lock().unwrap().recv_timeout(Duration::from_secs(10));
            false
        });
        let (address, began) = (source.address(), std::time::Instant::now());
        let provider = provider(move |_| format!("http://{address}/v/a.mp4"));
        let proxy = Proxy::start(&config(&provider, &format!("allow_hosts: [\"{address}\"], idle_timeout: 10s")));
        let mut client = Client::connect(proxy.address());
        client.write(format!("GET {CONTENT} HTTP/1.1\r\nHost: videos.test\r\n\r\n").as_bytes());
        let (mut got, end) = (Vec::new(), if start.contains("abcd") { &b"abcd"[..] } else { &b"\r\n\r\n"[..] });
        while !got.windows(end.len()).any(|window| window == end) {
            got.extend(client.read_exactly(1));
        }
        assert!(began.elapsed() < Duration::from_secs(8), "{start}: after {:?}", began.elapsed());
        drop(stop);
    }
}

#[test]
fn lengths_that_make_no_sense_are_no_lengths() {
    let table = [
        "content-length: -1\r\n\r\nabcd",
        "content-length: 4x\r\n\r\nabcd",
        "content-length: 4\r\ncontent-length: 9\r\n\r\nabcdefghi",
        "content-length: 99999999999999999999999\r\n\r\nabcd",
        "transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\nzz\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nabcd",
    ];
    for lines in table {
        let text: &str = format!("HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\n{lines}").leak();
        let (_provider, proxy) = before(&saying(text, false));
        let got = read_off(&proxy).to_ascii_lowercase();
        let (head, body) = got.split_once("\r\n\r\n").unwrap_or_default();
        let is_error = head.starts_with("http/1.1 502");
        // Nothing ends as if it were whole, unless it is: what came until the source's connection ended.
        let is_cut = head.contains("content-length: 9") && body.len() < 9
            || head.contains("chunked") && !body.ends_with("0\r\n\r\n");
        let is_whole = body == "4\r\nabcd\r\n0\r\n\r\n" && !lines.contains("chunked");
        assert!(is_error || is_cut || is_whole, "{lines}: {got}");
    }
}

#[test]
fn a_stream_of_http_2_that_is_not_read_holds_up_its_source() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    const TOTAL: usize = 200 << 20;
    let sent = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&sent);
    let source = Upstream::start(move |_, stream| {
        let _ = write!(stream, "HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: {TOTAL}\r\n\r\n");
        let piece = vec![7; 64 << 10];
        while count.load(Ordering::SeqCst) < TOTAL && stream.write_all(&piece).is_ok() {
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
        false
    });
    let (_provider, proxy) = before(&source);
    let address = proxy.address();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let body = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::builder().uri(format!("http://{address}{CONTENT}")).body(()).unwrap();
        let (response, _) = sender.ready().await.unwrap().send_request(request, true).unwrap();
        response.await.unwrap().into_body()
    });
    let mut last = usize::MAX;
    wait_until("the source is held up", || {
        let now = sent.load(Ordering::SeqCst);
        let is_still = now == last && now > 0;
        last = now;
        std::thread::sleep(Duration::from_millis(100));
        is_still
    });
    assert!(last < TOTAL / 4, "{last} bytes left the source");
    drop(body);
}
