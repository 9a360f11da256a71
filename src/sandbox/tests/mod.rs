//! The sandbox over real sockets, with tokio's clock paused.

mod dialects;
mod faults;
mod lifecycle;
mod surroundings;

use super::{Options, Pace, Sandbox};
use crate::providers;
use serde_json::{Value, json};
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

/// A kind's own status call: method, target, body.
fn call(kind: &str, job: &str) -> (&'static str, String, String) {
    let base = super::find(kind).unwrap().base;
    let get = |path: &str| ("GET", format!("/{kind}{base}{path}"), String::new());
    match kind {
        "openai" => get(&format!("/videos/{job}")),
        "azure" if job.starts_with("task_") => get(&format!("/video/generations/jobs/{job}?api-version=preview")),
        "azure" => get(&format!("/videos/{job}")),
        "gemini" => get(&format!("/{job}")),
        "vertex" => {
            let model = job.split("/operations/").next().unwrap();
            let body = json!({"operationName": job}).to_string();
            ("POST", format!("/vertex/v1/{model}:fetchPredictOperation"), body)
        }
        "runway" => get(&format!("/tasks/{job}")),
        "bedrock" => get(&format!("/async-invoke/{}", job.replace('/', "%2F"))),
        "replicate" => get(&format!("/predictions/{job}")),
        "dashscope" => get(&format!("/tasks/{job}")),
        "ark" => get(&format!("/contents/generations/tasks/{job}")),
        "zhipu" => get(&format!("/async-result/{job}")),
        "vidu" => get(&format!("/tasks/{job}/creations")),
        "pixverse" => get(&format!("/video/result/{job}")),
        "runware" => {
            let body = json!([{"taskType": "getResponse", "taskUUID": job}]).to_string();
            ("POST", "/runware/v1".to_owned(), body)
        }
        // As the translation makes it; that this is the documented one, the kind's own routes say.
        _ => {
            let row = providers::find(kind).unwrap_or_else(|| panic!("no call for {kind}"));
            let call = (row.request)(&row.job.check(job).unwrap_or_else(|| panic!("{job}")));
            let method = if call.method == http::Method::POST { "POST" } else { "GET" };
            (method, format!("/{kind}{base}{}", call.path), call.body.unwrap_or_default())
        }
    }
}

async fn poll_with(sandbox: &Sandbox, kind: &str, job: &str, headers: &str) -> Option<Answer> {
    let (method, target, body) = call(kind, job);
    // What some kinds demand of every call does not bother the others.
    let headers = format!("x-runway-version: 2024-11-06\r\nai-trace-id: 1\r\n{headers}");
    exchange(sandbox.address(), method, &target, &headers, &body).await
}

async fn poll(sandbox: &Sandbox, kind: &str, job: &str) -> Answer {
    let form = super::find(kind).unwrap().credentials[0];
    poll_with(sandbox, kind, job, &format!("{}: {} key\r\n", form.header, form.scheme)).await.unwrap()
}

/// The HTTP status of a refusal: this one, but for jobs whose API says no with 200.
fn refused_with(status: u16, kind: &str, job: &str) -> u16 {
    let says_no_with_200 = kind == "minimax" && !job.starts_with("v2/") && status != 503;
    if says_no_with_200 { 200 } else { status }
}

async fn get(sandbox: &Sandbox, target: &str) -> Answer {
    exchange(sandbox.address(), "GET", target, "authorization: Bearer key\r\n", "").await.unwrap()
}
