//! The upstreams of one service: their addresses, their health, whose turn it is.

use crate::config::{HealthCheck as HealthSettings, Passthrough, Upstream};
use async_trait::async_trait;
use http::Extensions;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck};
use pingora::lb::selection::RoundRobin;
use pingora::lb::{Backend, Backends, LoadBalancer};
use pingora::{Error, ErrorType, OkOrErr};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How often names of upstreams are resolved again.
const NAMES_AGAIN: Duration = Duration::from_secs(10);

/// A config is in use when every name of it has been looked up once, or this much later.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Resolves the names of a service once and asks each upstream how it is, so that the first request finds it all known.
pub(super) async fn prepare(balancer: &LoadBalancer<RoundRobin>) {
    let first = async {
        // What cannot be resolved is logged where that is found out.
        if balancer.update().await.is_ok() {
            balancer.backends().run_health_check(true).await;
        }
    };
    if timeout(LOOKUP_TIMEOUT, first).await.is_err() {
        tracing::warn!("some passthrough upstreams are not known yet");
    }
}

pub(super) fn balancer(entry: &Passthrough) -> LoadBalancer<RoundRobin> {
    let mut backends = Backends::new(Box::new(Names::new(&entry.upstreams)));
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
    /// The last good answer of each, which is kept while a name cannot be resolved.
    known: Mutex<HashMap<Upstream, Vec<SocketAddr>>>,
}

impl Names {
    fn new(upstreams: &[Upstream]) -> Names {
        Names { upstreams: upstreams.to_vec(), known: Mutex::default() }
    }

    /// The addresses of one upstream, as they are now or were last; none when it was never resolved.
    async fn addresses(&self, upstream: &Upstream) -> Vec<SocketAddr> {
        let lookup = tokio::net::lookup_host((upstream.host.as_str(), upstream.port));
        let result = match timeout(LOOKUP_TIMEOUT, lookup).await {
            Ok(Ok(addresses)) => Ok(addresses.collect()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        self.or_last_good(upstream, result)
    }

    fn or_last_good(&self, upstream: &Upstream, result: Result<Vec<SocketAddr>, String>) -> Vec<SocketAddr> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(addresses) => {
                known.insert(upstream.clone(), addresses.clone());
                addresses
            }
            Err(error) => {
                tracing::warn!(%upstream, error, "a passthrough upstream cannot be resolved");
                known.get(upstream).cloned().unwrap_or_default()
            }
        }
    }
}

#[async_trait]
impl ServiceDiscovery for Names {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        for upstream in &self.upstreams {
            for address in self.addresses(upstream).await {
                let mut ext = Extensions::new();
                ext.insert(upstream.clone());
                found.insert(Backend { addr: address.into(), weight: 1, ext });
            }
        }
        if found.is_empty() {
            return Error::e_explain(ErrorType::ConnectNoRoute, "no upstream can be resolved");
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
            // The port belongs to it; an authority is a header value.
            let _ = check.req.insert_header("Host", upstream.authority());
            if let Ok(uri) = settings.path.parse() {
                check.req.set_uri(uri);
            }
            check.peer_template.options.connection_timeout = Some(CONNECT_TIMEOUT);
            check.reuse_connection = true;
            check.validator = Some(Box::new(|response| match response.status.is_success() {
                true => Ok(()),
                false => Error::e_explain(ErrorType::HTTPStatus(response.status.as_u16()), "a health check"),
            }));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stops_resolving_keeps_its_last_addresses() {
        let upstream = Upstream { tls: false, host: "a.test".into(), port: 80 };
        let names = Names::new(std::slice::from_ref(&upstream));
        let addresses = vec![SocketAddr::from(([10, 0, 0, 1], 80))];
        assert_eq!(names.or_last_good(&upstream, Err("no".into())), []);
        assert_eq!(names.or_last_good(&upstream, Ok(addresses.clone())), addresses);
        assert_eq!(names.or_last_good(&upstream, Err("no".into())), addresses);
    }
}
