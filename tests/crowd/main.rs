//! Many clients at once, over real sockets, on loopback, bounded in count and time.
//!
//! Run with `--nocapture` to see the figures.

mod client;
mod many_jobs;
mod one_job;
mod provider;
mod slow_provider;
#[path = "../proxy/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::runtime::Runtime;

/// One crowd at a time: they would disturb each other's figures.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The value below which this share of the values lies.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or_default()
}
