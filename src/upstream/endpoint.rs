//! One address of a provider, its name resolved in the background.

use super::peer::PooledPeer;
use super::{Reach, Trust};
use crate::config::BaseAddress;
use crate::video::{ApiError, ErrorKind};
use arc_swap::ArcSwapOption;
use http::HeaderValue;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, Peer};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an answer of the resolver is used before it is asked again, in the background.
const FRESH: Duration = Duration::from_secs(30);

/// Streams that share one HTTP/2 connection.
const H2_STREAMS: usize = 100;

/// Keeps connections for downloads apart from the others in the pool, which does not tell protocols apart.
const DOWNLOADS: u64 = 0x5eed_d0c5;

/// Where calls go: scheme, host, port and base path, with the addresses behind the name.
pub struct Endpoint {
    address: BaseAddress,
    host_header: HeaderValue,
    connect_timeout: Duration,
    trust: Trust,
    reach: Reach,
    /// For whole files: HTTP/1 only, where a slow reader holds up the sender instead of filling a window of megabytes.
    is_for_downloads: bool,
    peers: ArcSwapOption<Peers>,
    /// Held by whoever resolves first, so that a crowd asks the resolver once; the last failure is the crowd's too.
    first: Mutex<Option<Unresolved>>,
    refreshing: AtomicBool,
}

struct Unresolved {
    at: Instant,
    why: Why,
}

/// Why a name leads nowhere.
#[derive(Clone)]
enum Why {
    /// The resolver's words.
    NotResolved(String),
    /// It has addresses, but none that may be connected to.
    OutOfReach,
}

/// What a name stands for, as peers that are ready to connect to.
pub(super) struct Peers {
    list: Vec<Arc<PooledPeer>>,
    resolved_at: Instant,
    /// Which peer worked last; a refused connection moves it on.
    preferred: AtomicUsize,
}

impl Endpoint {
    /// `None` when the host cannot stand in a header, which no checked address does.
    pub fn new(address: BaseAddress, connect_timeout: Duration, trust: Trust) -> Option<Arc<Endpoint>> {
        Endpoint::made(address, connect_timeout, trust, Reach::Anywhere, false)
    }

    /// The same for whole files, from within this reach only: what is checked is each address that is connected to.
    pub fn for_downloads(
        address: BaseAddress,
        connect_timeout: Duration,
        trust: Trust,
        reach: Reach,
    ) -> Option<Arc<Endpoint>> {
        Endpoint::made(address, connect_timeout, trust, reach, true)
    }

