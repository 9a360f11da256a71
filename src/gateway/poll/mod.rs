//! Polls: one exchange however many clients ask, an answer even from a bad provider, and never backwards.
//!
//! ```text
//! ask ─► fresh in the cache? ─► exchange under way? ─► holds, slots, breaker ─► credentials ─► provider
//!                                                        └── failed: what is known stands in
//! ```

mod cache;
mod call;
mod exchange;
mod polled;
mod records;
#[cfg(test)]
mod simulation;

pub(super) use cache::{Kept, Known, PollCache};
pub(super) use exchange::Poll;
pub(super) use records::{JobKey, Record};

use super::Exchanged;
use super::breaker::Verdict;
use super::holds::Holder;
use super::inline::Inline;
use super::text::VideoText;
use crate::config::PollCache as CacheSettings;
use crate::upstream::{Client, unix_now};
use crate::video::{ApiError, ErrorKind};
use cache::{Outcome, Seat};
use polled::{Polled, Raw};
use records::{Keyring, Records};
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a 404 is answered without asking again: a job that was just made may not be known everywhere yet.
const NOT_FOUND_FRESH: Duration = Duration::from_secs(1);

/// A link is asked for anew this long before it dies, so that a client has time to use it. Unix seconds.
const LINK_MARGIN: i64 = 60;

/// An exchange that runs into its deadline may take this long to settle what stands in for its answer.
const LANDING: Duration = Duration::from_millis(200);

/// A wait up to this is waited out inside the exchange; a longer one holds the credential.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// What all polls share.
pub(super) struct Polling {
    pub client: Client,
    pub cache: Arc<PollCache>,
    records: Records,
    keyring: Keyring,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The cache is switched off for this provider, or for this request.
    Off,
    Miss,
    Hit,
    Coalesced,
    Stale,
}

/// An answer to a poll.
pub(super) struct Told {
    pub text: Arc<VideoText>,
    pub kept: Arc<Kept>,
    pub how: How,
    pub key: JobKey,
    /// What was sent and what came back, where that was asked for.
    pub raw: Raw,
}

/// The cache in numbers, for the operator.
#[derive(Debug, Clone, Serialize)]
pub struct CacheState {
    pub entries: u64,
    pub bytes: u64,
    pub hits: u64,
    pub coalesced: u64,
    pub stale: u64,
    pub misses: u64,
    /// Jobs of which it is remembered how far they had come and which credential knows them.
    pub jobs: usize,
}

impl How {
    /// The value of `x-vidgate-cache`.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Off => "off",
            How::Miss => "miss",
            How::Hit => "hit",
            How::Coalesced => "coalesced",
            How::Stale => "stale",
        }
    }
}

impl Polling {
    pub fn new(settings: &CacheSettings) -> Polling {
        Polling {
            client: Client::default(),
            cache: Arc::new(PollCache::new(settings.clone())),
            records: Records::default(),
            keyring: Keyring::default(),
        }
    }

    pub fn state(&self) -> CacheState {
        let (entries, bytes) = self.cache.size();
        let counts = &self.cache.counts;
        CacheState {
            entries,
            bytes,
            hits: counts.hits.load(Ordering::Relaxed),
            coalesced: counts.coalesced.load(Ordering::Relaxed),
            stale: counts.stale.load(Ordering::Relaxed),
            misses: counts.misses.load(Ordering::Relaxed),
            jobs: self.records.len(),
        }
    }

    /// A keyed hash of a client's own credential.
    pub fn holder_of(&self, authorization: &[u8]) -> Holder {
        Holder::Client(self.keyring.hash(authorization))
    }

    /// The key of a job, as asked for with this credential of the client's own (empty where it is ours).
    pub fn key(&self, provider: &str, identity: &[u8], job: &str) -> JobKey {
        self.keyring.key(provider, identity, job)
    }

    /// The answer that is at hand, if there is one: the short way of a hit.
    pub fn at_hand(&self, key: JobKey) -> Option<Result<Told, ApiError>> {
        self.fresh(key).map(|kept| self.tell(kept, How::Hit, key))
    }

