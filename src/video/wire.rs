//! The video object as clients read it: keys in their order, everything always present.

use super::{ContentFilter, JobError, Media, Source, Video};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Room for what a video says of itself besides its longest texts.
const USUAL: usize = 512;

/// A settled video, ready to be written, without `extra_fields`.
pub struct VideoBody<'a> {
    pub id: &'a str,
    /// The configured name of the provider, for ids of other jobs.
    pub provider: &'a str,
    pub video: &'a Video<'a>,
    /// Where a client gets the bytes of a guarded video: this, followed by its index.
    pub content_url: &'a str,
}

/// What is said about the answer rather than about the video.
#[derive(Debug, Serialize)]
pub struct ExtraFields<'a> {
    pub request_type: &'static str,
    pub provider: &'a str,
    pub model_requested: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_deployment: Option<&'a str>,
    /// Milliseconds that the exchange with the provider took; 0 when there was none.
    pub latency: u64,
    pub chunk_index: u32,
    /// When the poll cache took part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_debug: Option<CacheDebug<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_request: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_response: Option<&'a RawValue>,
}

/// What the poll cache had to do with an answer.
#[derive(Debug, Serialize)]
pub struct CacheDebug<'a> {
    /// No exchange was made for this request.
    pub cache_hit: bool,
    /// Names the entry; it says nothing about the job.
    pub cache_id: &'a str,
    /// `direct`, `coalesced` or `stale`, for a hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hit_type: Option<&'static str>,
    pub requested_provider: &'a str,
    pub requested_model: Option<&'a str>,
    pub provider_used: &'a str,
    pub model_used: Option<&'a str>,
}

impl VideoBody<'_> {
    /// The JSON, in one buffer of about the right length: a video that stands in it is copied once.
    ///
    /// By hand, since serializers look at every byte of every key and text one by one, and videos may be texts, too.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(USUAL + long_texts(self.video));
        self.write(&mut json);
        json
    }

    fn write(&self, json: &mut Vec<u8>) {
        let video = self.video;
        let remixed_from = video.remixed_from.as_ref().map(|job| format!("{job}:{}", self.provider));
        let size = video.size.map(|size| size.to_string());
        raw(json, "{\"id\":");
        text(json, self.id);
        raw(json, ",\"object\":\"video\",\"model\":");
        text_or_null(json, video.model.as_deref());
        raw(json, ",\"status\":");
        text(json, video.status.as_str());
        raw(json, ",\"progress\":");
        value(json, &video.percent());
        raw(json, ",\"prompt\":");
        text_or_null(json, video.prompt.as_deref());
        raw(json, ",\"remixed_from_video_id\":");
        text_or_null(json, remixed_from.as_deref());
        raw(json, ",\"seconds\":");
        text_or_null(json, video.seconds.as_deref());
        raw(json, ",\"size\":");
        text_or_null(json, size.as_deref());
        raw(json, ",\"created_at\":");
        value(json, &video.created_at);
        raw(json, ",\"completed_at\":");
        value(json, &video.completed_at);
        raw(json, ",\"expires_at\":");
        value(json, &video.expires_at);
        raw(json, ",\"videos\":[");
        for (index, media) in video.videos.iter().enumerate() {
            raw(json, if index == 0 { "" } else { "," });
            self.media(json, index, media);
        }
        raw(json, "],\"error\":");
        value(json, &video.error.as_ref().map(ErrorBody::from));
        raw(json, ",\"content_filter\":");
        value(json, &video.content_filter.as_ref().map(FilterBody::from));
        raw(json, "}");
    }

    fn media(&self, json: &mut Vec<u8>, index: usize, media: &Media<'_>) {
        match &media.source {
            Source::Link(link) => {
                raw(json, "{\"type\":\"url\",\"url\":");
                text(json, link);
            }
            Source::Guarded(_) => {
                raw(json, "{\"type\":\"url\",\"url\":");
                text(json, &format!("{}{index}", self.content_url));
            }
            Source::Base64(data) => {
                raw(json, "{\"type\":\"base64\",\"base64\":");
                text(json, data);
            }
        }
        raw(json, ",\"content_type\":");
        text(json, media.content_type());
        raw(json, "}");
    }
}

/// The length of what is longer than a few words.
fn long_texts(video: &Video<'_>) -> usize {
    let media = video.videos.iter().map(|media| match &media.source {
        Source::Link(text) | Source::Guarded(text) | Source::Base64(text) => 64 + text.len(),
    });
    video.prompt.as_ref().map_or(0, |prompt| prompt.len()) + media.sum::<usize>()
}

fn raw(json: &mut Vec<u8>, part: &str) {
    json.extend_from_slice(part.as_bytes());
}

/// A string; one with nothing to escape, which most are, is copied as a whole.
fn text(json: &mut Vec<u8>, text: &str) {
    if has_escapes(text) {
        return value(json, text);
    }
    json.reserve(text.len() + 2);
    raw(json, "\"");
    raw(json, text);
    raw(json, "\"");
}

fn text_or_null(json: &mut Vec<u8>, given: Option<&str>) {
    match given {
        Some(given) => text(json, given),
        None => raw(json, "null"),
    }
}

/// Writing to memory what has only strings for keys cannot fail.
fn value<T: Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(json, value);
}

/// Whether a text holds what cannot stand in a JSON string as it is. It is read to its end, many bytes at a time.
pub fn has_escapes(text: &str) -> bool {
    text.bytes().fold(false, |found, b| found | (b < 0x20) | (b == b'"') | (b == b'\\'))
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
}

impl<'a> From<&'a JobError<'a>> for ErrorBody<'a> {
    fn from(error: &'a JobError<'a>) -> Self {
        ErrorBody { code: &error.code, message: &error.message }
    }
}

#[derive(Serialize)]
struct FilterBody<'a> {
    filtered_count: Option<u64>,
    reasons: &'a [Cow<'a, str>],
}

impl<'a> From<&'a ContentFilter<'a>> for FilterBody<'a> {
    fn from(filter: &'a ContentFilter<'a>) -> Self {
        FilterBody { filtered_count: filter.filtered_count, reasons: &filter.reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Status;
    use proptest::prelude::*;
    use serde_json::{Value, from_slice};

    proptest! {
        #[test]
        fn texts_are_written_as_a_serializer_writes_them(given in any::<String>()) {
            let mut json = Vec::new();
            text(&mut json, &given);
            prop_assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&given).unwrap());
        }
    }

    #[test]
    fn every_key_is_there_whatever_is_known() {
        let mut video = Video::new(Status::Completed);
        video.videos = vec![Media::guarded("/a"), Media::base64("AA=="), Media::guarded("/b")];
        let body = VideoBody { id: "say \"x\"", provider: "p", video: &video, content_url: "https://v/content?index=" };
        let read: Value = from_slice(&body.to_json()).unwrap();
        assert_eq!(read.as_object().unwrap().len(), 15);
        assert_eq!((&read["id"], &read["model"], &read["error"]), (&"say \"x\"".into(), &Value::Null, &Value::Null));
        let link = |index: usize| read["videos"][index]["url"].as_str();
        assert_eq!((link(0), link(2)), (Some("https://v/content?index=0"), Some("https://v/content?index=2")));
        assert_eq!(read["videos"][1]["base64"], "AA==");
    }
}
