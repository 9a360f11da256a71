//! Logs on standard error, as JSON or as text.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Libraries whose finer logs may show requests with their credentials: never below this level, whatever is asked for.
const TALKATIVE: &[&str] = &["pingora", "h2", "hyper", "rustls", "tokio_rustls"];

/// Starts logging; `level` is a level or a list of directives such as `info,vidgate::upstream=debug`.
pub fn start(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| format!("log.level: {error}"))?;
    let quiet = FilterFn::new(|metadata| {
        *metadata.level() <= Level::WARN || !TALKATIVE.iter().any(|library| metadata.target().starts_with(library))
    });
    let registry = tracing_subscriber::registry().with(filter).with(quiet);
    let format =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Json => registry.with(format.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(format).try_init(),
    };
    started.map_err(|error| error.to_string())
}
