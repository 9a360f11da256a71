//! The example of a Pingora service that embeds the gateway, run as it is.

#[path = "../examples/embed.rs"]
#[allow(dead_code, reason = "its main is for the command line")]
mod embed;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use vidgate::config::Settings;
use vidgate::sandbox::{Options, Pace, Sandbox};

const PATIENCE: Duration = Duration::from_secs(20);

/// One request over a connection of its own; the answer as text.
fn ask(address: SocketAddr, request_line: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{request_line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A service that says what it was asked.
fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend_from_slice(&byte);
            }
            let line = String::from_utf8_lossy(&head).lines().next().unwrap().to_owned();
            let length = line.len();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{line}").unwrap();
        }
    });
    address
}

#[test]
fn an_embedded_gateway_answers_for_videos_and_leaves_the_rest_to_its_host() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = Options { pace: Pace::INSTANT, ..Options::default() };
    let sandbox = runtime.block_on(Sandbox::start(options)).unwrap();
    let config = format!(
        "providers: {{openai: {{base_url: \"{}\", credentials: {{api_key: test-key-123}}}}}}",
        sandbox.base_url("openai")
    );
    let settings = Settings::parse(&config).unwrap();
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = service();
    // It runs until the process ends.
    thread::spawn(move || embed::serve(&settings, listen, upstream).unwrap());
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(listen).is_err() {
        assert!(Instant::now() < end, "the example never listens");
        thread::sleep(Duration::from_millis(5));
    }

    let job = vidgate::sandbox::KINDS.iter().find(|kind| kind.name == "openai").unwrap().examples[0];
    let video = ask(listen, &format!("GET /v1/videos/{job}:openai"));
    assert!(video.starts_with("HTTP/1.1 200 "), "{video}");
    assert!(video.contains("\"status\":\"completed\""), "{video}");

    let unknown = ask(listen, "GET /v1/videos/x:nobody");
    assert!(unknown.starts_with("HTTP/1.1 400 ") && unknown.contains("unknown_provider"), "{unknown}");

    for request in ["GET /anything?x=1", "POST /v1/videos", "POST /v1/videos/x:openai", "GET /v1/videos"] {
        let answer = ask(listen, request);
        assert!(answer.ends_with(&format!("\r\n\r\n{request} HTTP/1.1")), "{answer}");
    }
}
