//! Clients that speak HTTP/2 with prior knowledge.

use crate::support::{Providers, Proxy, Response, Upstream};
use h2::client::SendRequest;
use http::{Method, Request};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// One connection and the runtime that drives it.
struct Connection {
    runtime: Runtime,
    sender: SendRequest<bytes::Bytes>,
    address: SocketAddr,
}

impl Connection {
    fn open(address: SocketAddr) -> Connection {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Connection { runtime, sender, address }
    }

    fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        self.runtime.block_on(exchange(self.sender.clone(), request(self.address, method, path, headers)))
    }
}

fn request(address: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

async fn exchange(sender: SendRequest<bytes::Bytes>, request: Request<()>) -> Response {
    let mut sender = sender.ready().await.unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let (head, mut stream) = response.await.unwrap().into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.unwrap();
        stream.flow_control().release_capacity(chunk.len()).unwrap();
        body.extend_from_slice(&chunk);
    }
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    Response { status: head.status.as_u16(), headers, body }
}

#[test]
fn a_video_is_retrieved_over_http_2() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    let connection = Connection::open(proxy.address());

    let video = connection.send(Method::GET, "/v1/videos/video_a00:openai", &[("x-request-id", "r1")]);
    assert_eq!(video.status, 200, "{}", video.text());
    assert_eq!(video.json()["id"], "video_a00:openai");
    assert_eq!(video.header("x-request-id"), Some("r1"));
    assert_eq!(video.header("content-length"), Some(video.body.len().to_string().as_str()));
    let link = format!("http://{}/v1/videos/video_a00:openai/content?index=0", proxy.address());
    assert_eq!(video.json()["videos"][0]["url"], link.as_str());

    let head = connection.send(Method::HEAD, "/v1/videos/video_a00:openai", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), video.header("etag"));
    assert!(head.header("content-length").is_some());

    let etag = video.header("etag").unwrap();
    let held = connection.send(Method::GET, "/v1/videos/video_a00:openai", &[("if-none-match", etag)]);
    assert_eq!((held.status, held.body.len(), held.header("etag")), (304, 0, Some(etag)));

    let slashes = connection.send(Method::GET, "/v1/videos/models/veo/operations/a00:gemini", &[]);
    assert_eq!(slashes.json()["id"], "models/veo/operations/a00:gemini");
}

#[test]
fn errors_are_the_same_over_http_2() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config("retries: 0"));
    let connection = Connection::open(proxy.address());
    let table = [
        (Method::GET, "/v1/videos/video_a44:openai", 404, "video_not_found"),
        (Method::GET, "/v1/videos/video_a49:openai", 429, "rate_limit_exceeded"),
        (Method::GET, "/v1/videos/..:openai", 400, "invalid_video_id"),
        (Method::GET, "/v1/videos/%2e%2e%2f..%2fadmin:openai", 400, "invalid_video_id"),
        (Method::GET, "/v1/videos/video_1:nobody", 400, "unknown_provider"),
        (Method::DELETE, "/v1/videos/video_a00:openai", 405, "method_not_allowed"),
        (Method::GET, "/nowhere", 404, "route_not_found"),
    ];
    for (method, path, status, code) in table {
        let response = connection.send(method, path, &[]);
        assert_eq!((response.status, response.code().as_str()), (status, code), "{path}");
        assert_eq!(response.json()["event_id"], response.header("x-request-id").unwrap());
    }
}

#[test]
fn many_streams_share_a_connection() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    let connection = Connection::open(proxy.address());
    let all = async {
        let mut streams = Vec::new();
        for number in 0..60 {
            let path = format!("/v1/videos/video_{number}_00:openai");
            let request = request(connection.address, Method::GET, &path, &[]);
            streams.push(tokio::spawn(exchange(connection.sender.clone(), request)));
        }
        for (number, stream) in streams.into_iter().enumerate() {
            let response = stream.await.unwrap();
            assert_eq!(response.status, 200, "{number}: {}", response.text());
            assert_eq!(response.json()["id"], format!("video_{number}_00:openai"));
        }
    };
    connection.runtime.block_on(all);
}

#[test]
fn a_provider_gets_the_same_headers_from_an_http_2_client() {
    let upstream = Upstream::json(200, r#"{"status":"queued"}"#);
    let config = format!("providers:\n  own: {{kind: openai, base_url: \"http://{}/v1\"}}\n", upstream.address());
    let proxy = Proxy::start(&config);
    let connection = Connection::open(proxy.address());
    let headers =
        [("cookie", "a=b"), ("authorization", "Bearer client"), ("x-forwarded-for", "10.0.0.1"), ("te", "trailers")];
    assert_eq!(connection.send(Method::GET, "/v1/videos/video_1:own", &headers).status, 200);
    let requests = upstream.requests();
    let mut names: Vec<&str> = requests[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent", "x-request-id"]);
    assert_eq!(requests[0].header("host"), Some(upstream.address().to_string().as_str()));
}
