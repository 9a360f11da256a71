//! HTTP/1 on both sides.

use super::{Service, pattern, text};
use crate::support::{Client, Proxy, get, send};

/// A provider that nobody asks.
const PROVIDER: &str = "providers: {openai: {base_url: \"http://127.0.0.1:9\", credentials: {api_key: k}}}\n";

#[test]
fn every_method_reaches_the_service_with_its_body() {
    let service = Service::saying("done");
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "VERSION-CONTROL"] {
        for body in [&b""[..], b"a=b"] {
            let response = client.request(method, "/any/thing?q=1", &[], body);
            assert_eq!(response.status, 200, "{method}");
            assert_eq!(response.header("content-length"), Some("4"), "{method}");
            assert_eq!(response.text(), if method == "HEAD" { "" } else { "done" }, "{method}");
            let seen = service.last();
            assert_eq!((seen.method.as_str(), seen.target().as_str()), (method, "/any/thing?q=1"));
            assert_eq!(text(&seen.body), text(body), "{method}");
        }
    }
    assert_eq!(service.connections(), 1, "the connection to the service is kept");
}

#[test]
fn a_target_is_passed_on_byte_for_byte() {
    let service = Service::saying("");
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    let targets: &[&[u8]] = &[
        b"/",
        b"//",
        b"//evil.test//x//",
        b"/a/../b/./c",
        b"/%2F%2f%00%zz%",
        b"/a;b=c;d/e,f",
        b"/?",
        b"/x?a=1&a=2&=&b=%20+/?:@",
        b"/x?q={[1|2]}^`",
        b"/~!$&'()*+,;=:@-._",
        b"/caf\xc3\xa9?\xc3\xa9",
        b"http://videos.test/absolute?x",
        b"/v1/videos",
        b"/v1/videos/",
        b"/v1/videos?limit=2",
        b"/v1/videos/video_1/remix",
        b"/v1/videos/video_1:openai/remix",
        b"/v1/videos/characters/abc",
        b"/v1/videos/edits",
        b"/v1/videos/extensions",
        b"/v1/videos/a/b/c",
        b"/v1/videosx/a:openai",
        b"/V1/videos/a:openai",
    ];
    for target in targets {
        client.write(&[b"GET ", *target, b" HTTP/1.1\r\nHost: videos.test\r\n\r\n"].concat());
        assert_eq!(client.read(false).status, 200, "{}", text(target));
        assert_eq!(text(&service.last().target), text(target));
        assert_eq!(service.last().target, *target);
    }
    client.write(b"OPTIONS * HTTP/1.1\r\nHost: videos.test\r\n\r\n");
    assert_eq!(client.read(false).status, 200);
    assert_eq!(service.last().target, b"*");
}

#[test]
fn methods_that_are_not_ours_pass_through_on_paths_that_are() {
    let service = Service::saying("made");
    let proxy = service.proxied();
    for method in ["POST", "DELETE", "PATCH", "OPTIONS"] {
        for target in ["/v1/videos/abc:openai", "/v1/videos/abc:openai/content", "/v1/videos"] {
            assert_eq!(send(proxy.address(), method, target, &[]).text(), "made", "{method} {target}");
            assert_eq!((service.last().method.as_str(), service.last().target().as_str()), (method, target));
        }
    }
    for ours in ["/v1/videos/abc:openai", "http://videos.test/v1/videos/abc:openai"] {
        let response = get(proxy.address(), ours);
        assert_eq!((response.status, response.code().as_str()), (400, "unknown_provider"), "{ours}");
    }
}

