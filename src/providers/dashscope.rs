//! Alibaba's DashScope, sold as Model Studio and Bailian: Wan, and models of other makers under the same calls.
//!
//! Fields: <https://www.alibabacloud.com/help/en/model-studio/text-to-video-api-reference> and its neighbours for each
//! family of models. The answer names neither the model nor what was asked for, but for the prompt. `usage` is written
//! for the bill: its names differ from family to family, and `duration` counts videos that were put in, too.

use super::dialect::{failure_by_code, failure_of_kind, moderated, said};
use super::job::{Job, JobRule, is_uuid};
use super::outputs::Videos;
use super::states::{State, States};
use super::wire::{Maybe, Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{
    ApiError, ErrorKind, JobError, Lifetime, Size, SizeTable, Source, Status, Video, seconds_from_number,
    seconds_from_text, signed_until,
};
use serde::Deserialize;
use std::time::Duration;

pub static DASHSCOPE: Provider = Provider {
    kind: "dashscope",
    title: "Alibaba DashScope (Model Studio): Wan and others",
    docs: "https://www.alibabacloud.com/help/en/model-studio/text-to-video-api-reference",
    // Keys belong to a region. Others: https://dashscope.aliyuncs.com/api/v1 (Beijing), https://dashscope-us.aliyuncs.com/api/v1
    // (Virginia), and https://{workspace}.{region}.maas.aliyuncs.com/api/v1.
    base_url: BaseUrl::Fixed("https://dashscope-intl.aliyuncs.com/api/v1"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "a UUID",
        examples: &["0385dc79-5ff8-4d82-bcb6-6d1f0c5e9a27"],
        slashes: false,
        accepts: is_uuid,
        project: None,
    },
    // Recommended by the reference, which allows 20 queries a second for the whole account.
    poll_interval: Duration::from_secs(15),
    // Not the same for every family; see `kept_until`.
    result_lifetime: Lifetime::Unknown,
    link_hosts: LINK_HOSTS,
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://www.alibabacloud.com/help/en/model-studio/manage-asynchronous-tasks>; `SUSPENDED` is of the SDK alone
/// (<https://github.com/dashscope/dashscope-sdk-python>, `common/constants.py`). `UNKNOWN` is no state of a job.
const STATES: States = &[
    ("PENDING", State::Queued),
    ("SUSPENDED", State::Queued),
    ("RUNNING", State::InProgress),
    ("SUCCEEDED", State::Completed),
    ("FAILED", State::Failed),
    ("CANCELED", State::Cancelled),
];

/// What `task_status` says of a job that never was, and of one that is older than 24 hours.
const UNKNOWN: &str = "UNKNOWN";

/// The buckets that the references of Wan list for firewalls, those of their examples, and the hosts of the makers whose
/// models are sold along. The documents say that there may be others (`dashscope-{id}.oss-accelerate.aliyuncs.com`); a
/// pattern would let in anybody's bucket, so that those belong into `content.allow_hosts`.
const LINK_HOSTS: &[&str] = &[
    "dashscope-result.oss-cn-beijing.aliyuncs.com",
    "dashscope-result-bj.oss-cn-beijing.aliyuncs.com",
    "dashscope-result-hz.oss-cn-hangzhou.aliyuncs.com",
    "dashscope-result-sh.oss-cn-shanghai.aliyuncs.com",
    "dashscope-result-sh.oss-accelerate.aliyuncs.com",
    "dashscope-result-wlcb.oss-cn-wulanchabu.aliyuncs.com",
    "dashscope-result-wlcb-acdr-1.oss-cn-wulanchabu-acdr-1.aliyuncs.com",
    "dashscope-result-zjk.oss-cn-zhangjiakou.aliyuncs.com",
    "dashscope-result-sz.oss-cn-shenzhen.aliyuncs.com",
    "dashscope-result-hy.oss-cn-heyuan.aliyuncs.com",
    "dashscope-result-cd.oss-cn-chengdu.aliyuncs.com",
    "dashscope-result-gz.oss-cn-guangzhou.aliyuncs.com",
    "dashscope-result-sgp.oss-ap-southeast-1.aliyuncs.com",
    "dashscope-a717.oss-accelerate.aliyuncs.com",
    "prod-ss-vidu.s3.cn-northwest-1.amazonaws.com.cn",
    "media.pixverseai.cn",
];

/// Seconds for which results of Wan are kept, and those of Kling, which alone come with a second link.
const KEPT_FOR: i64 = 24 * 3600;
const KLING_KEPT_FOR: i64 = 30 * 24 * 3600;

/// Classes of resolution in pixels, where they are the same for every model: 4:3 and 3:4 are not.
const SIZES: SizeTable = &[
    ("480", "16:9", 832, 480),
    ("480", "9:16", 480, 832),
    ("480", "1:1", 624, 624),
    ("720", "16:9", 1280, 720),
    ("720", "9:16", 720, 1280),
    ("720", "1:1", 960, 960),
    ("1080", "16:9", 1920, 1080),
    ("1080", "9:16", 1080, 1920),
    ("1080", "1:1", 1440, 1440),
];

/// Signs of moderation in codes and texts of failed jobs, in lower case:
/// <https://www.alibabacloud.com/help/en/model-studio/error-code>.
const MODERATION_SIGNS: &[&str] =
    &["datainspectionfailed", "ipinfringementsuspect", "green net check failed", "inappropriate content"];

/// Codes whose HTTP status says something else (`Arrearage` is a 400, the bills are 429, `AccessDenied.Unpurchased` is a
/// 403), and those of errors that come with HTTP 200: <https://www.alibabacloud.com/help/en/model-studio/error-code>.
const CODES: &[(&str, ErrorKind)] = &[
    ("Arrearage", ErrorKind::UpstreamAccountError),
    ("PrepaidBillOverdue", ErrorKind::UpstreamAccountError),
    ("PostpaidBillOverdue", ErrorKind::UpstreamAccountError),
    ("CommodityNotPurchased", ErrorKind::UpstreamAccountError),
    ("BudgetLimitExceeded", ErrorKind::UpstreamAccountError),
    ("AccessDenied.Unpurchased", ErrorKind::UpstreamAccountError),
    ("AllocationQuota.FreeTierOnly", ErrorKind::UpstreamAccountError),
    ("InvalidApiKey", ErrorKind::UpstreamAuthFailed),
    ("AccessDenied", ErrorKind::UpstreamAuthFailed),
    ("Throttling", ErrorKind::RateLimited),
    ("Throttling.RateQuota", ErrorKind::RateLimited),
    ("Throttling.AllocationQuota", ErrorKind::RateLimited),
    ("InvalidParameter", ErrorKind::RefusedByProvider),
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer<'a> {
    #[serde(borrow)]
    output: Maybe<Output<'a>>,
    usage: Maybe<Usage<'a>>,
    /// Of an error of the query; a failed job has its own in `output`, where that says why at all.
    code: Text<'a>,
    message: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Output<'a> {
    #[serde(borrow)]
    task_status: Text<'a>,
    /// Local time of China, whichever the region.
    submit_time: Time<8>,
    end_time: Time<8>,
    orig_prompt: Text<'a>,
    video_url: Videos<'a>,
    /// Where the models that animate people have the link.
    results: Maybe<Results<'a>>,
    /// Kling's copy of the same video.
    watermark_video_url: Text<'a>,
    code: Text<'a>,
    message: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Results<'a> {
    #[serde(borrow)]
    video_url: Videos<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage<'a> {
    #[serde(borrow)]
    output_video_duration: Text<'a>,
    video_duration: Text<'a>,
    duration: Text<'a>,
    input_video_duration: Number,
    size: Text<'a>,
    video_ratio: Text<'a>,
    #[serde(rename = "SR")]
    sr: Text<'a>,
    ratio: Text<'a>,
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/tasks/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_task(reply).into()
}

fn read_task(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        return query_error(reply);
    }
    let answer: Answer<'_> = reply.json()?;
    let output = answer.output.0.unwrap_or_default();
    let Some(word) = output.task_status.0 else {
        return match answer.code.0 {
            Some(_) => query_error(reply),
            None => Err(reply.invalid("as a task: it has no status")),
        };
    };
    if word == UNKNOWN {
        return Err(ApiError {
            detail: "{p} does not know this job, or has forgotten it: it keeps jobs for 24 hours.".into(),
            ..failure_of_kind(ErrorKind::VideoNotFound, reply, said(reply))
        });
    }
    let usage = answer.usage.0.unwrap_or_default();
    let mut video = Video::in_state(word, STATES);
    video.prompt = output.orig_prompt.0;
    video.seconds = usage.seconds();
    video.size = usage.size();
    video.created_at = output.submit_time.0;
    video.completed_at = output.end_time.0;
    video.videos = output.video_url.0;
    video.videos.extend(output.results.0.unwrap_or_default().video_url.0);
    match video.status {
        Status::Completed => video.expires_at = kept_until(&video, output.watermark_video_url.0.is_some()),
        Status::Failed => {
            let code = output.code.0.or(answer.code.0).unwrap_or_default();
            let error = JobError::new(code, output.message.0.or(answer.message.0).unwrap_or_default());
            video.fail_by_signs(error, MODERATION_SIGNS);
        }
        Status::Queued | Status::InProgress => {}
    }
    Ok(video)
}

impl Usage<'_> {
    /// What the result lasts, before what is paid for.
    fn seconds(&self) -> Option<String> {
        let texts = [&self.output_video_duration, &self.video_duration];
        texts.into_iter().find_map(|text| seconds_from_text(text.as_deref()?)).or_else(|| self.paid_seconds())
    }

    /// What is paid for, less the video that was put in.
    fn paid_seconds(&self) -> Option<String> {
        let paid = seconds_from_text(self.duration.as_deref()?)?;
        match self.input_video_duration.0.filter(|input| *input > 0.0) {
            Some(input) => seconds_from_number(((paid.parse::<f64>().ok()? - input) * 1000.0).round() / 1000.0),
            None => Some(paid),
        }
    }

    fn size(&self) -> Option<Size> {
        let written = [&self.size, &self.video_ratio].into_iter().find_map(|text| Size::parse(text.as_deref()?));
        written.or_else(|| {
            let resolution = self.sr.as_deref()?.trim_end_matches(['p', 'P']);
            [&self.ratio, &self.video_ratio]
                .into_iter()
                .find_map(|text| Size::in_table(SIZES, resolution, text.as_deref()?))
        })
    }
}

