//! Extra headers for a provider.

use super::secret::Secret;
use super::section::Section;
use super::tree::Value;
use http::{HeaderName, HeaderValue};

/// Headers that belong to the connection, to the exchange or to `credentials`.
const REFUSED: &[&str] = &[
    "authorization",
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

/// Reads `headers`: names and values that can be sent as they are.
pub(super) fn read(parent: &mut Section) -> Vec<(HeaderName, Secret)> {
    let Some(value) = parent.take("headers") else { return Vec::new() };
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    for (name, value) in value.entries().unwrap_or_default() {
        let content = content(&value);
        let Some(name) = checked_name(name, &value) else { continue };
        if headers.iter().any(|(other, _)| *other == name) {
            value.fault("expected each header once, found another spelling of the same name");
        }
        headers.extend(content.map(|content| (name, content)));
    }
    headers
}

fn checked_name(name: &str, value: &Value) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        value.fault("expected the name of a header, found characters that none may have");
        return None;
    };
    if REFUSED.contains(&name.as_str()) {
        value.fault("expected a header of the provider's own; this one belongs to the connection or to `credentials`");
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
