//! Google access tokens from a service-account key: a signed assertion exchanged at the key's token address.
//!
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>

use super::token::TokenSource;
use super::{Trust, jwt};
use crate::config::{BaseAddress, Secret};
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
    jwt::encode(&header, &claims, |signed| {
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed, &mut signature)
            .map_err(|_| "the assertion for an access token could not be signed")?;
        Ok(signature)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::{Value, json};

    const PRIVATE: &str = include_str!("../../tests/keys/rsa.pem");
    const PUBLIC: &[u8] = include_bytes!("../../tests/keys/rsa.public.der");

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn asserted(file: Value) -> (Value, Value) {
        let file: KeyFile = serde_json::from_value(file).unwrap();
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes()).unwrap();
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let token = assertion(&key, &file, 1_700_000_000).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC).verify(signed.as_bytes(), &signature).unwrap();
        (decoded(header), decoded(claims))
    }

    #[test]
    fn an_assertion_is_signed_and_says_what_google_documents() {
        let file = json!({
            "client_email": "a@b.iam.gserviceaccount.com", "private_key": PRIVATE, "private_key_id": "abc",
            "token_uri": "https://token.example/token",
        });
        let (header, claims) = asserted(file);
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "abc"}));
        let want = json!({
            "iss": "a@b.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/cloud-platform",
            "aud": "https://token.example/token", "iat": 1_700_000_000, "exp": 1_700_003_600,
        });
        assert_eq!(claims, want);
    }

    #[test]
    fn a_key_without_id_and_address_gets_googles_address_and_no_kid() {
        let (header, claims) = asserted(json!({"client_email": "a@b", "private_key": PRIVATE}));
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT"}));
        assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
    }

    #[test]
    fn an_unusable_key_is_refused_without_being_shown() {
        let table = [
            ("secret".to_owned(), "not a service-account key"),
            (json!({"client_email": "a@b", "private_key": "secret"}).to_string(), "not a PKCS#8 key"),
            (
                json!({"client_email": "a@b", "private_key": PRIVATE, "token_uri": "secret"}).to_string(),
                "a URL begins with",
            ),
        ];
        for (json, says) in table {
            let why = token_source(&json, &Trust::default()).err().unwrap();
            assert!(why.contains(says) && !why.contains("secret"), "{why}");
        }
    }
}
