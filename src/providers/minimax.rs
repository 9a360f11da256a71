//! MiniMax: Hailuo. Two APIs side by side, each for its own models.
//!
//! v1 is asked for a task and then for its file: <https://platform.minimax.io/docs/api-reference/video-generation-query>
//! and <https://platform.minimax.io/docs/api-reference/video-generation-download>. v2 answers with both:
//! <https://platform.minimax.io/docs/api-reference/video-generation-v2-query>. A task of v1 does not say what it was
//! asked for, nor when.

use super::job::{Job, JobRule, segment_of};
use super::minimax_errors::{Outcome, is_moderation, of_the_file, outcome_of, v2_error};
use super::states::{State, States};
use super::verdict::Failure;
use super::wire::{Maybe, Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, JobError, Lifetime, Media, Size, Status, Video, seconds_from_number, signed_until};
use serde::Deserialize;
use std::time::Duration;

pub static MINIMAX: Provider = Provider {
    kind: "minimax",
    title: "MiniMax: Hailuo",
    docs: "https://platform.minimax.io/docs/api-reference/video-generation-query",
    base_url: BaseUrl::Fixed("https://api.minimax.io"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "{task_id}, all digits, or v2/{task_id} for tasks of the v2 API",
        examples: &["176843862716480", "v2/424010985738629"],
        slashes: true,
        accepts,
        project: None,
    },
    // The guide asks for a query every 10 s: <https://platform.minimax.io/docs/guides/video-generation>.
    poll_interval: Duration::from_secs(10),
    // Known for files of v1 only; links of v2 are said to be "time-limited".
    result_lifetime: Lifetime::Unknown,
    // v2's samples are on video-product.cdn.minimax.io; v1's links go to buckets of MiniMax's own at Alibaba's.
    link_hosts: &[
        ".minimax.io",
        ".minimaxi.com",
        ".minimax.cn",
        ".hailuoai.video",
        "public-cdn-video-data-algeng.oss-cn-wulanchabu.aliyuncs.com",
        "public-cdn-video-data-algeng-us.oss-us-east-1.aliyuncs.com",
    ],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("{task_id}", V1_STATES), ("v2/{task_id}", V2_STATES)],
    request,
    read,
};

const V1_STATES: States = &[
    ("Preparing", State::Queued),
    ("Queueing", State::Queued),
    ("Processing", State::InProgress),
    ("Success", State::Completed),
    ("Fail", State::Failed),
];

/// `expired` is not in MiniMax's own list, but in that of a client: `comfy_api_nodes` in <https://github.com/comfyanonymous/ComfyUI>.
const V2_STATES: States = &[
    ("queued", State::Queued),
    ("running", State::InProgress),
    ("succeeded", State::Completed),
    ("failed", State::Failed),
    ("cancelled", State::Cancelled),
    ("expired", State::Expired),
];

/// A file of v1 can be downloaded for nine hours, in seconds: <https://platform.minimax.io/docs/guides/video-generation>.
const FILE_LASTS: i64 = 9 * 3600;

#[derive(Deserialize, Default)]
#[serde(default)]
struct V1Task<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    file_id: Text<'a>,
    video_width: Number,
    video_height: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct V1Answer<'a> {
    #[serde(borrow)]
    file: Maybe<V1File<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct V1File<'a> {
    created_at: Time,
    #[serde(borrow)]
    download_url: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct V2Answer<'a> {
    #[serde(borrow)]
    task: Maybe<V2Task<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct V2Task<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model: Text<'a>,
    created_at: Time,
    updated_at: Time,
    duration: Number,
    content: Maybe<V2Content<'a>>,
    error: Maybe<Failure<'a>>,
}

/// A task that only writes a prompt has a `prompt` here and no link.
#[derive(Deserialize, Default)]
#[serde(default)]
struct V2Content<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

/// A task's id is a number of at most 64 bits.
fn accepts(name: &str) -> bool {
    let id = name.strip_prefix("v2/").unwrap_or(name);
    (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit())
}

