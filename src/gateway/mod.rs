//! The one flow: a request for a video in, its answer out.
//!
//! ```text
//! intercept ─► caller, key ─► id ─► provider entry ─► exchange ─► read ─► answer
//! ```
//!
//! [`Gateway::intercept`] is the single call for somebody who has a Pingora service of their own.

mod answer;
mod caller;
mod client;
mod entry;
mod explain;
mod keys;
mod observe;
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
pub use observe::{Exchanged, Observer, Unobserved, Watch};
pub use poll::CacheState;
pub use trace::trace_id;

use crate::config::{BareIds, ProviderEntry, Settings};
use crate::providers::Job;
use crate::upstream::TrustError;
use crate::video::{ApiError, ErrorKind, InvalidId, Status, Target, VideoId};
use answer::Answer;
use caller::Caller;
use client::Trusted;
use entry::Entry;
use http::{HeaderName, Method};
use keys::ClientKeys;
use pingora::protocols::http::authority::{RawTargetAuthority, raw_target_authority};
use pingora::proxy::Session;
use poll::Polling;
use rates::Rates;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Every path of ours starts with this.
const PREFIX: &[u8] = b"/v1/videos/";

/// Answers requests for videos; everything else is left alone. One for the process, shared by all requests.
pub struct Gateway {
    polling: Arc<Polling>,
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

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The answer has been written.
    Answered(Answered),
    /// The request is not for a video; nothing was read or written.
    NotOurs(NotOurs),
}

/// Why a request is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOurs {
    /// The path is not one of ours.
    Path,
    /// The path is ours, the method is not: it takes GET and HEAD.
    Method,
}

/// What was answered, for logs and counters. Holds no secret and no query string.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: usize,
    pub request_id: String,
    /// The configured name of the provider, once it was known.
    pub provider: Option<Arc<str>>,
    /// The name of the client's key.
    pub key: Option<String>,
    /// `error.code` of an error.
    pub error: Option<String>,
    /// The row of the table of errors, of which there are few enough for a label.
    pub error_kind: Option<ErrorKind>,
    /// The state of the job that was answered.
    pub job_status: Option<Status>,
    /// `x-vidgate-cache` of an answer with a video.
    pub cache: Option<&'static str>,
    /// How long it took to get an answer from the provider or the cache.
    pub upstream: Option<Duration>,
    /// HTTP status of the provider's answer, where this request waited for one.
    pub upstream_status: Option<u16>,
    /// From the head of the request to the answer, the writing of it left out.
    pub took: Duration,
}

/// A place in the house; it is given back when it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Outcome {
    /// Whether `request_filter` should return `true`.
    pub fn is_answered(&self) -> bool {
        matches!(self, Outcome::Answered(_))
    }
}

/// A request for a video, as far as its path says.
enum Asked {
    Video(VideoId),
    Content(VideoId),
    Invalid(InvalidId),
    /// One segment without a provider, where the settings refuse such ids.
    NoProvider,
}

impl Answered {
    fn fail(&mut self, error: &ApiError) {
        self.error = Some(error.code().to_owned());
        self.error_kind = Some(error.kind);
        self.upstream_status = error.said.as_ref().map(|said| said.status);
    }
}

impl Asked {
    fn id(&self) -> Option<&VideoId> {
        match self {
            Asked::Video(id) | Asked::Content(id) => Some(id),
            Asked::Invalid(_) | Asked::NoProvider => None,
        }
    }
}

/// What a gateway that takes the place of another has from it.
struct Kept {
    polling: Arc<Polling>,
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

    /// Answers the request if it is for a video. Call it from `request_filter`.
    ///
    /// The only errors are those of writing to the client.
    pub async fn intercept(&self, session: &mut Session) -> pingora::Result<Outcome> {
        let Some(asked) = self.asked(path_and_query(session.req_header().raw_path())) else {
            return Ok(Outcome::NotOurs(NotOurs::Path));
        };
        let method = &session.req_header().method;
        if method != Method::GET && method != Method::HEAD {
            return Ok(Outcome::NotOurs(NotOurs::Method));
        }
        let started = Instant::now();
        let caller = Caller::of(session, self.public_url.as_deref(), &self.trusted, &self.rates);
        let permit = self.admit();
        // Who is not let in has not come to a provider.
        let entry = permit.as_ref().and_then(|_| self.entries.get(asked.id()?.provider()));
        let mut answered = Answered {
            request_id: caller.request_id.clone(),
            provider: entry.map(|entry| Arc::clone(&entry.name)),
            ..Answered::default()
        };
        let result = match permit {
            Some(_) => self.answer_or_count(asked, entry, &caller, &mut answered).await,
            None => Err(ApiError::new(ErrorKind::Overloaded)),
        };
        let answer = result.unwrap_or_else(|error| {
            answered.fail(&error);
            Answer::error(&error, &caller.request_id, answered.provider.as_deref())
        });
        answered.took = started.elapsed();
        answered.status = answer.status.as_u16();
        answered.bytes = answer.len();
        entry.map_or(&self.watch, |entry| &entry.watch).answered(&answered);
        answer.write(session).await?;
        Ok(Outcome::Answered(answered))
    }

