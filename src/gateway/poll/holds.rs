//! Credentials that a provider has asked not to use for a while.

use crate::video::{ApiError, ErrorKind, Said};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Holds that are remembered for one provider; clients' own credentials are as many as there are clients.
const MAX_HOLDS: usize = 10_000;

/// Which credential: its place in the config, or the keyed hash of a client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gateway) enum Holder {
    Own(usize),
    Client(u128),
}

/// What a held credential is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Hold {
    pub until: Instant,
    /// A rate limit, or a provider that is not available.
    pub kind: ErrorKind,
    /// The HTTP status with which the provider said so.
    pub status: u16,
}

impl Hold {
    /// What is answered meanwhile. The provider's own words were about another job and are not repeated.
    pub fn error(&self, detail: &str, now: Instant) -> ApiError {
        let said = Said { status: self.status, ..Said::default() };
        let error = ApiError { detail: detail.to_owned(), ..ApiError::said(self.kind, said) };
        error.with_retry_after(Some(self.until.saturating_duration_since(now)))
    }
}

/// The holds of one provider.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Holds(Mutex<HashMap<Holder, Hold>>);

impl Holds {
    /// Holds a credential for as long as the provider's error says; a longer hold stays.
    pub fn hold(&self, holder: Holder, error: &ApiError, wait: Duration, now: Instant) {
        let (kind, status) = (error.kind, error.said.as_ref().map_or(error.status().as_u16(), |said| said.status));
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holds.len() >= MAX_HOLDS {
            holds.retain(|_, hold| hold.until > now);
        }
        if holds.len() < MAX_HOLDS || holds.contains_key(&holder) {
            let hold = holds.entry(holder).or_insert(Hold { until: now, kind, status });
            if now + wait > hold.until {
                *hold = Hold { until: now + wait, kind, status };
            }
        }
    }

    /// The hold that is on a credential now.
    pub fn on(&self, holder: Holder, now: Instant) -> Option<Hold> {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hold = *holds.get(&holder)?;
        if hold.until > now {
            return Some(hold);
        }
        holds.remove(&holder);
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
        holds.hold(holder, &ApiError::new(ErrorKind::RateLimited), 30 * second, Instant::now());
        holds.hold(holder, &ApiError::new(ErrorKind::UpstreamUnavailable), 2 * second, Instant::now());
        let hold = holds.on(holder, Instant::now()).unwrap();
        assert_eq!((hold.kind, hold.status, hold.until), (ErrorKind::RateLimited, 429, Instant::now() + 30 * second));
        assert!(!hold.error("", Instant::now()).is_ours(), "it is the provider who says no");
        assert_eq!(holds.on(Holder::Own(0), Instant::now()), None);
        tokio::time::advance(30 * second).await;
        assert_eq!(holds.on(holder, Instant::now()), None);
    }
}
