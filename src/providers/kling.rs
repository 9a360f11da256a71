//! Kling: two generations of its API side by side, told apart by how a job was made.
//!
//! The older one keeps tasks below the kind of work: <https://app.klingai.com/global/dev/document-api/apiReference/model/textToVideo>
//! and its siblings. The one of Kling 3 asks for tasks by their ids alone: <https://kling.ai/document-api>. Errors and
//! credentials of both: <https://app.klingai.com/global/dev/document-api/apiReference/commonInfo>. A task does not say
//! what it was asked for: no model, prompt or size.

use super::dialect::{failure, failure_of_kind, said};
use super::job::{Job, JobRule};
use super::states::{State, States};
use super::wire::{Items, Maybe, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{
    ApiError, ContentFilter, ErrorKind, JobError, Lifetime, Media, Said, Status, Video, seconds_from_text,
};
use serde::Deserialize;
use std::time::Duration;

pub static KLING: Provider = Provider {
    kind: "kling",
    title: "Kling AI",
    docs: "https://app.klingai.com/global/dev/document-api/apiReference/model/textToVideo",
    base_url: BaseUrl::Fixed("https://api-singapore.klingai.com"),
    credentials: &[
        CredentialForm { fields: &["access_key", "secret_key"], scheme: Scheme::KlingKeys },
        CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer },
    ],
    headers: &[],
    job: JobRule {
        form: "{kind}/{task_id}, the kind as in the path that made the task; {task_id} for tasks of Kling 3",
        examples: &["text2video/893605946402811985", "893605946402811985"],
        slashes: true,
        accepts: |name| generation_of(name).is_some(),
        project: None,
    },
    // Kling names no interval and counts no queries; clients ask every 5 to 10 s.
    poll_interval: Duration::from_secs(5),
    // Results are "cleared after 30 days": the page of each call.
    result_lifetime: Lifetime::FromCompletion(Duration::from_secs(30 * 24 * 3600)),
    // Samples in the documents are on p1.a.kwimgs.com, results on v1-kling.klingai.com and its neighbours.
    link_hosts: &[".klingai.com", ".kling.ai", ".kwimgs.com"],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// The end of a good task is `succeed` to the older API and `succeeded` to the newer.
const STATES: States = &[
    ("submitted", State::Queued),
    ("processing", State::InProgress),
    ("succeed", State::Completed),
    ("succeeded", State::Completed),
    ("failed", State::Failed),
];

/// The paths below `/v1/videos` under which tasks are made and asked for.
const KINDS: &[&str] = &[
    "text2video",
    "image2video",
    "multi-image2video",
    "multi-elements",
    "omni-video",
    "motion-control",
    "video-extend",
    "lip-sync",
    "advanced-lip-sync",
    "effects",
    "avatar",
    "avatar/image2video",
];

/// "Error Code" of the common information. Those of the account come as 429, and waiting does not help: a locked
/// account, arrears, a resource pack used up, an address that is not on the account's list.
const CODES: &[(&str, ErrorKind)] = &[
    ("1000", ErrorKind::UpstreamAuthFailed),
    ("1001", ErrorKind::UpstreamAuthFailed),
    ("1002", ErrorKind::UpstreamAuthFailed),
    ("1003", ErrorKind::UpstreamAuthFailed),
    ("1004", ErrorKind::UpstreamAuthFailed),
    ("1100", ErrorKind::UpstreamAccountError),
    ("1101", ErrorKind::UpstreamAccountError),
    ("1102", ErrorKind::UpstreamAccountError),
    ("1103", ErrorKind::UpstreamAuthFailed),
    ("1200", ErrorKind::RefusedByProvider),
    ("1201", ErrorKind::RefusedByProvider),
    ("1202", ErrorKind::VideoNotFound),
    ("1203", ErrorKind::VideoNotFound),
    ("1300", ErrorKind::RefusedByProvider),
    ("1301", ErrorKind::RefusedByProvider),
    ("1302", ErrorKind::RateLimited),
    ("1303", ErrorKind::RateLimited),
    ("1304", ErrorKind::UpstreamAccountError),
    ("5000", ErrorKind::UpstreamError),
    ("5001", ErrorKind::UpstreamUnavailable),
    ("5002", ErrorKind::UpstreamError),
];

/// Words, in lower case, that a task has when moderation ended it; there is no code for that.
const MODERATION_SIGN: &str = "risk control";

/// Codes of moderation, should an answer have one beside a task that failed.
const MODERATION_CODES: &[&str] = &["1300", "1301"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer<'a, D: Default> {
    #[serde(borrow)]
    code: Text<'a>,
    data: Maybe<D>,
}

/// A task of the older API.
#[derive(Deserialize, Default)]
#[serde(default)]
struct OlderTask<'a> {
    #[serde(borrow)]
    task_status: Text<'a>,
    task_status_msg: Text<'a>,
    task_result: Maybe<OlderResult<'a>>,
    created_at: Time,
    updated_at: Time,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OlderResult<'a> {
    #[serde(borrow)]
    videos: Maybe<Items<Output<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Task<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    message: Text<'a>,
    outputs: Maybe<Items<Output<'a>>>,
    create_time: Time,
    update_time: Time,
}

