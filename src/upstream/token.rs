//! Access tokens: asked for once by whoever needs one first, kept until shortly before they end.

use super::clock::unix_now;
use super::{Client, Endpoint, Limits, Outgoing, Trust};
use crate::config::{BaseAddress, Secret};
use crate::providers::Reply;
use crate::video::{ApiError, ErrorKind, Said};
use arc_swap::ArcSwapOption;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A token is replaced this long before its end.
const MARGIN: Duration = Duration::from_secs(300);

/// Connecting to a token endpoint may take this long.
const CONNECT: Duration = Duration::from_secs(5);

/// Fields of the forms that prove who we are.
const PROOFS: [&str; 2] = ["assertion", "client_secret"];

/// A refresh that failed is tried again after this, as long as the old token has not ended.
const PAUSE: Duration = Duration::from_secs(10);

const LIMITS: Limits = Limits { max_body: 1024 * 1024, retries: 2 };

const LATE: &str = "The access token for {p} did not come in time.";

/// Makes the form that asks for a token, given the Unix time.
pub(super) type Form = Arc<dyn Fn(i64) -> Result<Secret, String> + Send + Sync>;

/// An OAuth token endpoint and what to ask it.
pub(super) struct TokenSource {
    endpoint: Arc<Endpoint>,
    form: Form,
    token: ArcSwapOption<Token>,
    /// Held by whoever fetches, so that a crowd fetches once; the last failure is the crowd's too.
    fetching: Mutex<Option<Failure>>,
}

struct Failure {
    at: Instant,
    error: ApiError,
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
        Ok(TokenSource { endpoint, form, token: ArcSwapOption::empty(), fetching: Mutex::default() })
    }

    /// The token at hand.
    pub(super) fn current(&self) -> Option<Secret> {
        self.token.load().as_ref().map(|token| token.secret.clone())
    }

    /// This token was refused. Another one, fetched since, stays.
    pub(super) fn forget(&self, refused: &str) {
        let token = self.token.load();
        if token.as_ref().is_some_and(|token| token.secret.expose() == refused) {
            self.token.compare_and_swap(&token, None);
        }
    }

    /// A token that lasts. While another one is fetched, or a fetch fails, one that has not ended yet is used on.
    pub(super) async fn token(&self, client: &Client, deadline: Instant) -> Result<Secret, ApiError> {
        if let Some(token) = self.lasting() {
            return Ok(token);
        }
        let asked_at = Instant::now();
        let mut last_failure = match (self.fetching.try_lock(), self.unended()) {
            (Ok(held), _) => held,
            (Err(_), Some(token)) => return Ok(token),
            (Err(_), None) => {
                let waiting = tokio::time::timeout_at(deadline, self.fetching.lock());
                waiting.await.map_err(|_| ApiError::because(ErrorKind::UpstreamTimeout, LATE))?
            }
        };
        if let Some(token) = self.lasting() {
            return Ok(token);
        }
        if let Some(failure) = &*last_failure {
            match self.unended() {
                Some(token) if failure.at.elapsed() < PAUSE => return Ok(token),
                None if failure.at >= asked_at => return Err(failure.error.clone()),
                _ => {}
            }
        }
        let fetched = self.fetch(client, deadline).await;
        // A deadline that passed is this caller's own; the next one has more time.
        let shared = fetched.as_ref().err().filter(|error| error.kind != ErrorKind::UpstreamTimeout);
        *last_failure = shared.map(|error| Failure { at: Instant::now(), error: error.clone() });
        fetched.or_else(|error| self.unended().ok_or(error))
    }

    fn lasting(&self) -> Option<Secret> {
        self.token.load().as_ref().filter(|token| Instant::now() < token.replace_at).map(|token| token.secret.clone())
    }

    fn unended(&self) -> Option<Secret> {
        self.token.load().as_ref().filter(|token| Instant::now() < token.ends_at).map(|token| token.secret.clone())
    }

    async fn fetch(&self, client: &Client, deadline: Instant) -> Result<Secret, ApiError> {
        let now = unix_now();
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
        ErrorKind::UpstreamTimeout => LATE.to_owned(),
        _ => format!("There is no access token for {{p}}: its token endpoint failed. {}", error.detail),
    };
    ApiError { detail, ..error }
}

