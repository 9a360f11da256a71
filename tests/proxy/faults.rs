//! Providers that misbehave: each fault gives its documented error, in time, and harms no request after it.

use crate::support::{Client, Proxy, Request, Response, Upstream, get, wait_until};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const KEY: &str = "sk-never-to-be-seen";

/// What a healthy job answers.
const VIDEO: &str = r#"{"id":"good","object":"video","status":"completed","progress":100}"#;

/// Far below any deadline of these tests: an error that needs no waiting comes within it.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Large answers, as the tests of memory send them.
const HUNDRED_MB: usize = 100_000_000;

type Answer = Box<dyn Fn(&mut TcpStream) -> bool + Send + Sync>;

/// A fault and the error that it must become.
struct Fault {
    name: &'static str,
    answer: Answer,
    status: u16,
    code: &'static str,
    says: &'static str,
}

/// The upstream writes these bytes and closes.
fn closing(bytes: impl Into<Vec<u8>>) -> Answer {
    let bytes = bytes.into();
    Box::new(move |stream| {
        let _ = stream.write_all(&bytes);
        false
    })
}

/// The upstream writes these bytes and waits for the next request.
fn staying(bytes: impl Into<Vec<u8>>) -> Answer {
    let bytes = bytes.into();
    Box::new(move |stream| stream.write_all(&bytes).is_ok())
}

fn invalid(name: &'static str, says: &'static str, answer: Answer) -> Fault {
    Fault { name, answer, status: 502, code: "upstream_invalid_response", says }
}

/// A 200 with a JSON type, these header lines and this body.
fn ok(lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{lines}\r\n").into_bytes();
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// The same with its length.
fn sized(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    ok(&format!("content-length: {}\r\n", body.len()), body)
}

fn empty(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

fn is_good(request: &Request) -> bool {
    request.target.ends_with("/good")
}

/// The job `good` is always well; every other one answers so.
fn upstream(answer: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |request, stream| match is_good(request) {
        true => stream.write_all(&sized(VIDEO)).is_ok(),
        false => answer(request, stream),
    })
}

/// Polls are neither kept nor counted against the provider here: each one must reach it.
fn config(port: u16, more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    format!(
        "providers:\n  openai: {{base_url: \"http://127.0.0.1:{port}/v1\", credentials: {{api_key: {KEY}}}, \
         breaker: null, poll: {{cache: false}}{more}}}\n"
    )
}

fn proxy(upstream: &Upstream, more: &str) -> Proxy {
    Proxy::start(&config(upstream.address().port(), more))
}

fn poll(proxy: &Proxy, job: &str) -> Response {
    get(proxy.address(), &format!("/v1/videos/{job}:openai"))
}

/// A healthy job is answered as if nothing had happened before.
#[track_caller]
fn assert_unharmed(proxy: &Proxy, after: &str) {
    let response = poll(proxy, "good");
    assert_eq!(response.status, 200, "after {after}: {}", response.text());
    assert_eq!(response.json()["status"], "completed", "after {after}");
}

/// The whole envelope of an error, and nothing in it that is not a client's to know.
#[track_caller]
fn assert_error(name: &str, response: &Response, status: u16, code: &str, says: &str) {
    let text = response.text();
    assert_eq!(response.status, status, "{name}: {text}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{name}");
    let body = response.json();
    assert_eq!(body["error"]["code"], code, "{name}: {text}");
    assert_eq!(body["status_code"], status, "{name}");
    assert_eq!(body["extra_fields"]["provider"], "openai", "{name}");
    assert_eq!(body["event_id"].as_str(), response.header("x-request-id"), "{name}");
    let relayed = ["upstream_error", "upstream_unavailable", "rate_limit_exceeded"].contains(&code);
    assert_eq!(body["is_bifrost_error"], !relayed, "{name}: {text}");
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(says), "{name}: {message:?} does not say {says:?}");
    for secret in [KEY, "buf:", "SECRET-OF-THE-BODY"] {
        assert!(!text.contains(secret), "{name}: {text}");
    }
}

/// Each fault becomes its error at once, and a healthy job is served after each.
#[track_caller]
fn assert_faults(faults: Vec<Fault>) {
    let expected: Vec<_> = faults.iter().map(|f| (f.name, f.status, f.code, f.says)).collect();
    let upstream = upstream(move |request, stream| {
        let job = request.target.rsplit('/').next().unwrap();
        let index: usize = job.strip_prefix("fault-").unwrap().parse().unwrap();
        (faults[index].answer)(stream)
    });
    let proxy = proxy(&upstream, "max_body: 1MiB");
    for (index, (name, status, code, says)) in expected.into_iter().enumerate() {
        let started = Instant::now();
        let response = poll(&proxy, &format!("fault-{index}"));
        assert!(started.elapsed() < AT_ONCE, "{name} took {:?}", started.elapsed());
        assert_error(name, &response, status, code, says);
        assert_unharmed(&proxy, name);
    }
    assert!(!proxy.log().contains(KEY));
    assert!(!proxy.log().contains("panic"), "{}", proxy.log());
}

