//! Everything that can go wrong with a request, and what each is called from outside: one table.

use http::StatusCode;
use std::fmt;
use std::time::Duration;

/// A request that got no video object.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub kind: ErrorKind,
    /// What happened, in a sentence of ours (`{p}` for the provider); empty where the table's sentence says it all.
    pub detail: String,
    /// The part of the request that is at fault.
    pub param: Option<String>,
    /// What the provider said, when it is the provider who says no.
    pub said: Option<Box<Said>>,
    /// How long the client should wait before it asks again.
    pub retry_after: Option<Duration>,
}

/// A provider's own error, as far as it gave one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The HTTP status of its answer.
    pub status: u16,
    pub code: Option<String>,
    pub message: Option<String>,
    pub kind: Option<String>,
    pub param: Option<String>,
}

macro_rules! error_kinds {
    ($( $(#[$doc:meta])* $kind:ident => $status:literal, $code:literal, $type:literal, $whose:ident, $what:literal, $advice:literal; )+) => {
        /// What went wrong. The table below gives each its status, code, type and words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $( $(#[$doc])* $kind, )+ }

        impl ErrorKind {
            pub const ALL: &'static [ErrorKind] = &[ $( ErrorKind::$kind, )+ ];

            fn row(self) -> Row {
                match self { $( ErrorKind::$kind => Row {
                    status: $status, code: $code, kind: $type, whose: Whose::$whose, what: $what, advice: $advice,
                }, )+ }
            }
        }
    };
}

struct Row {
    status: u16,
    code: &'static str,
    kind: &'static str,
    whose: Whose,
    what: &'static str,
    advice: &'static str,
}

/// Who says no.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// We do, whatever a provider said.
    Ours,
    /// A provider does, where its words are at hand.
    Theirs,
}

// `{p}` stands for the configured name of the provider.
error_kinds! {
    InvalidVideoId => 400, "invalid_video_id", "invalid_request_error", Ours,
        "The video id is malformed.", "Ids have the form {job}:{provider}, for example video_abc123:openai.";
    UnknownProvider => 400, "unknown_provider", "invalid_request_error", Ours,
        "No provider of this name is configured.", "Use one of the configured names after the last colon of the id.";
    InvalidApiKey => 401, "invalid_api_key", "authentication_error", Ours,
        "The request carries no valid key.", "Send a valid key.";
    ProviderNotAllowed => 403, "provider_not_allowed", "permission_error", Ours,
        "This key may not use {p}.", "Ask the operator of this gateway to allow it.";
    VideoNotFound => 404, "video_not_found", "not_found_error", Theirs,
        "{p} does not know this job.", "Check the id, and that the job was made with the account whose credentials are used for {p}.";
    InvalidIndex => 400, "invalid_index", "invalid_request_error", Ours,
        "The job has no video with this index.", "Count from 0, up to one less than there are entries in videos.";
    InvalidVariant => 400, "invalid_variant", "invalid_request_error", Ours,
        "{p} has no such rendering of this video.", "Leave variant out for the video itself.";
    VideoNotReady => 409, "video_not_ready", "invalid_request_error", Ours,
        "The job has not finished, so there is no video yet.", "Ask for its state, and for the bytes once it is completed.";
    VideoFailed => 409, "video_failed", "invalid_request_error", Ours,
        "The job failed, so there is no video.", "Make a new job.";
    /// The result is gone, or the link to it, and the provider gives no better one.
    VideoExpired => 410, "video_expired", "not_found_error", Theirs,
        "The video can no longer be fetched from {p}.", "Fetch videos before expires_at; this one must be made again.";
    RangeNotSatisfiable => 416, "range_not_satisfiable", "invalid_request_error", Ours,
        "The video has no bytes in this range.", "Content-Range says how long it is.";
    RouteNotFound => 404, "route_not_found", "invalid_request_error", Ours,
        "There is nothing at this path.", "Videos are at GET /v1/videos/{job}:{provider}.";
    MethodNotAllowed => 405, "method_not_allowed", "invalid_request_error", Ours,
        "This path takes GET and HEAD only.", "Create, list and delete jobs at the provider.";
    /// The provider refuses the id as malformed; the code is the provider's.
    RefusedByProvider => 400, "invalid_video_id", "invalid_request_error", Theirs,
        "{p} refuses this request as malformed.", "Check the id.";
    RateLimited => 429, "rate_limit_exceeded", "rate_limit_error", Theirs,
        "{p} limits the rate of requests.", "Wait as long as Retry-After says, then ask again.";
    /// Our own limit on a client.
    ClientRateLimited => 429, "rate_limit_exceeded", "rate_limit_error", Ours,
        "This client has used up its rate of requests.", "Wait as long as Retry-After says, then ask again.";
    UpstreamAuthFailed => 502, "upstream_auth_failed", "upstream_error", Theirs,
        "{p} refuses the credentials that are configured for it.", "The operator of this gateway must correct them.";
    /// The client's own credentials, passed on, were refused; status and code are the provider's.
    ClientAuthRefused => 401, "invalid_api_key", "authentication_error", Theirs,
        "{p} refuses the credentials that came with the request.", "Send valid credentials of {p} in Authorization.";
    UpstreamAccountError => 502, "upstream_account_error", "upstream_error", Theirs,
        "The account at {p} is out of funds or locked.", "The operator of this gateway must settle it with {p}.";
    UpstreamError => 502, "upstream_error", "upstream_error", Theirs,
        "{p} failed to answer the query.", "This says nothing about the job; ask again.";
    UpstreamUnavailable => 503, "upstream_unavailable", "upstream_error", Theirs,
        "{p} is not available.", "This says nothing about the job; ask again after Retry-After.";
    Overloaded => 503, "overloaded", "overloaded_error", Ours,
        "The gateway is at its limit of requests.", "Ask again after Retry-After.";
    UpstreamUnreachable => 502, "upstream_unreachable", "upstream_error", Ours,
        "{p} could not be reached.", "This says nothing about the job; ask again.";
    UpstreamTimeout => 504, "upstream_timeout", "timeout_error", Ours,
        "{p} did not answer in time.", "This says nothing about the job; ask again.";
    UpstreamInvalidResponse => 502, "upstream_invalid_response", "upstream_error", Ours,
        "The answer of {p} is not what its API documents.", "This says nothing about the job; ask again.";
    /// A service behind the proxy, for requests that are passed through.
    ServiceUnreachable => 502, "upstream_unreachable", "upstream_error", Ours,
        "The service behind this path could not be reached.", "Ask again; if it stays, its operator must look at it.";
    ServiceTimeout => 504, "upstream_timeout", "timeout_error", Ours,
        "The service behind this path did not answer in time.", "Ask again; if it stays, its operator must look at it.";
    ServiceInvalidResponse => 502, "upstream_invalid_response", "upstream_error", Ours,
        "The service behind this path answered with something that is not HTTP.",
        "Ask again; if it stays, its operator must look at it.";
    ServiceUnavailable => 503, "upstream_unavailable", "upstream_error", Ours,
        "No upstream of the service behind this path is healthy.", "Ask again after Retry-After.";
    BadRequest => 400, "bad_request", "invalid_request_error", Ours,
        "The request is not valid HTTP.", "Check the client.";
    HeaderTooLarge => 431, "header_too_large", "invalid_request_error", Ours,
        "The request line and the headers are larger than this gateway accepts.", "Send fewer or shorter headers.";
    RequestTimeout => 408, "request_timeout", "invalid_request_error", Ours,
        "The request line and the headers took too long to arrive.", "Send them at once.";
    Internal => 500, "internal_error", "internal_error", Ours,
        "The gateway failed.", "This says nothing about the job; ask again. If it stays, report it with the request id.";
}

impl ErrorKind {
    /// The status that the table gives; [`ApiError::status`] is what is sent.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// The code that the table gives, also the label of metrics.
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The top-level `type`.
    pub fn kind(self) -> &'static str {
        self.row().kind
    }

    /// The provider's own code is the code of the error.
    fn relays_code(self) -> bool {
        matches!(self, ErrorKind::RefusedByProvider | ErrorKind::ClientAuthRefused)
    }
}

