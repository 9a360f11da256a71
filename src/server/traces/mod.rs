//! Spans: one for each request and one for each call to a provider, sent to a collector as OTLP over HTTP, in JSON.
//!
//! A client's `traceparent` decides whether its request is traced; the settings decide for those without one. What is not
//! traced costs a look at that header and nothing more.
//!
//! Written here rather than with `opentelemetry-otlp`, since that is 13 crates more (with Pingora's client below it, 0.33)
//! for one struct turned into JSON: the SDK's queue does not say how much it drops, so a queue would be ours all the same.

mod exporter;
mod otlp;
mod queue;
mod record;
mod request;
mod watch;

pub(super) use exporter::Exporter;
pub(super) use request::Served;
pub(super) use watch::Observers;

use crate::config;
use crate::gateway::{Span, SpanId, TraceId};
use http::HeaderMap;
use prometheus_client::metrics::counter::Counter;
use queue::{Bell, Queue};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Which requests are traced, and where their spans are put.
pub(super) struct Traces {
    sample: f64,
    queue: Queue,
    bell: Bell,
}

/// The span of a request that is being served.
pub(super) struct Serving {
    pub span: Span,
    /// The client's.
    parent: Option<SpanId>,
    began: SystemTime,
    started: Instant,
}

impl Traces {
    /// Both ends: where spans are put, and what sends them. `dropped` counts those that never arrive.
    pub fn new(settings: &config::Traces, dropped: Counter) -> Result<(Arc<Traces>, Exporter), String> {
        let (queue, waiting) = queue::new(dropped);
        let (bell, rung) = queue::bell();
        let exporter = Exporter::new(settings, queue.clone(), waiting, rung)?;
        Ok((Arc::new(Traces { sample: settings.sample, queue, bell }), exporter))
    }

    /// Begins the span of a request, if it is traced.
    pub fn begin(&self, headers: &HeaderMap) -> Option<Serving> {
        let (span, parent) = match Span::of(headers) {
            Some(client) => (client.is_sampled.then(|| client.child())?, Some(client.id)),
            None => ((fastrand::f64() < self.sample).then(Span::root)?, None),
        };
        Some(Serving { span, parent, began: SystemTime::now(), started: Instant::now() })
    }

    /// The request is over.
    pub fn end(&self, serving: &Serving, served: &Served<'_>) {
        self.queue.put(request::record(serving, served));
    }

    /// Sends what waits, and returns when that is done or the time is up.
    pub fn flush(&self, within: Duration) {
        if !self.bell.ring(within) {
            tracing::warn!(spans = self.queue.waiting(), "spans were left behind: the collector took too long");
        }
    }
}

impl Serving {
    pub fn trace(&self) -> TraceId {
        self.span.trace
    }
}
