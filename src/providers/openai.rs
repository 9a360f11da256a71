//! OpenAI's video API, and every server that speaks it: Azure, SGLang, vLLM-Omni, LiteLLM, other gateways.
//!
//! Fields and states: <https://platform.openai.com/docs/api-reference/videos/object>. OpenAI itself ended the
//! service on 2026-09-24; the shape lives on, so every field may be missing and unknown ones are passed over.

use super::dialect::{failure, failure_of_kind, said};
use super::job::{Job, JobRule, is_plain};
use super::states::{State, States};
use super::verdict::{Failure, holds};
use super::wire::{Items, Maybe, Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, Provider, Reply, Scheme, Step, Variants};
use crate::video::{ApiError, ContentFilter, ErrorKind, Lifetime, Media, Size, Video, may_be_video, seconds_from_text};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::time::Duration;

pub static OPENAI: Provider = Provider {
    kind: "openai",
    title: "OpenAI and every server that speaks its video API",
    docs: "https://platform.openai.com/docs/api-reference/videos",
    base_url: BaseUrl::Fixed("https://api.openai.com/v1"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "letters, digits, '.', '_' and '-', such as video_68d7512d07848190",
        examples: &["video_68d7512d07848190b3e45da0ecbebcde"],
        slashes: false,
        accepts: is_plain,
        project: None,
    },
    poll_interval: Duration::from_secs(10),
    // `expires_at` says it where OpenAI does; other servers keep results as long as they like.
    result_lifetime: Lifetime::Unknown,
    // The content call may redirect (the guide has `curl -L`), to storage of OpenAI's own or of Azure.
    link_hosts: &[".openai.com", ".oaiusercontent.com", ".blob.core.windows.net"],
    own_links_need_credentials: true,
    results_may_be_inline: true,
    variants: VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://platform.openai.com/docs/api-reference/videos/content>: the video itself is what comes without the parameter.
pub const VARIANTS: Variants = Variants {
    names: &["thumbnail", "spritesheet"],
    path: |path, name| path.ends_with("/content").then(|| format!("{path}?variant={name}")),
};

/// The object's states, with those of batches (`expired`) and of Azure's documentation (`cancelled`).
pub const STATES: States = &[
    ("queued", State::Queued),
    ("in_progress", State::InProgress),
    ("completed", State::Completed),
    ("failed", State::Failed),
    ("cancelled", State::Cancelled),
    ("canceled", State::Cancelled),
    ("expired", State::Expired),
];

/// Parts of codes of failed jobs, in lower case, that stand for moderation: `moderation_blocked`, `content_policy_violation`,
/// `content_filter` and kin.
const MODERATION_CODES: &[&str] = &["moderation", "content_policy", "content_filter", "responsibleaipolicy"];

/// The words of OpenAI's own moderation, in lower case, for failures without a code.
const MODERATION_WORDS: &[&str] = &["blocked by our moderation system"];

/// Codes that come as 401, 403 or 429 but mean that the account has no money or is locked.
const ACCOUNT_CODES: &[&str] =
    &["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct VideoObject<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model: Text<'a>,
    progress: Number,
    prompt: Text<'a>,
    remixed_from_video_id: Text<'a>,
    seconds: Text<'a>,
    size: Text<'a>,
    created_at: Time,
    completed_at: Time,
    expires_at: Time,
    error: Maybe<Failure<'a>>,
    /// Not OpenAI's: gateways list finished videos here.
    videos: Maybe<Items<Entry<'a>>>,
    /// Not OpenAI's: SGLang's link to the file.
    url: Text<'a>,
    content_filter: Maybe<Filter<'a>>,
}

/// A video as gateways list them: an object or a bare link.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry<'a> {
    Object(#[serde(borrow)] Listed<'a>),
    Link(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Listed<'a> {
    #[serde(borrow)]
    url: Text<'a>,
    base64: Text<'a>,
    content_type: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Filter<'a> {
    filtered_count: Number,
    #[serde(borrow)]
    reasons: Maybe<Items<Text<'a>>>,
}

pub fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/videos/{}", job.segment()))
}

pub fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_video(job, reply).into()
}

