//! Luma Dream Machine generations: lumaai-api `openapi.yaml`; docs.lumalabs.ai "API", "Errors".

use super::{Ask, Kind, PROMPT, UNKNOWN_STATE};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "luma",
    base: "/dream-machine/v1",
    docs: "https://docs.lumalabs.ai/docs/api",
    examples: &["c3a96d10-58e4-4b7f-8f21-06be94d7c500"],
    credentials: &[BEARER],
    asks,
    answer: |poll| Reply::ok(&generation(poll)),
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["generations", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A generation. One can be deleted but not cancelled, and none expires.
fn generation(poll: &Poll<'_>) -> Value {
    let (state, reason) = match poll.state {
        State::Queued => ("queued", None),
        State::InProgress(_) => ("dreaming", None),
        State::Unknown => (UNKNOWN_STATE, None),
        State::Ended(Ending::Failed | Ending::Cancelled | Ending::Expired) => ("failed", Some("Job failed")),
        State::Ended(Ending::Filtered) => ("failed", Some("400: Advanced prompt moderation failed")),
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::NoOutput | Ending::Inline) => {
            ("completed", None)
        }
    };
    json!({
        "id": poll.job, "generation_type": "video", "state": state, "failure_reason": reason,
        "created_at": format!("{:.6}", poll.times.created), "assets": assets(poll), "model": "ray-2",
        "request": {
            "generation_type": "video", "prompt": PROMPT, "model": "ray-2", "duration": "5s", "resolution": "720p",
            "aspect_ratio": "16:9", "loop": false, "keyframes": null, "callback_url": null,
        },
    })
}

/// A thumbnail and a preview come before the video.
fn assets(poll: &Poll<'_>) -> Value {
    let video = match poll.state {
        State::InProgress(_) | State::Ended(Ending::NoOutput) => None,
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) => Some(poll.file_url()),
        _ => return Value::Null,
    };
    let beside = |name: &str| format!("{}/files/{}-{name}", poll.request.origin, poll.stem());
    json!({"video": video, "image": beside("thumb.jpg"), "progress_video": beside("preview.mp4")})
}

fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, detail) = match refused.refusal {
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, "Not authenticated"),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "Invalid API key is provided"),
        Refusal::OutOfFunds => (StatusCode::PAYMENT_REQUIRED, "Insufficient credits"),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "Invalid generation id"),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "Generation not found"),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"),
    };
    Reply::json(status, &json!({"detail": detail}))
}
