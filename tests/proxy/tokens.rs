//! Access tokens: a service account's key becomes a Bearer token, fetched once and replaced when it is refused.

use crate::support::{Proxy, Request, Response, Upstream, get, temporary};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

const PRIVATE: &str = include_str!("../keys/rsa.pem");
const PUBLIC: &[u8] = include_bytes!("../keys/rsa.public.der");

const OPERATION: &str =
    "projects/my-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001/operations/a1b07c8e";

fn reply(stream: &mut TcpStream, status: u16, body: &Value) -> bool {
    let body = body.to_string();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
}

/// A token endpoint, `/token`, and a Vertex that accepts the tokens from number `accepted` on.
fn google(accepted: &Arc<AtomicUsize>) -> Upstream {
    let (accepted, minted) = (Arc::clone(accepted), AtomicUsize::new(0));
    Upstream::start(move |request, stream| {
        if request.target == "/token" {
            let token = format!("ya29.test-{}", minted.fetch_add(1, Ordering::SeqCst) + 1);
            return reply(stream, 200, &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}));
        }
        let number = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ya29.test-"));
        match number.and_then(|number| number.parse::<usize>().ok()) {
            Some(number) if number >= accepted.load(Ordering::SeqCst) => {
                reply(stream, 200, &json!({"name": OPERATION}))
            }
            _ => {
                let message = format!("Invalid token {}", request.header("authorization").unwrap_or_default());
                reply(stream, 401, &json!({"error": {"code": 401, "message": message, "status": "UNAUTHENTICATED"}}))
            }
        }
    })
}

/// A key file that is removed when dropped.
struct KeyFile(PathBuf);

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A proxy whose `vertex` asks for tokens at this URL.
fn proxy(upstream: &Upstream, token_uri: &str) -> (Proxy, KeyFile) {
    let key = json!({
        "type": "service_account", "project_id": "my-project", "private_key_id": "key-1", "private_key": PRIVATE,
        "client_email": "proxy@my-project.iam.gserviceaccount.com", "token_uri": token_uri,
    });
    let file = KeyFile(temporary("json"));
    std::fs::write(&file.0, key.to_string()).unwrap();
    let config = format!(
        "providers:\n  vertex: {{base_url: \"http://{}/v1\", credentials: {{service_account: {}}}, breaker: null, \
         poll: {{cache: false}}}}\n",
        upstream.address(),
        file.0.display()
    );
    (Proxy::start(&config), file)
}

fn poll(proxy: &Proxy) -> Response {
    get(proxy.address(), &format!("/v1/videos/{OPERATION}:vertex"))
}

fn token_uri(upstream: &Upstream) -> String {
    format!("http://{}/token", upstream.address())
}

fn fetches(upstream: &Upstream) -> Vec<Request> {
    upstream.requests().into_iter().filter(|request| request.target == "/token").collect()
}

fn bearers(upstream: &Upstream) -> Vec<String> {
    let polls = upstream.requests().into_iter().filter(|request| request.target != "/token");
    polls.map(|request| request.header("authorization").unwrap_or_default().to_owned()).collect()
}

/// Nothing of the key, of a token or of an assertion is where people read.
#[track_caller]
fn assert_secret(proxy: &Proxy, response: &Response) {
    for text in [response.text(), proxy.log()] {
        for secret in ["ya29.", "PRIVATE KEY", "eyJ", &PRIVATE[40..80]] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn an_assertion_signed_with_the_key_is_exchanged_for_a_token() {
    let upstream = google(&Arc::default());
    let (proxy, _file) = proxy(&upstream, &token_uri(&upstream));
    let response = poll(&proxy);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_secret(&proxy, &response);

    let fetch = fetches(&upstream).remove(0);
    assert_eq!((fetch.method.as_str(), fetch.header("authorization")), ("POST", None));
    assert_eq!(fetch.header("content-type"), Some("application/x-www-form-urlencoded"));
    let form: HashMap<String, String> = url::form_urlencoded::parse(&fetch.body).into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let parts: Vec<&str> = form["assertion"].split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("{parts:?}") };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC)
        .verify(format!("{header}.{claims}").as_bytes(), &decoded(signature))
        .unwrap();
    let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    let claims: Value = serde_json::from_slice(&decoded(claims)).unwrap();
    assert_eq!(claims["iss"], "proxy@my-project.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], token_uri(&upstream).as_str());
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    let (iat, exp) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(exp - iat, 3600);
    assert!(now - iat < 60, "{iat} is not now, {now}");
}

#[test]
fn many_polls_fetch_one_token() {
    let upstream = google(&Arc::default());
    let (proxy, _file) = proxy(&upstream, &token_uri(&upstream));
    let polls: Vec<_> = (0..20)
        .map(|_| {
            let address = proxy.address();
            thread::spawn(move || get(address, &format!("/v1/videos/{OPERATION}:vertex")).status)
        })
        .collect();
    for poll in polls {
        assert_eq!(poll.join().unwrap(), 200);
    }
    assert_eq!(poll(&proxy).status, 200);
    assert_eq!(fetches(&upstream).len(), 1);
    assert_eq!(bearers(&upstream), vec!["Bearer ya29.test-1"; 21]);
}

#[test]
fn a_token_that_the_provider_refuses_is_replaced_at_the_next_poll() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let upstream = google(&accepted);
    let (proxy, _file) = proxy(&upstream, &token_uri(&upstream));
    assert_eq!(poll(&proxy).status, 200);
    accepted.store(2, Ordering::SeqCst);
    let refused = poll(&proxy);
    assert_eq!((refused.status, refused.code().as_str()), (502, "upstream_auth_failed"), "{}", refused.text());
    assert_secret(&proxy, &refused);
    assert_eq!(poll(&proxy).status, 200);
    assert_eq!(bearers(&upstream), ["Bearer ya29.test-1", "Bearer ya29.test-1", "Bearer ya29.test-2"]);
    assert_eq!(fetches(&upstream).len(), 2);
}

#[test]
fn a_token_endpoint_that_refuses_gives_its_reason() {
    let upstream = Upstream::start(|_, stream| {
        reply(stream, 400, &json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}))
    });
    let (proxy, _file) = proxy(&upstream, &token_uri(&upstream));
    let response = poll(&proxy);
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_auth_failed"), "{}", response.text());
    let message = response.json()["error"]["message"].to_string();
    assert!(message.contains("It answered 400: invalid_grant Invalid JWT Signature."), "{message}");
    assert_eq!(response.json()["is_bifrost_error"], false);
    assert_secret(&proxy, &response);
    assert!(bearers(&upstream).is_empty());
}

#[test]
fn a_token_endpoint_that_is_gone_is_named() {
    let upstream = google(&Arc::default());
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (proxy, _file) = proxy(&upstream, &format!("http://{gone}/token"));
    let response = poll(&proxy);
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_unreachable"), "{}", response.text());
    let message = response.json()["error"]["message"].to_string();
    assert!(message.contains("its token endpoint failed") && message.contains("refused"), "{message}");
    assert!(upstream.requests().is_empty());
}
