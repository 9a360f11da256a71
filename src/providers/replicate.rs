//! Replicate: runs anybody's models, so input and output have the shape that the model gives them.
//!
//! Fields: <https://replicate.com/docs/reference/http#predictions.get>. The same prediction can come back with other
//! keys from one call to the next, and keys are missing rather than null until they are known.

use super::dialect::{failure, said, wait};
use super::job::{Job, JobRule};
use super::outputs::Videos;
use super::states::{State, States};
use super::wire::{Flag, Maybe, Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ErrorKind, JobError, Lifetime, Size, Status, Video, seconds_from_text};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;

pub static REPLICATE: Provider = Provider {
    kind: "replicate",
    title: "Replicate",
    docs: "https://replicate.com/docs/reference/http#predictions.get",
    base_url: BaseUrl::Fixed("https://api.replicate.com/v1"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "lower-case letters and digits",
        examples: &["hdwst0bb05rgp0cf0p29mzk2am"],
        slashes: false,
        accepts: is_prediction,
        project: None,
    },
    // Its SDKs ask every 500 ms, for models that take seconds; videos take minutes. At 2 s one account can watch 100
    // jobs within the 3,000 calls a minute of <https://replicate.com/docs/topics/predictions/rate-limits>.
    poll_interval: Duration::from_secs(2),
    // An hour, but not for every prediction; see `KEPT_FOR`.
    result_lifetime: Lifetime::Unknown,
    // <https://replicate.com/docs/reference/http#predictions.get>
    link_hosts: &["replicate.delivery", ".replicate.delivery"],
    own_links_need_credentials: false,
    results_may_be_inline: true,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://replicate.com/docs/topics/predictions/lifecycle>. `aborted`: the deadline passed before it could start.
const STATES: States = &[
    ("starting", State::Queued),
    ("processing", State::InProgress),
    ("succeeded", State::Completed),
    ("failed", State::Failed),
    ("canceled", State::Cancelled),
    ("aborted", State::Expired),
];

/// Seconds after which input, output and logs of predictions made through the API are removed; those made on the web
/// page are kept: <https://replicate.com/docs/topics/predictions/data-retention>.
const KEPT_FOR: i64 = 3600;

/// What errors of moderated predictions hold, in lower case. There is no code for it and no page about it: these are the
/// words in published predictions that failed so.
const MODERATION_SIGNS: &[&str] = &["(e005)", "flagged as sensitive", "nsfw"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Prediction<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model: Text<'a>,
    input: Maybe<Input<'a>>,
    output: Videos<'a>,
    /// Text where it is Replicate's, anything where it is the model's.
    error: Option<&'a RawValue>,
    logs: Text<'a>,
    metrics: Maybe<Metrics<'a>>,
    created_at: Time,
    completed_at: Time,
    data_removed: Flag,
    source: Text<'a>,
}

/// What most video models call their inputs.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Input<'a> {
    #[serde(borrow)]
    prompt: Text<'a>,
    duration: Text<'a>,
    seconds: Text<'a>,
    width: Number,
    height: Number,
    size: Text<'a>,
    resolution: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metrics<'a> {
    #[serde(borrow)]
    video_output_duration_seconds: Text<'a>,
}

/// What a 429 holds besides `detail`'s words.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Throttled<'a> {
    retry_after: Number,
    #[serde(borrow)]
    detail: Text<'a>,
}

fn is_prediction(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/predictions/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_prediction(reply).into()
}

fn read_prediction(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        return Err(http_error(reply));
    }
    let prediction: Prediction<'_> = reply.json()?;
    let Some(word) = prediction.status.0 else {
        return Err(reply.invalid("as a prediction: it has no status"));
    };
    // The word alone ends a job: with `Prefer: wait` a prediction has its output while it is still `processing`.
    let mut video = Video::in_state(word, STATES);
    let input = prediction.input.0.unwrap_or_default();
    let metrics = prediction.metrics.0.unwrap_or_default();
    video.seconds = [&input.duration, &input.seconds, &metrics.video_output_duration_seconds]
        .into_iter()
        .find_map(|text| seconds_from_text(text.as_deref()?));
    video.size = Size::new(input.width.pixels(), input.height.pixels())
        .or_else(|| [&input.size, &input.resolution].into_iter().find_map(|text| Size::parse(text.as_deref()?)));
    video.model = prediction.model.0;
    video.prompt = input.prompt.0;
    video.progress = prediction.logs.as_deref().and_then(progress_in);
    video.created_at = prediction.created_at.0;
    video.completed_at = prediction.completed_at.0;
    match video.status {
        Status::Completed => {
            video.removed = prediction.data_removed.0 == Some(true);
            video.videos = if video.removed { Vec::new() } else { prediction.output.0 };
            video.expires_at = expiry(&video, prediction.source.as_deref());
        }
        Status::Failed => tell_failure(&mut video, prediction.error),
        Status::Queued | Status::InProgress => {}
    }
    Ok(video)
}

