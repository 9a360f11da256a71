//! Runware: tasks are posted, also the task to ask for another task's results.
//!
//! Fields: <https://runware.ai/docs/platform/task-polling> and <https://runware.ai/docs/platform/errors>. One job has an
//! item for each video that was asked for: in `data` while it runs and when it is done, in `errors` when it failed. An
//! item does not repeat what was asked for: no model, prompt, length, size or time.

use super::dialect::{failure, failure_of_kind, said};
use super::job::{Job, JobRule, is_uuid};
use super::states::{State, States};
use super::wire::{Flag, Items, Maybe, Text, json_string};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ContentFilter, ErrorKind, JobError, Lifetime, Media, Said, Video};
use http::StatusCode;
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

pub static RUNWARE: Provider = Provider {
    kind: "runware",
    title: "Runware",
    docs: "https://runware.ai/docs/platform/task-polling",
    base_url: BaseUrl::Fixed("https://api.runware.ai/v1"),
    credentials: &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }],
    headers: &[],
    job: JobRule {
        form: "a UUID",
        examples: &["24cd5dff-cb81-4db5-8506-b72a9425f9d1"],
        slashes: false,
        accepts: is_uuid,
        project: None,
    },
    // "Start with 1-2 second intervals": <https://runware.ai/docs/platform/task-polling>.
    poll_interval: Duration::from_secs(2),
    // As long as the `ttl` of the create call says, which the answer does not repeat.
    result_lifetime: Lifetime::Unknown,
    // Results are on im.runware.ai and vm.runware.ai.
    link_hosts: &[".runware.ai"],
    own_links_need_credentials: false,
    results_may_be_inline: true,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// The last three are of <https://runware.ai/docs/platform/task-polling>; older pages and the SDK
/// (<https://github.com/Runware/sdk-python>) have the others.
const STATES: States = &[
    ("pending", State::Queued),
    ("queued", State::Queued),
    ("scheduled", State::Queued),
    ("waiting", State::Queued),
    ("processing", State::InProgress),
    ("success", State::Completed),
    ("error", State::Failed),
];

/// Tasks of the call itself; errors of any other task are the job's.
const TASKS_OF_THE_CALL: &[&str] = &["getResponse", "authentication"];

/// Parts of error codes, in lower case, that stand for moderation: `invalidProviderContent` and kin.
const MODERATION_CODES: &[&str] = &["invalidprovidercontent", "contentpolicyviolation", "moderation"];

/// Parts of error codes, in lower case, that say what went wrong with the call: <https://runware.ai/docs/platform/errors>.
const CALL_CODES: &[(&str, ErrorKind)] = &[
    ("invalidtaskuuid", ErrorKind::VideoNotFound),
    ("notfound", ErrorKind::VideoNotFound),
    ("apikey", ErrorKind::UpstreamAuthFailed),
    ("unauthorized", ErrorKind::UpstreamAuthFailed),
    ("unauthenticated", ErrorKind::UpstreamAuthFailed),
    ("insufficientcredit", ErrorKind::UpstreamAccountError),
    ("insufficientbalance", ErrorKind::UpstreamAccountError),
    ("insufficientfund", ErrorKind::UpstreamAccountError),
    ("ratelimit", ErrorKind::RateLimited),
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Maybe<Items<Item<'a>>>,
    errors: Maybe<Items<Item<'a>>>,
}

/// An item of either list.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow)]
    task_type: Text<'a>,
    status: Text<'a>,
    // Of `data`.
    #[serde(rename = "videoURL")]
    video_url: Text<'a>,
    #[serde(rename = "mediaURL")]
    media_url: Text<'a>,
    #[serde(rename = "videoDataURI")]
    video_data_uri: Text<'a>,
    #[serde(rename = "mediaDataURI")]
    media_data_uri: Text<'a>,
    video_base64_data: Text<'a>,
    media_base64_data: Text<'a>,
    outputs: Maybe<Outputs<'a>>,
    #[serde(rename = "NSFWContent")]
    nsfw_content: Flag,
    // Of `errors`.
    code: Text<'a>,
    message: Text<'a>,
    parameter: Text<'a>,
    r#type: Text<'a>,
    /// What the maker of the model said.
    response_content: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Outputs<'a> {
    #[serde(borrow)]
    files: Maybe<Items<File<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

