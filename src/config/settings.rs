//! The whole config.

use super::address::BaseAddress;
use super::client_auth::{self, ClientAuth};
use super::environment::{Environment, System};
use super::faults::Faults;
use super::inbound::{self, ClientRate, Limits, Network};
use super::listen::{self, Listen};
use super::passthrough::{self, Passthrough, base_address};
use super::providers::{self, ProviderEntry};
use super::section::Section;
use super::traces::{self, Traces};
use super::tree::{Reading, Value};
use super::yaml;
use crate::providers::{PROVIDERS, Provider};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients reach us; at least one. Default 127.0.0.1:8080.
    pub listen: Vec<Listen>,
    /// Where operators do; default 127.0.0.1:9090, `None` for nowhere.
    pub admin: Option<SocketAddr>,
    /// The URL that clients know us by, with a path if there is one and no trailing slash; default the request's own.
    pub public_url: Option<String>,
    /// What an id without a provider means.
    pub bare_ids: BareIds,
    /// Clients may ask for the provider's raw bodies; default false.
    pub allow_raw: bool,
    /// Worker threads, 1 to 1024; default the number of cores.
    pub threads: Option<usize>,
    /// Requests in the house at once; default 10 000.
    pub max_requests: usize,
    pub limits: Limits,
    pub client_rate: ClientRate,
    /// Those whose `X-Forwarded-…` headers are believed; default nobody.
    pub trusted_proxies: Vec<Network>,
    /// How long we still accept after we were told to stop; default 5 s.
    pub drain: Duration,
    /// How long we then wait for what is in flight; default 30 s.
    pub shutdown_timeout: Duration,
    pub reload: Reload,
    pub log: Log,
    /// Default: no spans are sent.
    pub traces: Option<Traces>,
    pub poll_cache: PollCache,
    /// Services for all other requests; none by default.
    pub passthrough: Vec<Passthrough>,
    pub client_auth: ClientAuth,
    /// In the order of the file.
    pub providers: Vec<ProviderEntry>,
}

/// What an id without a provider means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BareIds {
    /// A malformed id (the default).
    Reject,
    /// A request that is not ours.
    Passthrough,
    /// A job of this provider entry, which exists.
    Provider(String),
}

/// When the config is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// On a signal (the default).
    Signal,
    /// When the file changes, too.
    Watch,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level, or a filter such as `info,vidgate=debug`; default `info`.
    pub level: String,
    pub format: LogFormat,
    /// One line for each request; default true.
    pub access: bool,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object (the default).
    Json,
    /// For people.
    Text,
}

/// How much of what providers said is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollCache {
    /// Bytes in all; default 256 MiB, 0 to keep nothing.
    pub max_bytes: u64,
    /// Bytes of one answer; default 1 MiB. Larger ones are shared while in flight, and not kept.
    pub max_entry: u64,
    /// How long a terminal answer is kept, at most; default 10 min.
    pub keep: Duration,
}

const RELOADS: &[(&str, Reload)] = &[("signal", Reload::Signal), ("watch", Reload::Watch)];
const FORMATS: &[(&str, LogFormat)] = &[("json", LogFormat::Json), ("text", LogFormat::Text)];
const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "off"];

impl Settings {
    /// Reads a config file. Relative paths in it are relative to the working directory.
    pub fn load(path: &Path) -> Result<Settings, Faults> {
        let bytes =
            System.file(path).map_err(|error| Faults::of_file(format!("cannot read {}: {error}", path.display())))?;
        let text =
            String::from_utf8(bytes).map_err(|_| Faults::of_file(format!("{} is not valid UTF-8", path.display())))?;
        Settings::parse(&text)
    }

    /// Reads the text of a config, in the process's own environment.
    pub fn parse(text: &str) -> Result<Settings, Faults> {
        Settings::parse_with(text, PROVIDERS, &System)
    }

