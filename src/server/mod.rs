//! The program around the gateway: Pingora's server side, passthrough, signals, logs, metrics, traces.

mod access;
mod admin;
mod balance;
mod certificates;
mod door;
mod framing;
mod front;
mod guard;
mod hops;
mod http1;
mod life;
mod listeners;
mod logs;
mod metrics;
mod passthrough;
mod reload;
mod snapshot;
mod traces;

pub use listeners::pick_ports;
pub use logs::{Logs, start as start_logs};

use crate::config::Settings;
use crate::gateway::{Gateway, GatewayError};
use admin::Admin;
use arc_swap::ArcSwap;
use certificates::Certificates;
use door::Door;
use front::Front;
use life::{Life, Signals};
use metrics::Metrics;
use pingora::apps::http_app::HttpServer;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{ExecutionPhase, RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use reload::Keeper;
use snapshot::{Current, Snapshot};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::broadcast::error::RecvError;
use traces::{Observers, Traces};

/// Tries of a passed-through request; a new one is made only when no connection came about.
const MAX_TRIES: usize = 3;

/// Idle connections to passed-through services that are kept.
const POOL: usize = 1024;

/// How long the last spans may take to be sent, out of what is left of `shutdown_timeout`.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// Where sockets are handed over unless the command line says otherwise.
const UPGRADE_SOCK: &str = "vidgate-upgrade.sock";

/// The bytes that the path of a socket has room for, with a zero at the end.
const MAX_SOCK: usize = 108;

/// Why the program did not start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error("{0}")]
    Listener(String),
    #[error("traces: {0}")]
    Traces(String),
}

/// How the program was started, beside its settings.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The config file, which is read again on a reload.
    pub file: Option<PathBuf>,
    /// Take the listening sockets over from a running program.
    pub upgrade: bool,
    /// Where sockets are handed over; default below the folder for temporary files.
    pub upgrade_sock: Option<PathBuf>,
}

/// Whether these settings, in order by themselves, are also good for a start. Opens no connection and no listener.
pub fn check(settings: &Settings) -> Result<(), StartError> {
    Gateway::new(settings)?;
    if let Some(traces) = &settings.traces {
        Traces::new(traces, Default::default()).map_err(StartError::Traces)?;
    }
    Ok(())
}

/// Serves until a signal says stop. Returns when everything in flight has been answered or has had its time.
///
/// The logs come along so that their last lines are written when everything else is over.
pub fn run(settings: &Settings, logs: Logs, start: Start) -> Result<(), StartError> {
    let metrics = Arc::new(Metrics::new(logs.dropped()));
    let tracing = settings.traces.as_ref().map(|traces| Traces::new(traces, metrics.spans_dropped()));
    let (traces, exporter) = tracing.transpose().map_err(StartError::Traces)?.unzip();
    let observers = Arc::new(Observers { metrics: Arc::clone(&metrics), traces: traces.clone() });
    let now: Current = Arc::new(ArcSwap::from_pointee(Snapshot::new(settings, &*observers)?));
    let certificates =
        Certificates::read(&settings.listen).map_err(|faults| StartError::Listener(faults.join("\n")))?;
    let upgrade_sock = start.upgrade_sock.unwrap_or_else(|| std::env::temp_dir().join(UPGRADE_SOCK));
    if start.upgrade {
        check_sock(&upgrade_sock).map_err(StartError::Listener)?;
    }
    let options = Opt { upgrade: start.upgrade, ..Opt::default() };
    let mut server = Server::new_with_opt_and_conf(options, server_conf(settings, &upgrade_sock));
    server.bootstrap();

    let life = Arc::new(Life::default());
    let door = Door::new(&now, &life, &observers, settings.limits.header_size);
    let mut front = Service::new("videos".to_owned(), Front::new(&server.configuration, &door, &settings.limits));
    listeners::add(&mut front, &settings.listen, &certificates).map_err(StartError::Listener)?;
    let (keeper, desk) = Keeper::new(settings.clone(), start.file, &now, certificates, &life, &observers);
    let keeper = server.add_service(background_service("config", keeper));
    if let Some(exporter) = exporter {
        server.add_service(background_service("traces", exporter));
    }
    if let Some(address) = settings.admin {
        let app = HttpServer::new_app(Admin::new(&now, &desk, &life, &metrics));
        let mut admin = Service::new("admin".to_owned(), app);
        admin.add_tcp(&address.to_string());
        server.add_service(admin);
    }
    // The first request finds its upstreams resolved.
    server.add_service(front).add_dependency(keeper);
    announce(settings);
    serve(server, settings, upgrade_sock, life, traces.as_deref());
    Ok(())
}

/// Runs the server until it has ended, or nothing is left for it to do: Pingora itself waits for a fixed time.
fn serve(server: Server, settings: &Settings, upgrade_sock: PathBuf, life: Arc<Life>, traces: Option<&Traces>) {
    let mut phases = server.watch_execution_phase();
    let signals = Signals::new(settings.drain, upgrade_sock, Arc::clone(&life));
    // It ends with the process.
    std::thread::spawn(move || server.run(RunArgs { shutdown_signal: Box::new(signals) }));
    loop {
        match phases.blocking_recv() {
            // No new connections from now on, and those that are idle are closed.
            Ok(ExecutionPhase::ShutdownGracePeriod) => {
                let end = Instant::now() + settings.shutdown_timeout;
                life.wait_for_the_last(settings.shutdown_timeout);
                if let Some(traces) = traces {
                    traces.flush(end.saturating_duration_since(Instant::now()).min(LAST_SPANS));
                }
                return;
            }
            Ok(ExecutionPhase::ShutdownRuntimes | ExecutionPhase::Terminated) | Err(RecvError::Closed) => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
    }
}

/// Pingora panics where no socket can be made.
fn check_sock(path: &Path) -> Result<(), String> {
    let is_folder = path.parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.is_dir());
    match path.as_os_str().len() < MAX_SOCK && is_folder {
        true => Ok(()),
        false => {
            Err(format!("no socket can be made at {}: the folder is missing or the path too long", path.display()))
        }
    }
}

fn announce(settings: &Settings) {
    for listen in &settings.listen {
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        tracing::info!(address = %listen.addr, scheme, "listening");
    }
    if let Some(address) = settings.admin {
        tracing::info!(%address, "admin listener");
    }
    if let Some(traces) = &settings.traces {
        tracing::info!(collector = traces.endpoint.authority(), sample = traces.sample, "spans are exported");
    }
}

fn server_conf(settings: &Settings, upgrade_sock: &Path) -> ServerConf {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ServerConf {
        threads: settings.threads.unwrap_or(cores),
        max_retries: MAX_TRIES,
        upstream_keepalive_pool_size: POOL,
        upgrade_sock: upgrade_sock.to_string_lossy().into_owned(),
        // Longer than we wait for what is in flight: the end is ours to say.
        grace_period_seconds: Some(settings.shutdown_timeout.as_secs().saturating_add(60)),
        ..ServerConf::default()
    }
}
