//! Google access tokens from a service-account key: a signed assertion exchanged at the key's token address.
//!
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>

use super::Trust;
use super::token::TokenSource;
use crate::config::{BaseAddress, Secret};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// An assertion may last an hour at most.
const LASTS: i64 = 3600;

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default = "default_token_uri")]
    token_uri: String,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

fn default_token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

/// A source of tokens for the account whose JSON key this is.
pub(super) fn token_source(json: &str, trust: &Trust) -> Result<TokenSource, String> {
    let file: KeyFile = serde_json::from_str(json).map_err(|_| "it is not a service-account key in JSON")?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes())
        .map_err(|_| "its private_key is not a PKCS#8 key in PEM")?;
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| "its private_key is not a usable RSA key")?;
    let address = BaseAddress::parse(&file.token_uri)?;
    let form = move |now: i64| {
        let assertion = assertion(&key, &file, now)?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT_TYPE)
            .append_pair("assertion", &assertion)
            .finish();
        Ok(Secret::from(form))
    };
    TokenSource::new(address, trust, Arc::new(form))
}

/// What of a key file must not be repeated, part by part; nothing of what is no key file.
pub(super) fn secrets(json: &str) -> Vec<Secret> {
    let file = serde_json::from_str::<KeyFile>(json).ok();
    file.map(|file| vec![file.private_key.into(), file.private_key_id.into()]).unwrap_or_default()
}

/// A JSON Web Token, signed with RS256.
fn assertion(key: &RsaKeyPair, file: &KeyFile, now: i64) -> Result<String, String> {
    let header = Header { alg: "RS256", typ: "JWT", kid: &file.private_key_id };
    let claims = Claims { iss: &file.client_email, scope: SCOPE, aud: &file.token_uri, iat: now, exp: now + LASTS };
    let signed = format!("{}.{}", part(&header)?, part(&claims)?);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "the assertion for an access token could not be signed")?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn part<T: Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_vec(value).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|error| error.to_string())
}
