//! From a request to the answer that it gets: what its path asks for, who asks, which provider and which job.

use super::Gateway;
use super::answer::Answer;
use super::caller::{self, Caller};
use super::content::{self, Served};
use super::entry::Entry;
use super::outcome::{Answered, NotOurs, Outcome};
use super::trace::Span;
use crate::config::BareIds;
use crate::providers::Job;
use crate::video::{ApiError, ErrorKind, InvalidId, Target, VideoId};
use http::Method;
use pingora::protocols::http::authority::{RawTargetAuthority, raw_target_authority};
use pingora::proxy::Session;
use std::sync::Arc;
use std::time::Instant;

/// Every path of ours starts with this.
const PREFIX: &[u8] = b"/v1/videos/";

/// A request for a video, as far as its path says.
enum Asked {
    Video(VideoId),
    /// The bytes of one of its videos, with the query that says which.
    Content(VideoId, String),
    Invalid(InvalidId),
    /// One segment without a provider, where the settings refuse such ids.
    NoProvider,
}

impl Asked {
    fn id(&self) -> Option<&VideoId> {
        match self {
            Asked::Video(id) | Asked::Content(id, _) => Some(id),
            Asked::Invalid(_) | Asked::NoProvider => None,
        }
    }

    fn route(&self) -> &'static str {
        match self {
            Asked::Content(..) => "/v1/videos/{video_id}/content",
            Asked::Video(_) | Asked::Invalid(_) | Asked::NoProvider => "/v1/videos/{video_id}",
        }
    }
}

impl Gateway {
    /// Answers the request if it is for a video. Call it from `request_filter`.
    ///
    /// The only errors are those of writing to the client.
    pub async fn intercept(&self, session: &mut Session) -> pingora::Result<Outcome> {
        self.intercept_within(session, None).await
    }

    /// The same for somebody who traces: calls to providers are children of this span, instead of the client's.
    pub async fn intercept_within(&self, session: &mut Session, span: Option<&Span>) -> pingora::Result<Outcome> {
        let Some(asked) = self.asked(path_and_query(session.req_header().raw_path())) else {
            return Ok(Outcome::NotOurs(NotOurs::Path));
        };
        let method = &session.req_header().method;
        if method != Method::GET && method != Method::HEAD {
            return Ok(Outcome::NotOurs(NotOurs::Method));
        }
        let started = Instant::now();
        let caller = Caller { span, ..Caller::of(session, self.public_url.as_deref(), &self.trusted, &self.rates) };
        let permit = self.admit();
        // Who is not let in has not come to a provider.
        let entry = permit.as_ref().and_then(|_| self.entries.get(asked.id()?.provider()));
        let mut answered = Answered {
            request_id: caller.request_id.clone(),
            provider: entry.map(|entry| Arc::clone(&entry.name)),
            route: Some(asked.route()),
            ..Answered::default()
        };
        let is_head = *method == Method::HEAD;
        let result = match &permit {
            Some(_) => self.answer_or_count(asked, is_head, entry, &caller, &mut answered).await,
            None => Err(ApiError::new(ErrorKind::Overloaded)),
        };
        let served = result.unwrap_or_else(|error| {
            answered.fail(&error);
            Served::Answer(Answer::error(&error, &caller.request_id, answered.provider.as_deref()))
        });
        answered.took = started.elapsed();
        let watch = entry.map_or(&self.watch, |entry| &entry.watch);
        match served {
            Served::Answer(answer) => {
                answered.status = answer.status.as_u16();
                answered.bytes = answer.len() as u64;
                watch.answered(&answered);
                answer.write(session).await?;
            }
            Served::File(sending) => {
                answered.status = sending.status.as_u16();
                answered.is_file = true;
                let sent = Box::pin(sending.write(session)).await;
                if let Ok(sent) = &sent {
                    answered.bytes = sent.bytes;
                    sent.broken.iter().for_each(|error| answered.fail(error));
                }
                watch.answered(&answered);
                if let Some(error) = sent?.broken {
                    let why = error.message(answered.provider.as_deref());
                    let (provider, request_id) = (answered.provider.as_deref(), &answered.request_id);
                    tracing::warn!(provider, request_id, why, "a download broke off");
                    return Err(content::cut_off(&error));
                }
            }
        }
        Ok(Outcome::Answered(answered))
    }

    /// Answers with an error in our envelope, for requests that the caller turns away itself, and counts itself.
    pub async fn refuse(&self, session: &mut Session, error: ApiError) -> pingora::Result<Outcome> {
        let request_id = caller::request_id(&session.req_header().headers);
        let answer = Answer::error(&error, &request_id, None);
        let mut answered =
            Answered { status: answer.status.as_u16(), bytes: answer.len() as u64, request_id, ..Answered::default() };
        answered.fail(&error);
        answer.write(session).await?;
        Ok(Outcome::Answered(answered))
    }