    /// Reads the text of a config against these kinds and in this environment.
    pub fn parse_with(
        text: &str,
        kinds: &[&'static Provider],
        environment: &dyn Environment,
    ) -> Result<Settings, Faults> {
        let reading = Reading::new(environment);
        let settings = read(text, kinds, &reading);
        match (settings, reading.finish()) {
            (Ok(Some(settings)), None) => Ok(settings),
            (Err(syntax), _) => Err(Faults::of_file(syntax)),
            (Ok(_), Some(faults)) => Err(faults),
            (Ok(None), None) => Err(Faults::of_file("expected a mapping, found something else")),
        }
    }
}

/// The settings as far as they could be read; what is wrong with them is in `reading`. The error is one of syntax.
pub(super) fn read(text: &str, kinds: &[&'static Provider], reading: &Reading) -> Result<Option<Settings>, String> {
    let mut node = yaml::parse(text)?;
    reading.prepare(&mut node, "");
    let root = Value { node: &node, path: String::new(), reading };
    Ok(root.section(|root| settings(root, kinds)))
}

fn settings(root: &mut Section, kinds: &[&'static Provider]) -> Settings {
    let (listen, admin) = listen::read(root);
    let providers = root.take("providers");
    let names: Vec<&str> = match providers.as_ref().map(|value| value.node) {
        Some(yaml::Node::Map(entries)) => entries.iter().map(|(name, _)| name.as_str()).collect(),
        _ => Vec::new(),
    };
    let no_providers = providers.as_ref().is_none_or(|value| value.is_null() || is_empty_map(value));
    let settings = Settings {
        public_url: root.optional("public_url", public_url),
        bare_ids: root.or("bare_ids", BareIds::Reject, |value| bare_ids(value, &names)),
        allow_raw: root.or("allow_raw", false, Value::flag),
        threads: root.optional("threads", |value| value.whole(1..=1024)),
        max_requests: root.or("max_requests", 10_000, |value| value.whole(1..=10_000_000)),
        limits: inbound::limits(root),
        client_rate: inbound::client_rate(root),
        trusted_proxies: inbound::trusted_proxies(root),
        drain: root.or("drain", Duration::from_secs(5), Value::duration),
        shutdown_timeout: root.or("shutdown_timeout", Duration::from_secs(30), Value::duration),
        reload: root.or("reload", Reload::Signal, |value| value.word(RELOADS)),
        log: log(root),
        traces: traces::read(root),
        poll_cache: poll_cache(root),
        client_auth: client_auth::read(root, &listen, &names),
        passthrough: passthrough::read(root),
        providers: providers.map(|value| providers::read(&value, kinds)).unwrap_or_default(),
        listen,
        admin,
    };
    if no_providers && root.take_set("passthrough").is_none() {
        root.fault(
            "providers",
            "expected at least one provider, or a `passthrough`; found neither, so there is nothing to serve",
        );
    }
    settings
}

fn is_empty_map(value: &Value) -> bool {
    matches!(value.node, yaml::Node::Map(entries) if entries.is_empty())
}

fn public_url(value: &Value) -> Option<String> {
    base_address(value, "https://videos.example.com").map(|address: BaseAddress| address.to_string())
}

fn bare_ids(value: &Value, names: &[&str]) -> Option<BareIds> {
    match value.as_text() {
        Some("reject") => Some(BareIds::Reject),
        Some("passthrough") => Some(BareIds::Passthrough),
        Some(name) if names.contains(&name) => Some(BareIds::Provider(name.to_owned())),
        _ => value.wrong(&format!("reject, passthrough or a name under `providers` ({})", names.join(", "))),
    }
}

fn log(root: &mut Section) -> Log {
    let mut log = Log { level: "info".into(), format: LogFormat::Json, access: true };
    if let Some(value) = root.take("log") {
        value.section(|section| {
            log.level = section.or("level", "info".into(), level);
            log.format = section.or("format", log.format, |value| value.word(FORMATS));
            log.access = section.or("access", log.access, Value::flag);
        });
    }
    log
}

/// A level, or several after the parts of the program they are for.
fn level(value: &Value) -> Option<String> {
    let target = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'))
    };
    let directive = |text: &str| match text.split_once('=') {
        Some((name, level)) => target(name) && LEVELS.contains(&level),
        None => LEVELS.contains(&text),
    };
    let text = value.as_text().filter(|text| text.split(',').all(directive)).map(str::to_owned);
    text.or_else(|| value.wrong("trace, debug, info, warn, error or off, or a filter such as info,vidgate=debug"))
}

fn poll_cache(root: &mut Section) -> PollCache {
    let mut cache = PollCache { max_bytes: 256 << 20, max_entry: 1 << 20, keep: Duration::from_secs(600) };
    if let Some(value) = root.take("poll_cache") {
        value.section(|section| {
            cache.max_bytes = section.or("max_bytes", cache.max_bytes, Value::size);
            cache.max_entry = section.or("max_entry", cache.max_entry, Value::size);
            cache.keep = section.or("keep", cache.keep, Value::duration);
        });
    }
    cache
}
