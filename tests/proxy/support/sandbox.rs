//! The simulated providers, on a runtime of their own, and a config that points at them.

use std::fmt::Write;
use tokio::runtime::Runtime;
use vidgate::sandbox::{AWS_USER, KINDS, Options, Pace, Sandbox};

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
        entries(|kind| self.sandbox.base_url(kind), "test-key-123", |_| more.to_owned())
    }

    /// The same for fetching videos, each kind's cloud storage included.
    pub fn config_for_content(&self) -> String {
        let credentials = |kind: &str| match kind {
            // What Bedrock writes into S3 is opened by a key pair only.
            "bedrock" => format!("{{access_key_id: {}, secret_access_key: \"{}\"}}", AWS_USER.id, AWS_USER.secret),
            _ => one_key(kind, "test-key-123"),
        };
        let content = |kind: &str| format!("content: {{storage_url: \"{}\"}}", self.sandbox.storage_url(kind));
        section(|kind| self.sandbox.base_url(kind), credentials, content)
    }
}

/// A `providers` section with an entry for every kind: at the address that `base_url` gives it, with this key, and with
/// what `more` says for it (`retries: 0`).
pub fn entries(base_url: impl Fn(&str) -> String, key: &str, more: impl Fn(&str) -> String) -> String {
    section(base_url, |kind| one_key(kind, key), more)
}

fn one_key(kind: &str, key: &str) -> String {
    let form = if kind == "vertex" { "access_token" } else { "api_key" };
    format!("{{{form}: {key}}}")
}

fn section(
    base_url: impl Fn(&str) -> String,
    credentials: impl Fn(&str) -> String,
    more: impl Fn(&str) -> String,
) -> String {
    let mut text = String::from("providers:\n");
    for kind in KINDS {
        let (name, base, mut more) = (kind.name, base_url(kind.name), more(kind.name));
        if !more.is_empty() {
            more.insert_str(0, ", ");
        }
        writeln!(text, "  {name}: {{base_url: \"{base}\", credentials: {}{more}}}", credentials(name)).unwrap();
    }
    text
}
