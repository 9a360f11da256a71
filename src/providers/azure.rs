//! Azure OpenAI: Sora 2, which is OpenAI's API at another address, and the older jobs API of Sora 1.
//!
//! Sora 2: <https://learn.microsoft.com/azure/ai-foundry/openai/concepts/video-generation>. Sora 1:
//! <https://learn.microsoft.com/azure/ai-foundry/openai/video-generation-quickstart> and `VideoGenerationJob` in
//! <https://github.com/Azure/azure-rest-api-specs/tree/main/specification/ai/data-plane/OpenAI.v1>.

use super::job::{Job, JobRule, is_plain, segment_of};
use super::states::{State, States};
use super::wire::{Items, Number, Text, Time};
use super::{BaseUrl, Call, CredentialForm, Provider, Reply, Scheme, Step, Variants, openai};
use crate::video::{ApiError, ContentFilter, JobError, Lifetime, Media, Size, Status, Video, seconds_from_number};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

pub static AZURE: Provider = Provider {
    kind: "azure",
    title: "Azure OpenAI: Sora 2 and Sora 1",
    docs: "https://learn.microsoft.com/azure/ai-foundry/openai/concepts/video-generation",
    base_url: BaseUrl::Required { form: "https://{resource}.openai.azure.com/openai/v1" },
    credentials: &[
        CredentialForm { fields: &["api_key"], scheme: Scheme::Header("api-key") },
        CredentialForm {
            fields: &["entra.tenant_id", "entra.client_id", "entra.client_secret"],
            scheme: Scheme::EntraClientSecret,
        },
    ],
    headers: &[],
    job: JobRule {
        form: "video_… (Sora 2) or task_… (Sora 1)",
        examples: &["video_68f10c5428708190a98980c2d2b21a78", "task_01jwcet0eje35tc5jy54yjax5q"],
        slashes: false,
        accepts,
        project: None,
    },
    // The documented loops wait 20 s for Sora 2 and 5 s for Sora 1.
    poll_interval: Duration::from_secs(20),
    // "Video assets are available for 24 hours after the job is created": the page of Sora 2.
    result_lifetime: Lifetime::FromCreation(Duration::from_secs(24 * 3600)),
    // Results lie in the resource itself, or behind a redirect to Azure's storage.
    link_hosts: &[".blob.core.windows.net"],
    own_links_need_credentials: true,
    results_may_be_inline: false,
    variants: Variants { names: &["thumbnail", "spritesheet"], path: variant },
    states: &[("video_…", openai::STATES), ("task_…", STATES)],
    request,
    read,
};

/// States of Sora 1's jobs: `JobStatus` in the specification.
const STATES: States = &[
    ("preprocessing", State::Queued),
    ("queued", State::Queued),
    ("running", State::InProgress),
    ("processing", State::InProgress),
    ("succeeded", State::Completed),
    ("failed", State::Failed),
    ("cancelled", State::Cancelled),
];

/// What Sora 1's reasons for a failure mean; the API gives no text of its own. `input_moderation` and `internal_error`
/// are in the specification, `output_moderation` comes from the service.
const REASONS: &[(&str, &str)] = &[
    ("input_moderation", "The content moderation of Azure refused the request."),
    ("output_moderation", "The content moderation of Azure removed the result."),
    ("internal_error", "Azure failed to generate the video because of an internal error."),
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Sora1Job<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model: Text<'a>,
    prompt: Text<'a>,
    created_at: Time,
    finished_at: Time,
    expires_at: Time,
    n_seconds: Number,
    n_variants: Number,
    width: Number,
    height: Number,
    generations: Items<Generation<'a>>,
    failure_reason: Text<'a>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Generation<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    // What the job says, too, where it is complete.
    prompt: Text<'a>,
    n_seconds: Number,
    width: Number,
    height: Number,
}

/// Every other plain name is taken for Sora 2, whose ids have no documented alphabet.
fn accepts(name: &str) -> bool {
    match name.strip_prefix("task_") {
        Some(id) => is_plain(id) && !id.contains('.'),
        None => is_plain(name),
    }
}

fn is_sora_1(job: &Job<'_>) -> bool {
    job.as_str().starts_with("task_")
}

fn request(job: &Job<'_>) -> Call {
    if is_sora_1(job) {
        return Call::get(format!("/video/generations/jobs/{}?api-version=preview", job.segment()));
    }
    openai::request(job)
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    let step = if is_sora_1(job) { read_sora_1(reply).into() } else { openai::read(job, replies) };
    match step {
        Step::Done(mut video) => {
            // What both APIs call the model is the name of the customer's deployment.
            video.deployment = video.model.clone();
            Step::Done(video)
        }
        other => other,
    }
}

