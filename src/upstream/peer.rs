//! A peer as the connection pool sees it for every call.

use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, Peer, PeerOptions};
use std::fmt;
use std::os::fd::AsRawFd;

/// A peer whose place in the pool is computed once. Pingora's own hashes all its parts several times for each call, and
/// asks the system for the address behind each connection that it takes from the pool: a connection got there by this
/// number, which the address is part of.
#[derive(Debug, Clone)]
pub(super) struct PooledPeer {
    peer: HttpPeer,
    reuse_hash: u64,
}

impl PooledPeer {
    pub fn new(peer: HttpPeer) -> PooledPeer {
        PooledPeer { reuse_hash: peer.reuse_hash(), peer }
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

    fn matches_fd<V: AsRawFd>(&self, _: V) -> bool {
        true
    }
}
