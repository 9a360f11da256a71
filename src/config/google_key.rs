//! The JSON key of a Google service account.

use super::address::BaseAddress;
use super::secret::Secret;
use super::tree::Value;
use serde_json::Value as Json;
use std::path::Path;

/// Where tokens are asked for when the key does not say.
pub const DEFAULT_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// A checked key.
pub(super) struct GoogleKey {
    /// The JSON text.
    pub json: Secret,
    /// The project that the account belongs to.
    pub project: Option<String>,
}

/// Reads the text of a JSON key, or the path to one. What the key holds is never shown.
pub(super) fn read(value: &Value) -> Option<GoogleKey> {
    let given = value.secret()?;
    let text = given.expose().trim_start();
    let json = if text.starts_with('{') { text.to_owned() } else { read_file(text, value)? };
    let Ok(key) = serde_json::from_str::<Json>(&json) else {
        value.fault("expected the JSON key of a service account, found something that is not JSON");
        return None;
    };
    let text_of = |field: &str| key.get(field).and_then(Json::as_str).filter(|text| !text.is_empty());
    let missing: Vec<&str> = ["client_email", "private_key"].into_iter().filter(|f| text_of(f).is_none()).collect();
    if !missing.is_empty() {
        value.fault(format!("expected the JSON key of a service account, found one without {}", missing.join(" and ")));
        return None;
    }
    let uri = match key.get("token_uri") {
        None | Some(Json::Null) => Some(DEFAULT_TOKEN_URI),
        Some(uri) => uri.as_str(),
    };
    // The signed assertion goes there, so not in the clear.
    match uri.map(BaseAddress::parse) {
        Some(Ok(address)) if address.tls || address.is_loopback() => {}
        _ => {
            value.fault("expected an https:// URL as token_uri in the JSON key, found another value");
            return None;
        }
    }
    let project = text_of("project_id").map(str::to_owned);
    Some(GoogleKey { json: json.into(), project })
}

fn read_file(text: &str, value: &Value) -> Option<String> {
    // Only what looks like a path is repeated: it may be a key that was pasted in another form.
    let looks_like_path = text.len() <= 255 && (text.starts_with('/') || text.ends_with(".json"));
    let bytes = match value.reading.file(Path::new(text)) {
        Ok(bytes) => bytes,
        Err(message) if looks_like_path => {
            value.fault(message);
            return None;
        }
        Err(_) => {
            value.fault("expected the text of a JSON key, or the path of a readable file with one; found neither");
            return None;
        }
    };
    String::from_utf8(bytes).map_err(|_| value.fault("the file of the JSON key is not valid UTF-8")).ok()
}
