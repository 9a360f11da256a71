//! What Google's video APIs share: the operation that Veo's jobs are, and the codes of google.rpc.
//!
//! Operations: <https://ai.google.dev/gemini-api/docs/video> and
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation>; the two spell the
//! response differently, and the SDK's `_operations_converters.py` (<https://github.com/googleapis/python-genai>) reads both.

use super::Reply;
use super::states::State;
use super::wire::{Flag, Items, Maybe, Number, Text};
use crate::video::{ApiError, ContentFilter, JobError, Media, Source, Video, may_be_video};
use serde::Deserialize;
use std::borrow::Cow;

/// Names of the codes 0 to 16: <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>.
const CODES: &[&str] = &[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Words of the texts with which Veo refuses a prompt or an image; the code says only "invalid argument":
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/video/responsible-ai-and-usage-guidelines>.
const MODERATION_WORDS: &[&str] = &[
    "support code",
    "responsible ai",
    "sensitive word",
    "violate",
    "safety",
    "blocked",
    "usage guidelines",
    "prohibited",
];

/// Codes under which a refusal can come: those of a fault in the request, and none. Others are about the service, whatever
/// their words.
const CODES_OF_REFUSALS: &[&str] = &["", "INVALID_ARGUMENT", "FAILED_PRECONDITION"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Operation<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    /// Left out while the job runs.
    done: Flag,
    error: Maybe<Failure<'a>>,
    response: Option<Response<'a>>,
}

/// `google.rpc.Status`: <https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto>.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Failure<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    message: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Response<'a> {
    /// The Gemini API wraps the response once more.
    #[serde(borrow)]
    generate_video_response: Option<Box<Response<'a>>>,
    videos: Items<Clip<'a>>,
    generated_samples: Items<Sample<'a>>,
    rai_media_filtered_count: Number,
    rai_media_filtered_reasons: Maybe<Reasons<'a>>,
    rai_error_message: Text<'a>,
    rai_text_filtered_reason: Maybe<TextFilter<'a>>,
}

/// A video in the Gemini API, and in Vertex AI's first version of the response.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sample<'a> {
    Media {
        #[serde(borrow, default)]
        video: Option<Clip<'a>>,
    },
    Link(#[serde(borrow)] Cow<'a, str>),
}

/// Where a video is, in the spellings of the Gemini API (`uri`, `encodedVideo`, `encoding`) and of Vertex AI.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Clip<'a> {
    #[serde(borrow)]
    uri: Text<'a>,
    gcs_uri: Text<'a>,
    encoded_video: Text<'a>,
    bytes_base64_encoded: Text<'a>,
    encoding: Text<'a>,
    mime_type: Text<'a>,
}

/// A list of texts, or a lone one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reasons<'a> {
    List(#[serde(borrow)] Items<Text<'a>>),
    Lone(#[serde(borrow)] Text<'a>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextFilter<'a> {
    Filtered {
        #[serde(borrow, default)]
        category: Text<'a>,
    },
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// The model in the name of an operation, `…models/{model}/operations/{operation}`.
pub fn model_of(operation: &str) -> Option<&str> {
    operation.rsplit('/').nth(2)
}

/// What an operation says about its job; the answer is a 2xx.
pub fn read_operation<'a>(reply: &'a Reply) -> Result<Video<'a>, ApiError> {
    let operation: Operation<'a> = reply.json()?;
    if operation.name.0.is_none() && operation.done.0.is_none() {
        return Err(reply.invalid("as an operation: it has neither a name nor an end"));
    }
    if operation.done.0 != Some(true) {
        return Ok(Video::in_known_state(State::InProgress));
    }
    Ok(match operation.error.0.filter(|error| !error.is_empty()) {
        Some(error) => failed(error),
        None => finished(operation.response.unwrap_or_default()),
    })
}

