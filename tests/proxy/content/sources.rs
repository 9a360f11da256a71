//! Sources as they are: without ranges, without lengths, refusing HEAD, breaking off, with links that have died.

use super::{CONTENT, JOB, answer, config, provider};
use crate::support::{Client, Proxy, Request, Upstream, get, send, wait_until};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SECRET: &str = "sk-never-sent-elsewhere";
const MP4: (&str, &str) = ("content-type", "video/mp4");

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

/// A proxy before a provider whose finished job lies at this source, which may be anywhere on loopback.
fn before(source: &Upstream, more: &str) -> (Upstream, Proxy) {
    let address = source.address();
    let provider = provider(move |_| format!("http://{address}/v/a.mp4?sig=secret"));
    let proxy = Proxy::start(&config(&provider, &format!("allow_hosts: [\"{address}\"]{more}")));
    (provider, proxy)
}

/// The range that a request asks for, from the first byte to behind the last.
fn range(request: &Request, total: usize) -> Option<(usize, usize)> {
    let (first, last) = request.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    Some((first, last.parse::<usize>().map_or(total, |last| total.min(last + 1))))
}

#[test]
fn a_source_without_ranges_is_cut_here() {
    let file = bytes(300_000);
    let body = file.clone();
    let source = Upstream::start(move |_, stream| answer(stream, 200, &[MP4, ("etag", "\"v1\"")], &body));
    let (_provider, proxy) = before(&source, "");
    for (asked, start, end) in
        [("bytes=0-9", 0, 9), ("bytes=70000-200000", 70_000, 200_000), ("bytes=-5", 299_995, 299_999)]
    {
        let part = send(proxy.address(), "GET", CONTENT, &[("Range", asked)]);
        assert_eq!(part.status, 206, "{asked}");
        assert_eq!(part.header("content-range"), Some(format!("bytes {start}-{end}/300000").as_str()));
        assert!(part.body == file[start..=end], "{asked}");
    }
    let beyond = send(proxy.address(), "GET", CONTENT, &[("Range", "bytes=300000-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */300000")));
}

#[test]
fn a_source_that_does_not_say_how_long_it_is_is_passed_on_in_chunks() {
    let source = Upstream::start(|_, stream| {
        let head = "HTTP/1.1 200 X\r\ncontent-type: video/webm\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n").as_bytes()).is_ok()
    });
    let (_provider, proxy) = before(&source, "");
    let mut client = Client::connect(proxy.address());
    for headers in [&[][..], &[("Range", "bytes=1-2")][..]] {
        let whole = client.request("GET", CONTENT, headers, b"");
        assert_eq!((whole.status, whole.text().as_str()), (200, "abcdefg"));
        assert_eq!((whole.header("transfer-encoding"), whole.header("content-length")), (Some("chunked"), None));
        assert_eq!(whole.header("content-type"), Some("video/webm"));
    }
}

#[test]
fn a_client_of_http_1_0_gets_the_end_of_the_connection_for_the_end_of_the_body() {
    let source = Upstream::start(|_, stream| {
        let head = "HTTP/1.1 200 X\r\ncontent-type: video/webm\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}4\r\nabcd\r\n0\r\n\r\n").as_bytes()).is_ok()
    });
    let (_provider, proxy) = before(&source, "");
    let mut client = Client::connect(proxy.address());
    client.write(format!("GET {CONTENT} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").as_bytes());
    let answer = String::from_utf8_lossy(&client.read_to_end()).to_ascii_lowercase();
    assert!(answer.ends_with("\r\n\r\nabcd"), "{answer}");
    assert!(!answer.contains("transfer-encoding"), "{answer}");
}

#[test]
fn head_asks_for_no_body_and_falls_back_where_it_is_refused() {
    for allows_head in [true, false] {
        let source = Upstream::start(move |request, stream| match (request.method.as_str(), allows_head) {
            ("HEAD", true) => stream
                .write_all(b"HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: 5000000\r\n\r\n")
                .is_ok(),
            ("HEAD", false) => stream.write_all(b"HTTP/1.1 403 X\r\ncontent-length: 0\r\n\r\n").is_ok(),
            _ => {
                assert_eq!(request.header("range"), Some("bytes=0-0"));
                answer(stream, 206, &[MP4, ("content-range", "bytes 0-0/5000000")], b"x")
            }
        });
        let (_provider, proxy) = before(&source, "");
        let head = send(proxy.address(), "HEAD", CONTENT, &[]);
        assert_eq!((head.status, head.header("content-length")), (200, Some("5000000")), "{allows_head}");
        let methods: Vec<String> = source.requests().into_iter().map(|request| request.method).collect();
        assert_eq!(methods, if allows_head { vec!["HEAD"] } else { vec!["HEAD", "GET"] });
    }
}

