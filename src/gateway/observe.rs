//! What a gateway tells those who count: one call for each answer and one for each exchange.
//!
//! The gateway keeps no numbers for dashboards itself: a library must not write to a registry that nobody gave it.

use super::Answered;
use crate::video::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// Hands out a [`Watch`] for each provider when a gateway is made, so that nothing is looked up for a request.
///
/// It may outlive the gateway: one that is made later from changed settings asks again, by the same names.
pub trait Observer: Send + Sync {
    /// `None` stands for the requests that name no configured provider.
    fn watch(&self, provider: Option<&Arc<str>>) -> Arc<dyn Watch>;
}

/// Is told what happens at one provider. It is called while a request waits, so it must be quick.
pub trait Watch: Send + Sync {
    /// A request has its answer, which is about to be written.
    fn answered(&self, _answered: &Answered) {}

    /// The provider was asked.
    fn exchanged(&self, _exchanged: &Exchanged) {}

    /// The provider said a state that nobody knows.
    fn unknown_state(&self) {}
}

/// How an exchange went, retries and second calls included.
#[derive(Debug, Clone, Copy)]
pub struct Exchanged {
    /// Of the provider's last answer, where there was one.
    pub status: Option<u16>,
    pub error: Option<ErrorKind>,
    pub took: Duration,
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn watch(&self, _provider: Option<&Arc<str>>) -> Arc<dyn Watch> {
        Arc::new(Unobserved)
    }
}

impl Watch for Unobserved {}
