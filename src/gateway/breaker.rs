//! A circuit breaker: a provider that keeps failing is left alone for a while.

use crate::config::Breaker as Settings;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The window is counted in this many parts; the oldest part falls out whole.
const PARTS: u32 = 10;

/// One breaker per provider entry.
pub(super) struct Breaker {
    settings: Option<Settings>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Failures since the last success, of exchanges that began after it.
    in_a_row: u32,
    last_good: Option<Instant>,
    parts: VecDeque<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    /// One probe is under way.
    HalfOpen {
        since: Instant,
    },
}

#[derive(Debug)]
struct Part {
    start: Instant,
    good: u32,
    bad: u32,
}

/// What the breaker says before an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// Not now; ask again after this.
    Wait(Duration),
}

impl Breaker {
    /// Without settings it never opens.
    pub fn new(settings: Option<Settings>) -> Breaker {
        Breaker { settings, state: Mutex::new(State::closed()) }
    }

    /// Asks to make an exchange. After an open phase, one caller is let through to probe.
    pub fn ask(&self, now: Instant) -> Verdict {
        let Some(settings) = &self.settings else { return Verdict::Go };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.phase {
            Phase::Closed => Verdict::Go,
            Phase::Open { until } if now < until => Verdict::Wait(until - now),
            // A probe that never reported back must not keep the breaker half open.
            Phase::HalfOpen { since } if now < since + settings.open_for => {
                Verdict::Wait(since + settings.open_for - now)
            }
            Phase::Open { .. } | Phase::HalfOpen { .. } => {
                state.phase = Phase::HalfOpen { since: now };
                Verdict::Go
            }
        }
    }

    /// Tells how an exchange went that began at `began`.
    pub fn tell(&self, began: Instant, now: Instant, good: bool) {
        let Some(settings) = &self.settings else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count(settings, began, now, good);
        let opens = match state.phase {
            Phase::HalfOpen { .. } => !good,
            Phase::Closed => state.is_over(settings),
            // Late answers of exchanges that began before it opened.
            Phase::Open { .. } => return,
        };
        if opens {
            state.phase = Phase::Open { until: now + settings.open_for };
        } else if good && state.phase != Phase::Closed {
            *state = State { last_good: Some(now), ..State::closed() };
        }
    }

    /// `closed`, `open` or `half_open`, for the operator.
    pub fn shown(&self, now: Instant) -> &'static str {
        match self.state.lock().unwrap_or_else(PoisonError::into_inner).phase {
            Phase::Closed => "closed",
            Phase::Open { until } if now < until => "open",
            Phase::Open { .. } | Phase::HalfOpen { .. } => "half_open",
        }
    }
}

impl State {
    fn closed() -> State {
        State { phase: Phase::Closed, in_a_row: 0, last_good: None, parts: VecDeque::new() }
    }

    fn count(&mut self, settings: &Settings, began: Instant, now: Instant, good: bool) {
        if good {
            (self.in_a_row, self.last_good) = (0, Some(now));
        } else if self.last_good.is_none_or(|last| began >= last) {
            // Calls that hang from one moment on all run out together; the provider may have answered well since.
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        self.parts.retain(|part| now < part.start + settings.window);
        let length = settings.window / PARTS;
        if self.parts.back().is_none_or(|part| now >= part.start + length) {
            self.parts.push_back(Part { start: now, good: 0, bad: 0 });
        }
        if let Some(part) = self.parts.back_mut() {
            let count = if good { &mut part.good } else { &mut part.bad };
            *count = count.saturating_add(1);
        }
    }

    /// Too many failures in a row, or too large a share of enough exchanges.
    fn is_over(&self, settings: &Settings) -> bool {
        let good: u32 = self.parts.iter().map(|part| part.good).sum();
        let bad: u32 = self.parts.iter().map(|part| part.bad).sum();
        let enough = bad >= settings.failures && good.saturating_add(bad) >= settings.failures.saturating_mul(2);
        let share = f64::from(bad) / f64::from(good.saturating_add(bad).max(1));
        self.in_a_row >= settings.failures || (enough && share >= settings.ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Some(Settings {
            failures: 5,
            window: Duration::from_secs(10),
            ratio: 0.5,
            open_for: Duration::from_secs(10),
        }))
    }

    /// An exchange that took no time.
    fn tell(breaker: &Breaker, good: bool) {
        breaker.tell(Instant::now(), Instant::now(), good);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_hung_before_the_last_good_one_are_not_failures_in_a_row() {
        let (breaker, began) = (breaker(), Instant::now());
        tokio::time::advance(Duration::from_secs(2)).await;
        (0..100).for_each(|_| tell(&breaker, true));
        (0..50).for_each(|_| breaker.tell(began, Instant::now(), false));
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go);
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_on_failures_in_a_row_and_closes_after_a_good_probe() {
        let breaker = breaker();
        for _ in 0..5 {
            assert_eq!(breaker.ask(Instant::now()), Verdict::Go);
            tell(&breaker, false);
        }
        assert_eq!(breaker.ask(Instant::now()), Verdict::Wait(Duration::from_secs(10)));
        assert_eq!(breaker.shown(Instant::now()), "open");

        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go);
        assert!(matches!(breaker.ask(Instant::now()), Verdict::Wait(_)), "only one probe at a time");
        tell(&breaker, false);
        assert!(matches!(breaker.ask(Instant::now()), Verdict::Wait(_)));

        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go);
        tell(&breaker, true);
        assert_eq!(breaker.shown(Instant::now()), "closed");
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go);
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_on_a_share_of_failures_within_the_window_only() {
        let breaker = breaker();
        for _ in 0..4 {
            tell(&breaker, false);
            tell(&breaker, true);
        }
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go, "eight exchanges are not enough to judge");
        tokio::time::advance(Duration::from_secs(11)).await;
        tell(&breaker, false);
        tell(&breaker, true);
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go, "the old ones have fallen out");
        for _ in 0..4 {
            tell(&breaker, true);
            tell(&breaker, false);
        }
        assert!(matches!(breaker.ask(Instant::now()), Verdict::Wait(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_never_reports_does_not_block_for_ever() {
        let breaker = breaker();
        (0..5).for_each(|_| tell(&breaker, false));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go);
    }

    #[test]
    fn without_settings_it_never_opens() {
        let breaker = Breaker::new(None);
        (0..100).for_each(|_| tell(&breaker, false));
        assert_eq!(breaker.ask(Instant::now()), Verdict::Go);
    }
}
