//! OpenAI Sora: openai-openapi `VideoResource`, `Error`; OpenAI guide "Video generation with Sora".

use super::{Ask, Kind, PROMPT, UNKNOWN_STATE, percent, set};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "openai",
    base: "/v1",
    docs: "https://platform.openai.com/docs/api-reference/videos/retrieve",
    examples: &["video_7c3e9a51d2f84b06a1e5c0d94f7b2800"],
    credentials: &[BEARER],
    asks,
    answer: |poll| Reply::ok(&video(poll, "sora-2")),
    refuse,
};

/// Results can be downloaded for a day.
const LIFETIME: i64 = 24 * 60 * 60;

pub fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["videos", job]) => Ask::Job((*job).to_owned()),
        ("GET" | "HEAD", ["videos", job, "content"]) => Ask::Content((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// The video object. Before the end it leaves out what is not known yet, as the guide's samples do.
///
/// A finished job without a video looks like any other here, for the object has no list of results; only its
/// content is missing. `cancelled` and `expired` are not in the enum of the specification: Azure's documents and
/// batch outputs have them.
pub fn video(poll: &Poll<'_>, model: &str) -> Value {
    let (status, progress) = match poll.state {
        State::Queued => ("queued", 0),
        State::InProgress(share) => ("in_progress", percent(share)),
        State::Unknown => (UNKNOWN_STATE, 50),
        State::Ended(Ending::Failed | Ending::Filtered) => ("failed", 99),
        State::Ended(Ending::Cancelled) => ("cancelled", 40),
        State::Ended(Ending::Expired) => ("expired", 0),
        State::Ended(_) => ("completed", 100),
    };
    let created = poll.times.created.as_second();
    let mut video = json!({
        "id": poll.job, "object": "video", "model": model, "status": status, "progress": progress,
        "created_at": created, "seconds": "8", "size": "1280x720",
    });
    if let State::Ended(ending) = poll.state {
        let completed = (status == "completed").then(|| poll.times.ended.as_second());
        set(&mut video, "completed_at", json!(completed));
        set(&mut video, "expires_at", json!(completed.map(|_| created + LIFETIME)));
        set(&mut video, "error", error(ending));
        set(&mut video, "prompt", json!(PROMPT));
        set(&mut video, "remixed_from_video_id", Value::Null);
    }
    video
}

fn error(ending: Ending) -> Value {
    match ending {
        Ending::Failed => {
            json!({"code": "internal_error", "message": "Video generation failed due to an internal error."})
        }
        Ending::Filtered => {
            json!({"code": "moderation_blocked", "message": "Your request was blocked by our moderation system."})
        }
        _ => Value::Null,
    }
}

fn refuse(refused: &Refused<'_>) -> Reply {
    const REQUEST: &str = "invalid_request_error";
    let job = refused.job;
    let (status, kind, code, message) = match refused.refusal {
        Refusal::NoCredentials => (
            StatusCode::UNAUTHORIZED,
            REQUEST,
            None,
            "You didn't provide an API key. Provide it in an Authorization header using Bearer auth.".into(),
        ),
        Refusal::WrongCredentials => (
            StatusCode::UNAUTHORIZED,
            REQUEST,
            Some("invalid_api_key"),
            "Incorrect API key provided: sk-sandb***box. Find yours at https://platform.openai.com/account/api-keys."
                .into(),
        ),
        Refusal::OutOfFunds => (
            StatusCode::TOO_MANY_REQUESTS,
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.".into(),
        ),
        Refusal::Malformed => {
            (StatusCode::BAD_REQUEST, REQUEST, Some("invalid_value"), format!("Invalid 'video_id': '{job}'."))
        }
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, REQUEST, None, format!("Video with id '{job}' not found.")),
        Refusal::RateLimited => (
            StatusCode::TOO_MANY_REQUESTS,
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached for requests. Please slow down.".into(),
        ),
        Refusal::ServerError => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            None,
            "The server had an error while processing your request. Sorry about that!".into(),
        ),
        Refusal::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            None,
            "The engine is currently overloaded, please try again later.".into(),
        ),
    };
    let param = matches!(refused.refusal, Refusal::Malformed).then_some("video_id");
    Reply::json(status, &json!({"error": {"message": message, "type": kind, "param": param, "code": code}}))
}
