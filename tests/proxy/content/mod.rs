//! The bytes of finished videos: from every kind of source, whole and in parts, and from nowhere else.

mod bounds;
mod forms;
mod hostile;
mod inline;
mod lies;
mod sources;

use crate::support::{Request, Upstream};
use std::io::Write;
use std::net::TcpStream;

/// A job of Replicate, whose answer names its video by a link.
const JOB: &str = "q7h2m9x4c1rj80cv5t6wbn3d00";
const CONTENT: &str = "/v1/videos/q7h2m9x4c1rj80cv5t6wbn3d00:replicate/content";

/// Writes a whole answer: a status, header lines, a body of the length that `content-length` will say.
fn answer(stream: &mut TcpStream, status: u16, lines: &[(&str, &str)], body: &[u8]) -> bool {
    let mut bytes = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for (name, value) in lines {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).is_ok()
}

/// A provider like Replicate, whose jobs are finished and lie at the link that `link` gives for the nth poll, from 1.
fn provider(link: impl Fn(usize) -> String + Send + Sync + 'static) -> Upstream {
    let polls = std::sync::atomic::AtomicUsize::new(0);
    Upstream::start(move |_: &Request, stream: &mut TcpStream| {
        let nth = polls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let body = format!(r#"{{"id":"{JOB}","status":"succeeded","output":"{}"}}"#, link(nth));
        answer(stream, 200, &[("content-type", "application/json")], body.as_bytes())
    })
}

/// A config with that provider; `content` is what stands in its `content` section.
fn config(provider: &Upstream, content: &str) -> String {
    format!(
        "providers:\n  replicate:\n    base_url: http://{}\n    credentials: {{api_key: sk-never-sent-elsewhere}}\n    \
         retries: 0\n    content: {{{content}}}\n",
        provider.address()
    )
}
