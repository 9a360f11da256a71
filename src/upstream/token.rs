//! Access tokens: asked for once by whoever needs one first, kept until shortly before they end.

use super::{Client, Endpoint, Limits, Outgoing, Trust};
use crate::config::{BaseAddress, Secret};
use crate::providers::Reply;
use crate::video::{ApiError, ErrorKind};
use arc_swap::ArcSwapOption;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method};
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A token is replaced this long before its end.
const MARGIN: Duration = Duration::from_secs(300);

/// Connecting to a token endpoint may take this long.
const CONNECT: Duration = Duration::from_secs(5);

/// Fields of the forms that prove who we are.
const PROOFS: [&str; 2] = ["assertion", "client_secret"];

const LIMITS: Limits = Limits { max_body: 1024 * 1024, retries: 2 };

/// Makes the form that asks for a token, given the Unix time.
pub(super) type Form = Arc<dyn Fn(i64) -> Result<Secret, String> + Send + Sync>;

/// An OAuth token endpoint and what to ask it.
pub(super) struct TokenSource {
    endpoint: Arc<Endpoint>,
    form: Form,
    token: ArcSwapOption<Token>,
    /// Held by whoever fetches, so that a crowd fetches once.
    fetching: Mutex<()>,
}

struct Token {
    secret: Secret,
    replace_at: Instant,
    ends_at: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refused {
    error: String,
    error_description: String,
}

impl TokenSource {
    pub(super) fn new(address: BaseAddress, trust: &Trust, form: Form) -> Result<TokenSource, String> {
        let endpoint =
            Endpoint::new(address, CONNECT, trust.clone()).ok_or("its token address has an unusable host")?;
        Ok(TokenSource { endpoint, form, token: ArcSwapOption::empty(), fetching: Mutex::new(()) })
    }

    /// The token at hand.
    pub(super) fn current(&self) -> Option<Secret> {
        self.token.load().as_ref().map(|token| token.secret.clone())
    }

    pub(super) fn forget(&self) {
        self.token.store(None);
    }

    /// A token that lasts. While a fetch fails, one that has not ended yet is used on.
    pub(super) async fn token(&self, client: &Client, deadline: Instant) -> Result<Secret, ApiError> {
        if let Some(token) = self.lasting() {
            return Ok(token);
        }
        let Ok(_fetching) = tokio::time::timeout_at(deadline, self.fetching.lock()).await else {
            return Err(ApiError::because(
                ErrorKind::UpstreamTimeout,
                "The access token for {p} did not come in time.",
            ));
        };
        if let Some(token) = self.lasting() {
            return Ok(token);
        }
        match self.fetch(client, deadline).await {
            Ok(token) => Ok(token),
            Err(error) => self.unended().ok_or(error),
        }
    }

    fn lasting(&self) -> Option<Secret> {
        self.token.load().as_ref().filter(|token| Instant::now() < token.replace_at).map(|token| token.secret.clone())
    }

    fn unended(&self) -> Option<Secret> {
        self.token.load().as_ref().filter(|token| Instant::now() < token.ends_at).map(|token| token.secret.clone())
    }

    async fn fetch(&self, client: &Client, deadline: Instant) -> Result<Secret, ApiError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let form = (self.form)(now).map_err(|why| ApiError::because(ErrorKind::UpstreamAuthFailed, why))?;
        let outgoing = Outgoing {
            method: Method::POST,
            path: &self.endpoint.address().path,
            headers: vec![
                (HOST, self.endpoint.host_header().clone()),
                (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
                (ACCEPT, HeaderValue::from_static("application/json")),
            ],
            body: Some(form.expose().to_owned().into()),
        };
        let reply = client.exchange(&self.endpoint, &outgoing, &LIMITS, deadline).await.map_err(without_token)?;
        if !reply.status.is_success() {
            return Err(refusal(&reply, &form));
        }
        let granted: Granted = serde_json::from_slice(&reply.body)
            .map_err(|_| auth_failed("the token endpoint answered without an access token"))?;
        let lasts = Duration::from_secs(granted.expires_in.into());
        let (now, secret) = (Instant::now(), Secret::from(granted.access_token));
        let replace_at = now + lasts.saturating_sub(MARGIN).max(lasts / 2);
        self.token.store(Some(Arc::new(Token { secret: secret.clone(), replace_at, ends_at: now + lasts })));
        Ok(secret)
    }
}

fn without_token(error: ApiError) -> ApiError {
    let detail = match error.kind {
        ErrorKind::UpstreamTimeout => "The access token for {p} did not come in time.".to_owned(),
        _ => format!("There is no access token for {{p}}: its token endpoint failed. {}", error.detail),
    };
    ApiError { detail, ..error }
}

fn refusal(reply: &Reply, form: &Secret) -> ApiError {
    let refused: Refused = serde_json::from_slice(&reply.body).unwrap_or_default();
    let reason = without_proofs([refused.error, refused.error_description].join(" "), form);
    auth_failed(&format!("the token endpoint answered {} {}", reply.status.as_u16(), reason.trim()))
}

/// The endpoint's words without what it was sent to judge, should it repeat that.
fn without_proofs(mut text: String, form: &Secret) -> String {
    let fields = url::form_urlencoded::parse(form.expose().as_bytes());
    for (_, proof) in fields.filter(|(name, proof)| PROOFS.contains(&&**name) && !proof.is_empty()) {
        let encoded: String = url::form_urlencoded::byte_serialize(proof.as_bytes()).collect();
        text = text.replace(&*proof, "***").replace(&encoded, "***");
    }
    text
}

fn auth_failed(why: &str) -> ApiError {
    ApiError::because(ErrorKind::UpstreamAuthFailed, format!("There is no access token for {{p}}: {}.", why.trim()))
}
