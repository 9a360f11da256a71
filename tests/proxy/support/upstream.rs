//! Upstreams that answer with exactly the bytes a test wants.

use super::PATIENCE;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A plain HTTP/1.1 server on loopback. It lives as long as the test process.
pub struct Upstream {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Answers each request with the bytes that `answer` writes. `false` closes the connection afterwards.
    pub fn start<F>(answer: F) -> Upstream
    where
        F: Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static,
    {
        Upstream::at(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    /// The same for who takes the connections of this listener.
    #[allow(dead_code)]
    pub fn at<F>(listener: TcpListener, answer: F) -> Upstream
    where
        F: Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static,
    {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&requests));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || converse(stream, &seen, &*answer));
            }
        });
        Upstream { address, requests, connections }
    }

    /// Answers every request with this status and JSON body.
    pub fn json(status: u16, body: &str) -> Upstream {
        let body = body.to_owned();
        Upstream::start(move |_, stream| {
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many connections it has accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn converse(stream: TcpStream, seen: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request, &mut TcpStream) -> bool) {
    let mut reader = BufReader::new(stream);
    reader.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    while let Some(request) = read(&mut reader) {
        seen.lock().unwrap().push(request.clone());
        if !answer(&request, reader.get_mut()) {
            return;
        }
    }
}

/// Reads a request; `None` when the peer has closed.
pub fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut parts = line.trim_end().split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    if let Some(length) = request.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}