impl ApiError {
    pub fn new(kind: ErrorKind) -> Self {
        ApiError { kind, detail: String::new(), param: None, said: None, retry_after: None }
    }

    /// An error with a sentence of its own about what happened.
    pub fn because(kind: ErrorKind, detail: impl Into<String>) -> Self {
        ApiError { detail: detail.into(), ..ApiError::new(kind) }
    }

    /// An error that relays what a provider said.
    pub fn said(kind: ErrorKind, said: Said) -> Self {
        ApiError { said: Some(Box::new(said)), ..ApiError::new(kind) }
    }

    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait.or(self.retry_after);
        self
    }

    pub fn status(&self) -> StatusCode {
        let said_status = self.said.as_ref().map(|said| said.status);
        let status = match (self.kind, said_status) {
            (ErrorKind::ClientAuthRefused, Some(403)) => 403,
            _ => self.kind.status(),
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn code(&self) -> &str {
        let said = self.said.as_ref().and_then(|said| said.code.as_deref());
        match said {
            Some(code) if self.kind.relays_code() => code,
            _ => self.kind.code(),
        }
    }

    /// The provider's own type where it gives one.
    pub fn inner_type(&self) -> &str {
        self.said.as_ref().and_then(|said| said.kind.as_deref()).unwrap_or_else(|| self.kind.kind())
    }

    pub fn inner_param(&self) -> Option<&str> {
        let said = self.said.as_ref().and_then(|said| said.param.as_deref());
        said.or(self.param.as_deref())
    }

    /// Whether the proxy itself says no, rather than relaying what a provider said.
    pub fn is_ours(&self) -> bool {
        self.kind.row().whose == Whose::Ours || self.said.is_none()
    }

    /// The wait that a 429 or a 503 tells the client: whole seconds, rounded up, at least 1.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let status = self.status();
        if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        let wait = self.retry_after.unwrap_or_default();
        Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// What happened, who said it, and what to do.
    pub fn message(&self, provider: Option<&str>) -> String {
        let row = self.kind.row();
        let name = provider.unwrap_or("the provider");
        let what = if self.detail.is_empty() { row.what } else { &self.detail };
        let mut text = capitalised(&what.replace("{p}", name));
        if let Some(said) = &self.said {
            text.push_str(&format!(" It answered {}", said.status));
            match said.message.as_deref().filter(|message| !message.is_empty()) {
                Some(message) => text.push_str(&format!(": {}", ended(message))),
                None => text.push('.'),
            }
        }
        text.push(' ');
        text.push_str(&row.advice.replace("{p}", name));
        text
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(None))
    }
}

