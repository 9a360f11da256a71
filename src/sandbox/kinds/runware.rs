//! Runware: tasks in an array, answers in `data` and `errors`. runware.ai/docs "Task polling", "Errors".

use super::{Ask, Kind, UNKNOWN_STATE, set};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::media;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "runware",
    base: "/v1",
    docs: "https://runware.ai/docs/platform/task-polling",
    examples: &["c81d4e2a-7f53-4b90-8d16-2e9a5f0b7c00"],
    credentials: &[BEARER],
    asks,
    answer,
    refuse,
};

const DOCUMENTATION: &str = "https://runware.ai/docs/en/video-inference/api-reference#response-errors";

fn asks(request: &Request<'_>) -> Ask {
    if request.recorded.method != http::Method::POST || !request.segments.is_empty() {
        return Ask::Unknown;
    }
    let body = request.json();
    let tasks = body.as_array().map(Vec::as_slice).unwrap_or_default();
    let asked = tasks.iter().find(|task| task["taskType"] == "getResponse");
    match asked.and_then(|task| task["taskUUID"].as_str()) {
        Some(job) => Ask::Job(job.to_owned()),
        None => Ask::Answered(error(
            StatusCode::BAD_REQUEST,
            "",
            "invalidRequest",
            "The body must be an array that holds a getResponse task with a taskUUID.",
        )),
    }
}

/// A job's failure is an item of `errors`, and its moderation one that comes with HTTP 400.
fn answer(poll: &Poll<'_>) -> Reply {
    let job = poll.job;
    let pending =
        |status: &str| Reply::ok(&json!({"data": [{"taskType": "videoInference", "taskUUID": job, "status": status}]}));
    match poll.state {
        State::Queued => pending("pending"),
        State::InProgress(_) => pending("processing"),
        State::Unknown => pending(UNKNOWN_STATE),
        State::Ended(Ending::Failed | Ending::Cancelled | Ending::Expired) => {
            Reply::ok(&json!({"data": [], "errors": [failure(job)]}))
        }
        State::Ended(Ending::Filtered) => {
            Reply::json(StatusCode::BAD_REQUEST, &json!({"data": [], "errors": [moderated(job)]}))
        }
        State::Ended(Ending::PartlyFiltered) => {
            Reply::ok(&json!({"data": [success(poll)], "errors": [moderated(job)]}))
        }
        State::Ended(_) => Reply::ok(&json!({"data": [success(poll)]})),
    }
}

/// A finished video. `videoBase64Data` is named after the documented `imageBase64Data`.
fn success(poll: &Poll<'_>) -> Value {
    let mut item = json!({
        "taskType": "videoInference", "taskUUID": poll.job, "status": "success",
        "videoUUID": "b2f60d17-93c8-4e5a-a740-6d81c3e95f20", "cost": 0.24,
    });
    match poll.ending {
        Ending::NoOutput => {}
        Ending::Inline => set(&mut item, "videoBase64Data", json!(media::base64())),
        _ => set(&mut item, "videoURL", json!(poll.file_url())),
    }
    item
}

fn failure(job: &str) -> Value {
    json!({
        "code": "timeoutProvider", "status": "error", "taskType": "videoInference", "taskUUID": job,
        "message": "The external provider did not respond within the timeout window.", "documentation": DOCUMENTATION,
    })
}

fn moderated(job: &str) -> Value {
    json!({
        "code": "invalidProviderContent", "status": "error", "taskType": "videoInference", "taskUUID": job,
        "message": "The external provider flagged the content as inappropriate.",
        "responseContent": "The safety system filtered out 1 videos.", "documentation": DOCUMENTATION,
    })
}

/// The documents list codes, but none for an unknown task, an empty account or our own outage: those are composed.
fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, code, message) = match refused.refusal {
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, "missingApiKey", "Missing API key."),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "invalidApiKey", "Invalid API key."),
        Refusal::OutOfFunds => (StatusCode::PAYMENT_REQUIRED, "insufficientCredits", "Insufficient credits."),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "invalidTaskUUID", "Invalid value for 'taskUUID' parameter."),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "taskNotFound", "Task not found or expired."),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rateLimitExceeded", "Too many requests."),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "internalError", "Something went wrong."),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "serviceUnavailable", "Please retry later."),
    };
    error(status, refused.job, code, message)
}

/// A request's error: no `status`, and a task type that is not the job's.
fn error(status: StatusCode, job: &str, code: &str, message: &str) -> Reply {
    let unauthorized = status == StatusCode::UNAUTHORIZED;
    let task = if unauthorized { "authentication" } else { "getResponse" };
    let mut item = json!({"code": code, "message": message, "taskType": task, "documentation": DOCUMENTATION});
    if !job.is_empty() && !unauthorized {
        set(&mut item, "taskUUID", json!(job));
    }
    Reply::json(status, &json!({"errors": [item]}))
}
