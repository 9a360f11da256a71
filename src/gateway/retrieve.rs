//! `GET /v1/videos/{id}`: the poll, and how its answer is written for this client.

use super::answer::{Answer, Answering};
use super::caller::Caller;
use super::entry::Entry;
use super::poll::{How, Poll};
use super::text::Spelling;
use super::{Answered, Gateway};
use crate::providers::Job;
use crate::video::{ApiError, ErrorKind, VideoId};
use std::sync::Arc;
use tokio::time::Instant;

impl Gateway {
    pub(super) async fn retrieve(
        &self,
        entry: &Arc<Entry>,
        id: &VideoId,
        job: &Job<'_>,
        caller: &Caller,
        answered: &mut Answered,
    ) -> Result<Answer, ApiError> {
        let poll = self.poll(entry, job, caller)?;
        let started = Instant::now();
        let result = self.polling.ask(poll).await;
        answered.upstream = Some(started.elapsed());
        let told = result?;
        answered.job_status = Some(told.text.status);
        answered.cache = Some(told.how.as_str());
        let answering = Answering {
            spelling: Spelling { id: id.as_str(), origin: &caller.origin },
            provider: &entry.name,
            request_id: &caller.request_id,
            latency: if matches!(told.how, How::Hit | How::Stale) { Default::default() } else { told.kept.latency },
            poll_after: (!told.text.status.is_terminal()).then_some(entry.interval),
        };
        Ok(Answer::video(&told, &answering, |etag| caller.holds(etag)))
    }

    fn poll(&self, entry: &Arc<Entry>, job: &Job<'_>, caller: &Caller) -> Result<Poll, ApiError> {
        let authorization = entry.forwards().then(|| caller.authorization().cloned());
        if authorization == Some(None) {
            let detail = "{p} is asked with the client's own credentials, and the request has no Authorization.";
            return Err(ApiError::because(ErrorKind::InvalidApiKey, detail));
        }
        let authorization = authorization.flatten();
        let wants = |header: &str| self.allow_raw && caller.wants(header);
        Ok(Poll {
            entry: Arc::clone(entry),
            job: job.as_str().to_owned(),
            client: authorization.as_ref().map(|value| self.polling.holder_of(value.as_bytes())),
            authorization,
            request_id: caller.request_id.clone(),
            traceparent: caller.traceparent().cloned(),
            deadline: Instant::now() + entry.timeout,
            wants_raw: (wants("x-bf-send-back-raw-request"), wants("x-bf-send-back-raw-response")),
            #[cfg(test)]
            script: None,
        })
    }
}
