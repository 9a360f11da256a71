//! PixVerse: every answer in an envelope of its own, with HTTP 200 for errors, too.
//!
//! Fields: <https://docs.platform.pixverse.ai/get-video-generation-status-13016632e0>. The state is a number, `size` is
//! that of the file in bytes, `resolution_ratio` the quality. There is no model and no duration. The job's own id is
//! not compared.

use super::dialect::{failure_by_code, failure_of_kind, said};
use super::job::{Job, JobRule, is_digits};
use super::outputs::Videos;
use super::states::{State, States};
use super::wire::{Maybe, Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, FRESH_UUID, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ContentFilter, ErrorKind, JobError, Lifetime, Said, Size, Status, Video};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

pub static PIXVERSE: Provider = Provider {
    kind: "pixverse",
    title: "PixVerse",
    docs: "https://docs.platform.pixverse.ai/get-video-generation-status-13016632e0",
    // Keys belong to a platform. The Chinese one is https://app-api.pixverseai.cn/openapi/v2.
    base_url: BaseUrl::Fixed("https://app-api.pixverse.ai/openapi/v2"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Header("api-key") }],
    // Another one on every request: <https://docs.platform.pixverse.ai/common-errors-and-solutions-882978m0>.
    headers: &[("Ai-trace-id", FRESH_UUID)],
    job: JobRule { form: "digits", examples: &["318394529341376"], slashes: false, accepts: is_video, project: None },
    // Neither an interval nor a limit is published; its own guides and clients wait 5 to 10 s.
    poll_interval: Duration::from_secs(5),
    // Not documented; links are not signed.
    result_lifetime: Lifetime::Unknown,
    // Those of the samples, outside China and within.
    link_hosts: &["media.pixverse.ai", "media.pixverseai.cn"],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://docs.platform.pixverse.ai/get-video-generation-status-13016632e0>. 0 is not on that page; it comes before 5.
/// 7: moderation did not let the result through. Others have been seen, and nobody says what they mean.
const STATES: States = &[
    ("0", State::Queued),
    ("5", State::InProgress),
    ("1", State::Completed),
    ("7", State::Failed),
    ("8", State::Failed),
];

const MODERATED: &str = "7";

/// The video has been deleted: to a client it is no job any more.
const DELETED: &str = "6";

/// What `ErrCode` means: <https://docs.platform.pixverse.ai/error-codes-796041m0>. 400017 is an invalid parameter, and
/// the job's name, which has the right form, is the only one that there is.
const CODES: &[(&str, ErrorKind)] = &[
    ("400011", ErrorKind::RefusedByProvider),
    ("400012", ErrorKind::UpstreamAuthFailed),
    ("400013", ErrorKind::RefusedByProvider),
    ("400017", ErrorKind::VideoNotFound),
    ("500008", ErrorKind::VideoNotFound),
    ("500020", ErrorKind::UpstreamAuthFailed),
    ("500044", ErrorKind::RateLimited),
    ("500064", ErrorKind::VideoNotFound),
    ("500069", ErrorKind::UpstreamUnavailable),
    ("500090", ErrorKind::UpstreamAccountError),
];

/// How long names are at most. They are 64-bit numbers.
const LONGEST: usize = 20;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Answer<'a> {
    /// 0 where nothing went wrong.
    #[serde(borrow)]
    err_code: Text<'a>,
    err_msg: Text<'a>,
    resp: Maybe<Generation<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Generation<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    url: Videos<'a>,
    prompt: Text<'a>,
    create_time: Time,
    modify_time: Time,
    #[serde(rename = "outputWidth")]
    width: Number,
    #[serde(rename = "outputHeight")]
    height: Number,
}

fn is_video(name: &str) -> bool {
    is_digits(name, LONGEST)
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/video/result/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_generation(reply).into()
}

