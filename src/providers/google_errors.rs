//! Errors of Google's APIs over HTTP: whose fault a refusal is, and how long to wait.

use super::Reply;
use super::dialect::{failure, failure_of_kind, said, wait};
use super::wire::{Maybe, Number, Text};
use crate::video::{ApiError, ErrorKind};
use serde::Deserialize;
use std::time::Duration;

/// Reasons in an error's details that are about the caller's credentials or account, whatever the job:
/// <https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto>.
const REASONS: &[(&str, ErrorKind)] = &[
    ("API_KEY_INVALID", ErrorKind::UpstreamAuthFailed),
    ("API_KEY_SERVICE_BLOCKED", ErrorKind::UpstreamAuthFailed),
    ("API_KEY_HTTP_REFERRER_BLOCKED", ErrorKind::UpstreamAuthFailed),
    ("API_KEY_IP_ADDRESS_BLOCKED", ErrorKind::UpstreamAuthFailed),
    ("API_KEY_ANDROID_APP_BLOCKED", ErrorKind::UpstreamAuthFailed),
    ("API_KEY_IOS_APP_BLOCKED", ErrorKind::UpstreamAuthFailed),
    ("ACCESS_TOKEN_EXPIRED", ErrorKind::UpstreamAuthFailed),
    ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", ErrorKind::UpstreamAuthFailed),
    ("ACCESS_TOKEN_TYPE_UNSUPPORTED", ErrorKind::UpstreamAuthFailed),
    ("ACCOUNT_STATE_INVALID", ErrorKind::UpstreamAuthFailed),
    ("CREDENTIALS_MISSING", ErrorKind::UpstreamAuthFailed),
    ("CONSUMER_INVALID", ErrorKind::UpstreamAuthFailed),
    ("SERVICE_DISABLED", ErrorKind::UpstreamAuthFailed),
    ("USER_PROJECT_DENIED", ErrorKind::UpstreamAuthFailed),
    ("SECURITY_POLICY_VIOLATED", ErrorKind::UpstreamAuthFailed),
    ("BILLING_DISABLED", ErrorKind::UpstreamAccountError),
    ("CONSUMER_SUSPENDED", ErrorKind::UpstreamAccountError),
    ("GCP_SUSPENDED", ErrorKind::UpstreamAccountError),
];

/// The same by the words of the message, in lower case, for answers without details:
/// <https://ai.google.dev/gemini-api/docs/troubleshooting>.
const TEXTS: &[(&[u16], &str, ErrorKind)] = &[
    (&[400, 403], "api key not valid", ErrorKind::UpstreamAuthFailed),
    (&[400, 403], "api key expired", ErrorKind::UpstreamAuthFailed),
    (&[400, 403], "api key not found", ErrorKind::UpstreamAuthFailed),
    (&[400, 403], "reported as leaked", ErrorKind::UpstreamAuthFailed),
    (&[403], "unregistered callers", ErrorKind::UpstreamAuthFailed),
    (&[403], "established identity", ErrorKind::UpstreamAuthFailed),
    (&[400, 403], "enable billing", ErrorKind::UpstreamAccountError),
    (&[429], "credits are depleted", ErrorKind::UpstreamAccountError),
];

/// `{"error":{"code","message","status","details"}}`: <https://cloud.google.com/apis/design/errors>. `forbidden` is what a
/// 403 means that is not about the caller's credentials or account.
pub fn http_error(reply: &Reply, forbidden: ErrorKind) -> ApiError {
    let said = said(reply);
    let details = details(reply);
    let by_reason = || details.iter().find_map(|detail| known_reason(detail.reason.as_deref()?));
    let by_text = || said.message.as_deref().and_then(|message| known_text(said.status, message));
    let known = if reply.status.is_client_error() { by_reason().or_else(by_text) } else { None };
    let known = known.or((said.status == 403).then_some(forbidden));
    let error = match known {
        Some(kind) => failure_of_kind(kind, reply, said),
        None => failure(reply, said),
    };
    let header = error.retry_after;
    error.with_retry_after(header.or_else(|| details.iter().find_map(Detail::wait)))
}

