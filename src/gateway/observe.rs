//! What a gateway tells those who count and trace: one word for each answer, each exchange and each call of it.
//!
//! The gateway keeps no numbers for dashboards itself and sends no spans: a library must not write to a registry or to a
//! collector that nobody gave it.

use super::Answered;
use super::trace::{Span, SpanId};
use crate::config::BaseAddress;
use crate::upstream::Outgoing;
use crate::video::ErrorKind;
use http::Method;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

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

    /// A call to the provider is over that belongs to a trace which is kept.
    fn called(&self, _called: &Called<'_>) {}

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

/// One call of an exchange, sent again or not.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// The span that the provider was told.
    pub span: &'a Span,
    /// The one that it happened in: that of the request which caused it.
    pub parent: SpanId,
    pub method: &'a Method,
    pub address: &'a BaseAddress,
    /// The whole path, that of the address included. It may have a query.
    pub path: &'a str,
    /// Of the provider's answer, where there was one.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<ErrorKind>,
    /// How often it was sent again.
    pub resent: u32,
    pub began: SystemTime,
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

/// A call that is under way, within the span of the request that caused it.
pub(super) struct Calling<'a> {
    pub parent: Option<&'a Span>,
    pub span: Option<&'a Span>,
    pub began: Instant,
}

impl Calling<'_> {
    /// Tells that it is over, where its trace is kept.
    pub fn is_over(
        &self,
        watch: &dyn Watch,
        outgoing: &Outgoing<'_>,
        address: &BaseAddress,
        result: Result<u16, ErrorKind>,
        resent: u32,
    ) {
        let (Some(parent), Some(span)) = (self.parent, self.span.filter(|span| span.is_sampled)) else { return };
        let took = self.began.elapsed();
        watch.called(&Called {
            span,
            parent: parent.id,
            method: &outgoing.method,
            address,
            path: outgoing.path,
            status: result.ok(),
            error: result.err(),
            resent,
            began: SystemTime::now() - took,
            took,
        });
    }
}
