//! What an answer from the poll cache costs, next to a fixed answer of 500 bytes written straight from
//! `request_filter`: CPU time of the serving thread per request, both in one process and one run, in turn.
//!
//! `cargo bench --bench hit`. Linux only: the CPU time of a thread is read from `/proc`.

use async_trait::async_trait;
use bytes::Bytes;
use pingora::apps::HttpServerOptions;
use pingora::http::ResponseHeader;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service_with_name};
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::upstreams::peer::HttpPeer;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use vidgate::config::Settings;
use vidgate::gateway::Gateway;

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 2_000;
const ROUNDS: usize = 9;
const JOB: &str = r#"{"id":"video_1","object":"video","model":"sora-2","status":"in_progress","progress":40}"#;

/// Answers everything with the same 500 bytes.
struct Fixed(Bytes);

/// Answers from the gateway.
struct Videos(Gateway);

#[async_trait]
impl ProxyHttp for Fixed {
    type CTX = ();
    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, _: &mut ()) -> pingora::Result<bool> {
        let mut header = ResponseHeader::build(200, Some(4))?;
        header.insert_header("content-type", "application/json")?;
        header.insert_header("content-length", self.0.len())?;
        session.write_response_header(Box::new(header), false).await?;
        session.write_response_body(Some(self.0.clone()), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        pingora::Error::e_explain(pingora::ErrorType::HTTPStatus(404), "everything is answered")
    }
}

#[async_trait]
impl ProxyHttp for Videos {
    type CTX = ();
    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, _: &mut ()) -> pingora::Result<bool> {
        Ok(self.0.intercept(session).await?.is_answered())
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        pingora::Error::e_explain(pingora::ErrorType::HTTPStatus(404), "everything is answered")
    }
}

fn main() {
    let provider = provider();
    let settings = Settings::parse(&format!(
        "providers: {{p: {{kind: openai, base_url: 'http://{provider}/v1', poll: {{fresh_for: 1h}}}}}}"
    ))
    .unwrap();
    let (fixed, hit) = (free_address(), free_address());
    thread::spawn(move || serve(fixed, hit, Gateway::new(&settings).unwrap()));
    let path = "/v1/videos/video_1:p";
    let bytes = answer_length(hit, path);
    println!(
        "a hit is answered with {bytes} bytes of header and body, the fixed answer with {}",
        answer_length(fixed, path)
    );
    let mut ratios = Vec::with_capacity(ROUNDS);
    for round in 0..=ROUNDS {
        let (plain, kept) = (cost("fixed", fixed, path), cost("hit", hit, path));
        // The first round warms up.
        if round > 0 {
            println!("fixed {plain:6.2} us   hit {kept:6.2} us   ratio {:.3}", kept / plain);
            ratios.push(kept / plain);
        }
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio: median {:.3}, from {:.3} to {:.3}", ratios[ROUNDS / 2], ratios[0], ratios[ROUNDS - 1]);
}

fn serve(fixed: SocketAddr, hit: SocketAddr, gateway: Gateway) {
    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let body = Bytes::from(vec![b' '; 500]);
    let mut plain = http_proxy_service_with_name(&server.configuration, Fixed(body), "fixed");
    plain.add_tcp(&fixed.to_string());
    let mut videos = http_proxy_service_with_name(&server.configuration, Videos(gateway), "hit");
    videos.add_tcp(&hit.to_string());
    plain.app_logic_mut().unwrap().server_options = Some(HttpServerOptions::default());
    server.add_service(plain);
    server.add_service(videos);
    server.run(RunArgs::default());
}

/// Microseconds of CPU time that the service's thread takes per request.
fn cost(service: &str, address: SocketAddr, path: &str) -> f64 {
    let before = cpu_nanoseconds(service);
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let path = path.to_owned();
            thread::spawn(move || {
                let mut stream = connect(address);
                (0..REQUESTS).for_each(|_| drop(exchange(&mut stream, &path)));
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    (cpu_nanoseconds(service) - before) as f64 / (CONNECTIONS * REQUESTS) as f64 / 1000.0
}

/// CPU time of all threads of this name (Pingora names them after the service).
fn cpu_nanoseconds(service: &str) -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    let own = threads.filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == service));
    let times = own.map(|path| fs::read_to_string(path.join("schedstat")).unwrap());
    let sum: u64 = times.map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert!(sum > 0, "there is no thread named {service}");
    sum
}

fn connect(address: SocketAddr) -> TcpStream {
    for _ in 0..500 {
        if let Ok(stream) = TcpStream::connect(address) {
            stream.set_nodelay(true).unwrap();
            return stream;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("nobody listens on {address}")
}

fn answer_length(address: SocketAddr, path: &str) -> usize {
    exchange(&mut connect(address), path).len()
}

fn exchange(stream: &mut TcpStream, path: &str) -> Vec<u8> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    let (mut answer, mut chunk) = (Vec::with_capacity(2048), [0; 4096]);
    loop {
        let read = stream.read(&mut chunk).unwrap();
        answer.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_ascii_lowercase();
        let length: usize =
            lower.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
        if body.len() >= length {
            return answer;
        }
    }
}

/// Answers every request with one running job.
fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while stream.read(&mut chunk).is_ok_and(|read| read > 0) {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{JOB}", JOB.len());
                    let _ = stream.write_all(answer.as_bytes());
                }
            });
        }
    });
    address
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
