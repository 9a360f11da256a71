//! fal: a queue in front of anybody's models. The status tells whether a request still runs, the result how it ended.
//!
//! <https://fal.ai/docs/api-reference/inference-api> and <https://docs.fal.ai/model-apis/errors>. `COMPLETED` only says
//! that nothing runs any more: the result is the model's own answer, with the model's own status. Nothing repeats what
//! was asked for, and nothing says when.

use super::fal_result::{failed, http_error, read_result};
use super::job::{Job, JobRule, is_plain, is_uuid, path_of};
use super::states::{State, States};
use super::wire::Text;
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, JobError, Lifetime, Status, Video};
use serde::Deserialize;
use std::time::Duration;

pub static FAL: Provider = Provider {
    kind: "fal",
    title: "fal",
    docs: "https://fal.ai/docs/api-reference/inference-api",
    base_url: BaseUrl::Fixed("https://queue.fal.run"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Authorization("Key") }],
    headers: &[],
    job: JobRule {
        form: "{app}/requests/{request_id}, the app as in the request's response_url",
        examples: &[
            "fal-ai/veo3/requests/80e732af-660e-45cd-bd63-580e4f2a94cc",
            "workflows/acme/teaser/requests/3e3e5b55-45fb-4e5c-b4d1-05702dffc8bf",
        ],
        slashes: true,
        accepts: |name| Name::parse(name).is_some(),
        project: None,
    },
    // What fal's own client waits: `libs/client/src/queue.ts` in <https://github.com/fal-ai/fal-js>.
    poll_interval: Duration::from_millis(500),
    // Whoever makes a job sets how long its files stay: <https://fal.ai/docs/model-apis/data-retention>.
    result_lifetime: Lifetime::Unknown,
    // v3.fal.media and v3b.fal.media: <https://fal.ai/docs/model-apis/data-retention>.
    link_hosts: &["fal.media", ".fal.media"],
    own_links_need_credentials: false,
    results_may_be_inline: true,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

const STATES: States =
    &[("IN_QUEUE", State::Queued), ("IN_PROGRESS", State::InProgress), ("COMPLETED", State::Completed)];

/// Namespaces whose apps have an owner and a name below them: `parseEndpointId` in `libs/client/src/utils.ts` of
/// <https://github.com/fal-ai/fal-js>.
const NAMESPACES: &[&str] = &["workflows", "comfy"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Queue<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    /// A request that the platform could not run ends with these.
    error: Text<'a>,
    error_type: Text<'a>,
}

/// The checked parts of a job's name.
struct Name<'a> {
    /// What was submitted to: the app, and the path below it where the name has one.
    endpoint: &'a str,
    /// What is asked about a request: the app alone.
    app: Vec<&'a str>,
    request_id: &'a str,
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Option<Name<'a>> {
        let (endpoint, request_id) = name.rsplit_once("/requests/")?;
        let parts: Vec<&str> = match old_endpoint(endpoint) {
            Some((owner, app)) => vec![owner, app],
            None => endpoint.split('/').collect(),
        };
        let length = if parts.first().is_some_and(|first| NAMESPACES.contains(first)) { 3 } else { 2 };
        let fits = |part: &&str| is_plain(part) && *part != "requests";
        let app = parts.get(..length)?.to_vec();
        (parts.iter().all(fits) && is_uuid(request_id)).then_some(Name { endpoint, app, request_id })
    }

    /// "The status, result, and cancel URLs use only the owner and the app."
    fn path(&self) -> String {
        format!("{}/requests/{}", path_of(&self.app), self.request_id)
    }
}

/// `{number}-{app}`, the older way to write `{number}/{app}`: `ensureEndpointIdFormat` in `libs/client/src/utils.ts` of
/// <https://github.com/fal-ai/fal-js>.
fn old_endpoint(endpoint: &str) -> Option<(&str, &str)> {
    let (owner, app) = endpoint.split_once('-')?;
    let is_number = !owner.is_empty() && owner.bytes().all(|b| b.is_ascii_digit());
    let is_app = !app.is_empty() && app.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_number && is_app).then_some((owner, app))
}

fn path(job: &Job<'_>) -> String {
    Name::parse(job.as_str()).map(|name| name.path()).unwrap_or_default()
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("{}/status", path(job)))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let step = match replies {
        [] => Step::Then(request(job)),
        [status] => read_status(job, status).unwrap_or_else(Step::Failed),
        [.., result] => read_result(result).into(),
    };
    match step {
        Step::Done(mut video) => {
            video.model = Name::parse(job.as_str()).map(|name| name.endpoint.into());
            Step::Done(video)
        }
        other => other,
    }
}

/// A request that has ended well, as far as the queue can tell, is asked for its result.
fn read_status<'a>(job: &Job<'a>, reply: &'a Reply) -> Result<Step<'a>, ApiError> {
    if !reply.status.is_success() {
        return Err(http_error(reply));
    }
    let queue: Queue<'a> = reply.json()?;
    let Some(word) = queue.status.0 else {
        return Err(reply.invalid("as a status: it has none"));
    };
    let video = Video::in_state(word, STATES);
    if video.status != Status::Completed {
        return Ok(video.into());
    }
    if queue.error.0.is_none() && queue.error_type.0.is_none() {
        return Ok(Step::Then(Call::get(path(job))));
    }
    let (code, message) = (queue.error_type.0.unwrap_or_default(), queue.error.0.unwrap_or_default());
    Ok(failed(JobError { code, message }, Vec::new()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    const ID: &str = "80e732af-660e-45cd-bd63-580e4f2a94cc";

    #[test]
    fn only_the_app_stands_in_a_call() {
        let table = [
            ("fal-ai/veo3", Some("/fal-ai/veo3")),
            ("fal-ai/kling-video/v2/master/text-to-video", Some("/fal-ai/kling-video")),
            ("workflows/acme/teaser", Some("/workflows/acme/teaser")),
            ("comfy/acme/teaser/cut", Some("/comfy/acme/teaser")),
            ("110602490-fast-clip", Some("/110602490/fast-clip")),
            ("110602490-", None),
            ("-clip", None),
            ("clip-110602490", None),
            ("workflows/acme", None),
            ("veo3", None),
            ("fal-ai/requests", None),
            ("fal-ai/veo3/requests", None),
            ("fal-ai/ve:o3", None),
            ("fal-ai/veo@evil.example", None),
        ];
        for (endpoint, want) in table {
            let name = format!("{endpoint}/requests/{ID}");
            let got = FAL.job.check(&name).map(|job| request(&job).path);
            assert_eq!(got, want.map(|app| format!("{app}/requests/{ID}/status")), "{name}");
        }
        for name in [ID, "fal-ai/veo3/requests/1", &format!("fal-ai/veo3/requests/{ID}/status"), "fal-ai/veo3"] {
            assert!(FAL.job.check(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_request_that_runs_no_more_is_asked_for_its_result() {
        let name = format!("fal-ai/veo3/fast/requests/{ID}");
        let job = FAL.job.check(&name).unwrap();
        let replies = [reply(200, r#"{"status":"COMPLETED","metrics":{}}"#)];
        let Step::Then(call) = FAL.translate(&job, &replies) else { panic!("the result was not asked for") };
        assert_eq!(call, Call::get(format!("/fal-ai/veo3/requests/{ID}")));
    }
}
