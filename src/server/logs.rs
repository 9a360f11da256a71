//! Logs on standard error, as JSON or as text. A thread of its own writes them, so that no request waits for a terminal
//! or a full pipe; what it cannot keep up with is dropped and counted.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Libraries whose finer logs may show requests with their credentials: never below this level, whatever is asked for.
const TALKATIVE: &[&str] = &["pingora", "h2", "hyper", "rustls", "tokio_rustls"];

/// Lines that wait to be written. Each is some 300 bytes.
const WAITING: usize = 8 * 1024;

/// Logs that are being written. What still waits is written when this is dropped.
pub struct Logs {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

/// How many lines were dropped.
#[derive(Debug, Clone)]
pub(super) struct Dropped(ErrorCounter);

impl Logs {
    pub(super) fn dropped(&self) -> Dropped {
        self.dropped.clone().into()
    }
}

impl From<ErrorCounter> for Dropped {
    fn from(counter: ErrorCounter) -> Dropped {
        Dropped(counter)
    }
}

impl Dropped {
    pub fn lines(&self) -> usize {
        self.0.dropped_lines()
    }
}

/// Starts logging; `level` is a level or a list of directives such as `info,vidgate::upstream=debug`.
pub fn start(log: &Log) -> Result<Logs, String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| format!("log.level: {error}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let quiet = FilterFn::new(|metadata| {
        *metadata.level() <= Level::WARN || !TALKATIVE.iter().any(|library| metadata.target().starts_with(library))
    });
    let registry = tracing_subscriber::registry().with(filter).with(quiet);
    let (lines, writer) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING).finish(std::io::stderr());
    let dropped = lines.error_counter();
    let format = tracing_subscriber::fmt::layer().with_writer(lines).with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Json => registry.with(format.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(format).try_init(),
    };
    started.map_err(|error| error.to_string())?;
    let change = move |level: &str| {
        let filter = EnvFilter::try_new(level).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    };
    // Logging can be started only once, and so is this set.
    let _ = CHANGE.set(Box::new(change));
    Ok(Logs { dropped, _writer: writer })
}

type Change = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Changes what is logged; there is one log, as there is one standard error.
static CHANGE: OnceLock<Box<Change>> = OnceLock::new();

/// Logs at another level from now on.
pub(super) fn set_level(level: &str) -> Result<(), String> {
    CHANGE.get().map_or(Ok(()), |change| change(level))
}
