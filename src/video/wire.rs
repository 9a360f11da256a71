//! The video object as clients read it: keys in their order, everything always present.

use super::{JobError, Media, Source, Video};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

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

/// The same with nothing where videos in base64 stand.
pub(super) struct Hollow<'a>(pub &'a VideoBody<'a>);

impl Serialize for VideoBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write(serializer, false)
    }
}

impl Serialize for Hollow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer, true)
    }
}

impl VideoBody<'_> {
    fn write<S: Serializer>(&self, serializer: S, is_hollow: bool) -> Result<S::Ok, S::Error> {
        let video = self.video;
        let remixed_from = video.remixed_from.as_ref().map(|job| format!("{job}:{}", self.provider));
        let mut map = serializer.serialize_map(Some(15))?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry("object", "video")?;
        map.serialize_entry("model", &video.model)?;
        map.serialize_entry("status", &video.status)?;
        map.serialize_entry("progress", &video.percent())?;
        map.serialize_entry("prompt", &video.prompt)?;
        map.serialize_entry("remixed_from_video_id", &remixed_from)?;
        map.serialize_entry("seconds", &video.seconds)?;
        map.serialize_entry("size", &video.size)?;
        map.serialize_entry("created_at", &video.created_at)?;
        map.serialize_entry("completed_at", &video.completed_at)?;
        map.serialize_entry("expires_at", &video.expires_at)?;
        map.serialize_entry("videos", &Videos { media: &video.videos, content_url: self.content_url, is_hollow })?;
        map.serialize_entry("error", &video.error.as_ref().map(ErrorBody::from))?;
        map.serialize_entry(
            "content_filter",
            &video
                .content_filter
                .as_ref()
                .map(|filter| FilterBody { filtered_count: filter.filtered_count, reasons: &filter.reasons }),
        )?;
        map.end()
    }
}

struct Videos<'a> {
    media: &'a [Media<'a>],
    content_url: &'a str,
    is_hollow: bool,
}

impl Serialize for Videos<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.media.len()))?;
        for (index, media) in self.media.iter().enumerate() {
            list.serialize_element(&Item { index, media, content_url: self.content_url, is_hollow: self.is_hollow })?;
        }
        list.end()
    }
}

struct Item<'a> {
    index: usize,
    media: &'a Media<'a>,
    content_url: &'a str,
    is_hollow: bool,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        match &self.media.source {
            Source::Link(link) => {
                map.serialize_entry("type", "url")?;
                map.serialize_entry("url", link)?;
            }
            Source::Guarded(_) => {
                map.serialize_entry("type", "url")?;
                map.serialize_entry("url", &format_args!("{}{}", self.content_url, self.index))?;
            }
            Source::Base64(data) => {
                map.serialize_entry("type", "base64")?;
                map.serialize_entry("base64", if self.is_hollow { "" } else { data })?;
            }
        }
        map.serialize_entry("content_type", self.media.content_type())?;
        map.end()
    }
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
    reasons: &'a [std::borrow::Cow<'a, str>],
}
