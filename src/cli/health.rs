//! `vidgate health`: what a container's health check runs, where there is no HTTP client.

use super::Failure;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For each step: connecting, asking, reading.
const PATIENCE: Duration = Duration::from_secs(2);

/// Of an answer; that of `/readyz` is far shorter.
const LONGEST: u64 = 4096;

#[derive(clap::Args)]
pub struct Arguments {
    /// The admin address of the proxy.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let address = arguments.admin;
    let answer = ask(address).map_err(|error| format!("no answer from http://{address}/readyz: {error}"))?;
    let status_line = answer.lines().next().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    match status_line.split(' ').nth(1) {
        Some("200") => super::print("ready\n"),
        Some(status) => Err(format!("not ready: http://{address}/readyz answered {status} {body}").into()),
        None => Err(format!("what listens on {address} does not speak HTTP").into()),
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