/// When the results go; `None` where there are none or they are kept.
fn expiry(video: &Video<'_>, source: Option<&str>) -> Option<i64> {
    let goes = video.removed || (source != Some("web") && !video.videos.is_empty());
    video.completed_at.filter(|_| goes)?.checked_add(KEPT_FOR)
}

fn tell_failure<'a>(video: &mut Video<'a>, error: Option<&'a RawValue>) {
    let Some(message) = error.and_then(text_of) else { return };
    video.fail_by_signs(JobError::new("", message), MODERATION_SIGNS);
}

/// The text of a JSON string, else the JSON itself; `None` for null and empty text.
fn text_of(json: &RawValue) -> Option<Cow<'_, str>> {
    let json = json.get();
    match json.starts_with('"') {
        true => serde_json::from_str::<Text<'_>>(json).ok()?.0,
        false => Some(json.into()).filter(|_| json != "null"),
    }
}

/// Percent of the last progress bar in the logs, as Replicate's own SDK reads it: `replicate/prediction.py` in
/// <https://github.com/replicate/replicate-python>. A bar is drawn anew after a line feed or a carriage return.
fn progress_in(logs: &str) -> Option<f64> {
    logs.rsplit(['\n', '\r']).find_map(percent_in)
}

/// Reads ` 40%|████      | 20/50 [00:01<00:01, 17.15it/s]`.
fn percent_in(line: &str) -> Option<f64> {
    let (percent, bar) = line.trim_start().split_once('%')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (_, counts) = bar.trim_start().strip_prefix('|')?.split_once('|')?;
    let (done, all) = counts.trim_start().split_once('/')?;
    let fits = is_number(percent) && is_number(done) && all.starts_with(|c: char| c.is_ascii_digit());
    percent.parse().ok().filter(|_| fits)
}

/// `application/problem+json`: `{"title","detail","status"}`.
fn http_error(reply: &Reply) -> ApiError {
    let error = failure(reply, said(reply));
    if error.kind != ErrorKind::RateLimited || error.retry_after.is_some() {
        return error;
    }
    error.with_retry_after(until_reset(reply))
}

/// The wait of a 429 without `Retry-After`: the body's number, else a header that every answer carries, else the words
/// of <https://replicate.com/docs/topics/predictions/rate-limits>.
fn until_reset(reply: &Reply) -> Option<Duration> {
    let body: Throttled<'_> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let header = || reply.headers.get("ratelimit-reset")?.to_str().ok()?.trim().parse().ok();
    let words = || seconds_in(body.detail.as_deref()?);
    wait(body.retry_after).or_else(|| wait(Number(header()))).or_else(|| wait(Number(words())))
}

/// Reads `… Your rate limit resets in ~30s.`.
fn seconds_in(detail: &str) -> Option<f64> {
    let (_, rest) = detail.split_once("resets in ~")?;
    let (number, _) = rest.split_once('s')?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_progress_bar_counts() {
        let table = [
            ("Using seed: 7\n 12%|█▏        | 6/50 [00:00<00:02]\n 40%|████      | 20/50 [00:01]\n", Some(40.0)),
            ("  0%|          | 0/50\r 12%|█▏        | 6/50\r 98%|█████████▊| 49/50\rdone", Some(98.0)),
            ("100%|██████████| 50/50 [00:03]\n  4%|▍         | 1/25 [00:00]", Some(4.0)),
            ("7% |#| 1/14", Some(7.0)),
            ("loss fell by 40%", None),
            ("40%|████", None),
            ("40%|████| done", None),
            ("40.5%|████| 1/2", None),
            ("%|████| 1/2", None),
            ("step 40%|████| 1/2", None),
            ("", None),
        ];
        for (logs, want) in table {
            assert_eq!(progress_in(logs), want, "{logs}");
        }
    }

    #[test]
    fn errors_of_any_type_have_a_text() {
        let table = [
            (r#""out of memory""#, Some("out of memory")),
            (r#""""#, None),
            ("null", None),
            (r#"{"code":7}"#, Some(r#"{"code":7}"#)),
            ("[1]", Some("[1]")),
        ];
        for (json, want) in table {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(text_of(raw).as_deref(), want, "{json}");
        }
    }

    #[test]
    fn the_wait_stands_in_words() {
        assert_eq!(seconds_in("Request was throttled. Your rate limit resets in ~30s."), Some(30.0));
        assert_eq!(seconds_in("Request was throttled."), None);
        assert_eq!(seconds_in("resets in ~a while"), None);
    }
}