    /// Answers a poll: from the cache, with others, or by an exchange of its own.
    pub async fn ask(self: &Arc<Self>, poll: Poll, key: JobKey) -> Result<Told, ApiError> {
        if !poll.is_cached() {
            let polled = self.exchange(&poll, key).await?;
            let raw = polled.raw.clone();
            let kept = Arc::new(self.kept(&poll, polled));
            return told(kept, How::Off, key, raw);
        }
        let anew = poll.anew;
        if let Some(kept) = self.fresh(key).filter(|_| !anew) {
            return self.tell(kept, How::Hit, key);
        }
        let deadline = poll.deadline;
        let (mut waiting, how) = match self.cache.board(key) {
            Seat::Waiter(waiting) => (waiting, How::Coalesced),
            Seat::Leader(flight) => {
                // Somebody may have landed between the look and the boarding.
                if let Some(kept) = self.fresh(key).filter(|_| !anew) {
                    flight.land(Ok(Arc::clone(&kept)));
                    return self.tell(kept, How::Hit, key);
                }
                let waiting = flight.waiting();
                let polling = Arc::clone(self);
                // On its own, so that no client takes it away from the others by leaving.
                tokio::spawn(async move { flight.land(polling.exchange_or_stand_in(&poll, key).await) });
                (waiting, How::Miss)
            }
        };
        let landed = timeout_at(deadline + LANDING, waiting.wait_for(Option::is_some)).await;
        let outcome: Outcome = match landed {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or_else(|| Err(ApiError::new(ErrorKind::Internal))),
            Ok(Err(_)) => Err(ApiError::new(ErrorKind::Internal)),
            Err(_) => Err(ApiError::new(ErrorKind::UpstreamTimeout)),
        };
        self.tell(outcome?, how, key)
    }

    /// The answer for somebody who wants the bytes of a video of it, should they stand in it: those come as a stream,
    /// to this caller alone. What an answer without them says is kept for everybody.
    pub async fn look(self: &Arc<Self>, mut poll: Poll, key: JobKey) -> Result<(Told, Option<Inline>), ApiError> {
        if poll.is_cached()
            && !poll.anew
            && let Some(told) = self.at_hand(key)
        {
            return told.map(|told| (told, None));
        }
        if !poll.entry.row.results_may_be_inline {
            poll.wanted = None;
            return self.ask(poll, key).await.map(|told| (told, None));
        }
        let mut polled = match self.exchange(&poll, key).await {
            Ok(polled) => polled,
            Err(error) => {
                let known = self.cache.get(key).filter(|_| poll.is_cached() && may_be_papered_over(error.kind));
                let known = known.filter(|kept| kept.may_stand_in(Instant::now()) && !poll.anew).ok_or(error)?;
                return self.tell(known, How::Stale, key).map(|told| (told, None));
            }
        };
        let (inline, is_whole) = (polled.inline.take(), polled.is_whole);
        let kept = Arc::new(self.kept(&poll, polled));
        if is_whole && poll.is_cached() {
            self.cache.keep(key, Arc::clone(&kept));
        }
        let how = if poll.is_cached() { How::Miss } else { How::Off };
        self.tell(kept, how, key).map(|told| (told, inline))
    }

    fn fresh(&self, key: JobKey) -> Option<Arc<Kept>> {
        self.cache.get(key).filter(|kept| kept.is_fresh(Instant::now()))
    }

    fn tell(&self, kept: Arc<Kept>, how: How, key: JobKey) -> Result<Told, ApiError> {
        let how = if kept.is_stale { How::Stale } else { how };
        let counts = &self.cache.counts;
        let count = match how {
            How::Hit => &counts.hits,
            How::Coalesced => &counts.coalesced,
            How::Stale => &counts.stale,
            How::Miss | How::Off => &counts.misses,
        };
        count.fetch_add(1, Ordering::Relaxed);
        told(kept, how, key, Raw::default())
    }

    /// Asks the provider, and keeps what it says. When it fails, what is known stands in.
    async fn exchange_or_stand_in(&self, poll: &Poll, key: JobKey) -> Outcome {
        let error = match self.exchange(poll, key).await {
            Ok(polled) => {
                let kept = Arc::new(self.kept(poll, polled));
                self.cache.keep(key, Arc::clone(&kept));
                return Ok(kept);
            }
            Err(error) => error,
        };
        let now = Instant::now();
        if error.kind == ErrorKind::VideoNotFound {
            let status = error.said.as_ref().map(|said| said.status);
            let kept = Arc::new(Kept {
                known: Known::NotFound(Arc::new(error)),
                said_at: now,
                fresh_until: now + NOT_FOUND_FRESH,
                stale_until: now,
                is_stale: false,
                latency: Duration::ZERO,
                status,
                credential: None,
                ready: OnceLock::new(),
            });
            self.cache.keep(key, Arc::clone(&kept));
            return Ok(kept);
        }
        let known = self.cache.get(key).filter(|kept| may_be_papered_over(error.kind) && kept.may_stand_in(now));
        let Some(known) = known else { return Err(error) };
        // It counts as fresh again for a moment: a failing provider is not asked more often than a good one.
        let fresh_until = now + poll.entry.poll.fresh_for;
        let ready = OnceLock::new();
        let kept = Kept { is_stale: true, fresh_until, latency: Duration::ZERO, ready, ..Kept::clone(&known) };
        let kept = Arc::new(kept);
        self.cache.keep(key, Arc::clone(&kept));
        Ok(kept)
    }

