//! The one video that every finished job gives, and its stills.

use super::reply::Reply;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT_RANGES, ETAG, LAST_MODIFIED};

/// Four seconds of a moving test card, 160 by 90, H.264 with a key frame each second; its index comes first.
static VIDEO: &[u8] = include_bytes!("video.mp4");
static THUMBNAIL: &[u8] = include_bytes!("thumbnail.webp");
/// Its four seconds side by side.
static SPRITESHEET: &[u8] = include_bytes!("spritesheet.jpg");

/// The video as a download.
pub fn download() -> Reply {
    file("video/mp4", VIDEO, "\"vidgate-sandbox-video\"")
}

/// A rendering of the video by the name that OpenAI's API has for it; the video itself without one.
pub fn rendering(variant: Option<&str>) -> Option<Reply> {
    match variant {
        None | Some("video") => Some(download()),
        Some("thumbnail") => Some(file("image/webp", THUMBNAIL, "\"vidgate-sandbox-thumbnail\"")),
        Some("spritesheet") => Some(spritesheet()),
        Some(_) => None,
    }
}

/// A picture in JPEG.
pub fn spritesheet() -> Reply {
    file("image/jpeg", SPRITESHEET, "\"vidgate-sandbox-spritesheet\"")
}

/// The video as an answer carries it inline.
pub fn base64() -> String {
    STANDARD.encode(VIDEO)
}

fn file(content_type: &'static str, bytes: &'static [u8], etag: &str) -> Reply {
    Reply::new(StatusCode::OK, content_type, Bytes::from_static(bytes))
        .with(ETAG, etag)
        .with(LAST_MODIFIED, "Thu, 01 Oct 2026 08:00:00 GMT")
        .with(ACCEPT_RANGES, "bytes")
}
