//! Token endpoints: a Google service account's and a Microsoft Entra client's way to a bearer token.

use super::reply::Reply;
use super::request::{Recorded, form_value, segments};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// How long a token lasts, in seconds, as both services say it.
const LIFETIME: u32 = 3599;

/// The kind whose token endpoint a request is for: `POST /vertex/token`, `POST /azure/{tenant}/oauth2/v2.0/token`.
pub fn asked_of(recorded: &Recorded) -> Option<&'static str> {
    if recorded.method != Method::POST {
        return None;
    }
    let segments = segments(recorded.path());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["vertex", "token"] => Some("vertex"),
        ["azure", _tenant, "oauth2", "v2.0", "token"] => Some("azure"),
        _ => None,
    }
}

/// A token, numbered by `count` so that a test can tell a new one from an old one.
pub fn answer(kind: &str, recorded: &Recorded, count: u64) -> Reply {
    match kind {
        "vertex" => google(&recorded.body, count),
        _ => entra(&recorded.body, count),
    }
}

/// developers.google.com "Using OAuth 2.0 for Server to Server Applications". The signature is not checked; an
/// assertion whose issuer holds the word `wrong` is refused.
fn google(form: &[u8], count: u64) -> Reply {
    let grant = form_value(form, "grant_type").unwrap_or_default();
    if grant != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", &format!("Invalid grant_type: {grant}"));
    }
    match issuer(&form_value(form, "assertion").unwrap_or_default()) {
        None => refused(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid JWT: it must have three parts."),
        Some(issuer) if issuer.contains("wrong") => {
            refused(StatusCode::BAD_REQUEST, "invalid_grant", "Invalid JWT Signature.")
        }
        Some(_) => {
            let token = format!("ya29.sandbox-{count}");
            Reply::ok(&json!({"access_token": token, "expires_in": LIFETIME, "token_type": "Bearer"}))
        }
    }
}

/// The issuer that an assertion names; empty when its claims cannot be read, nothing when it is not of three parts.
fn issuer(assertion: &str) -> Option<String> {
    let claims = claims(assertion)?;
    Some(claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// The claims of a JSON Web Token; null when they cannot be read, nothing when it is not of three parts.
pub fn claims(token: &str) -> Option<Value> {
    let parts: Vec<&str> = token.split('.').collect();
    let &[_, claims, _] = parts.as_slice() else { return None };
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    Some(serde_json::from_slice(&claims).unwrap_or_default())
}

/// learn.microsoft.com "Microsoft identity platform and the OAuth 2.0 client credentials flow".
fn entra(form: &[u8], count: u64) -> Reply {
    let grant = form_value(form, "grant_type").unwrap_or_default();
    if grant != "client_credentials" {
        let message = format!("AADSTS70003: The app requested an unsupported grant type '{grant}'.");
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", &message);
    }
    for field in ["client_id", "client_secret", "scope"] {
        if form_value(form, field).is_none_or(|value| value.is_empty()) {
            let message = format!("AADSTS900144: The request body must contain the following parameter: '{field}'.");
            return refused(StatusCode::BAD_REQUEST, "invalid_request", &message);
        }
    }
    if form_value(form, "client_secret").is_some_and(|secret| secret.contains("wrong")) {
        let message = "AADSTS7000215: Invalid client secret provided.";
        return refused(StatusCode::UNAUTHORIZED, "invalid_client", message);
    }
    let token = format!("eyJ0.sandbox-{count}");
    Reply::ok(&json!({
        "token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME, "access_token": token,
    }))
}

fn refused(status: StatusCode, error: &str, description: &str) -> Reply {
    Reply::json(status, &json!({"error": error, "error_description": description}))
}
