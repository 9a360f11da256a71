//! Kling's tokens: minted here from a pair of keys, kept, and replaced when they are refused.

use crate::support::{Providers, Proxy, Response, Upstream, get, wait_until};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const ACCESS_KEY: &str = "access-key-of-ours";
const SECRET_KEY: &str = "secret-key-of-ours";
const JOB: &str = "/v1/videos/text2video/893605946402811900:kling";

/// A Kling that knows the job; while `refuses` is set, it refuses every token and repeats it with the secret key.
fn kling(refuses: &Arc<AtomicBool>) -> Upstream {
    let refuses = Arc::clone(refuses);
    Upstream::start(move |request, stream| {
        let token = request.header("authorization").unwrap_or_default();
        let (status, body) = match refuses.load(Ordering::SeqCst) {
            true => (401, json!({"code": 1004, "message": format!("expired: {token} {SECRET_KEY} {ACCESS_KEY}")})),
            false => (200, json!({"code": 0, "data": {"task_id": "1", "task_status": "submitted"}})),
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
    })
}

fn proxy(base_url: &str, credentials: &str) -> Proxy {
    Proxy::start(&format!(
        "allow_raw: true\nproviders:\n  kling: {{base_url: \"{base_url}\", credentials: {credentials}, breaker: null, \
         poll: {{cache: false}}}}\n"
    ))
}

fn pair(access_key: &str) -> String {
    format!("{{access_key: {access_key}, secret_key: {SECRET_KEY}}}")
}

fn tokens(upstream: &Upstream) -> Vec<String> {
    let token = |value: Option<&str>| value.and_then(|value| value.strip_prefix("Bearer ")).unwrap().to_owned();
    upstream.requests().iter().map(|request| token(request.header("authorization"))).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Tokens that are minted in the same second are the same.
fn next_second() {
    let start = now();
    wait_until("the next second has begun", || now() > start);
}

/// Nothing of the keys or of a token is where people read.
#[track_caller]
fn assert_secret(proxy: &Proxy, response: &Response) {
    for text in [response.text(), proxy.log()] {
        for secret in [ACCESS_KEY, SECRET_KEY, "eyJ"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_token_names_the_access_key_and_is_signed_with_the_secret_key() {
    let upstream = kling(&Arc::default());
    let proxy = proxy(&format!("http://{}", upstream.address()), &pair(ACCESS_KEY));
    let response = get(proxy.address(), JOB);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_secret(&proxy, &response);

    let token = tokens(&upstream).remove(0);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET_KEY.as_bytes());
    hmac::verify(&key, signed.as_bytes(), &decoded(signature)).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
    let claims: Value = serde_json::from_slice(&decoded(claims)).unwrap();
    assert_eq!(claims.as_object().unwrap().len(), 3, "{claims}");
    assert_eq!(claims["iss"], ACCESS_KEY);
    let (exp, nbf) = (claims["exp"].as_u64().unwrap(), claims["nbf"].as_u64().unwrap());
    assert_eq!(exp - nbf, 1805);
    assert!(now() - (nbf + 5) < 60, "{claims} does not begin now");
}

#[test]
fn a_token_is_kept() {
    let upstream = kling(&Arc::default());
    let proxy = proxy(&format!("http://{}", upstream.address()), &pair(ACCESS_KEY));
    assert_eq!(get(proxy.address(), JOB).status, 200);
    next_second();
    assert_eq!(get(proxy.address(), JOB).status, 200);
    let tokens = tokens(&upstream);
    assert_eq!(tokens[0], tokens[1]);
}

#[test]
fn a_token_that_was_refused_is_minted_anew_at_the_next_poll() {
    let refuses = Arc::new(AtomicBool::new(false));
    let upstream = kling(&refuses);
    let proxy = proxy(&format!("http://{}", upstream.address()), &pair(ACCESS_KEY));
    assert_eq!(get(proxy.address(), JOB).status, 200);
    refuses.store(true, Ordering::SeqCst);
    let refused = get(proxy.address(), JOB);
    assert_eq!((refused.status, refused.code().as_str()), (502, "upstream_auth_failed"), "{}", refused.text());
    assert!(refused.text().contains("expired"), "{}", refused.text());
    assert_secret(&proxy, &refused);
    refuses.store(false, Ordering::SeqCst);
    next_second();
    assert_eq!(get(proxy.address(), JOB).status, 200);
    let tokens = tokens(&upstream);
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[1], tokens[2]);
}

#[test]
fn either_form_of_credential_reaches_either_generation() {
    let providers = Providers::instant();
    let base_url = providers.sandbox.base_url("kling");
    for credentials in [pair(ACCESS_KEY), "{api_key: k-123456}".to_owned()] {
        let proxy = proxy(&base_url, &credentials);
        for job in vidgate::sandbox::find("kling").unwrap().examples {
            let response = get(proxy.address(), &format!("/v1/videos/{job}:kling"));
            assert_eq!(response.json()["status"], "completed", "{job}: {}", response.text());
        }
    }
    let proxy = proxy(&base_url, &pair("a-wrong-key"));
    assert_eq!(get(proxy.address(), JOB).code(), "upstream_auth_failed");
}