/// Each of these is a sound answer in an unusual form.
#[track_caller]
fn assert_fine(answers: Vec<(&'static str, Answer)>) {
    let names: Vec<_> = answers.iter().map(|(name, _)| *name).collect();
    let upstream = upstream(move |request, stream| {
        let job = request.target.rsplit('/').next().unwrap();
        let index: usize = job.strip_prefix("fine-").unwrap().parse().unwrap();
        (answers[index].1)(stream)
    });
    let proxy = proxy(&upstream, "retries: 0");
    for (index, name) in names.into_iter().enumerate() {
        let response = poll(&proxy, &format!("fine-{index}"));
        assert_eq!(response.status, 200, "{name}: {}", response.text());
        assert_eq!(response.json()["status"], "completed", "{name}");
        assert_unharmed(&proxy, name);
    }
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = ok("transfer-encoding: chunked\r\n", "");
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    ok(&format!("content-encoding: gzip\r\ncontent-length: {}\r\n", body.len()), body)
}

// ---- answers that are sound --------------------------------------------------------------------------------------

#[test]
fn an_answer_is_read_however_it_is_cut_and_framed() {
    let pieces = |bytes: Vec<u8>, size: usize| -> Answer {
        Box::new(move |stream| {
            stream.set_nodelay(true).unwrap();
            bytes.chunks(size).all(|piece| stream.write_all(piece).is_ok())
        })
    };
    let half_closed: Answer = Box::new(|stream| {
        let written = stream.write_all(&ok("", VIDEO)).is_ok();
        let _ = stream.shutdown(Shutdown::Write);
        written
    });
    let deep = format!(r#"{{"status":"completed","videos":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_fine(vec![
        ("single bytes", pieces(sized(VIDEO), 1)),
        ("header split in the middle of a name", pieces(sized(VIDEO), 21)),
        ("single bytes of chunks", pieces(chunked(VIDEO.as_bytes(), 7), 1)),
        ("chunks", staying(chunked(VIDEO.as_bytes(), 1))),
        (
            "chunks with extensions",
            staying(ok("transfer-encoding: chunked\r\n", format!("{:x};a=b\r\n{VIDEO}\r\n0\r\n\r\n", VIDEO.len()))),
        ),
        (
            "trailers",
            staying(ok(
                "transfer-encoding: chunked\r\n",
                format!("{:x}\r\n{VIDEO}\r\n0\r\nx-trailer: 1\r\n\r\n", VIDEO.len()),
            )),
        ),
        ("no length, closed", closing(ok("", VIDEO))),
        ("no length, half closed", half_closed),
        ("connection: close", closing(ok(&format!("connection: close\r\ncontent-length: {}\r\n", VIDEO.len()), VIDEO))),
        ("HTTP/1.0", closing(String::from_utf8(ok("", VIDEO)).unwrap().replacen("1.1", "1.0", 1))),
        (
            "the same length twice",
            staying(ok(&format!("content-length: {0}\r\ncontent-length: {0}\r\n", VIDEO.len()), VIDEO)),
        ),
        (
            "200 headers",
            staying(ok(&format!("{}content-length: {}\r\n", "x-h: 1\r\n".repeat(200), VIDEO.len()), VIDEO)),
        ),
        ("100,000 brackets in a field that may hold anything", staying(sized(deep))),
        ("white space around JSON", staying(sized(format!("\r\n \t{VIDEO}\n\n")))),
    ]);
}

#[test]
fn informational_answers_are_passed_over() {
    let after = |first: &str| staying([first.as_bytes(), &sized(VIDEO)].concat());
    assert_fine(vec![
        ("100", after("HTTP/1.1 100 Continue\r\n\r\n")),
        ("103", after("HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")),
        (
            "100, 102 and 103",
            after("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"),
        ),
    ]);
}

#[test]
fn gzip_is_undone_though_nobody_asked_for_it() {
    let twice = [gzip(&VIDEO.as_bytes()[..10]), gzip(&VIDEO.as_bytes()[10..])].concat();
    assert_fine(vec![
        ("gzip", staying(gzipped(&gzip(VIDEO.as_bytes())))),
        ("gzip in two members", staying(gzipped(&twice))),
        (
            "x-gzip",
            staying(ok("content-encoding: X-GZIP\r\ntransfer-encoding: chunked\r\n", {
                let body = gzip(VIDEO.as_bytes());
                let mut chunk = format!("{:x}\r\n", body.len()).into_bytes();
                chunk.extend_from_slice(&body);
                chunk.extend_from_slice(b"\r\n0\r\n\r\n");
                chunk
            })),
        ),
        ("identity", staying(ok(&format!("content-encoding: identity\r\ncontent-length: {}\r\n", VIDEO.len()), VIDEO))),
    ]);
}

