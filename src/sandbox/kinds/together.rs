//! Together AI video jobs: togethercomputer/openapi `VideoJob`, `ErrorData`; docs.together.ai "Videos".

use super::{Ask, Kind, UNKNOWN_STATE, set};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "together",
    base: "/v2",
    docs: "https://docs.together.ai/reference/get-videos-id",
    examples: &["019b4d6f-2a83-7c15-94e0-d86f13b7a500"],
    credentials: &[BEARER],
    asks,
    answer: |poll| Reply::ok(&job(poll)),
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["videos", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// Times are numbers in the specification and texts in the samples; here they are both, one each.
fn job(poll: &Poll<'_>) -> Value {
    let failed = |message: &str, code: Option<&str>| ("failed", json!({"message": message, "code": code}));
    let (status, error) = match poll.state {
        State::Queued => ("queued", Value::Null),
        State::InProgress(_) => ("in_progress", Value::Null),
        State::Unknown => (UNKNOWN_STATE, Value::Null),
        State::Ended(Ending::Failed | Ending::Expired) => failed("The worker failed.", Some("workerError")),
        State::Ended(Ending::Filtered) => failed("The model's content filter blocked the request.", None),
        State::Ended(Ending::Cancelled) => ("cancelled", Value::Null),
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::NoOutput | Ending::Inline) => {
            ("completed", Value::Null)
        }
    };
    let mut job = json!({
        "id": poll.job, "object": "video", "model": "minimax/hailuo-02", "status": status,
        "size": "1366x768", "seconds": "6", "created_at": poll.times.created.as_second(),
    });
    if let State::Ended(ending) = poll.state {
        let has_video = matches!(ending, Ending::Completed | Ending::PartlyFiltered | Ending::Inline);
        let outputs = has_video.then(|| json!({"cost": 0.28, "video_url": poll.file_url()}));
        set(&mut job, "completed_at", json!(format!("{:.6}", poll.times.ended)));
        set(&mut job, "error", error);
        set(&mut job, "outputs", json!(outputs));
    }
    job
}

fn refuse(refused: &Refused<'_>) -> Reply {
    const REQUEST: &str = "invalid_request_error";
    let (status, kind, code, message) = match refused.refusal {
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, REQUEST, Some("missing_api_key"), "Missing API key."),
        Refusal::WrongCredentials => {
            (StatusCode::UNAUTHORIZED, REQUEST, Some("invalid_api_key"), "Invalid API key provided.")
        }
        Refusal::OutOfFunds => {
            (StatusCode::PAYMENT_REQUIRED, "credit_limit", Some("payment_required"), "Credit limit exceeded.")
        }
        Refusal::Malformed => (StatusCode::BAD_REQUEST, REQUEST, Some("invalid_id"), "The video ID is malformed."),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, REQUEST, Some("not_found"), "Video ID not found"),
        Refusal::RateLimited => {
            (StatusCode::TOO_MANY_REQUESTS, "model_rate_limit", None, "You have reached the rate limit of this model.")
        }
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, "Internal server error"),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "server_error", None, "The engine is overloaded."),
    };
    Reply::json(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}