#[test]
fn headers_are_passed_on_as_they_are_and_none_is_added() {
    let service = Service::saying("");
    let proxy = service.proxied();
    let headers = [
        ("HOST", "Some.Host:8443"),
        ("User-Agent", "test/1"),
        ("accept", "*/*"),
        ("Accept-Encoding", "br, zstd"),
        ("Cookie", "a=1"),
        ("cookie", "b=2"),
        ("X-Twice", "one"),
        ("x-tWICE", "two"),
        ("X-Empty", ""),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Authorization", "Bearer theirs"),
        ("x-api-key", "theirs"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "\"x\""),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("X-Umlaut", "ü"),
    ];
    assert_eq!(send(proxy.address(), "GET", "/h", &headers).status, 200);
    let mut want: Vec<_> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).to_vec();
    let seen = service.last();
    let mut got: Vec<_> = seen.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    assert_eq!((seen.all("cookie"), seen.all("x-twice")), (vec!["a=1", "b=2"], vec!["one", "two"]));
    want.sort();
    got.sort();
    assert_eq!(got, want);
    assert_eq!(seen.version, "HTTP/1.1");
}

#[test]
fn headers_of_one_hop_stay_on_their_hop() {
    let service = Service::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\n\
          Proxy-Connection: close\r\nX-End: 1\r\n\r\nok"
            .to_vec()
    });
    let proxy = service.proxied();
    let headers = [
        ("Connection", "keep-alive, X-Hop, te"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic YTpi"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ("X-End", "1"),
    ];
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let response = client.request("GET", "/", &headers, b"");
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        assert_eq!(response.header("x-end"), Some("1"));
        for name in ["x-hop", "keep-alive", "proxy-connection"] {
            assert_eq!(response.header(name), None, "{name}");
        }
        assert_eq!(response.header("connection"), Some("keep-alive"), "the client's connection is not the service's");
        let seen = service.last();
        let names: Vec<_> = seen.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert_eq!(names, ["host", "x-end"]);
    }
}

