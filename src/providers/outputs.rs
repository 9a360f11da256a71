//! The videos in a result that has no fixed shape: a link, a list, an object, or one inside the other.
//!
//! Providers that run anybody's models pass on what the model returns. A link counts by where it stands and how it
//! ends, and by the content type beside it, so that thumbnails, last frames and sound do not become videos.

use super::wire::Text;
use crate::video::{Media, content_type_of, may_be_video};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Results are a few levels deep; what lies deeper is passed over.
const DEEPEST: usize = 8;

/// Videos found in a value of any shape, in its order, each once. A value without any is not an error.
#[derive(Debug, Default)]
pub struct Videos<'a>(pub Vec<Media<'a>>);

/// What the place of a link says of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It holds videos; only an ending of another kind speaks against it.
    OfVideos,
    /// It may hold anything; only an ending of a video speaks for it.
    Unknown,
    /// It holds no videos, whatever the ending.
    OfOthers,
}

/// Parts of an object's keys; the first that fits decides.
const KEYS: &[(&str, Place)] = &[
    ("thumb", Place::OfOthers),
    ("frame", Place::OfOthers),
    ("cover", Place::OfOthers),
    ("poster", Place::OfOthers),
    ("preview", Place::OfOthers),
    ("input", Place::OfOthers),
    ("video", Place::OfVideos),
    ("audio", Place::OfOthers),
    ("image", Place::OfOthers),
    ("subtitle", Place::OfOthers),
    ("caption", Place::OfOthers),
    ("mask", Place::OfOthers),
    ("url", Place::OfVideos),
    ("uri", Place::OfVideos),
    ("output", Place::OfVideos),
    ("mp4", Place::OfVideos),
    ("file", Place::OfVideos),
];

/// The keys under which an object says what its link leads to.
const CONTENT_TYPE_KEYS: &[&str] = &["content_type", "mime_type"];

fn place_of(key: &str) -> Place {
    let key = key.to_ascii_lowercase();
    KEYS.iter().find(|(part, _)| key.contains(part)).map_or(Place::Unknown, |(_, place)| *place)
}

impl<'de: 'a, 'a> Deserialize<'de> for Videos<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut found = Vec::new();
        Finder { found: &mut found, place: Place::OfVideos, levels: DEEPEST }.deserialize(deserializer)?;
        Ok(Videos(found))
    }
}

/// Looks through one value and adds the videos in it.
struct Finder<'f, 'de> {
    found: &'f mut Vec<Media<'de>>,
    place: Place,
    /// How many levels below this one are still looked into.
    levels: usize,
}

impl<'de> Finder<'_, 'de> {
    fn add(self, link: Cow<'de, str>) {
        let counts = match self.place {
            Place::OfVideos => true,
            Place::Unknown => ends_as_video(&link),
            Place::OfOthers => false,
        };
        let media = if counts { Media::from_link(link) } else { None };
        // One file may stand under several keys.
        let is_new = |media: &Media<'de>| !self.found.iter().any(|known| known.source == media.source);
        let media = media.filter(is_new);
        self.found.extend(media);
    }

    /// The same search in a place one level below; `None` where nothing is to be found.
    fn below(&mut self, place: Place) -> Option<Finder<'_, 'de>> {
        let levels = self.levels.checked_sub(1).filter(|_| place != Place::OfOthers)?;
        Some(Finder { found: &mut *self.found, place, levels })
    }
}

/// Gives the videos of an object from this one on the content type that the object states, or takes them away by it.
fn state_content_type<'de>(found: &mut Vec<Media<'de>>, first: usize, stated: Text<'de>) {
    let Some(stated) = stated.0 else { return };
    if !may_be_video(&stated) {
        return found.truncate(first);
    }
    for media in found.iter_mut().skip(first).filter(|media| media.content_type.is_none()) {
        media.content_type = Some(stated.clone());
    }
}

fn ends_as_video(link: &str) -> bool {
    // Data in the link itself has no ending, and may be long.
    match link.starts_with("data:") {
        true => link.starts_with("data:video/"),
        false => content_type_of(link).is_some_and(|kind| kind.starts_with("video/")),
    }
}

