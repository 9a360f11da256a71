//! A new config while requests are served: read and checked whole, then put in the place of the old one.

mod differences;
mod watch;

use super::certificates::Certificates;
use super::life::Life;
use super::logs;
use super::snapshot::{Current, Snapshot};
use super::traces::Observers;
use crate::config::{Reload, Settings};
use crate::gateway::GatewayError;
use jiff::Timestamp;
use pingora::server::ShutdownWatch;
use pingora::services::ServiceReadyNotifier;
use pingora::services::background::BackgroundService;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use watch::Watch;

/// Names that do not resolve must not hold up readiness for ever, nor a new config.
const WARM_UP: Duration = Duration::from_secs(10);

/// Reloads that may wait for their turn.
const QUEUE: usize = 16;

/// One thing that is wrong with a new config.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Fault {
    /// The place in the file; empty when the whole file is meant.
    pub path: String,
    pub message: String,
}

/// The generation that is in use now, or all that is wrong with the file.
pub(super) type Outcome = Result<u64, Vec<Fault>>;

/// What the operator is told of the config.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Facts {
    /// 1 at start, and one more with each config that was taken over.
    pub generation: u64,
    pub loaded_at: String,
    pub reloads: u64,
    pub failed_reloads: u64,
    /// What was wrong with the last file that was refused; `None` once a later one was taken over.
    pub last_error: Option<String>,
}

/// Where reloads are asked for, and what became of them.
pub(super) struct Desk {
    facts: Mutex<Facts>,
    queue: mpsc::Sender<oneshot::Sender<Outcome>>,
}

/// Keeps the config current. It is a service of its own, so that one reload is made at a time.
pub(super) struct Keeper {
    /// The settings that the program began with; what cannot change stays theirs.
    begun: Settings,
    file: Option<PathBuf>,
    now: Current,
    certificates: Certificates,
    life: Arc<Life>,
    observers: Arc<Observers>,
    desk: Arc<Desk>,
    queue: Mutex<Option<mpsc::Receiver<oneshot::Sender<Outcome>>>>,
}

impl Desk {
    pub fn facts(&self) -> Facts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the config again; answers when it is in use or refused.
    pub async fn reload(&self) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let gone = || vec![Fault { path: String::new(), message: "the program is being stopped".into() }];
        self.queue.send(reply).await.map_err(|_| gone())?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    fn note(&self, result: &Result<(), Vec<Fault>>) -> u64 {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                facts.generation += 1;
                facts.reloads += 1;
                facts.loaded_at = now();
                facts.last_error = None;
            }
            Err(faults) => {
                facts.failed_reloads += 1;
                facts.last_error = Some(faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"));
            }
        }
        facts.generation
    }
}

impl Keeper {
    pub fn new(
        begun: Settings,
        file: Option<PathBuf>,
        now: &Current,
        certificates: Certificates,
        life: &Arc<Life>,
        observers: &Arc<Observers>,
    ) -> (Keeper, Arc<Desk>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let facts = Facts { generation: 1, loaded_at: self::now(), reloads: 0, failed_reloads: 0, last_error: None };
        let desk = Arc::new(Desk { facts: Mutex::new(facts), queue: sender });
        let (now, life, queue) = (Arc::clone(now), Arc::clone(life), Mutex::new(Some(receiver)));
        let observers = Arc::clone(observers);
        (Keeper { begun, file, now, certificates, life, observers, desk: Arc::clone(&desk), queue }, desk)
    }

    /// Reads the file and takes it over, or says in the log why not.
    async fn reload(&self, watch: &mut Watch, cause: &str) -> Outcome {
        watch.look_at_files();
        let result = self.try_reload(watch).await;
        self.observers.metrics.reloaded(result.is_ok());
        let generation = self.desk.note(&result);
        match &result {
            Ok(()) => tracing::info!(cause, generation, "the config was reloaded"),
            Err(faults) => {
                for fault in faults {
                    tracing::error!(cause, generation, fault = %fault, "the config was not reloaded; the old one stays");
                }
            }
        }
        result.map(|()| generation)
    }