    /// One exchange with the provider, if it may be asked now; its answer held against what is remembered.
    async fn exchange(&self, poll: &Poll, key: JobKey) -> Result<Polled, ApiError> {
        let record = poll.is_remembered().then(|| self.records.get(key)).flatten();
        poll.check_holds()?;
        let entry = &poll.entry;
        let Ok(_slot) = entry.slots.try_acquire() else {
            let detail = "As many calls to {p} are under way as max_concurrent allows.";
            return Err(ApiError::because(ErrorKind::Overloaded, detail));
        };
        let began = Instant::now();
        if let Verdict::Wait(wait) = entry.breaker.ask(began) {
            let detail = "{p} has failed so often that it is left alone for a while.";
            return Err(ApiError::because(ErrorKind::UpstreamUnavailable, detail).with_retry_after(Some(wait)));
        }
        // Boxed, so that whoever embeds a gateway does not get a future of a hundred layers.
        let result = Box::pin(poll.make(&self.client, record)).await;
        let is_failure = result.as_ref().is_err_and(|error| is_providers_failure(error.kind));
        entry.breaker.tell(began, Instant::now(), !is_failure);
        entry.watch.exchanged(&Exchanged::of(&result, began.elapsed()));
        let polled = result?;
        if poll.is_remembered() {
            self.remember(key, record, &polled)?;
        }
        Ok(polled)
    }

    /// Keeps how far the job has come. An answer that takes back an end is none.
    fn remember(&self, key: JobKey, before: Option<Record>, polled: &Polled) -> Result<(), ApiError> {
        let ended = polled.text.status.is_terminal();
        if before.is_some_and(|record| record.ended) && !ended {
            let detail = "{p} says of a job that had ended that it has not.";
            return Err(ApiError::because(ErrorKind::UpstreamInvalidResponse, detail));
        }
        let now = Record { credential: polled.credential_index, progress: polled.text.progress, ended };
        if before != Some(now) {
            self.records.set(key, now);
        }
        Ok(())
    }

    fn kept(&self, poll: &Poll, polled: Polled) -> Kept {
        let (now, settings) = (Instant::now(), &poll.entry.poll);
        let fresh_for = match polled.text.status.is_terminal() {
            true => end_is_fresh_for(&polled.text, self.cache.settings.keep).unwrap_or(settings.fresh_for),
            false => settings.fresh_for,
        };
        Kept {
            known: Known::Video(Arc::new(polled.text)),
            said_at: now,
            fresh_until: now + fresh_for,
            stale_until: now + settings.stale_for,
            is_stale: false,
            latency: polled.latency,
            status: polled.status,
            credential: polled.credential,
            ready: OnceLock::new(),
        }
    }
}

impl Kept {
    fn may_stand_in(&self, now: Instant) -> bool {
        matches!(self.known, Known::Video(_)) && now < self.stale_until
    }
}

/// How long an end is served without asking again; `None` when its link dies too soon for that.
fn end_is_fresh_for(text: &VideoText, keep: Duration) -> Option<Duration> {
    let Some(expires_at) = text.expires_at else { return Some(keep) };
    let now = unix_now();
    let left = u64::try_from(expires_at - LINK_MARGIN - now).ok().filter(|left| *left > 0)?;
    Some(keep.min(Duration::from_secs(left)))
}

fn told(kept: Arc<Kept>, how: How, key: JobKey, raw: Raw) -> Result<Told, ApiError> {
    match &kept.known {
        Known::Video(text) => Ok(Told { text: Arc::clone(text), how, key, raw, kept }),
        Known::NotFound(error) => Err(ApiError::clone(error)),
    }
}

impl Exchanged {
    fn of(result: &Result<Polled, ApiError>, took: Duration) -> Exchanged {
        let status = match result {
            Ok(polled) => polled.status,
            Err(error) => error.said.as_ref().map(|said| said.status),
        };
        Exchanged { status, error: result.as_ref().err().map(|error| error.kind), took }
    }
}

/// The provider, or the way to it, failed: what was known a moment ago says more than an error.
fn may_be_papered_over(kind: ErrorKind) -> bool {
    is_providers_failure(kind) || matches!(kind, ErrorKind::RateLimited | ErrorKind::Overloaded)
}

/// What counts against a provider.
fn is_providers_failure(kind: ErrorKind) -> bool {
    use ErrorKind::{
        UpstreamError, UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnavailable, UpstreamUnreachable,
    };
    matches!(
        kind,
        UpstreamError | UpstreamInvalidResponse | UpstreamTimeout | UpstreamUnavailable | UpstreamUnreachable
    )
}
