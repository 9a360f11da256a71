//! A video as JSON, kept so that it can be answered under any spelling of its id without being written anew.

use crate::video::{Media, Source, Status, Video, VideoBody};
use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest;
use std::fmt::Write as _;
use std::sync::LazyLock;
use uuid::Uuid;

/// What of an id stays as it is in a path: unreserved characters, and the colon and slashes that ids are made of.
const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

/// Stands for the start of our own content links while the JSON is written. It is drawn at start, so that no
/// provider's text can hold it.
static MARK: LazyLock<String> = LazyLock::new(|| format!("content-{}-", Uuid::new_v4().simple()));

/// The JSON of a video without its `extra_fields` and closing brace, in pieces: the id goes between the first two, the
/// start of a content link between all others.
#[derive(Debug)]
pub(super) struct VideoText {
    pieces: Vec<Bytes>,
    /// Of all pieces.
    digest: u128,
    pub status: Status,
    pub progress: u8,
    /// Unix seconds; when the result stops being downloadable.
    pub expires_at: Option<i64>,
    pub model: Option<String>,
    pub deployment: Option<String>,
    /// Code and message of a job that failed.
    pub error: Option<(String, String)>,
    /// Where the bytes of each of its videos are.
    pub results: Vec<Stored>,
}

/// One finished video.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub place: Place,
    pub content_type: String,
}

/// Where the bytes of a video are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Behind a link that anybody can fetch.
    Link(String),
    /// Behind the provider's credentials, see [`Source::Guarded`].
    Guarded(String),
    /// In the JSON itself.
    Inline,
}

/// How one client asks for a video.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spelling<'a> {
    /// The id as the client wrote it, decoded once.
    pub id: &'a str,
    /// `scheme://host` of our own links.
    pub origin: &'a str,
}

impl VideoText {
    pub fn new(video: &Video<'_>, provider: &str) -> VideoText {
        let body = VideoBody { id: "", provider, video, content_url: &MARK };
        // Writing to memory what has only strings for keys cannot fail.
        let mut json = serde_json::to_vec(&body).unwrap_or_default();
        json.pop();
        let hash = digest::digest(&digest::SHA256, &json);
        let digest = hash.as_ref().first_chunk().copied().map_or(0, u128::from_be_bytes);
        let marks = video.videos.iter().filter(|media| matches!(media.source, Source::Guarded(_))).count();
        VideoText {
            pieces: pieces(Bytes::from(json), marks),
            digest,
            status: video.status,
            progress: video.percent(),
            expires_at: video.expires_at,
            model: video.model.as_deref().map(str::to_owned),
            deployment: video.deployment.as_deref().map(str::to_owned),
            error: video.error.as_ref().map(|error| (error.code.to_string(), error.message.to_string())),
            results: video.videos.iter().map(Stored::of).collect(),
        }
    }

    /// The JSON string of base64 that is the video with this index, its closing quote included.
    pub fn inline(&self, index: usize) -> Option<Bytes> {
        // A quote inside a text has a backslash before it, so that this stands nowhere else.
        const KEY: &[u8] = b"\"base64\":\"";
        let is_inline = |stored: &&Stored| matches!(stored.place, Place::Inline);
        let mut before = self.results.get(..index)?.iter().filter(is_inline).count();
        for piece in &self.pieces {
            let mut rest = piece.clone();
            while let Some(at) = memchr::memmem::find(&rest, KEY) {
                rest = rest.slice(at + KEY.len()..);
                if before == 0 {
                    return Some(rest);
                }
                before -= 1;
            }
        }
        None
    }

    /// Bytes of the kept JSON.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// The JSON for one spelling, still open at its end. Only what differs is written; the pieces are shared.
    pub fn spelled(&self, spelling: &Spelling<'_>) -> Vec<Bytes> {
        let mut all = Vec::with_capacity(self.pieces.len() * 2);
        for (at, piece) in self.pieces.iter().enumerate() {
            match at {
                0 => {}
                1 => all.push(Bytes::from(escaped(spelling.id))),
                _ => all.push(Bytes::from(escaped(&spelling.content_url()))),
            }
            all.push(piece.clone());
        }
        all
    }

    /// A strong entity tag: it changes with the JSON and with the spelling, and with nothing else.
    pub fn etag(&self, spelling: &Spelling<'_>) -> HeaderValue {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&self.digest.to_be_bytes());
        for part in [spelling.id, "\0", spelling.origin] {
            hash.update(part.as_bytes());
        }
        strong_tag(hash.finish().as_ref())
    }
}

