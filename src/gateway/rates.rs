//! How often each client may ask.

use crate::config::{ClientRate, Rate};
use crate::video::{ApiError, ErrorKind};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Addresses that are counted at once, about 200 bytes each. Beyond, the one that asked longest ago is forgotten.
const MAX_ADDRESSES: u64 = 100_000;

/// A provider or a household has a network of 64 bits to choose addresses from: it counts as one client.
const NETWORK: u32 = 64;

/// A limiter of this rate, which may be used up at once.
pub(super) fn limiter(rate: &Rate) -> Option<DefaultDirectRateLimiter> {
    let burst = NonZeroU32::new(rate.count)?;
    let period = rate.per.checked_div(rate.count)?;
    Some(RateLimiter::direct(Quota::with_period(period)?.allow_burst(burst)))
}

/// Counts a request; the error says when the next one is free, and `whose` rate was used up.
pub(super) fn count(limiter: &DefaultDirectRateLimiter, whose: &str) -> Result<(), ApiError> {
    limiter.check().map_err(|until| {
        let wait = until.wait_time_from(DefaultClock::default().now());
        let detail = format!("This {whose} has used up its rate of requests.");
        ApiError::because(ErrorKind::ClientRateLimited, detail).with_retry_after(Some(wait))
    })
}

/// The rates of all addresses.
pub(super) struct Rates {
    addresses: Option<Addresses>,
    /// Polls that the cache answers are not counted.
    pub exempt_hits: bool,
}

struct Addresses {
    rate: Rate,
    seen: Cache<IpAddr, Arc<DefaultDirectRateLimiter>>,
}

impl Rates {
    pub fn new(settings: &ClientRate) -> Rates {
        // After the time of its rate an address has all of it again, and may as well be forgotten.
        let seen = |rate: &Rate| {
            let cache = Cache::builder().max_capacity(MAX_ADDRESSES).eviction_policy(EvictionPolicy::lru());
            cache.time_to_idle(rate.per).build()
        };
        let addresses = settings.per_address.map(|rate| Addresses { rate, seen: seen(&rate) });
        Rates { addresses, exempt_hits: settings.exempt_hits }
    }

    /// The rates of new settings. With an unchanged rate, addresses go on from where they were.
    pub fn renewed(&self, settings: &ClientRate) -> Rates {
        let same = self.addresses.as_ref().filter(|old| settings.per_address == Some(old.rate));
        let addresses = same.map(|old| Addresses { rate: old.rate, seen: old.seen.clone() });
        match addresses {
            Some(addresses) => Rates { addresses: Some(addresses), exempt_hits: settings.exempt_hits },
            None => Rates::new(settings),
        }
    }

    /// Whether the address of a client matters here.
    pub fn is_limited(&self) -> bool {
        self.addresses.is_some()
    }

    /// Counts a request of this address.
    pub fn count(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        let (Some(addresses), Some(address)) = (&self.addresses, address) else { return Ok(()) };
        let Some(fresh) = limiter(&addresses.rate) else { return Ok(()) };
        count(&addresses.seen.get_with(block(address), || Arc::new(fresh)), "address")
    }
}

/// What counts as one client.
fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> NETWORK << NETWORK).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let rate = Rate { count: 2, per: Duration::from_secs(3_600) };
        let rates = Rates::new(&ClientRate { per_address: Some(rate), exempt_hits: false });
        let is_let_in = |text: &str| rates.count(text.parse().ok()).is_ok();
        assert!(is_let_in("2001:db8::1") && is_let_in("2001:db8::2"));
        assert!(!is_let_in("2001:db8::ffff:3"));
        assert!(is_let_in("2001:db8:0:1::1"));
        assert!(is_let_in("10.0.0.1") && is_let_in("10.0.0.1") && is_let_in("10.0.0.2"));
        let error = rates.count("10.0.0.1".parse().ok()).unwrap_err();
        // One of two in an hour is free again after half an hour.
        assert_eq!(error.retry_after_seconds(), Some(1_800));
    }

    #[test]
    fn so_many_addresses_take_no_more_memory_than_is_set() {
        let rate = Rate { count: 1, per: Duration::from_secs(3_600) };
        let rates = Rates::new(&ClientRate { per_address: Some(rate), exempt_hits: false });
        for number in 0..MAX_ADDRESSES as u32 + 5_000 {
            assert!(rates.count(Some(std::net::Ipv4Addr::from_bits(number).into())).is_ok(), "{number}");
        }
        let seen = &rates.addresses.as_ref().unwrap().seen;
        seen.run_pending_tasks();
        assert!(seen.entry_count() <= MAX_ADDRESSES, "{}", seen.entry_count());
    }
}