/// When a finished job's link ends: as its signature says, else by whose storage it is on, else nobody knows.
fn kept_until(video: &Video<'_>, is_kling: bool) -> Option<i64> {
    let Source::Link(link) = &video.videos.first()?.source else { return None };
    signed_until(link).or_else(|| {
        let (_, rest) = link.split_once("://")?;
        let host = rest.split(['/', '?']).next()?;
        let seconds = match host.starts_with("dashscope-") || host.ends_with(".aliyuncs.com") {
            _ if is_kling => KLING_KEPT_FOR,
            true => KEPT_FOR,
            false => return None,
        };
        video.completed_at?.checked_add(seconds)
    })
}

/// `{"code","message","request_id"}`.
fn query_error(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let said = said(reply);
    match moderated(&said, MODERATION_SIGNS) {
        Some(video) => Ok(video),
        None => Err(failure_by_code(CODES, reply, said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    #[test]
    fn a_job_unknown_with_200_is_not_found() {
        let reply = reply(200, r#"{"request_id":"r","output":{"task_id":"t","task_status":"UNKNOWN"}}"#);
        let error = read_task(&reply).unwrap_err();
        assert_eq!((error.kind, error.is_ours()), (ErrorKind::VideoNotFound, false));
    }

    #[test]
    fn times_are_those_of_china() {
        let body = r#"{"output":{"task_status":"FAILED","submit_time":"2025-09-29 14:18:52.331","end_time":"2025-09-29 14:23:39.407"}}"#;
        let reply = reply(200, body);
        let video = read_task(&reply).unwrap();
        assert_eq!((video.created_at, video.completed_at), (Some(1759126732), Some(1759127019)));
    }

    #[test]
    fn money_is_missing_whatever_the_status() {
        let table = [
            (400, "Arrearage", ErrorKind::UpstreamAccountError),
            (429, "PrepaidBillOverdue", ErrorKind::UpstreamAccountError),
            (403, "AccessDenied.Unpurchased", ErrorKind::UpstreamAccountError),
            (429, "Throttling.RateQuota", ErrorKind::RateLimited),
            (403, "AccessDenied", ErrorKind::UpstreamAuthFailed),
            (400, "InvalidParameter", ErrorKind::RefusedByProvider),
            (200, "Throttling.RateQuota", ErrorKind::RateLimited),
            (200, "InternalError", ErrorKind::UpstreamError),
        ];
        for (status, code, want) in table {
            let reply = reply(status, &format!(r#"{{"request_id":"r","code":"{code}","message":"m"}}"#));
            assert_eq!(read_task(&reply).unwrap_err().kind, want, "{status} {code}");
        }
    }

    #[test]
    fn what_lasts_counts_before_what_is_paid_for() {
        let table = [
            (r#""duration":15,"input_video_duration":5,"output_video_duration":10"#, Some("10")),
            (r#""duration":5.0,"output_video_duration":5.13"#, Some("5.13")),
            (r#""duration":15.1,"input_video_duration":5"#, Some("10.1")),
            (r#""duration":5,"input_video_duration":"5""#, None),
            (r#""duration":5,"input_video_duration":0"#, Some("5")),
            (r#""video_duration":10.23,"video_ratio":"standard""#, Some("10.23")),
            (r#""duration":10.0"#, Some("10")),
            (r#""duration":0"#, None),
            ("", None),
        ];
        for (usage, want) in table {
            let reply = reply(200, &format!(r#"{{"output":{{"task_status":"SUCCEEDED"}},"usage":{{{usage}}}}}"#));
            assert_eq!(read_task(&reply).unwrap().seconds.as_deref(), want, "{usage}");
        }
    }

    #[test]
    fn sizes_are_written_out_or_follow_from_their_class() {
        let table = [
            (r#""size":"1280*720","SR":720"#, Some("1280x720")),
            (r#""SR":720,"ratio":"16:9""#, Some("1280x720")),
            (r#""SR":"1080","ratio":"9:16""#, Some("1080x1920")),
            (r#""SR":"480P","ratio":"1:1""#, Some("624x624")),
            (r#""SR":480,"video_ratio":"9:16""#, Some("480x832")),
            // Not the same for every model, and the model is not named.
            (r#""SR":720,"ratio":"4:3""#, None),
            (r#""SR":720"#, None),
            (r#""video_ratio":"832*480""#, Some("832x480")),
            (r#""video_ratio":"standard""#, None),
        ];
        for (usage, want) in table {
            let reply = reply(200, &format!(r#"{{"output":{{"task_status":"SUCCEEDED"}},"usage":{{{usage}}}}}"#));
            let size = read_task(&reply).unwrap().size.map(|size| size.to_string());
            assert_eq!(size.as_deref(), want, "{usage}");
        }
    }

    #[test]
    fn how_long_a_link_lives_depends_on_whose_it_is() {
        let bucket = "https://dashscope-result-sh.oss-cn-shanghai.aliyuncs.com/v.mp4";
        let table = [
            (format!(r#""video_url":"{bucket}?Expires=1759213419""#), Some(1759213419)),
            (format!(r#""video_url":"{bucket}""#), Some(1759127019 + 86_400)),
            (r#""video_url":"https://films.oss-cn-beijing.aliyuncs.com/v.mp4""#.into(), Some(1759127019 + 86_400)),
            (r#""video_url":"https://media.example.com/aliyuncs.com/v.mp4""#.into(), None),
            (format!(r#""video_url":"{bucket}","watermark_video_url":"{bucket}""#), Some(1761719019)),
            (r#""video_url":"https://k/v.mp4","watermark_video_url":"https://k/w.mp4""#.into(), Some(1761719019)),
            (r#""video_url":"https://media.pixverseai.cn/v.mp4""#.into(), None),
        ];
        for (link, want) in table {
            let body = format!(r#"{{"output":{{"task_status":"SUCCEEDED","end_time":"2025-09-29 14:23:39",{link}}}}}"#);
            assert_eq!(read_task(&reply(200, &body)).unwrap().expires_at, want, "{link}");
        }
    }
}