fn read_sora_1<'a>(reply: &'a Reply) -> Result<Video<'a>, ApiError> {
    if !reply.status.is_success() {
        return Err(openai::http_error(reply));
    }
    let job: Sora1Job<'a> = reply.json()?;
    let Some(word) = job.status.0 else {
        return Err(reply.invalid("as a job: it has no status"));
    };
    let mut video = Video::in_state(word, STATES);
    video.model = job.model.0;
    let first = job.generations.0.as_ref().and_then(|generations| generations.first()).cloned().unwrap_or_default();
    video.prompt = job.prompt.0.or(first.prompt.0);
    video.seconds = [job.n_seconds, first.n_seconds].into_iter().find_map(|n| seconds_from_number(n.0?));
    video.size = Size::new(job.width.pixels(), job.height.pixels())
        .or_else(|| Size::new(first.width.pixels(), first.height.pixels()));
    video.created_at = job.created_at.0;
    video.completed_at = job.finished_at.0;
    video.expires_at = job.expires_at.0;
    let made = job.generations.0.as_ref().map(|generations| generations.len() as u64);
    let missing = job.n_variants.whole().map(|wanted| wanted.saturating_sub(made.unwrap_or(0)));
    if video.status == Status::Completed {
        video.content_filter = filtered_results(made, missing);
        video.videos = results(job.generations, reply)?;
    }
    if let Some(reason) = job.failure_reason.0 {
        tell_failure(&mut video, reason, missing);
    }
    Ok(video)
}

/// A finished job with fewer videos than ordered has lost the others to moderation. One that has no list of them at all says nothing about why.
fn filtered_results<'a>(made: Option<u64>, missing: Option<u64>) -> Option<ContentFilter<'a>> {
    let is_filtered = made? == 0 || missing.is_some_and(|missing| missing > 0);
    is_filtered.then(|| ContentFilter { filtered_count: missing.filter(|missing| *missing > 0), reasons: Vec::new() })
}

/// The bytes are behind the API's own content call, which goes by the id of the generation, not of the job.
fn results<'a>(generations: Items<Generation<'a>>, reply: &Reply) -> Result<Vec<Media<'a>>, ApiError> {
    let media = |generation: Generation<'a>| {
        let id = generation.id.as_deref().and_then(segment_of);
        let id = id.ok_or_else(|| reply.invalid("as a job: a generation has no usable id"))?;
        Ok(Media::guarded(format!("/video/generations/{id}/content/video?api-version=preview")))
    };
    generations.into_iter().map(media).collect()
}

/// Sora 1 has a thumbnail of each generation (<https://learn.microsoft.com/azure/ai-foundry/openai/video-generation-quickstart>).
fn variant(path: &str, name: &str) -> Option<String> {
    match path.strip_suffix("/content/video?api-version=preview") {
        Some(generation) if name == "thumbnail" => Some(format!("{generation}/content/thumbnail?api-version=preview")),
        Some(_) => None,
        None => (openai::VARIANTS.path)(path, name),
    }
}

fn tell_failure<'a>(video: &mut Video<'a>, reason: Cow<'a, str>, missing: Option<u64>) {
    if video.status != Status::Failed {
        return;
    }
    if reason.ends_with("_moderation") {
        video.content_filter = Some(ContentFilter { filtered_count: missing, reasons: vec![reason.clone()] });
    }
    let known = REASONS.iter().find(|(code, _)| *code == reason).map(|(_, text)| Cow::Borrowed(*text));
    let message = known.unwrap_or_else(|| format!("Azure gives this reason: {reason}.").into());
    video.fail_with(JobError { code: reason, message });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_which_api_a_job_belongs_to() {
        let table = [
            ("video_68f1", Some("/videos/video_68f1")),
            ("job-7.b", Some("/videos/job-7.b")),
            ("task_01jw-a_b", Some("/video/generations/jobs/task_01jw-a_b?api-version=preview")),
            ("task_", None),
            ("task_a.b", None),
            ("task_a/b", None),
            ("video_a:b", None),
        ];
        for (name, path) in table {
            let got = AZURE.job.check(name).map(|job| request(&job).path);
            assert_eq!(got.as_deref(), path, "{name}");
        }
    }

    #[test]
    fn a_result_of_sora_1_is_at_its_generation() {
        let body = r#"{"status":"succeeded","model":"films","generations":[{"id":"gen_1"},{"id":"../a?b"}]}"#;
        let reply = Reply {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: body.into(),
            received_at: 1_760_000_000,
        };
        let job = AZURE.job.check("task_01").unwrap();
        let replies = [reply];
        let Step::Done(video) = AZURE.translate(&job, &replies) else { panic!("no video") };
        let want = ["gen_1", "..%2Fa%3Fb"]
            .map(|id| Media::guarded(format!("/video/generations/{id}/content/video?api-version=preview")));
        assert_eq!(video.videos, want);
        assert_eq!(video.deployment.as_deref(), Some("films"));
    }
}
