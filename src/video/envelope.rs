//! The body of every answer that is not a video.

use super::ApiError;
use serde::Serialize;

/// The error envelope; its field names are those of the API shape that clients already parse.
#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    event_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    is_bifrost_error: bool,
    status_code: u16,
    error: Inner<'a>,
    extra_fields: Extra<'a>,
}

#[derive(Debug, Serialize)]
struct Inner<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    code: &'a str,
    message: String,
    param: Option<&'a str>,
    event_id: &'a str,
}

#[derive(Debug, Serialize)]
struct Extra<'a> {
    provider: Option<&'a str>,
    model_requested: Option<&'a str>,
    request_type: &'static str,
}

impl<'a> Envelope<'a> {
    /// `provider` is the configured name, as soon as it is known.
    pub fn new(error: &'a ApiError, request_id: &'a str, provider: Option<&'a str>) -> Self {
        Envelope {
            event_id: request_id,
            kind: error.kind.kind(),
            is_bifrost_error: error.is_ours(),
            status_code: error.status().as_u16(),
            error: Inner {
                kind: error.inner_type(),
                code: error.code(),
                message: error.message(provider),
                param: error.inner_param(),
                event_id: request_id,
            },
            extra_fields: Extra { provider, model_requested: None, request_type: "video_retrieve" },
        }
    }
}
