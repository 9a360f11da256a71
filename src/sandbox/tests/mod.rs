//! The sandbox over real sockets, with tokio's clock paused.

mod dialects;
#[path = "../../../tests/expect/mod.rs"]
mod expect;
mod faults;
mod lifecycle;
mod surroundings;

use super::{Options, Pace, Sandbox};
use expect::Form;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The second at which every test's wall clock stands: 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045;

async fn sandbox(pace: Pace) -> Sandbox {
    let now = || UNIX_EPOCH + Duration::from_secs(NOW);
    Sandbox::start(Options { pace, now, ..Options::default() }).await.unwrap()
}

/// What came back.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn length(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }
}

/// Sends a request on a connection of its own and reads until the server closes; nothing when it does so silently.
async fn exchange(address: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).unwrap();
    Some(Answer { status: head[9..12].parse().unwrap(), head, body })
}

/// What is expected of a job: by the example that is named most like it.
fn expected(kind: &str, job: &str) -> Form {
    let alike = |example: &str| example.bytes().zip(job.bytes()).take_while(|(a, b)| a == b).count();
    let examples = super::find(kind).unwrap().examples;
    let forms = expect::of(kind).jobs;
    assert_eq!(forms.len(), examples.len(), "{kind}: one is expected for each example");
    let best = examples.iter().zip(forms).rev().max_by_key(|(example, _)| alike(example));
    best.unwrap().1
}

/// A kind's own status call: method, target, body.
fn call(kind: &str, job: &str) -> (String, String, String) {
    let (form, base) = (expected(kind, job), super::find(kind).unwrap().base);
    let (method, path, body) = form.call(job);
    (method.to_owned(), format!("/{kind}{base}{path}"), body)
}

async fn poll_with(sandbox: &Sandbox, kind: &str, job: &str, headers: &str) -> Option<Answer> {
    let (method, target, body) = call(kind, job);
    let own: String = expect::of(kind).plain_headers().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = own + headers;
    exchange(sandbox.address(), &method, &target, &headers, &body).await
}

async fn poll(sandbox: &Sandbox, kind: &str, job: &str) -> Answer {
    let form = super::find(kind).unwrap().credentials[0];
    poll_with(sandbox, kind, job, &format!("{}: {} key\r\n", form.header, form.scheme)).await.unwrap()
}

async fn get(sandbox: &Sandbox, target: &str) -> Answer {
    exchange(sandbox.address(), "GET", target, "authorization: Bearer key\r\n", "").await.unwrap()
}
