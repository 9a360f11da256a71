//! Pingora's client side: one exchange with a provider, from a name to a whole reply.
//!
//! - [`Endpoint`]: an address with its names resolved in the background
//! - [`Client`]: the connection pool; sends a call, reads the reply within its limits, tries again where that is safe
//! - [`Download`]: a reply that is read as it comes
//! - [`Authenticator`]: a credential turned into headers, tokens and signatures included

mod attempt;
mod auth;
mod body;
mod client;
mod clock;
mod download;
mod endpoint;
mod fault;
mod google;
mod handshake;
mod idle;
mod jwt;
mod kling;
mod outgoing;
mod peer;
mod reach;
mod retry;
mod sigv4;
#[cfg(test)]
mod testing;
mod token;
mod trust;

pub use auth::{Authenticator, Header, Proof};
pub use client::Client;
pub use clock::unix_now;
pub use download::Download;
pub use endpoint::Endpoint;
pub use outgoing::{Limits, Outgoing};
pub use reach::Reach;
pub use sigv4::{AwsKey, Scope, encoded_path};
pub use trust::{Trust, TrustError};