fn v2_id<'a>(job: &Job<'a>) -> Option<&'a str> {
    job.as_str().strip_prefix("v2/")
}

fn request(job: &Job<'_>) -> Call {
    match v2_id(job) {
        Some(id) => Call::get(format!("/v2/query/video_generation/{id}")),
        None => Call::get(format!("/v1/query/video_generation?task_id={}", job.segment())),
    }
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    match replies {
        [] => Step::Then(request(job)),
        [reply] if v2_id(job).is_some() => read_v2(reply).into(),
        [reply] => read_v1(reply).unwrap_or_else(Step::Failed),
        [task, .., file] => read_file(task, file).map_err(of_the_file).into(),
    }
}

fn read_v1(reply: &Reply) -> Result<Step<'_>, ApiError> {
    let failed_with = match outcome_of(reply)? {
        Outcome::Fine => None,
        Outcome::Verdict(error) => Some(error),
    };
    let task: V1Task<'_> = reply.json()?;
    let file_id = task.file_id.as_deref().and_then(segment_of);
    let mut video = v1_video(reply, task)?;
    if let Some(error) = failed_with.filter(|_| video.status == Status::Failed) {
        tell_failure(&mut video, error);
    }
    match file_id.filter(|_| video.status == Status::Completed) {
        Some(id) => Ok(Step::Then(Call::get(format!("/v1/files/retrieve?file_id={id}")))),
        None => Ok(video.into()),
    }
}

fn v1_video<'a>(reply: &Reply, task: V1Task<'a>) -> Result<Video<'a>, ApiError> {
    let Some(word) = task.status.0 else {
        return Err(reply.invalid("as a task: it has no status"));
    };
    let mut video = Video::in_state(word, V1_STATES);
    video.size = Size::new(task.video_width.pixels(), task.video_height.pixels());
    Ok(video)
}

/// The file is made when the task ends, and each call for it gives a new link.
fn read_file<'a>(task: &'a Reply, reply: &'a Reply) -> Result<Video<'a>, ApiError> {
    if let Outcome::Verdict(_) = outcome_of(reply)? {
        return Err(reply.invalid("as a file: it tells of a task"));
    }
    let answer: V1Answer<'a> = reply.json()?;
    let file = answer.file.0.unwrap_or_default();
    let media = file.download_url.0.and_then(Media::from_link);
    let Some(media) = media else {
        return Err(reply.invalid("as a file: it has no usable download_url"));
    };
    let mut video = v1_video(task, task.json()?)?;
    video.completed_at = file.created_at.0;
    let signed = media.link().and_then(signed_until);
    video.expires_at = signed.or_else(|| file.created_at.0?.checked_add(FILE_LASTS));
    video.videos = vec![media];
    Ok(video)
}

fn read_v2(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        return Err(v2_error(reply));
    }
    // A gateway before both APIs speaks v1's language.
    outcome_of(reply)?;
    let answer: V2Answer<'_> = reply.json()?;
    let task = answer.task.0.unwrap_or_default();
    let Some(word) = task.status.0 else {
        return Err(reply.invalid("as a task: it has no status"));
    };
    let mut video = Video::in_state(word, V2_STATES);
    video.model = task.model.0;
    video.seconds = task.duration.0.and_then(seconds_from_number);
    video.created_at = task.created_at.0;
    match video.status {
        Status::Completed => {
            video.completed_at = task.updated_at.0;
            video.videos = task.content.0.and_then(|content| Media::from_link(content.url.0?)).into_iter().collect();
        }
        Status::Failed => {
            video.completed_at = task.updated_at.0;
            let error = task.error.0.map_or_else(|| JobError::new("", ""), Failure::into_error);
            tell_failure(&mut video, error);
        }
        Status::Queued | Status::InProgress => {}
    }
    Ok(video)
}

