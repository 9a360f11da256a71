//! What the gateway tells, passed on to those who count and to those who trace.

use super::Traces;
use super::queue::Queue;
use super::record::{Kind, Parent, Record, Value, known_method, plain_path};
use crate::gateway::{Answered, Called, Exchanged, Observer, Watch};
use crate::server::metrics::Metrics;
use crate::video::ErrorKind;
use std::sync::Arc;

/// The metrics, and where they are on, the traces.
pub struct Observers {
    pub metrics: Arc<Metrics>,
    pub traces: Option<Arc<Traces>>,
}

/// Counts and traces what happens at one provider.
struct Both {
    counts: Arc<dyn Watch>,
    provider: Arc<str>,
    queue: Queue,
}

impl Observer for Observers {
    fn watch(&self, provider: Option<&Arc<str>>) -> Arc<dyn Watch> {
        let counts = self.metrics.watch(provider);
        match (&self.traces, provider) {
            (Some(traces), Some(provider)) => {
                Arc::new(Both { counts, provider: Arc::clone(provider), queue: traces.queue.clone() })
            }
            _ => counts,
        }
    }
}

impl Watch for Both {
    fn answered(&self, answered: &Answered) {
        self.counts.answered(answered);
    }

    fn exchanged(&self, exchanged: &Exchanged) {
        self.counts.exchanged(exchanged);
    }

    fn called(&self, called: &Called<'_>) {
        self.queue.put(record(called, &self.provider));
    }

    fn unknown_state(&self) {
        self.counts.unknown_state();
    }
}

/// By OpenTelemetry's conventions for HTTP clients (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
fn record(called: &Called<'_>, provider: &Arc<str>) -> Record {
    let (address, method) = (called.address, known_method(called.method));
    let scheme = if address.tls { "https" } else { "http" };
    let url = format!("{scheme}://{}{}", address.authority(), plain_path(called.path));
    let mut attributes = vec![
        ("http.request.method", Value::Word(method.unwrap_or("_OTHER"))),
        ("server.address", Value::Text(address.host.clone())),
        ("server.port", Value::Number(address.port.into())),
        ("url.full", Value::Text(url)),
        ("vidgate.provider", Value::Name(Arc::clone(provider))),
    ];
    let refusal = called.status.filter(|status| *status >= 400);
    let error = match called.error {
        Some(kind) => Some(Value::Word(ErrorKind::code(kind))),
        None => refusal.map(|status| Value::Text(status.to_string())),
    };
    let is_error = error.is_some();
    let mut add = |name, value: Option<Value>| attributes.extend(value.map(|value| (name, value)));
    add("http.response.status_code", called.status.map(|status| Value::Number(status.into())));
    add("http.request.resend_count", (called.resent > 0).then(|| Value::Number(called.resent.into())));
    add("error.type", error);
    Record {
        trace: called.span.trace,
        id: called.span.id,
        parent: Parent::Ours(called.parent),
        kind: Kind::Client,
        name: method.unwrap_or("HTTP").to_owned(),
        began: called.began,
        took: called.took,
        attributes,
        is_error,
    }
}
