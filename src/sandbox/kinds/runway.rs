//! Runway tasks: sdk-python `task_retrieve_response.py`; docs.dev.runwayml.com "Errors", "Task failures".

use super::{Ask, Kind, UNKNOWN_STATE};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "runway",
    base: "/v1",
    docs: "https://docs.dev.runwayml.com/api/#tag/Task-management",
    examples: &["5e2a7c90-4b1d-4f38-9a6e-08d3f7b1c200"],
    credentials: &[BEARER],
    asks,
    answer,
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["tasks", _]) if !request.has_header("x-runway-version") => {
            Ask::Answered(error(StatusCode::BAD_REQUEST, "The X-Runway-Version header is required."))
        }
        ("GET", ["tasks", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A task. Only a running one has `progress`, only a failed one `failure`, only a successful one `output`.
fn answer(poll: &Poll<'_>) -> Reply {
    let failed = |code: &str, text: &str| ("FAILED", json!({"failure": text, "failureCode": code}));
    let (status, more) = match poll.state {
        State::Queued => ("PENDING", json!({})),
        State::InProgress(share) => ("RUNNING", json!({"progress": (share * 1000.0).trunc() / 1000.0})),
        State::Unknown => (UNKNOWN_STATE, json!({})),
        State::Ended(Ending::Failed | Ending::Expired) => {
            failed("INTERNAL.BAD_OUTPUT.CODE01", "An unexpected error occurred.")
        }
        State::Ended(Ending::Filtered) => failed("SAFETY.INPUT.TEXT", "The text prompt did not pass moderation."),
        State::Ended(Ending::Cancelled) => ("CANCELLED", json!({})),
        State::Ended(Ending::NoOutput) => ("SUCCEEDED", json!({"output": []})),
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) => {
            ("SUCCEEDED", json!({"output": [poll.file_url()]}))
        }
    };
    let created = format!("{:.3}", poll.times.created);
    let mut task = json!({"id": poll.job, "status": status, "createdAt": created});
    if let (Some(task), Some(more)) = (task.as_object_mut(), more.as_object()) {
        task.extend(more.clone());
    }
    Reply::ok(&task)
}

fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, message) = match refused.refusal {
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, "The Authorization header is required."),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "The API key you provided is not valid."),
        Refusal::OutOfFunds => (StatusCode::PAYMENT_REQUIRED, "You do not have enough credits to run this task."),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "Invalid task ID."),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "Could not find a task with this ID."),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests."),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong."),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "The server is shedding load. Try again later."),
    };
    error(status, message)
}

fn error(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({"error": message}))
}
