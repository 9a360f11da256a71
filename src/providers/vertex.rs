//! Vertex AI: Veo's operations, asked for by a POST to the model that runs them.
//!
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation>. A plain GET of the
//! operation's name is refused; its name holds the project and the region of the API's host.

use super::google::{model_of, read_operation};
use super::google_errors::http_error;
use super::job::{Job, JobRule, is_plain};
use super::states::NO_WORDS;
use super::wire::json_string;
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ErrorKind, Lifetime, Video};
use std::time::Duration;

pub static VERTEX: Provider = Provider {
    kind: "vertex",
    title: "Google Vertex AI: Veo",
    docs: "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation",
    base_url: BaseUrl::FromJob { form: "https://{location}-aiplatform.googleapis.com/v1", build: base_url },
    credentials: &[
        CredentialForm { fields: &["service_account"], scheme: Scheme::GoogleServiceAccount },
        CredentialForm { fields: &["access_token"], scheme: Scheme::Bearer },
        CredentialForm { fields: &["api_key"], scheme: Scheme::Header("x-goog-api-key") },
    ],
    headers: &[],
    job: JobRule {
        form: "projects/{project}/locations/{location}/publishers/google/models/{model}/operations/{operation}",
        examples: &[
            "projects/my-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001/operations/a1b07c8e-7b5a-4aba-bb34-3e1ccb8afcc8",
            "projects/example.com:films/locations/global/publishers/google/models/veo-3.1-fast-generate-001/operations/0c9fd2f6-6b0e-4b5c-8f7e-2d1a90b1c3d4",
        ],
        slashes: true,
        accepts: |name| Name::parse(name).is_some(),
        project: Some(project),
    },
    // The samples wait 10 to 20 s.
    poll_interval: Duration::from_secs(15),
    // Results live in the customer's bucket or in the answer.
    result_lifetime: Lifetime::Unknown,
    link_hosts: &[".googleapis.com"],
    own_links_need_credentials: true,
    results_may_be_inline: true,
    variants: NO_VARIANTS,
    states: &[("", NO_WORDS)],
    request,
    read,
};

/// The checked parts of an operation's name that a call is built from.
struct Name<'a> {
    project: &'a str,
    location: &'a str,
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Option<Name<'a>> {
        let parts: Vec<&'a str> = name.split('/').collect();
        let [
            "projects",
            project,
            "locations",
            location,
            "publishers",
            "google",
            "models",
            model,
            "operations",
            operation,
        ] = parts.as_slice()
        else {
            return None;
        };
        host_of(location)?;
        let fits = is_project(project) && is_plain(model) && is_plain(operation);
        fits.then_some(Name { project, location })
    }
}

/// A project's id or number; ids of domain-scoped projects hold a colon (`example.com:films`).
fn is_project(id: &str) -> bool {
    !id.is_empty()
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'))
}

/// `us-central1`, `europe-west4`, `northamerica-northeast2`.
fn is_region(location: &str) -> bool {
    let Some((area, place)) = location.split_once('-') else { return false };
    let direction = place.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    is_word(area) && is_word(direction) && direction.len() < place.len()
}

/// The API's hosts: <https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations>, the two multi-regions as in
/// python-genai's `_api_client.py`.
fn host_of(location: &str) -> Option<String> {
    match location {
        "global" => Some("aiplatform.googleapis.com".to_owned()),
        "us" | "eu" => Some(format!("aiplatform.{location}.rep.googleapis.com")),
        region => is_region(region).then(|| format!("{region}-aiplatform.googleapis.com")),
    }
}

fn base_url(job: &Job<'_>) -> Option<String> {
    let host = host_of(Name::parse(job.as_str())?.location)?;
    Some(format!("https://{host}/v1"))
}

fn project<'a>(job: &Job<'a>) -> Option<&'a str> {
    Name::parse(job.as_str()).map(|name| name.project)
}

fn request(job: &Job<'_>) -> Call {
    let name = job.segments();
    let model = name.rsplit_once("/operations/").map_or(name.as_str(), |(model, _)| model);
    let body = format!(r#"{{"operationName":{}}}"#, json_string(job.as_str()));
    Call::post(format!("/{model}:fetchPredictOperation"), body)
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_job(job, reply).into()
}

fn read_job<'a>(job: &Job<'a>, reply: &'a Reply) -> Result<Video<'a>, ApiError> {
    if !reply.status.is_success() {
        // A 403 is about the permission to use the model: its text names the model, not the operation.
        return Err(http_error(reply, ErrorKind::UpstreamAuthFailed));
    }
    let mut video = read_operation(reply)?;
    video.model = model_of(job.as_str()).map(Into::into);
    Ok(video)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(project: &str, location: &str) -> String {
        format!("projects/{project}/locations/{location}/publishers/google/models/veo-3/operations/a-1")
    }

    #[test]
    fn the_location_gives_the_host_and_nothing_else_does() {
        let table = [
            ("global", Some("https://aiplatform.googleapis.com/v1")),
            ("us", Some("https://aiplatform.us.rep.googleapis.com/v1")),
            ("eu", Some("https://aiplatform.eu.rep.googleapis.com/v1")),
            ("us-central1", Some("https://us-central1-aiplatform.googleapis.com/v1")),
            ("northamerica-northeast2", Some("https://northamerica-northeast2-aiplatform.googleapis.com/v1")),
            ("asia", None),
            ("us-central", None),
            ("us-1", None),
            ("-central1", None),
            ("us-east1-b", None),
            ("evil.example.com", None),
            ("evil.com:443", None),
            ("us-central1@evil", None),
            ("US-central1", None),
        ];
        for (location, want) in table {
            let name = name("p-1", location);
            let got = VERTEX.job.check(&name).and_then(|job| base_url(&job));
            assert_eq!(got.as_deref(), want, "{location}");
        }
    }

    #[test]
    fn a_call_goes_to_the_model_and_names_the_operation() {
        let name = name("example.com:films", "global");
        let job = VERTEX.job.check(&name).unwrap();
        let call = request(&job);
        assert_eq!(
            call.path,
            "/projects/example.com%3Afilms/locations/global/publishers/google/models/veo-3:fetchPredictOperation"
        );
        assert_eq!(call.body, Some(format!(r#"{{"operationName":"{name}"}}"#)));
        assert_eq!(project(&job), Some("example.com:films"));
    }

    #[test]
    fn names_of_other_resources_are_no_jobs() {
        let good = name("p-1", "us-central1");
        let table = [
            good.replace("publishers/google", "publishers/other"),
            good.replace("/operations/a-1", ""),
            good.replace("veo-3", "veo:3"),
            good.replace("p-1", "P-1"),
            format!("{good}/x"),
            good.replace("projects/", "organizations/"),
        ];
        assert!(VERTEX.job.check(&good).is_some());
        for name in table {
            assert!(VERTEX.job.check(&name).is_none(), "{name}");
        }
    }
}
