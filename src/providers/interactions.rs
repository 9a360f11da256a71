//! The Gemini API's interactions, which Veo's operations gave way to.
//!
//! <https://ai.google.dev/api/interactions-api>; fields and states as in `google/genai/_gaos/types/interactions/` of
//! <https://github.com/googleapis/python-genai>.

use super::Reply;
use super::google::{Failure, guard, media, moderation};
use super::states::{State, States};
use super::wire::{Maybe, Text, Time};
use crate::video::{ApiError, JobError, Media, Source, Status, Video};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// `InteractionStatus`. One that waits for its caller is not at an end. What an incomplete one has made is kept; without a
/// video it has failed, see [`ENDS`].
pub const STATES: States = &[
    ("queued", State::Queued),
    ("in_progress", State::InProgress),
    ("requires_action", State::InProgress),
    ("continuation_required", State::InProgress),
    ("completed", State::Completed),
    ("incomplete", State::Completed),
    ("failed", State::Failed),
    ("budget_exceeded", State::Failed),
    ("cancelled", State::Cancelled),
];

/// States that say why there is no video.
const ENDS: &[(&str, &str)] = &[
    ("incomplete", "The interaction ended before it was complete."),
    ("budget_exceeded", "The interaction used up its budget."),
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Interaction<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model: Text<'a>,
    created: Time,
    input: Blocks<'a>,
    /// The current form of what was said and made.
    steps: Blocks<'a>,
    /// The form before that.
    outputs: Blocks<'a>,
    /// The last video, as the SDK repeats it.
    output_video: Blocks<'a>,
    error: Maybe<Failure<'a>>,
    errors: Maybe<Vec<Maybe<Failure<'a>>>>,
}

/// A step, a turn or a part of its content.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    role: Text<'a>,
    text: Text<'a>,
    data: Text<'a>,
    uri: Text<'a>,
    mime_type: Text<'a>,
    content: Blocks<'a>,
    error: Maybe<Failure<'a>>,
}

/// Blocks, written as a list, as a lone block or as a lone text; anything else is none.
#[derive(Default)]
struct Blocks<'a>(Vec<Block<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Blocks<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlocksVisitor)
    }
}

struct BlocksVisitor;

impl<'de> Visitor<'de> for BlocksVisitor {
    type Value = Blocks<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Blocks::of_text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Blocks::of_text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Blocks(some)) = seq.next_element()? {
            all.extend(some);
        }
        Ok(Blocks(all))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let block = Block::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Blocks(vec![block]))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Blocks::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Blocks::default())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Blocks::default())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Blocks::default())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Blocks::default())
    }
}

/// What an interaction says about its job; the answer is a 2xx.
pub fn read_interaction<'a>(reply: &'a Reply) -> Result<Video<'a>, ApiError> {
    let interaction: Interaction<'a> = reply.json()?;
    let Some(word) = interaction.status.0 else {
        return Err(reply.invalid("as an interaction: it has no status"));
    };
    let end = ENDS.iter().find(|(known, _)| *known == word);
    let mut video = Video::in_state(word, STATES);
    video.model = interaction.model.0;
    video.created_at = interaction.created.0;
    let (said, made) = interaction.steps.split();
    video.prompt = interaction.input.lone_text().or_else(|| said.lone_text());

    let listed = interaction.errors.0.unwrap_or_default().into_iter().filter_map(|error| error.0);
    let mut failures: Vec<Failure<'a>> = interaction.error.0.into_iter().chain(listed).collect();
    // The first form that holds a video: the others repeat it.
    for blocks in [made, interaction.outputs, interaction.output_video] {
        let (videos, errors) = blocks.results();
        failures.extend(errors);
        if video.videos.is_empty() {
            video.videos = videos;
        }
    }
    let failure = failures.into_iter().next().map(Failure::into_job_error);
    tell_failure(&mut video, failure, end);
    Ok(video)
}

/// Adds what went wrong; a finished job with videos drops it again.
fn tell_failure<'a>(video: &mut Video<'a>, failure: Option<JobError<'a>>, end: Option<&(&'static str, &'static str)>) {
    if !matches!(video.status, Status::Completed | Status::Failed) {
        return;
    }
    let mut error = failure.unwrap_or_else(|| JobError::new("", ""));
    video.content_filter = moderation(&error.message);
    if let Some((code, text)) = end {
        error.code = Cow::Borrowed(code);
        error.message = if error.message.is_empty() { Cow::Borrowed(text) } else { error.message };
    }
    video.fail_with(error);
}

