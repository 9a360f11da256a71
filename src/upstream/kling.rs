//! Kling's tokens: minted here from an access key and signed with its secret key, so that there is nobody to ask.
//!
//! "API Authentication" in <https://app.klingai.com/global/dev/document-api/apiReference/commonInfo>.

use super::clock::unix_now;
use super::jwt;
use crate::config::Secret;
use arc_swap::ArcSwapOption;
use ring::hmac;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Kling's sample lets a token last half an hour, in seconds.
const LASTS: u32 = 1800;

/// And begin this many seconds ago, for clocks that differ.
const BEGAN: i64 = 5;

/// A token is replaced this long before its end.
const MARGIN: Duration = Duration::from_secs(300);

/// One pair of keys, and the token that was minted last.
pub(super) struct Minter {
    access_key: String,
    secret_key: hmac::Key,
    token: ArcSwapOption<Token>,
}

struct Token {
    secret: Secret,
    replace_at: Instant,
}

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    exp: i64,
    nbf: i64,
}

impl Minter {
    pub(super) fn new(access_key: &str, secret_key: &str) -> Minter {
        Minter {
            access_key: access_key.to_owned(),
            secret_key: hmac::Key::new(hmac::HMAC_SHA256, secret_key.as_bytes()),
            token: ArcSwapOption::empty(),
        }
    }

    /// The token at hand.
    pub(super) fn current(&self) -> Option<Secret> {
        self.token.load().as_ref().map(|token| token.secret.clone())
    }

    /// A token that lasts; a new one where the one at hand is about to end.
    pub(super) fn token(&self) -> Result<Secret, String> {
        if let Some(token) = self.token.load().as_ref().filter(|token| Instant::now() < token.replace_at) {
            return Ok(token.secret.clone());
        }
        let now = unix_now();
        let secret = Secret::from(self.mint(now)?);
        let lasts = Duration::from_secs(LASTS.into()).saturating_sub(MARGIN);
        self.token.store(Some(Arc::new(Token { secret: secret.clone(), replace_at: Instant::now() + lasts })));
        Ok(secret)
    }

    /// This token was refused. Another one, minted since, stays.
    pub(super) fn forget(&self, refused: &str) {
        let token = self.token.load();
        if token.as_ref().is_some_and(|token| token.secret.expose() == refused) {
            self.token.compare_and_swap(&token, None);
        }
    }

    fn mint(&self, now: i64) -> Result<String, String> {
        let claims = Claims { iss: &self.access_key, exp: now + i64::from(LASTS), nbf: now - BEGAN };
        let sign = |signed: &[u8]| Ok(hmac::sign(&self.secret_key, signed).as_ref().to_vec());
        jwt::encode(&Header { alg: "HS256", typ: "JWT" }, &claims, sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[test]
    fn a_token_says_what_kling_documents() {
        let token = Minter::new("ak-1", "sk-1").mint(1_700_000_000).unwrap();
        // {"alg":"HS256","typ":"JWT"} and {"iss":"ak-1","exp":1700001800,"nbf":1699999995}, signed by another program.
        assert_eq!(
            token,
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhay0xIiwiZXhwIjoxNzAwMDAxODAwLCJuYmYiOjE2OTk5OTk5OTV9.t--StUnZ4KUiN4IS5hnaigXoqnOmo-_EtkPiO68WiIQ"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_kept_until_shortly_before_its_end() {
        let minter = Minter::new("ak-1", "sk-1");
        assert!(minter.current().is_none());
        minter.token().unwrap();
        // Tokens of one second are equal, so a stand-in tells whether another one was minted.
        let at_hand = || minter.current().unwrap().expose().to_owned();
        let replace_at = minter.token.load_full().unwrap().replace_at;
        minter.token.store(Some(Arc::new(Token { secret: Secret::from("kept"), replace_at })));
        advance(Duration::from_secs(1499)).await;
        assert_eq!(minter.token().unwrap().expose(), "kept");
        advance(Duration::from_secs(1)).await;
        assert_ne!(minter.token().unwrap().expose(), "kept");
        assert_eq!(minter.token().unwrap().expose(), at_hand());
    }

    #[test]
    fn only_the_refused_token_is_forgotten() {
        let minter = Minter::new("ak-1", "sk-1");
        let token = minter.token().unwrap();
        minter.forget("an-older-one");
        assert!(minter.current().is_some());
        minter.forget(token.expose());
        assert!(minter.current().is_none());
    }
}
