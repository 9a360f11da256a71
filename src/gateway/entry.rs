//! One configured provider: its row, its address, its credentials, its limits.

use super::answer::poll_after;
use super::breaker::Breaker;
use super::holds::{Holder, Holds};
use super::redact::Redactor;
use super::{GatewayError, Observer, Watch};
use crate::config::{BaseAddress, Content, Credentials, Poll as PollSettings, ProviderEntry};
use crate::providers::{BaseUrl, Call, Job, Provider};
use crate::upstream::{Authenticator, Endpoint, Header, Limits, Outgoing, Reach, Trust};
use crate::video::{ApiError, ErrorKind};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Addresses made from jobs' names that are remembered; there are fewer regions than this.
const MAX_PLACES: usize = 128;

const OUR_NAME: &str = concat!("vidgate/", env!("CARGO_PKG_VERSION"));

/// A provider as the settings have it, ready for calls.
pub(super) struct Entry {
    pub name: Arc<str>,
    /// What its jobs are remembered under: another one for whom asks elsewhere, or as somebody else.
    pub memory: Arc<str>,
    pub row: &'static Provider,
    pub means: Means,
    pub limits: Limits,
    /// The whole exchange, retries and second calls included.
    pub timeout: Duration,
    pub interval: Duration,
    /// What `openai-poll-after-ms` says.
    pub poll_after: HeaderValue,
    /// Exchanges at once.
    pub slots: Semaphore,
    max_concurrent: usize,
    pub breaker: Breaker,
    pub holds: Holds,
    pub poll: PollSettings,
    /// Answers whose state word nobody knew.
    pub unknown_states: AtomicU64,
    pub watch: Arc<dyn Watch>,
    pub content: Content,
    place: Place,
    /// Where files come from: the API itself, and the hosts of result links.
    downloads: Mutex<HashMap<(BaseAddress, Reach), Arc<Endpoint>>>,
    headers: Vec<Header>,
    /// Takes out what is secret whoever asks.
    redactor: Redactor,
    connect_timeout: Duration,
    trust: Trust,
    settings: ProviderEntry,
}

/// Tells apart entries of one name, before a reload and after it.
static MADE: AtomicU64 = AtomicU64::new(0);

/// How a provider is doing.
#[derive(Debug, Clone, Serialize)]
pub struct ProviderState {
    pub name: String,
    pub kind: &'static str,
    /// Exchanges under way.
    pub in_flight: usize,
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    /// Credentials that the provider has asked not to use, and for how many seconds more.
    pub held: Vec<Held>,
    /// Answers so far whose state word nobody knew.
    pub unknown_states: u64,
}

/// A credential that is not used for a while.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// Its name in the config.
    pub credential: String,
    pub seconds: u64,
}

/// How calls are authenticated.
pub(super) enum Means {
    /// The server needs no key.
    None,
    /// With the client's own `Authorization`.
    Forward,
    /// With ours; tried in this order.
    Keys(Vec<Authenticator>),
}

