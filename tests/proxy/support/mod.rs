//! What the tests share: the program in a process of its own, a plain client, scripted upstreams, the sandbox.

mod client;
mod proxy;
mod sandbox;
mod upstream;

pub use client::{Client, Response, get, send};
pub use proxy::{Proxy, run, temporary};
pub use sandbox::{Providers, entries};
pub use upstream::{Request, Upstream};

use std::time::{Duration, Instant};

/// How long a condition may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A name that no resolver has to be asked for: its first label is longer than names allow.
pub const UNRESOLVABLE: &str = "a-name-with-a-label-of-more-than-sixty-three-characters-is-no-name.invalid";

/// Waits until a condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
