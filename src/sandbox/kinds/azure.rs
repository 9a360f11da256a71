//! Azure OpenAI: Sora 2 (the OpenAI object) and Sora 1 jobs.
//!
//! MicrosoftDocs "Sora 2 video generation"; azure-rest-api-specs `azure-v1-preview-generated.yaml` `VideoGenerationJob`.

use super::{Ask, Kind, PROMPT, UNKNOWN_STATE, openai};
use crate::sandbox::credentials::{BEARER, Credential};
use crate::sandbox::media;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "azure",
    base: "/openai/v1",
    docs: "https://learn.microsoft.com/azure/ai-foundry/openai/concepts/video-generation",
    examples: &["video_91f0b6c24d7e48a3b5d80e6f3a1c7200", "task_01k9v3xq7m2r8w5t4y6z1b3c00"],
    credentials: &[Credential { header: "api-key", scheme: "" }, BEARER],
    asks,
    answer,
    refuse,
};

/// Jobs and their assets are kept for a day.
const LIFETIME: i64 = 24 * 60 * 60;

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        (_, ["video", ..]) if request.recorded.query("api-version").is_none() => Ask::Answered(without_version()),
        ("GET", ["video", "generations", "jobs", job]) => Ask::Job((*job).to_owned()),
        ("GET" | "HEAD", ["video", "generations", _, "content", "video"]) => Ask::Answered(media::download()),
        ("GET" | "HEAD", ["video", "generations", _, "content", "thumbnail"]) => Ask::Answered(media::spritesheet()),
        _ => openai::asks(request),
    }
}

fn answer(poll: &Poll<'_>) -> Reply {
    match poll.request.segments.first().map(String::as_str) {
        Some("video") => Reply::ok(&job(poll)),
        _ => Reply::ok(&openai::video(poll, "sora-2-video")),
    }
}

/// The object of a Sora 1 job.
fn job(poll: &Poll<'_>) -> Value {
    let (status, reason) = match poll.state {
        State::Queued => ("queued", None),
        State::InProgress(_) => ("running", None),
        State::Unknown => (UNKNOWN_STATE, None),
        State::Ended(Ending::Failed | Ending::Expired) => ("failed", Some("internal_error")),
        State::Ended(Ending::Filtered) => ("failed", Some("output_moderation")),
        State::Ended(Ending::Cancelled) => ("cancelled", None),
        State::Ended(_) => ("succeeded", None),
    };
    let ended = matches!(poll.state, State::Ended(_));
    let generations: Vec<Value> = match poll.state {
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) => vec![generation(poll)],
        _ => Vec::new(),
    };
    json!({
        "object": "video.generation.job", "id": poll.job, "model": "sora-video", "status": status, "prompt": PROMPT,
        "n_variants": if poll.ending == Ending::PartlyFiltered { 2 } else { 1 },
        "n_seconds": 5, "width": 854, "height": 480, "inpaint_items": null,
        "created_at": poll.times.created.as_second(),
        "finished_at": ended.then(|| poll.times.ended.as_second()),
        "expires_at": ended.then(|| poll.times.created.as_second() + LIFETIME),
        "generations": generations, "failure_reason": reason,
    })
}

fn generation(poll: &Poll<'_>) -> Value {
    json!({
        "object": "video.generation", "id": format!("gen_{}", poll.job.trim_start_matches("task_")),
        "job_id": poll.job, "created_at": poll.times.ended.as_second(),
        "width": 854, "height": 480, "n_seconds": 5, "prompt": PROMPT,
    })
}

/// The service says an error as OpenAI does; the gateway before it gives a code only, a number in a string.
fn refuse(refused: &Refused<'_>) -> Reply {
    let job = refused.job;
    let (status, service, message) = match refused.refusal {
        Refusal::NoCredentials | Refusal::WrongCredentials => (
            StatusCode::UNAUTHORIZED,
            false,
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an \
             active subscription and use a correct regional API endpoint for your resource."
                .into(),
        ),
        Refusal::OutOfFunds => {
            (StatusCode::PAYMENT_REQUIRED, false, "The subscription is disabled for lack of payment.".into())
        }
        Refusal::Malformed => (StatusCode::BAD_REQUEST, true, format!("Invalid id '{job}'.")),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, true, format!("Video with id '{job}' not found.")),
        Refusal::RateLimited => (
            StatusCode::TOO_MANY_REQUESTS,
            false,
            format!(
                "Requests have exceeded call rate limit of your current pricing tier. Please retry after {} seconds.",
                refused.retry_after.unwrap_or_default()
            ),
        ),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, true, "An internal error occurred.".into()),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, false, "The service is unavailable.".into()),
    };
    let error = match service {
        true => json!({"message": message, "type": "video_generation_user_error", "param": null, "code": null}),
        false => json!({"code": status.as_str(), "message": message}),
    };
    failure(status, &error)
}

/// The specification requires the query; the wording is ours.
fn without_version() -> Reply {
    let message = "The api-version query parameter (?api-version=) is required for all requests.";
    failure(StatusCode::BAD_REQUEST, &json!({"code": "MissingApiVersionParameter", "message": message}))
}

fn failure(status: StatusCode, error: &Value) -> Reply {
    let request_id = HeaderName::from_static("apim-request-id");
    Reply::json(status, &json!({"error": error})).with(request_id, "7b1f4c02-9d35-4e68-8a70-5c2e6d913f04")
}