    /// What the path asks for; `None` when it is not ours.
    fn asked(&self, path_and_query: &[u8]) -> Option<Asked> {
        let mut parts = path_and_query.splitn(2, |b| *b == b'?');
        let (path, query) = (parts.next()?, parts.next().unwrap_or_default());
        let rest = path.strip_prefix(PREFIX)?;
        let Ok(rest) = std::str::from_utf8(rest) else { return Some(Asked::Invalid(InvalidId::Encoding)) };
        match Target::parse(rest) {
            Ok(Target::Video(id)) => Some(Asked::Video(id)),
            Ok(Target::Content(id)) => Some(Asked::Content(id, String::from_utf8_lossy(query).into_owned())),
            Ok(Target::Bare(job)) => match &self.bare_ids {
                BareIds::Passthrough => None,
                BareIds::Reject => Some(Asked::NoProvider),
                BareIds::Provider(name) => {
                    Some(VideoId::for_bare_job(&job, name).map_or_else(Asked::Invalid, Asked::Video))
                }
            },
            Ok(Target::NotOurs) => None,
            Err(invalid) => Some(Asked::Invalid(invalid)),
        }
    }

    /// Answers, and counts the request: before anything else, or as soon as it is known not to be a hit.
    async fn answer_or_count(
        &self,
        asked: Asked,
        is_head: bool,
        entry: Option<&Arc<Entry>>,
        caller: &Caller<'_>,
        answered: &mut Answered,
    ) -> Result<Served, ApiError> {
        if !self.rates.exempt_hits {
            self.rates.count(caller.address)?;
        }
        match self.answer_for(asked, is_head, entry, caller, answered).await {
            // An error that came before any look into the cache was not counted yet.
            Err(error)
                if self.rates.exempt_hits
                    && answered.upstream.is_none()
                    && error.kind != ErrorKind::ClientRateLimited =>
            {
                Err(self.rates.count(caller.address).err().unwrap_or(error))
            }
            result => result,
        }
    }

    /// Counts a request that is not a hit, where hits are not counted.
    pub(super) fn count_late(&self, caller: &Caller<'_>, key: Option<&str>) -> Result<(), ApiError> {
        if self.rates.exempt_hits {
            self.rates.count(caller.address)?;
            self.keys.count(key)?;
        }
        Ok(())
    }

    async fn answer_for(
        &self,
        asked: Asked,
        is_head: bool,
        entry: Option<&Arc<Entry>>,
        caller: &Caller<'_>,
        answered: &mut Answered,
    ) -> Result<Served, ApiError> {
        // Where Authorization is the provider's, a key of ours is never looked for there.
        let authorization_is_ours = entry.is_none_or(|entry| !entry.forwards());
        let key = self.keys.check(caller.headers, entry.map(|entry| &*entry.name), authorization_is_ours)?;
        answered.key = key.name;
        if !self.rates.exempt_hits {
            self.keys.count(answered.key.as_deref())?;
        }
        let (id, query) = match asked {
            Asked::Video(id) => (id, None),
            Asked::Content(id, query) => (id, Some(query)),
            Asked::Invalid(why) => return Err(invalid_id(&format!("The video id is malformed: {why}."))),
            Asked::NoProvider => return Err(invalid_id("The video id names no provider.")),
        };
        let name = entry.map(|entry| entry.row.job.unfold(id.job())).unwrap_or_default();
        let (entry, job) = self.entry_and_job(&id, &name)?;
        match query {
            None => self.retrieve(entry, &id, &job, caller, answered).await.map(Served::Answer),
            // Boxed, since it is large and rare: polls do not carry it along.
            Some(query) => Box::pin(self.content(&query, is_head, entry, &job, caller, answered)).await,
        }
    }

    /// The provider that an id names, and its job by the provider's own name, checked.
    pub(super) fn entry_and_job<'a>(
        &'a self,
        id: &VideoId,
        name: &'a str,
    ) -> Result<(&'a Arc<Entry>, Job<'a>), ApiError> {
        let entry = self.entries.get(id.provider()).ok_or_else(|| self.unknown_provider(id.provider()))?;
        let job = entry.row.job.check(name).ok_or_else(|| {
            let form = entry.row.job.form;
            invalid_id(&format!("This is no job of {}: its jobs are named by {form}.", entry.name))
        })?;
        Ok((entry, job))
    }

    fn unknown_provider(&self, name: &str) -> ApiError {
        let known: Vec<&str> = self.entries.keys().map(String::as_str).collect();
        let detail = format!("No provider named {name} is configured; configured are: {}.", known.join(", "));
        ApiError::because(ErrorKind::UnknownProvider, detail).with_param("video_id")
    }
}

/// The path of a request's target, which may be a whole URL (RFC 9112, 3.2.2).
fn path_and_query(target: &[u8]) -> &[u8] {
    match raw_target_authority(target) {
        RawTargetAuthority::Absolute { path_and_query, .. } => path_and_query,
        _ => target,
    }
}

/// The error for an id that cannot be one.
pub(super) fn invalid_id(detail: &str) -> ApiError {
    ApiError::because(ErrorKind::InvalidVideoId, detail).with_param("video_id")
}