impl std::error::Error for ApiError {}

fn capitalised(text: &str) -> String {
    // Names of providers stay as they are written in the config.
    text.strip_prefix("the ").map_or_else(|| text.to_owned(), |rest| format!("The {rest}"))
}

fn ended(sentence: &str) -> String {
    let sentence = sentence.trim_end();
    let closed = sentence.ends_with(['.', '!', '?']);
    format!("{sentence}{}", if closed { "" } else { "." })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the documentation, line by line.
    #[test]
    fn every_kind_has_its_documented_status_code_and_type() {
        use ErrorKind::*;
        let table = [
            (InvalidVideoId, 400, "invalid_video_id", "invalid_request_error"),
            (UnknownProvider, 400, "unknown_provider", "invalid_request_error"),
            (InvalidApiKey, 401, "invalid_api_key", "authentication_error"),
            (ProviderNotAllowed, 403, "provider_not_allowed", "permission_error"),
            (VideoNotFound, 404, "video_not_found", "not_found_error"),
            (RouteNotFound, 404, "route_not_found", "invalid_request_error"),
            (MethodNotAllowed, 405, "method_not_allowed", "invalid_request_error"),
            (RefusedByProvider, 400, "invalid_video_id", "invalid_request_error"),
            (RateLimited, 429, "rate_limit_exceeded", "rate_limit_error"),
            (ClientRateLimited, 429, "rate_limit_exceeded", "rate_limit_error"),
            (UpstreamAuthFailed, 502, "upstream_auth_failed", "upstream_error"),
            (ClientAuthRefused, 401, "invalid_api_key", "authentication_error"),
            (UpstreamAccountError, 502, "upstream_account_error", "upstream_error"),
            (UpstreamError, 502, "upstream_error", "upstream_error"),
            (UpstreamUnavailable, 503, "upstream_unavailable", "upstream_error"),
            (Overloaded, 503, "overloaded", "overloaded_error"),
            (UpstreamUnreachable, 502, "upstream_unreachable", "upstream_error"),
            (UpstreamTimeout, 504, "upstream_timeout", "timeout_error"),
            (UpstreamInvalidResponse, 502, "upstream_invalid_response", "upstream_error"),
            (ServiceUnreachable, 502, "upstream_unreachable", "upstream_error"),
            (ServiceTimeout, 504, "upstream_timeout", "timeout_error"),
            (ServiceInvalidResponse, 502, "upstream_invalid_response", "upstream_error"),
            (ServiceUnavailable, 503, "upstream_unavailable", "upstream_error"),
            (BadRequest, 400, "bad_request", "invalid_request_error"),
            (HeaderTooLarge, 431, "header_too_large", "invalid_request_error"),
            (RequestTimeout, 408, "request_timeout", "invalid_request_error"),
            (InvalidIndex, 400, "invalid_index", "invalid_request_error"),
            (InvalidVariant, 400, "invalid_variant", "invalid_request_error"),
            (VideoNotReady, 409, "video_not_ready", "invalid_request_error"),
            (VideoFailed, 409, "video_failed", "invalid_request_error"),
            (VideoExpired, 410, "video_expired", "not_found_error"),
            (RangeNotSatisfiable, 416, "range_not_satisfiable", "invalid_request_error"),
            (Internal, 500, "internal_error", "internal_error"),
        ];
        assert_eq!(table.len(), ErrorKind::ALL.len());
        for (kind, status, code, kind_type) in table {
            let error = ApiError::new(kind);
            assert_eq!((error.status().as_u16(), error.code(), kind.kind()), (status, code, kind_type), "{kind:?}");
        }
    }

    #[test]
    fn a_message_says_what_happened_who_said_it_and_what_to_do() {
        let said = Said { status: 404, message: Some("Video with id 'x' not found".into()), ..Said::default() };
        let error = ApiError::said(ErrorKind::VideoNotFound, said);
        assert_eq!(
            error.message(Some("openai")),
            "openai does not know this job. It answered 404: Video with id 'x' not found. \
             Check the id, and that the job was made with the account whose credentials are used for openai."
        );
        assert!(!error.is_ours());
        assert!(ApiError::new(ErrorKind::Overloaded).is_ours());
    }

    #[test]
    fn retry_after_is_whole_seconds_rounded_up() {
        let table = [(None, 1), (Some(0), 1), (Some(1000), 1), (Some(1001), 2), (Some(32_000), 32)];
        for (millis, want) in table {
            let error = ApiError::new(ErrorKind::RateLimited).with_retry_after(millis.map(Duration::from_millis));
            assert_eq!(error.retry_after_seconds(), Some(want));
        }
        assert_eq!(ApiError::new(ErrorKind::UpstreamError).retry_after_seconds(), None);
    }
}
