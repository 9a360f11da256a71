//! One address and one shape for every video-generation job.
//!
//! The folders are floors: each may use those below it and never those above.
//!
//! - [`server`]: the program around the gateway: listeners, passthrough, signals, logs
//! - [`sandbox`]: simulated providers on loopback
//! - [`gateway`]: the one flow, from a request for a video to its answer
//! - [`upstream`]: the exchange with a provider: names, connections, credentials, retries
//! - [`config`]: a YAML file turned into checked settings
//! - [`providers`]: one file per provider: pure translation
//! - [`video`]: the vocabulary: video object, id, status, errors

pub mod config;
pub mod gateway;
pub mod providers;
pub mod sandbox;
pub mod server;
pub mod upstream;
pub mod video;
