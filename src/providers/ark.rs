//! ByteDance's Ark, sold as BytePlus ModelArk and Volcengine Ark: Seedance.
//!
//! Fields: <https://docs.byteplus.com/en/docs/ModelArk/1521309>, in Chinese
//! <https://www.volcengine.com/docs/82379/1521309>. The answer has no prompt and no size in pixels.

use super::dialect::{failure_by_code, moderated, said};
use super::job::{Job, JobRule};
use super::outputs::Videos;
use super::states::{State, States};
use super::verdict::Failure;
use super::wire::{Maybe, Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{
    ApiError, ErrorKind, JobError, Lifetime, Size, SizeTable, Status, Video, seconds_from_frames, seconds_from_number,
};
use serde::Deserialize;
use std::time::Duration;

pub static ARK: Provider = Provider {
    kind: "ark",
    title: "BytePlus ModelArk and Volcengine Ark: Seedance",
    docs: "https://docs.byteplus.com/en/docs/ModelArk/1521309",
    // Keys belong to a region. Volcengine's is https://ark.cn-beijing.volces.com/api/v3.
    base_url: BaseUrl::Fixed("https://ark.ap-southeast.bytepluses.com/api/v3"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "cgt- and letters, digits and single hyphens, such as cgt-20260514183217-t8rzv",
        examples: &["cgt-20260514183217-t8rzv"],
        slashes: false,
        accepts: is_task,
        project: None,
    },
    // No limit is published; the tutorial's samples wait 10 s: <https://docs.byteplus.com/en/docs/ModelArk/1366799>.
    poll_interval: Duration::from_secs(10),
    // <https://docs.byteplus.com/en/docs/ModelArk/1521309>, `content.video_url`. `updated_at` of an ended task is its end.
    result_lifetime: Lifetime::FromCompletion(Duration::from_secs(24 * 3600)),
    // Those of the samples in both regions' tutorials.
    link_hosts: &[
        "ark-content-generation-ap-southeast-1.tos-ap-southeast-1.volces.com",
        "ark-content-generation-cn-beijing.tos-cn-beijing.volces.com",
        "ark-content-generation-v2-cn-beijing.tos-cn-beijing.volces.com",
    ],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://docs.byteplus.com/en/docs/ModelArk/1521309>. `expired`: the task ran longer than `execution_expires_after`.
const STATES: States = &[
    ("queued", State::Queued),
    ("running", State::InProgress),
    ("succeeded", State::Completed),
    ("failed", State::Failed),
    ("cancelled", State::Cancelled),
    ("expired", State::Expired),
];

/// Codes of moderated tasks hold it, with what was refused before it and why behind it:
/// `OutputVideoSensitiveContentDetected.PolicyViolation`. Accounts with the separate content security have
/// `InputTextRiskDetection` and kin: <https://www.volcengine.com/docs/82379/1099476>.
const MODERATION_SIGNS: &[&str] = &["sensitivecontentdetected", "riskdetection"];

/// Codes whose HTTP status, 403 or 429, says something else: <https://www.volcengine.com/docs/82379/1299023>.
const CODES: &[(&str, ErrorKind)] = &[
    ("AccountOverdueError", ErrorKind::UpstreamAccountError),
    ("ServiceOverdue", ErrorKind::UpstreamAccountError),
    ("OperationDenied.ServiceOverdue", ErrorKind::UpstreamAccountError),
];

/// Seedance 1.0 in pixels: <https://docs.byteplus.com/en/docs/ModelArk/1520757>, `ratio`.
const SIZES_OF_1_0: SizeTable = &[
    ("480p", "16:9", 864, 480),
    ("480p", "4:3", 736, 544),
    ("480p", "1:1", 640, 640),
    ("480p", "3:4", 544, 736),
    ("480p", "9:16", 480, 864),
    ("480p", "21:9", 960, 416),
    ("720p", "16:9", 1248, 704),
    ("720p", "4:3", 1120, 832),
    ("720p", "1:1", 960, 960),
    ("720p", "3:4", 832, 1120),
    ("720p", "9:16", 704, 1248),
    ("720p", "21:9", 1504, 640),
    ("1080p", "16:9", 1920, 1088),
    ("1080p", "4:3", 1664, 1248),
    ("1080p", "1:1", 1440, 1440),
    ("1080p", "3:4", 1248, 1664),
    ("1080p", "9:16", 1088, 1920),
    ("1080p", "21:9", 2176, 928),
];

/// The versions after it, on the same page.
const SIZES: SizeTable = &[
    ("480p", "16:9", 864, 496),
    ("480p", "4:3", 752, 560),
    ("480p", "1:1", 640, 640),
    ("480p", "3:4", 560, 752),
    ("480p", "9:16", 496, 864),
    ("480p", "21:9", 992, 432),
    ("720p", "16:9", 1280, 720),
    ("720p", "4:3", 1112, 834),
    ("720p", "1:1", 960, 960),
    ("720p", "3:4", 834, 1112),
    ("720p", "9:16", 720, 1280),
    ("720p", "21:9", 1470, 630),
    ("1080p", "16:9", 1920, 1080),
    ("1080p", "4:3", 1664, 1248),
    ("1080p", "1:1", 1440, 1440),
    ("1080p", "3:4", 1248, 1664),
    ("1080p", "9:16", 1080, 1920),
    ("1080p", "21:9", 2206, 946),
    ("4k", "16:9", 3840, 2160),
    ("4k", "4:3", 3326, 2494),
    ("4k", "1:1", 2880, 2880),
    ("4k", "3:4", 2494, 3326),
    ("4k", "9:16", 2160, 3840),
    ("4k", "21:9", 4398, 1886),
];

/// Where 2.5 differs from them.
const SIZES_OF_2_5: SizeTable = &[("480p", "16:9", 854, 480), ("480p", "9:16", 480, 854)];

/// The tables that a model goes by, the first that has the size, told by a part of its name. A model that is not here has
/// no known size.
const SIZES_BY_MODEL: &[(&str, &[SizeTable])] = &[
    ("seedance-1-0", &[SIZES_OF_1_0]),
    ("seedance-1-5", &[SIZES]),
    ("seedance-2-0", &[SIZES]),
    ("seedance-2-5", &[SIZES_OF_2_5, SIZES]),
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Task<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model: Text<'a>,
    error: Maybe<Failure<'a>>,
    /// The name that older versions have for it: `content_generation_task.py` in
    /// <https://github.com/volcengine/volcengine-python-sdk>.
    failure_reason: Maybe<Failure<'a>>,
    created_at: Time,
    updated_at: Time,
    content: Maybe<Content<'a>>,
    resolution: Text<'a>,
    ratio: Text<'a>,
    /// Either this or `frames`.
    duration: Number,
    frames: Number,
    framespersecond: Number,
}

/// An object, unlike the content of the create call.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    video_url: Videos<'a>,
}

fn is_task(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    name.strip_prefix("cgt-").is_some_and(|rest| rest.split('-').all(is_part))
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/contents/generations/tasks/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_task(reply).into()
}

fn read_task(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        let said = said(reply);
        return moderated(&said, MODERATION_SIGNS).ok_or_else(|| failure_by_code(CODES, reply, said));
    }
    let task: Task<'_> = reply.json()?;
    let seconds = task.seconds();
    let size = task.size();
    let Some(word) = task.status.0 else {
        return Err(reply.invalid("as a task: it has no status"));
    };
    let mut video = Video::in_state(word, STATES);
    video.model = task.model.0;
    video.seconds = seconds;
    video.size = size;
    video.created_at = task.created_at.0;
    // Of a task that goes on it is only the last change; `settle` takes that away.
    video.completed_at = task.updated_at.0;
    video.videos = task.content.0.unwrap_or_default().video_url.0;
    if video.status == Status::Failed {
        let error = task.error.0.or(task.failure_reason.0).map_or(JobError::new("", ""), Failure::into_error);
        video.fail_by_signs(error, MODERATION_SIGNS);
    }
    Ok(video)
}