/// `ErrorInfo` and `RetryInfo` in one: <https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto>.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Detail<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    retry_delay: Text<'a>,
}

impl Detail<'_> {
    /// A protobuf duration: `32s`, `1.5s`.
    fn wait(&self) -> Option<Duration> {
        let seconds = self.retry_delay.as_deref()?.trim().strip_suffix('s')?;
        wait(Number(seconds.parse().ok()))
    }
}

fn details(reply: &Reply) -> Vec<Detail<'_>> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Body<'a> {
        #[serde(borrow)]
        error: Maybe<Inner<'a>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Inner<'a> {
        #[serde(borrow)]
        details: Maybe<Vec<Maybe<Detail<'a>>>>,
    }
    let body: Body<'_> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let details = body.error.0.and_then(|error| error.details.0).unwrap_or_default();
    details.into_iter().filter_map(|detail| detail.0).collect()
}

fn known_reason(reason: &str) -> Option<ErrorKind> {
    REASONS.iter().find(|(known, _)| *known == reason).map(|(_, kind)| *kind)
}

fn known_text(status: u16, message: &str) -> Option<ErrorKind> {
    let text = message.to_lowercase();
    let fits = |(statuses, words, _): &&(&[u16], &str, ErrorKind)| statuses.contains(&status) && text.contains(words);
    TEXTS.iter().find(fits).map(|(_, _, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    #[test]
    fn reasons_tell_a_refused_credential_from_an_unknown_job() {
        let body =
            |reason: &str| format!(r#"{{"error":{{"message":"m","details":[null,7,{{"reason":"{reason}"}}]}}}}"#);
        let table = [
            (403, "API_KEY_SERVICE_BLOCKED", ErrorKind::UpstreamAuthFailed),
            (403, "SERVICE_DISABLED", ErrorKind::UpstreamAuthFailed),
            (403, "BILLING_DISABLED", ErrorKind::UpstreamAccountError),
            (403, "CONSUMER_SUSPENDED", ErrorKind::UpstreamAccountError),
            (403, "IAM_PERMISSION_DENIED", ErrorKind::VideoNotFound),
            (400, "API_KEY_INVALID", ErrorKind::UpstreamAuthFailed),
            (400, "BAD_FIELD", ErrorKind::RefusedByProvider),
            (429, "RATE_LIMIT_EXCEEDED", ErrorKind::RateLimited),
            (503, "API_KEY_INVALID", ErrorKind::UpstreamUnavailable),
        ];
        for (status, reason, want) in table {
            let error = http_error(&reply(status, &body(reason)), ErrorKind::VideoNotFound);
            assert_eq!(error.kind, want, "{status} {reason}");
        }
    }

    #[test]
    fn messages_do_where_there_are_no_details() {
        let table = [
            (400, "API key expired. Please renew the API key.", ErrorKind::UpstreamAuthFailed),
            (403, "Your API key was reported as leaked.", ErrorKind::UpstreamAuthFailed),
            (403, "You may not see this operation.", ErrorKind::VideoNotFound),
            (429, "Your prepayment credits are depleted.", ErrorKind::UpstreamAccountError),
            (429, "Too fast.", ErrorKind::RateLimited),
        ];
        for (status, message, want) in table {
            let body = format!(r#"{{"error":{{"message":"{message}"}}}}"#);
            assert_eq!(http_error(&reply(status, &body), ErrorKind::VideoNotFound).kind, want, "{message}");
        }
    }

    #[test]
    fn the_wait_in_the_details_counts_where_no_header_says_it() {
        for (delay, want) in [("32s", Some(32.0)), ("1.5s", Some(1.5)), ("soon", None), ("-1s", None), ("5", None)] {
            let body = format!(r#"{{"error":{{"details":[{{"retryDelay":"{delay}"}}]}}}}"#);
            let mut reply = reply(429, &body);
            let wait = |reply: &Reply| http_error(reply, ErrorKind::VideoNotFound).retry_after.map(|w| w.as_secs_f64());
            assert_eq!(wait(&reply), want, "{delay}");
            reply.headers.insert("retry-after", "7".parse().unwrap());
            assert_eq!(wait(&reply), Some(7.0), "{delay}");
        }
    }
}
