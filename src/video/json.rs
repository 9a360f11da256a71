//! A video body as JSON in memory, in one buffer of the right length: a video that stands in it is copied once.

use super::wire::Hollow;
use super::{Media, Source, VideoBody};

/// The keys, the punctuation and the values of a known length: of a body, and of one of its videos.
const FRAME: usize = 384;
const FRAME_OF_ITEM: usize = 64;

/// Where a video was left out. A quote inside a text has a backslash before it, so that this stands nowhere else.
const LEFT_OUT: &[u8] = b"\"base64\":\"\"";

/// Of a long text, so much is looked at before it is decided whether to go on.
const BLOCK: usize = 4096;

impl VideoBody<'_> {
    /// The JSON. Videos in base64 are put in last, without looking in each of their bytes for what to escape.
    pub fn to_json(&self) -> Vec<u8> {
        let inline: Vec<&str> = self.video.videos.iter().filter_map(base64).collect();
        if inline.is_empty() || !inline.iter().all(|data| is_plain(data)) {
            return written(self, self.length(true));
        }
        let hollow = written(&Hollow(self), self.length(false));
        let mut json = Vec::with_capacity(hollow.len() + inline.iter().map(|data| data.len()).sum::<usize>());
        let mut rest = hollow.as_slice();
        for data in inline {
            let at = memchr::memmem::find(rest, LEFT_OUT).map_or(rest.len(), |at| at + LEFT_OUT.len() - 1);
            let (before, after) = rest.split_at(at);
            json.extend_from_slice(before);
            json.extend_from_slice(data.as_bytes());
            rest = after;
        }
        json.extend_from_slice(rest);
        json
    }

    /// How long the JSON is at most, as long as nothing in it has to be escaped.
    fn length(&self, with_inline: bool) -> usize {
        let video = self.video;
        let texts = [&video.model, &video.prompt, &video.remixed_from].into_iter().flatten();
        let error = video.error.iter().flat_map(|error| [&error.code, &error.message]);
        let reasons = video.content_filter.iter().flat_map(|filter| &filter.reasons);
        let texts: usize = texts.chain(error).chain(reasons).map(|text| text.len() + "\"\",".len()).sum();
        let length_of = |media: &Media<'_>| {
            let source = match &media.source {
                Source::Link(link) => link.len(),
                Source::Base64(data) => {
                    if with_inline {
                        data.len()
                    } else {
                        0
                    }
                }
                // The index takes a few digits.
                Source::Guarded(_) => self.content_url.len() + 4,
            };
            FRAME_OF_ITEM + source + media.content_type().len()
        };
        let items: usize = video.videos.iter().map(length_of).sum();
        FRAME + self.id.len() + self.provider.len() + texts + items
    }
}

/// Writing to memory what has only strings for keys cannot fail.
fn written(body: &impl serde::Serialize, length: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(length);
    serde_json::to_writer(&mut json, body).map_or_else(|_| Vec::new(), |()| json)
}

fn base64<'a>(media: &'a Media<'_>) -> Option<&'a str> {
    match &media.source {
        Source::Base64(data) => Some(data),
        Source::Link(_) | Source::Guarded(_) => None,
    }
}

/// Whether a text stands in a JSON string as it is. A block is read without stopping in the middle, which the compiler
/// turns into instructions for many bytes at once.
fn is_plain(text: &str) -> bool {
    let is_fine = |byte: &u8| (*byte >= 0x20) & (*byte != b'"') & (*byte != b'\\');
    text.as_bytes().chunks(BLOCK).all(|block| block.iter().fold(true, |fine, byte| fine & is_fine(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{Status, Video};

    fn video(sources: &[&'static str]) -> Video<'static> {
        let mut video = Video::new(Status::Completed);
        video.prompt = Some(r#"say "base64":"" and \"#.into());
        let media = |text: &&'static str| match text.split_once(':') {
            Some(("https", _)) => Media::from_link((*text).into()).unwrap(),
            Some(_) => Media::guarded(*text),
            None => Media::base64(*text),
        };
        video.videos = sources.iter().map(media).collect();
        video
    }

    #[test]
    fn the_json_is_the_same_whatever_was_left_out_meanwhile() {
        let long: &str = "QUJD".repeat(BLOCK).leak();
        let table: &[&[&str]] = &[
            &[],
            &["https://a.test/b.mp4", "gs://a/b"],
            &[long],
            &["", "QUJD", "https://a.test/b.mp4", long, "gs://a/b", "REVG"],
            &["QUJD", "not \"base64\""],
            &["\u{1}", "back\\slash"],
        ];
        for sources in table {
            let video = video(sources);
            let body = VideoBody { id: "x:p", provider: "p", video: &video, content_url: "https://v.test/c?index=" };
            assert_eq!(body.to_json(), serde_json::to_vec(&body).unwrap(), "{sources:?}");
        }
    }

    #[test]
    fn nothing_has_to_grow_where_nothing_is_escaped() {
        for sources in [&["https://a.test/b.mp4", "gs://a/b"][..], &["QUJD"; 3]] {
            let mut video = video(sources);
            video.prompt = None;
            let body = VideoBody { id: "", provider: "p", video: &video, content_url: "content-" };
            assert!(body.to_json().len() <= body.length(true));
        }
    }

    #[test]
    fn what_would_be_escaped_is_seen_in_any_block() {
        for odd in ["\"", "\\", "\n", "\u{0}"] {
            assert!(!is_plain(&format!("{}{odd}A", "A".repeat(2 * BLOCK))), "{odd:?}");
        }
        assert!(is_plain("") && is_plain("AZaz09+/=-_") && is_plain("\u{e9}\u{7f}"));
    }
}
