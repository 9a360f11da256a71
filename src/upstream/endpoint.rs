//! One address of a provider, its name resolved in the background.

use super::Trust;
use crate::config::BaseAddress;
use crate::video::{ApiError, ErrorKind};
use arc_swap::ArcSwapOption;
use http::HeaderValue;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an answer of the resolver is used before it is asked again, in the background.
const FRESH: Duration = Duration::from_secs(30);

/// Streams that share one HTTP/2 connection.
const H2_STREAMS: usize = 100;

/// Where calls go: scheme, host, port and base path, with the addresses behind the name.
pub struct Endpoint {
    address: BaseAddress,
    host_header: HeaderValue,
    connect_timeout: Duration,
    trust: Trust,
    peers: ArcSwapOption<Peers>,
    /// Held by whoever resolves first, so that a crowd asks the resolver once.
    first: Mutex<()>,
    refreshing: AtomicBool,
}

/// What a name stands for, as peers that are ready to connect to.
pub(super) struct Peers {
    list: Vec<HttpPeer>,
    resolved_at: Instant,
    /// Which peer worked last; a refused connection moves it on.
    preferred: AtomicUsize,
}

impl Endpoint {
    /// `None` when the host cannot stand in a header, which no checked address does.
    pub fn new(address: BaseAddress, connect_timeout: Duration, trust: Trust) -> Option<Arc<Endpoint>> {
        let default_port = if address.tls { 443 } else { 80 };
        let host = bracketed(&address.host);
        let host = if address.port == default_port { host } else { format!("{host}:{}", address.port) };
        let host_header = HeaderValue::from_str(&host).ok()?;
        Some(Arc::new(Endpoint {
            address,
            host_header,
            connect_timeout,
            trust,
            peers: ArcSwapOption::empty(),
            first: Mutex::new(()),
            refreshing: AtomicBool::new(false),
        }))
    }

    pub fn address(&self) -> &BaseAddress {
        &self.address
    }

    /// The value of `Host`: the port stands in it when it is not the scheme's own.
    pub fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// Resolves the name now, if that has not happened yet.
    pub async fn warm(self: &Arc<Self>) -> Result<(), ApiError> {
        self.peers().await.map(|_| ())
    }

    /// The peers behind the name. Only the very first call waits for the resolver; the last good answer is kept.
    pub(super) async fn peers(self: &Arc<Self>) -> Result<Arc<Peers>, ApiError> {
        if let Some(peers) = self.peers.load_full() {
            if peers.resolved_at.elapsed() > FRESH && self.literal().is_none() {
                self.refresh();
            }
            return Ok(peers);
        }
        let _first = self.first.lock().await;
        match self.peers.load_full() {
            Some(peers) => Ok(peers),
            None => self.resolve().await.map_err(|why| self.unresolved(&why)),
        }
    }

    fn refresh(self: &Arc<Self>) {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let endpoint = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(why) = endpoint.resolve().await {
                tracing::warn!(
                    host = endpoint.address.host,
                    why,
                    "the name cannot be resolved; its last addresses stay"
                );
            }
            endpoint.refreshing.store(false, Ordering::Release);
        });
    }

    async fn resolve(&self) -> Result<Arc<Peers>, String> {
        let (host, port) = (self.address.host.as_str(), self.address.port);
        let mut found: Vec<SocketAddr> = match self.literal() {
            Some(ip) => vec![SocketAddr::new(ip, port)],
            None => tokio::net::lookup_host((host, port)).await.map_err(|error| error.to_string())?.collect(),
        };
        if found.is_empty() {
            return Err("the name has no address".into());
        }
        // Addresses in use stay in front: the pool is keyed by address, and a shuffled answer would empty it.
        if let Some(old) = self.peers.load_full() {
            let place = |address: &SocketAddr| old.list.iter().position(|peer| is_at(peer, address));
            found.sort_by_key(|address| place(address).unwrap_or(usize::MAX));
        }
        let list = found.into_iter().map(|address| self.peer(address)).collect();
        let peers = Arc::new(Peers { list, resolved_at: Instant::now(), preferred: AtomicUsize::new(0) });
        self.peers.store(Some(Arc::clone(&peers)));
        Ok(peers)
    }

    fn peer(&self, address: SocketAddr) -> HttpPeer {
        let sni = if self.address.tls { self.address.host.clone() } else { String::new() };
        let mut peer = HttpPeer::new(address, self.address.tls, sni);
        peer.group_key = self.trust.group;
        peer.options.connection_timeout = Some(self.connect_timeout);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        peer.options.alpn = if self.address.tls { ALPN::H2H1 } else { ALPN::H1 };
        peer.options.max_h2_streams = H2_STREAMS;
        peer.options.ca = self.trust.anchors.clone();
        peer
    }

    fn literal(&self) -> Option<IpAddr> {
        self.address.host.parse().ok()
    }

    fn unresolved(&self, why: &str) -> ApiError {
        let detail =
            format!("{{p}} could not be reached: the name {} could not be resolved ({why}).", self.address.host);
        ApiError::because(ErrorKind::UpstreamUnreachable, detail)
    }
}

impl Peers {
    /// All peers, the one that worked last first.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &HttpPeer> {
        let first = self.preferred.load(Ordering::Relaxed) % self.list.len().max(1);
        let (before, from) = self.list.split_at(first);
        from.iter().chain(before)
    }

    /// A connection to this peer failed: the next try goes to another one.
    pub(super) fn give_up(&self, peer: &HttpPeer) {
        let index = self.list.iter().position(|other| other._address == peer._address).unwrap_or(0);
        let current = self.preferred.load(Ordering::Relaxed) % self.list.len().max(1);
        if index == current {
            self.preferred.store(index + 1, Ordering::Relaxed);
        }
    }
}

fn is_at(peer: &HttpPeer, address: &SocketAddr) -> bool {
    peer._address.as_inet().is_some_and(|known| known == address)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
