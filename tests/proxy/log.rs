//! The log: one line for each request, none lost on a good day, and no request that waits for it on a bad one.

use crate::metrics::{QUEUED, Scrape, entry};
use crate::support::{Client, Proxy, Upstream, get, send, temporary, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The line of the request with this path, once it is there.
fn line_of(proxy: &Proxy, path: &str) -> Value {
    let mut found = None;
    wait_until("the request is logged", || {
        let lines: Vec<Value> = proxy.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        found = lines.into_iter().find(|line| line["target"] == "vidgate::access" && line["path"] == path);
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_line_says_what_became_of_a_request() {
    let (good, bad) = (Upstream::json(200, QUEUED), Upstream::json(500, "{}"));
    let service = Upstream::json(201, "{\"a\":1}");
    let hash = ring::digest::digest(&ring::digest::SHA256, b"right");
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let proxy = Proxy::start(&format!(
        "client_auth: {{keys: [{{name: web, sha256: \"{hash}\"}}]}}\npassthrough: {{upstreams: [\"http://{}\"]}}\nproviders:\n{}{}",
        service.address(),
        entry("good", &good),
        entry("bad", &bad)
    ));
    let headers = [("x-bf-vk", "right"), ("x-request-id", "r1"), ("traceparent", TRACE)];
    for path in ["/v1/videos/video_1:good", "/v1/videos/video_1:bad", "/other"] {
        send(proxy.address(), "GET", &format!("{path}?secret=x"), &headers);
    }
    let trace = &TRACE[3..35];
    let shared = json!({"method": "GET", "key": "web", "request_id": "r1", "trace_id": trace, "level": "INFO"});
    for (path, more) in [
        (
            "/v1/videos/video_1:good",
            json!({"status": 200, "provider": "good", "job": "queued", "cache": "miss", "upstream_status": 200}),
        ),
        (
            "/v1/videos/video_1:bad",
            json!({"status": 502, "provider": "bad", "error": "upstream_error", "upstream_status": 500}),
        ),
        ("/other", json!({"status": 201, "bytes": 7})),
    ] {
        let line = line_of(&proxy, path);
        for (name, want) in shared.as_object().unwrap().iter().chain(more.as_object().unwrap()) {
            assert_eq!(&line[name], want, "{name} of {line}");
        }
        assert!(line["timestamp"].is_string() && line["took_ms"].is_u64() && line["bytes"].is_u64(), "{line}");
        assert_eq!(line["upstream_ms"].is_u64(), path != "/other", "{line}");
    }
    assert!(!proxy.log().contains("secret"), "{}", proxy.log());
}

#[test]
fn the_last_line_is_written_before_the_program_ends() {
    let upstream = Upstream::json(200, QUEUED);
    let mut proxy = Proxy::start(&format!("drain: 1ms\nproviders:\n{}", entry("p", &upstream)));
    get(proxy.address(), "/the-last");
    proxy.signal("TERM");
    wait_until("it ends", || proxy.exit_code() == Some(0));
    line_of(&proxy, "/the-last");
}

/// A program whose log nobody reads any more once it has said where it listens.
struct Unread {
    child: Child,
    public: SocketAddr,
    admin: SocketAddr,
    /// Held open: a closed pipe would be an error, not a full one.
    _log: BufReader<ChildStderr>,
}

impl Unread {
    fn start(config: &str) -> Unread {
        let file = temporary("yaml");
        fs::write(&file, format!("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{config}")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vidgate"));
        command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut address = |what: &str| loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == what {
                break line["address"].as_str().unwrap().parse().unwrap();
            }
        };
        let (public, admin) = (address("listening"), address("admin listener"));
        fs::remove_file(&file).unwrap();
        for address in [public, admin] {
            wait_until("it listens", || std::net::TcpStream::connect(address).is_ok());
        }
        Unread { child, public, admin, _log: log }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn no_request_waits_for_a_log_that_nobody_reads() {
    let upstream = Upstream::json(200, QUEUED);
    let program = Unread::start(&format!("providers:\n{}", entry("p", &upstream)));
    let mut client = Client::connect(program.public);
    wait_until("lines are dropped and counted", || {
        (0..500).for_each(|_| assert_eq!(client.request("GET", "/nothing", &[], b"").status, 404));
        Scrape::of(program.admin).sum("vidgate_log_lines_dropped_total", &[]) > 0.0
    });
    // It goes on answering.
    assert_eq!(get(program.public, "/v1/videos/video_1:p").status, 200);
}
