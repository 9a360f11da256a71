//! How a provider is polled, spared when it fails, and its videos fetched.

use super::address::BaseAddress;
use super::passthrough::{base_address, is_host};
use super::section::Section;
use super::tree::Value;
use std::time::Duration;

/// How long answers about a job are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// Answers are kept and shared; when false every poll is its own exchange. Default true.
    pub cache: bool,
    /// How long a non-terminal answer is served again; default 1 s, 0 for never.
    pub fresh_for: Duration,
    /// What clients are told to wait between polls; default per kind.
    pub interval: Duration,
    /// How old an answer may be when the provider fails; default 5 min, 0 for never.
    pub stale_for: Duration,
}

/// When a provider that fails is left alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// At least so many failures within `window`; default 5.
    pub failures: u32,
    /// Default 10 s.
    pub window: Duration,
    /// At least this share of the exchanges within `window`, above 0 and at most 1; default 0.5.
    pub ratio: f64,
    /// How long it is left alone; default 10 s.
    pub open_for: Duration,
}

/// How the bytes of a video are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub mode: ContentMode,
    /// More hosts, or `host:port`, that result links may live on, in lower case; `.suffix` for all hosts below it.
    pub allow_hosts: Vec<String>,
    /// How long the source may send nothing; default 30 s.
    pub idle_timeout: Duration,
    /// Where `gs:` and `s3:` objects are fetched instead of at Google's and Amazon's own hosts: an emulator, a private
    /// endpoint, a server that speaks the same API.
    pub storage_url: Option<BaseAddress>,
}

/// Who carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentMode {
    /// The proxy does (the default).
    Stream,
    /// The client is sent to a public signed URL.
    Redirect,
}

const MODES: &[(&str, ContentMode)] = &[("stream", ContentMode::Stream), ("redirect", ContentMode::Redirect)];

/// Reads `poll`; `interval` is the kind's own.
pub(super) fn poll(parent: &mut Section, interval: Duration) -> Poll {
    let mut poll =
        Poll { cache: true, fresh_for: Duration::from_secs(1), interval, stale_for: Duration::from_secs(300) };
    if let Some(value) = parent.take("poll") {
        value.section(|section| {
            poll.cache = section.or("cache", poll.cache, Value::flag);
            poll.fresh_for = section.or("fresh_for", poll.fresh_for, Value::duration);
            poll.interval = section.or("interval", poll.interval, Value::time_above_zero);
            poll.stale_for = section.or("stale_for", poll.stale_for, Value::duration);
        });
    }
    poll
}

/// Reads `breaker`; null is none.
pub(super) fn breaker(parent: &mut Section) -> Option<Breaker> {
    let ten = Duration::from_secs(10);
    let default = Breaker { failures: 5, window: ten, ratio: 0.5, open_for: ten };
    let Some(value) = parent.take("breaker") else { return Some(default) };
    if value.is_null() {
        return None;
    }
    value.section(|section| Breaker {
        failures: section.or("failures", default.failures, |value| value.whole(1..=1_000_000)),
        window: section.or("window", default.window, Value::time_above_zero),
        ratio: section.or("ratio", default.ratio, Value::ratio),
        open_for: section.or("open_for", default.open_for, Value::time_above_zero),
    })
}

/// Reads `content`.
pub(super) fn content(parent: &mut Section) -> Content {
    let mut content = Content {
        mode: ContentMode::Stream,
        allow_hosts: Vec::new(),
        idle_timeout: Duration::from_secs(30),
        storage_url: None,
    };
    if let Some(value) = parent.take("content") {
        value.section(|section| {
            content.mode = section.or("mode", content.mode, |value| value.word(MODES));
            content.allow_hosts = section.or("allow_hosts", Vec::new(), |value| {
                Some(value.list("a list of hosts")?.iter().filter_map(allowed_host).collect())
            });
            content.storage_url = section.optional("storage_url", storage_url);
            content.idle_timeout = section.or("idle_timeout", content.idle_timeout, Value::time_above_zero);
        });
    }
    content
}

/// Credentials go there, so it is held to what a `base_url` is.
fn storage_url(value: &Value) -> Option<BaseAddress> {
    let address = base_address(value, "https://storage.example.com")?;
    if !address.tls && !address.is_loopback() {
        value.fault("expected https://, found http:// to another machine, where credentials would go in the clear");
        return None;
    }
    Some(address)
}

/// `host`, `host:port` or `.suffix`.
fn allowed_host(value: &Value) -> Option<String> {
    let text = value.as_text().unwrap_or_default().to_ascii_lowercase();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text.as_str(), None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    match is_host(host.strip_prefix('.').unwrap_or(host)) && port_fits {
        true => Some(text),
        false => value.wrong("a host such as cdn.example.com, cdn.example.com:8443 or .example.com"),
    }
}
