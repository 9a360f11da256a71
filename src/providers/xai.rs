//! xAI: a deferred request, told apart by `status`.
//!
//! Fields: <https://docs.x.ai/developers/model-capabilities/video/generation> and `proto/xai/api/v1/video.proto` in
//! <https://github.com/xai-org/xai-proto>. The answer has no name, prompt, size or time, and its status may be any 2xx.

use super::dialect::{Texts, failure_by_text, said};
use super::job::{Job, JobRule, is_uuid, segment_of};
use super::states::{State, States};
use super::verdict::{Failure, holds};
use super::wire::{Flag, Maybe, Number, Text};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{
    ApiError, ContentFilter, ErrorKind, JobError, Lifetime, Media, Said, Status, Video, seconds_from_number,
};
use serde::Deserialize;
use std::time::Duration;

pub static XAI: Provider = Provider {
    kind: "xai",
    title: "xAI",
    docs: "https://docs.x.ai/developers/model-capabilities/video/generation",
    base_url: BaseUrl::Fixed("https://api.x.ai/v1"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "a UUID",
        examples: &["2b6c1f4e-7d83-4a05-9c1e-f0a8b35d6e27"],
        slashes: false,
        accepts: is_uuid,
        project: None,
    },
    // The samples of <https://docs.x.ai/developers/model-capabilities/video/generation> wait 5 s.
    poll_interval: Duration::from_secs(5),
    // `src/xai_sdk/video.py` in <https://github.com/xai-org/xai-sdk-python>.
    result_lifetime: Lifetime::FromCompletion(Duration::from_secs(24 * 3600)),
    // <https://docs.x.ai/developers/model-capabilities/imagine/files/outputs>
    link_hosts: &["vidgen.x.ai", "files-cdn.x.ai"],
    own_links_need_credentials: true,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// `pending` is both: a job that has made some progress is in progress. `expired` is no longer in the newest pages, but
/// in `deferred.proto` of <https://github.com/xai-org/xai-proto>.
const STATES: States =
    &[("pending", State::Queued), ("done", State::Completed), ("failed", State::Failed), ("expired", State::Expired)];

/// What codes and texts about moderation hold: `imagine:content-moderated`, "rejected by content moderation", "Content
/// violates usage guidelines".
const MODERATION_SIGNS: &[&str] = &["moderated", "moderation", "usage guidelines", "content policy"];

/// Statuses with which a verdict of moderation is told instead of a failed job.
const VERDICT_STATUSES: &[u16] = &[400, 403];

/// A wrong key is a 400, and a request that is not known could be one; an account without money gets 403 from some models and 429 from others.
const TEXTS: Texts = &[
    (400, "api key", ErrorKind::UpstreamAuthFailed),
    (400, "not found", ErrorKind::VideoNotFound),
    (403, "credits", ErrorKind::UpstreamAccountError),
    (403, "spending limit", ErrorKind::UpstreamAccountError),
    (429, "credits", ErrorKind::UpstreamAccountError),
    (429, "spending limit", ErrorKind::UpstreamAccountError),
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Deferred<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    progress: Number,
    model: Text<'a>,
    video: Maybe<Output<'a>>,
    error: Maybe<Failure<'a>>,
}

/// There for failed jobs too, with an empty link and no length.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Output<'a> {
    #[serde(borrow)]
    url: Text<'a>,
    duration: Number,
    /// False for a video that was made and withheld.
    respect_moderation: Flag,
    file_output: Maybe<Stored<'a>>,
}

/// The copy in the Files API, for jobs that ordered one:
/// <https://docs.x.ai/developers/model-capabilities/imagine/files/outputs>.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Stored<'a> {
    #[serde(borrow)]
    public_url: Text<'a>,
    file_id: Text<'a>,
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/videos/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    match reply.status.is_success() {
        true => read_deferred(reply).into(),
        false => read_refusal(reply).into(),
    }
}

fn read_deferred(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let answer: Deferred<'_> = reply.json()?;
    let output = answer.video.0.unwrap_or_default();
    let is_withheld = output.respect_moderation.0 == Some(false) && output.url.0.is_none();
    let seconds = output.duration.0.and_then(seconds_from_number);
    let media = if is_withheld { None } else { output.into_media() };
    let word = match (answer.status.0, &media) {
        (Some(word), _) => word,
        // The state is left out of some answers that have the video.
        (None, Some(_)) => "done".into(),
        (None, None) => return Err(reply.invalid("as a video: it has neither a status nor a video")),
    };
    let mut video = Video::in_state(word, STATES);
    video.model = answer.model.0;
    video.progress = answer.progress.0;
    video.seconds = seconds;
    video.videos.extend(media);
    match video.status {
        Status::Queued if video.progress.is_some_and(|percent| percent > 0.0) => video.status = Status::InProgress,
        // A request makes one video.
        Status::Completed if is_withheld => {
            video.content_filter = Some(ContentFilter { filtered_count: Some(1), reasons: Vec::new() });
        }
        Status::Failed => {
            let error = answer.error.0.map_or_else(|| JobError::new("", ""), Failure::into_error);
            video.fail_by_signs(error, MODERATION_SIGNS);
        }
        _ => {}
    }
    Ok(video)
}

