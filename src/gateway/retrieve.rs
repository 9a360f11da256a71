//! One poll: the exchange with the provider and what its reply means.

use super::answer::{Answer, Answering, VideoText};
use super::caller::Caller;
use super::entry::{Entry, Means};
use super::redact::Redactor;
use super::{Answered, Gateway, raw};
use crate::providers::{Job, Reply, Step};
use crate::upstream::{Authenticator, Header};
use crate::video::{ApiError, ErrorKind, Media, Source, Video, VideoId};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// What a poll gave, ready to be answered.
struct Polled {
    text: VideoText,
    latency: Duration,
    raw_request: Option<Box<RawValue>>,
    raw_response: Option<Box<RawValue>>,
}

/// One poll in the making.
struct Poll<'a> {
    entry: &'a Entry,
    id: &'a VideoId,
    job: &'a Job<'a>,
    caller: &'a Caller,
    deadline: Instant,
    /// Raw request and raw response are wanted and allowed.
    raw: (bool, bool),
}

impl Gateway {
    pub(super) async fn retrieve(
        &self,
        entry: &Entry,
        id: &VideoId,
        job: &Job<'_>,
        caller: &Caller,
        answered: &mut Answered,
    ) -> Result<Answer, ApiError> {
        let Ok(_slot) = entry.slots.try_acquire() else {
            let detail = format!("As many calls to {} are under way as max_concurrent allows.", entry.name);
            return Err(ApiError::because(ErrorKind::Overloaded, detail));
        };
        let wants = |header: &str| self.allow_raw && caller.wants(header);
        let raw = (wants("x-bf-send-back-raw-request"), wants("x-bf-send-back-raw-response"));
        let (started, deadline) = (Instant::now(), Instant::now() + entry.timeout);
        let result = self.poll(&Poll { entry, id, job, caller, deadline, raw }).await;
        answered.upstream = Some(started.elapsed());
        let polled = result?;
        answered.job_status = Some(polled.text.status);
        let answering = Answering {
            provider: &entry.name,
            request_id: &caller.request_id,
            latency: polled.latency,
            poll_after: (!polled.text.status.is_terminal()).then_some(entry.interval),
            raw_request: polled.raw_request.as_deref(),
            raw_response: polled.raw_response.as_deref(),
        };
        Ok(Answer::video(&polled.text, &answering, caller.holds(&polled.text.etag)))
    }

    /// Polls with the credentials in their order, until one knows the job.
    async fn poll(&self, poll: &Poll<'_>) -> Result<Polled, ApiError> {
        let keys = match &poll.entry.means {
            Means::None => return self.poll_with(poll, None, Redactor::new([])).await,
            Means::Forward => return self.poll_as_the_client(poll).await,
            Means::Keys(keys) => keys,
        };
        let project = poll.entry.row.job.project.and_then(|project| project(poll.job));
        let mut verdict = None;
        for key in keys.iter().filter(|key| project.is_none_or(|project| key.reaches(project))) {
            match self.poll_with_key(poll, key).await {
                Err(error) if is_unknown_to_key(&error) => verdict = Some(more_telling(verdict, error)),
                result => return result,
            }
        }
        Err(verdict.unwrap_or_else(|| {
            let detail = format!("The job lies in a project that no credential of {} reaches.", poll.entry.name);
            ApiError::because(ErrorKind::InvalidVideoId, detail).with_param("video_id")
        }))
    }

