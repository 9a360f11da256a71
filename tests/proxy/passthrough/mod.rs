//! What is not ours reaches the services behind the proxy untouched, and so do their answers.

mod balance;
mod faults;
mod http1;
mod http2;
mod keys;
mod load;
mod routing;
mod streaming;
mod tls;
mod websocket;

use crate::support::{PATIENCE, Proxy};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A service that is given its connections raw. It lives as long as the test process.
struct Service {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

/// A request, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    method: String,
    target: Vec<u8>,
    version: String,
    /// As they came, names included.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// One connection of a client with a service, from the service's side.
struct Conversation {
    reader: BufReader<TcpStream>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service {
    /// Gives each connection to `talk`, and closes it afterwards.
    fn raw<F>(talk: F) -> Service
    where
        F: Fn(&mut Conversation) -> Option<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let service = Service { address, seen: Arc::clone(&seen), connections: Arc::clone(&connections) };
        let talk = Arc::new(talk);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                let (talk, seen) = (Arc::clone(&talk), Arc::clone(&seen));
                thread::spawn(move || talk(&mut Conversation { reader: BufReader::new(stream), seen }));
            }
        });
        service
    }

    /// Reads each request whole, then writes what `answer` gives.
    fn answering<F>(answer: F) -> Service
    where
        F: Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
    {
        Service::raw(move |conversation| {
            loop {
                let request = conversation.request()?;
                conversation.write(&answer(&request))?;
            }
        })
    }

    /// Answers 200 with this text.
    fn saying(text: &str) -> Service {
        let text = text.to_owned();
        Service::answering(move |request| {
            let body = if request.method == "HEAD" { "" } else { &text };
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", text.len()).into_bytes()
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A proxy with nothing but this service behind it.
    fn proxied(&self) -> Proxy {
        Proxy::start(&format!("passthrough: {{upstreams: [\"{}\"]}}\n", self.url()))
    }

    /// All requests so far whose head was read.
    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    #[track_caller]
    fn last(&self) -> Seen {
        self.seen().pop().expect("no request has arrived")
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Seen {
    /// The value of the only header with this name.
    #[track_caller]
    fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} came {} times", values.len());
        values.first().copied()
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    fn target(&self) -> String {
        String::from_utf8(self.target.clone()).unwrap()
    }
}

impl Conversation {
    /// One request with its whole body; `None` when the peer has closed.
    fn request(&mut self) -> Option<Seen> {
        let mut request = self.head()?;
        request.body = self.body(&request)?;
        if let Some(last) = self.seen.lock().unwrap().iter_mut().rev().find(|seen| seen.target == request.target) {
            last.body.clone_from(&request.body);
        }
        Some(request)
    }

    /// One request without its body.
    fn head(&mut self) -> Option<Seen> {
        let line = self.line()?;
        let mut parts = line.splitn(3, |b| *b == b' ');
        let mut seen = Seen {
            method: text(parts.next()?),
            target: parts.next()?.to_vec(),
            version: text(parts.next()?),
            ..Seen::default()
        };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let line = text(&line);
            let (name, value) = line.split_once(':').unwrap();
            seen.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        self.seen.lock().unwrap().push(seen.clone());
        Some(seen)
    }

    fn body(&mut self, request: &Seen) -> Option<Vec<u8>> {
        if request.header("transfer-encoding").is_some() {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk()? {
                body.extend_from_slice(&chunk);
            }
            return Some(body);
        }
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.exactly(length)
    }

    /// The next chunk of a chunked body; `Some(None)` after the last one and its trailers.
    fn chunk(&mut self) -> Option<Option<Vec<u8>>> {
        let size = text(&self.line()?);
        let size = usize::from_str_radix(size.split(';').next()?, 16).unwrap_or_else(|_| panic!("no size: {size:?}"));
        if size == 0 {
            while !self.line()?.is_empty() {}
            return Some(None);
        }
        let chunk = self.exactly(size)?;
        assert!(self.line()?.is_empty(), "a chunk is longer than it says");
        Some(Some(chunk))
    }

    fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// A line without its end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).ok()?;
        let line = line.strip_suffix(b"\n")?;
        Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
    }

    fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.reader.get_mut().write_all(bytes).ok()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Bytes that a shifted or repeated piece would spoil.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}
