//! Services behind the proxy: which one a request is for, and which of its upstreams is next.

use super::Task;
use crate::config::{HealthCheck as HealthSettings, Passthrough, Upstream};
use async_trait::async_trait;
use http::Extensions;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck};
use pingora::lb::selection::RoundRobin;
use pingora::lb::{Backend, Backends, LoadBalancer};
use pingora::protocols::ALPN;
use pingora::services::background::GenBackgroundService;
use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorType, OkOrErr};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often names of upstreams are resolved again.
const NAMES_AGAIN: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections are closed before the shortest usual timeout of a server.
const IDLE: Duration = Duration::from_secs(50);

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
    /// The next healthy upstream; `None` when there is none.
    pub fn next_peer(&self, is_upgrade: bool) -> Option<HttpPeer> {
        let backend = self.balancer.select(b"", MAX_LOOKS)?;
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
}

fn balancer(entry: &Passthrough) -> LoadBalancer<RoundRobin> {
    let mut backends = Backends::new(Box::new(Names { upstreams: entry.upstreams.clone() }));
    if let Some(check) = &entry.health_check {
        backends.set_health_check(Box::new(Checks::new(&entry.upstreams, check)));
    }
    let mut balancer = LoadBalancer::from_backends(backends);
    let has_names = entry.upstreams.iter().any(|upstream| upstream.host.parse::<IpAddr>().is_err());
    balancer.update_frequency = has_names.then_some(NAMES_AGAIN);
    balancer.health_check_frequency = entry.health_check.as_ref().map(|check| check.interval);
    balancer.parallel_health_check = true;
    balancer
}

/// Upstreams by name or address; names are resolved without blocking a thread of the server.
struct Names {
    upstreams: Vec<Upstream>,
}

#[async_trait]
impl ServiceDiscovery for Names {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        for upstream in &self.upstreams {
            let addresses = match tokio::net::lookup_host((upstream.host.as_str(), upstream.port)).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    tracing::warn!(host = upstream.host, %error, "a passthrough upstream cannot be resolved");
                    continue;
                }
            };
            for address in addresses {
                let mut ext = Extensions::new();
                ext.insert(upstream.clone());
                found.insert(Backend { addr: address.into(), weight: 1, ext });
            }
        }
        if found.is_empty() {
            // An error keeps the last good answer.
            return pingora::Error::e_explain(ErrorType::ConnectNoRoute, "no upstream can be resolved");
        }
        Ok((found, HashMap::new()))
    }
}

/// An HTTP check per upstream, since each has a host and a scheme of its own.
struct Checks(Vec<(Upstream, HttpHealthCheck)>);

impl Checks {
    fn new(upstreams: &[Upstream], settings: &HealthSettings) -> Checks {
        let check = |upstream: &Upstream| {
            let mut check = HttpHealthCheck::new(&upstream.host, upstream.tls);
            if let Ok(uri) = settings.path.parse() {
                check.req.set_uri(uri);
            }
            check.peer_template.options.connection_timeout = Some(CONNECT_TIMEOUT);
            check.reuse_connection = true;
            check
        };
        Checks(upstreams.iter().map(|upstream| (upstream.clone(), check(upstream))).collect())
    }
}

#[async_trait]
impl HealthCheck for Checks {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let upstream = target.ext.get::<Upstream>();
        let own = self.0.iter().find(|(known, _)| Some(known) == upstream);
        let (_, check) = own.or_err(ErrorType::InternalError, "a backend without its upstream")?;
        check.check(target).await
    }

    async fn health_status_change(&self, target: &Backend, healthy: bool) {
        tracing::warn!(upstream = %target.addr, healthy, "the health of a passthrough upstream changed");
    }

    fn health_threshold(&self, _success: bool) -> usize {
        1
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