fn refusal(reply: &Reply, form: &Secret) -> ApiError {
    let refused: Refused = serde_json::from_slice(&reply.body).unwrap_or_default();
    let reason = without_proofs([refused.error, refused.error_description].join(" "), form).trim().to_owned();
    let said = Said { status: reply.status.as_u16(), message: Some(reason), ..Said::default() };
    let detail = "There is no access token for {p}: its token endpoint refused.".to_owned();
    ApiError { detail, ..ApiError::said(ErrorKind::UpstreamAuthFailed, said) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::testing::{Answering, json, start_all};

    const OK: &str = r#"{"access_token":"token-N","expires_in":3600,"token_type":"Bearer"}"#;

    fn source(answering: &Answering) -> TokenSource {
        let address = BaseAddress::parse(&answering.url("/token")).unwrap();
        TokenSource::new(address, &Trust::default(), Arc::new(|_| Ok(Secret::from("grant=1".to_owned())))).unwrap()
    }

    fn granting() -> Answering {
        Answering::start(|nth| json(200, &OK.replace('N', &nth.to_string())))
    }

    /// A token at hand that is to be replaced by now, with this long to live.
    fn hold_old_token(source: &TokenSource, lives: Duration) {
        let (now, secret) = (Instant::now(), Secret::from("old-token".to_owned()));
        source.token.store(Some(Arc::new(Token { secret, replace_at: now, ends_at: now + lives })));
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn a_crowd_fetches_once() {
        let answering = granting();
        let (source, client) = (source(&answering), Client::default());
        let callers = (0..50).map(|_| source.token(&client, soon()));
        let mut callers: Vec<_> = callers.map(Box::pin).collect();
        // All of them are waiting before the first is answered.
        start_all(&mut callers).await;
        for caller in callers {
            assert_eq!(caller.await.unwrap().expose(), "token-1");
        }
        assert_eq!(source.token(&client, soon()).await.unwrap().expose(), "token-1");
        assert_eq!(answering.count(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_the_whole_crowds() {
        let answering = Answering::start(|_| json(400, r#"{"error":"invalid_grant","error_description":"Bad key"}"#));
        let (source, client) = (source(&answering), Client::default());
        let mut callers: Vec<_> = (0..50).map(|_| Box::pin(source.token(&client, soon()))).collect();
        start_all(&mut callers).await;
        for caller in callers {
            let error = caller.await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::UpstreamAuthFailed);
            let message = error.message(Some("vertex"));
            let want = "There is no access token for vertex: its token endpoint refused. It answered 400: invalid_grant Bad key.";
            assert!(message.starts_with(want), "{message}");
        }
        assert_eq!(answering.count(), 1);
        // Whoever asks later tries anew.
        source.token(&client, soon()).await.unwrap_err();
        assert_eq!(answering.count(), 2);
    }

    #[tokio::test]
    async fn a_token_is_replaced_before_its_end() {
        let answering = granting();
        let (source, client) = (source(&answering), Client::default());
        hold_old_token(&source, Duration::from_secs(60));
        assert_eq!(source.token(&client, soon()).await.unwrap().expose(), "token-1");
        let token = source.token.load_full().unwrap();
        let lasts = |until: Instant| until.saturating_duration_since(Instant::now()).as_secs().div_ceil(60);
        assert_eq!((lasts(token.replace_at), lasts(token.ends_at)), (55, 60));
    }

    #[tokio::test]
    async fn a_token_that_has_not_ended_is_used_while_its_refresh_fails() {
        let answering = Answering::start(|_| json(500, "{}"));
        let (source, client) = (source(&answering), Client::default());
        hold_old_token(&source, Duration::from_secs(60));
        for _ in 0..5 {
            assert_eq!(source.token(&client, soon()).await.unwrap().expose(), "old-token");
        }
        assert_eq!(answering.count(), 1, "it is not asked again for each call");
        hold_old_token(&source, Duration::ZERO);
        let error = source.token(&client, soon()).await.unwrap_err();
        assert!(error.message(None).contains("It answered 500."), "{error}");
    }

    #[tokio::test]
    async fn a_token_that_has_not_ended_is_used_while_another_is_fetched() {
        let answering = granting();
        let (source, client) = (source(&answering), Client::default());
        hold_old_token(&source, Duration::from_secs(60));
        let mut first = [Box::pin(source.token(&client, soon()))];
        start_all(&mut first).await;
        let [first] = first;
        assert_eq!(source.token(&client, soon()).await.unwrap().expose(), "old-token");
        assert_eq!(first.await.unwrap().expose(), "token-1");
        assert_eq!(source.token(&client, soon()).await.unwrap().expose(), "token-1");
    }

    #[tokio::test]
    async fn only_the_refused_token_is_forgotten() {
        let answering = granting();
        let (source, client) = (source(&answering), Client::default());
        assert_eq!(source.token(&client, soon()).await.unwrap().expose(), "token-1");
        source.forget("an-older-one");
        assert_eq!(source.token(&client, soon()).await.unwrap().expose(), "token-1");
        source.forget("token-1");
        assert_eq!(source.token(&client, soon()).await.unwrap().expose(), "token-2");
    }

    #[tokio::test]
    async fn an_endpoint_that_gives_no_token_is_named_with_its_reason() {
        let table = [
            (json(200, "{}"), "the token endpoint answered without an access token"),
            (json(200, "<html>"), "the token endpoint answered without an access token"),
            (json(401, "<html>"), "its token endpoint refused. It answered 401."),
            (
                json(401, r#"{"error":"invalid_client"}"#),
                "its token endpoint refused. It answered 401: invalid_client.",
            ),
        ];
        for (answer, says) in table {
            let answering = Answering::start(move |_| answer.clone());
            let error = source(&answering).token(&Client::default(), soon()).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::UpstreamAuthFailed);
            assert!(error.message(None).contains(says), "{error}");
        }
    }
}
