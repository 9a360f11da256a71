//! OpenRouter: one API for video models of many makers.
//!
//! Fields: <https://openrouter.ai/docs/api_reference/videos> and
//! <https://openrouter.ai/docs/api/api-reference/video-generation/get-videos>. A job does not say what it was asked
//! for: no prompt, length, size or time.

use super::dialect::{failure, failure_of_status, said};
use super::job::{Job, JobRule, is_plain};
use super::states::{State, States};
use super::verdict::Failure;
use super::wire::{Items, Maybe, Text};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, Lifetime, Media, Status, Video};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

pub static OPENROUTER: Provider = Provider {
    kind: "openrouter",
    title: "OpenRouter",
    docs: "https://openrouter.ai/docs/api_reference/videos",
    base_url: BaseUrl::Fixed("https://openrouter.ai/api/v1"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        // The name is opaque; this is what stands in a URL as it is, but for the tilde, which no name needs.
        form: "letters, digits, '.', '_' and '-'",
        examples: &["job-7Qm2xV9dTn4"],
        slashes: false,
        accepts: is_plain,
        project: None,
    },
    // "Every 10–30 seconds": <https://openrouter.ai/docs/api_reference/videos>.
    poll_interval: Duration::from_secs(10),
    // How long is not documented; signed links say it themselves.
    result_lifetime: Lifetime::Unknown,
    // Of the signed links, <https://openrouter.ai/docs/api_reference/videos> says only that they lead to storage.
    link_hosts: &["openrouter.ai", ".openrouter.ai"],
    own_links_need_credentials: true,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://openrouter.ai/docs/api/api-reference/video-generation/get-videos>
const STATES: States = &[
    ("pending", State::Queued),
    ("in_progress", State::InProgress),
    ("completed", State::Completed),
    ("failed", State::Failed),
    ("cancelled", State::Cancelled),
    ("expired", State::Expired),
];

/// Errors of failed jobs are plain text. "Content policy violation" is that of
/// <https://openrouter.ai/docs/cookbook/video-generation/video-generation-webhooks>; makers of models have words of their own.
const MODERATION_SIGNS: &[&str] = &["content policy", "content_policy", "content filter", "moderation", "safety"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct VideoJob<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model: Text<'a>,
    urls: Maybe<Items<Text<'a>>>,
    unsigned_urls: Maybe<Items<Text<'a>>>,
    error: Maybe<Failure<'a>>,
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/videos/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_job(job, reply).into()
}

fn read_job<'a>(job: &Job<'a>, reply: &'a Reply) -> Result<Video<'a>, ApiError> {
    if !reply.status.is_success() {
        return Err(failure(reply, said(reply)));
    }
    let answer: VideoJob<'a> = reply.json()?;
    let Some(word) = answer.status.0 else { return Err(without_a_status(reply)) };
    let mut video = Video::in_state(word, STATES);
    video.model = answer.model.0;
    if video.status == Status::Completed {
        video.videos = videos(job, answer.urls, answer.unsigned_urls);
    }
    if video.status == Status::Failed
        && let Some(failure) = answer.error.0
    {
        video.fail_by_signs(failure.into_error(), MODERATION_SIGNS);
    }
    Ok(video)
}

/// An error that came as a 200 holds its status as a code: <https://openrouter.ai/docs/api_reference/errors-and-debugging>.
fn without_a_status(reply: &Reply) -> ApiError {
    let said = said(reply);
    match said.code.as_deref().and_then(|code| code.parse().ok()) {
        Some(status @ 400..) => failure_of_status(status, reply, said),
        _ => reply.invalid("as a job: it has no status"),
    }
}

/// Signed links anybody can fetch, else unsigned ones that need the key, else the API's own call for the bytes: some
/// finished jobs have no link at all.
fn videos<'a>(job: &Job<'_>, urls: Maybe<Items<Text<'a>>>, unsigned_urls: Maybe<Items<Text<'a>>>) -> Vec<Media<'a>> {
    let links = |list: Maybe<Items<Text<'a>>>| list.0.unwrap_or_default().into_iter().filter_map(|link| link.0);
    let signed: Vec<Media<'a>> = links(urls).filter_map(Media::from_link).collect();
    if !signed.is_empty() {
        return signed;
    }
    let content = |index: usize| format!("/videos/{}/content?index={index}", job.segment());
    let guarded = |(index, link): (usize, Cow<'a, str>)| match link.starts_with("https://") {
        true => Media::guarded(link),
        // The specification writes links of the API without their host; their path begins above the base URL.
        false => Media::guarded(content(index)),
    };
    let unsigned: Vec<Media<'a>> = links(unsigned_urls).enumerate().map(guarded).collect();
    if unsigned.is_empty() { vec![Media::guarded(content(0))] } else { unsigned }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;
    use crate::video::{ErrorKind, Source};

    fn read_one(reply: &Reply) -> Step<'_> {
        let job = OPENROUTER.job.check("job-1").unwrap();
        OPENROUTER.translate(&job, std::slice::from_ref(reply))
    }

    #[test]
    fn signed_links_come_before_unsigned_ones_and_those_before_the_content_call() {
        let guarded = |link: &'static str| Source::Guarded(link.into());
        let table = [
            (
                r#""urls":["https://s/1.mp4"],"unsigned_urls":["https://openrouter.ai/1"]"#,
                vec![Source::Link("https://s/1.mp4".into())],
            ),
            (r#""urls":[],"unsigned_urls":["https://openrouter.ai/1"]"#, vec![guarded("https://openrouter.ai/1")]),
            (
                r#""urls":null,"unsigned_urls":["/api/v1/videos/job-1/content?index=0","/api/v1/videos/job-1/content?index=1"]"#,
                vec![guarded("/videos/job-1/content?index=0"), guarded("/videos/job-1/content?index=1")],
            ),
            (r#""unsigned_urls":[null,""]"#, vec![guarded("/videos/job-1/content?index=0")]),
            (r#""urls":"x""#, vec![guarded("/videos/job-1/content?index=0")]),
        ];
        for (fields, want) in table {
            let reply = reply(200, &format!(r#"{{"status":"completed",{fields}}}"#));
            let Step::Done(video) = read_one(&reply) else { panic!("{fields}") };
            let sources: Vec<_> = video.videos.into_iter().map(|media| media.source).collect();
            assert_eq!(sources, want, "{fields}");
        }
    }

    #[test]
    fn an_error_told_as_a_200_is_an_error() {
        let table = [
            (r#"{"error":{"code":404,"message":"m"}}"#, ErrorKind::VideoNotFound),
            (r#"{"error":{"code":429,"message":"m"}}"#, ErrorKind::RateLimited),
            (r#"{"error":{"code":502,"message":"m"}}"#, ErrorKind::UpstreamError),
            (r#"{"error":{"code":7,"message":"m"}}"#, ErrorKind::UpstreamInvalidResponse),
            (r#"{"error":"m"}"#, ErrorKind::UpstreamInvalidResponse),
        ];
        for (body, want) in table {
            let reply = reply(200, body);
            let Step::Failed(error) = read_one(&reply) else { panic!("{body}") };
            assert_eq!(error.kind, want, "{body}");
        }
    }

    #[test]
    fn names_are_made_of_what_a_url_takes_as_it_is() {
        for name in ["job-abc123", "a.b_c", "A"] {
            assert!(OPENROUTER.job.check(name).is_some(), "{name}");
        }
        for name in ["", "a/b", "a:b", "a+b", "a=", "~a", "é", "a@b", ".."] {
            assert!(OPENROUTER.job.check(name).is_none(), "{name}");
        }
    }
}
