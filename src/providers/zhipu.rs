//! Zhipu, outside China Z.ai: CogVideoX, and Vidu under the same calls.
//!
//! Fields: <https://docs.z.ai/api-reference/video/get-video-status>. Beside the state and the links there is the model's
//! name and nothing else. The same call answers for chats and images, whose results are elsewhere in the answer.

use super::dialect::{failure_by_code, moderated, said};
use super::job::{Job, JobRule, is_digits};
use super::outputs::Videos;
use super::states::{State, States};
use super::verdict::Failure;
use super::wire::{Items, Maybe, Text};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ErrorKind, JobError, Lifetime, Status, Video};
use serde::Deserialize;
use std::time::Duration;

pub static ZHIPU: Provider = Provider {
    kind: "zhipu",
    title: "Zhipu and Z.ai: CogVideoX",
    docs: "https://docs.z.ai/api-reference/video/get-video-status",
    // Keys belong to a platform. The Chinese one is https://open.bigmodel.cn/api/paas/v4.
    base_url: BaseUrl::Fixed("https://api.z.ai/api/paas/v4"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    // The words of errors are Chinese otherwise: <https://docs.z.ai/api-reference/introduction>.
    headers: &[("Accept-Language", "en-US,en")],
    job: JobRule {
        form: "digits",
        examples: &["340817255120805129017958079360725371"],
        slashes: false,
        accepts: is_task,
        project: None,
    },
    // As the samples of <https://github.com/zai-org/z-ai-sdk-python> wait.
    poll_interval: Duration::from_secs(5),
    result_lifetime: Lifetime::Unknown,
    // No page names the host; it is the one of the samples on both platforms' pages.
    link_hosts: &["aigc-files.bigmodel.cn"],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://docs.z.ai/api-reference/video/get-video-status>. There is no word for a job that waits.
const STATES: States = &[("PROCESSING", State::InProgress), ("SUCCESS", State::Completed), ("FAIL", State::Failed)];

/// The code for content that moderation refused, in what was asked for or in what came of it.
const MODERATED: &str = "1301";

/// What codes mean, whatever the HTTP status: 429 is that of empty and of locked accounts, too. `1214` is an invalid
/// parameter, and the job's name, which has the right form, is the only one that there is. Which code an unknown job
/// gets is not documented. <https://docs.z.ai/api-reference/api-code>
const CODES: &[(&str, ErrorKind)] = &[
    ("1000", ErrorKind::UpstreamAuthFailed),
    ("1001", ErrorKind::UpstreamAuthFailed),
    ("1002", ErrorKind::UpstreamAuthFailed),
    ("1003", ErrorKind::UpstreamAuthFailed),
    ("1004", ErrorKind::UpstreamAuthFailed),
    ("1110", ErrorKind::UpstreamAccountError),
    ("1111", ErrorKind::UpstreamAccountError),
    ("1112", ErrorKind::UpstreamAccountError),
    ("1113", ErrorKind::UpstreamAccountError),
    ("1121", ErrorKind::UpstreamAccountError),
    ("1210", ErrorKind::RefusedByProvider),
    ("1213", ErrorKind::RefusedByProvider),
    ("1214", ErrorKind::VideoNotFound),
    ("1215", ErrorKind::RefusedByProvider),
    ("1220", ErrorKind::UpstreamAuthFailed),
    ("1302", ErrorKind::RateLimited),
    ("1303", ErrorKind::RateLimited),
    ("1305", ErrorKind::RateLimited),
];

/// How long names are at most. They are 19 to 37 digits in the samples.
const LONGEST: usize = 64;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Task<'a> {
    #[serde(borrow)]
    task_status: Text<'a>,
    model: Text<'a>,
    video_result: Maybe<Items<Generated<'a>>>,
    /// Not documented here; where a failed job has one, it has the form of every other error.
    error: Maybe<Failure<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Generated<'a> {
    #[serde(borrow)]
    url: Videos<'a>,
}

fn is_task(name: &str) -> bool {
    is_digits(name, LONGEST)
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/async-result/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_task(reply).into()
}

fn read_task(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        return query_error(reply);
    }
    let task: Task<'_> = reply.json()?;
    let Some(word) = task.task_status.0 else {
        return match task.error.0 {
            Some(_) => query_error(reply),
            None => Err(reply.invalid("as a task: it has no status")),
        };
    };
    let mut video = Video::in_state(word, STATES);
    video.model = task.model.0;
    let generated = task.video_result.0.unwrap_or_default();
    video.videos = generated.into_iter().flat_map(|generated| generated.url.0).collect();
    if video.status == Status::Failed {
        let error = task.error.0.map_or(JobError::new("", ""), Failure::into_error);
        let signs = signs_for(&error.code);
        video.fail_by_signs(error, signs);
    }
    Ok(video)
}

/// `{"error":{"code","message"}}`, the code as text.
fn query_error(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let said = said(reply);
    let signs = signs_for(said.code.as_deref().unwrap_or_default());
    moderated(&said, signs).ok_or_else(|| failure_by_code(CODES, reply, said))
}

/// A number among the words of an error is no sign of moderation; only the code is.
fn signs_for(code: &str) -> &'static [&'static str] {
    if code == MODERATED { &[MODERATED] } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    fn error(status: u16, code: &str) -> ApiError {
        read_task(&reply(status, &format!(r#"{{"error":{{"code":"{code}","message":"see 1301"}}}}"#))).unwrap_err()
    }

    #[test]
    fn too_many_requests_may_mean_an_empty_or_a_locked_account() {
        for code in ["1112", "1113", "1121"] {
            let error = error(429, code);
            assert_eq!((error.kind, error.retry_after_seconds()), (ErrorKind::UpstreamAccountError, None), "{code}");
        }
        for code in ["1302", "1303", "1305"] {
            let error = error(429, code);
            assert_eq!((error.kind, error.retry_after_seconds()), (ErrorKind::RateLimited, Some(1)), "{code}");
        }
    }

    #[test]
    fn a_status_of_its_own_is_no_verdict() {
        assert_eq!(error(434, "1220").kind, ErrorKind::UpstreamAuthFailed);
        assert_eq!(error(435, "").kind, ErrorKind::UpstreamError);
        assert_eq!(error(400, "1214").kind, ErrorKind::VideoNotFound);
    }

    #[test]
    fn moderation_in_an_http_error_is_the_jobs_end() {
        let reply = reply(400, r#"{"error":{"code":"1301","message":"Unsafe content."}}"#);
        let video = read_task(&reply).unwrap();
        assert_eq!((video.status, video.error), (Status::Failed, Some(JobError::new("1301", "Unsafe content."))));
        assert!(video.content_filter.is_some());
    }

    #[test]
    fn the_result_of_another_sort_of_job_is_no_video() {
        let body = r#"{"task_status":"SUCCESS","model":"cogview-4","image_result":[{"url":"https://a/b.mp4"}]}"#;
        assert!(read_task(&reply(200, body)).unwrap().videos.is_empty());
    }
}