enum Place {
    Fixed(Arc<Endpoint>),
    /// The job's name holds the region.
    ByJob {
        build: fn(&Job<'_>) -> Option<String>,
        known: Mutex<HashMap<String, Arc<Endpoint>>>,
    },
}

impl Entry {
    pub fn new(settings: &ProviderEntry, observer: &dyn Observer) -> Result<Entry, GatewayError> {
        let fault =
            |place: &'static str, why: String| GatewayError::Provider { provider: settings.name.clone(), place, why };
        let is_tls = settings.base_url.as_ref().is_none_or(|address| address.tls);
        let trust = Trust::of(settings.ca_file.as_ref(), is_tls).map_err(|error| match settings.ca_file {
            Some(_) => fault("ca_file", error.to_string()),
            None => error.into(),
        })?;
        let place = match (&settings.base_url, &settings.kind.base_url) {
            (Some(address), _) => Place::Fixed(
                Endpoint::new(address.clone(), settings.connect_timeout, trust.clone())
                    .ok_or_else(|| fault("base_url", "its host cannot be used".into()))?,
            ),
            (None, BaseUrl::FromJob { build, .. }) => Place::ByJob { build: *build, known: Mutex::default() },
            (None, _) => return Err(fault("base_url", "it is missing".into())),
        };
        let means = match &settings.credentials {
            Credentials::None => Means::None,
            Credentials::Forward => Means::Forward,
            Credentials::Keys(keys) => {
                let made = keys.iter().map(|key| Authenticator::new(key, &trust));
                Means::Keys(made.collect::<Result<_, _>>().map_err(|why| fault("credentials", why))?)
            }
        };
        let headers = own_headers(settings).map_err(|why| fault("headers", why))?;
        let max_concurrent = settings.max_concurrent.min(Semaphore::MAX_PERMITS);
        let name: Arc<str> = settings.name.as_str().into();
        Ok(Entry {
            watch: observer.watch(Some(&name)),
            name,
            row: settings.kind,
            limits: Limits {
                max_body: usize::try_from(settings.max_body).unwrap_or(usize::MAX),
                retries: settings.retries,
            },
            timeout: settings.timeout,
            interval: settings.poll.interval,
            poll_after: poll_after(settings.poll.interval),
            slots: Semaphore::new(max_concurrent),
            max_concurrent,
            breaker: Breaker::new(settings.breaker.clone()),
            holds: Holds::default(),
            poll: settings.poll.clone(),
            unknown_states: AtomicU64::new(0),
            content: settings.content.clone(),
            place,
            downloads: Mutex::default(),
            redactor: lasting_secrets(&means, &headers),
            means,
            headers,
            connect_timeout: settings.connect_timeout,
            trust,
            memory: format!("{} {}", settings.name, MADE.fetch_add(1, Ordering::Relaxed)).into(),
            settings: settings.clone(),
        })
    }

    /// The entry for new settings. One that did not change stays what it is, with its breaker, holds and tokens; one
    /// that still asks the same server as the same client keeps what it knows of its jobs.
    pub fn renewed(
        self: &Arc<Self>,
        settings: &ProviderEntry,
        observer: &dyn Observer,
    ) -> Result<Arc<Entry>, GatewayError> {
        if self.settings == *settings {
            return Ok(Arc::clone(self));
        }
        let mut entry = Entry::new(settings, observer)?;
        if self.settings.asks_the_same(settings) {
            entry.memory = Arc::clone(&self.memory);
        }
        Ok(Arc::new(entry))
    }

    pub fn state(&self) -> ProviderState {
        let now = Instant::now();
        ProviderState {
            name: self.name.to_string(),
            kind: self.row.kind,
            in_flight: self.max_concurrent.saturating_sub(self.slots.available_permits()),
            breaker: self.breaker.shown(now),
            held: self.held(now),
            unknown_states: self.unknown_states.load(Ordering::Relaxed),
        }
    }

    /// The holds on our own credentials; those of clients are theirs.
    fn held(&self, now: Instant) -> Vec<Held> {
        let names: Vec<String> = match &self.means {
            Means::None => vec!["none".to_owned()],
            Means::Forward => Vec::new(),
            Means::Keys(keys) => keys.iter().map(|key| key.name().to_string()).collect(),
        };
        let held = names.into_iter().enumerate().filter_map(|(index, credential)| {
            let hold = self.holds.on(Holder::Own(index), now)?;
            Some(Held { credential, seconds: (hold.until - now).as_secs() + 1 })
        });
        held.collect()
    }

    pub fn forwards(&self) -> bool {
        matches!(self.means, Means::Forward)
    }

    /// Resolves the provider's name, where it has one before a job is known.
    pub async fn warm(&self) -> Result<(), ApiError> {
        match &self.place {
            Place::Fixed(endpoint) => endpoint.warm().await,
            Place::ByJob { .. } => Ok(()),
        }
    }

    /// Where calls for this job go. With a configured address that is it, whatever the name says.
    pub fn endpoint(&self, job: &Job<'_>) -> Result<Arc<Endpoint>, ApiError> {
        let (build, known) = match &self.place {
            Place::Fixed(endpoint) => return Ok(Arc::clone(endpoint)),
            Place::ByJob { build, known } => (build, known),
        };
        let nowhere = || {
            let detail = format!("The job's name holds no region of {}.", self.name);
            ApiError::because(ErrorKind::InvalidVideoId, detail).with_param("video_id")
        };
        let base = build(job).ok_or_else(nowhere)?;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = known.get(&base) {
            return Ok(Arc::clone(endpoint));
        }
        let address = BaseAddress::parse(&base).map_err(|_| nowhere())?;
        let endpoint = Endpoint::new(address, self.connect_timeout, self.trust.clone()).ok_or_else(nowhere)?;
        if known.len() < MAX_PLACES {
            known.insert(base, Arc::clone(&endpoint));
        }
        Ok(endpoint)
    }

