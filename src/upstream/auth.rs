//! A credential turned into the headers that carry it.

use super::kling::Minter;
use super::sigv4::{AwsKey, Scope};
use super::token::TokenSource;
use super::{Client, Outgoing, Trust, google};
use crate::config::{BaseAddress, Credential, Secret};
use crate::providers::{Arn, Job, Scheme};
use crate::video::{ApiError, ErrorKind};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use std::sync::Arc;
use tokio::time::Instant;

/// A header that goes to the provider.
pub type Header = (HeaderName, HeaderValue);

/// Where Entra gives tokens: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.
const ENTRA: &str = "https://login.microsoftonline.com";
const ENTRA_SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// One credential of one provider, with the token that was minted from it.
pub struct Authenticator {
    name: Arc<str>,
    /// The cloud projects that it may reach; `None` where nobody knows.
    projects: Option<Vec<String>>,
    means: Means,
    /// What must not be repeated to a client.
    secrets: Vec<Secret>,
}

enum Means {
    Fixed(Proof),
    Token(TokenSource),
    Minted(Minter),
}

/// What shows a provider who calls.
#[derive(Clone)]
pub enum Proof {
    /// The same on every call.
    Header(Header),
    /// Made for each call anew: it holds for this one, and only for minutes.
    Signature { key: Arc<AwsKey>, service: &'static str },
}

impl Proof {
    /// Adds it to a call for this job that is ready otherwise, right before it is sent.
    pub fn add_to(&self, outgoing: &mut Outgoing<'_>, job: &Job<'_>) -> Result<(), ApiError> {
        match self {
            Proof::Header(header) => outgoing.headers.push(header.clone()),
            Proof::Signature { key, service } => {
                let arn = Arn::parse(job.as_str()).ok_or_else(|| ApiError::new(ErrorKind::Internal))?;
                sign(key, outgoing, service, arn.region)?;
            }
        }
        Ok(())
    }

    /// The same for the GET of an object in S3 that lies in this region. Its path is encoded by [`encoded_path`]; headers
    /// such as `range` are not signed. Fails for what is no key of AWS: a key of Bedrock's API opens no bucket.
    ///
    /// [`encoded_path`]: super::encoded_path
    pub fn add_to_s3(&self, outgoing: &mut Outgoing<'_>, region: &str) -> Result<(), ApiError> {
        match self {
            Proof::Signature { key, .. } => sign(key, outgoing, "s3", region),
            Proof::Header(_) => {
                let detail = "The result of {p} lies in S3, which takes no API key: it wants an access key of AWS.";
                Err(ApiError::because(ErrorKind::UpstreamAuthFailed, detail))
            }
        }
    }
}

fn sign(key: &AwsKey, outgoing: &mut Outgoing<'_>, service: &str, region: &str) -> Result<(), ApiError> {
    let scope = Scope { service, region, at: Timestamp::now() };
    key.sign(outgoing, &scope).map_err(|why| ApiError::because(ErrorKind::UpstreamAuthFailed, why))
}

impl Authenticator {
    /// Fails with what is wrong with the credential, without showing it.
    pub fn new(credential: &Credential, trust: &Trust) -> Result<Authenticator, String> {
        let field = |index: usize| credential.fields.get(index).map_or("", Secret::expose);
        let means = match credential.scheme {
            Scheme::Bearer => fixed(AUTHORIZATION, bearer(field(0))?),
            Scheme::Authorization(word) => fixed(AUTHORIZATION, sensitive(&format!("{word} {}", field(0)))?),
            Scheme::Header(name) => fixed(HeaderName::from_static(name), sensitive(field(0))?),
            Scheme::GoogleServiceAccount => Means::Token(google::token_source(field(0), trust)?),
            Scheme::KlingKeys => Means::Minted(Minter::new(field(0), field(1))),
            Scheme::EntraClientSecret => Means::Token(entra_token_source(field(0), field(1), field(2), trust)?),
            Scheme::AwsSignature { service } => {
                for index in [0, 2] {
                    sensitive(field(index))?;
                }
                let session_token = credential.fields.get(2).cloned();
                let key = AwsKey { id: field(0).into(), secret: field(1).into(), session_token };
                Means::Fixed(Proof::Signature { key: Arc::new(key), service })
            }
        };
        let mut secrets = credential.fields.clone();
        if credential.scheme == Scheme::GoogleServiceAccount {
            secrets.extend(google::secrets(field(0)));
        }
        Ok(Authenticator {
            name: credential.name.as_str().into(),
            projects: credential.project.clone(),
            means,
            secrets,
        })
    }

