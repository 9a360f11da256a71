//! The simulated providers, on a runtime of their own, and a config that points at them.

use std::fmt::Write;
use tokio::runtime::Runtime;
use vidgate::sandbox::{KINDS, Options, Pace, Sandbox};

/// All kinds of the sandbox.
pub struct Providers {
    pub sandbox: Sandbox,
    _runtime: Runtime,
}

impl Providers {
    /// Jobs that have ended at their first poll.
    pub fn instant() -> Providers {
        Providers::start(Pace::INSTANT)
    }

    pub fn start(pace: Pace) -> Providers {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options = Options { pace, ..Options::default() };
        let sandbox = runtime.block_on(Sandbox::start(options)).unwrap();
        Providers { sandbox, _runtime: runtime }
    }

    /// The `providers` section for every kind; `more` is added to each entry (`retries: 0, timeout: 2s`).
    pub fn config(&self, more: &str) -> String {
        let mut text = String::from("providers:\n");
        let more = if more.is_empty() { String::new() } else { format!(", {more}") };
        for kind in KINDS {
            let key = if kind.name == "vertex" { "access_token" } else { "api_key" };
            let base = self.sandbox.base_url(kind.name);
            writeln!(text, "  {}: {{base_url: \"{base}\", credentials: {{{key}: test-key-123}}{more}}}", kind.name)
                .unwrap();
        }
        text
    }
}
