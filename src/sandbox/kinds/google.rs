//! What Gemini and Vertex share: google.longrunning.Operation, google.rpc.Status and the JSON error envelope.

use super::{PROMPT, set};
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use http::StatusCode;
use serde_json::{Value, json};

/// Why moderation takes a video.
pub const FILTERED: &str =
    "The generated video was blocked because it may not meet the usage guidelines. Support codes: 17301594";

/// An operation. It has no state words and no progress, only `done`, which is absent while it runs.
///
/// `response` gives the response for an ending that is not an error.
pub fn operation(poll: &Poll<'_>, response: impl FnOnce(Ending) -> Value) -> Reply {
    let name = poll.job;
    let State::Ended(ending) = poll.state else { return Reply::ok(&json!({"name": name})) };
    match rpc_error(ending) {
        Some((code, message)) => {
            Reply::ok(&json!({"name": name, "done": true, "error": {"code": code, "message": message}}))
        }
        None => Reply::ok(&json!({"name": name, "done": true, "response": response(ending)})),
    }
}

/// The google.rpc code and message of a job that failed.
pub fn rpc_error(ending: Ending) -> Option<(u8, &'static str)> {
    match ending {
        Ending::Failed | Ending::Expired => {
            Some((13, "Video generation failed due to an internal server issue. Please try again in a few minutes."))
        }
        Ending::Cancelled => Some((1, "The operation was cancelled.")),
        _ => None,
    }
}

/// The videos of an ending, `one` being what a single one looks like.
pub fn videos(ending: Ending, one: impl FnOnce() -> Value) -> Vec<Value> {
    match ending {
        Ending::Completed | Ending::PartlyFiltered | Ending::Inline => vec![one()],
        _ => Vec::new(),
    }
}

/// How many videos moderation took.
pub fn filtered(ending: Ending) -> u8 {
    matches!(ending, Ending::Filtered | Ending::PartlyFiltered).into()
}

/// The refusals in which the two agree.
pub fn refuse(refused: &Refused<'_>) -> Reply {
    match refused.refusal {
        Refusal::NoCredentials | Refusal::WrongCredentials => error(
            StatusCode::UNAUTHORIZED,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid \
             authentication credential.",
            json!([info("ACCESS_TOKEN_TYPE_UNSUPPORTED")]),
        ),
        Refusal::OutOfFunds => error(
            StatusCode::FORBIDDEN,
            "PERMISSION_DENIED",
            "This API method requires billing to be enabled. Please enable billing and retry.",
            json!([info("BILLING_DISABLED")]),
        ),
        Refusal::Malformed => {
            error(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "Request contains an invalid argument.", Value::Null)
        }
        Refusal::UnknownJob => {
            let message = format!("Operation not found: {}", refused.job);
            error(StatusCode::NOT_FOUND, "NOT_FOUND", &message, Value::Null)
        }
        Refusal::RateLimited => error(
            StatusCode::TOO_MANY_REQUESTS,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
            json!([{
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{}s", refused.retry_after.unwrap_or_default()),
            }]),
        ),
        Refusal::ServerError => {
            error(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Internal error encountered.", Value::Null)
        }
        Refusal::Unavailable => {
            error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "The service is currently unavailable.", Value::Null)
        }
    }
}

/// The error envelope; null details are left out.
pub fn error(code: StatusCode, status: &str, message: &str, details: Value) -> Reply {
    let mut error = json!({"code": code.as_u16(), "message": message, "status": status});
    if !details.is_null() {
        set(&mut error, "details", details);
    }
    Reply::json(code, &json!({"error": error}))
}

/// A google.rpc.ErrorInfo.
pub fn info(reason: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"})
}

/// What was asked for, as an Interactions step.
pub fn user_input() -> Value {
    json!({"type": "user_input", "content": [{"type": "text", "text": PROMPT}]})
}
