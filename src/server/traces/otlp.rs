//! Spans in the JSON of OTLP (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>): ids are hexadecimal,
//! 64-bit numbers are strings, enumerations are numbers.

use super::record::{Attribute, Kind, Parent, Record, Value};
use crate::gateway::{SpanId, TraceId};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt::Display;
use std::time::UNIX_EPOCH;

/// Beside the flags of the `traceparent`: it is known whether the parent is remote, and it is.
const SAMPLED: u32 = 0x001;
const KNOWN_IF_REMOTE: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// `STATUS_CODE_ERROR`
const ERROR: u8 = 2;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<Pair<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Span<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    #[serde(serialize_with = "text")]
    trace_id: TraceId,
    #[serde(serialize_with = "text")]
    span_id: SpanId,
    #[serde(serialize_with = "some_text", skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    flags: u32,
    name: &'a str,
    kind: u8,
    #[serde(serialize_with = "text")]
    start_time_unix_nano: u128,
    #[serde(serialize_with = "text")]
    end_time_unix_nano: u128,
    attributes: Vec<Pair<'a>>,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

#[derive(Serialize)]
struct Pair<'a> {
    key: &'a str,
    value: Any<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Any<'a> {
    StringValue(&'a str),
    IntValue(#[serde(serialize_with = "text")] u64),
}

/// What a collector says of a batch.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Response {
    partial_success: Option<PartialSuccess>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct PartialSuccess {
    rejected_spans: serde_json::Value,
}

/// The body that carries these spans.
pub fn request(resource: &[Attribute], spans: &[Record]) -> Vec<u8> {
    let scope = Scope { name: "vidgate", version: env!("CARGO_PKG_VERSION") };
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes: resource.iter().map(Pair::from).collect() },
            scope_spans: [ScopeSpans { scope, spans: spans.iter().map(Span::from).collect() }],
        }],
    };
    serde_json::to_vec(&request).unwrap_or_default()
}

/// How many spans a collector did not take although it took the batch.
pub fn rejected(body: &[u8]) -> usize {
    let response: Response = serde_json::from_slice(body).unwrap_or_default();
    let rejected = response.partial_success.unwrap_or_default().rejected_spans;
    let number = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok());
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}

impl<'a> From<&'a Record> for Span<'a> {
    fn from(record: &'a Record) -> Span<'a> {
        let (parent_span_id, remote) = match record.parent {
            Parent::Nobody => (None, 0),
            Parent::Ours(id) => (Some(id), 0),
            Parent::Remote(id) => (Some(id), REMOTE),
        };
        let since = record.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        Span {
            trace_id: record.trace,
            span_id: record.id,
            parent_span_id,
            flags: SAMPLED | KNOWN_IF_REMOTE | remote,
            name: &record.name,
            kind: match record.kind {
                Kind::Server => 2,
                Kind::Client => 3,
            },
            start_time_unix_nano: since.as_nanos(),
            end_time_unix_nano: (since + record.took).as_nanos(),
            attributes: record.attributes.iter().map(Pair::from).collect(),
            status: Status { code: record.is_error.then_some(ERROR) },
        }
    }
}

impl<'a> From<&'a Attribute> for Pair<'a> {
    fn from((key, value): &'a Attribute) -> Pair<'a> {
        let value = match value {
            Value::Text(text) => Any::StringValue(text),
            Value::Word(word) => Any::StringValue(word),
            Value::Name(name) => Any::StringValue(name),
            Value::Number(number) => Any::IntValue(*number),
        };
        Pair { key, value }
    }
}

fn text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn some_text<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway;
    use serde_json::json;
    use std::time::Duration;

    /// What is written of a span with this parent.
    fn written(span: &gateway::Span, parent: Parent, kind: Kind, attributes: Vec<Attribute>) -> serde_json::Value {
        let record = Record {
            trace: span.trace,
            id: span.id,
            parent,
            kind,
            name: "GET /x".into(),
            began: UNIX_EPOCH + Duration::from_nanos(1_544_712_660_000_000_001),
            took: Duration::from_millis(2),
            is_error: matches!(kind, Kind::Client),
            attributes,
        };
        let body = request(&[("service.name", Value::Word("v"))], &[record]);
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn a_span_is_written_as_the_protocol_says() {
        let span = gateway::Span::root();
        let attributes = vec![
            ("url.path", Value::Text("/x".into())),
            ("url.scheme", Value::Word("http")),
            ("vidgate.provider", Value::Name("p".into())),
            ("http.response.status_code", Value::Number(200)),
        ];
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let want = json!({"resourceSpans": [{
            "resource": {"attributes": [text("service.name", "v")]},
            "scopeSpans": [{
                "scope": {"name": "vidgate", "version": env!("CARGO_PKG_VERSION")},
                "spans": [{
                    "traceId": span.trace.to_string(), "spanId": span.id.to_string(), "flags": 0x101,
                    "name": "GET /x", "kind": 2, "status": {},
                    "startTimeUnixNano": "1544712660000000001", "endTimeUnixNano": "1544712660002000001",
                    "attributes": [
                        text("url.path", "/x"), text("url.scheme", "http"), text("vidgate.provider", "p"),
                        {"key": "http.response.status_code", "value": {"intValue": "200"}},
                    ],
                }],
            }],
        }]});
        assert_eq!(written(&span, Parent::Nobody, Kind::Server, attributes), want);
    }

    #[test]
    fn a_span_says_whose_part_it_is() {
        let (span, parent) = (gateway::Span::root(), gateway::Span::root().id);
        for (whose, kind, flags, status) in [
            (Parent::Remote(parent), Kind::Server, 0x301, json!({})),
            (Parent::Ours(parent), Kind::Client, 0x101, json!({"code": 2})),
        ] {
            let body = written(&span, whose, kind, vec![]);
            let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
            assert_eq!(span["parentSpanId"], parent.to_string());
            assert_eq!((&span["flags"], &span["status"]), (&json!(flags), &status));
        }
    }

    #[test]
    fn a_collector_may_take_a_part_of_a_batch() {
        let table: &[(&str, usize)] = &[
            ("{}", 0),
            ("", 0),
            ("<html>", 0),
            (r#"{"partialSuccess":{}}"#, 0),
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":4}}"#, 4),
            (r#"{"partialSuccess":null}"#, 0),
        ];
        for (body, want) in table {
            assert_eq!(rejected(body.as_bytes()), *want, "{body}");
        }
    }
}
