//! Simulated providers on loopback, each speaking its own wire format over plain HTTP/1.1.
//!
//! A job needs no creation: its first poll starts its clock, and over [`Options::pace`] it goes from queued over
//! in progress to its end. How it ends, or how asking for it goes wrong, is coded in the last two characters of its
//! name: see [`OUTCOMES`]. Which kinds there are, and where each one lives: see [`KINDS`].
//!
//! Adding a kind is one file in `kinds/` and one line in [`KINDS`].

mod aws;
mod body;
mod credentials;
mod faults;
mod jobs;
mod kinds;
mod media;
mod outcome;
mod pace;
mod poll;
mod ranges;
mod reply;
mod request;
mod s3;
mod server;
mod service;
mod storage;
mod tokens;

#[cfg(test)]
mod tests;

pub use aws::{AWS_SESSION, AWS_USER, AwsKey};
pub use credentials::Credential;
pub use kinds::{KINDS, Kind, find};
pub use outcome::{Ending, Fault, OUTCOMES, Outcome, OutcomeRow, Refusal, Stay};
pub use pace::Pace;
pub use request::Recorded;

use service::Service;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a [`Sandbox`] is started with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// How fast jobs move.
    pub pace: Pace,
    /// The time of day of a job's first poll, from which every time in its answers is counted. How far a job has come
    /// is measured by tokio's clock instead, so a test may pause and advance it.
    pub now: fn() -> SystemTime,
}

impl Default for Options {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Options { address, pace: Pace::default(), now: SystemTime::now }
    }
}

/// Running simulated providers. Dropping it stops them and closes their connections.
pub struct Sandbox {
    address: SocketAddr,
    service: Arc<Service>,
    accepting: JoinHandle<()>,
}

impl Sandbox {
    /// Binds and serves on the tokio runtime that this is awaited on. Fails when the address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Sandbox> {
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service::new(options, address));
        let accepting = tokio::spawn(server::accept(listener, Arc::clone(&service)));
        Ok(Sandbox { address, service, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL to configure for a kind: `http://127.0.0.1:{port}/openai/v1`.
    ///
    /// A kind that the sandbox does not have gets an address too; it answers 404 and lists those that there are.
    pub fn base_url(&self, kind: &str) -> String {
        format!("{}/{kind}{}", origin(self.address), find(kind).map_or("", |row| row.base))
    }

    /// Where the objects of a kind's cloud storage are, for `content.storage_url`.
    pub fn storage_url(&self, kind: &str) -> String {
        let path = if kind == "bedrock" { "/bedrock/s3" } else { "" };
        format!("{}{path}", origin(self.address))
    }

    /// How many status requests named this job, in the form in which the kind's jobs are named, whatever came of them.
    ///
    /// Requests for content are not counted; those to a kind's token endpoint are, as the job `token`.
    pub fn calls(&self, kind: &str, job: &str) -> u64 {
        self.service.jobs(|jobs| jobs.calls(kind, job))
    }

    /// The last request that arrived, on any path.
    pub fn last_request(&self) -> Option<Recorded> {
        self.service.last_request()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// `http://{address}`, with loopback for an address that only says "all of them".
fn origin(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
