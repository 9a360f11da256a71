//! Together AI: one video job, told in one of two shapes.
//!
//! Fields: <https://docs.together.ai/reference/get-videos-id> has the job as it is, <https://docs.together.ai/docs/videos-overview>
//! a sample with other names for the end and the errors, and with what the job was asked for.

use super::dialect::{failure, said};
use super::job::{Job, JobRule, is_uuid};
use super::states::{State, States};
use super::verdict::Failure;
use super::wire::{Items, Maybe, Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, Lifetime, Media, Size, Status, Video, seconds_from_text};
use serde::Deserialize;
use std::time::Duration;

pub static TOGETHER: Provider = Provider {
    kind: "together",
    title: "Together AI",
    docs: "https://docs.together.ai/reference/get-videos-id",
    // Version 2 for videos alone.
    base_url: BaseUrl::Fixed("https://api.together.xyz/v2"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "a UUID",
        examples: &["019a3c5e-8f17-7b24-a6d0-42e91b7c58f3"],
        slashes: false,
        accepts: is_uuid,
        project: None,
    },
    // The samples of <https://docs.together.ai/docs/videos-overview> wait 5 s.
    poll_interval: Duration::from_secs(5),
    // Links expire, but the documentation does not say when.
    result_lifetime: Lifetime::Unknown,
    // Short links, such as https://api.together.ai/shrt/…: <https://docs.together.ai/docs/videos-overview>.
    link_hosts: &["api.together.ai", "api.together.xyz"],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://docs.together.ai/docs/videos-overview>; the reference has the middle three.
const STATES: States = &[
    ("queued", State::Queued),
    ("in_progress", State::InProgress),
    ("completed", State::Completed),
    ("failed", State::Failed),
    ("cancelled", State::Cancelled),
];

/// No page says how moderation is told: the models are of many makers. These are the usual words.
const MODERATION_SIGNS: &[&str] =
    &["content filter", "content_filter", "content policy", "moderation", "nsfw", "safety"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct VideoJob<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model: Text<'a>,
    seconds: Text<'a>,
    size: Text<'a>,
    created_at: Time,
    completed_at: Time,
    error: Maybe<Failure<'a>>,
    outputs: Maybe<Outputs<'a>>,
    // The other shape.
    done_at: Time,
    info: Maybe<Info<'a>>,
    inputs: Maybe<Inputs<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Outputs<'a> {
    #[serde(borrow)]
    video_url: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Info<'a> {
    #[serde(borrow)]
    errors: Maybe<Errors<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Errors<'a> {
    List(#[serde(borrow)] Items<Failure<'a>>),
    One(#[serde(borrow)] Failure<'a>),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Inputs<'a> {
    #[serde(borrow)]
    prompt: Text<'a>,
    seconds: Text<'a>,
    width: Number,
    height: Number,
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/videos/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_job(reply).into()
}

fn read_job(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        return Err(failure(reply, said(reply)));
    }
    let job: VideoJob<'_> = reply.json()?;
    let Some(word) = job.status.0 else {
        return Err(reply.invalid("as a video job: it has no status"));
    };
    let inputs = job.inputs.0.unwrap_or_default();
    let mut video = Video::in_state(word, STATES);
    video.model = job.model.0;
    video.prompt = inputs.prompt.0;
    video.seconds = [&job.seconds, &inputs.seconds].into_iter().find_map(|text| seconds_from_text(text.as_deref()?));
    video.size =
        job.size.as_deref().and_then(Size::parse).or_else(|| Size::new(inputs.width.pixels(), inputs.height.pixels()));
    video.created_at = job.created_at.0;
    video.completed_at = job.completed_at.0.or(job.done_at.0);
    video.videos.extend(job.outputs.0.and_then(|outputs| Media::from_link(outputs.video_url.0?)));
    let failure = job.error.0.or_else(|| job.info.0?.errors.0?.into_first());
    if video.status == Status::Failed
        && let Some(failure) = failure
    {
        video.fail_by_signs(failure.into_error(), MODERATION_SIGNS);
    }
    Ok(video)
}

impl<'a> Errors<'a> {
    fn into_first(self) -> Option<Failure<'a>> {
        match self {
            Errors::List(list) => list.into_iter().next(),
            Errors::One(failure) => Some(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    #[test]
    fn times_are_numbers_or_texts_and_errors_stand_in_one_of_two_places() {
        let table = [
            r#""created_at":1760000000,"completed_at":1760000180,"error":{"code":"c","message":"m"}"#,
            r#""created_at":"2025-10-09T08:53:20.154Z","completed_at":"2025-10-09T08:56:20Z","info":{"errors":{"code":"c","message":"m"}}"#,
            r#""created_at":"1760000000","done_at":"2025-10-09T08:56:20Z","info":{"errors":[{"code":"c","message":"m"},"n"]}"#,
            r#""created_at":1760000000000,"completed_at":"0001-01-01T00:00:00Z","done_at":1760000180,"error":null,"info":{"errors":[null,{"code":"c","message":"m"}]}"#,
        ];
        for fields in table {
            let reply = reply(200, &format!(r#"{{"status":"failed",{fields}}}"#));
            let video = read_job(&reply).unwrap();
            assert_eq!((video.created_at, video.completed_at), (Some(1_760_000_000), Some(1_760_000_180)), "{fields}");
            let error = video.error.unwrap();
            assert_eq!((&*error.code, &*error.message), ("c", "m"), "{fields}");
        }
    }
}
