//! `GET /v1/videos/{id}`: the poll, and how its answer is written for this client.

use super::answer::{Answer, Answering};
use super::caller::Caller;
use super::entry::Entry;
use super::poll::{How, Poll};
use super::text::Spelling;
use super::{Answered, Gateway};
use crate::providers::Job;
use crate::video::{ApiError, ErrorKind, VideoId};
use http::HeaderValue;
use std::sync::Arc;
use tokio::time::Instant;

impl Gateway {
    pub(super) async fn retrieve(
        &self,
        entry: &Arc<Entry>,
        id: &VideoId,
        job: &Job<'_>,
        caller: &Caller<'_>,
        answered: &mut Answered,
    ) -> Result<Answer, ApiError> {
        let authorization = own_authorization(entry, caller)?;
        let identity = authorization.map_or(&b""[..], HeaderValue::as_bytes);
        let key = self.polling.key(&entry.memory, identity, job.as_str());
        let wants_raw = self.wants_raw(caller);
        let is_cached = entry.poll.cache && wants_raw == (false, false);
        let started = Instant::now();
        let at_hand = if is_cached { self.polling.at_hand(key) } else { None };
        let result = match at_hand {
            Some(told) => told,
            None => {
                self.count_late(caller, answered.key.as_deref())?;
                let poll = self.poll(entry, job, caller, authorization, wants_raw);
                self.polling.ask(poll, key).await
            }
        };
        answered.upstream = Some(started.elapsed());
        let told = result?;
        answered.job_status = Some(told.text.status);
        answered.cache = Some(told.how.as_str());
        answered.upstream_status = told.kept.status.filter(|_| !matches!(told.how, How::Hit | How::Stale));
        let answering = Answering {
            spelling: Spelling { id: id.as_str(), origin: &caller.origin },
            provider: &entry.name,
            request_id: &caller.request_id,
            latency: if matches!(told.how, How::Hit | How::Stale) { Default::default() } else { told.kept.latency },
            poll_after: (!told.text.status.is_terminal()).then_some(&entry.poll_after),
        };
        Ok(Answer::video(&told, &answering, |etag| caller.holds(etag)))
    }

    /// Whether raw request and raw response are wanted and allowed.
    fn wants_raw(&self, caller: &Caller<'_>) -> (bool, bool) {
        let wants = |header: &str| self.allow_raw && caller.wants(header);
        (wants("x-bf-send-back-raw-request"), wants("x-bf-send-back-raw-response"))
    }

    pub(super) fn poll(
        &self,
        entry: &Arc<Entry>,
        job: &Job<'_>,
        caller: &Caller<'_>,
        authorization: Option<&HeaderValue>,
        wants_raw: (bool, bool),
    ) -> Poll {
        Poll {
            entry: Arc::clone(entry),
            job: job.as_str().to_owned(),
            client: authorization.map(|value| self.polling.holder_of(value.as_bytes())),
            authorization: authorization.cloned(),
            request_id: caller.request_id.clone(),
            trace: caller.trace(),
            deadline: Instant::now() + entry.timeout,
            wants_raw,
            anew: false,
            wanted: None,
            #[cfg(test)]
            script: None,
        }
    }
}

/// The client's own credential, for a provider that is asked with it.
pub(super) fn own_authorization<'a>(entry: &Entry, caller: &Caller<'a>) -> Result<Option<&'a HeaderValue>, ApiError> {
    if !entry.forwards() {
        return Ok(None);
    }
    caller.authorization().map(Some).ok_or_else(|| {
        let detail = "{p} is asked with the client's own credentials, and the request has no Authorization.";
        ApiError::because(ErrorKind::InvalidApiKey, detail)
    })
}