#[test]
fn bodies_keep_their_framing() {
    let service = Service::saying("ok");
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    let table: &[(&str, &str, &str, Option<&str>)] = &[
        ("POST", "Content-Length: 5\r\n\r\nhello", "hello", Some("5")),
        ("POST", "Content-Length: 0\r\n\r\n", "", Some("0")),
        ("POST", "\r\n", "", None),
        ("POST", "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", "hello", None),
        ("PUT", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", None),
        ("PUT", "Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n", "ok", None),
        ("GET", "Content-Length: 2\r\n\r\nhi", "hi", Some("2")),
        ("DELETE", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "hi", None),
    ];
    for (method, rest, body, length) in table {
        client.write(format!("{method} /body HTTP/1.1\r\nHost: a\r\n{rest}").as_bytes());
        assert_eq!(client.read(false).text(), "ok", "{rest}");
        let seen = service.last();
        assert_eq!(text(&seen.body), *body, "{rest}");
        assert_eq!(seen.header("content-length"), *length, "{rest}");
        assert_eq!(seen.header("transfer-encoding").is_some(), rest.contains("chunked"), "{rest}");
    }
}

#[test]
fn answers_of_every_status_are_passed_on() {
    let service = Service::answering(|request| {
        let status = request.target().trim_start_matches('/').to_owned();
        let length = if matches!(status.as_str(), "204") { String::new() } else { "Content-Length: 4\r\n".into() };
        let body = if matches!(status.as_str(), "204" | "304") { "" } else { "body" };
        format!("HTTP/1.1 {status} Its Own Words\r\nLocation: /else?where\r\nETag: \"x\"\r\n{length}\r\n{body}").into()
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    for status in [200, 201, 202, 204, 206, 301, 302, 304, 307, 400, 401, 404, 409, 418, 429, 500, 502, 503, 599] {
        let response = client.request("GET", &format!("/{status}"), &[], b"");
        assert_eq!(response.status, status);
        assert_eq!((response.header("location"), response.header("etag")), (Some("/else?where"), Some("\"x\"")));
        let body = if matches!(status, 204 | 304) { "" } else { "body" };
        assert_eq!(response.text(), body, "{status}");
        assert_eq!(response.header("transfer-encoding"), None, "{status}");
    }
    assert_eq!(service.connections(), 1);
}

#[test]
fn early_hints_come_before_the_answer() {
    let service = Service::answering(|_| {
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    let hint = client.request("GET", "/", &[], b"");
    assert_eq!((hint.status, hint.header("link")), (103, Some("</a.css>")));
    assert_eq!(client.read(false).text(), "ok");
}

#[test]
fn a_client_that_expects_100_waits_for_the_service_to_say_so() {
    let service = Service::raw(|conversation| {
        loop {
            let request = conversation.head()?;
            assert_eq!(request.header("expect"), Some("100-continue"));
            if request.target() == "/no" {
                conversation.write(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
                return None;
            }
            conversation.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            assert_eq!(conversation.body(&request)?, b"hello");
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    });
    let proxy = service.proxied();
    let head = "HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut client = Client::connect(proxy.address());
    client.write(format!("POST /yes {head}").as_bytes());
    assert_eq!(client.read(true).status, 100);
    client.write(b"hello");
    assert_eq!(client.read(false).text(), "ok");
    let mut client = Client::connect(proxy.address());
    client.write(format!("POST /no {head}").as_bytes());
    assert_eq!(client.read(false).status, 417);
}

#[test]
fn encoded_bodies_and_repeated_cookies_are_not_touched() {
    let body = pattern(3000);
    let answer = body.clone();
    let service = Service::answering(move |_| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\
                          Server: theirs\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 3000\r\n\r\n"
            .to_vec();
        bytes.extend_from_slice(&answer);
        bytes
    });
    let proxy = service.proxied();
    let response = send(proxy.address(), "GET", "/", &[("Accept-Encoding", "identity")]);
    assert_eq!(response.body, body);
    assert_eq!((response.header("content-encoding"), response.header("server")), (Some("gzip"), Some("theirs")));
    let cookies: Vec<_> = response.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(cookies.len(), 2);
    for name in ["via", "x-request-id", "x-vidgate-cache", "alt-svc"] {
        assert_eq!(response.header(name), None, "{name}");
    }
}

#[test]
fn a_client_of_http_1_0_gets_an_answer_it_can_read() {
    let service = Service::answering(|request| match request.target().as_str() {
        "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
    });
    let proxy = service.proxied();
    for target in ["/plain", "/chunked"] {
        for host in ["", "Host: a\r\n"] {
            let mut client = Client::connect(proxy.address());
            client.write(format!("GET {target} HTTP/1.0\r\n{host}\r\n").as_bytes());
            let answer = text(&client.read_to_end());
            assert!(answer.starts_with("HTTP/1."), "{target} {host:?} {answer:?} {}", proxy.log());
            assert!(answer.ends_with("\r\n\r\nabc"), "{target}: {answer}");
            assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
        }
    }
}

#[test]
fn a_service_of_http_1_0_that_ends_its_body_by_closing_is_understood() {
    let service = Service::raw(|conversation| {
        conversation.request()?;
        conversation.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it")?;
        None
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        assert_eq!(client.request("GET", "/", &[], b"").text(), "all of it");
    }
}

#[test]
fn a_head_of_two_hundred_headers_fits() {
    let service = Service::saying("ok");
    let proxy = service.proxied();
    let names: Vec<_> = (0..200).map(|i| format!("x-h-{i}")).collect();
    let value = "v".repeat(200);
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    assert_eq!(send(proxy.address(), "GET", "/", &headers).status, 200);
    assert_eq!(service.last().headers.len(), 201);
}

#[test]
fn without_passthrough_what_is_not_ours_is_404() {
    let proxy = Proxy::start(PROVIDER);
    let response = get(proxy.address(), "/v1/videos");
    assert_eq!((response.status, response.code().as_str()), (404, "route_not_found"));
    let response = send(proxy.address(), "POST", "/v1/videos/a:openai", &[]);
    assert_eq!((response.status, response.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(response.header("allow"), Some("GET, HEAD"));
}
