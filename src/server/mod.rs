//! The program around the gateway: Pingora's server side, passthrough, signals, logs, metrics.

mod access;
mod admin;
mod balance;
mod door;
mod framing;
mod front;
mod guard;
mod hops;
mod life;
mod listeners;
mod logs;
mod metrics;
mod passthrough;

pub use listeners::pick_ports;
pub use logs::{Logs, start as start_logs};

use crate::config::Settings;
use crate::gateway::{Gateway, GatewayError};
use door::Door;
use front::Front;
use life::{Life, Signals};
use metrics::Metrics;
use passthrough::Services;
use pingora::apps::http_app::HttpServer;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::{BackgroundService, background_service};
use pingora::services::listening::Service;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Tries of a passed-through request; a new one is made only when no connection came about.
const MAX_TRIES: usize = 3;

/// Idle connections to passed-through services that are kept.
const POOL: usize = 1024;

/// Why the program did not start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error("{0}")]
    Listener(String),
}

/// Serves until a signal says stop. Returns when everything in flight has been answered or has had its time.
///
/// The logs come along so that their last lines are written when everything else is over.
pub fn run(settings: &Settings, logs: Logs) -> Result<(), StartError> {
    let metrics = Arc::new(Metrics::new(logs.dropped()));
    let gateway = Arc::new(Gateway::observed(settings, &*metrics)?);
    let services = Arc::new(Services::new(&settings.passthrough));
    let life = Arc::new(Life::default());
    let mut server = Server::new_with_opt_and_conf(None, server_conf(settings));
    server.bootstrap();

    let door = Door::new(&gateway, &services, &life, &metrics, settings.log.access)
        .with_header_size(settings.limits.header_size);
    let mut front = Service::new("videos".to_owned(), Front::new(&server.configuration, &door, &settings.limits));
    listeners::add(&mut front, &settings.listen).map_err(StartError::Listener)?;

    let upstreams: Vec<_> = services.background().into_iter().map(|task| server.add_service(task)).collect();
    let warm = background_service("names", Names { gateway: Arc::clone(&gateway), life: Arc::clone(&life) });
    server.add_service(warm).add_dependencies(&upstreams);
    if let Some(address) = settings.admin {
        let app = HttpServer::new_app(admin::Admin::new(&gateway, &life, &metrics));
        let mut admin = Service::new("admin".to_owned(), app);
        admin.add_tcp(&address.to_string());
        server.add_service(admin);
    }
    // The first request finds its upstreams resolved.
    server.add_service(front).add_dependencies(&upstreams);
    for listen in &settings.listen {
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        tracing::info!(address = %listen.addr, scheme, "listening");
    }
    if let Some(address) = settings.admin {
        tracing::info!(%address, "admin listener");
    }
    let signals = Signals::new(settings.drain, settings.shutdown_timeout, life);
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    Ok(())
}

fn server_conf(settings: &Settings) -> ServerConf {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ServerConf {
        threads: settings.threads.unwrap_or(cores),
        max_retries: MAX_TRIES,
        upstream_keepalive_pool_size: POOL,
        // The signal watch itself waits for what is in flight, and no longer than that takes.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

/// Resolves the providers' names before the first request needs them.
struct Names {
    gateway: Arc<Gateway>,
    life: Arc<Life>,
}

/// Names that do not resolve must not hold up readiness for ever.
const WARM_UP: Duration = Duration::from_secs(10);

#[async_trait::async_trait]
impl BackgroundService for Names {
    async fn start(&self, _shutdown: pingora::server::ShutdownWatch) {
        if tokio::time::timeout(WARM_UP, self.gateway.warm()).await.is_err() {
            tracing::warn!("some providers' names are not resolved yet");
        }
        self.life.is_warm();
    }
}