    async fn poll_with_key(&self, poll: &Poll<'_>, key: &Authenticator) -> Result<Polled, ApiError> {
        let header = tokio::time::timeout_at(poll.deadline, key.header(&self.client, poll.deadline))
            .await
            .unwrap_or_else(|_| Err(ApiError::new(ErrorKind::UpstreamTimeout)));
        let secrets = key.secrets().into_iter().map(|secret| secret.expose().to_owned());
        let redactor = Redactor::new(secrets.chain(configured_secrets(poll.entry)));
        let header = header.map_err(|mut error| {
            redactor.error(&mut error);
            error
        })?;
        let result = self.poll_with(poll, Some(header.clone()), redactor).await;
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::UpstreamAuthFailed) {
            key.forget_token(&header);
        }
        result
    }

    async fn poll_as_the_client(&self, poll: &Poll<'_>) -> Result<Polled, ApiError> {
        let Some(value) = poll.caller.authorization() else {
            let detail = "{p} is asked with the client's own credentials, and the request has no Authorization.";
            return Err(ApiError::because(ErrorKind::InvalidApiKey, detail));
        };
        let mut value = value.clone();
        value.set_sensitive(true);
        let text = value.to_str().unwrap_or_default().to_owned();
        let token = text.split_once(' ').map(|(_, token)| token.trim().to_owned()).unwrap_or_default();
        let redactor = Redactor::new([text, token].into_iter().chain(configured_secrets(poll.entry)));
        self.poll_with(poll, Some((AUTHORIZATION, value)), redactor).await.map_err(|mut error| {
            // It is the client's credential that was refused, so it is the client who must hear of it.
            if error.kind == ErrorKind::UpstreamAuthFailed && error.said.is_some() {
                error.kind = ErrorKind::ClientAuthRefused;
            }
            error
        })
    }

    /// Makes the calls that the provider needs, under one deadline, with one credential.
    async fn poll_with(&self, poll: &Poll<'_>, auth: Option<Header>, redactor: Redactor) -> Result<Polled, ApiError> {
        let result = self.calls(poll, auth, &redactor).await;
        result.map_err(|mut error| {
            redactor.error(&mut error);
            error
        })
    }

    async fn calls(&self, poll: &Poll<'_>, auth: Option<Header>, redactor: &Redactor) -> Result<Polled, ApiError> {
        let entry = poll.entry;
        let endpoint = entry.endpoint(poll.job)?;
        let own = endpoint.address();
        let mut call = (entry.row.request)(poll.job);
        let mut replies: Vec<Reply> = Vec::with_capacity(1);
        let started = Instant::now();
        loop {
            let path = format!("{}{}", own.path, call.path);
            let outgoing = entry.outgoing(&endpoint, &call, &path, more_headers(poll.caller, auth.clone()));
            let reply = self.client.exchange(&endpoint, &outgoing, &entry.limits, poll.deadline).await?;
            let sent = poll.raw.0.then(|| raw::request(&url(own, &path), &outgoing, &call, redactor)).flatten();
            replies.push(reply);
            match entry.row.translate(poll.job, &replies) {
                Step::Then(next) => call = next,
                Step::Failed(error) => return Err(error),
                Step::Done(mut video) => {
                    note_unknown_state(entry, &video);
                    redactor.video(&mut video);
                    if entry.row.own_links_need_credentials {
                        guard_own_links(&mut video, own);
                    }
                    let answer = replies.last().filter(|_| poll.raw.1);
                    return Ok(Polled {
                        text: VideoText::new(&video, poll.id, &poll.caller.origin),
                        latency: started.elapsed(),
                        raw_request: sent,
                        raw_response: answer.and_then(|reply| raw::response(reply, redactor)),
                    });
                }
            }
        }
    }
}

/// Whether another credential might know the job.
fn is_unknown_to_key(error: &ApiError) -> bool {
    matches!(error.kind, ErrorKind::VideoNotFound | ErrorKind::UpstreamAuthFailed)
}

/// "Not found" says more than "not allowed": a credential that works has looked.
fn more_telling(before: Option<ApiError>, now: ApiError) -> ApiError {
    match before {
        Some(before) if before.kind == ErrorKind::VideoNotFound => before,
        Some(before) if now.kind != ErrorKind::VideoNotFound => before,
        _ => now,
    }
}

fn more_headers(caller: &Caller, auth: Option<Header>) -> Vec<Header> {
    let mut headers = Vec::with_capacity(3);
    headers.extend(auth);
    if let Ok(id) = HeaderValue::from_str(&caller.request_id) {
        headers.push((HeaderName::from_static("x-request-id"), id));
    }
    if let Some(trace) = caller.traceparent() {
        headers.push((HeaderName::from_static("traceparent"), trace.clone()));
    }
    headers
}

fn configured_secrets(entry: &Entry) -> impl Iterator<Item = String> {
    entry.header_secrets().filter_map(|value| value.to_str().ok()).map(str::to_owned)
}

fn url(own: &crate::config::BaseAddress, path: &str) -> String {
    let base = own.to_string();
    let origin = base.strip_suffix(own.path.as_str()).unwrap_or(&base);
    format!("{origin}{path}")
}

/// A link on the API's own host leads nowhere without our credentials: the client gets ours instead.
fn guard_own_links(video: &mut Video<'_>, own: &crate::config::BaseAddress) {
    for Media { source, .. } in &mut video.videos {
        if let Source::Link(link) = source {
            let parsed = url::Url::parse(link).ok();
            let is_own = parsed.is_some_and(|link| {
                link.host_str().map(|host| host.trim_matches(['[', ']'])) == Some(own.host.as_str())
                    && link.port_or_known_default() == Some(own.port)
            });
            if is_own {
                *source = Source::Guarded(std::mem::take(link));
            }
        }
    }
}

/// One line and one count for a state that nobody knew; the job goes on being polled.
fn note_unknown_state(entry: &Entry, video: &Video<'_>) {
    if let Some(word) = &video.unknown_state {
        entry.unknown_states.fetch_add(1, Ordering::Relaxed);
        let word: String = word.chars().take(64).collect();
        tracing::warn!(provider = entry.name, state = word, "an unknown state is answered as in_progress");
    }
}
