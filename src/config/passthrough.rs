//! Where requests go that are not ours.

use super::address::{BaseAddress, authority, scheme};
use super::section::Section;
use super::tree::Value;
use super::yaml::Node;
use std::fmt;
use std::time::Duration;

const UPSTREAMS: &str = "one or more origins such as http://127.0.0.1:8000";

/// One service behind the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passthrough {
    /// The host that requests must name, in lower case and without a port; default any.
    pub host: Option<String>,
    /// The prefix that the path must have; begins with a slash, default `/`.
    pub path: String,
    /// Where they go, in turn; at least one.
    pub upstreams: Vec<Upstream>,
    /// Default: no check, every upstream counts as healthy.
    pub health_check: Option<HealthCheck>,
    /// Client keys are demanded here too; default on.
    pub auth: bool,
}

/// One server of a service. Displays as its origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    pub tls: bool,
    /// A host name in lower case, or an IP address; IPv6 without its brackets.
    pub host: String,
    pub port: u16,
}

/// How an upstream shows that it is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path that is asked for; a 2xx is healthy.
    pub path: String,
    /// The time between two checks; default 5 s.
    pub interval: Duration,
}

impl Upstream {
    /// What goes into `Host`: brackets around IPv6, the port unless it is the scheme's own.
    pub fn authority(&self) -> String {
        authority(self.tls, &self.host, self.port)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", scheme(self.tls), self.authority())
    }
}

/// Reads `passthrough`: null, one mapping, or a list of them.
pub(super) fn read(root: &mut Section) -> Vec<Passthrough> {
    let Some(value) = root.take_set("passthrough") else { return Vec::new() };
    let listed = matches!(value.node, Node::List(_));
    let items = value.one_or_many();
    if items.is_empty() {
        value.fault("expected at least one service, found an empty list; write null for none");
    }
    let mut services: Vec<Passthrough> = Vec::new();
    for item in &items {
        let Some(service) = item.section(|section| one(section, listed)).flatten() else { continue };
        if services.iter().any(|other| other.host == service.host && other.path == service.path) {
            let host = service.host.as_deref().unwrap_or("any");
            item.fault(format!(
                "expected a `match` of its own, found host {host} and path {} a second time",
                service.path
            ));
        }
        services.push(service);
    }
    services
}

fn one(section: &mut Section, listed: bool) -> Option<Passthrough> {
    let matched = section.take("match");
    if listed && matched.is_none() {
        section.fault("match", "this key is missing; expected {host, path} on each item of a list");
    }
    let (host, path) = matched.and_then(|value| value.section(host_and_path)).unwrap_or((None, "/".into()));
    let upstreams = section.required("upstreams", UPSTREAMS, upstreams);
    let health_check = section.optional("health_check", |value| value.section(health_check)?);
    let auth = section.or("auth", true, Value::flag);
    Some(Passthrough { host, path, upstreams: upstreams?, health_check, auth })
}

fn host_and_path(section: &mut Section) -> (Option<String>, String) {
    let host = section.optional("host", |value| {
        let name = value.as_text().map(str::to_ascii_lowercase).filter(|name| is_host(name));
        name.or_else(|| value.wrong("a host such as api.example.com, without scheme and port"))
    });
    (host, section.or("path", "/".into(), path))
}

/// A host name or an IP address.
pub(super) fn is_host(text: &str) -> bool {
    let name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let ipv6 = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match ipv6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => text.len() <= 253 && name(text) && !text.split('.').any(str::is_empty),
    }
}

fn path(value: &Value) -> Option<String> {
    let fits =
        |text: &&str| text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#');
    let text = value.as_text().filter(fits).map(str::to_owned);
    text.or_else(|| value.wrong("a path that begins with / and has no query"))
}

fn upstreams(value: &Value) -> Option<Vec<Upstream>> {
    let items = value.one_or_many();
    if items.is_empty() {
        return value.wrong(UPSTREAMS);
    }
    Some(items.iter().filter_map(upstream).collect())
}

fn upstream(value: &Value) -> Option<Upstream> {
    let address = base_address(value, "http://127.0.0.1:8000")?;
    if !address.path.is_empty() {
        return value.wrong("an origin, without a path");
    }
    Some(Upstream { tls: address.tls, host: address.host, port: address.port })
}

/// Reads an address; `example` shows the form.
pub(super) fn base_address(value: &Value, example: &str) -> Option<BaseAddress> {
    let Some(text) = value.as_text() else { return value.wrong(&format!("a URL such as {example}")) };
    match BaseAddress::parse(text) {
        Ok(address) => Some(address),
        // A user name, a password or a query may stand in it.
        Err(reason) if text.contains(['@', '?', '#']) => {
            value.fault(format!("{reason}; expected a URL such as {example}, found another one"));
            None
        }
        Err(reason) => {
            value.fault(format!("{reason}; expected a URL such as {example}, found {}", value.found()));
            None
        }
    }
}

fn health_check(section: &mut Section) -> Option<HealthCheck> {
    let path = section.required("path", "a path such as /health", |value| {
        let text = value.as_text().filter(|text| text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()));
        text.map(str::to_owned).or_else(|| value.wrong("a path such as /health"))
    });
    let interval = section.or("interval", Duration::from_secs(5), Value::time_above_zero);
    Some(HealthCheck { path: path?, interval })
}
