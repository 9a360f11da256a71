//! Vertex AI Veo: a POST that names the operation. Vertex "Veo video generation API" reference; Discovery
//! `CloudAiLargeModelsVisionGenerateVideoResponse`.

use super::{Ask, Kind, google, set};
use crate::sandbox::credentials::{BEARER, Credential};
use crate::sandbox::media;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use crate::sandbox::storage::BUCKET;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "vertex",
    base: "/v1",
    docs: "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation",
    examples: &[
        "projects/sandbox-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001/operations/\
         3f6b1d8e-52c4-4a97-b0e3-9d7c21f4a600",
    ],
    credentials: &[BEARER, Credential { header: "x-goog-api-key", scheme: "" }],
    asks,
    answer: |poll| google::operation(poll, |ending| response(poll, ending)),
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("POST", [resource @ .., last]) => match last.strip_suffix(":fetchPredictOperation") {
            Some(model) => named(request, &format!("{}/{model}/operations/", resource.join("/"))),
            None => Ask::Unknown,
        },
        ("GET", ["projects", .., "operations", operation]) => Ask::Answered(wrong_verb(operation)),
        _ => Ask::Unknown,
    }
}

/// The operation that the body names, which must be one of the model in the path.
fn named(request: &Request<'_>, prefix: &str) -> Ask {
    match request.json().get("operationName").and_then(Value::as_str) {
        Some(name) if name.starts_with(prefix) => Ask::Job(name.to_owned()),
        _ => Ask::Answered(invalid(&format!("Invalid operation name: it must begin with {prefix}"))),
    }
}

/// What a plain GET of the operation gets, as seen live.
fn wrong_verb(operation: &str) -> Reply {
    invalid(&format!("The Operation ID must be a Long, but was instead: {operation}"))
}

fn invalid(message: &str) -> Reply {
    google::error(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message, Value::Null)
}

fn response(poll: &Poll<'_>, ending: Ending) -> Value {
    let videos = google::videos(ending, || match ending {
        Ending::Inline => json!({"bytesBase64Encoded": media::base64(), "mimeType": "video/mp4"}),
        _ => json!({"gcsUri": format!("gs://{BUCKET}/{}/sample_0.mp4", poll.stem()), "mimeType": "video/mp4"}),
    });
    let filtered = google::filtered(ending);
    let mut response = json!({
        "@type": "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse",
        "raiMediaFilteredCount": filtered,
    });
    if !videos.is_empty() {
        set(&mut response, "videos", json!(videos));
    }
    if filtered > 0 {
        set(&mut response, "raiMediaFilteredReasons", json!([google::FILTERED]));
    }
    response
}

fn refuse(refused: &Refused<'_>) -> Reply {
    let reply = google::refuse(refused);
    match refused.refusal {
        Refusal::NoCredentials | Refusal::WrongCredentials => {
            reply.with(WWW_AUTHENTICATE, "Bearer realm=\"https://accounts.google.com/\"")
        }
        _ => reply,
    }
}
