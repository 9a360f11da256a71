//! A video as JSON, kept so that it can be answered under any spelling of its id without being written anew.

use super::body::{Body, Pieces};
use crate::video::{Media, Source, Status, Video, VideoBody, has_escapes};
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;
use std::sync::LazyLock;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3Default;

/// What of an id stays as it is in a path: unreserved characters, and the colon and slashes that ids are made of.
const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

/// Stands for the start of our own content links while the JSON is written. It is drawn at start, so that no
/// provider's text can hold it.
static MARK: LazyLock<String> = LazyLock::new(|| format!("content-{}-", Uuid::new_v4().simple()));

/// How the JSON of a video begins; its id follows.
const BEGIN: &[u8] = b"{\"id\":\"";

/// Room for what an answer says besides the video: its id and `extra_fields`.
const REST: usize = 512;

/// The JSON of a video after its id and without its `extra_fields` and closing brace, in pieces: the start of a content
/// link goes between each two.
#[derive(Debug)]
pub(super) struct VideoText {
    first: Bytes,
    rest: Vec<Bytes>,
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
        let mut json = body.to_json();
        json.pop();
        let mut json = Bytes::from(json);
        json.advance(json.len().min(BEGIN.len()));
        let marks = video.videos.iter().filter(|media| matches!(media.source, Source::Guarded(_))).count();
        let (first, rest) = pieces(json, marks);
        VideoText {
            digest: digest([&first].into_iter().chain(&rest).map(|piece| &piece[..])),
            first,
            rest,
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
        for piece in self.pieces() {
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
        self.pieces().map(Bytes::len).sum()
    }

    /// The JSON for one spelling, still open at its end. Only what differs is written; large pieces are shared.
    pub fn spelled(&self, spelling: &Spelling<'_>) -> Pieces {
        let mut all = Pieces::with_room_for(self.len() + REST);
        all.end().extend_from_slice(BEGIN);
        all.end().extend_from_slice(escaped(spelling.id).as_bytes());
        all.share(&self.first);
        if !self.rest.is_empty() {
            let content_url = spelling.content_url();
            for piece in &self.rest {
                all.end().extend_from_slice(escaped(&content_url).as_bytes());
                all.share(piece);
            }
        }
        all
    }

    /// A strong entity tag: it changes with the JSON and with the spelling, and with nothing else.
    pub fn etag(&self, spelling: &Spelling<'_>) -> HeaderValue {
        let parts = [spelling.id, "\0", spelling.origin].map(str::as_bytes);
        strong_tag(digest([&self.digest.to_be_bytes()[..]].into_iter().chain(parts)))
    }

    fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        [&self.first].into_iter().chain(&self.rest)
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
    /// Those that are the same for all of them.
    pub headers: HeaderMap,
    pub body: Body,
}

impl Ready {
    pub fn new(spelling: &Spelling<'_>, etag: HeaderValue, headers: HeaderMap, body: Body) -> Ready {
        Ready { id: spelling.id.into(), origin: spelling.origin.into(), etag, headers, body }
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

/// Cuts the JSON around each mark.
fn pieces(json: Bytes, marks: usize) -> (Bytes, Vec<Bytes>) {
    let (mut rest, mut pieces) = (json, Vec::with_capacity(marks));
    for _ in 0..marks {
        let Some(at) = memchr::memmem::find(&rest, MARK.as_bytes()) else { break };
        pieces.push(rest.split_to(at));
        let _mark = rest.split_to(MARK.len());
    }
    pieces.push(rest);
    let first = pieces.remove(0);
    (first, pieces)
}

/// What texts differ by: not for secrets, since whoever wants to can find two with the same.
fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u128 {
    let mut hash = Xxh3Default::new();
    parts.for_each(|part| hash.update(part));
    hash.digest128()
}

/// A strong entity tag made of a hash.
pub(super) fn strong_tag(hash: u128) -> HeaderValue {
    let tag = ["\"", &hex(hash), "\""].concat();
    // Hexadecimal digits and quotes can stand in a header.
    HeaderValue::from_maybe_shared(Bytes::from(tag)).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// 32 hexadecimal digits.
pub(super) fn hex(number: u128) -> String {
    Uuid::from_u128(number).simple().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

/// Text as it stands inside a JSON string.
fn escaped(text: &str) -> Cow<'_, str> {
    if !has_escapes(text) {
        return Cow::Borrowed(text);
    }
    let quoted = serde_json::Value::from(text).to_string();
    Cow::Owned(quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned())
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
        let mut pieces = text.spelled(&spelling);
        pieces.end().push(b'}');
        let body = pieces.finish();
        serde_json::from_slice(&[&[body.first][..], &body.rest].concat().concat()).unwrap()
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