impl<'a> Output<'a> {
    /// The link of every job, else the copy: public, or behind the key.
    fn into_media(self) -> Option<Media<'a>> {
        let stored = self.file_output.0.unwrap_or_default();
        let link = [self.url, stored.public_url].into_iter().find_map(|link| Media::from_link(link.0?));
        link.or_else(|| Some(Media::guarded(format!("/files/{}/content", segment_of(stored.file_id.as_deref()?)?))))
    }
}

/// `{"code", "error"}`. The codes come in two spellings, sentences and words with hyphens, so that the status and the
/// text decide.
fn read_refusal(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let said = said(reply);
    if is_verdict(&said) {
        let mut video = Video::in_known_state(State::Failed);
        video.fail_by_moderation(JobError::new(said.code.unwrap_or_default(), said.message.unwrap_or_default()));
        return Ok(video);
    }
    Err(failure_by_text(reply, said, TEXTS))
}

/// Moderation of a finished video is told as a 400 of the poll.
fn is_verdict(said: &Said) -> bool {
    let texts = [&said.code, &said.message];
    VERDICT_STATUSES.contains(&said.status) && texts.into_iter().flatten().any(|text| holds(text, MODERATION_SIGNS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    fn video(reply: &Reply) -> Video<'_> {
        let job = XAI.job.check(XAI.job.examples[0]).unwrap();
        match XAI.translate(&job, std::slice::from_ref(reply)) {
            Step::Done(video) => *video,
            other => panic!("{other:?}"),
        }
    }

    fn error(reply: &Reply) -> ErrorKind {
        let job = XAI.job.check(XAI.job.examples[0]).unwrap();
        match XAI.translate(&job, std::slice::from_ref(reply)) {
            Step::Failed(error) => error.kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pending_job_is_queued_until_it_makes_progress() {
        let table = [
            (200, r#"{"status":"pending"}"#, Status::Queued),
            (202, r#"{"status":"pending","progress":0}"#, Status::Queued),
            (202, r#"{"status":"pending","progress":1}"#, Status::InProgress),
        ];
        for (status, body, want) in table {
            assert_eq!(video(&reply(status, body)).status, want, "{body}");
        }
    }

    #[test]
    fn moderation_told_as_a_refusal_of_the_poll_is_a_failed_job() {
        let table = [
            (400, r#"{"code":"imagine:content-moderated","error":"Rejected."}"#),
            (400, r#"{"code":"invalid-argument","error":"Rejected by content moderation."}"#),
            (403, r#"{"code":"permission-denied","error":"Content violates usage guidelines."}"#),
            (400, r#"{"code":"invalid-argument","error":"The video was moderated."}"#),
        ];
        for (status, body) in table {
            let reply = reply(status, body);
            let video = video(&reply);
            assert_eq!(video.status, Status::Failed, "{body}");
            assert!(video.content_filter.is_some(), "{body}");
        }
        let reply = reply(500, r#"{"error":"The moderation service is down."}"#);
        assert_eq!(error(&reply), ErrorKind::UpstreamError);
    }

    #[test]
    fn a_wrong_key_is_a_400_and_an_empty_account_a_403_or_a_429() {
        let table = [
            (400, "Incorrect API key provided: xa***9.", ErrorKind::UpstreamAuthFailed),
            (400, "Invalid request id.", ErrorKind::RefusedByProvider),
            (400, "Video generation request r not found", ErrorKind::VideoNotFound),
            (403, "The team has run out of credits.", ErrorKind::UpstreamAccountError),
            (403, "This key may not read videos.", ErrorKind::UpstreamAuthFailed),
            (429, "The team has reached its monthly spending limit.", ErrorKind::UpstreamAccountError),
            (429, "Too many requests.", ErrorKind::RateLimited),
        ];
        for (status, text, want) in table {
            assert_eq!(error(&reply(status, &format!(r#"{{"code":"c","error":"{text}"}}"#))), want, "{text}");
        }
    }
}
