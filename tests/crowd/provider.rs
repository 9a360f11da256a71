//! A provider that many connections can ask at once.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it answers to one call; `None` never answers.
pub struct Says {
    pub status: u16,
    pub headers: &'static str,
    pub body: String,
}

/// Serves `answer`, which is given the last segment of the path.
pub async fn serve<F, A>(answer: F) -> SocketAddr
where
    F: Fn(String) -> A + Send + Sync + 'static,
    A: Future<Output = Option<Says>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move { converse(stream, &*answer).await });
        }
    });
    address
}

async fn converse<F, A>(stream: TcpStream, answer: &F) -> Option<()>
where
    F: Fn(String) -> A,
    A: Future<Output = Option<Says>>,
{
    let mut stream = BufReader::new(stream);
    stream.get_ref().set_nodelay(true).ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let job = line.split(' ').nth(1)?.rsplit('/').next()?.to_owned();
        while line.trim_end() != "" {
            line.clear();
            stream.read_line(&mut line).await.ok()?;
        }
        let Some(Says { status, headers, body }) = answer(job).await else { return std::future::pending().await };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.get_mut().write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    }
}
