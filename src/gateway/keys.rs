//! Keys of clients: who may ask, for which providers, how often, until when.

use super::rates;
use crate::config::{ClientAuth, ClientKey};
use crate::upstream::unix_now;
use crate::video::{ApiError, ErrorKind};
use governor::DefaultDirectRateLimiter;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use ring::digest;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Where a key is looked for, in this order.
static KEY_HEADERS: [HeaderName; 3] =
    [HeaderName::from_static("x-bf-vk"), HeaderName::from_static("x-api-key"), AUTHORIZATION];

/// The keys of the settings; `None` when anybody may ask.
pub(super) struct ClientKeys(Option<Vec<Known>>);

struct Known {
    key: ClientKey,
    limiter: Option<Arc<DefaultDirectRateLimiter>>,
}

/// The key that a request was let in by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// Its name in the config; `None` when no key is needed.
    pub name: Option<String>,
    /// The header that carried it, which must not be passed on.
    pub header: Option<HeaderName>,
}

impl ClientKeys {
    pub fn new(auth: &ClientAuth) -> ClientKeys {
        match auth {
            ClientAuth::Anyone | ClientAuth::Open => ClientKeys(None),
            ClientAuth::Keys(keys) => ClientKeys(Some(keys.iter().cloned().map(Known::new).collect())),
        }
    }

    /// The keys of new settings. One with an unchanged rate goes on from where it was.
    pub fn renewed(&self, auth: &ClientAuth) -> ClientKeys {
        let mut renewed = ClientKeys::new(auth);
        for known in renewed.0.iter_mut().flatten() {
            let is_same = |old: &&Known| (old.key.sha256, old.key.rate) == (known.key.sha256, known.key.rate);
            if let Some(old) = self.0.iter().flatten().find(is_same) {
                known.limiter = old.limiter.clone();
            }
        }
        renewed
    }

    /// Finds the key of a request and whether it is let in; it is counted by [`ClientKeys::count`].
    /// `provider` is checked against the key where it is known.
    pub fn check(
        &self,
        headers: &HeaderMap,
        provider: Option<&str>,
        authorization_is_ours: bool,
    ) -> Result<KeyUse, ApiError> {
        let Some(keys) = &self.0 else { return Ok(KeyUse::default()) };
        let places = KEY_HEADERS.iter().filter(|name| authorization_is_ours || **name != AUTHORIZATION);
        let mut found = places.filter_map(|name| find(keys, headers, name).map(|known| (name, known)));
        let Some((header, known)) = found.next() else { return Err(no_key(authorization_is_ours)) };
        known.allows(provider)?;
        Ok(KeyUse { name: Some(known.key.name.clone()), header: Some(header.clone()) })
    }

    /// Counts a request that was let in by this key.
    pub fn count(&self, key: Option<&str>) -> Result<(), ApiError> {
        let (Some(keys), Some(name)) = (&self.0, key) else { return Ok(()) };
        let known = keys.iter().find(|known| known.key.name == name);
        known.and_then(|known| known.limiter.as_ref()).map_or(Ok(()), |limiter| rates::count(limiter, "key"))
    }

    /// The headers that carry one of the keys, expired or not.
    pub fn carriers(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        let keys = self.0.as_deref().unwrap_or_default();
        KEY_HEADERS.iter().filter(|name| find(keys, headers, name).is_some()).cloned().collect()
    }
}

impl Known {
    fn new(key: ClientKey) -> Known {
        let limiter = key.rate.as_ref().and_then(rates::limiter).map(Arc::new);
        Known { key, limiter }
    }

    fn allows(&self, provider: Option<&str>) -> Result<(), ApiError> {
        let now = unix_now();
        if self.key.expires.is_some_and(|end| end <= now) {
            return Err(ApiError::because(ErrorKind::InvalidApiKey, "The key has expired."));
        }
        let may_use = |name: &str| self.key.providers.as_ref().is_none_or(|list| list.iter().any(|own| own == name));
        if !provider.is_none_or(may_use) {
            return Err(ApiError::new(ErrorKind::ProviderNotAllowed));
        }
        Ok(())
    }
}

/// The known key that this header carries. All keys are compared, each in constant time.
fn find<'a>(keys: &'a [Known], headers: &HeaderMap, name: &HeaderName) -> Option<&'a Known> {
    let given = headers.get(name)?.as_bytes();
    let given = if *name == AUTHORIZATION { bearer(given)? } else { given };
    let hash = digest::digest(&digest::SHA256, given);
    let mut found = None;
    for known in keys {
        if bool::from(known.key.sha256.as_slice().ct_eq(hash.as_ref())) {
            found = Some(known);
        }
    }
    found
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn no_key(authorization_is_ours: bool) -> ApiError {
    let places =
        if authorization_is_ours { "Authorization: Bearer, x-api-key or x-bf-vk" } else { "x-api-key or x-bf-vk" };
    let detail = format!("The request carries no valid key of this gateway in {places}.");
    ApiError::because(ErrorKind::InvalidApiKey, detail)
}
