//! One YAML file turned into checked settings.
//!
//! Reading goes in four steps: the text becomes a tree (`yaml`), `${…}` in its strings is filled in
//! (`interpolate`), each part of the tree is read into its struct by a file of its own, and what was found
//! wrong on the way is handed back all at once ([`Faults`]). Nothing here knows how settings are used.

mod address;
mod client_auth;
mod content;
mod credentials;
mod environment;
mod faults;
mod google_key;
mod headers;
mod inbound;
mod interpolate;
mod listen;
mod passthrough;
mod pem;
mod providers;
mod secret;
mod section;
mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod traces;
mod tree;
mod units;
mod words;
mod yaml;

pub use address::BaseAddress;
pub use client_auth::{ClientAuth, ClientKey};
pub use content::{Breaker, Content, ContentMode, Poll};
pub use credentials::{Credential, Credentials};
pub use environment::{Environment, System};
pub use faults::{Fault, Faults};
pub use google_key::DEFAULT_TOKEN_URI;
pub use inbound::{ClientRate, Limits, Network};
pub use listen::{Listen, Tls};
pub use passthrough::{HealthCheck, Passthrough, Upstream};
pub use pem::TrustAnchors;
pub use providers::ProviderEntry;
pub use secret::Secret;
pub use settings::{BareIds, Log, LogFormat, PollCache, Reload, Settings};
pub use traces::Traces;
pub use units::Rate;
