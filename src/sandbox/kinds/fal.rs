//! fal's queue: the status of a request, then its result. fal.ai/docs "Inference API", docs.fal.ai "Errors";
//! fal-js `libs/client/src/types/common.ts`.

use super::{Ask, Kind, UNKNOWN_STATE, set};
use crate::sandbox::credentials::Credential;
use crate::sandbox::media;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "fal",
    base: "",
    docs: "https://fal.ai/docs/api-reference/inference-api",
    examples: &[
        "fal-ai/veo3/requests/6d1f0b7e-2c94-4a58-8e3d-b1907f5c2a00",
        "workflows/sandbox/teaser/requests/0a83e5d2-71b6-4f0c-9d48-c26e4b19f700",
    ],
    credentials: &[Credential { header: "authorization", scheme: "Key" }],
    asks,
    answer,
    refuse,
};

/// An app has an owner and a name, below a namespace in the second form; a longer path is no app.
fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    let (path, ask): (&[&str], fn(String) -> Ask) = match (method, segments.as_slice()) {
        ("GET", [path @ .., "status"]) => (path, Ask::Job),
        ("GET", path) => (path, Ask::Result),
        _ => return Ask::Unknown,
    };
    match path {
        [_, _, "requests", _] | ["workflows" | "comfy", _, _, "requests", _] => ask(path.join("/")),
        _ => Ask::Unknown,
    }
}

fn answer(poll: &Poll<'_>) -> Reply {
    match poll.request.segments.last().map(String::as_str) {
        Some("status") => status(poll),
        _ => result(poll),
    }
}

/// A request that still waits or runs is 202. One that runs no more is `COMPLETED`, whatever came of it.
fn status(poll: &Poll<'_>) -> Reply {
    let (code, word, more) = match poll.state {
        State::Queued => (StatusCode::ACCEPTED, "IN_QUEUE", json!({"queue_position": 1})),
        State::InProgress(_) => (StatusCode::ACCEPTED, "IN_PROGRESS", json!({"logs": null, "metrics": {}})),
        State::Unknown => (StatusCode::ACCEPTED, UNKNOWN_STATE, json!({})),
        State::Ended(Ending::Failed | Ending::Cancelled | Ending::Expired) => (
            StatusCode::OK,
            "COMPLETED",
            json!({
                "logs": null, "metrics": {}, "error": "The runner disconnected before it had answered.",
                "error_type": "runner_disconnected",
            }),
        ),
        State::Ended(_) => (StatusCode::OK, "COMPLETED", json!({"logs": null, "metrics": {"inference_time": 3.25}})),
    };
    let request = format!("{}/{}", poll.request.base_url, poll.job);
    let mut body = json!({
        "status": word, "request_id": poll.stem(), "response_url": request,
        "status_url": format!("{request}/status"), "cancel_url": format!("{request}/cancel"),
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        set(&mut body, key, value.clone());
    }
    Reply::json(code, &body)
}

/// The model's own answer, with its own status.
fn result(poll: &Poll<'_>) -> Reply {
    let ending = match poll.state {
        State::Ended(ending) => ending,
        _ => return detail(StatusCode::BAD_REQUEST, json!("Request is still in progress")),
    };
    match ending {
        Ending::Failed | Ending::Cancelled | Ending::Expired => {
            let body = json!({"detail": "The runner disconnected.", "error_type": "runner_disconnected"});
            Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body)
                .with(HeaderName::from_static("x-fal-error-type"), "runner_disconnected")
        }
        Ending::Filtered => detail(
            StatusCode::UNPROCESSABLE_ENTITY,
            json!([{
                "loc": ["body", "prompt"], "msg": "The content was flagged by a content checker.",
                "type": "content_policy_violation", "input": super::PROMPT,
                "url": "https://docs.fal.ai/errors#content_policy_violation",
            }]),
        ),
        Ending::NoOutput => Reply::ok(&json!({"seed": 1587})),
        Ending::Completed | Ending::PartlyFiltered | Ending::Inline => Reply::ok(&output(poll)),
    }
}

/// With `sync_mode` the file comes as a data URI.
fn output(poll: &Poll<'_>) -> Value {
    let url = match poll.ending {
        Ending::Inline => format!("data:video/mp4;base64,{}", media::base64()),
        _ => poll.file_url(),
    };
    json!({
        "video": {"url": url, "content_type": "video/mp4", "file_name": "output.mp4", "file_size": 1024},
        "seed": 1587,
    })
}

/// Statuses and words as clients report them; the shape is FastAPI's.
fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, message) = match refused.refusal {
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, "Authentication is required to access this application"),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "Invalid credentials"),
        Refusal::OutOfFunds => (StatusCode::FORBIDDEN, "User is locked. Reason: Exhausted balance."),
        Refusal::Malformed => {
            let wrong =
                json!([{"loc": ["path", "request_id"], "msg": "Input should be a valid UUID", "type": "uuid_parsing"}]);
            return detail(StatusCode::UNPROCESSABLE_ENTITY, wrong);
        }
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "Request not found"),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service temporarily unavailable"),
    };
    detail(status, json!(message))
}

fn detail(status: StatusCode, what: Value) -> Reply {
    Reply::json(status, &json!({"detail": what}))
}