    fn made(
        address: BaseAddress,
        connect_timeout: Duration,
        trust: Trust,
        reach: Reach,
        is_for_downloads: bool,
    ) -> Option<Arc<Endpoint>> {
        let default_port = if address.tls { 443 } else { 80 };
        let host = bracketed(&address.host);
        let host = if address.port == default_port { host } else { format!("{host}:{}", address.port) };
        let host_header = HeaderValue::from_str(&host).ok()?;
        Some(Arc::new(Endpoint {
            address,
            host_header,
            connect_timeout,
            trust,
            reach,
            is_for_downloads,
            peers: ArcSwapOption::empty(),
            first: Mutex::default(),
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
        let asked_at = Instant::now();
        let mut last = self.first.lock().await;
        if let Some(peers) = self.peers.load_full() {
            return Ok(peers);
        }
        if let Some(failure) = last.as_ref().filter(|failure| failure.at >= asked_at) {
            return Err(self.unresolved(&failure.why));
        }
        let resolved = self.resolve().await;
        *last = resolved.as_ref().err().map(|why| Unresolved { at: Instant::now(), why: why.clone() });
        resolved.map_err(|why| self.unresolved(&why))
    }

    fn refresh(self: &Arc<Self>) {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let endpoint = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(why) = endpoint.resolve().await {
                let (host, why) = (&endpoint.address.host, why.words());
                tracing::warn!(host, why, "the name cannot be resolved; its last addresses stay");
            }
            endpoint.refreshing.store(false, Ordering::Release);
        });
    }

    async fn resolve(&self) -> Result<Arc<Peers>, Why> {
        let (host, port) = (self.address.host.as_str(), self.address.port);
        let mut found: Vec<SocketAddr> = match self.literal() {
            Some(ip) => vec![SocketAddr::new(ip, port)],
            None => {
                let lookup = tokio::net::lookup_host((host, port)).await;
                lookup.map_err(|error| Why::NotResolved(error.to_string()))?.collect()
            }
        };
        if found.is_empty() {
            return Err(Why::NotResolved("the name has no address".into()));
        }
        found.retain(|address| self.reach.includes(address.ip()));
        if found.is_empty() {
            return Err(Why::OutOfReach);
        }
        // Addresses in use stay in front, and keep their idle connections.
        let old = self.peers.load_full();
        if let Some(old) = &old {
            let place = |address: &SocketAddr| old.list.iter().position(|peer| is_at(peer, address));
            found.sort_by_key(|address| place(address).unwrap_or(usize::MAX));
        }
        let known = |address: &SocketAddr| old.as_ref()?.list.iter().find(|peer| is_at(peer, address)).cloned();
        let peer = |address: SocketAddr| known(&address).unwrap_or_else(|| Arc::new(self.peer(address)));
        let list = found.into_iter().map(peer).collect();
        let peers = Arc::new(Peers { list, resolved_at: Instant::now(), preferred: AtomicUsize::new(0) });
        self.peers.store(Some(Arc::clone(&peers)));
        Ok(peers)
    }

    fn peer(&self, address: SocketAddr) -> PooledPeer {
        let sni = if self.address.tls { self.address.host.clone() } else { String::new() };
        let mut peer = HttpPeer::new(address, self.address.tls, sni);
        peer.group_key = self.trust.group ^ if self.is_for_downloads { DOWNLOADS } else { 0 };
        peer.options.connection_timeout = Some(self.connect_timeout);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        let speaks_h2 = self.address.tls && !self.is_for_downloads;
        peer.options.alpn = if speaks_h2 { ALPN::H2H1 } else { ALPN::H1 };
        peer.options.max_h2_streams = H2_STREAMS;
        peer.options.ca = self.trust.anchors.clone();
        PooledPeer::new(peer)
    }

    fn literal(&self) -> Option<IpAddr> {
        self.address.host.parse().ok()
    }

    fn unresolved(&self, why: &Why) -> ApiError {
        let (host, words) = (&self.address.host, why.words());
        match why {
            Why::NotResolved(_) => {
                let detail = format!("{{p}} could not be reached: the name {host} could not be resolved ({words}).");
                ApiError::because(ErrorKind::UpstreamUnreachable, detail)
            }
            Why::OutOfReach => {
                let detail = format!("A result link of {{p}} leads to {host}, and is not followed: {words}.");
                ApiError::because(ErrorKind::UpstreamInvalidResponse, detail)
            }
        }
    }
}

impl Why {
    fn words(&self) -> &str {
        match self {
            Why::NotResolved(words) => words,
            Why::OutOfReach => "it is no public address, and content.allow_hosts does not name it",
        }
    }
}

impl Peers {
    /// All peers, the one that worked last first.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Arc<PooledPeer>> {
        let first = self.preferred.load(Ordering::Relaxed) % self.list.len().max(1);
        let (before, from) = self.list.split_at(first);
        from.iter().chain(before)
    }

    /// A connection to this peer failed: the next try goes to another one.
    pub(super) fn give_up(&self, peer: &PooledPeer) {
        let index = self.list.iter().position(|other| other.address() == peer.address()).unwrap_or(0);
        let current = self.preferred.load(Ordering::Relaxed) % self.list.len().max(1);
        if index == current {
            self.preferred.store(index + 1, Ordering::Relaxed);
        }
    }
}

