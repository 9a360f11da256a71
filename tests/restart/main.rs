//! Reloads, restarts and hand-overs while clients go on asking, over real sockets, on loopback.
//!
//! Run with `--nocapture` to see the figures.

mod certificates;
mod load;
mod reload;
mod restart;
#[path = "../proxy/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use support::{get, wait_until};

/// One at a time: they would disturb each other's figures.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `/status` says of the config.
fn config_facts(admin: SocketAddr) -> Value {
    get(admin, "/status").json()["config"].clone()
}

/// Waits until this many reloads have been made or refused.
#[track_caller]
fn wait_for(admin: SocketAddr, reloads: u64, failed: u64) {
    wait_until("the reloads are made", || {
        let facts = config_facts(admin);
        facts["reloads"] == reloads && facts["failed_reloads"] == failed
    });
}