impl<'a> Blocks<'a> {
    fn of_text(text: Cow<'a, str>) -> Blocks<'a> {
        Blocks(vec![Block { text: Text(Some(text)), ..Block::default() }])
    }

    /// What was said and what came of it. Only what follows the last input is an answer to it.
    fn split(mut self) -> (Blocks<'a>, Blocks<'a>) {
        let last_input = self.0.iter().rposition(|step| step.r#type.as_deref() == Some("user_input"));
        let made = self.0.split_off(last_input.map_or(0, |index| index + 1));
        (self, Blocks(made))
    }

    /// The one text that the user wrote; `None` when there are several, for they make no prompt.
    fn lone_text(self) -> Option<Cow<'a, str>> {
        let mut texts = self.texts().into_iter();
        texts.next().filter(|text| !text.is_empty() && texts.next().is_none())
    }

    fn texts(self) -> Vec<Cow<'a, str>> {
        let is_users = |block: &Block<'a>| {
            block.role.as_deref() != Some("model")
                && matches!(block.r#type.as_deref(), None | Some("text") | Some("user_input"))
        };
        let users = self.0.into_iter().filter(is_users);
        users.flat_map(|block| block.content.texts().into_iter().chain(block.text.0)).collect()
    }

    /// The videos in these blocks and in the steps among them, and the errors of the steps.
    fn results(self) -> (Vec<Media<'a>>, Vec<Failure<'a>>) {
        let (mut videos, mut errors) = (Vec::new(), Vec::new());
        for block in self.0 {
            match block.r#type.as_deref() {
                Some("video") => videos.extend(block.into_media()),
                Some("model_output") => {
                    errors.extend(block.error.0);
                    videos.extend(block.content.results().0);
                }
                _ => {}
            }
        }
        (videos, errors)
    }
}

impl<'a> Block<'a> {
    fn into_media(self) -> Option<Media<'a>> {
        let media = media(self.uri.0, self.data.0, self.mime_type.0)?;
        Some(if is_googles(&media) { guard(media) } else { media })
    }
}

/// Google's own links need the key; any other is as public as it is.
fn is_googles(media: &Media<'_>) -> bool {
    let Source::Link(link) = &media.source else { return false };
    let url = url::Url::parse(link).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
    host == "googleapis.com" || host.ends_with(".googleapis.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(json: &'static str) -> Blocks<'static> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_prompt_is_the_one_text_of_the_user() {
        let table = [
            (r#""A cat""#, Some("A cat")),
            (r#"{"type":"text","text":"A cat"}"#, Some("A cat")),
            (r#"[{"type":"image","data":"AA"},{"type":"text","text":"A cat"}]"#, Some("A cat")),
            (r#"[{"type":"user_input","content":[{"type":"text","text":"A cat"}]}]"#, Some("A cat")),
            (r#"[{"role":"user","content":"A cat"},{"role":"model","content":"Sure"}]"#, Some("A cat")),
            (r#"["A cat",{"type":"text","text":"A dog"}]"#, None),
            (r#"[null,1,true,{"type":"thought","text":"no"}]"#, None),
            (r#""""#, None),
            ("7.5", None),
        ];
        for (json, want) in table {
            assert_eq!(blocks(json).lone_text().as_deref(), want, "{json}");
        }
    }

    #[test]
    fn long_inline_data_is_borrowed_from_the_answer() {
        let (videos, _) = blocks(r#"[{"type":"model_output","content":[{"type":"video","data":"AAAA"}]}]"#).results();
        assert!(matches!(videos[0].source, Source::Base64(Cow::Borrowed("AAAA"))));
    }

    #[test]
    fn only_googles_own_links_need_the_key() {
        let table = [
            ("https://generativelanguage.googleapis.com/v1beta/files/a:download", true),
            ("https://storage.googleapis.com/b/a.mp4", true),
            ("gs://bucket/a.mp4", true),
            ("https://cdn.example.com/a.mp4", false),
            ("https://googleapis.com.example.com/a.mp4", false),
            ("https://evilgoogleapis.com/a.mp4", false),
        ];
        for (uri, guarded) in table {
            let block = Block { uri: Text(Some(uri.into())), ..Block::default() };
            let media = block.into_media().unwrap();
            assert_eq!(matches!(media.source, Source::Guarded(_)), guarded, "{uri}");
        }
    }
}