/// A source that breaks off after so many bytes of each answer, with this tag for the nth answer.
fn breaking(file: Vec<u8>, after: usize, tag: impl Fn(usize) -> String + Send + Sync + 'static) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |request, stream| {
        let nth = count.fetch_add(1, Ordering::SeqCst) + 1;
        let total = file.len();
        let (start, end) = range(request, total).unwrap_or((0, total));
        let status = if request.header("range").is_some() { 206 } else { 200 };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: video/mp4\r\netag: {}\r\ncontent-length: {}\r\ncontent-range: bytes {start}-{}/{total}\r\n\r\n",
            tag(nth),
            end - start,
            end - 1
        );
        let stop = end.min(start + after);
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&file[start..stop]));
        stop == end
    })
}

#[test]
fn a_download_goes_on_where_its_source_broke_off() {
    let file = bytes(1_000_000);
    let source = breaking(file.clone(), 300_000, |_| "\"v1\"".into());
    let (_provider, proxy) = before(&source, "");
    let whole = get(proxy.address(), CONTENT);
    assert_eq!(whole.status, 200);
    assert!(whole.body == file, "{} bytes", whole.body.len());
    let asked: Vec<Option<String>> =
        source.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!((asked[0].as_deref(), asked[3].as_deref()), (None, Some("bytes=900000-999999")));

    let part = send(proxy.address(), "GET", CONTENT, &[("Range", "bytes=100000-799999")]);
    assert_eq!(part.status, 206);
    assert!(part.body == file[100_000..800_000], "{} bytes", part.body.len());
}

#[test]
fn another_version_is_never_glued_to_the_first() {
    for tag in ["changing", "weak", "none"] {
        let source = breaking(bytes(1_000_000), 300_000, move |nth| match tag {
            "changing" => format!("\"v{nth}\""),
            "weak" => "W/\"v1\"".into(),
            _ => String::new(),
        });
        let (_provider, proxy) = before(&source, "");
        let mut client = Client::connect(proxy.address());
        client.write(format!("GET {CONTENT} HTTP/1.1\r\nHost: videos.test\r\n\r\n").as_bytes());
        let answer = client.read_to_end();
        let head = String::from_utf8_lossy(&answer[..200]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{tag}: {head}");
        assert!(answer.len() < 310_000, "{tag}: the connection ends with what came, {} bytes", answer.len());
        wait_until("the log says why", || proxy.log().contains("broke off"));
        // The next request is served.
        assert_eq!(send(proxy.address(), "GET", CONTENT, &[("Range", "bytes=0-9")]).body, bytes(10));
    }
}

#[test]
fn a_source_that_falls_silent_is_given_up() {
    let source = Upstream::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: 100\r\n\r\nabc");
        let mut rest = [0];
        let _ = std::io::Read::read(stream, &mut rest);
        false
    });
    let (_provider, proxy) = before(&source, ", idle_timeout: 300ms");
    let mut client = Client::connect(proxy.address());
    client.write(format!("GET {CONTENT} HTTP/1.1\r\nHost: videos.test\r\n\r\n").as_bytes());
    assert!(client.read_to_end().ends_with(b"\r\n\r\nabc"));
}

#[test]
fn a_dead_link_is_replaced_by_a_fresh_poll() {
    for dead in [401, 403, 404, 410] {
        let source = Upstream::start(move |request, stream| match request.target.as_str() {
            "/old.mp4" => answer(stream, dead, &[("content-type", "application/xml")], b"<Error/>"),
            _ => answer(stream, 200, &[MP4], b"fresh"),
        });
        let address = source.address();
        let provider = provider(move |nth| format!("http://{address}/{}.mp4", if nth == 1 { "old" } else { "new" }));
        let proxy = Proxy::start(&config(&provider, &format!("allow_hosts: [\"{address}\"]")));
        // The first poll is kept by the cache, with the link that will have died.
        assert_eq!(get(proxy.address(), &format!("/v1/videos/{JOB}:replicate")).status, 200);
        let fetched = get(proxy.address(), CONTENT);
        assert_eq!((fetched.status, fetched.text().as_str()), (200, "fresh"), "{dead}");
        assert_eq!(provider.requests().len(), 2, "{dead}");
        // What the fresh poll said is what is known from then on.
        assert_eq!(get(proxy.address(), CONTENT).text(), "fresh");
        assert_eq!((provider.requests().len(), source.requests().len()), (2, 3), "{dead}");
    }
}

#[test]
fn a_link_that_stays_dead_is_410() {
    let source =
        Upstream::start(|_, stream| answer(stream, 403, &[("content-type", "text/xml")], b"<Error>sig=secret</Error>"));
    let (provider, proxy) = before(&source, "");
    let gone = get(proxy.address(), CONTENT);
    assert_eq!((gone.status, gone.code().as_str()), (410, "video_expired"), "{}", gone.text());
    assert_eq!((provider.requests().len(), source.requests().len()), (2, 2), "it was refreshed once");
    assert!(!gone.text().contains("secret"), "{}", gone.text());
    assert_eq!(gone.json()["is_bifrost_error"], false);
}