    /// Where files of this address come from, from within this reach only.
    pub fn download_endpoint(&self, address: &BaseAddress, reach: Reach) -> Result<Arc<Endpoint>, ApiError> {
        let key = (BaseAddress { path: String::new(), ..address.clone() }, reach);
        let mut known = self.downloads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = known.get(&key) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = Endpoint::for_downloads(key.0.clone(), self.connect_timeout, self.trust.clone(), reach)
            .ok_or_else(|| {
                ApiError::because(ErrorKind::UpstreamInvalidResponse, "A result link of {p} has no host.")
            })?;
        // There are not that many; who names more loses those before, which are resolved anew when they come again.
        if known.len() >= MAX_PLACES {
            known.clear();
        }
        known.insert(key, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    /// The headers for a file of the API's own: any type of content, otherwise those of every call.
    pub fn file_headers(&self) -> impl Iterator<Item = Header> {
        let accepts = (ACCEPT, HeaderValue::from_static("*/*"));
        self.headers.iter().filter(|(name, _)| *name != ACCEPT).cloned().chain([accepts])
    }

    /// The headers for a file of somebody else's, who learns nothing of the settings.
    pub fn foreign_headers() -> impl Iterator<Item = Header> {
        let headers = [(ACCEPT, "*/*"), (ACCEPT_ENCODING, "identity"), (USER_AGENT, OUR_NAME)];
        headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)))
    }

    /// The call with every header that the API needs, and no other.
    pub fn outgoing<'a>(&self, endpoint: &Endpoint, call: &Call, path: &'a str, more: Vec<Header>) -> Outgoing<'a> {
        let mut headers = Vec::with_capacity(self.headers.len() + more.len() + 2);
        headers.push((HOST, endpoint.host_header().clone()));
        headers.extend(self.headers.iter().cloned());
        if call.body.is_some() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        headers.extend(more);
        Outgoing { method: call.method.clone(), path, headers, body: call.body.clone().map(Into::into) }
    }

    /// What must not be repeated to a client who is served with this credential, nor to any other.
    pub fn redactor(&self, key: Option<&Authenticator>) -> Redactor {
        match key.and_then(Authenticator::token) {
            Some(token) => self.redactor.with([token.expose().to_owned()]),
            None => self.redactor.clone(),
        }
    }

    /// The same for a client who is served with its own credential.
    pub fn redactor_of_client(&self, authorization: Option<&HeaderValue>) -> Redactor {
        self.redactor.with_client(authorization)
    }
}

/// What is secret for as long as the settings stay: the credentials, and the configured headers.
fn lasting_secrets(means: &Means, headers: &[Header]) -> Redactor {
    let keys = if let Means::Keys(keys) = means { &keys[..] } else { &[] };
    let keys = keys.iter().flat_map(Authenticator::secrets).map(|secret| secret.expose().to_owned());
    let sensitive = headers.iter().map(|(_, value)| value).filter(|value| value.is_sensitive());
    Redactor::new(keys.chain(sensitive.filter_map(|value| value.to_str().ok()).map(str::to_owned)))
}

/// Headers that are the same on every call: ours, the API's, and those of the settings, which win.
fn own_headers(settings: &ProviderEntry) -> Result<Vec<Header>, String> {
    let mut headers: Vec<Header> = vec![
        (ACCEPT, HeaderValue::from_static("application/json")),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        (USER_AGENT, HeaderValue::from_static(OUR_NAME)),
    ];
    for (name, value) in settings.kind.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        headers.push((name, HeaderValue::from_static(value)));
    }
    for (name, value) in &settings.headers {
        let mut value =
            HeaderValue::from_str(value.expose()).map_err(|_| format!("the value of {name} is no header value"))?;
        value.set_sensitive(true);
        headers.retain(|(known, _)| known != name);
        headers.push((name.clone(), value));
    }
    Ok(headers)
}
