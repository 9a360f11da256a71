//! The span of a request, by OpenTelemetry's conventions for HTTP servers
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).

use super::Serving;
use super::record::{Kind, Parent, Record, Value, known_method, plain_path};
use crate::server::access::Line;
use http::Version;
use std::sync::Arc;

/// What became of a request.
pub struct Served<'a> {
    pub line: &'a Line<'a>,
    pub version: Version,
    pub is_tls: bool,
    /// Why it broke off, if it did.
    pub fault: Option<&'a str>,
}

pub(super) fn record(serving: &Serving, served: &Served<'_>) -> Record {
    let Served { line, version, is_tls, fault } = served;
    let (method, answered) = (known_method(line.method), line.answered);
    let route = answered.and_then(|answered| answered.route);
    let mut attributes = vec![
        ("http.request.method", Value::Word(method.unwrap_or("_OTHER"))),
        ("url.path", Value::Text(plain_path(line.path))),
        ("url.scheme", Value::Word(if *is_tls { "https" } else { "http" })),
    ];
    let mut add = |name, value: Option<Value>| attributes.extend(value.map(|value| (name, value)));
    add("http.route", route.map(Value::Word));
    add("network.protocol.version", protocol(*version).map(Value::Word));
    add("client.address", line.client.map(|address| Value::Text(address.to_string())));
    add("http.response.status_code", (line.status > 0).then(|| Value::Number(line.status.into())));
    add("vidgate.provider", answered.and_then(|answered| answered.provider.as_ref().map(Arc::clone)).map(Value::Name));
    add("vidgate.cache", answered.and_then(|answered| answered.cache).map(Value::Word));
    add("vidgate.job_status", answered.and_then(|answered| answered.job_status).map(|job| Value::Word(job.as_str())));
    add("error.type", error(served, *fault));
    let name = method.unwrap_or("HTTP");
    Record {
        trace: serving.span.trace,
        id: serving.span.id,
        parent: serving.parent.map_or(Parent::Nobody, Parent::Remote),
        kind: Kind::Server,
        name: route.map_or_else(|| name.to_owned(), |route| format!("{name} {route}")),
        began: serving.began,
        took: serving.started.elapsed(),
        attributes,
        // What a client did wrong is no error of the server.
        is_error: line.status >= 500 || line.status == 0,
    }
}

/// The row of our table of errors, else what the status says. Words of providers are not for here.
fn error(served: &Served<'_>, fault: Option<&str>) -> Option<Value> {
    let line = served.line;
    let kind = line.answered.and_then(|answered| answered.error_kind);
    match (kind, line.status) {
        (Some(kind), _) => Some(Value::Word(kind.code())),
        (None, 0) => Some(Value::Text(fault.unwrap_or("no_answer").to_owned())),
        (None, 500..) => Some(Value::Text(line.status.to_string())),
        (None, _) => None,
    }
}

fn protocol(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}