fn read_generation(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        // What a load balancer says is no envelope.
        let answer: Answer<'_> = serde_json::from_slice(&reply.body).unwrap_or_default();
        return Err(query_error(reply, answer.err_code.0, answer.err_msg.0));
    }
    let answer: Answer<'_> = reply.json()?;
    let code = answer.err_code.0.filter(|code| code != "0");
    let Some(generation) = answer.resp.0.filter(|generation| generation.status.0.is_some()) else {
        return Err(match code {
            Some(_) => query_error(reply, code, answer.err_msg.0),
            None => reply.invalid("as a generation: it has no status"),
        });
    };
    let word = generation.status.0.unwrap_or_default();
    if word == DELETED {
        return Err(ApiError {
            detail: "This video has been deleted at {p}.".into(),
            ..failure_of_kind(ErrorKind::VideoNotFound, reply, said(reply))
        });
    }
    let is_moderated = word == MODERATED;
    let mut video = Video::in_state(word, STATES);
    if code.is_some() && !video.status.is_terminal() {
        return Err(query_error(reply, code, answer.err_msg.0));
    }
    video.prompt = generation.prompt.0;
    video.size = Size::new(generation.width.pixels(), generation.height.pixels());
    video.created_at = generation.create_time.0;
    // Of a job that goes on it is only the last change; `settle` takes that away.
    video.completed_at = generation.modify_time.0;
    video.videos = generation.url.0;
    if video.status == Status::Failed {
        tell_failure(&mut video, is_moderated, code, answer.err_msg.0);
    }
    Ok(video)
}

/// The message beside a code of 0 is that the query went well, and says nothing of the job.
fn tell_failure<'a>(
    video: &mut Video<'a>,
    is_moderated: bool,
    code: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
) {
    let error = match code {
        Some(code) => JobError::new(code, message.unwrap_or_default()),
        None => JobError::new("", ""),
    };
    if is_moderated {
        let reasons = [&error.message, &error.code].into_iter().find(|text| !text.is_empty()).cloned();
        video.content_filter = Some(ContentFilter { filtered_count: None, reasons: reasons.into_iter().collect() });
    }
    video.fail_with(error);
}

/// By its code where that is known, by the HTTP status where that says that something went wrong, else by neither.
fn query_error(reply: &Reply, code: Option<Cow<'_, str>>, message: Option<Cow<'_, str>>) -> ApiError {
    failure_by_code(CODES, reply, envelope(reply, code, message))
}

/// What the envelope says, else what stands in one of the usual shapes.
fn envelope(reply: &Reply, code: Option<Cow<'_, str>>, message: Option<Cow<'_, str>>) -> Said {
    let usual = said(reply);
    Said {
        code: code.map(Cow::into_owned).or(usual.code),
        message: message.map(Cow::into_owned).or(usual.message),
        ..usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    fn generation(status: u8) -> String {
        format!(r#"{{"ErrCode":0,"ErrMsg":"Success","Resp":{{"id":1,"status":{status},"url":""}}}}"#)
    }

    #[test]
    fn an_error_with_200_is_no_verdict() {
        let table = [
            ("400012", ErrorKind::UpstreamAuthFailed),
            ("400013", ErrorKind::RefusedByProvider),
            ("400017", ErrorKind::VideoNotFound),
            ("500008", ErrorKind::VideoNotFound),
            ("500090", ErrorKind::UpstreamAccountError),
            ("99999", ErrorKind::UpstreamError),
        ];
        for (code, want) in table {
            let reply = reply(200, &format!(r#"{{"ErrCode":{code},"ErrMsg":"m","Resp":null}}"#));
            let error = read_generation(&reply).unwrap_err();
            let said = error.said.unwrap();
            assert_eq!((error.kind, said.code.as_deref(), said.message.as_deref()), (want, Some(code), Some("m")));
        }
    }

    #[test]
    fn an_error_beside_a_verdict_is_the_verdicts_reason() {
        let of = |status: u8| reply(200, &format!(r#"{{"ErrCode":500063,"ErrMsg":"m","Resp":{{"status":{status}}}}}"#));
        assert_eq!(read_generation(&of(7)).unwrap().error, Some(JobError::new("500063", "m")));
        assert_eq!(read_generation(&of(5)).unwrap_err().kind, ErrorKind::UpstreamError);
    }

    #[test]
    fn a_deleted_video_is_not_found() {
        let error = read_generation(&reply(200, &generation(6))).unwrap_err();
        assert_eq!((error.kind, error.is_ours()), (ErrorKind::VideoNotFound, false));
    }

    #[test]
    fn a_number_that_nobody_explains_is_no_end() {
        for status in [2, 3, 9, 10] {
            let reply = reply(200, &generation(status));
            let video = read_generation(&reply).unwrap();
            assert_eq!((video.status, video.unknown_state), (Status::InProgress, Some(status.to_string().into())));
        }
    }

    #[test]
    fn another_id_in_the_answer_is_the_same_job() {
        let job = PIXVERSE.job.check("318394529341376").unwrap();
        let replies = [reply(200, &generation(5))];
        assert!(matches!(PIXVERSE.translate(&job, &replies), Step::Done(video) if video.status == Status::InProgress));
    }
}