impl Task<'_> {
    fn seconds(&self) -> Option<String> {
        let of_frames = || seconds_from_frames(self.frames.0?, self.framespersecond.0?);
        self.duration.0.and_then(seconds_from_number).or_else(of_frames)
    }

    fn size(&self) -> Option<Size> {
        let model = self.model.as_deref()?;
        let (_, tables) = SIZES_BY_MODEL.iter().find(|(part, _)| model.contains(part))?;
        let (resolution, ratio) = (self.resolution.as_deref()?, self.ratio.as_deref()?);
        tables.iter().find_map(|table| Size::in_table(table, resolution, ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    #[test]
    fn a_task_is_named_after_the_content_it_generates() {
        for name in ["cgt-20260514183217-t8rzv", "cgt-2025", "cgt-a-b-c"] {
            assert!(is_task(name), "{name}");
        }
        for name in ["cgt-", "cgt", "cgt--a", "cgt-a-", "task-20260514183217-t8rzv", "cgt-a.b", "cgt-a_b", "cgt-a/b"] {
            assert!(!is_task(name), "{name}");
        }
    }

    #[test]
    fn the_size_is_that_of_the_model_version() {
        let table = [
            ("doubao-seedance-1-0-pro-250528", "720p", "16:9", Some("1248x704")),
            ("seedance-1-0-lite-t2v-250428", "1080p", "21:9", Some("2176x928")),
            ("seedance-1-5-pro-251215", "720p", "21:9", Some("1470x630")),
            ("dreamina-seedance-2-0-fast-260128", "480p", "9:16", Some("496x864")),
            ("dreamina-seedance-2-5-260628", "480p", "9:16", Some("480x854")),
            ("dreamina-seedance-2-5-260628", "720p", "9:16", Some("720x1280")),
            ("doubao-seedance-2-0-260128", "4k", "1:1", Some("2880x2880")),
            ("doubao-seedance-2-0-260128", "720p", "adaptive", None),
            ("doubao-seedance-2-0-260128", "8k", "16:9", None),
            ("doubao-seedance-2-0", "720P", "16:9", Some("1280x720")),
            ("seedance-9-0-pro", "720p", "16:9", None),
            ("", "720p", "16:9", None),
        ];
        for (model, resolution, ratio, want) in table {
            let body =
                format!(r#"{{"status":"succeeded","model":"{model}","resolution":"{resolution}","ratio":"{ratio}"}}"#);
            let reply = reply(200, &body);
            let size = read_task(&reply).unwrap().size.map(|size| size.to_string());
            assert_eq!(size.as_deref(), want, "{model} {resolution} {ratio}");
        }
    }

    #[test]
    fn frames_stand_in_for_a_missing_duration() {
        let table = [
            (r#""duration":5,"framespersecond":24"#, Some("5")),
            (r#""frames":121,"framespersecond":24"#, Some("5.042")),
            (r#""duration":-1,"frames":48,"framespersecond":24"#, Some("2")),
            (r#""frames":121"#, None),
            (r#""duration":0"#, None),
        ];
        for (fields, want) in table {
            let reply = reply(200, &format!(r#"{{"status":"succeeded",{fields}}}"#));
            assert_eq!(read_task(&reply).unwrap().seconds.as_deref(), want, "{fields}");
        }
    }

    #[test]
    fn an_overdue_account_is_no_refused_key_though_it_is_a_403() {
        let of = |code: &str| {
            reply(403, &format!(r#"{{"error":{{"code":"{code}","message":"m","param":"","type":"Forbidden"}}}}"#))
        };
        assert_eq!(read_task(&of("AccountOverdueError")).unwrap_err().kind, ErrorKind::UpstreamAccountError);
        assert_eq!(read_task(&of("AccessDenied")).unwrap_err().kind, ErrorKind::UpstreamAuthFailed);
    }
}
