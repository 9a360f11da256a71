//! Runway: one task object for everything that it makes, told apart by `status`.
//!
//! Fields: <https://docs.dev.runwayml.com/api/>, the `tasks/{id}` call. A task does not say what it was asked for:
//! no model, prompt, length or size, and not whether it makes a video, an image or sound.

use super::dialect::{failure, said};
use super::job::{Job, JobRule, is_uuid};
use super::outputs::Videos;
use super::states::{State, States};
use super::wire::{Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, JobError, Lifetime, Status, Video};
use serde::Deserialize;
use std::time::Duration;

pub static RUNWAY: Provider = Provider {
    kind: "runway",
    title: "Runway",
    docs: "https://docs.dev.runwayml.com/api/",
    base_url: BaseUrl::Fixed("https://api.dev.runwayml.com/v1"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    // Demanded on every call: <https://docs.dev.runwayml.com/api/>.
    headers: &[("X-Runway-Version", "2024-11-06")],
    job: JobRule {
        form: "a UUID",
        examples: &["17f20503-6c24-4c16-946b-35dbbce2af2f"],
        slashes: false,
        accepts: is_uuid,
        project: None,
    },
    // The reference asks for no more than one call in 5 s; Runway's own SDK waits 6 s.
    poll_interval: Duration::from_secs(6),
    // "Within 24-48 hours" is only a range (<https://docs.dev.runwayml.com/assets/outputs>); the link's own token is exact.
    result_lifetime: Lifetime::Unknown,
    // The samples of <https://docs.dev.runwayml.com/assets/outputs> are on CloudFront.
    link_hosts: &[".cloudfront.net"],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://docs.dev.runwayml.com/api/>. `THROTTLED`: the account runs as many tasks as it may; the task waits.
const STATES: States = &[
    ("PENDING", State::Queued),
    ("THROTTLED", State::Queued),
    ("RUNNING", State::InProgress),
    ("SUCCEEDED", State::Completed),
    ("FAILED", State::Failed),
    ("CANCELLED", State::Cancelled),
];

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Task<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    created_at: Time,
    /// From 0 to 1.
    progress: Number,
    output: Videos<'a>,
    failure: Text<'a>,
    failure_code: Text<'a>,
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
        return Err(failure(reply, said(reply)));
    }
    let task: Task<'_> = reply.json()?;
    let Some(word) = task.status.0 else {
        return Err(reply.invalid("as a task: it has no status"));
    };
    let mut video = Video::in_state(word, STATES);
    video.created_at = task.created_at.0;
    video.progress = task.progress.0.map(|ratio| ratio * 100.0);
    video.videos = task.output.0;
    if video.status == Status::Failed {
        tell_failure(&mut video, task.failure, task.failure_code);
    }
    Ok(video)
}

fn tell_failure<'a>(video: &mut Video<'a>, failure: Text<'a>, code: Text<'a>) {
    let error = JobError { code: code.0.unwrap_or_default(), message: failure.0.unwrap_or_default() };
    match is_moderation(&error.code) {
        true => video.fail_by_moderation(error),
        false => video.fail_with(error),
    }
}

/// `SAFETY.INPUT.TEXT` and kin; the tail is open: <https://docs.dev.runwayml.com/errors/task-failures/>.
fn is_moderation(code: &str) -> bool {
    code.split('.').next() == Some("SAFETY")
}