fn failed(failure: Failure<'_>) -> Video<'_> {
    let error = failure.into_job_error();
    let state = if error.code == "CANCELLED" { State::Cancelled } else { State::Failed };
    let mut video = Video::in_known_state(state);
    if CODES_OF_REFUSALS.contains(&&*error.code) {
        video.content_filter = moderation(&error.message);
    }
    video.fail_with(error);
    video
}

fn finished(response: Response<'_>) -> Video<'_> {
    let response = response.unwrapped();
    let mut video = Video::in_known_state(State::Completed);
    let listed = response.videos.into_iter();
    let samples = response.generated_samples.into_iter().map(Sample::into_clip);
    // Every link needs our credentials: a file of the Gemini API the key, a bucket the token.
    video.videos = listed.chain(samples).filter_map(Clip::into_media).map(guard).collect();

    let text_filter = response.rai_text_filtered_reason.0.and_then(TextFilter::into_reason);
    let reasons = response.rai_media_filtered_reasons.0.map(Reasons::into_texts).unwrap_or_default().into_iter();
    let reasons: Vec<Cow<'_, str>> = reasons.chain(response.rai_error_message.0).chain(text_filter).collect();
    let count = response.rai_media_filtered_count.whole();
    // A plain 0 beside videos is the whole truth; without videos the reasons are.
    let is_filtered = match count {
        Some(0) => video.videos.is_empty() && !reasons.is_empty(),
        Some(_) => true,
        None => !reasons.is_empty(),
    };
    if is_filtered {
        // Stands when nothing is left; a finished job with videos has no error.
        video.error = reasons.first().map(|reason| JobError::new("", reason.clone()));
        video.content_filter = Some(ContentFilter { filtered_count: count.filter(|count| *count > 0), reasons });
    }
    video
}

impl<'a> Failure<'a> {
    /// Code 0 is "OK".
    fn is_empty(&self) -> bool {
        matches!(self.code.as_deref(), None | Some("0")) && self.message.0.is_none()
    }

    /// With the name of the code, where it is one of google.rpc's numbers.
    pub fn into_job_error(self) -> JobError<'a> {
        let code = self.code.0.unwrap_or_default();
        let name = code.parse().ok().and_then(|number: usize| CODES.get(number));
        JobError { code: name.map_or(code, |name| Cow::Borrowed(*name)), message: self.message.0.unwrap_or_default() }
    }
}

impl<'a> Response<'a> {
    fn unwrapped(mut self) -> Response<'a> {
        match self.generate_video_response.take() {
            Some(inner) => *inner,
            None => self,
        }
    }
}

impl<'a> Sample<'a> {
    fn into_clip(self) -> Clip<'a> {
        match self {
            Sample::Media { video } => video.unwrap_or_default(),
            Sample::Link(uri) => Clip { uri: Text(Some(uri)), ..Clip::default() },
        }
    }
}

impl<'a> Clip<'a> {
    fn into_media(self) -> Option<Media<'a>> {
        let data = self.bytes_base64_encoded.0.or(self.encoded_video.0);
        media(self.gcs_uri.0.or(self.uri.0), data, self.mime_type.0.or(self.encoding.0))
    }
}

impl<'a> Reasons<'a> {
    fn into_texts(self) -> Vec<Cow<'a, str>> {
        match self {
            Reasons::List(texts) => texts.into_iter().filter_map(|text| text.0).collect(),
            Reasons::Lone(text) => text.0.into_iter().collect(),
        }
    }
}

impl<'a> TextFilter<'a> {
    fn into_reason(self) -> Option<Cow<'a, str>> {
        match self {
            TextFilter::Filtered { category } => category.0,
            TextFilter::Text(text) => Some(text).filter(|text| !text.is_empty()),
        }
    }
}

/// A video behind a link, else in the answer itself; `None` for what is neither or no video.
pub fn media<'a>(
    link: Option<Cow<'a, str>>,
    data: Option<Cow<'a, str>>,
    content_type: Option<Cow<'a, str>>,
) -> Option<Media<'a>> {
    let is_video = content_type.as_deref().is_none_or(may_be_video);
    let media = link.and_then(Media::from_link).or_else(|| data.map(Media::base64));
    media.filter(|_| is_video).map(|media| media.with_content_type(content_type))
}

/// A video whose link only the operator's credentials open.
pub fn guard(media: Media<'_>) -> Media<'_> {
    match media.source {
        Source::Link(link) => Media { source: Source::Guarded(link), ..media },
        _ => media,
    }
}

/// What a provider's text says about moderation: `None` when it is about something else.
pub fn moderation<'a>(message: &Cow<'a, str>) -> Option<ContentFilter<'a>> {
    let text = message.to_lowercase();
    let is_moderation = MODERATION_WORDS.iter().any(|word| text.contains(word));
    is_moderation.then(|| ContentFilter { filtered_count: None, reasons: vec![message.clone()] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    #[test]
    fn a_long_inline_video_is_borrowed_from_the_answer() {
        let bodies = [
            r#"{"done":true,"response":{"videos":[{"bytesBase64Encoded":"AAAA","mimeType":"video/mp4"}]}}"#,
            r#"{"done":true,"response":{"generateVideoResponse":{"generatedSamples":[{"video":{"encodedVideo":"AAAA"}}]}}}"#,
        ];
        for body in bodies {
            let reply = reply(200, body);
            let video = read_operation(&reply).unwrap();
            assert!(matches!(video.videos[0].source, Source::Base64(Cow::Borrowed("AAAA"))), "{body}");
        }
    }

    #[test]
    fn codes_have_their_names() {
        let table =
            [("3", "INVALID_ARGUMENT"), ("13", "INTERNAL"), ("16", "UNAUTHENTICATED"), ("99", "99"), ("x", "x")];
        for (code, name) in table {
            let failure = Failure { code: Text(Some(code.into())), message: Text(None) };
            assert_eq!(failure.into_job_error().code, name);
        }
    }
}
