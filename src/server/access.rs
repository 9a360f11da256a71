//! One log line per request. It holds no query string, no header and no secret.

use crate::gateway::Answered;
use http::Method;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

/// What became of a request, for its line.
pub(super) struct Line<'a> {
    pub method: &'a Method,
    /// Without its query.
    pub path: &'a str,
    pub status: u16,
    pub took: Duration,
    /// What was sent of the body.
    pub sent: usize,
    /// The client's own, where it gave one.
    pub request_id: Option<&'a str>,
    /// The client's own, or the one that was begun for it.
    pub trace_id: Option<Cow<'a, str>>,
    /// The name of the client's key.
    pub key: Option<&'a str>,
    /// Its address, as far as it is known.
    pub client: Option<IpAddr>,
    /// What the gateway says, when it was the one who answered.
    pub answered: Option<&'a Answered>,
}

impl Line<'_> {
    pub fn write(&self) {
        let answered = self.answered;
        tracing::info!(
            target: "vidgate::access",
            method = self.method.as_str(),
            path = self.path,
            status = self.status,
            client = self.client.map(tracing::field::display),
            took_ms = millis(self.took),
            request_id = answered.map_or(self.request_id, |a| Some(a.request_id.as_str())),
            trace_id = self.trace_id.as_deref(),
            provider = answered.and_then(|a| a.provider.as_deref()),
            key = answered.and_then(|a| a.key.as_deref()).or(self.key),
            job = answered.and_then(|a| a.job_status).map(|status| status.as_str()),
            cache = answered.and_then(|a| a.cache),
            upstream_status = answered.and_then(|a| a.upstream_status),
            upstream_ms = answered.and_then(|a| a.upstream).map(millis),
            bytes = self.sent,
            error = answered.and_then(|a| a.error.as_deref()),
            "request"
        );
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