/// The items of a job, sorted by how far they are.
#[derive(Default)]
struct Tally<'a> {
    queued: usize,
    running: usize,
    finished: usize,
    videos: Vec<Media<'a>>,
    /// Finished items that were found unfit and hold no video.
    withheld: u64,
    failed: Vec<Item<'a>>,
    unknown_state: Option<Cow<'a, str>>,
}

fn request(job: &Job<'_>) -> Call {
    let body = format!(r#"[{{"taskType":"getResponse","taskUUID":{}}}]"#, json_string(job.as_str()));
    Call::post("", body)
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_items(reply).into()
}

fn read_items(reply: &Reply) -> Result<Video<'_>, ApiError> {
    let answer: Answer<'_> = match reply.status.is_success() {
        true => reply.json()?,
        false => serde_json::from_slice(&reply.body).unwrap_or_default(),
    };
    let errors = answer.errors.0.and_then(|errors| errors.0).unwrap_or_default();
    // An empty list is Runware's word that there is no such job; a missing or unreadable one is not.
    if reply.status.is_success() && answer.data.0.is_none() && errors.is_empty() {
        return Err(reply.invalid("as results of a task: it has neither data nor errors"));
    }
    let items = answer.data.0.and_then(|items| items.0).unwrap_or_default();
    let tells_of_the_job = !items.is_empty() || errors.iter().any(is_verdict);
    if !tells_of_the_job || !may_judge(reply.status) {
        return Err(call_error(reply, &errors));
    }
    let mut tally = Tally { failed: errors.into_iter().filter(is_verdict).collect(), ..Tally::default() };
    items.into_iter().for_each(|item| tally.count(item));
    Ok(tally.into_video())
}

/// A job that failed is told with 200 or, for moderated ones, with 400; other statuses are about the call.
fn may_judge(status: StatusCode) -> bool {
    status.is_success() || matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
}

/// Whether an item of `errors` says that the job failed, rather than the call.
fn is_verdict(item: &Item<'_>) -> bool {
    let is_of_the_call = item.task_type.as_deref().map(|task| TASKS_OF_THE_CALL.contains(&task));
    let names_the_job = is_of_the_call == Some(false);
    let could_be_the_job = match call_code(item) {
        // No job fails for these.
        Some(ErrorKind::VideoNotFound | ErrorKind::UpstreamAuthFailed) => false,
        // The job's own maker may be short of these too.
        Some(_) => is_of_the_call.is_none(),
        None => true,
    };
    names_the_job || (item.status.as_deref() == Some("error") && could_be_the_job)
}

fn call_code(item: &Item<'_>) -> Option<ErrorKind> {
    let code = item.code.as_deref()?.to_ascii_lowercase();
    CALL_CODES.iter().find(|(part, _)| code.contains(part)).map(|(_, kind)| *kind)
}

fn is_moderation(item: &Item<'_>) -> bool {
    let code = item.code.as_deref().unwrap_or_default().to_ascii_lowercase();
    MODERATION_CODES.iter().any(|part| code.contains(part))
}

impl<'a> Tally<'a> {
    fn count(&mut self, mut item: Item<'a>) {
        let videos = item.take_videos();
        match item.status.as_deref().map(|word| state_of(word).ok_or(word)) {
            Some(Ok(State::Queued)) => self.queued += 1,
            // The answer to the create call has no status yet; results of older versions have none any more.
            None if videos.is_empty() => self.queued += 1,
            None | Some(Ok(State::Completed)) => {
                self.finished += 1;
                self.withheld += u64::from(videos.is_empty() && item.nsfw_content.0 == Some(true));
                self.videos.extend(videos);
            }
            Some(Ok(State::Failed | State::Cancelled | State::Expired)) => self.failed.push(item),
            Some(Ok(State::InProgress)) => self.running += 1,
            Some(Err(_)) => {
                self.running += 1;
                self.unknown_state = item.status.0;
            }
        }
    }

