//! Extra headers for a provider, or for a collector.

use super::secret::Secret;
use super::section::Section;
use super::tree::Value;
use http::{HeaderName, HeaderValue};

/// Headers that belong to the connection or to the exchange.
const OF_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What may not be set, and how that is said.
struct Refusal {
    name: &'static str,
    why: &'static str,
}

/// The `headers` of a provider.
pub(super) fn for_provider(parent: &mut Section) -> Vec<(HeaderName, Secret)> {
    const WHY: &str = "expected a header of the provider's own; this one belongs to the connection or to `credentials`";
    read(parent, &Refusal { name: "authorization", why: WHY })
}

/// The `headers` for a collector, where keys stand in them.
pub(super) fn for_collector(parent: &mut Section) -> Vec<(HeaderName, Secret)> {
    const WHY: &str = "expected a header of the collector's own; this one belongs to the connection or to the body";
    read(parent, &Refusal { name: "content-type", why: WHY })
}

/// Reads `headers`: names and values that can be sent as they are.
fn read(parent: &mut Section, refusal: &Refusal) -> Vec<(HeaderName, Secret)> {
    let Some(value) = parent.take("headers") else { return Vec::new() };
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    for (name, value) in value.entries().unwrap_or_default() {
        let content = content(&value);
        let Some(name) = checked_name(name, &value, refusal) else { continue };
        if headers.iter().any(|(other, _)| *other == name) {
            value.fault("expected each header once, found another spelling of the same name");
        }
        headers.extend(content.map(|content| (name, content)));
    }
    headers
}

fn checked_name(name: &str, value: &Value, refusal: &Refusal) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        value.fault("expected the name of a header, found characters that none may have");
        return None;
    };
    if name == refusal.name || OF_CONNECTION.contains(&name.as_str()) {
        value.fault(refusal.why);
        return None;
    }
    Some(name)
}

fn content(value: &Value) -> Option<Secret> {
    let secret = value.secret()?;
    if HeaderValue::from_str(secret.expose()).is_err() {
        value.fault("expected visible ASCII characters, found control characters, line breaks or letters beyond ASCII");
        return None;
    }
    Some(secret)
}
