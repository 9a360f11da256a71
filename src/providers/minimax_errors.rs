//! MiniMax's codes: in `base_resp` of an answer that is 200 all the same, or at the end of a message of v2.
//!
//! <https://platform.minimax.io/docs/api-reference/errorcode>

use super::Reply;
use super::dialect::{failure, failure_of_kind, said};
use super::verdict::holds;
use super::wire::{Maybe, Text};
use crate::video::{ApiError, ErrorKind, JobError, Said};
use serde::Deserialize;

/// What the codes mean for a query. 2013 is of two minds, see [`kind_of`].
const CODES: &[(&str, ErrorKind)] = &[
    ("1002", ErrorKind::RateLimited),
    ("1039", ErrorKind::RateLimited),
    ("1041", ErrorKind::RateLimited),
    ("2045", ErrorKind::RateLimited),
    ("1004", ErrorKind::UpstreamAuthFailed),
    ("2049", ErrorKind::UpstreamAuthFailed),
    ("1008", ErrorKind::UpstreamAccountError),
    // The use that a plan includes is used up.
    ("2056", ErrorKind::UpstreamAccountError),
    (INVALID_PARAMETERS, ErrorKind::RefusedByProvider),
];

const INVALID_PARAMETERS: &str = "2013";

/// What the text of an error holds, in lower case, when it is about the task that was asked for.
const UNKNOWN_TASK: &[&str] = &["task_id", "task id", "task not found", "task not exist", "task does not exist"];

/// Sensitive input, sensitive output.
const MODERATION_CODES: &[&str] = &["1026", "1027"];

/// Moderation's word in a text: "output new_sensitive", "contains sensitive content".
const MODERATION_SIGNS: &[&str] = &["sensitive"];

/// Whether a job was ended by moderation: by its code, by that at the end of its message, or by what the message says.
pub(super) fn is_moderation(error: &JobError<'_>) -> bool {
    let codes = [Some(&*error.code), code_at_the_end(&error.message)];
    codes.into_iter().flatten().any(|code| MODERATION_CODES.contains(&code)) || holds(&error.message, MODERATION_SIGNS)
}

/// A task that has failed; its code is then the task's.
const FAILED: &str = "Fail";

/// What `base_resp` and the status beside it come to.
pub(super) enum Outcome<'a> {
    Fine,
    /// The task has failed, and the code says why.
    Verdict(JobError<'a>),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    base_resp: Maybe<BaseResp<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BaseResp<'a> {
    #[serde(borrow)]
    status_code: Text<'a>,
    status_msg: Text<'a>,
}

/// Reads `base_resp` first: without a status that says `Fail`, a code in it is an error of the query, whatever the
/// status of the HTTP answer.
pub(super) fn outcome_of(reply: &Reply) -> Result<Outcome<'_>, ApiError> {
    let answer: Answer<'_> = match reply.status.is_success() {
        true => reply.json()?,
        false => serde_json::from_slice(&reply.body).unwrap_or_default(),
    };
    let base = answer.base_resp.0.unwrap_or_default();
    let code = base.status_code.0.filter(|code| code != "0");
    let has_failed = answer.status.as_deref() == Some(FAILED);
    match code {
        Some(code) if has_failed && reply.status.is_success() => {
            Ok(Outcome::Verdict(JobError { code, message: base.status_msg.0.unwrap_or_default() }))
        }
        Some(code) => Err(error_of(
            reply,
            Said {
                status: reply.status.as_u16(),
                code: Some(code.into_owned()),
                message: base.status_msg.0.map(Into::into),
                ..Said::default()
            },
        )),
        None if !reply.status.is_success() => Err(v2_error(reply)),
        None => Ok(Outcome::Fine),
    }
}

/// `{"type":"error","error":{"type","message":"… (1004)","http_code":"401"}}`.
pub(super) fn v2_error(reply: &Reply) -> ApiError {
    let mut said = said(reply);
    said.code = said.code.or_else(|| said.message.as_deref().and_then(code_at_the_end).map(str::to_owned));
    error_of(reply, said)
}

/// Reads `invalid params, invalid task_id (2013)`.
fn code_at_the_end(message: &str) -> Option<&str> {
    let (_, code) = message.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    (code.len() == 4 && code.bytes().all(|b| b.is_ascii_digit())).then_some(code)
}

fn error_of(reply: &Reply, said: Said) -> ApiError {
    match kind_of(&said) {
        Some(kind) => failure_of_kind(kind, reply, said),
        None if !reply.status.is_success() => failure(reply, said),
        None => failure_of_kind(ErrorKind::UpstreamError, reply, said),
    }
}

