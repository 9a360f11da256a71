//! Clients of HTTP/2 with prior knowledge, services of HTTP/1.

use super::{Service, pattern, text};
use crate::support::Proxy;
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, StatusCode};
use std::future::Future;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Runs a client on a runtime of its own, with an end.
fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(crate::support::PATIENCE, future).await.expect("it hangs") })
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let (client, connection) = h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn request(method: &str, target: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://videos.test:81{target}")).body(()).unwrap()
}

/// Sends a request whose body comes in these pieces; the last one ends it.
async fn ask(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    pieces: &[&[u8]],
) -> Result<(StatusCode, HeaderMap, Vec<u8>), h2::Error> {
    *client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request, pieces.is_empty())?;
    for (i, piece) in pieces.iter().enumerate() {
        let mut rest = Bytes::copy_from_slice(piece);
        let is_last = i + 1 == pieces.len();
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await.unwrap()?;
            let now = rest.split_to(room.min(rest.len()));
            let is_end = is_last && rest.is_empty();
            stream.send_data(now, is_end)?;
        }
        if piece.is_empty() {
            stream.send_data(Bytes::new(), is_last)?;
        }
    }
    let (head, mut body) = response.await?.into_parts();
    let mut whole = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok((head.status, head.headers, whole))
}

#[test]
fn a_get_becomes_a_request_of_http_1_with_its_host() {
    let service = Service::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 1\r\n\r\nok".to_vec()
    });
    let proxy = service.proxied();
    run(async {
        let mut client = connect(proxy.address()).await;
        let mut get = request("GET", "/a//b%2F;c?x=1&x=2");
        get.headers_mut().append("x-twice", "1".parse().unwrap());
        get.headers_mut().append("x-twice", "2".parse().unwrap());
        get.headers_mut().append("te", "trailers".parse().unwrap());
        let (status, headers, body) = ask(&mut client, get, &[]).await.unwrap();
        assert_eq!((status.as_u16(), text(&body).as_str(), headers["x-end"].as_bytes()), (200, "ok", &b"1"[..]));
        for name in ["x-hop", "keep-alive", "connection"] {
            assert_eq!(headers.get(name), None, "{name}");
        }
    });
    let seen = service.last();
    assert_eq!(
        (seen.method.as_str(), seen.target().as_str(), seen.version.as_str()),
        ("GET", "/a//b%2F;c?x=1&x=2", "HTTP/1.1")
    );
    assert_eq!(seen.header("host"), Some("videos.test:81"));
    assert_eq!(seen.all("x-twice"), ["1", "2"]);
    let mut names: Vec<_> = seen.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(names, ["host", "x-twice", "x-twice"]);
}

#[test]
fn a_body_that_ends_with_an_empty_frame_leaves_the_services_connection_good() {
    let service = Service::answering(|request| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", request.body.len(), text(&request.body)).into_bytes()
    });
    let proxy = service.proxied();
    run(async {
        let mut client = connect(proxy.address()).await;
        let bodies: &[&[&[u8]]] = &[&[b"hello", b""], &[b"a", b"", b"b", b""], &[b""], &[b"whole"], &[b"x", b"y"]];
        for (i, pieces) in bodies.iter().cycle().take(15).enumerate() {
            let target = format!("/{i}");
            let (status, _, body) = ask(&mut client, request("POST", &target), pieces).await.unwrap();
            assert_eq!((status.as_u16(), body), (200, pieces.concat()), "{pieces:?}");
            let seen = service.last();
            assert_eq!((seen.method.as_str(), seen.target()), ("POST", target), "the next request is intact");
            assert_eq!(ask(&mut client, request("GET", "/between"), &[]).await.unwrap().0, 200);
        }
    });
    assert_eq!(service.seen().len(), 30);
    // A spoilt connection would be given up after each of the 15 bodies. A few are made anew all the same: the next
    // request can come before the last connection is back in the pool.
    assert!(service.connections() < 8, "{} connections", service.connections());
}

#[test]
fn many_streams_with_large_bodies_share_a_connection() {
    let service = Service::answering(|request| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
        [head.as_bytes(), &request.body].concat()
    });
    let proxy = service.proxied();
    let body = pattern(1 << 20);
    run(async {
        let client = connect(proxy.address()).await;
        let asks: Vec<_> = (0..10)
            .map(|i| {
                let (mut client, body) = (client.clone(), body.clone());
                tokio::spawn(async move {
                    let answer = ask(&mut client, request("PUT", &format!("/{i}")), &[&body]).await.unwrap();
                    answer.2 == body
                })
            })
            .collect();
        for ask in asks {
            assert!(ask.await.unwrap());
        }
    });
}

#[test]
fn statuses_events_and_cookies_come_back() {
    let service = Service::answering(|request| {
        match request.target().as_str() {
        "/204" => b"HTTP/1.1 204 X\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 X\r\nETag: \"x\"\r\n\r\n".to_vec(),
        "/chunked" => b"HTTP/1.1 200 X\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 302 X\r\nLocation: /x?y\r\nContent-Length: 0\r\n\r\n".to_vec(),
    }
    });
    let proxy = service.proxied();
    run(async {
        let mut client = connect(proxy.address()).await;
        for (target, want, body) in [("/204", 204, ""), ("/304", 304, ""), ("/chunked", 200, "ab"), ("/302", 302, "")] {
            let (status, headers, got) = ask(&mut client, request("GET", target), &[]).await.unwrap();
            assert_eq!((status.as_u16(), text(&got).as_str()), (want, body), "{target}");
            assert_eq!(headers.get_all("set-cookie").iter().count(), if target == "/chunked" { 2 } else { 0 });
            assert_eq!(headers.get("transfer-encoding"), None);
        }
    });
}

#[test]
fn a_service_that_breaks_off_resets_the_stream() {
    let service = Service::raw(|conversation| {
        conversation.request()?;
        conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        None
    });
    let proxy = service.proxied();
    run(async {
        let mut client = connect(proxy.address()).await;
        let result = ask(&mut client, request("GET", "/"), &[]).await;
        assert!(result.is_err(), "half an answer looks whole: {result:?}");
        // The connection lives on.
        let (status, _, _) = ask(&mut client, request("GET", "/v1/videos/a:nobody"), &[]).await.unwrap();
        assert_eq!(status, 400);
    });
}

#[test]
fn errors_of_ours_reach_clients_of_http_2() {
    let proxy = Proxy::start(&format!("passthrough: {{upstreams: [\"http://{}\"]}}\n", super::nobody()));
    run(async {
        let mut client = connect(proxy.address()).await;
        for pieces in [&[][..], &[&b"body"[..]]] {
            let (status, headers, body) = ask(&mut client, request("POST", "/"), pieces).await.unwrap();
            assert_eq!((status.as_u16(), headers["content-type"].as_bytes()), (502, &b"application/json"[..]));
            assert!(text(&body).contains("upstream_unreachable"));
        }
    });
}
