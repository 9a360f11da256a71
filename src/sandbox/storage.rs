//! Google Cloud Storage, as far as a finished Vertex job needs it: one object, behind a bearer token.

use super::credentials::{self, BEARER};
use super::media;
use super::outcome::Refusal;
use super::reply::Reply;
use super::request::{Recorded, segments};
use http::StatusCode;
use serde_json::json;

/// The bucket of every simulated job.
pub const BUCKET: &str = "vidgate-sandbox";

/// The answer to a call of the JSON API (<https://cloud.google.com/storage/docs/json_api/v1/objects/get>); `None` for
/// any other request.
pub fn answer(recorded: &Recorded) -> Option<Reply> {
    let segments = segments(recorded.path());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["storage", "v1", "b", bucket, "o", object] = segments.as_slice() else { return None };
    Some(match credentials::refusal(&[BEARER], &recorded.headers) {
        Some(Refusal::NoCredentials) => error(StatusCode::UNAUTHORIZED, "Anonymous caller does not have access."),
        Some(_) => error(StatusCode::UNAUTHORIZED, "Invalid Credentials"),
        None if *bucket != BUCKET || !object.ends_with(".mp4") => {
            error(StatusCode::NOT_FOUND, &format!("No such object: {bucket}/{object}"))
        }
        // Without it the answer is the object's description.
        None if recorded.query("alt").as_deref() != Some("media") => {
            Reply::ok(&json!({"kind": "storage#object", "bucket": bucket, "name": object, "contentType": "video/mp4"}))
        }
        None => media::download(),
    })
}

fn error(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": status.as_u16(), "message": message}}))
}