    /// The credential's name in the config.
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Whether a job that lies in this cloud project may be asked for with this credential.
    pub fn reaches(&self, project: &str) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.iter().any(|own| own == project))
    }

    /// Everything secret about it that lasts, to keep it out of what clients read.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The current token, which is as secret.
    pub fn token(&self) -> Option<Secret> {
        match &self.means {
            Means::Fixed(_) => None,
            Means::Token(source) => source.current(),
            Means::Minted(minter) => minter.current(),
        }
    }

    /// What calls carry, where that never changes.
    pub fn fixed(&self) -> Option<&Proof> {
        if let Means::Fixed(proof) = &self.means { Some(proof) } else { None }
    }

    /// What calls carry; a token is fetched when none is at hand that lasts.
    pub async fn proof(&self, client: &Client, deadline: Instant) -> Result<Proof, ApiError> {
        match &self.means {
            Means::Fixed(proof) => Ok(proof.clone()),
            Means::Token(source) => bearer_header(source.token(client, deadline).await).map(Proof::Header),
            Means::Minted(minter) => bearer_header(minter.token().map_err(unusable)).map(Proof::Header),
        }
    }

    /// The headers as people may see them.
    pub fn shown(&self) -> Vec<String> {
        match &self.means {
            Means::Fixed(Proof::Signature { key, .. }) => key.shown(),
            Means::Fixed(Proof::Header((name, value))) => {
                let word =
                    value.to_str().ok().and_then(|value| value.split_once(' ')).filter(|_| *name == AUTHORIZATION);
                vec![word.map_or_else(|| format!("{name}: ***"), |(word, _)| format!("{name}: {word} ***"))]
            }
            Means::Token(_) | Means::Minted(_) => vec!["authorization: Bearer ***".to_owned()],
        }
    }

    /// The provider has refused this: the next call mints a new token, unless somebody has done so since.
    pub fn forget_token(&self, refused: &Proof) {
        let Proof::Header((_, value)) = refused else { return };
        let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        match (&self.means, token) {
            (Means::Token(source), Some(token)) => source.forget(token),
            (Means::Minted(minter), Some(token)) => minter.forget(token),
            _ => {}
        }
    }
}

fn fixed(name: HeaderName, value: HeaderValue) -> Means {
    Means::Fixed(Proof::Header((name, value)))
}

fn entra_token_source(tenant: &str, client_id: &str, secret: &str, trust: &Trust) -> Result<TokenSource, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if tenant.is_empty() || !tenant.bytes().all(is_plain) {
        return Err("tenant_id is neither a UUID nor a domain".into());
    }
    let address = BaseAddress::parse(&format!("{ENTRA}/{tenant}/oauth2/v2.0/token"))?;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client_id)
        .append_pair("client_secret", secret)
        .append_pair("scope", ENTRA_SCOPE)
        .finish();
    let form = Secret::from(form);
    TokenSource::new(address, trust, Arc::new(move |_| Ok(form.clone())))
}

fn bearer_header(token: Result<Secret, ApiError>) -> Result<Header, ApiError> {
    Ok((AUTHORIZATION, bearer(token?.expose()).map_err(unusable)?))
}

fn unusable(why: String) -> ApiError {
    ApiError::because(ErrorKind::UpstreamAuthFailed, why)
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "it holds characters that cannot stand in a header")?;
    value.set_sensitive(true);
    Ok(value)
}
