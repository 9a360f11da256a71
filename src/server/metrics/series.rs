//! The counters of one provider, found once and then only counted up: nothing is looked up for a good answer.

use super::Families;
use super::labels::{CACHE, Exchange, NONE, Name, Provider, Request, class};
use super::latency::Latency;
use crate::gateway::{Answered, Exchanged, Watch};
use crate::video::ErrorKind;
use prometheus_client::metrics::counter::Counter;
use std::sync::Arc;

/// Good answers have one of these.
const GOOD: [&str; 2] = ["2xx", "3xx"];

pub struct Series {
    families: Arc<Families>,
    provider: Name,
    /// Good answers by class and cache result; errors are looked up.
    good: Vec<[Counter; CACHE.len()]>,
    latency: Latency,
    exchange_latency: Latency,
    unknown_states: Counter,
}

impl Series {
    /// Those of a provider, or of the requests that name none.
    pub fn new(families: &Arc<Families>, provider: Option<&Arc<str>>) -> Series {
        let name = Name::of(provider);
        let label = Provider { provider: name.clone() };
        let counter = |status: &'static str, cache: &'static str| {
            let provider = name.clone();
            families.requests.get_or_create_owned(&Request { provider, status, error: NONE, cache })
        };
        // What can happen only at a provider is not shown for nobody.
        let good = if provider.is_some() { &GOOD[..] } else { &[] };
        let (exchange_latency, unknown_states) = match provider {
            Some(_) => (
                families.exchange_latency.get_or_create_owned(&label),
                families.unknown_states.get_or_create_owned(&label),
            ),
            None => Default::default(),
        };
        Series {
            good: good.iter().map(|status| CACHE.map(|cache| counter(status, cache))).collect(),
            latency: families.latency.get_or_create_owned(&label),
            exchange_latency,
            unknown_states,
            families: Arc::clone(families),
            provider: name,
        }
    }

    fn good(&self, status: &str, cache: usize) -> Option<&Counter> {
        let class = GOOD.iter().position(|good| *good == status)?;
        self.good.get(class)?.get(cache)
    }
}

impl Watch for Series {
    fn answered(&self, answered: &Answered) {
        let status = class(answered.status);
        let cache = answered.cache.and_then(|how| CACHE.iter().position(|known| *known == how));
        self.latency.observe(answered.took);
        if let Some(counter) = cache.and_then(|place| self.families.cache.get(place)) {
            counter.inc();
        }
        match (answered.error_kind, cache.and_then(|cache| self.good(status, cache))) {
            (None, Some(counter)) => _ = counter.inc(),
            (error, _) => {
                let cache = cache.and_then(|place| CACHE.get(place)).unwrap_or(&NONE);
                let error = error.inspect(|kind| self.families.refused(*kind)).map_or(NONE, ErrorKind::code);
                let label = Request { provider: self.provider.clone(), status, error, cache };
                self.families.requests.get_or_create(&label).inc();
            }
        }
    }

    fn exchanged(&self, exchanged: &Exchanged) {
        self.exchange_latency.observe(exchanged.took);
        let label = Exchange {
            provider: self.provider.clone(),
            status: class(exchanged.status.unwrap_or_default()),
            error: exchanged.error.map_or(NONE, ErrorKind::code),
        };
        self.families.exchanges.get_or_create(&label).inc();
    }

    fn unknown_state(&self) {
        self.unknown_states.inc();
    }
}
