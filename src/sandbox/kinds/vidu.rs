//! Vidu's tasks: platform.vidu.com/docs "Get generation", "Error code".

use super::{Ask, Kind, UNKNOWN_STATE, percent, set};
use crate::sandbox::credentials::Credential;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "vidu",
    base: "/ent/v2",
    docs: "https://platform.vidu.com/docs/get-generation",
    examples: &["917350284461592600"],
    credentials: &[Credential { header: "authorization", scheme: "Token" }],
    asks,
    answer,
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["tasks", job, "creations"]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A task with its creations. Why it failed is a code; a task that somebody cancelled has failed.
fn answer(poll: &Poll<'_>) -> Reply {
    let (state, code) = match poll.state {
        State::Queued => ("queueing", ""),
        State::InProgress(_) => ("processing", ""),
        State::Unknown => (UNKNOWN_STATE, ""),
        State::Ended(Ending::Failed | Ending::Expired) => ("failed", "InternalServiceFailure"),
        State::Ended(Ending::Filtered) => ("failed", "CreationPolicyViolation"),
        State::Ended(Ending::Cancelled) => ("failed", "UserCancelled"),
        State::Ended(_) => ("success", ""),
    };
    let creations = match poll.state {
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) => {
            let file = |ending: &str| format!("{}/files/{}{ending}", poll.request.origin, poll.stem());
            let (cover, marked) = (file(".jpeg"), file("_wm.mp4"));
            let url = poll.file_url();
            json!([{"id": "914750238848192512", "url": url, "cover_url": cover, "watermarked_url": marked}])
        }
        _ => json!([]),
    };
    let mut task = json!({
        "id": poll.job,
        "state": state,
        "err_code": code,
        "credits": 4,
        "payload": "",
        "bgm": false,
        "off_peak": false,
        "creations": creations,
    });
    if let State::InProgress(share) = poll.state {
        set(&mut task, "progress", percent(share).into());
    }
    Reply::ok(&task)
}

fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, reason, message) = match refused.refusal {
        Refusal::NoCredentials | Refusal::WrongCredentials => {
            (StatusCode::UNAUTHORIZED, "Unauthorized", "unauthorized")
        }
        Refusal::OutOfFunds => (StatusCode::BAD_REQUEST, "CreditInsufficient", "insufficient credits"),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "FieldInvalid", "invalid field: id"),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "TaskNotFound", "task not found"),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "too many requests"),
        Refusal::ServerError => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceFailure", "internal service failure")
        }
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "service unavailable"),
    };
    let metadata = json!({"trace_id": "04e5c2fe159ff7c574acd0424e78c35f"});
    let body = json!({"code": status.as_u16(), "reason": reason, "message": message, "metadata": metadata});
    Reply::json(status, &body)
}
