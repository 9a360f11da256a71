//! Ark's content generation tasks: docs.byteplus.com/en/docs/ModelArk/1521309, error codes in
//! volcengine.com/docs/82379/1299023.

use super::{Ask, Kind, UNKNOWN_STATE, set};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "ark",
    base: "/api/v3",
    docs: "https://docs.byteplus.com/en/docs/ModelArk/1521309",
    examples: &["cgt-20260102030405-q7f00"],
    credentials: &[BEARER],
    asks,
    answer,
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["contents", "generations", "tasks", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A task. What it made, and how large, is told when it succeeded; `updated_at` is when it came into its state.
fn answer(poll: &Poll<'_>) -> Reply {
    let (status, updated) = match poll.state {
        State::Queued => ("queued", poll.times.created),
        State::InProgress(_) => ("running", poll.times.started),
        State::Unknown => (UNKNOWN_STATE, poll.times.created),
        State::Ended(Ending::Failed | Ending::Filtered) => ("failed", poll.times.ended),
        State::Ended(Ending::Cancelled) => ("cancelled", poll.times.ended),
        State::Ended(Ending::Expired) => ("expired", poll.times.ended),
        State::Ended(_) => ("succeeded", poll.times.ended),
    };
    let mut task = json!({
        "id": poll.job,
        "model": "seedance-1-5-pro-251215",
        "status": status,
        "created_at": poll.times.created.as_second(),
        "updated_at": updated.as_second(),
        "service_tier": "default",
        "execution_expires_after": 172800,
    });
    let mut set = |key: &str, value| set(&mut task, key, value);
    match poll.state {
        State::Ended(Ending::Failed) => {
            let message = "The service encountered an unexpected internal error.";
            set("error", json!({"code": "InternalServiceError", "message": message}));
        }
        State::Ended(Ending::Filtered) => {
            let message = "The request failed because the output video may contain sensitive information.";
            set("error", json!({"code": "OutputVideoSensitiveContentDetected", "message": message}));
        }
        State::Ended(ending @ (Ending::Completed | Ending::PartlyFiltered | Ending::NoOutput | Ending::Inline)) => {
            set("content", if ending == Ending::NoOutput { json!({}) } else { json!({"video_url": poll.file_url()}) });
            set("usage", json!({"completion_tokens": 108900, "total_tokens": 108900}));
            set("seed", json!(2718));
            set("resolution", json!("720p"));
            set("ratio", json!("16:9"));
            set("duration", json!(5));
            set("framespersecond", json!(24));
        }
        _ => {}
    }
    Reply::ok(&task)
}

fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, kind, code, message) = match refused.refusal {
        Refusal::NoCredentials | Refusal::WrongCredentials => (
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "AuthenticationError",
            "The API key in the request is missing or invalid.",
        ),
        Refusal::OutOfFunds => (
            StatusCode::FORBIDDEN,
            "Forbidden",
            "AccountOverdueError",
            "The request failed because your account has an overdue balance.",
        ),
        Refusal::Malformed => {
            (StatusCode::BAD_REQUEST, "BadRequest", "InvalidParameter", "The parameter id is not valid.")
        }
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "NotFound", "NotFound", "The specified task is not found."),
        Refusal::RateLimited => (
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            "RateLimitExceeded.EndpointRPMExceeded",
            "The Requests Per Minute (RPM) limit has been exceeded.",
        ),
        Refusal::ServerError => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            "InternalServiceError",
            "The service encountered an unexpected internal error.",
        ),
        Refusal::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "ServiceUnavailable", "Please try again later.")
        }
    };
    let error = json!({"code": code, "message": message, "param": "", "type": kind});
    Reply::json(status, &json!({"error": error}))
}
