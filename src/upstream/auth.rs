//! A credential turned into the headers that carry it.

use super::token::TokenSource;
use super::{Client, Trust, google};
use crate::config::{BaseAddress, Credential, Secret};
use crate::providers::Scheme;
use crate::video::{ApiError, ErrorKind};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
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
    Fixed(Header),
    Token(TokenSource),
}

impl Authenticator {
    /// Fails with what is wrong with the credential, without showing it.
    pub fn new(credential: &Credential, trust: &Trust) -> Result<Authenticator, String> {
        let field = |index: usize| credential.fields.get(index).map_or("", Secret::expose);
        let means = match credential.scheme {
            Scheme::Bearer => Means::Fixed((AUTHORIZATION, bearer(field(0))?)),
            Scheme::Authorization(word) => Means::Fixed((AUTHORIZATION, sensitive(&format!("{word} {}", field(0)))?)),
            Scheme::Header(name) => Means::Fixed((HeaderName::from_static(name), sensitive(field(0))?)),
            Scheme::GoogleServiceAccount => Means::Token(google::token_source(field(0), trust)?),
            Scheme::EntraClientSecret => Means::Token(entra_token_source(field(0), field(1), field(2), trust)?),
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

    /// Everything secret about it, the current token included, to keep it out of what clients read.
    pub fn secrets(&self) -> Vec<Secret> {
        let token = match &self.means {
            Means::Fixed(_) => None,
            Means::Token(source) => source.current(),
        };
        self.secrets.iter().cloned().chain(token).collect()
    }

    /// The header that carries it; a token is fetched when none is at hand that lasts.
    pub async fn header(&self, client: &Client, deadline: Instant) -> Result<Header, ApiError> {
        match &self.means {
            Means::Fixed(header) => Ok(header.clone()),
            Means::Token(source) => {
                let token = source.token(client, deadline).await?;
                let value =
                    bearer(token.expose()).map_err(|why| ApiError::because(ErrorKind::UpstreamAuthFailed, why))?;
                Ok((AUTHORIZATION, value))
            }
        }
    }

    /// The header as people may see it.
    pub fn shown(&self) -> String {
        match &self.means {
            Means::Fixed((name, value)) => match value.to_str().ok().and_then(|value| value.split_once(' ')) {
                Some((word, _)) if name == AUTHORIZATION => format!("{name}: {word} ***"),
                _ => format!("{name}: ***"),
            },
            _ => "authorization: Bearer ***".to_owned(),
        }
    }

    /// The provider has refused this header: the next call mints a new token, unless somebody has done so since.
    pub fn forget_token(&self, refused: &Header) {
        let token = refused.1.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        if let (Means::Token(source), Some(token)) = (&self.means, token) {
            source.forget(token);
        }
    }
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

fn bearer(token: &str) -> Result<HeaderValue, String> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "it holds characters that cannot stand in a header")?;
    value.set_sensitive(true);
    Ok(value)
}