    /// Answers with an error in our envelope, for requests that the caller turns away itself, and counts itself.
    pub async fn refuse(&self, session: &mut Session, error: ApiError) -> pingora::Result<Outcome> {
        let request_id = caller::request_id(&session.req_header().headers);
        let answer = Answer::error(&error, &request_id, None);
        let mut answered =
            Answered { status: answer.status.as_u16(), bytes: answer.len(), request_id, ..Answered::default() };
        answered.fail(&error);
        answer.write(session).await?;
        Ok(Outcome::Answered(answered))
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

    /// What the path asks for; `None` when it is not ours.
    fn asked(&self, path_and_query: &[u8]) -> Option<Asked> {
        let path = path_and_query.split(|b| *b == b'?').next()?;
        let rest = path.strip_prefix(PREFIX)?;
        let Ok(rest) = std::str::from_utf8(rest) else { return Some(Asked::Invalid(InvalidId::Encoding)) };
        match Target::parse(rest) {
            Ok(Target::Video(id)) => Some(Asked::Video(id)),
            Ok(Target::Content(id)) => Some(Asked::Content(id)),
            Ok(Target::Bare(job)) => match &self.bare_ids {
                BareIds::Passthrough => None,
                BareIds::Reject => Some(Asked::NoProvider),
                BareIds::Provider(name) => {
                    Some(VideoId::for_bare_job(&job, name).map_or_else(Asked::Invalid, Asked::Video))
                }
            },
            Ok(Target::NotOurs) => None,
            Err(invalid) => Some(Asked::Invalid(invalid)),
        }
    }

    /// Answers, and counts the request: before anything else, or as soon as it is known not to be a hit.
    async fn answer_or_count(
        &self,
        asked: Asked,
        entry: Option<&Arc<Entry>>,
        caller: &Caller<'_>,
        answered: &mut Answered,
    ) -> Result<Answer, ApiError> {
        if !self.rates.exempt_hits {
            self.rates.count(caller.address)?;
        }
        match self.answer_for(asked, entry, caller, answered).await {
            // An error that came before any look into the cache was not counted yet.
            Err(error) if self.rates.exempt_hits && answered.upstream.is_none() => {
                Err(self.rates.count(caller.address).err().unwrap_or(error))
            }
            result => result,
        }
    }

    /// Counts a request that is not a hit, where hits are not counted.
    fn count_late(&self, caller: &Caller<'_>, key: Option<&str>) -> Result<(), ApiError> {
        if self.rates.exempt_hits {
            self.rates.count(caller.address)?;
            self.keys.count(key)?;
        }
        Ok(())
    }

    async fn answer_for(
        &self,
        asked: Asked,
        entry: Option<&Arc<Entry>>,
        caller: &Caller<'_>,
        answered: &mut Answered,
    ) -> Result<Answer, ApiError> {
        let is_content = matches!(asked, Asked::Content(_));
        // Where Authorization is the provider's, a key of ours is never looked for there.
        let authorization_is_ours = entry.is_none_or(|entry| !entry.forwards());
        let key = self.keys.check(caller.headers, entry.map(|entry| &*entry.name), authorization_is_ours)?;
        answered.key = key.name;
        if !self.rates.exempt_hits {
            self.keys.count(answered.key.as_deref())?;
        }
        let id = match asked {
            Asked::Video(id) | Asked::Content(id) => id,
            Asked::Invalid(why) => return Err(invalid_id(&format!("The video id is malformed: {why}."))),
            Asked::NoProvider => return Err(invalid_id("The video id names no provider.")),
        };
        let name = entry.map(|entry| entry.row.job.unfold(id.job())).unwrap_or_default();
        let (entry, job) = self.entry_and_job(&id, &name)?;
        if is_content {
            self.count_late(caller, answered.key.as_deref())?;
            let detail = "This version does not serve the bytes of videos yet.";
            return Err(ApiError::because(ErrorKind::NotImplemented, detail));
        }
        self.retrieve(entry, &id, &job, caller, answered).await
    }

    /// The provider that an id names, and its job by the provider's own name, checked.
    fn entry_and_job<'a>(&'a self, id: &VideoId, name: &'a str) -> Result<(&'a Arc<Entry>, Job<'a>), ApiError> {
        let entry = self.entries.get(id.provider()).ok_or_else(|| self.unknown_provider(id.provider()))?;
        let job = entry.row.job.check(name).ok_or_else(|| {
            let form = entry.row.job.form;
            invalid_id(&format!("This is no job of {}: its jobs are named by {form}.", entry.name))
        })?;
        Ok((entry, job))
    }

    fn unknown_provider(&self, name: &str) -> ApiError {
        let known: Vec<&str> = self.entries.keys().map(String::as_str).collect();
        let detail = format!("No provider named {name} is configured; configured are: {}.", known.join(", "));
        ApiError::because(ErrorKind::UnknownProvider, detail).with_param("video_id")
    }
}

/// The path of a request's target, which may be a whole URL (RFC 9112, 3.2.2).
fn path_and_query(target: &[u8]) -> &[u8] {
    match raw_target_authority(target) {
        RawTargetAuthority::Absolute { path_and_query, .. } => path_and_query,
        _ => target,
    }
}

fn invalid_id(detail: &str) -> ApiError {
    ApiError::because(ErrorKind::InvalidVideoId, detail).with_param("video_id")
}