/// By the code; an id that MiniMax does not know (any more) is an "invalid task_id" to it, with the code of invalid
/// parameters or with none.
fn kind_of(said: &Said) -> Option<ErrorKind> {
    let code = said.code.as_deref();
    let of_parameters = code.is_none_or(|code| code == INVALID_PARAMETERS) && said.status < 500;
    if of_parameters && said.message.as_deref().is_some_and(|message| holds(message, UNKNOWN_TASK)) {
        return Some(ErrorKind::VideoNotFound);
    }
    let code = code?;
    CODES.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind)
}

/// An error of the call for a file: it is neither the job's name nor its end that is at fault.
pub(super) fn of_the_file(error: ApiError) -> ApiError {
    let kind = match error.kind {
        ErrorKind::VideoNotFound | ErrorKind::RefusedByProvider => ErrorKind::UpstreamError,
        kind => kind,
    };
    ApiError { kind, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    fn error(status: u16, body: &str) -> Option<ErrorKind> {
        outcome_of(&reply(status, body)).err().map(|error| error.kind)
    }

    #[test]
    fn an_error_in_an_answer_that_is_200_is_an_error() {
        let table = [
            (0, "success", None),
            (1000, "unknown error", Some(ErrorKind::UpstreamError)),
            (1002, "rate limit", Some(ErrorKind::RateLimited)),
            (1004, "not authorized", Some(ErrorKind::UpstreamAuthFailed)),
            (1008, "insufficient balance", Some(ErrorKind::UpstreamAccountError)),
            (1026, "input new_sensitive", Some(ErrorKind::UpstreamError)),
            (1033, "system error", Some(ErrorKind::UpstreamError)),
            (2013, "invalid params, invalid task_id", Some(ErrorKind::VideoNotFound)),
            (2013, "invalid params, task not exist", Some(ErrorKind::VideoNotFound)),
            (2013, "invalid params", Some(ErrorKind::RefusedByProvider)),
            (2049, "invalid api key", Some(ErrorKind::UpstreamAuthFailed)),
            (9999, "", Some(ErrorKind::UpstreamError)),
        ];
        for (code, message, want) in table {
            for status in ["", r#""status":"","#, r#""status":"Processing","#] {
                let body = format!(r#"{{{status}"base_resp":{{"status_code":{code},"status_msg":"{message}"}}}}"#);
                assert_eq!(error(200, &body), want, "{body}");
            }
        }
    }

    #[test]
    fn a_code_beside_a_status_that_says_fail_is_the_jobs() {
        let body = r#"{"status":"Fail","base_resp":{"status_code":1002,"status_msg":"m"}}"#;
        let answer = reply(200, body);
        let Ok(Outcome::Verdict(verdict)) = outcome_of(&answer) else { panic!("no verdict") };
        assert_eq!(verdict, JobError::new("1002", "m"));
        assert_eq!(error(503, body), Some(ErrorKind::RateLimited), "of an answer that failed, nothing is the job's");
    }

    #[test]
    fn moderation_is_told_by_a_code_or_by_its_word() {
        let table = [
            ("1026", "", true),
            ("1027", "no", true),
            ("", "refused (1027)", true),
            ("422", "input new_sensitive", true),
            ("1000", "unknown error", false),
            ("1000", "unknown error (1000)", false),
        ];
        for (code, message, want) in table {
            assert_eq!(is_moderation(&JobError::new(code, message)), want, "{code} {message}");
        }
    }

    #[test]
    fn v2_has_its_codes_at_the_end_of_the_message() {
        let table = [
            (400, "invalid params, invalid task_id (2013)", ErrorKind::VideoNotFound),
            (400, "invalid params, task not exist (2013)", ErrorKind::VideoNotFound),
            (400, "Invalid task_id", ErrorKind::VideoNotFound),
            (400, "invalid params (2013)", ErrorKind::RefusedByProvider),
            (401, "login fail (1004)", ErrorKind::UpstreamAuthFailed),
            (402, "insufficient balance (1008)", ErrorKind::UpstreamAccountError),
            (429, "insufficient balance (1008)", ErrorKind::UpstreamAccountError),
            (429, "rate limit (1002)", ErrorKind::RateLimited),
            (429, "slow down", ErrorKind::RateLimited),
            (500, "internal error (1000)", ErrorKind::UpstreamError),
            (503, "not now", ErrorKind::UpstreamUnavailable),
            (529, "overloaded", ErrorKind::UpstreamError),
            (404, "no route (404)", ErrorKind::VideoNotFound),
        ];
        for (status, message, want) in table {
            let body = format!(r#"{{"type":"error","error":{{"type":"t","message":"{message}"}}}}"#);
            assert_eq!(v2_error(&reply(status, &body)).kind, want, "{status} {message}");
        }
        let error = v2_error(&reply(400, r#"{"error":{"message":"invalid params (2013)"}}"#));
        assert_eq!(error.code(), "2013");
    }
}
