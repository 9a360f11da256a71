//! Services behind the proxy: which one a request is for, and which of its upstreams is next.

use super::balance::{CONNECT_TIMEOUT, balancer, prepare};
use crate::config::{Passthrough, Upstream};
use pingora::lb::selection::RoundRobin;
use pingora::lb::{Backend, LoadBalancer};
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::HttpPeer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Idle connections are closed before a service closes them (Node and uvicorn do after 5 s): a POST that meets a
/// connection being closed is lost.
const IDLE: Duration = Duration::from_secs(4);

/// Upstreams that are looked at before none is said to be healthy.
const MAX_LOOKS: usize = 256;

/// All services of a config.
pub(super) struct Services {
    services: Vec<Arc<Service>>,
}

/// One passthrough entry.
pub(super) struct Service {
    settings: Passthrough,
    /// Whether a client's key is asked for.
    pub auth: bool,
    balancer: Arc<LoadBalancer<RoundRobin>>,
    /// Ends the task that keeps the upstreams current.
    stop: ShutdownSender,
    has_begun: AtomicBool,
}

/// Pingora's tasks end when `true` is sent here.
type ShutdownSender = watch::Sender<bool>;

impl Services {
    pub fn new(settings: &[Passthrough]) -> Services {
        Services { services: settings.iter().map(|entry| Arc::new(Service::new(entry))).collect() }
    }

    /// The services of new settings; one that did not change goes on as it is.
    pub fn renewed(&self, settings: &[Passthrough]) -> Services {
        let service = |entry: &Passthrough| {
            let old = self.services.iter().find(|service| service.settings == *entry);
            old.map_or_else(|| Arc::new(Service::new(entry)), Arc::clone)
        };
        Services { services: settings.iter().map(service).collect() }
    }

    /// Starts what keeps the upstreams current, where it does not run yet, once all of them have been looked up.
    pub async fn begin(&self) {
        let mut new = JoinSet::new();
        for service in self.services.iter().filter(|service| !service.has_begun.swap(true, Ordering::AcqRel)) {
            let service = Arc::clone(service);
            new.spawn(async move {
                prepare(&service.balancer).await;
                let (balancer, stop) = (Arc::clone(&service.balancer), service.stop.subscribe());
                tokio::spawn(async move { balancer.run(stop, None).await });
            });
        }
        while new.join_next().await.is_some() {}
    }

    /// Ends the tasks of services that these have replaced. Requests that still use them know their upstreams.
    pub fn end_those_not_in(&self, next: &Services) {
        let is_gone = |service: &&Arc<Service>| !next.services.iter().any(|kept| Arc::ptr_eq(kept, service));
        self.services.iter().filter(is_gone).for_each(|service| {
            service.stop.send_replace(true);
        });
    }

    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The service for a host and a path: entries for this very host first, then the longest path prefix.
    pub fn find(&self, host: Option<&str>, path: &str) -> Option<&Arc<Service>> {
        let host = host.map(without_port);
        let is_candidate = |service: &&Arc<Service>| {
            let fits_host = match (&service.settings.host, host) {
                (None, _) => true,
                (Some(own), Some(host)) => own.eq_ignore_ascii_case(host),
                (Some(_), None) => false,
            };
            fits_host && is_below(path, &service.settings.path)
        };
        let candidates = self.services.iter().filter(is_candidate);
        candidates.max_by_key(|service| (service.settings.host.is_some(), service.settings.path.len()))
    }
}

impl Service {
    fn new(settings: &Passthrough) -> Service {
        Service {
            settings: settings.clone(),
            auth: settings.auth,
            balancer: Arc::new(balancer(settings)),
            stop: watch::channel(false).0,
            has_begun: AtomicBool::new(false),
        }
    }

    /// The next healthy upstream that was not tried for this request; `None` when there is none.
    pub fn next_peer(&self, is_upgrade: bool, tried: &[SocketAddr]) -> Option<HttpPeer> {
        let is_fit = |backend: &Backend, is_healthy: bool| is_healthy && !tried.contains(&backend.addr);
        let backend = self.balancer.select_with(b"", MAX_LOOKS, is_fit)?;
        let upstream = backend.ext.get::<Upstream>()?;
        let sni = if upstream.tls { upstream.host.clone() } else { String::new() };
        let mut peer = HttpPeer::new(*backend.addr.as_inet()?, upstream.tls, sni);
        peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.total_connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.idle_timeout = Some(IDLE);
        // An upgrade exists in HTTP/1.1 only.
        peer.options.alpn = if upstream.tls && !is_upgrade { ALPN::H2H1 } else { ALPN::H1 };
        peer.options.max_h2_streams = 100;
        Some(peer)
    }

    /// Whether there is a healthy upstream that was not tried for this request.
    pub fn has_another(&self, tried: &[SocketAddr]) -> bool {
        let backends = self.balancer.backends();
        backends.get_backend().iter().any(|backend| backends.ready(backend) && !tried.contains(&backend.addr))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Whether a path is the prefix itself or lies below it: `/api` covers `/api` and `/api/x`, not `/apis`.
/// `OPTIONS *` asks about the server as a whole, which only `/` covers.
fn is_below(path: &str, prefix: &str) -> bool {
    if path == "*" {
        return prefix == "/";
    }
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with(['/', '?']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_a_segment() {
        let table = [
            ("/", "/", true),
            ("/x", "/", true),
            ("/api", "/api", true),
            ("/api/x", "/api", true),
            ("/api?x", "/api", true),
            ("/apis", "/api", false),
            ("/api", "/api/", false),
            ("*", "/", true),
            ("*", "/api", false),
        ];
        for (path, prefix, want) in table {
            assert_eq!(is_below(path, prefix), want, "{path} {prefix}");
        }
    }

    #[test]
    fn hosts_are_compared_without_their_port() {
        assert_eq!(without_port("a.b:80"), "a.b");
        assert_eq!(without_port("a.b"), "a.b");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