#[test]
fn a_source_that_fails_is_an_error_of_the_query() {
    let table = [
        (500, "", 502, "upstream_error"),
        (400, "", 502, "upstream_error"),
        (503, "retry-after: 7\r\n", 503, "upstream_unavailable"),
        (429, "retry-after: 7\r\n", 429, "rate_limit_exceeded"),
    ];
    for (given, lines, status, code) in table {
        let source = Upstream::start(move |_, stream| {
            stream.write_all(format!("HTTP/1.1 {given} X\r\n{lines}content-length: 0\r\n\r\n").as_bytes()).is_ok()
        });
        let (_provider, proxy) = before(&source, "");
        let failed = get(proxy.address(), CONTENT);
        assert_eq!((failed.status, failed.code().as_str()), (status, code), "{given}");
        assert_eq!(failed.header("retry-after"), (!lines.is_empty()).then_some("7"), "{given}");
    }
    for page in ["text/html; charset=utf-8", "application/json"] {
        let source = Upstream::start(move |_, stream| answer(stream, 200, &[("content-type", page)], b"log in"));
        let (_provider, proxy) = before(&source, "");
        let failed = get(proxy.address(), CONTENT);
        assert_eq!((failed.status, failed.code().as_str()), (502, "upstream_invalid_response"), "{page}");
    }
}

#[test]
fn credentials_go_to_the_providers_own_host_and_stay_there() {
    let cdn = Upstream::start(|_, stream| answer(stream, 200, &[MP4], b"from the cdn"));
    let address = cdn.address();
    let api = Upstream::start(move |request: &Request, stream: &mut TcpStream| match request.target.as_str() {
        "/v1/videos/video_a" => {
            let body = br#"{"id":"video_a","object":"video","status":"completed"}"#;
            answer(stream, 200, &[("content-type", "application/json")], body)
        }
        "/v1/videos/video_a/content" => answer(stream, 302, &[("location", "/v1/moved?x=1")], b""),
        "/v1/moved?x=1" => answer(stream, 307, &[("location", &format!("http://{address}/b.mp4"))], b""),
        other => panic!("{other}"),
    });
    let proxy = Proxy::start(&format!(
        "providers:\n  openai:\n    base_url: http://{}/v1\n    credentials: {{api_key: {SECRET}}}\n    \
         headers: {{OpenAI-Organization: org-secret}}\n    content: {{allow_hosts: [\"{address}\"]}}\n",
        api.address()
    ));
    let headers =
        [("Cookie", "c=1"), ("Authorization", "Bearer of-the-client"), ("X-Forwarded-For", "1.2.3.4"), ("X-Any", "1")];
    let fetched = send(proxy.address(), "GET", "/v1/videos/video_a:openai/content", &headers);
    assert_eq!((fetched.status, fetched.text().as_str()), (200, "from the cdn"));
    for request in api.requests() {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {SECRET}").as_str()), "{}", request.target);
        assert_eq!(request.header("openai-organization"), Some("org-secret"));
    }
    let foreign = cdn.requests();
    let mut names: Vec<&str> = foreign[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
}

#[test]
fn a_public_link_is_handed_out_where_the_settings_say_so() {
    let link = "https://replicate.delivery/xezq/a.mp4?signature=abc";
    let provider = provider(move |_| link.to_owned());
    let proxy = Proxy::start(&config(&provider, "mode: redirect"));
    for method in ["GET", "HEAD"] {
        let response = send(proxy.address(), method, CONTENT, &[]);
        assert_eq!(
            (response.status, response.header("location"), response.body.len()),
            (302, Some(link), 0),
            "{method}"
        );
    }
    // A link that would not be followed is not handed out either.
    let elsewhere = super::provider(|_| "https://evil.example/a.mp4".into());
    let proxy = Proxy::start(&config(&elsewhere, "mode: redirect"));
    let response = get(proxy.address(), CONTENT);
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_invalid_response"));
}

#[test]
fn a_client_that_reads_slowly_holds_up_its_source() {
    const TOTAL: usize = 200 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let source = Upstream::start(move |_, stream| {
        let head = format!("HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: {TOTAL}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let piece = vec![7; 64 << 10];
        while count.load(Ordering::SeqCst) < TOTAL && stream.write_all(&piece).is_ok() {
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
        false
    });
    let (_provider, proxy) = before(&source, "");
    let mut client = Client::connect(proxy.address());
    client.write(format!("GET {CONTENT} HTTP/1.1\r\nHost: videos.test\r\n\r\n").as_bytes());
    let first = client.read_exactly(1000);
    assert!(first.starts_with(b"HTTP/1.1 200"));
    // The source comes to a halt when all buffers on the way are full.
    let mut before = usize::MAX;
    wait_until("the source is held up", || {
        let now = sent.load(Ordering::SeqCst);
        let is_still = now == before;
        before = now;
        std::thread::sleep(std::time::Duration::from_millis(100));
        is_still
    });
    assert!(before < TOTAL / 4, "{before} bytes left the source");
}
