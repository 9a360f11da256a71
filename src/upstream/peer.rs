//! A peer with the connections to it.

use super::idle::{Idle, LONGEST, Pool};
use pingora::connectors::http::Connector;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v1::client::HttpSession as Http1Session;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, Peer, PeerOptions};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A peer with its idle connections of HTTP/1, and for those of HTTP/2 its place in Pingora's pool, which is computed once:
/// Pingora hashes all the parts of a peer several times for each call.
#[derive(Clone)]
pub(super) struct PooledPeer {
    peer: HttpPeer,
    reuse_hash: u64,
    /// Found with the first call.
    idle: OnceLock<Arc<Idle>>,
}

impl PooledPeer {
    pub fn new(peer: HttpPeer) -> PooledPeer {
        PooledPeer { reuse_hash: peer.reuse_hash(), peer, idle: OnceLock::new() }
    }

    /// A session over an idle connection, where there is one.
    pub fn idle_session(&self, pool: &Pool) -> Option<HttpSession> {
        let idle = self.idle.get_or_init(|| pool.of(self.reuse_hash));
        idle.take().map(|stream| HttpSession::H1(Http1Session::new_with_options(stream, self)))
    }

    /// Keeps the connection of a session whose reply was read to its end.
    pub async fn release(&self, session: HttpSession, connector: &Connector) {
        match session {
            HttpSession::H1(mut h1) => {
                h1.respect_keepalive();
                if let (Some(stream), Some(idle)) = (h1.reuse().await, self.idle.get()) {
                    idle.put(stream);
                }
            }
            // Boxed, since it would make every poll larger.
            other => Box::pin(connector.release_http_session(other, self, Some(LONGEST))).await,
        }
    }
}

impl fmt::Display for PooledPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}

impl Peer for PooledPeer {
    fn address(&self) -> &SocketAddr {
        self.peer.address()
    }

    fn tls(&self) -> bool {
        self.peer.tls()
    }

    fn sni(&self) -> &str {
        self.peer.sni()
    }

    fn reuse_hash(&self) -> u64 {
        self.reuse_hash
    }

    fn get_peer_options(&self) -> Option<&PeerOptions> {
        self.peer.get_peer_options()
    }
}