impl<'de> DeserializeSeed<'de> for Finder<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Finder<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.add(Cow::Borrowed(text));
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.add(Cow::Owned(text.to_owned()));
        Ok(())
    }
    fn visit_string<E>(self, text: String) -> Result<(), E> {
        self.add(Cow::Owned(text));
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let element = match self.below(self.place) {
                Some(finder) => seq.next_element_seed(finder)?,
                None => seq.next_element::<IgnoredAny>()?.map(drop),
            };
            if element.is_none() {
                return Ok(());
            }
        }
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (first, mut stated) = (self.found.len(), Text::default());
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let key = key.as_deref().unwrap_or_default();
            if CONTENT_TYPE_KEYS.contains(&key) {
                stated = map.next_value()?;
                continue;
            }
            let place = place_of(key);
            match self.below(place) {
                Some(finder) => map.next_value_seed(finder)?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        state_content_type(self.found, first, stated);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Source;

    fn links(json: &str) -> Vec<String> {
        let videos: Videos<'_> = serde_json::from_str(json).unwrap();
        let text = |media: Media<'_>| match media.source {
            Source::Link(link) | Source::Guarded(link) => link.into_owned(),
            Source::Base64(data) => format!("base64 {data}"),
        };
        videos.0.into_iter().map(text).collect()
    }

    #[test]
    fn videos_are_found_in_any_shape() {
        let table: &[(&str, &[&str])] = &[
            (r#""https://a/v.mp4""#, &["https://a/v.mp4"]),
            (r#""https://a/v""#, &["https://a/v"]),
            (r#""data:video/webm;base64,AAAA""#, &["base64 AAAA"]),
            (
                r#"["https://a/1.mp4","https://a/2.png","https:\/\/a\/3.webm"]"#,
                &["https://a/1.mp4", "https://a/3.webm"],
            ),
            (r#"[[["https://a/1.mp4"]]]"#, &["https://a/1.mp4"]),
            (r#"{"video":"https://a/v","thumbnail":"https://a/t","seed":7}"#, &["https://a/v"]),
            (r#"{"video":{"url":"https://a/v","thumbnail_url":"https://a/t.mp4"}}"#, &["https://a/v"]),
            (
                r#"{"captioned_video":"https://a/v","subtitles":{"url":"https://a/s.vtt"},"captions":"https://a/c"}"#,
                &["https://a/v"],
            ),
            (r#"{"output":["https://a/1","https://a/2"]}"#, &["https://a/1", "https://a/2"]),
            (r#"[{"url":"https://a/1"},{"mp4":"https://a/2"}]"#, &["https://a/1", "https://a/2"]),
            (r#"{"last_frame":"https://a/l","audio_url":"https://a/s","image":"https://a/i"}"#, &[]),
            (r#"{"upscaled":"https://a/u.mp4","report":"https://a/r","notes":["https://a/n"]}"#, &["https://a/u.mp4"]),
            (r#"{"a":"data:video/mp4;base64,AA","b":"data:image/png;base64,AA"}"#, &["base64 AA"]),
            (r#"{"video":"https://a/v.mp4","url":"https://a/v.mp4"}"#, &["https://a/v.mp4"]),
            (r#"["words"," and"," more"]"#, &[]),
            ("null", &[]),
            ("7.5", &[]),
            ("-7", &[]),
            ("true", &[]),
            ("{}", &[]),
        ];
        for (json, want) in table {
            assert_eq!(&links(json), want, "{json}");
        }
    }

    #[test]
    fn the_content_type_beside_a_link_is_its_own() {
        let table: &[(&str, &[&str])] = &[
            (r#"{"video":{"url":"https://a/v","content_type":"video/webm"}}"#, &["video/webm"]),
            (r#"{"content_type":"video/webm","url":"https://a/v.mp4"}"#, &["video/webm"]),
            (
                r#"{"videos":[{"url":"https://a/1","mime_type":"video/webm"},{"url":"https://a/2"}]}"#,
                &["video/webm", "video/mp4"],
            ),
            (
                r#"{"video":{"url":"https://a/v","content_type":"application/octet-stream"}}"#,
                &["application/octet-stream"],
            ),
            (
                r#"{"video":{"url":"https://a/v"},"sheet":{"url":"https://a/s","content_type":"image/jpeg"}}"#,
                &["video/mp4"],
            ),
            (r#"{"video":{"url":"https://a/v","content_type":null}}"#, &["video/mp4"]),
            (
                r#"{"url":"https://a/v","content_type":"video/webm","videos":[{"url":"https://a/v","content_type":"video/webm"}]}"#,
                &["video/webm"],
            ),
        ];
        for (json, want) in table {
            let videos: Videos<'_> = serde_json::from_str(json).unwrap();
            let got: Vec<&str> = videos.0.iter().map(Media::content_type).collect();
            assert_eq!(&got, want, "{json}");
        }
    }

    #[test]
    fn what_lies_too_deep_is_passed_over() {
        let nested = |levels: usize| format!("{}\"https://a/v.mp4\"{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(links(&nested(DEEPEST)), ["https://a/v.mp4"]);
        assert!(links(&nested(DEEPEST + 1)).is_empty());
        assert!(links(&nested(100)).is_empty());
    }

    #[test]
    fn inline_videos_are_not_copied() {
        let videos: Videos<'_> = serde_json::from_str(r#"{"video":"data:video/mp4;base64,AAAA"}"#).unwrap();
        assert!(matches!(videos.0[0].source, Source::Base64(Cow::Borrowed("AAAA"))));
    }
}
