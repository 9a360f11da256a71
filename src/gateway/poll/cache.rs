//! The poll cache: answers kept serialized, one exchange for all who ask at the same time.

use super::records::{AsItIs, JobKey};
use crate::config::PollCache as Settings;
use crate::gateway::text::{Ready, VideoText};
use crate::video::ApiError;
use moka::Expiry;
use moka::sync::Cache;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant as StdInstant};
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes of an entry besides its text: key, times, headers, pointers, and the cache's own bookkeeping.
const OVERHEAD: usize = 1600;

/// What is known of a job.
#[derive(Debug, Clone)]
pub(in crate::gateway) enum Known {
    Video(Arc<VideoText>),
    /// The provider does not know the job.
    NotFound(Arc<ApiError>),
}

/// An answer with its times.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Kept {
    pub known: Known,
    /// When the provider said it.
    pub said_at: Instant,
    /// Until then it is served without asking again.
    pub fresh_until: Instant,
    /// Until then it may stand in for a failing provider.
    pub stale_until: Instant,
    /// It stands in for a failing provider.
    pub is_stale: bool,
    /// How long the exchange took that brought it.
    pub latency: Duration,
    /// HTTP status of the provider's answer.
    pub status: Option<u16>,
    /// The name of the credential that was used.
    pub credential: Option<Arc<str>>,
    /// The answer as it was written for the first client who found it here, for all who ask in the same way.
    pub ready: OnceLock<Ready>,
}

/// What an exchange came to, for everybody who waited for it.
pub(in crate::gateway) type Outcome = Result<Arc<Kept>, ApiError>;

/// The end of a flight at which its outcome comes out.
pub(in crate::gateway) type Waiting = watch::Receiver<Option<Outcome>>;

/// Exchanges under way.
type Flights = HashMap<JobKey, Waiting, BuildHasherDefault<AsItIs>>;

/// Counters for the operator.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Counts {
    pub hits: AtomicU64,
    pub coalesced: AtomicU64,
    pub stale: AtomicU64,
    pub misses: AtomicU64,
}

/// One cache for the process.
pub(in crate::gateway) struct PollCache {
    answers: Cache<JobKey, Arc<Kept>, BuildHasherDefault<AsItIs>>,
    flights: Mutex<Flights>,
    pub settings: Settings,
    pub counts: Counts,
}

/// Whether somebody asks the provider already.
pub(in crate::gateway) enum Seat {
    /// Nobody does: this caller must, and report here.
    Leader(Flight),
    /// Somebody does: wait for the outcome.
    Waiter(Waiting),
}

/// An exchange under way. Dropping it without landing lets the waiters go with an error.
pub(in crate::gateway) struct Flight {
    key: JobKey,
    cache: Arc<PollCache>,
    sender: watch::Sender<Option<Outcome>>,
}

impl PollCache {
    pub fn new(settings: Settings) -> PollCache {
        let answers = Cache::builder()
            .max_capacity(settings.max_bytes)
            .weigher(|_, kept: &Arc<Kept>| u32::try_from(kept.weight()).unwrap_or(u32::MAX))
            .expire_after(WhenUseless)
            .build_with_hasher(BuildHasherDefault::default());
        PollCache { answers, flights: Mutex::default(), settings, counts: Counts::default() }
    }

    /// What is kept of a job, fresh or not.
    pub fn get(&self, key: JobKey) -> Option<Arc<Kept>> {
        self.answers.get(&key)
    }

    /// Keeps an answer, unless it is too large.
    pub fn keep(&self, key: JobKey, kept: Arc<Kept>) {
        let limit = usize::try_from(self.settings.max_entry).unwrap_or(usize::MAX);
        if kept.known.length() <= limit {
            self.answers.insert(key, kept);
        } else {
            self.answers.invalidate(&key);
        }
    }

    /// Joins the exchange for a job, or begins one.
    pub fn board(self: &Arc<Self>, key: JobKey) -> Seat {
        let (sender, receiver) = watch::channel(None);
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&key) {
            return Seat::Waiter(flight.clone());
        }
        flights.insert(key, receiver);
        Seat::Leader(Flight { key, cache: Arc::clone(self), sender })
    }

    /// Answers that are kept, and their bytes.
    pub fn size(&self) -> (u64, u64) {
        self.answers.run_pending_tasks();
        (self.answers.entry_count(), self.answers.weighted_size())
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Ends the exchange: whoever waits gets the outcome.
    pub fn land(self, outcome: Outcome) {
        self.sender.send_replace(Some(outcome));
    }

    /// The other end, for the leader itself.
    pub fn waiting(&self) -> Waiting {
        self.sender.subscribe()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.cache.flights().remove(&self.key);
    }
}

impl Known {
    fn length(&self) -> usize {
        match self {
            Known::Video(text) => text.len(),
            Known::NotFound(error) => error.message(None).len(),
        }
    }
}

impl Kept {
    pub fn is_fresh(&self, now: Instant) -> bool {
        now < self.fresh_until
    }

    /// Its text twice, since an answer that is asked for again is kept as it was sent, too.
    fn weight(&self) -> usize {
        2 * self.known.length() + OVERHEAD
    }

    /// How long it is of any use.
    fn useful_for(&self) -> Duration {
        self.fresh_until.max(self.stale_until).saturating_duration_since(Instant::now())
    }
}

/// An entry goes when it can be neither served nor stand in.
struct WhenUseless;

impl Expiry<JobKey, Arc<Kept>> for WhenUseless {
    fn expire_after_create(&self, _: &JobKey, kept: &Arc<Kept>, _: StdInstant) -> Option<Duration> {
        Some(kept.useful_for())
    }

    fn expire_after_update(
        &self,
        _: &JobKey,
        kept: &Arc<Kept>,
        _: StdInstant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.useful_for())
    }
}