// ---- answers that are not what is documented -----------------------------------------------------------------------

#[test]
fn an_answer_that_is_not_http_is_refused() {
    let garbage = "is not HTTP";
    assert_faults(vec![
        invalid("HTTP/0.9", garbage, closing("<html>SECRET-OF-THE-BODY</html>\r\n\r\n")),
        invalid("a banner", garbage, closing("SSH-2.0-OpenSSH_9.6\r\n\r\n")),
        invalid("a TLS alert", garbage, closing(b"\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n".to_vec())),
        invalid("no status", garbage, closing("HTTP/1.1 abc OK\r\n\r\n")),
        invalid("a status of two digits", garbage, closing("HTTP/1.1 20 OK\r\n\r\n")),
        invalid(
            "a header without a colon",
            garbage,
            closing("HTTP/1.1 200 OK\r\ncontent-type application/json\r\n\r\n{}"),
        ),
        invalid("a header with a NUL", garbage, closing(ok("x-h: a\0b\r\n", VIDEO))),
        invalid("a negative length", garbage, closing(ok("content-length: -1\r\n", VIDEO))),
        invalid("a length that is a word", garbage, closing(ok("content-length: many\r\n", VIDEO))),
        invalid("a length beyond 64 bits", garbage, closing(ok("content-length: 99999999999999999999999\r\n", VIDEO))),
        invalid("conflicting lengths", garbage, closing(ok("content-length: 10\r\ncontent-length: 20\r\n", VIDEO))),
        invalid("conflicting lengths in one line", garbage, closing(ok("content-length: 10, 20\r\n", VIDEO))),
    ]);
}

#[test]
fn a_header_without_bounds_is_refused() {
    let huge = ok(&format!("x-huge: {}\r\ncontent-length: {}\r\n", "a".repeat(2 << 20), VIDEO.len()), VIDEO);
    let many = ok(&format!("{}content-length: {}\r\n", "x-h: 1\r\n".repeat(300), VIDEO.len()), VIDEO);
    let endless: Answer = Box::new(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x-h: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").is_ok() {}
        false
    });
    assert_faults(vec![
        invalid("a header of 2 MiB", "header", closing(huge)),
        invalid("300 headers", "header", staying(many)),
        invalid("headers without an end", "header", endless),
    ]);
}

#[test]
fn an_answer_that_breaks_off_is_refused() {
    let cut = "broke off before its end";
    let length = VIDEO.len();
    assert_faults(vec![
        invalid("a length that is too long", cut, closing(ok(&format!("content-length: {}\r\n", length + 1), VIDEO))),
        invalid(
            "a length that is too short",
            "ends too early",
            staying(ok(&format!("content-length: {}\r\n", length - 1), VIDEO)),
        ),
        invalid("no chunk at all", cut, closing(ok("transfer-encoding: chunked\r\n", ""))),
        invalid(
            "a chunk without its end",
            cut,
            closing(ok("transfer-encoding: chunked\r\n", format!("fff\r\n{VIDEO}"))),
        ),
        invalid(
            "no last chunk",
            cut,
            closing(ok("transfer-encoding: chunked\r\n", format!("{length:x}\r\n{VIDEO}\r\n"))),
        ),
        invalid(
            "a chunk size that is none",
            cut,
            closing(ok("transfer-encoding: chunked\r\n", format!("xyz\r\n{VIDEO}\r\n0\r\n\r\n"))),
        ),
        invalid(
            "a negative chunk size",
            cut,
            closing(ok("transfer-encoding: chunked\r\n", format!("-1\r\n{VIDEO}\r\n0\r\n\r\n"))),
        ),
        invalid(
            "a chunk size beyond 64 bits",
            cut,
            closing(ok("transfer-encoding: chunked\r\n", format!("fffffffffffffffff\r\n{VIDEO}\r\n0\r\n\r\n"))),
        ),
        invalid("JSON cut by the end of the connection", "ends too early", closing(ok("", &VIDEO[..length / 2]))),
    ]);
}

