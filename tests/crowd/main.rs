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

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// One crowd at a time: they would disturb each other's figures.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// How late this machine is with everything: the worst delay of a timer while the crowd is there. What a test demands
/// of the proxy's punctuality is stretched by it, so that a busy machine does not look like a slow proxy.
struct Lateness(Arc<AtomicU64>);

impl Lateness {
    /// Call it inside the runtime.
    fn watch() -> Lateness {
        const BEAT: Duration = Duration::from_millis(20);
        let worst = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&worst);
        tokio::spawn(async move {
            loop {
                let due = Instant::now() + BEAT;
                tokio::time::sleep(BEAT).await;
                seen.fetch_max(due.elapsed().as_millis() as u64, Ordering::Relaxed);
            }
        });
        Lateness(worst)
    }

    /// In seconds.
    fn worst(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1000.0
    }
}

/// The value below which this share of the values lies.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or_default()
}
