//! Pingora's client side: one exchange with a provider, from a name to a whole reply.
//!
//! - [`Endpoint`]: an address with its names resolved in the background
//! - [`Client`]: the connection pool; sends a call, reads the reply within its limits, tries again where that is safe
//! - [`Authenticator`]: a credential turned into headers, tokens included

mod attempt;
mod auth;
mod body;
mod client;
mod endpoint;
mod fault;
mod google;
mod handshake;
mod jwt;
mod kling;
mod outgoing;
mod retry;
#[cfg(test)]
mod testing;
mod token;
mod trust;

pub use auth::{Authenticator, Header};
pub use client::Client;
pub use endpoint::Endpoint;
pub use outgoing::{Limits, Outgoing};
pub use trust::{Trust, TrustError};