fn is_at(peer: &PooledPeer, address: &SocketAddr) -> bool {
    peer.address().as_inet().is_some_and(|known| known == address)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::testing::{Answering, json, start_all};
    use crate::upstream::{Client, Limits, Outgoing};
    use http::Method;
    use std::net::TcpListener;
    use tokio::time::Instant as Deadline;

    fn endpoint(url: &str) -> Arc<Endpoint> {
        let address = BaseAddress::parse(url).unwrap();
        Endpoint::new(address, Duration::from_secs(3), Trust::default()).unwrap()
    }

    #[test]
    fn host_holds_a_port_that_is_not_the_schemes_own_and_brackets_around_ipv6() {
        let table = [
            ("https://api.example.com/v1", "api.example.com"),
            ("https://api.example.com:443/v1", "api.example.com"),
            ("https://api.example.com:80/v1", "api.example.com:80"),
            ("https://api.example.com:8443", "api.example.com:8443"),
            ("http://127.0.0.1", "127.0.0.1"),
            ("http://127.0.0.1:443", "127.0.0.1:443"),
            ("http://[::1]:80/v1", "[::1]"),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ];
        for (url, want) in table {
            assert_eq!(endpoint(url).host_header(), want, "{url}");
        }
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_at_once_and_remembered() {
        let answering = Answering::start(|_| json(200, "{}"));
        let refusing = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoint = endpoint(&answering.url(""));
        let list = [refusing(), refusing(), answering.address].map(|address| Arc::new(endpoint.peer(address))).into();
        let peers = Arc::new(Peers { list, resolved_at: Instant::now(), preferred: AtomicUsize::new(0) });
        endpoint.peers.store(Some(Arc::clone(&peers)));
        let headers = vec![(http::header::HOST, endpoint.host_header().clone())];
        let outgoing = Outgoing { method: Method::GET, path: "/", headers, body: None };
        let limits = Limits { max_body: 1024, retries: 0 };
        let client = Client::default();
        for _ in 0..3 {
            let deadline = Deadline::now() + Duration::from_secs(10);
            let reply = client.exchange(&endpoint, &outgoing, &limits, deadline).await.unwrap();
            assert_eq!(reply.status, 200);
            assert_eq!(peers.in_turn().next().unwrap().address(), endpoint.peer(answering.address).address());
        }
    }

    #[tokio::test]
    async fn a_name_that_stands_for_a_private_address_is_not_connected_to() {
        let answering = Answering::start(|_| json(200, "{}"));
        let port = answering.address.port();
        for host in ["localhost", "127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254"] {
            let address = BaseAddress::parse(&format!("http://{host}:{port}")).unwrap();
            let wait = Duration::from_secs(3);
            let endpoint = Endpoint::for_downloads(address, wait, Trust::default(), Reach::Public).unwrap();
            let outgoing = Outgoing { method: Method::GET, path: "/", headers: Vec::new(), body: None };
            let deadline = Deadline::now() + Duration::from_secs(10);
            let opened = Client::default().open(&endpoint, &outgoing, 2, deadline, &mut 0).await;
            let error = opened.err().unwrap();
            assert_eq!(error.kind, ErrorKind::UpstreamInvalidResponse, "{host}: {error}");
            assert!(error.detail.contains("it is no public address"), "{host}: {error}");
        }
        assert_eq!(answering.count(), 0);
    }

    #[tokio::test]
    async fn a_crowd_shares_the_failure_to_resolve_a_name() {
        let endpoint = endpoint("http://nonexistent.invalid");
        let mut callers: Vec<_> = (0..50).map(|_| Box::pin(endpoint.peers())).collect();
        start_all(&mut callers).await;
        let mut callers = callers.into_iter();
        let first = callers.next().unwrap().await.err().unwrap();
        assert!(first.detail.contains("the name nonexistent.invalid could not be resolved"), "{}", first.detail);
        for mut caller in callers {
            // Nothing is left to wait for: no second lookup is under way.
            let now = std::future::poll_fn(|context| std::task::Poll::Ready(caller.as_mut().poll(context))).await;
            assert!(matches!(now, std::task::Poll::Ready(Err(error)) if error.detail == first.detail));
        }
    }

    #[tokio::test]
    async fn all_addresses_refusing_is_a_refusal() {
        let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoint = endpoint(&format!("http://{refusing}"));
        let outgoing = Outgoing { method: Method::GET, path: "/", headers: Vec::new(), body: None };
        let limits = Limits { max_body: 1024, retries: 1 };
        let deadline = Deadline::now() + Duration::from_secs(10);
        let error = Client::default().exchange(&endpoint, &outgoing, &limits, deadline).await.unwrap_err();
        assert_eq!(error.detail, "{p} could not be reached: the connection was refused.");
    }
}
