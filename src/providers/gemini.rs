//! The Gemini API: Veo's operations, and the interactions that follow them.
//!
//! Operations: <https://ai.google.dev/gemini-api/docs/video>. A running one has no `done`; there is no model, prompt,
//! time or progress in it.

use super::google::{model_of, read_operation};
use super::google_errors::http_error;
use super::interactions::{self, read_interaction};
use super::job::{Job, JobRule, is_plain};
use super::states::NO_WORDS;
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ErrorKind, Lifetime, Video};
use std::time::Duration;

pub static GEMINI: Provider = Provider {
    kind: "gemini",
    title: "Google Gemini API: Veo and video interactions",
    docs: "https://ai.google.dev/gemini-api/docs/video",
    base_url: BaseUrl::Fixed("https://generativelanguage.googleapis.com/v1beta"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Header("x-goog-api-key") }],
    headers: &[],
    job: JobRule {
        form: "models/{model}/operations/{operation} or interactions/{id}",
        examples: &["models/veo-3.1-fast-generate-preview/operations/bwq9vmmq1qvk", "interactions/v1_ChdhYmMtMTIz"],
        slashes: true,
        accepts,
        project: None,
    },
    poll_interval: Duration::from_secs(10),
    // Files are kept for two days, but the answer does not say from when.
    result_lifetime: Lifetime::Unknown,
    // Files answer with a redirect inside googleapis.com.
    link_hosts: &[".googleapis.com", ".googleusercontent.com"],
    own_links_need_credentials: true,
    results_may_be_inline: true,
    variants: NO_VARIANTS,
    states: &[("models/…", NO_WORDS), ("interactions/…", interactions::STATES)],
    request,
    read,
};

fn accepts(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        ["models", model, "operations", operation] => is_plain(model) && is_plain(operation),
        ["interactions", id] => is_plain(id),
        _ => false,
    }
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/{}", job.segments()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_job(job, reply).into()
}

fn read_job<'a>(job: &Job<'a>, reply: &'a Reply) -> Result<Video<'a>, ApiError> {
    if !reply.status.is_success() {
        // A 403 is how the API answers for a job that does not exist or is someone else's.
        return Err(http_error(reply, ErrorKind::VideoNotFound));
    }
    if job.as_str().starts_with("interactions/") {
        return read_interaction(reply);
    }
    let mut video = read_operation(reply)?;
    video.model = model_of(job.as_str()).map(Into::into);
    Ok(video)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_resources_are_no_jobs() {
        let table = [
            ("models/veo-3.1/operations/abc", true),
            ("interactions/v1_Chd-x", true),
            ("models/veo-3.1/operations", false),
            ("models/veo-3.1/operations/abc/x", false),
            ("models/veo:predictLongRunning/operations/abc", false),
            ("files/abc", false),
            ("interactions/a/b", false),
            ("interactions", false),
            ("operations/abc", false),
        ];
        for (name, fits) in table {
            assert_eq!(GEMINI.job.check(name).is_some(), fits, "{name}");
        }
    }
}
