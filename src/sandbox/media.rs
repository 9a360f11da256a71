//! The one video that every finished job gives.

use super::reply::Reply;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;

/// An MP4 of one grey H.264 frame, 16 by 16, shown for a second: `ftyp`, `moov`, `mdat`.
static SAMPLE: &[u8] = include_bytes!("sample.mp4");

/// The video as a download.
pub fn download() -> Reply {
    Reply::new(StatusCode::OK, "video/mp4", Bytes::from_static(SAMPLE))
}

/// The video as an answer carries it inline.
pub fn base64() -> String {
    STANDARD.encode(SAMPLE)
}
