//! Where spans are sent, and of which requests.

use super::address::BaseAddress;
use super::headers;
use super::passthrough::base_address;
use super::pem::{self, TrustAnchors};
use super::secret::Secret;
use super::section::Section;
use super::tree::Value;
use http::HeaderName;

const EXAMPLE: &str = "http://127.0.0.1:4318";

/// What a collector adds to its address for traces (OTLP 1.x, "OTLP/HTTP Request").
const SIGNAL: &str = "/v1/traces";

/// A collector of spans, and what it gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Without `/v1/traces`.
    pub endpoint: BaseAddress,
    /// Sent with every batch; valid as they stand.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Certificates to trust besides the system's.
    pub ca_file: Option<TrustAnchors>,
    /// The share of the requests without a `traceparent` that get a trace, 0 to 1; default 0.1. The others follow theirs.
    pub sample: f64,
    /// What the spans say they are from; default `vidgate`.
    pub service_name: String,
}

/// Reads `traces`: null, or a mapping.
pub(super) fn read(root: &mut Section) -> Option<Traces> {
    root.optional("traces", |value| value.section(traces).flatten())
}

fn traces(section: &mut Section) -> Option<Traces> {
    let insecure = section.or("allow_insecure", false, Value::flag);
    let headers = headers::for_collector(section);
    let endpoint = section.required("endpoint", &format!("a collector such as {EXAMPLE}"), |value| {
        endpoint(value, insecure || headers.is_empty())
    });
    let ca_file = section.optional("ca_file", pem::trust_anchors);
    let sample = section.or("sample", 0.1, Value::share);
    let service_name = section.or("service_name", "vidgate".into(), Value::label);
    Some(Traces { endpoint: endpoint?, headers, ca_file, sample, service_name })
}

fn endpoint(value: &Value, may_be_insecure: bool) -> Option<BaseAddress> {
    let address = base_address(value, EXAMPLE)?;
    if address.path.ends_with(SIGNAL) {
        return value.wrong(&format!("an address without {SIGNAL}, which is added to it"));
    }
    if !address.tls && !address.is_loopback() && !may_be_insecure {
        value.fault("expected https://, found http:// to another machine; write allow_insecure: true to send `headers` in the clear");
    }
    Some(address)
}
