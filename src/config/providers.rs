//! The entries under `providers`.

use super::address::BaseAddress;
use super::content::{self, Breaker, Content, Poll};
use super::credentials::{self, Credentials};
use super::headers;
use super::passthrough::base_address;
use super::pem::{self, TrustAnchors};
use super::secret::Secret;
use super::section::Section;
use super::tree::Value;
use super::words::suggestion;
use crate::providers::{BaseUrl, Provider};
use http::HeaderName;
use std::fmt;
use std::time::Duration;

/// One provider that jobs may name after the colon.
#[derive(Clone, PartialEq)]
pub struct ProviderEntry {
    /// `[a-z0-9][a-z0-9_-]*`, unique.
    pub name: String,
    /// The row of its kind; default the one called like the entry.
    pub kind: &'static Provider,
    /// Where its API lives; `None` when each job's name says. Default per kind.
    pub base_url: Option<BaseAddress>,
    pub credentials: Credentials,
    /// Extra headers, sent on every call; valid as they stand.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Default 3 s.
    pub connect_timeout: Duration,
    /// For a whole status exchange, retries included; default 30 s.
    pub timeout: Duration,
    /// Tries after the first one, at most 10; default 2.
    pub retries: u32,
    /// The most bytes of a status answer; default 64 MiB.
    pub max_body: u64,
    /// Exchanges at once; default 256.
    pub max_concurrent: usize,
    /// `None` for no breaker.
    pub breaker: Option<Breaker>,
    /// Certificates to trust besides the system's.
    pub ca_file: Option<TrustAnchors>,
    pub poll: Poll,
    pub content: Content,
}

impl ProviderEntry {
    /// Whether both ask the same server as the same client, so that what one was told holds for the other.
    pub fn asks_the_same(&self, other: &ProviderEntry) -> bool {
        let own = (&self.name, self.kind, &self.base_url, &self.credentials, &self.headers, &self.ca_file);
        own == (&other.name, other.kind, &other.base_url, &other.credentials, &other.headers, &other.ca_file)
    }
}

impl fmt::Debug for ProviderEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderEntry")
            .field("name", &self.name)
            .field("kind", &self.kind.kind)
            .field("base_url", &self.base_url)
            .field("credentials", &self.credentials)
            .field("headers", &self.headers)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .field("max_body", &self.max_body)
            .field("max_concurrent", &self.max_concurrent)
            .field("breaker", &self.breaker)
            .field("ca_file", &self.ca_file)
            .field("poll", &self.poll)
            .field("content", &self.content)
            .finish()
    }
}

/// Reads the mapping of providers.
pub(super) fn read(value: &Value, kinds: &[&'static Provider]) -> Vec<ProviderEntry> {
    let mut providers = Vec::new();
    for (name, value) in value.entries().unwrap_or_default() {
        if !is_name(name) {
            value.fault("expected a name of a-z, 0-9, - and _ that begins with a letter or digit");
        }
        providers.extend(value.section(|section| one(section, name, kinds)).flatten());
    }
    providers
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.bytes().next().is_some_and(plain) && name.bytes().all(|b| plain(b) || b == b'-' || b == b'_')
}

fn one(section: &mut Section, name: &str, kinds: &[&'static Provider]) -> Option<ProviderEntry> {
    let kind = kind(section, name, kinds);
    let (base_url, own) = base_url(section, kind);
    let credentials = credentials::read(section, kind, own);
    let headers = headers::for_provider(section);
    let connect_timeout = section.or("connect_timeout", Duration::from_secs(3), Value::time_above_zero);
    let timeout = section.or("timeout", Duration::from_secs(30), Value::time_above_zero);
    let retries = section.or("retries", 2, |value| value.whole(0..=10));
    let max_body = section.or("max_body", 64 << 20, Value::size_above_zero);
    let max_concurrent = section.or("max_concurrent", 256, |value| value.whole(1..=1_000_000));
    let breaker = content::breaker(section);
    let ca_file = section.optional("ca_file", pem::trust_anchors);
    let poll = content::poll(section, kind.map_or(Duration::from_secs(10), |kind| kind.poll_interval));
    let content = content::content(section);
    Some(ProviderEntry {
        name: name.to_owned(),
        kind: kind?,
        base_url,
        credentials,
        headers,
        connect_timeout,
        timeout,
        retries,
        max_body,
        max_concurrent,
        breaker,
        ca_file,
        poll,
        content,
    })
}

fn kind(section: &mut Section, name: &str, kinds: &[&'static Provider]) -> Option<&'static Provider> {
    let value = section.take("kind");
    let word = match &value {
        Some(value) => value.text()?,
        None => name,
    };
    let found = kinds.iter().copied().find(|row| row.kind == word);
    if found.is_none() {
        let all: Vec<&str> = kinds.iter().map(|row| row.kind).collect();
        let hint = suggestion(word, all.iter().copied());
        let shown = value.as_ref().map_or_else(|| format!("none, and the name {name} is not one"), Value::found);
        section.fault("kind", format!("expected one of {}; found {shown}{hint}", all.join(", ")));
    }
    found
}

/// The address, and whether the config gives it rather than the kind.
fn base_url(section: &mut Section, kind: Option<&Provider>) -> (Option<BaseAddress>, bool) {
    let insecure = section.or("allow_insecure", false, Value::flag);
    let by_kind = kind.map(|kind| kind.base_url);
    if let Some(value) = section.take_set("base_url") {
        let example = match by_kind {
            Some(BaseUrl::Fixed(url)) => url,
            Some(BaseUrl::Required { form } | BaseUrl::FromJob { form, .. }) => form,
            None => "https://api.example.com/v1",
        };
        let address = base_address(&value, example);
        if address.as_ref().is_some_and(|address| !address.tls && !address.is_loopback() && !insecure) {
            value.fault("expected https://, found http:// to another machine; write allow_insecure: true to send credentials in the clear");
        }
        return (address, true);
    }
    let address = match by_kind {
        Some(BaseUrl::Fixed(url)) => BaseAddress::parse(url)
            .map_err(|reason| section.fault("base_url", format!("the default of this kind cannot be used: {reason}")))
            .ok(),
        Some(BaseUrl::Required { form }) => {
            section.fault("base_url", format!("this key is missing; expected your own address, of the form {form}"));
            None
        }
        Some(BaseUrl::FromJob { .. }) | None => None,
    };
    (address, false)
}