/// One output; those of the older API have no type.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Output<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    url: Text<'a>,
    /// The same with a watermark.
    watermark_url: Text<'a>,
    duration: Text<'a>,
}

/// What both generations say of a task.
struct Told<'a> {
    word: Text<'a>,
    message: Text<'a>,
    outputs: Items<Output<'a>>,
    created_at: Time,
    updated_at: Time,
}

/// Which of the two APIs a job belongs to.
enum Generation {
    /// Tasks below the kind of work that made them.
    Older,
    /// Tasks by their ids alone.
    Newer,
}

/// By the form of a job's name; `None` for a name of neither.
fn generation_of(name: &str) -> Option<Generation> {
    let (generation, task_id) = match name.rsplit_once('/') {
        Some((kind, task_id)) => (KINDS.contains(&kind).then_some(Generation::Older)?, task_id),
        None => (Generation::Newer, name),
    };
    is_task_id(task_id).then_some(generation)
}

/// Digits, or what a caller chose to call the task. A comma would ask for several.
fn is_task_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn request(job: &Job<'_>) -> Call {
    match generation_of(job.as_str()) {
        Some(Generation::Older) => Call::get(format!("/v1/videos/{}", job.segments())),
        _ => Call::get(format!("/tasks?task_ids={}", job.segment())),
    }
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    match generation_of(job.as_str()) {
        Some(Generation::Older) => read_older(reply).into(),
        _ => read_tasks(reply).into(),
    }
}

fn read_older(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let answer: Answer<'_, OlderTask<'_>> = read_answer(reply)?;
    let task = answer.data.0.unwrap_or_default();
    let told = Told {
        word: task.task_status,
        message: task.task_status_msg,
        outputs: task.task_result.0.unwrap_or_default().videos.0.unwrap_or_default(),
        created_at: task.created_at,
        updated_at: task.updated_at,
    };
    video_of(reply, answer.code, told)
}

/// The answer is a list, of the one task that was asked for. It is empty where there is no such task.
fn read_tasks(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let answer: Answer<'_, Items<Task<'_>>> = read_answer(reply)?;
    let is_fine = answer.code.as_deref().is_none_or(|code| code == "0");
    let tasks = answer.data.0.and_then(|tasks| tasks.0);
    if is_fine && tasks.as_ref().is_some_and(Vec::is_empty) {
        // Its words are those of success.
        let said = Said { status: reply.status.as_u16(), ..Said::default() };
        return Err(failure_of_kind(ErrorKind::VideoNotFound, reply, said));
    }
    let task = tasks.and_then(|tasks| tasks.into_iter().next()).unwrap_or_default();
    let told = Told {
        word: task.status,
        message: task.message,
        outputs: task.outputs.0.unwrap_or_default(),
        created_at: task.create_time,
        updated_at: task.update_time,
    };
    video_of(reply, answer.code, told)
}

fn read_answer<'a, D: Deserialize<'a> + Default>(reply: &'a Reply) -> Result<Answer<'a, D>, ApiError> {
    match reply.status.is_success() {
        true => reply.json(),
        false => Err(http_error(reply)),
    }
}

/// A code in an answer that is 200 is an error of the query, unless the task beside it has failed.
fn video_of<'a>(reply: &Reply, code: Text<'a>, told: Told<'a>) -> Result<Video<'a>, ApiError> {
    let code = code.0.filter(|code| code != "0");
    let has_failed = told.word.as_deref() == Some("failed");
    if code.is_some() && !has_failed {
        return Err(http_error(reply));
    }
    let Some(word) = told.word.0 else {
        return Err(reply.invalid("as a task: it has no status"));
    };
    let mut video = Video::in_state(word, STATES);
    video.created_at = told.created_at.0;
    match video.status {
        Status::Completed => {
            video.completed_at = told.updated_at.0;
            let mut outputs: Vec<Output<'a>> = told.outputs.into_iter().filter(Output::is_video).collect();
            video.seconds = outputs.iter().find_map(|output| seconds_from_text(output.duration.as_deref()?));
            video.videos = outputs.iter_mut().filter_map(Output::take_media).collect();
        }
        Status::Failed => {
            video.completed_at = told.updated_at.0;
            tell_failure(
                &mut video,
                JobError { code: code.unwrap_or_default(), message: told.message.0.unwrap_or_default() },
            );
        }
        Status::Queued | Status::InProgress => {}
    }
    Ok(video)
}

impl<'a> Output<'a> {
    fn is_video(&self) -> bool {
        self.r#type.as_deref().is_none_or(|kind| kind == "video")
    }

    fn take_media(&mut self) -> Option<Media<'a>> {
        let links = [self.url.0.take(), self.watermark_url.0.take()];
        links.into_iter().flatten().find_map(Media::from_link)
    }
}

