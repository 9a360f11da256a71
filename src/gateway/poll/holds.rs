//! Credentials that a provider has asked not to use for a while.

use crate::video::ErrorKind;
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
}

/// The holds of one provider.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Holds(Mutex<HashMap<Holder, Hold>>);

impl Holds {
    /// Holds a credential; a longer hold stays.
    pub fn hold(&self, holder: Holder, kind: ErrorKind, wait: Duration, now: Instant) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holds.len() >= MAX_HOLDS {
            holds.retain(|_, hold| hold.until > now);
        }
        if holds.len() < MAX_HOLDS || holds.contains_key(&holder) {
            let hold = holds.entry(holder).or_insert(Hold { until: now, kind });
            if now + wait > hold.until {
                *hold = Hold { until: now + wait, kind };
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
        holds.hold(holder, ErrorKind::RateLimited, 30 * second, Instant::now());
        holds.hold(holder, ErrorKind::UpstreamUnavailable, 2 * second, Instant::now());
        let hold = holds.on(holder, Instant::now()).unwrap();
        assert_eq!((hold.kind, hold.until), (ErrorKind::RateLimited, Instant::now() + 30 * second));
        assert_eq!(holds.on(Holder::Own(0), Instant::now()), None);
        tokio::time::advance(30 * second).await;
        assert_eq!(holds.on(holder, Instant::now()), None);
    }
}
