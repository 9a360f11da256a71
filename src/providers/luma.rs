//! Luma: Dream Machine, and its successor, the Agents API.
//!
//! Fields: <https://docs.lumalabs.ai/docs/api> and <https://docs.agents.lumalabs.ai/api/resources/generations/methods/get>.
//! Both tell of a generation at the same path and are told apart by their base URL alone; each has fields that the
//! other has not. Neither says when a job ended or how large its video is.

use super::dialect::{Texts, failure_by_text, said};
use super::job::{Job, JobRule, is_uuid};
use super::states::{State, States};
use super::wire::{Items, Maybe, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ErrorKind, JobError, Lifetime, Media, Status, Video, seconds_from_text};
use serde::Deserialize;
use std::time::Duration;

pub static LUMA: Provider = Provider {
    kind: "luma",
    title: "Luma: Dream Machine and the Agents API",
    docs: "https://docs.lumalabs.ai/docs/api",
    // The Agents API is at https://agents.lumalabs.ai/v1, with keys of its own.
    base_url: BaseUrl::Fixed("https://api.lumalabs.ai/dream-machine/v1"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "a UUID",
        examples: &["6f0d2c81-35b9-4e7a-a1c4-9d58e0b7f326"],
        slashes: false,
        accepts: is_uuid,
        project: None,
    },
    // The samples of <https://docs.lumalabs.ai/docs/python-video-generation> wait 3 s.
    poll_interval: Duration::from_secs(3),
    // Not documented for Dream Machine; links of the Agents API are signed for an hour and say so.
    result_lifetime: Lifetime::Unknown,
    // The samples of <https://docs.lumalabs.ai/docs/api> are there. The hosts of the Agents API are not documented.
    link_hosts: &["storage.cdn-luma.com"],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// `dreaming` is Dream Machine's word, `processing` that of the Agents API.
const STATES: States = &[
    ("queued", State::Queued),
    ("dreaming", State::InProgress),
    ("processing", State::InProgress),
    ("completed", State::Completed),
    ("failed", State::Failed),
];

/// The code of <https://docs.agents.lumalabs.ai/guides/error-handling/>, and what the texts of
/// <https://docs.lumalabs.ai/docs/errors> hold. The third text under "Moderation" there, about frames that could not be
/// read, is no moderation.
const MODERATION_SIGNS: &[&str] = &["content_moderated", "moderation failed", "blacklisted words"];

/// 403 is a suspended or deactivated client: <https://docs.agents.lumalabs.ai/guides/error-handling/>. Dream Machine
/// documents no statuses, so that a key that is refused may come as any of them.
const TEXTS: Texts = &[
    (400, "api key", ErrorKind::UpstreamAuthFailed),
    (400, "insufficient credits", ErrorKind::UpstreamAccountError),
    (403, "insufficient credits", ErrorKind::UpstreamAccountError),
    (403, "suspended", ErrorKind::UpstreamAccountError),
    (403, "deactivated", ErrorKind::UpstreamAccountError),
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Generation<'a> {
    #[serde(borrow)]
    state: Text<'a>,
    model: Text<'a>,
    created_at: Time,
    failure_reason: Text<'a>,
    // Dream Machine.
    assets: Maybe<Assets<'a>>,
    request: Maybe<Order<'a>>,
    // The Agents API.
    failure_code: Text<'a>,
    output: Maybe<Items<Output<'a>>>,
}

/// Its `image` is a thumbnail, its `progress_video` a preview of a job that still runs.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Assets<'a> {
    #[serde(borrow)]
    video: Text<'a>,
}

/// What the job was asked for.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Order<'a> {
    #[serde(borrow)]
    prompt: Text<'a>,
    model: Text<'a>,
    /// `5s`.
    duration: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Output<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    url: Text<'a>,
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/generations/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_generation(reply).into()
}

fn read_generation(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        return Err(failure_by_text(reply, said(reply), TEXTS));
    }
    let generation: Generation<'_> = reply.json()?;
    let Some(word) = generation.state.0 else {
        return Err(reply.invalid("as a generation: it has no state"));
    };
    let order = generation.request.0.unwrap_or_default();
    let mut video = Video::in_state(word, STATES);
    video.model = generation.model.0.or(order.model.0);
    video.prompt = order.prompt.0;
    video.seconds = order.duration.as_deref().and_then(seconds_from_text);
    video.created_at = generation.created_at.0;
    video.videos = videos(generation.assets.0.unwrap_or_default(), generation.output.0.unwrap_or_default());
    if video.status == Status::Failed {
        let code = generation.failure_code.0.unwrap_or_default();
        let error = JobError::new(code, generation.failure_reason.0.unwrap_or_default());
        video.fail_by_signs(error, MODERATION_SIGNS);
    }
    Ok(video)
}

fn videos<'a>(assets: Assets<'a>, output: Items<Output<'a>>) -> Vec<Media<'a>> {
    let is_video = |output: &Output<'_>| output.r#type.as_deref().is_none_or(|kind| kind == "video");
    let listed = output.into_iter().filter(is_video).filter_map(|output| output.url.0);
    assets.video.0.into_iter().chain(listed).filter_map(Media::from_link).collect()
}
