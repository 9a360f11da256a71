//! A small asynchronous client: one kept-alive connection, GET only.

use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far above every deadline of these tests.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Client(BufReader<TcpStream>);

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    pub took: Duration,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        let started = Instant::now();
        let request = format!("GET {target} HTTP/1.1\r\nHost: crowd.test\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).await.unwrap();
        let (status, body) = timeout(PATIENCE, self.read()).await.expect("an answer");
        Answer { status, body, took: started.elapsed() }
    }

    async fn read(&mut self) -> (u16, Vec<u8>) {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status line: {line:?}")).parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (status, body)
    }
}
