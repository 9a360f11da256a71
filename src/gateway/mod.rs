//! The one flow: a request for a video in, its answer out.
//!
//! ```text
//! intercept ─► caller, key ─► id ─► provider entry ─► exchange ─► read ─► answer
//! ```
//!
//! [`Gateway::intercept`] is the single call for somebody who has a Pingora service of their own.

mod answer;
mod body;
mod breaker;
mod caller;
mod client;
mod content;
mod entry;
mod explain;
mod holds;
mod inline;
mod intercept;
mod keys;
mod observe;
mod outcome;
mod poll;
mod rates;
mod raw;
mod redact;
mod retrieve;
mod text;
mod trace;

pub use caller::given_request_id;
pub use entry::ProviderState;
pub use explain::Explanation;
pub use keys::KeyUse;
pub use observe::{Called, Exchanged, Observer, Unobserved, Watch};
pub use outcome::{Answered, NotOurs, Outcome};
pub use poll::CacheState;
pub use trace::{Span, SpanId, TraceId, trace_id};

use crate::config::{BareIds, ProviderEntry, Settings};
use crate::upstream::TrustError;
use crate::video::ApiError;
use client::Trusted;
use content::Measures;
use entry::Entry;
use http::HeaderName;
use keys::ClientKeys;
use pingora::proxy::Session;
use poll::Polling;
use rates::Rates;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;

/// Answers requests for videos; everything else is left alone. One for the process, shared by all requests.
pub struct Gateway {
    polling: Arc<Polling>,
    measures: Arc<Measures>,
    entries: BTreeMap<String, Arc<Entry>>,
    /// Counts requests without a provider.
    watch: Arc<dyn Watch>,
    keys: ClientKeys,
    rates: Rates,
    trusted: Trusted,
    public_url: Option<String>,
    bare_ids: BareIds,
    allow_raw: bool,
    max_requests: usize,
    in_house: Arc<AtomicUsize>,
}

/// Why a gateway could not be made from settings that were in order by themselves.
#[derive(Debug, Error)]
pub enum GatewayError {
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("providers.{provider}.{place}: {why}")]
    Provider { provider: String, place: &'static str, why: String },
}

/// A place in the house; it is given back when it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a gateway that takes the place of another has from it.
struct Kept {
    polling: Arc<Polling>,
    measures: Arc<Measures>,
    keys: ClientKeys,
    rates: Rates,
    in_house: Arc<AtomicUsize>,
}

impl Gateway {
    /// Makes the gateway of these settings. Opens no connection and resolves no name.
    pub fn new(settings: &Settings) -> Result<Gateway, GatewayError> {
        Gateway::observed(settings, &Unobserved)
    }

    /// The same, for somebody who counts.
    pub fn observed(settings: &Settings, observer: &dyn Observer) -> Result<Gateway, GatewayError> {
        let make = |provider: &ProviderEntry| Ok(Arc::new(Entry::new(provider, observer)?));
        let kept = Kept {
            polling: Arc::new(Polling::new(&settings.poll_cache)),
            measures: Arc::default(),
            keys: ClientKeys::new(&settings.client_auth),
            rates: Rates::new(&settings.client_rate),
            in_house: Arc::default(),
        };
        Gateway::of(settings, observer, make, kept)
    }

    /// Makes the gateway of new settings, to take the place of this one. What did not change keeps what it has: its
    /// connections, answers, breaker, holds and rate limits. `poll_cache` stays as it is.
    pub fn renewed(&self, settings: &Settings, observer: &dyn Observer) -> Result<Gateway, GatewayError> {
        let make = |provider: &ProviderEntry| match self.entries.get(&provider.name) {
            Some(entry) => entry.renewed(provider, observer),
            None => Ok(Arc::new(Entry::new(provider, observer)?)),
        };
        let kept = Kept {
            polling: Arc::clone(&self.polling),
            measures: Arc::clone(&self.measures),
            keys: self.keys.renewed(&settings.client_auth),
            rates: self.rates.renewed(&settings.client_rate),
            in_house: Arc::clone(&self.in_house),
        };
        Gateway::of(settings, observer, make, kept)
    }

    fn of(
        settings: &Settings,
        observer: &dyn Observer,
        make: impl Fn(&ProviderEntry) -> Result<Arc<Entry>, GatewayError>,
        kept: Kept,
    ) -> Result<Gateway, GatewayError> {
        let mut entries = BTreeMap::new();
        for provider in &settings.providers {
            entries.insert(provider.name.clone(), make(provider)?);
        }
        Ok(Gateway {
            watch: observer.watch(None),
            polling: kept.polling,
            measures: kept.measures,
            entries,
            keys: kept.keys,
            rates: kept.rates,
            trusted: Trusted::new(&settings.trusted_proxies),
            public_url: settings.public_url.clone(),
            bare_ids: settings.bare_ids.clone(),
            allow_raw: settings.allow_raw,
            max_requests: settings.max_requests,
            in_house: kept.in_house,
        })
    }

    /// Checks the client's key for a request that is not for a video, and says which header carried it.
    pub fn authorize(&self, session: &Session) -> Result<KeyUse, ApiError> {
        let key = self.keys.check(&session.req_header().headers, None, true)?;
        self.keys.count(key.name.as_deref())?;
        Ok(key)
    }

    /// Counts a request that is not for a video against the rate of its client's address.
    pub fn count(&self, session: &Session) -> Result<(), ApiError> {
        if self.rates.is_limited() { self.rates.count(self.client(session)) } else { Ok(()) }
    }

    /// The address of a request's client: the peer's, or what trusted proxies say it is.
    pub fn client(&self, session: &Session) -> Option<IpAddr> {
        self.trusted.client(session)
    }

    /// The headers that carry a key of ours, which must not be passed on.
    pub fn key_headers(&self, session: &Session) -> Vec<HeaderName> {
        self.keys.carriers(&session.req_header().headers)
    }

    /// Takes a place in the house; `None` above `max_requests`.
    pub fn admit(&self) -> Option<Permit> {
        let before = self.in_house.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Arc::clone(&self.in_house));
        (before < self.max_requests).then_some(permit)
    }

    /// Resolves the names of all providers, so that no request waits for that. Failures are logged and tried again later.
    pub async fn warm(&self) {
        for entry in self.entries.values() {
            if let Err(error) = entry.warm().await {
                tracing::warn!(provider = &*entry.name, error = error.message(Some(&entry.name)), "not reachable yet");
            }
        }
    }

    /// How each provider is doing, for the operator.
    pub fn provider_states(&self) -> Vec<ProviderState> {
        self.entries.values().map(|entry| entry.state()).collect()
    }

    /// How the poll cache is doing, for the operator.
    pub fn cache_state(&self) -> CacheState {
        self.polling.state()
    }
}
