//! xAI videos: docs.x.ai "Video Generation", "Persisting Generated Output"; xai-proto `video.proto`, `deferred.proto`.

use super::{Ask, Kind, UNKNOWN_STATE, percent};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "xai",
    base: "/v1",
    docs: "https://docs.x.ai/developers/model-capabilities/video/generation",
    examples: &["8d15b7f2-3c90-4e6a-b2d4-71f9a05c6e00"],
    credentials: &[BEARER],
    asks,
    answer,
    refuse,
};

const MODEL: &str = "grok-imagine-video";

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["videos", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A pending request is answered with 202, a moderated one with 400. There is no way to cancel.
fn answer(poll: &Poll<'_>) -> Reply {
    let pending = |progress: u8| {
        Reply::json(StatusCode::ACCEPTED, &json!({"status": "pending", "progress": progress, "model": MODEL}))
    };
    match poll.state {
        State::Queued => pending(0),
        // Only progress tells a running request from a waiting one.
        State::InProgress(share) => pending(percent(share).clamp(1, 99)),
        State::Unknown => Reply::ok(&json!({"status": UNKNOWN_STATE, "model": MODEL})),
        State::Ended(Ending::Failed | Ending::Cancelled) => Reply::ok(&json!({
            "status": "failed", "progress": 0, "model": "",
            "video": {"url": "", "duration": 0, "respect_moderation": true},
            "error": {"code": "internal_error", "message": "The video could not be generated."},
        })),
        State::Ended(Ending::Filtered) => Reply::json(
            StatusCode::BAD_REQUEST,
            &json!({
                "code": "imagine:content-moderated", "usage": {"cost_in_usd_ticks": 400_000_000},
                "error": "The generated video was turned down by content moderation.",
            }),
        ),
        State::Ended(Ending::Expired) => Reply::ok(&json!({"status": "expired"})),
        State::Ended(Ending::NoOutput) => Reply::ok(&done("")),
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) => Reply::ok(&done(&poll.file_url())),
    }
}

fn done(url: &str) -> Value {
    json!({
        "status": "done", "progress": 100, "model": MODEL, "usage": {"cost_in_usd_ticks": 400_000_000},
        "video": {"url": url, "duration": 8, "respect_moderation": true},
    })
}

fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, code, message) = match refused.refusal {
        Refusal::NoCredentials => {
            (StatusCode::UNAUTHORIZED, "unauthenticated:no-credentials", "No credentials were presented.")
        }
        // A wrong key is an argument like any other here.
        Refusal::WrongCredentials => {
            (StatusCode::BAD_REQUEST, "invalid-argument", "Incorrect API key provided: xa***ng.")
        }
        Refusal::OutOfFunds => (StatusCode::FORBIDDEN, "permission-denied", "Your team has no credits left."),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "invalid-argument", "The request id is malformed."),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "not-found", "There is no such video generation request."),
        Refusal::RateLimited => {
            (StatusCode::TOO_MANY_REQUESTS, "resource-exhausted", "Too many requests for this team.")
        }
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "An internal error occurred."),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Try again later."),
    };
    Reply::json(status, &json!({"code": code, "error": message}))
}