/// The envelope says "SUCCEED" here too; the task's own message has the reason.
fn tell_failure<'a>(video: &mut Video<'a>, error: JobError<'a>) {
    let is_moderated =
        error.message.to_lowercase().contains(MODERATION_SIGN) || MODERATION_CODES.contains(&&*error.code);
    if is_moderated {
        let reasons = [&error.message, &error.code].into_iter().find(|text| !text.is_empty()).cloned();
        video.content_filter = Some(ContentFilter { filtered_count: None, reasons: reasons.into_iter().collect() });
    }
    video.fail_with(error);
}

/// `{"code","message","request_id"}`, with a status of its own or with 200.
fn http_error(reply: &Reply) -> ApiError {
    let said = said(reply);
    let by_code = said.code.as_deref().and_then(|code| CODES.iter().find(|(known, _)| *known == code));
    match by_code {
        // A wait would only put off what waiting does not mend.
        Some((_, ErrorKind::UpstreamAccountError)) => ApiError::said(ErrorKind::UpstreamAccountError, said),
        Some((_, kind)) => failure_of_kind(*kind, reply, said),
        None if reply.status.is_success() => failure_of_kind(ErrorKind::UpstreamError, reply, said),
        None => failure(reply, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    const OLDER: &str = "text2video/893605946402811985";
    const NEWER: &str = "893605946402811985";

    fn error(name: &str, reply: Reply) -> Option<(ErrorKind, Option<Duration>)> {
        let job = KLING.job.check(name).unwrap();
        let replies = [reply];
        match KLING.translate(&job, &replies) {
            Step::Failed(error) => Some((error.kind, error.retry_after)),
            _ => None,
        }
    }

    #[test]
    fn the_name_tells_the_generation() {
        let table = [
            (OLDER, Some("/v1/videos/text2video/893605946402811985")),
            ("avatar/image2video/8936", Some("/v1/videos/avatar/image2video/8936")),
            ("omni-video/my_task-1", Some("/v1/videos/omni-video/my_task-1")),
            (NEWER, Some("/tasks?task_ids=893605946402811985")),
            ("1,2", None),
            ("1&external_task_ids=2", None),
            ("text2video/1.5", None),
            ("text2video/", None),
            ("images/8936", None),
            ("text2video/text2video/8936", None),
            ("avatar/8936/image2video/8936", None),
        ];
        for (name, path) in table {
            let got = KLING.job.check(name).map(|job| request(&job).path);
            assert_eq!(got.as_deref(), path, "{name}");
        }
    }

    #[test]
    fn a_429_of_the_account_is_no_rate_limit() {
        for code in [1100, 1101, 1102, 1304] {
            let mut reply = reply(429, &format!(r#"{{"code":{code},"message":"m","request_id":"r"}}"#));
            reply.headers.insert("retry-after", "5".parse().unwrap());
            for name in [OLDER, NEWER] {
                assert_eq!(error(name, reply.clone()), Some((ErrorKind::UpstreamAccountError, None)), "{code}");
            }
        }
        for code in [1302, 1303] {
            let mut reply = reply(429, &format!(r#"{{"code":{code},"message":"m"}}"#));
            reply.headers.insert("retry-after", "5".parse().unwrap());
            assert_eq!(error(OLDER, reply), Some((ErrorKind::RateLimited, Some(Duration::from_secs(5)))), "{code}");
        }
    }

    #[test]
    fn a_code_in_an_answer_that_is_200_is_an_error() {
        let table = [
            (1004, ErrorKind::UpstreamAuthFailed),
            (1102, ErrorKind::UpstreamAccountError),
            (1201, ErrorKind::RefusedByProvider),
            (1203, ErrorKind::VideoNotFound),
            (1302, ErrorKind::RateLimited),
            (5000, ErrorKind::UpstreamError),
            (9999, ErrorKind::UpstreamError),
        ];
        for (code, want) in table {
            let bodies = [
                (OLDER, format!(r#"{{"code":{code},"message":"m"}}"#)),
                (OLDER, format!(r#"{{"code":{code},"message":"m","data":{{"task_status":"processing"}}}}"#)),
                (NEWER, format!(r#"{{"code":{code},"message":"m","data":[]}}"#)),
                (NEWER, format!(r#"{{"code":{code},"message":"m","data":null}}"#)),
            ];
            for (name, body) in bodies {
                assert_eq!(error(name, reply(200, &body)).map(|(kind, _)| kind), Some(want), "{body}");
            }
        }
    }

    #[test]
    fn a_code_beside_a_task_that_failed_is_the_tasks() {
        let body = r#"{"code":1301,"message":"m","data":{"task_status":"failed","task_status_msg":"Refused."}}"#;
        let answer = reply(200, body);
        let video = read_older(&answer).unwrap();
        assert_eq!(video.error, Some(JobError::new("1301", "Refused.")));
        assert_eq!(video.content_filter.unwrap().reasons, ["Refused."]);
    }

    #[test]
    fn every_code_has_its_meaning_whatever_the_status() {
        for (code, want) in CODES {
            for status in [200, 400, 401, 403, 404, 429, 500, 503] {
                let body = format!(r#"{{"code":{code},"message":"m"}}"#);
                assert_eq!(error(OLDER, reply(status, &body)).map(|(kind, _)| kind), Some(*want), "{status} {code}");
            }
        }
    }
}