fn read_video<'a>(job: &Job<'a>, reply: &'a Reply) -> Result<Video<'a>, ApiError> {
    if !reply.status.is_success() {
        return Err(http_error(reply));
    }
    let object: VideoObject<'a> = reply.json()?;
    let Some(word) = object.status.0 else {
        return Err(reply.invalid("as a video: it has no status"));
    };
    let mut video = Video::in_state(word, STATES);
    video.model = object.model.0;
    video.progress = object.progress.0;
    video.prompt = object.prompt.0;
    video.remixed_from = object.remixed_from_video_id.0;
    video.seconds = object.seconds.as_deref().and_then(seconds_from_text);
    video.size = object.size.as_deref().and_then(Size::parse);
    video.created_at = object.created_at.0;
    video.completed_at = object.completed_at.0;
    video.expires_at = object.expires_at.0;
    video.content_filter = object.content_filter.0.and_then(Filter::into_filter);
    if let Some(failure) = object.error.0 {
        tell_failure(&mut video, failure);
    }
    // A list that is empty because of moderation is the whole truth; any other may just not have been filled.
    let list = object.videos.0.as_ref().and_then(|items| items.0.as_ref());
    let lost_all = list.is_some_and(Vec::is_empty) && video.content_filter.is_some();
    video.videos = listed(object.videos.0.unwrap_or_default(), object.url);
    if video.videos.is_empty() && !lost_all {
        // The status object has no link: the bytes are behind the API's own content call.
        video.videos.push(Media::guarded(format!("/videos/{}/content", job.segment())));
    }
    Ok(video)
}

impl<'a> Filter<'a> {
    /// `None` for one that says that nothing was filtered.
    fn into_filter(self) -> Option<ContentFilter<'a>> {
        let filtered_count = self.filtered_count.whole();
        let reasons: Vec<Cow<'a, str>> =
            self.reasons.0.unwrap_or_default().into_iter().filter_map(|reason| reason.0).collect();
        let is_filtered = filtered_count != Some(0) || !reasons.is_empty();
        is_filtered.then_some(ContentFilter { filtered_count, reasons })
    }
}

impl<'a> Entry<'a> {
    fn into_listed(self) -> Listed<'a> {
        match self {
            Entry::Object(listed) => listed,
            Entry::Link(url) => Listed { url: Text(Some(url)), ..Listed::default() },
            Entry::Other(_) => Listed::default(),
        }
    }
}

/// Adds what the provider says about a failure, keeping the codes that stand for cancelled and expired jobs.
fn tell_failure<'a>(video: &mut Video<'a>, failure: Failure<'a>) {
    if !video.status.is_terminal() {
        return;
    }
    let error = failure.into_error();
    // By the code where there is one: other words are those of whichever server it is.
    let is_moderation = match error.code.is_empty() {
        true => holds(&error.message, MODERATION_WORDS),
        false => holds(&error.code, MODERATION_CODES),
    };
    match is_moderation {
        true => video.fail_by_moderation(error),
        false => video.fail_with(error),
    }
}

fn listed<'a>(videos: Items<Entry<'a>>, url: Text<'a>) -> Vec<Media<'a>> {
    let listed: Vec<Media<'a>> = videos.into_iter().map(Entry::into_listed).filter_map(into_media).collect();
    if !listed.is_empty() {
        return listed;
    }
    into_media(Listed { url, ..Listed::default() }).into_iter().collect()
}

fn into_media(listed: Listed<'_>) -> Option<Media<'_>> {
    let is_video = listed.content_type.as_deref().is_none_or(may_be_video);
    let media = match (listed.url.0, listed.base64.0) {
        (Some(url), _) => Media::from_link(url),
        (None, Some(data)) => Some(Media::base64(data)),
        (None, None) => None,
    };
    media.filter(|_| is_video).map(|media| media.with_content_type(listed.content_type.0))
}

/// `{"error":{"message","type","param","code"}}`: <https://platform.openai.com/docs/guides/error-codes/api-errors>.
pub fn http_error(reply: &Reply) -> ApiError {
    let said = said(reply);
    let is_account = said.code.as_deref().is_some_and(|code| ACCOUNT_CODES.contains(&code));
    if is_account {
        return failure_of_kind(ErrorKind::UpstreamAccountError, reply, said);
    }
    failure(reply, said)
}
