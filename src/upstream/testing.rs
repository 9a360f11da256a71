//! An HTTP server for the unit tests of this floor.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;

/// Gives each request the bytes made for its number, from 1, and closes.
pub(super) struct Answering {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Answering {
    pub fn start(answer: impl Fn(usize) -> String + Send + 'static) -> Answering {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(stream) = read(stream) {
                    let nth = count.fetch_add(1, Ordering::SeqCst) + 1;
                    let _ = { stream }.write_all(answer(nth).as_bytes());
                }
            }
        });
        Answering { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Reads a whole request; `None` when there is none.
fn read(stream: TcpStream) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        length = line.strip_prefix("content-length: ").and_then(|value| value.parse().ok()).unwrap_or(length);
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(reader.into_inner())
}

/// An answer with this body.
pub(super) fn json(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Starts all of these; each must then be waiting for something.
pub(super) async fn start_all<F: Future>(futures: &mut [Pin<Box<F>>]) {
    let start = |context: &mut Context<'_>| {
        let waits = futures.iter_mut().all(|future| future.as_mut().poll(context).is_pending());
        Poll::Ready(waits)
    };
    assert!(std::future::poll_fn(start).await);
}
