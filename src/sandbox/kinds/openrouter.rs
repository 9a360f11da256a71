//! OpenRouter video jobs: typescript-sdk `VideoGenerationResponse`; openrouter.ai docs "Videos", "Get Video Results with
//! Webhooks", "Errors and Debugging".

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
    name: "openrouter",
    base: "/api/v1",
    docs: "https://openrouter.ai/docs/api_reference/videos",
    examples: &["job-k4Tz9rWq1mXc00"],
    credentials: &[BEARER],
    asks,
    answer: |poll| Reply::ok(&job(poll)),
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["videos", job]) => Ask::Job((*job).to_owned()),
        ("GET", ["videos", job, "content"]) => Ask::Content((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A finished job without a video is one without links; the content call answers for it.
fn job(poll: &Poll<'_>) -> Value {
    let (status, error) = match poll.state {
        State::Queued => ("pending", None),
        State::InProgress(_) => ("in_progress", None),
        State::Unknown => (UNKNOWN_STATE, None),
        State::Ended(Ending::Failed) => ("failed", Some("The provider failed to generate the video")),
        State::Ended(Ending::Filtered) => ("failed", Some("Content policy violation")),
        State::Ended(Ending::Cancelled) => ("cancelled", Some("Job was cancelled")),
        State::Ended(Ending::Expired) => ("expired", Some("Job exceeded maximum time to live")),
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::NoOutput | Ending::Inline) => {
            ("completed", None)
        }
    };
    let mut job = json!({"id": poll.job, "polling_url": format!("/api/v1/videos/{}", poll.job), "status": status});
    if poll.state != State::Queued {
        set(&mut job, "generation_id", json!(format!("gen-{}", poll.stem())));
    }
    if let Some(error) = error {
        set(&mut job, "error", json!(error));
    }
    if status == "completed" {
        set(&mut job, "usage", json!({"cost": 0.4, "is_byok": false}));
    }
    if status == "completed" && poll.state != State::Ended(Ending::NoOutput) {
        let content = format!("{}/videos/{}/content?index=0", poll.request.base_url, poll.job);
        set(&mut job, "urls", json!([poll.file_url()]));
        set(&mut job, "unsigned_urls", json!([content]));
    }
    job
}

fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, message) = match refused.refusal {
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, "Missing Authentication header"),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "User not found."),
        Refusal::OutOfFunds => (StatusCode::PAYMENT_REQUIRED, "Insufficient credits. Add more to go on."),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "Invalid job ID"),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "Resource not found"),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded"),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service temporarily unavailable"),
    };
    Reply::json(status, &json!({"error": {"code": status.as_u16(), "message": message}}))
}
