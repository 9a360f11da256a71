//! fal's results: what a model answered, or why it did not.
//!
//! A model answers with a file or a list of them, in an object of its own shape:
//! <https://fal.ai/docs/api-reference/inference-api>. What went wrong stands in `detail`, as
//! <https://docs.fal.ai/model-apis/errors> describes it.

use super::Reply;
use super::dialect::{failure, failure_of_kind, said};
use super::outputs::Videos;
use super::states::State;
use super::wire::{Flag, Items, Maybe, Number, Text};
use crate::video::{
    ApiError, ContentFilter, ErrorKind, JobError, Size, Video, seconds_from_frames, seconds_from_number,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Of a result call these are about the call: keys, accounts, rates, time. Every other 4xx is the model's.
const ABOUT_THE_CALL: &[StatusCode] = &[
    StatusCode::UNAUTHORIZED,
    StatusCode::PAYMENT_REQUIRED,
    StatusCode::FORBIDDEN,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::TOO_MANY_REQUESTS,
];

/// Words with which a 403 says that the account is locked, for want of money or by fal:
/// "User is locked. Reason: Exhausted balance."
const LOCKED: &[&str] = &["user is locked", "exhausted balance"];

/// "Request is still in progress": the result was asked for too early.
const TOO_EARLY: &str = "still in progress";

/// The queue's words for a request that has not ended, in an answer that is about the queue rather than a result.
const NOT_ENDED: &[&str] = &["IN_QUEUE", "IN_PROGRESS"];

/// Part of the type of what moderation refused: `content_policy_violation`.
const MODERATION_TYPE: &str = "content_policy";

/// What stands around a result in fal's own sample; both of its clients read the result bare.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wrapper<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    response: Maybe<&'a RawValue>,
}

/// What video models commonly say of their result.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Output<'a> {
    #[serde(borrow)]
    prompt: Text<'a>,
    video: Maybe<File>,
    videos: Maybe<Items<Maybe<File>>>,
    /// One for each output.
    has_nsfw_concepts: Maybe<Items<Flag>>,
}

/// The measures of a file: `VideoFile` in the schemas of fal's models.
#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    width: Number,
    height: Number,
    duration: Number,
    num_frames: Number,
    fps: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal<'a> {
    #[serde(borrow)]
    detail: Maybe<Detail<'a>>,
    error_type: Text<'a>,
}

/// Words, or the list of what is wrong.
#[derive(Deserialize)]
#[serde(untagged)]
enum Detail<'a> {
    List(#[serde(borrow)] Items<Wrong<'a>>),
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// One thing that is wrong. Its `input` repeats what was asked for, and is not read.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wrong<'a> {
    #[serde(borrow)]
    msg: Text<'a>,
    r#type: Text<'a>,
}

/// What the second call says of a request that has ended.
pub(super) fn read_result(reply: &Reply) -> Result<Video<'_>, ApiError> {
    match reply.status {
        status if status.is_success() => read_output(reply),
        status if status.is_client_error() => read_refusal(reply),
        // The job has ended, but how is not known.
        _ => Err(http_error(reply)),
    }
}

fn read_output(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let wrapper: Wrapper<'_> = reply.json()?;
    let wrapped = wrapper.response.0.filter(|response| response.get().starts_with('{'));
    let (output, videos): (Output<'_>, Videos<'_>) = match wrapped.map(RawValue::get) {
        Some(json) => (serde_json::from_str(json).unwrap_or_default(), serde_json::from_str(json).unwrap_or_default()),
        None => (reply.json()?, reply.json()?),
    };
    let has_not_ended = wrapper.status.as_deref().is_some_and(|word| NOT_ENDED.contains(&word));
    if has_not_ended && videos.0.is_empty() {
        return Ok(Video::in_known_state(State::InProgress));
    }
    let mut video = Video::in_known_state(State::Completed);
    video.videos = videos.0;
    video.prompt = output.prompt.0;
    let listed = output.videos.0.and_then(|files| files.into_iter().find_map(|file| file.0));
    if let Some(file) = output.video.0.or(listed) {
        video.size = Size::new(file.width.pixels(), file.height.pixels());
        video.seconds = file.seconds();
    }
    let flags = output.has_nsfw_concepts.0.unwrap_or_default().into_iter();
    let flagged = flags.filter(|flag| flag.0 == Some(true)).count() as u64;
    if video.videos.is_empty() && flagged > 0 {
        video.content_filter = Some(ContentFilter { filtered_count: Some(flagged), reasons: Vec::new() });
    }
    Ok(video)
}