impl Stored {
    fn of(media: &Media<'_>) -> Stored {
        let place = match &media.source {
            Source::Link(link) => Place::Link(link.to_string()),
            Source::Guarded(address) => Place::Guarded(address.to_string()),
            Source::Base64(_) => Place::Inline,
        };
        Stored { place, content_type: media.content_type().to_owned() }
    }
}

/// An answer as it is sent to those who find it in the cache and ask in this way.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    id: Box<str>,
    origin: Box<str>,
    pub etag: HeaderValue,
    /// The whole body, in pieces.
    pub body: Vec<Bytes>,
}

impl Ready {
    pub fn new(spelling: &Spelling<'_>, etag: HeaderValue, body: Vec<Bytes>) -> Ready {
        Ready { id: spelling.id.into(), origin: spelling.origin.into(), etag, body }
    }

    pub fn fits(&self, spelling: &Spelling<'_>) -> bool {
        *self.id == *spelling.id && *self.origin == *spelling.origin
    }
}

impl Spelling<'_> {
    fn content_url(&self) -> String {
        format!("{}/v1/videos/{}/content?index=", self.origin, utf8_percent_encode(self.id, ID))
    }
}

/// Cuts the JSON after `{"id":"` and around each mark.
fn pieces(json: Bytes, marks: usize) -> Vec<Bytes> {
    let mut rest = json;
    let mut pieces = vec![rest.split_to(rest.len().min("{\"id\":\"".len()))];
    for _ in 0..marks {
        let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK.as_bytes()) else { break };
        pieces.push(rest.split_to(at));
        let _mark = rest.split_to(MARK.len());
    }
    pieces.push(rest);
    pieces
}

/// A strong entity tag made of the first half of a hash.
pub(super) fn strong_tag(hash: &[u8]) -> HeaderValue {
    let mut etag = String::with_capacity(34);
    etag.push('"');
    for byte in hash.iter().take(16) {
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    // Hexadecimal digits and quotes can stand in a header.
    HeaderValue::from_str(&etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Text as it stands inside a JSON string.
fn escaped(text: &str) -> String {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        return text.to_owned();
    }
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(videos: Vec<Media<'_>>) -> VideoText {
        let mut video = Video::new(Status::Completed);
        video.videos = videos;
        VideoText::new(&video, "openai")
    }

    fn spelled(text: &VideoText, id: &str) -> serde_json::Value {
        let spelling = Spelling { id, origin: "https://v.test" };
        let mut json: Vec<u8> = text.spelled(&spelling).concat();
        json.push(b'}');
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn the_id_and_our_links_are_put_in_for_each_client() {
        let text = text(vec![
            Media::guarded("/a"),
            Media::from_link("https://cdn.test/b.mp4".into()).unwrap(),
            Media::guarded("gs://b/c"),
        ]);
        let video = spelled(&text, "a%2Fb:openai");
        assert_eq!(video["id"], "a%2Fb:openai");
        let links: Vec<_> = (0..3).map(|at| video["videos"][at]["url"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            links,
            [
                "https://v.test/v1/videos/a%252Fb:openai/content?index=0",
                "https://cdn.test/b.mp4",
                "https://v.test/v1/videos/a%252Fb:openai/content?index=2",
            ]
        );
        assert_eq!(spelled(&text, "say \"x\"\\")["id"], "say \"x\"\\");
    }

    #[test]
    fn a_video_in_the_json_is_found_by_its_index() {
        let text = text(vec![
            Media::base64("AAAA"),
            Media::from_link("https://cdn.test/b.mp4".into()).unwrap(),
            Media::guarded("/a"),
            Media::base64("BBBB").with_content_type(Some("x\"base64\":\"y".into())),
            Media::base64("CCCC"),
        ]);
        for (index, want) in [(0, "AAAA\""), (3, "BBBB\""), (4, "CCCC\"")] {
            assert!(text.inline(index).unwrap().starts_with(want.as_bytes()), "{index}");
        }
        assert_eq!(text.inline(5), None);
    }

    #[test]
    fn the_tag_changes_with_the_text_and_with_the_spelling() {
        let (one, other) = (text(vec![]), text(vec![Media::guarded("/a")]));
        let spelling = Spelling { id: "x:openai", origin: "http://a" };
        assert_eq!(one.etag(&spelling), text(vec![]).etag(&spelling));
        assert_ne!(one.etag(&spelling), other.etag(&spelling));
        for changed in [Spelling { id: "y:openai", ..spelling }, Spelling { origin: "http://b", ..spelling }] {
            assert_ne!(one.etag(&spelling), one.etag(&changed));
        }
    }
}
