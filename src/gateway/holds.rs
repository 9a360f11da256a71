//! Credentials that a provider has asked not to use for a while.

use crate::video::{ApiError, ErrorKind, Said};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Holds that are remembered for one provider; clients' own credentials are as many as there are clients.
const MAX_HOLDS: usize = 10_000;

/// Which credential: its place in the config, or the keyed hash of a client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    Own(usize),
    Client(u128),
}

/// What a held credential is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub until: Instant,
    /// A rate limit, or a provider that is not available.
    pub kind: ErrorKind,
    /// The provider's words when it asked for the hold. They are about the credential, not about a job.
    said: Option<Box<Said>>,
}

impl Hold {
    /// What is answered meanwhile.
    pub fn error(&self, detail: &str, now: Instant) -> ApiError {
        let error = ApiError { detail: detail.to_owned(), said: self.said.clone(), ..ApiError::new(self.kind) };
        error.with_retry_after(Some(self.until.saturating_duration_since(now)))
    }
}

/// The holds of one provider.
#[derive(Debug, Default)]
pub(super) struct Holds {
    holds: Mutex<HashMap<Holder, Hold>>,
    /// Whether there is any: as a rule there is none, and nobody has to lock.
    any: AtomicBool,
}

impl Holds {
    /// Holds a credential for as long as the provider's error says; a longer hold stays.
    pub fn hold(&self, holder: Holder, error: &ApiError, wait: Duration, now: Instant) {
        let hold = Hold { until: now + wait, kind: error.kind, said: error.said.clone() };
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        if holds.len() >= MAX_HOLDS {
            holds.retain(|_, hold| hold.until > now);
        }
        if holds.len() < MAX_HOLDS || holds.contains_key(&holder) {
            match holds.get_mut(&holder) {
                Some(known) if known.until >= hold.until => {}
                Some(known) => *known = hold,
                None => drop(holds.insert(holder, hold)),
            }
        }
        self.any.store(!holds.is_empty(), Ordering::Release);
    }

    /// The hold that is on a credential now.
    pub fn on(&self, holder: Holder, now: Instant) -> Option<Hold> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let hold = holds.get(&holder)?;
        if hold.until > now {
            return Some(hold.clone());
        }
        holds.remove(&holder);
        self.any.store(!holds.is_empty(), Ordering::Release);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hold_ends_when_it_has_passed_and_never_shrinks() {
        let (holds, holder) = (Holds::default(), Holder::Own(1));
        let second = Duration::from_secs(1);
        let said = Said { status: 429, message: Some("slow down".into()), ..Said::default() };
        holds.hold(holder, &ApiError::said(ErrorKind::RateLimited, said), 30 * second, Instant::now());
        holds.hold(holder, &ApiError::new(ErrorKind::UpstreamUnavailable), 2 * second, Instant::now());
        let hold = holds.on(holder, Instant::now()).unwrap();
        assert_eq!((hold.kind, hold.until), (ErrorKind::RateLimited, Instant::now() + 30 * second));
        let error = hold.error("Held.", Instant::now());
        assert!(!error.is_ours(), "it is the provider who says no");
        assert!(error.message(Some("p")).contains("slow down"));
        assert_eq!(holds.on(Holder::Own(0), Instant::now()), None);
        tokio::time::advance(30 * second).await;
        assert_eq!(holds.on(holder, Instant::now()), None);
    }
}
