//! One address and one shape for every video-generation job.
//!
//! `GET /v1/videos/{job}:{provider}` is answered with one normalized video object, whichever provider runs the job. The
//! program `vidgate` does that with a config file. Someone who has a [Pingora](pingora) service already calls
//! [`Gateway::intercept`](gateway::Gateway::intercept) from its `request_filter` instead:
//!
//! ```no_run
//! use pingora::proxy::Session;
//! use vidgate::config::Settings;
//! use vidgate::gateway::{Gateway, Outcome};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::parse("providers: {openai: {credentials: {api_key: \"${OPENAI_API_KEY}\"}}}")?;
//! // One for the process, in an `Arc` beside the rest of the service.
//! let videos = Gateway::new(&settings)?;
//! # Ok(())
//! # }
//!
//! // In `ProxyHttp::request_filter`; `true` means that the answer has been written.
//! async fn request_filter(videos: &Gateway, session: &mut Session) -> pingora::Result<bool> {
//!     match videos.intercept(session).await? {
//!         Outcome::Answered(answered) => {
//!             println!("{} in {:?} by {:?}", answered.status, answered.upstream, answered.provider);
//!             Ok(true)
//!         }
//!         // Nothing was read or written: the request goes on to where it always went.
//!         Outcome::NotOurs(_) => Ok(false),
//!     }
//! }
//! ```
//!
//! `examples/embed.rs` is a whole service of that sort.
//!
//! # The house
//!
//! The folders are floors: each may use those below it and never those above.
//!
//! - [`server`]: the program around the gateway: listeners, passthrough, signals, logs, metrics, traces
//! - [`sandbox`]: simulated providers on loopback
//! - [`gateway`]: the one flow, from a request for a video to its answer
//! - [`upstream`]: the exchange with a provider: names, connections, credentials, retries
//! - [`config`]: a YAML file turned into checked settings
//! - [`providers`]: one file per provider: pure translation
//! - [`video`]: the vocabulary: video object, id, status, errors

#![forbid(unsafe_code)]
// What may panic or print has no place outside tests; clippy.toml lets tests do it. Here rather than in Cargo.toml,
// where it would hold for the helpers in tests/ too.
#![deny(
    clippy::dbg_macro,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub mod config;
pub mod gateway;
pub mod providers;
pub mod sandbox;
pub mod server;
pub mod upstream;
pub mod video;