impl File {
    fn seconds(&self) -> Option<String> {
        let counted = || seconds_from_frames(self.num_frames.0?, self.fps.0?);
        self.duration.0.and_then(seconds_from_number).or_else(counted)
    }
}

/// A 4xx of the result call is the job's verdict, unless it is about the call or comes too early.
fn read_refusal(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let Ok(refusal) = serde_json::from_slice::<Refusal<'_>>(&reply.body) else { return Err(http_error(reply)) };
    let (wrongs, words) = match refusal.detail.0 {
        Some(Detail::List(wrongs)) => (wrongs.into_iter().collect(), None),
        Some(Detail::Text(words)) => (Vec::new(), Some(words)),
        None => (Vec::new(), None),
    };
    let first_words = words.as_deref().or_else(|| wrongs.first().and_then(|wrong: &Wrong<'_>| wrong.msg.as_deref()));
    if first_words.is_some_and(|words| words.to_lowercase().contains(TOO_EARLY)) {
        return Ok(Video::in_known_state(State::InProgress));
    }
    if ABOUT_THE_CALL.contains(&reply.status) {
        return Err(http_error(reply));
    }
    if reply.status == StatusCode::NOT_FOUND && wrongs.is_empty() {
        // The queue's words, not the model's: it keeps a result for an hour, a large one for minutes.
        return Err(failure_of_kind(ErrorKind::VideoNotFound, reply, said(reply)));
    }
    let is_moderated = |wrong: &&Wrong<'_>| wrong.r#type.as_deref().is_some_and(is_moderation);
    let reasons = wrongs.iter().filter(is_moderated).filter_map(|wrong| wrong.msg.0.clone()).collect();
    let header = || reply.headers.get("x-fal-error-type")?.to_str().ok().map(Cow::Borrowed);
    let first = wrongs.into_iter().next().unwrap_or_default();
    Ok(failed(
        JobError {
            code: first.r#type.0.or(refusal.error_type.0).or_else(header).unwrap_or_default(),
            message: first.msg.0.or(words).unwrap_or_default(),
        },
        reasons,
    ))
}

/// A request that came to nothing; `reasons` are moderation's own words where it had any.
pub(super) fn failed<'a>(error: JobError<'a>, mut reasons: Vec<Cow<'a, str>>) -> Video<'a> {
    if reasons.is_empty() && is_moderation(&error.code) {
        let reason = if error.message.is_empty() { &error.code } else { &error.message };
        reasons.push(reason.clone());
    }
    let mut video = Video::in_known_state(State::Failed);
    video.content_filter = (!reasons.is_empty()).then_some(ContentFilter { filtered_count: None, reasons });
    video.fail_with(error);
    video
}

fn is_moderation(kind: &str) -> bool {
    kind.contains(MODERATION_TYPE)
}

/// `{"detail"}`. A locked account is 403, as a wrong key is.
pub(super) fn http_error(reply: &Reply) -> ApiError {
    let said = said(reply);
    let words = said.message.as_deref().unwrap_or_default().to_lowercase();
    match LOCKED.iter().any(|locked| words.contains(locked)) {
        true => failure_of_kind(ErrorKind::UpstreamAccountError, reply, said),
        false => failure(reply, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;
    use crate::video::{Lifetime, Status};

    #[test]
    fn a_result_that_is_still_in_progress_is_no_verdict() {
        let table = [
            (400, r#"{"detail":"Request is still in progress"}"#),
            (400, r#"{"detail":[{"loc":["path"],"msg":"Request is still in progress","type":"t"}]}"#),
            (202, r#"{"status":"IN_PROGRESS","logs":null}"#),
            (200, r#"{"status":"IN_QUEUE","queue_position":0}"#),
        ];
        for (status, body) in table {
            let reply = reply(status, body);
            assert_eq!(read_result(&reply).unwrap().status, Status::InProgress, "{body}");
        }
    }

    #[test]
    fn a_4xx_of_a_result_is_the_jobs_and_a_5xx_the_querys() {
        let list = r#"{"detail":[{"loc":["body"],"msg":"m","type":"t"}]}"#;
        let text = r#"{"detail":"m"}"#;
        let table = [
            (400, text, None),
            (400, list, None),
            (404, list, None),
            (409, text, None),
            (422, list, None),
            (422, "{}", None),
            (404, text, Some(ErrorKind::VideoNotFound)),
            (401, text, Some(ErrorKind::UpstreamAuthFailed)),
            (403, text, Some(ErrorKind::UpstreamAuthFailed)),
            (402, text, Some(ErrorKind::UpstreamAccountError)),
            (408, text, Some(ErrorKind::UpstreamError)),
            (429, list, Some(ErrorKind::RateLimited)),
            (400, "<html>", Some(ErrorKind::RefusedByProvider)),
            (500, list, Some(ErrorKind::UpstreamError)),
            (504, text, Some(ErrorKind::UpstreamError)),
            (503, text, Some(ErrorKind::UpstreamUnavailable)),
        ];
        for (status, body, error) in table {
            let reply = reply(status, body);
            match read_result(&reply) {
                Ok(video) => assert_eq!((video.status, error), (Status::Failed, None), "{status} {body}"),
                Err(got) => assert_eq!(Some(got.kind), error, "{status} {body}"),
            }
        }
    }

    #[test]
    fn content_refused_in_a_422_is_a_moderated_job() {
        let reply =
            reply(422, r#"{"detail":[{"msg":"No.","type":"content_policy_violation","input":{"prompt":"p"}}]}"#);
        let video = read_result(&reply).unwrap();
        assert_eq!(video.error, Some(JobError::new("content_policy_violation", "No.")));
        assert_eq!(video.content_filter.unwrap().reasons, ["No."]);
    }

    #[test]
    fn seconds_come_from_the_duration_or_from_the_frames() {
        let table = [
            (r#"{"video":{"url":"https://a/v.mp4","duration":5.041}}"#, Some("5.041")),
            (r#"{"video":{"url":"https://a/v.mp4","num_frames":120,"fps":24}}"#, Some("5")),
            (r#"{"video":{"url":"https://a/v.mp4","num_frames":121,"fps":24,"duration":0}}"#, Some("5.042")),
            (r#"{"videos":[{"url":"https://a/v.mp4","duration":8.0}]}"#, Some("8")),
            (r#"{"video":{"url":"https://a/v.mp4","num_frames":120,"fps":0}}"#, None),
            (r#"{"video":"https://a/v.mp4"}"#, None),
        ];
        for (body, want) in table {
            let reply = reply(200, body);
            let mut video = read_result(&reply).unwrap();
            video.settle(Lifetime::Unknown);
            assert_eq!((video.status, video.seconds.as_deref()), (Status::Completed, want), "{body}");
        }
    }

    #[test]
    fn a_403_of_a_locked_account_is_about_the_account() {
        let table = [
            ("User is locked. Reason: Exhausted balance. Top up your balance.", ErrorKind::UpstreamAccountError),
            ("User is locked. Reason: Admin lock.", ErrorKind::UpstreamAccountError),
            ("This key has no permission for this.", ErrorKind::UpstreamAuthFailed),
        ];
        for (words, want) in table {
            assert_eq!(http_error(&reply(403, &format!(r#"{{"detail":"{words}"}}"#))).kind, want, "{words}");
        }
    }
}
