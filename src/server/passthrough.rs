//! Services behind the proxy: which one a request is for, and which of its upstreams is next.

use super::balance::{CONNECT_TIMEOUT, Task, balancer};
use crate::config::{Passthrough, Upstream};
use pingora::lb::selection::RoundRobin;
use pingora::lb::{Backend, LoadBalancer};
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::services::background::GenBackgroundService;
use pingora::upstreams::peer::HttpPeer;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Idle connections are closed before a service closes them (Node and uvicorn do after 5 s): a POST that meets a
/// connection being closed is lost.
const IDLE: Duration = Duration::from_secs(4);

/// Upstreams that are looked at before none is said to be healthy.
const MAX_LOOKS: usize = 256;

/// All services, with the background tasks that keep them current.
pub(super) struct Services {
    services: Vec<Arc<Service>>,
    tasks: Mutex<Vec<Task>>,
}

/// One passthrough entry.
pub(super) struct Service {
    host: Option<String>,
    path: String,
    /// Whether a client's key is asked for.
    pub auth: bool,
    balancer: Arc<LoadBalancer<RoundRobin>>,
}

impl Services {
    pub fn new(settings: &[Passthrough]) -> Services {
        let mut services = Vec::with_capacity(settings.len());
        let mut tasks = Vec::with_capacity(settings.len());
        for entry in settings {
            let task = GenBackgroundService::new(format!("passthrough {}", entry.path), Arc::new(balancer(entry)));
            services.push(Arc::new(Service {
                host: entry.host.clone(),
                path: entry.path.clone(),
                auth: entry.auth,
                balancer: task.task(),
            }));
            tasks.push(task);
        }
        Services { services, tasks: Mutex::new(tasks) }
    }

    /// The tasks that resolve names and check health; handed out once.
    pub fn background(&self) -> Vec<Task> {
        std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The service for a host and a path: entries for this very host first, then the longest path prefix.
    pub fn find(&self, host: Option<&str>, path: &str) -> Option<&Arc<Service>> {
        let host = host.map(without_port);
        let is_candidate = |service: &&Arc<Service>| {
            let fits_host = match (&service.host, host) {
                (None, _) => true,
                (Some(own), Some(host)) => own.eq_ignore_ascii_case(host),
                (Some(_), None) => false,
            };
            fits_host && is_below(path, &service.path)
        };
        let candidates = self.services.iter().filter(is_candidate);
        candidates.max_by_key(|service| (service.host.is_some(), service.path.len()))
    }
}

impl Service {
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
