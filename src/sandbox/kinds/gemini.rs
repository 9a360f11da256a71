//! Gemini API: Veo operations and interactions.
//!
//! ai.google.dev "Generate videos with Veo"; python-genai `_operations_converters.py` and `interactions/interaction.py`.

use super::{Ask, Kind, UNKNOWN_STATE, google, set};
use crate::sandbox::credentials::{BEARER, Credential};
use crate::sandbox::media;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use http::header::LOCATION;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "gemini",
    base: "/v1beta",
    docs: "https://ai.google.dev/gemini-api/docs/video",
    examples: &["models/veo-3.1-generate-preview/operations/k4w9s1tqzm00", "interactions/v1_Q2hkd2FYcHZlbnVz00"],
    credentials: &[Credential { header: "x-goog-api-key", scheme: "" }, BEARER],
    asks,
    answer,
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["models", _, "operations", _] | ["interactions", _]) => Ask::Job(segments.join("/")),
        ("GET" | "HEAD", ["files", file]) => match file.strip_suffix(":download") {
            Some(id) => Ask::Answered(download(request, id)),
            None => Ask::Unknown,
        },
        _ => Ask::Unknown,
    }
}

/// The real one redirects too: to another host, where the key must not go.
fn download(request: &Request<'_>, id: &str) -> Reply {
    let target = format!("{}/files/{id}.mp4", request.origin);
    Reply::new(StatusCode::FOUND, "text/html", "").with(LOCATION, &target)
}

fn answer(poll: &Poll<'_>) -> Reply {
    match poll.request.segments.first().map(String::as_str) {
        Some("interactions") => interaction(poll),
        _ => google::operation(poll, |ending| response(poll, ending)),
    }
}

fn response(poll: &Poll<'_>, ending: Ending) -> Value {
    let kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse";
    let samples = google::videos(ending, || match ending {
        Ending::Inline => json!({"video": {"encodedVideo": media::base64(), "encoding": "video/mp4"}}),
        _ => json!({"video": {"uri": file_uri(poll)}}),
    });
    let mut videos = json!({});
    if !samples.is_empty() {
        set(&mut videos, "generatedSamples", json!(samples));
    }
    if google::filtered(ending) > 0 {
        set(&mut videos, "raiMediaFilteredCount", json!(google::filtered(ending)));
        set(&mut videos, "raiMediaFilteredReasons", json!([google::FILTERED]));
    }
    json!({"@type": kind, "generateVideoResponse": videos})
}

/// Fetching it takes the same key as the poll.
fn file_uri(poll: &Poll<'_>) -> String {
    format!("{}/files/{}:download?alt=media", poll.request.base_url, poll.stem())
}

fn interaction(poll: &Poll<'_>) -> Reply {
    let status = match poll.state {
        State::Queued => "queued",
        State::InProgress(_) => "in_progress",
        State::Unknown => UNKNOWN_STATE,
        State::Ended(Ending::Failed | Ending::Filtered | Ending::Expired) => "failed",
        State::Ended(Ending::Cancelled) => "cancelled",
        State::Ended(_) => "completed",
    };
    let updated = match poll.state {
        State::Queued => poll.times.created,
        State::InProgress(_) | State::Unknown => poll.times.started,
        State::Ended(_) => poll.times.ended,
    };
    let mut steps = vec![google::user_input()];
    if let State::Ended(ending) = poll.state {
        steps.extend(output(poll, ending));
    }
    Reply::ok(&json!({
        "id": poll.job.trim_start_matches("interactions/"), "object": "interaction",
        "model": "gemini-omni-flash-preview", "status": status, "steps": steps,
        "created": format!("{:.0}", poll.times.created), "updated": format!("{updated:.0}"),
    }))
}

/// The step that the model adds, if it gets that far. How the API words a refusal by moderation is not documented;
/// the google.rpc.Status of a step is.
fn output(poll: &Poll<'_>, ending: Ending) -> Option<Value> {
    let step = |key: &str, value: Value| json!({"type": "model_output", key: value});
    let error = |code: u8, message: &str| step("error", json!({"code": code, "message": message}));
    match ending {
        Ending::Cancelled | Ending::NoOutput => None,
        Ending::Filtered => Some(error(3, google::FILTERED)),
        Ending::Failed | Ending::Expired => google::rpc_error(ending).map(|(code, message)| error(code, message)),
        Ending::Inline => {
            Some(step("content", json!([{"type": "video", "data": media::base64(), "mime_type": "video/mp4"}])))
        }
        Ending::Completed | Ending::PartlyFiltered => {
            Some(step("content", json!([{"type": "video", "uri": file_uri(poll), "mime_type": "video/mp4"}])))
        }
    }
}

/// Gemini differs where a key is wrong (400), where there is none (403) and where a job is not known (403).
fn refuse(refused: &Refused<'_>) -> Reply {
    match refused.refusal {
        Refusal::WrongCredentials => google::error(
            StatusCode::BAD_REQUEST,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            json!([google::info("API_KEY_INVALID")]),
        ),
        Refusal::NoCredentials => google::error(
            StatusCode::FORBIDDEN,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers. Please use API Key or other form of API consumer identity.",
            Value::Null,
        ),
        Refusal::UnknownJob => google::error(
            StatusCode::FORBIDDEN,
            "PERMISSION_DENIED",
            "You do not have permission to access the Operation or it may not exist.",
            Value::Null,
        ),
        _ => google::refuse(refused),
    }
}
