//! Vidu: a task and its creations.
//!
//! Fields: <https://platform.vidu.com/docs/get-generation>. The answer says nothing of what was asked for and has no
//! times. Links are signed anew for every query. The task's own id is not compared: it has been seen to differ.

use super::dialect::{failure_by_code, moderated, said};
use super::job::{Job, JobRule, is_digits};
use super::outputs::Videos;
use super::states::{State, States};
use super::wire::{Items, Maybe, Number, Text};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ErrorKind, JobError, Lifetime, Said, Status, Video};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

pub static VIDU: Provider = Provider {
    kind: "vidu",
    title: "Vidu",
    docs: "https://platform.vidu.com/docs/get-generation",
    // Keys belong to a platform. The Chinese one is https://api.vidu.cn/ent/v2.
    base_url: BaseUrl::Fixed("https://api.vidu.com/ent/v2"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Authorization("Token") }],
    headers: &[],
    job: JobRule { form: "digits", examples: &["834645448353398784"], slashes: false, accepts: is_task, project: None },
    // Neither an interval nor a limit is published. Videos take minutes, and jobs off the peak hours up to 48 h.
    poll_interval: Duration::from_secs(10),
    // A link lives for 1 h by most pages and 24 h by others, from the query on and not from the end of the job.
    result_lifetime: Lifetime::Unknown,
    // The bucket of the samples; the storage is Amazon's, so that its name is the narrowest that there is.
    link_hosts: &["prod-ss-vidu.s3.cn-northwest-1.amazonaws.com.cn"],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://platform.vidu.com/docs/get-generation>
const STATES: States = &[
    ("created", State::Queued),
    ("queueing", State::Queued),
    ("processing", State::InProgress),
    ("success", State::Completed),
    ("failed", State::Failed),
];

/// Codes of failed jobs that were cancelled; there is no state for it. <https://platform.vidu.com/docs/error-code>
const CANCELLED: &[&str] = &["UserCancelled", "Canceled"];

/// Codes of moderation, in lower case: of the prompt, of what was put in, of what came out.
/// <https://platform.vidu.com/docs/error-code>
const MODERATION_SIGNS: &[&str] = &["taskpromptpolicyviolation", "auditsubmitillegal", "creationpolicyviolation"];

/// Reasons that say more than the HTTP status, which is 400 for most: <https://platform.vidu.com/docs/error-code>.
const REASONS: &[(&str, ErrorKind)] = &[
    ("TaskNotFound", ErrorKind::VideoNotFound),
    ("CreationNotFound", ErrorKind::VideoNotFound),
    ("CreditInsufficient", ErrorKind::UpstreamAccountError),
    ("Unauthorized", ErrorKind::UpstreamAuthFailed),
    ("Forbidden", ErrorKind::UpstreamAuthFailed),
    ("QuotaExceeded", ErrorKind::RateLimited),
    ("TooManyRequests", ErrorKind::RateLimited),
    ("SystemThrottling", ErrorKind::RateLimited),
];

/// How long names are at most. They are 64-bit numbers.
const LONGEST: usize = 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Task<'a> {
    #[serde(borrow)]
    state: Text<'a>,
    err_code: Text<'a>,
    /// Of some kinds of tasks only. A finished one has been seen at 90.
    progress: Number,
    creations: Maybe<Items<Creation<'a>>>,
}

/// Beside the link is one of the cover, and one of the same video with a watermark.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Creation<'a> {
    #[serde(borrow)]
    url: Videos<'a>,
}

fn is_task(name: &str) -> bool {
    is_digits(name, LONGEST)
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/tasks/{}/creations", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_task(reply).into()
}

fn read_task(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        let said = said(reply);
        return verdict_in(&said).ok_or_else(|| failure_by_code(REASONS, reply, said));
    }
    let task: Task<'_> = reply.json()?;
    let Some(word) = task.state.0 else {
        return Err(reply.invalid("as a task: it has no state"));
    };
    let mut video = Video::in_state(word, STATES);
    video.progress = task.progress.0;
    let creations = task.creations.0.unwrap_or_default();
    video.videos = creations.into_iter().flat_map(|creation| creation.url.0).collect();
    if video.status == Status::Failed {
        tell_failure(&mut video, task.err_code.0.unwrap_or_default());
    }
    Ok(video)
}

/// The code is all that there is, so it is the message, too.
fn tell_failure<'a>(video: &mut Video<'a>, code: Cow<'a, str>) {
    if CANCELLED.contains(&&*code) {
        video.error = Video::in_known_state(State::Cancelled).error;
    }
    video.fail_by_signs(JobError::new(code.clone(), code), MODERATION_SIGNS);
}

/// The codes of failed jobs are listed with an HTTP status each. To a query they can only mean the job.
fn verdict_in<'a>(said: &Said) -> Option<Video<'a>> {
    if !said.code.as_deref().is_some_and(|code| CANCELLED.contains(&code)) {
        return moderated(said, MODERATION_SIGNS);
    }
    let mut video = Video::in_known_state(State::Cancelled);
    video.fail_with(JobError::new("", said.message.clone().unwrap_or_default()));
    Some(video)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    #[test]
    fn the_reason_of_an_error_counts_for_more_than_its_status() {
        let table = [
            (400, "CreditInsufficient", ErrorKind::UpstreamAccountError),
            (400, "TaskNotFound", ErrorKind::VideoNotFound),
            (400, "FieldInvalid", ErrorKind::RefusedByProvider),
            (429, "QuotaExceeded", ErrorKind::RateLimited),
            (500, "InternalServiceFailure", ErrorKind::UpstreamError),
        ];
        for (status, reason, want) in table {
            let reply = reply(status, &format!(r#"{{"code":{status},"reason":"{reason}","message":"m"}}"#));
            let error = read_task(&reply).unwrap_err();
            assert_eq!((error.kind, error.said.unwrap().code.as_deref()), (want, Some(reason)));
        }
    }

    #[test]
    fn a_cancelled_job_has_no_state_but_a_code() {
        for code in CANCELLED {
            let reply = reply(200, &format!(r#"{{"state":"failed","err_code":"{code}"}}"#));
            assert_eq!(read_task(&reply).unwrap().error, Some(JobError::new("cancelled", *code)));
        }
    }

    #[test]
    fn a_verdict_with_400_is_the_jobs_end() {
        for (reason, code) in [("UserCancelled", "cancelled"), ("CreationPolicyViolation", "CreationPolicyViolation")] {
            let reply = reply(400, &format!(r#"{{"code":400,"reason":"{reason}","message":"m"}}"#));
            let video = read_task(&reply).unwrap();
            assert_eq!((video.status, video.error), (Status::Failed, Some(JobError::new(code, "m"))));
        }
    }

    #[test]
    fn another_id_in_the_answer_is_the_same_job() {
        let reply = reply(200, r#"{"id":"your_task_id","state":"processing"}"#);
        let job = VIDU.job.check("834645448353398784").unwrap();
        let replies = [reply];
        assert!(matches!(VIDU.translate(&job, &replies), Step::Done(video) if video.status == Status::InProgress));
    }
}