    /// A job is over when all of its items are, and has failed when all of them did.
    fn into_video(self) -> Video<'a> {
        let is_over = self.queued + self.running == 0;
        let has_begun = self.running + self.finished + self.failed.len() > 0;
        let mut video = Video::in_known_state(match (is_over, has_begun) {
            (true, _) if self.finished > 0 => State::Completed,
            (true, _) => State::Failed,
            (false, true) => State::InProgress,
            (false, false) => State::Queued,
        });
        video.unknown_state = self.unknown_state;
        video.videos = self.videos;
        if is_over {
            video.content_filter = filter_of(&self.failed, self.withheld);
            if let Some(first) = self.failed.into_iter().next() {
                let (code, message) = (first.code.0.unwrap_or_default(), first.message.0.unwrap_or_default());
                video.fail_with(JobError { code, message });
            }
        }
        video
    }
}

fn state_of(word: &str) -> Option<State> {
    STATES.iter().find(|(known, _)| *known == word).map(|(_, state)| *state)
}

fn filter_of<'a>(failed: &[Item<'a>], withheld: u64) -> Option<ContentFilter<'a>> {
    let moderated: Vec<&Item<'a>> = failed.iter().filter(|item| is_moderation(item)).collect();
    let reason = |item: &&Item<'a>| {
        let texts = [&item.response_content, &item.message, &item.code];
        texts.into_iter().find_map(|text| text.0.clone())
    };
    let reasons = moderated.iter().filter_map(reason).collect();
    let count = moderated.len() as u64 + withheld;
    (count > 0).then_some(ContentFilter { filtered_count: Some(count), reasons })
}

impl<'a> Item<'a> {
    /// The result under whichever of its names; newer versions of the API list files.
    fn take_videos(&mut self) -> Vec<Media<'a>> {
        let links = [&mut self.video_url, &mut self.media_url, &mut self.video_data_uri, &mut self.media_data_uri];
        let lone = links.into_iter().find_map(|link| Media::from_link(link.0.take()?));
        let data = [&mut self.video_base64_data, &mut self.media_base64_data];
        let lone = lone.or_else(|| data.into_iter().find_map(|data| data.0.take().map(Media::base64)));
        if let Some(media) = lone {
            return vec![media];
        }
        let files = self.outputs.0.take().unwrap_or_default().files.0.unwrap_or_default();
        files.into_iter().filter_map(|file| Media::from_link(file.url.0?)).collect()
    }
}

/// The error of a call that tells nothing of the job: by its codes, else by its status.
fn call_error(reply: &Reply, errors: &[Item<'_>]) -> ApiError {
    let said = match errors.first() {
        Some(first) => said_by(reply, first),
        None => said(reply),
    };
    let by_code = errors.iter().filter(|item| !is_verdict(item)).find_map(call_code);
    match by_code {
        Some(kind) => failure_of_kind(kind, reply, said),
        None if !reply.status.is_success() => failure(reply, said),
        // Nothing at all under this name.
        None if errors.is_empty() => failure_of_kind(ErrorKind::VideoNotFound, reply, said),
        None => failure_of_kind(ErrorKind::UpstreamError, reply, said),
    }
}

fn said_by(reply: &Reply, item: &Item<'_>) -> Said {
    let own = |text: &Text<'_>| text.0.clone().map(Cow::into_owned);
    Said {
        status: reply.status.as_u16(),
        code: own(&item.code),
        message: own(&item.message),
        kind: own(&item.r#type),
        param: own(&item.parameter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Source;

    #[test]
    fn results_are_asked_for_with_a_task() {
        let job = RUNWARE.job.check("24cd5dff-cb81-4db5-8506-b72a9425f9d1").unwrap();
        let call = request(&job);
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", ""));
        let body = r#"[{"taskType":"getResponse","taskUUID":"24cd5dff-cb81-4db5-8506-b72a9425f9d1"}]"#;
        assert_eq!(call.body.as_deref(), Some(body));
    }

    #[test]
    fn inline_videos_are_not_copied() {
        let body = r#"{"data":[{"status":"success","videoBase64Data":"AAAA"}]}"#;
        let reply = Reply {
            status: StatusCode::OK,
            headers: Default::default(),
            body: body.into(),
            received_at: 1_760_000_000,
        };
        let video = read_items(&reply).unwrap();
        assert!(matches!(video.videos[0].source, Source::Base64(Cow::Borrowed("AAAA"))));
    }
}