#[test]
fn an_answer_that_is_not_the_documented_json_is_refused() {
    let html = "<html><body>SECRET-OF-THE-BODY</body></html>";
    let html = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\r\n{html}",
        html.len()
    );
    let deep = "[".repeat(100_000);
    let deep_field = format!(r#"{{"status":"completed","x":{deep}}}"#);
    let deep_status = format!(r#"{{"status":{deep}{}}}"#, "]".repeat(100_000));
    assert_faults(vec![
        invalid("HTML", "(200, text/html, 44 bytes) could not be read as JSON: it is not JSON", staying(html)),
        invalid("nothing", "ends too early", staying(sized(""))),
        invalid("white space", "ends too early", staying(sized("  \r\n"))),
        invalid("204", "could not be read", staying("HTTP/1.1 204 No Content\r\n\r\n")),
        invalid("205", "could not be read", staying(empty("205 Reset Content"))),
        invalid("304", "could not be read", staying("HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n")),
        invalid("an array", "an array rather than an object", staying(sized(r#"["completed"]"#))),
        invalid("a string", "another shape", staying(sized(r#""completed""#))),
        invalid("null", "could not be read", staying(sized("null"))),
        invalid("no status", "it has no status", staying(sized("{}"))),
        invalid("two objects", "not JSON", staying(sized(format!("{VIDEO}{VIDEO}")))),
        invalid("invalid UTF-8", "not JSON", staying(sized(b"{\"status\":\"\xff\xfe\"}"))),
        invalid("UTF-16", "not JSON", staying(sized(b"\xff\xfe{\0}\0"))),
        invalid("100,000 brackets", "could not be read", staying(sized(&deep))),
        invalid("100,000 brackets in a field", "could not be read", staying(sized(deep_field))),
        invalid("100,000 brackets as the status", "could not be read", staying(sized(deep_status))),
    ]);
}

#[test]
fn a_redirect_is_never_followed() {
    let elsewhere = Upstream::json(200, VIDEO);
    let location = format!("http://{}/v1/videos/x", elsewhere.address());
    let redirect =
        |status: u16| staying(format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"));
    let fault = |status| invalid("a redirect", "redirects of a status call are not followed", redirect(status));
    assert_faults([301, 302, 303, 307, 308].map(fault).into());
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_coding_that_cannot_be_undone_is_refused() {
    let sound = gzip(VIDEO.as_bytes());
    let mut broken = sound.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 0xff;
    let not = "gzip";
    let other = |coding: &str| {
        staying(ok(&format!("content-encoding: {coding}\r\ncontent-length: {}\r\n", VIDEO.len()), VIDEO))
    };
    assert_faults(vec![
        invalid("gzip with a flipped byte", not, staying(gzipped(&broken))),
        invalid("gzip that is cut", not, staying(gzipped(&sound[..middle]))),
        invalid("plain text that is called gzip", not, staying(gzipped(VIDEO.as_bytes()))),
        invalid("nothing that is called gzip", not, staying(gzipped(b""))),
        invalid("brotli", not, other("br")),
        invalid("zstd", not, other("zstd")),
        invalid("two codings", not, other("gzip, gzip")),
    ]);
}

// ---- bounded memory ------------------------------------------------------------------------------------------------

/// The most memory that a process has held so far, in bytes.
fn peak(proxy: &Proxy) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// A flood is refused, and costs no more than twice `max_body`.
#[track_caller]
fn assert_bounded(
    name: &'static str,
    max_body: usize,
    says: &str,
    flood: impl Fn(&mut TcpStream) -> bool + Send + Sync + 'static,
) {
    let upstream = upstream(move |_, stream| flood(stream));
    let proxy = proxy(&upstream, &format!("max_body: {max_body}"));
    assert_unharmed(&proxy, "the start");
    let before = peak(&proxy);
    let started = Instant::now();
    assert_error(name, &poll(&proxy, "flood"), 502, "upstream_invalid_response", says);
    assert_unharmed(&proxy, name);
    let grown = peak(&proxy) - before;
    println!("{name}: {grown} bytes over {before} for max_body {max_body}, in {:?}", started.elapsed());
    // Besides the body: pages of the allocator, buffers of the connection.
    assert!(grown < 2 * max_body + (4 << 20), "{name}: {grown} bytes for {max_body}");
    let calls = upstream.requests().iter().filter(|request| !is_good(request)).count();
    assert_eq!(calls, 1, "{name}: an answer that is too large will be so again");
}

fn write_all_of(stream: &mut TcpStream, head: &[u8], total: usize, frame: impl Fn(&[u8]) -> Vec<u8>) -> bool {
    let opening = br#"{"status":"completed","prompt":""#;
    let piece = frame(&[b'a'; 64 * 1024]);
    let mut written = 0;
    let mut all = stream.write_all(head).and_then(|()| stream.write_all(&frame(opening)));
    while all.is_ok() && written < total {
        all = stream.write_all(&piece);
        written += 64 * 1024;
    }
    false
}

fn flood(lines: &'static str) -> impl Fn(&mut TcpStream) -> bool + Send + Sync + 'static {
    let is_chunked = lines.contains("chunked");
    move |stream| {
        write_all_of(stream, &ok(lines, ""), HUNDRED_MB, |piece| match is_chunked {
            true => [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat(),
            false => piece.to_vec(),
        })
    }
}

#[test]
fn a_hundred_megabytes_with_their_length_are_refused_unread() {
    assert_bounded(
        "announced",
        1 << 20,
        "larger than 1048576 bytes (max_body)",
        flood("content-length: 100000000\r\n"),
    );
}

#[test]
fn a_hundred_megabytes_without_a_length_are_refused_at_the_limit() {
    assert_bounded("unannounced", 1 << 20, "larger than 1048576 bytes (max_body)", flood(""));
    assert_bounded("unannounced", 64 << 20, "larger than 67108864 bytes (max_body)", flood(""));
}

#[test]
fn a_hundred_megabytes_of_chunks_are_refused_at_the_limit() {
    assert_bounded("chunks", 1 << 20, "larger than 1048576 bytes (max_body)", flood("transfer-encoding: chunked\r\n"));
    assert_bounded(
        "chunks",
        64 << 20,
        "larger than 67108864 bytes (max_body)",
        flood("transfer-encoding: chunked\r\n"),
    );
}

/// A gigabyte of zeros as about a megabyte of gzip, made while it is sent.
fn bomb(stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(&ok("content-encoding: gzip\r\nconnection: close\r\n", ""));
    let mut encoder = GzEncoder::new(stream, Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        if encoder.write_all(&zeros).is_err() {
            break;
        }
    }
    let _ = encoder.try_finish();
    false
}

#[test]
fn a_gzip_bomb_is_refused_at_the_limit() {
    assert_bounded("a bomb of more than the limit", 1 << 20, "max_body", bomb);
    assert_bounded("a bomb of less than the limit", 16 << 20, "unfolds to more than 16777216 bytes (max_body)", bomb);
}

#[test]
fn an_answer_of_exactly_the_limit_is_read_and_one_more_byte_is_not() {
    let padded = |length: usize| format!("{VIDEO}{}", " ".repeat(length - VIDEO.len()));
    let upstream = upstream(move |request, stream| {
        let job = request.target.rsplit('/').next().unwrap();
        let (form, length) = job.split_once('-').unwrap();
        let body = padded(length.parse().unwrap());
        match form {
            "sized" => stream.write_all(&sized(body)).is_ok(),
            "chunked" => stream.write_all(&chunked(body.as_bytes(), 1000)).is_ok(),
            "gzip" => stream.write_all(&gzipped(&gzip(body.as_bytes()))).is_ok(),
            _ => stream.write_all(&ok("connection: close\r\n", body)).is_err(),
        }
    });
    let proxy = proxy(&upstream, "max_body: 20KiB");
    for form in ["sized", "chunked", "gzip", "closed"] {
        assert_eq!(poll(&proxy, &format!("{form}-20480")).status, 200, "{form}");
        assert_error(
            form,
            &poll(&proxy, &format!("{form}-20481")),
            502,
            "upstream_invalid_response",
            "20480 bytes (max_body)",
        );
        assert_unharmed(&proxy, form);
    }
}

// ---- no answer -----------------------------------------------------------------------------------------------------

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A proxy with a provider `openai` at this address and a healthy one, `other`.
fn beside_a_healthy_one(base_url: &str, more: &str) -> (Proxy, Upstream) {
    let other = Upstream::json(200, VIDEO);
    let config = format!(
        "providers:\n  openai: {{base_url: \"{base_url}\", allow_insecure: true, credentials: {{api_key: {KEY}}}, \
         breaker: null, poll: {{cache: false}}{more}}}\n  \
         other: {{kind: openai, base_url: \"http://{}/v1\", credentials: {{api_key: {KEY}}}}}\n",
        other.address()
    );
    (Proxy::start(&config), other)
}

#[track_caller]
fn assert_other_is_served(proxy: &Proxy) {
    assert_eq!(get(proxy.address(), "/v1/videos/good:other").status, 200);
}

#[test]
fn a_refused_connection_is_said_at_once() {
    let (proxy, _other) = beside_a_healthy_one(&format!("http://127.0.0.1:{}/v1", closed_port()), "");
    let started = Instant::now();
    let response = poll(&proxy, "job");
    assert!(started.elapsed() < AT_ONCE);
    assert_error("refused", &response, 502, "upstream_unreachable", "the connection was refused");
    assert_other_is_served(&proxy);
}

#[test]
fn a_provider_that_comes_back_is_reached_again() {
    let port = closed_port();
    let proxy = Proxy::start(&config(port, "retries: 0"));
    assert_error("gone", &poll(&proxy, "job"), 502, "upstream_unreachable", "the connection was refused");
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) else { return };
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&ok("connection: close\r\n", VIDEO));
        }
    });
    assert_unharmed(&proxy, "its return");
}

#[test]
fn a_name_that_does_not_resolve_is_said_at_once() {
    let (proxy, _other) = beside_a_healthy_one("http://nonexistent.invalid/v1", "");
    let started = Instant::now();
    let response = poll(&proxy, "job");
    assert!(started.elapsed() < AT_ONCE);
    assert_error(
        "no name",
        &response,
        502,
        "upstream_unreachable",
        "the name nonexistent.invalid could not be resolved",
    );
    assert_other_is_served(&proxy);
}

/// An upstream whose bad connections end with a reset: what it has been sent is never read.
fn resetting(first: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let resets = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&resets);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut start = [0; 4096];
            let length = stream.peek(&mut start).unwrap_or(0);
            if String::from_utf8_lossy(&start[..length]).contains("/good ") {
                let _ = stream.read(&mut start);
                let _ = stream.write_all(&ok("connection: close\r\n", VIDEO));
                continue;
            }
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(&first);
        }
    });
    (port, resets)
}

#[test]
fn a_reset_before_the_answer_is_tried_again_and_then_said() {
    let (port, resets) = resetting(Vec::new());
    let proxy = Proxy::start(&config(port, ""));
    let started = Instant::now();
    let response = poll(&proxy, "job");
    assert!(started.elapsed() < AT_ONCE);
    assert_error("reset", &response, 502, "upstream_unreachable", "the connection broke before an answer");
    assert_eq!(resets.load(Ordering::SeqCst), 3, "the first try and two more");
    assert_unharmed(&proxy, "a reset");
}

#[test]
fn a_reset_within_the_answer_is_an_answer_that_breaks_off() {
    let (port, _) = resetting(ok(&format!("content-length: {}\r\n", VIDEO.len()), &VIDEO[..20]));
    let proxy = Proxy::start(&config(port, ""));
    let started = Instant::now();
    let response = poll(&proxy, "job");
    assert!(started.elapsed() < AT_ONCE);
    assert_error("reset", &response, 502, "upstream_invalid_response", "broke off before its end");
    assert_unharmed(&proxy, "a reset within an answer");
}

#[test]
fn a_connection_closed_without_an_answer_is_tried_again() {
    let count = AtomicUsize::new(0);
    let upstream = upstream(move |_, stream| match count.fetch_add(1, Ordering::SeqCst) {
        0 => false,
        1 => stream.write_all(b"HTTP/1.1 200 O").is_err(),
        _ => stream.write_all(&sized(VIDEO)).is_ok(),
    });
    let proxy = proxy(&upstream, "");
    assert_eq!(poll(&proxy, "job").status, 200);
    assert_unharmed(&proxy, "a closed connection");
}

// ---- deadlines -----------------------------------------------------------------------------------------------------

const TIMEOUT: Duration = Duration::from_millis(700);

/// The error of a passed deadline, when it has passed and not long after.
#[track_caller]
fn assert_timeout(proxy: &Proxy, job: &str) {
    let started = Instant::now();
    let response = poll(proxy, job);
    let took = started.elapsed();
    assert_error(job, &response, 504, "upstream_timeout", "");
    assert!(took >= TIMEOUT && took < TIMEOUT + AT_ONCE, "{job}: {took:?}");
    assert_unharmed(proxy, job);
}

/// Holds a connection until the peer closes it.
fn hold(stream: &mut TcpStream) -> bool {
    let _ = stream.read(&mut [0; 64]);
    false
}

#[test]
fn a_stalled_answer_ends_at_the_deadline() {
    let (closed, has_closed) = mpsc::channel();
    let upstream = upstream(move |request, stream| {
        let bytes = match request.target.rsplit('/').next().unwrap() {
            "silent" => Vec::new(),
            "header" => b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec(),
            "informational" => b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(),
            "body" => ok("content-length: 100\r\n", "{"),
            "chunk" => ok("transfer-encoding: chunked\r\n", "5\r\n{\"a\""),
            "error" => b"HTTP/1.1 503 X\r\ncontent-length: 100\r\n\r\n{".to_vec(),
            job => panic!("{job}"),
        };
        stream.write_all(&bytes).unwrap();
        hold(stream);
        let _ = closed.send(());
        false
    });
    let proxy = proxy(&upstream, "timeout: 700ms");
    for job in ["silent", "header", "informational", "body", "chunk", "error"] {
        assert_timeout(&proxy, job);
        // The connection of a call that was given up is not kept.
        has_closed.recv_timeout(AT_ONCE).unwrap();
    }
}

#[test]
fn an_answer_that_drips_ends_at_the_deadline() {
    let upstream = upstream(|request, stream| {
        let start = if request.target.ends_with("header") { b"HTTP/1.1 200 OK\r\n".to_vec() } else { ok("", "{") };
        let mut going = stream.write_all(&start).is_ok();
        while going {
            going = stream.write_all(b"x: y\r\n").is_ok();
            thread::sleep(Duration::from_millis(20));
        }
        false
    });
    let proxy = proxy(&upstream, "timeout: 700ms");
    assert_timeout(&proxy, "header");
    assert_timeout(&proxy, "body");
}

#[test]
fn retries_share_the_deadline() {
    let count = AtomicUsize::new(0);
    let upstream = upstream(move |_, stream| match count.fetch_add(1, Ordering::SeqCst) {
        0 => stream.write_all(&empty("503 X")).is_ok(),
        _ => hold(stream),
    });
    let proxy = proxy(&upstream, "timeout: 700ms, retries: 10");
    assert_timeout(&proxy, "job");
}

#[test]
fn a_pause_that_would_pass_the_deadline_is_not_begun() {
    let upstream = upstream(|_, stream| {
        stream.write_all(b"HTTP/1.1 429 X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n").is_ok()
    });
    let proxy = proxy(&upstream, "timeout: 700ms");
    let started = Instant::now();
    let response = poll(&proxy, "job");
    assert!(started.elapsed() < TIMEOUT);
    assert_error("429", &response, 429, "rate_limit_exceeded", "");
    assert_eq!(response.header("retry-after"), Some("1"));
}

// ---- connections that are used again -------------------------------------------------------------------------------

#[test]
fn polls_share_a_connection() {
    let upstream = upstream(|_, stream| stream.write_all(&chunked(VIDEO.as_bytes(), 9)).is_ok());
    let proxy = proxy(&upstream, "");
    for job in ["good", "chunked", "good", "chunked", "good"] {
        assert_eq!(poll(&proxy, job).status, 200);
    }
    assert_eq!((upstream.connections(), upstream.requests().len()), (1, 5));
}

#[test]
fn a_connection_that_the_provider_closes_after_its_answer_is_not_used_again() {
    let upstream = upstream(|_, stream| {
        let _ = stream.write_all(&ok(&format!("connection: close\r\ncontent-length: {}\r\n", VIDEO.len()), VIDEO));
        // It says so and stays: whoever writes here again is wrong.
        hold(stream)
    });
    let proxy = proxy(&upstream, "retries: 0, timeout: 2s");
    for _ in 0..3 {
        assert_eq!(poll(&proxy, "job").status, 200);
    }
    assert_eq!((upstream.connections(), upstream.requests().len()), (3, 3));
}

#[test]
fn bytes_after_an_answer_do_not_become_the_next_one() {
    let smuggled = sized(r#"{"status":"failed"}"#);
    let upstream = upstream(move |_, stream| stream.write_all(&[sized(VIDEO), smuggled.clone()].concat()).is_ok());
    let proxy = proxy(&upstream, "retries: 0");
    for _ in 0..3 {
        assert_eq!(poll(&proxy, "job").json()["status"], "completed");
        assert_unharmed(&proxy, "bytes too many");
    }
}

/// An upstream whose connections each answer once; the next request is read and the connection closed.
fn once_per_connection(closed_at_once: bool, together: usize) -> Upstream {
    let barrier = Barrier::new(together);
    Upstream::start(move |request, stream| {
        let is_first = stream.ttl().unwrap() != 77;
        stream.set_ttl(77).unwrap();
        if !is_first {
            return false;
        }
        if request.target.ends_with("together") {
            barrier.wait();
        }
        let written = stream.write_all(&sized(VIDEO)).is_ok();
        written && !closed_at_once
    })
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_the_client_nothing() {
    let upstream = once_per_connection(true, 1);
    let proxy = proxy(&upstream, "retries: 0");
    for _ in 0..20 {
        assert_unharmed(&proxy, "a connection closed while idle");
    }
}

#[test]
fn a_connection_that_dies_under_the_next_request_is_replaced_at_once() {
    for retries in [0, 2] {
        let upstream = once_per_connection(false, 1);
        let proxy = proxy(&upstream, &format!("retries: {retries}"));
        for polls in 1..=4 {
            assert_unharmed(&proxy, "a connection that died");
            assert_eq!(upstream.connections(), polls, "retries: {retries}");
        }
    }
}

#[test]
fn a_pool_of_dead_connections_costs_the_client_nothing() {
    const MANY: usize = 8;
    let upstream = once_per_connection(false, MANY);
    let proxy = proxy(&upstream, "");
    let together: Vec<_> = (0..MANY)
        .map(|_| {
            let address = proxy.address();
            thread::spawn(move || get(address, "/v1/videos/together:openai").status)
        })
        .collect();
    for status in together {
        assert_eq!(status.join().unwrap(), 200);
    }
    assert_eq!(upstream.connections(), MANY);
    assert_unharmed(&proxy, "the death of all pooled connections");
}

// ---- tries ---------------------------------------------------------------------------------------------------------

/// An upstream that answers these one after another, the last one for ever.
fn script(answers: &[&str]) -> Upstream {
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let count = AtomicUsize::new(0);
    upstream(move |_, stream| {
        let index = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let bytes = match answers[index].as_str() {
            "200" => sized(VIDEO),
            other => {
                let (status, wait) = other.split_once(' ').unwrap_or((other, ""));
                let wait = if wait.is_empty() { String::new() } else { format!("retry-after: {wait}\r\n") };
                format!("HTTP/1.1 {status} X\r\n{wait}content-length: 2\r\n\r\n{{}}").into_bytes()
            }
        };
        stream.write_all(&bytes).is_ok()
    })
}

fn calls(upstream: &Upstream) -> usize {
    upstream.requests().iter().filter(|request| !is_good(request)).count()
}

#[test]
fn what_may_pass_in_a_moment_is_asked_again() {
    let table: [(&[&str], usize); 8] = [
        (&["503", "200"], 2),
        (&["502", "200"], 2),
        (&["504", "200"], 2),
        (&["503", "502", "200"], 3),
        (&["429 0", "200"], 2),
        (&["429 1", "200"], 2),
        (&["503 0", "200"], 2),
        (&["503 1", "200"], 2),
    ];
    for (answers, want) in table {
        let upstream = script(answers);
        let proxy = proxy(&upstream, "");
        let started = Instant::now();
        let response = poll(&proxy, "job");
        assert_eq!(response.status, 200, "{answers:?}: {}", response.text());
        assert_eq!(calls(&upstream), want, "{answers:?}");
        let waited = started.elapsed() >= Duration::from_secs(1);
        assert_eq!(waited, answers[0].ends_with(" 1"), "{answers:?}");
        assert_unharmed(&proxy, answers[0]);
    }
}

#[test]
fn what_will_not_pass_in_a_moment_is_asked_once() {
    let table = [
        ("429 30", 429, "rate_limit_exceeded", Some("30")),
        ("429 2", 429, "rate_limit_exceeded", Some("2")),
        ("429", 429, "rate_limit_exceeded", Some("1")),
        ("503 30", 503, "upstream_unavailable", Some("30")),
        ("500", 502, "upstream_error", None),
        ("501", 502, "upstream_error", None),
        ("404", 404, "video_not_found", None),
    ];
    for (answer, status, code, wait) in table {
        let upstream = script(&[answer, "200"]);
        let (proxy, _other) = beside_a_healthy_one(&format!("http://{}/v1", upstream.address()), "");
        let started = Instant::now();
        let response = poll(&proxy, "job");
        assert!(started.elapsed() < AT_ONCE);
        assert_eq!((response.status, response.code()), (status, code.to_owned()), "{answer}");
        assert_eq!(response.header("retry-after"), wait, "{answer}");
        assert_eq!(calls(&upstream), 1, "{answer}");
        // A wait that a provider asks for may hold its credential; it holds nobody else.
        assert_other_is_served(&proxy);
    }
}

#[test]
fn tries_are_counted() {
    for (retries, want) in [(0, 1), (1, 2), (2, 3), (4, 5)] {
        let upstream = script(&["503"]);
        let proxy = proxy(&upstream, &format!("retries: {retries}"));
        let response = poll(&proxy, "job");
        assert_error("503", &response, 503, "upstream_unavailable", "It answered 503");
        assert!(response.header("retry-after").is_some());
        assert_eq!(calls(&upstream), want, "retries: {retries}");
        assert_unharmed(&proxy, "tries used up");
    }
}

#[test]
fn a_502_that_stays_is_an_upstream_error() {
    for answer in ["502", "504"] {
        let upstream = script(&[answer]);
        let proxy = proxy(&upstream, "");
        assert_error(answer, &poll(&proxy, "job"), 502, "upstream_error", "");
        assert_eq!(calls(&upstream), 3);
        assert_unharmed(&proxy, answer);
    }
}

#[test]
fn an_error_page_of_a_provider_is_relayed_by_its_status_alone() {
    let page = "<html>SECRET-OF-THE-BODY</html>";
    let answer = format!("HTTP/1.1 500 X\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    assert_faults(vec![Fault {
        name: "a page",
        answer: staying(answer),
        status: 502,
        code: "upstream_error",
        says: "It answered 500",
    }]);
}

// ---- clients -------------------------------------------------------------------------------------------------------

#[test]
fn a_client_that_leaves_harms_nobody() {
    let (arrived, has_arrived) = mpsc::channel();
    let upstream = upstream(move |_, stream| {
        let _ = arrived.send(());
        hold(stream)
    });
    let proxy = proxy(&upstream, "timeout: 700ms, max_concurrent: 1");
    let mut client = Client::connect(proxy.address());
    client.write(b"GET /v1/videos/slow:openai HTTP/1.1\r\nHost: videos.test\r\n\r\n");
    has_arrived.recv_timeout(AT_ONCE).unwrap();
    drop(client);
    // Its slot comes back, at the deadline at the latest.
    wait_until("the slot is free", || poll(&proxy, "good").status == 200);
}