    async fn try_reload(&self, watch: &mut Watch) -> Result<(), Vec<Fault>> {
        let Some(file) = &self.file else {
            return Err(vec![Fault { path: String::new(), message: "the program runs without a config file".into() }]);
        };
        let settings = Settings::load(file).map_err(|faults| faults.iter().map(Fault::from).collect::<Vec<_>>())?;
        differences::check(&self.begun, &settings).map_err(|fault| vec![fault])?;
        let old = self.now.load_full();
        let mut faults = Vec::new();
        let next = old.renewed(&settings, &*self.observers).map_err(|error| faults.push(Fault::from(&error)));
        let certificates = self.certificates.read_again(&settings.listen).map_err(|why| {
            faults.extend(why.into_iter().map(|message| Fault { path: "listen".into(), message }));
        });
        let (Ok(next), Ok(certificates)) = (next, certificates) else { return Err(faults) };
        next.services.begin().await;
        warm(&next).await;
        certificates.show();
        let next = Arc::new(next);
        self.now.store(Arc::clone(&next));
        old.services.end_those_not_in(&next.services);
        self.change_what_else_can_change(&settings, watch);
        Ok(())
    }

    fn change_what_else_can_change(&self, settings: &Settings, watch: &mut Watch) {
        watch.is_on = settings.reload == Reload::Watch;
        if let Err(error) = logs::set_level(&settings.log.level) {
            tracing::error!(error, "log.level stays as it was");
        }
        let ignored = differences::ignored(&self.begun, settings);
        if !ignored.is_empty() {
            let ignored = ignored.join(", ");
            tracing::warn!(ignored, "these settings changed; they take effect with a restart only");
        }
    }

    /// Waits for whatever asks for a reload, for as long as the program runs.
    async fn keep(&self, mut hangups: Option<Signal>, mut watch: Watch) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut queue) = queue else { return };
        loop {
            tokio::select! {
                () = hangup(&mut hangups) => {
                    // The file's faults are in the log.
                    let _ = self.reload(&mut watch, "signal").await;
                }
                Some(reply) = queue.recv() => {
                    let outcome = self.reload(&mut watch, "admin").await;
                    // Whoever asked may have left.
                    let _ = reply.send(outcome);
                }
                () = watch.change() => {
                    let _ = self.reload(&mut watch, "watch").await;
                }
            }
        }
    }
}

#[async_trait::async_trait]
impl BackgroundService for Keeper {
    async fn start_with_ready_notifier(&self, mut shutdown: ShutdownWatch, ready: ServiceReadyNotifier) {
        // First of all, since a signal that nobody waits for ends the program.
        let hangups = signal(SignalKind::hangup()).ok();
        if hangups.is_none() {
            tracing::error!("SIGHUP cannot be watched; use POST /reload");
        }
        let mut watch = Watch::new(self.file.as_deref(), &self.begun.listen);
        watch.is_on = self.begun.reload == Reload::Watch;
        let snapshot = self.now.load_full();
        // The first request finds its upstreams resolved.
        snapshot.services.begin().await;
        ready.notify_ready();
        warm(&snapshot).await;
        drop(snapshot);
        self.life.is_warm();
        tokio::select! {
            () = self.keep(hangups, watch) => {}
            _ = shutdown.wait_for(|is_over| *is_over) => {}
        }
    }
}

impl From<&crate::config::Fault> for Fault {
    fn from(fault: &crate::config::Fault) -> Fault {
        Fault { path: fault.path().to_owned(), message: fault.message().to_owned() }
    }
}

impl From<&GatewayError> for Fault {
    fn from(error: &GatewayError) -> Fault {
        match error {
            GatewayError::Trust(error) => Fault { path: String::new(), message: error.to_string() },
            GatewayError::Provider { provider, place, why } => {
                Fault { path: format!("providers.{provider}.{place}"), message: why.clone() }
            }
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Resolves the providers' names before the first request needs them.
async fn warm(snapshot: &Snapshot) {
    if timeout(WARM_UP, snapshot.gateway.warm()).await.is_err() {
        tracing::warn!("some providers' names are not resolved yet");
    }
}

async fn hangup(hangups: &mut Option<Signal>) {
    let Some(hangups) = hangups else { return std::future::pending().await };
    if hangups.recv().await.is_none() {
        std::future::pending().await
    }
}

fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
