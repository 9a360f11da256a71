//! `raw_request` and `raw_response`: the provider's side of an answer, for those who ask for it and may have it.

use super::redact::Redactor;
use crate::providers::{Call, Reply};
use crate::upstream::Outgoing;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

/// What was sent, without credentials.
pub(super) fn request(url: &str, outgoing: &Outgoing<'_>, call: &Call, redactor: &Redactor) -> Option<Box<RawValue>> {
    let headers: Map<String, Value> = outgoing
        .headers
        .iter()
        .map(|(name, value)| {
            let shown = if value.is_sensitive() { "***" } else { value.to_str().unwrap_or("***") };
            (name.as_str().to_owned(), Value::from(redactor.text(shown)))
        })
        .collect();
    let body = call.body.as_deref().map(|body| parsed_or_text(body.as_bytes(), redactor));
    to_raw_value(&json!({"method": call.method.as_str(), "url": url, "headers": headers, "body": body})).ok()
}

/// What came back: the JSON itself, or its text where it is none; links without their queries.
pub(super) fn response(reply: &Reply, redactor: &Redactor) -> Option<Box<RawValue>> {
    to_raw_value(&parsed_or_text(&reply.body, redactor)).ok()
}

fn parsed_or_text(body: &[u8], redactor: &Redactor) -> Value {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => clean(value, redactor),
        Err(_) => Value::from(redactor.text(&String::from_utf8_lossy(body))),
    }
}

fn clean(value: Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) => Value::from(redactor.text(&text)),
        Value::Array(items) => items.into_iter().map(|item| clean(item, redactor)).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, item)| (redactor.text(&key).into_owned(), clean(item, redactor))).collect()
        }
        other => other,
    }
}