fn tell_failure<'a>(video: &mut Video<'a>, error: JobError<'a>) {
    match is_moderation(&error) {
        true => video.fail_by_moderation(error),
        false => video.fail_with(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;
    use crate::video::ErrorKind;

    const BASE: &str = r#""base_resp":{"status_code":0,"status_msg":"success"}"#;

    fn translate(name: &str, bodies: &[&str]) -> String {
        let job = MINIMAX.job.check(name).unwrap();
        let replies: Vec<Reply> = bodies.iter().map(|body| reply(200, body)).collect();
        match MINIMAX.translate(&job, &replies) {
            Step::Then(call) => call.path,
            Step::Done(video) => format!("{:?} {:?}", video.status, video.error.map(|error| error.code)),
            Step::Failed(error) => format!("{:?}", error.kind),
        }
    }

    #[test]
    fn the_name_tells_which_api_a_task_belongs_to() {
        let table = [
            ("176843862716480", Some("/v1/query/video_generation?task_id=176843862716480")),
            ("v2/424010985738629", Some("/v2/query/video_generation/424010985738629")),
            ("v1/176843862716480", None),
            ("v2/", None),
            ("v2/v2/1", None),
            ("v2/1/x", None),
            ("176843862716480a", None),
            ("1&task_id=2", None),
            ("123456789012345678901", None),
        ];
        for (name, path) in table {
            let got = MINIMAX.job.check(name).map(|job| request(&job).path);
            assert_eq!(got.as_deref(), path, "{name}");
        }
    }

    #[test]
    fn a_task_that_succeeded_is_asked_for_its_file() {
        let task = |file: &str| format!(r#"{{"status":"Success","file_id":{file},{BASE}}}"#);
        let table = [
            (task(r#""176844028768320""#), "/v1/files/retrieve?file_id=176844028768320"),
            (task("176844028768320"), "/v1/files/retrieve?file_id=176844028768320"),
            (task(r#""1&x=../2""#), "/v1/files/retrieve?file_id=1%26x%3D..%2F2"),
            (task(r#""""#), "Failed Some(\"no_output\")"),
        ];
        for (body, want) in table {
            assert_eq!(translate("17", &[&body]), want, "{body}");
        }
    }

    #[test]
    fn a_file_that_is_not_to_be_had_is_no_failed_job() {
        let task = format!(r#"{{"status":"Success","file_id":"1",{BASE}}}"#);
        let table = [
            (format!(r#"{{"file":{{"file_id":1}},{BASE}}}"#), ErrorKind::UpstreamInvalidResponse),
            (format!("{{{BASE}}}"), ErrorKind::UpstreamInvalidResponse),
            (
                r#"{"base_resp":{"status_code":2013,"status_msg":"invalid params, file"}}"#.to_owned(),
                ErrorKind::UpstreamError,
            ),
            (
                r#"{"base_resp":{"status_code":2013,"status_msg":"invalid task_id"}}"#.to_owned(),
                ErrorKind::UpstreamError,
            ),
            (r#"{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}"#.to_owned(), ErrorKind::RateLimited),
        ];
        for (file, want) in table {
            assert_eq!(translate("17", &[&task, &file]), format!("{want:?}"), "{file}");
        }
    }

    #[test]
    fn the_end_of_a_file_is_the_links_own_where_it_is_signed() {
        let task = reply(200, &format!(r#"{{"status":"Success","file_id":"1",{BASE}}}"#));
        let table = [
            ("https://a.minimax.io/v.mp4", 1_700_000_000 + FILE_LASTS),
            ("https://a.minimax.io/v.mp4?Expires=1700001000&Signature=s", 1_700_001_000),
        ];
        for (link, want) in table {
            let file = format!(r#"{{"file":{{"created_at":1700000000,"download_url":"{link}"}},{BASE}}}"#);
            let file = reply(200, &file);
            assert_eq!(read_file(&task, &file).unwrap().expires_at, Some(want), "{link}");
        }
    }
}
