//! One poll at the provider: with which credentials, which calls, and what the reply means.

use super::polled::{Polled, Raw, guard_own_links, note_unknown_state};
use super::{Record, SHORT_WAIT, call};
use crate::gateway::entry::{Entry, Means};
use crate::gateway::holds::{Hold, Holder};
use crate::gateway::inline::{Heard, Wanted};
use crate::gateway::raw;
use crate::gateway::redact::Redactor;
use crate::gateway::trace::Span;
use crate::providers::{Job, Reply, Step};
use crate::upstream::{Authenticator, Client, Proof};
use crate::video::{ApiError, ErrorKind};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Everything that a poll needs, owned, so that it can outlive the client who caused it.
pub(in crate::gateway) struct Poll {
    pub entry: Arc<Entry>,
    /// The provider's own name for the job, accepted by its rule.
    pub job: String,
    /// The client's own, for a provider that is asked with it.
    pub authorization: Option<HeaderValue>,
    /// Who is held when the provider says wait, where that is the client.
    pub client: Option<Holder>,
    pub request_id: String,
    /// The span of the request that caused it; the trace of who waits with it says nothing of the calls.
    pub trace: Option<Span>,
    pub deadline: Instant,
    /// Raw request and raw response are wanted and allowed.
    pub wants_raw: (bool, bool),
    /// What is known already will not do.
    pub anew: bool,
    /// The bytes of a video are wanted, should they stand in the answer.
    pub wanted: Option<Wanted>,
    /// Speaks for the provider in tests of the rules.
    #[cfg(test)]
    pub script: Option<super::simulation::Script>,
}

/// A credential at work.
struct Worker<'a> {
    proof: Option<Proof>,
    redactor: Redactor,
    key: Option<&'a Authenticator>,
    index: u16,
}

impl Poll {
    pub fn is_cached(&self) -> bool {
        self.entry.poll.cache && self.wants_raw == (false, false)
    }

    /// Whether it is worth remembering how far the job has come: where answers are kept, or where there are several
    /// credentials to find the right one of. Without either, each poll is the provider's word and nothing else.
    pub fn is_remembered(&self) -> bool {
        let has_several = matches!(&self.entry.means, Means::Keys(keys) if keys.len() > 1);
        self.entry.poll.cache || has_several
    }

    /// Fails when every credential that could be used is held.
    pub fn check_holds(&self) -> Result<(), ApiError> {
        let now = Instant::now();
        let own = match &self.entry.means {
            Means::None => 1,
            Means::Forward => 0,
            Means::Keys(keys) => keys.len(),
        };
        let (holders, mut soonest) = ((0..own).map(Holder::Own).chain(self.client), None::<Hold>);
        for holder in holders {
            let Some(hold) = self.entry.holds.on(holder, now) else { return Ok(()) };
            soonest = Some(soonest.filter(|known| known.until <= hold.until).unwrap_or(hold));
        }
        match soonest {
            None => Ok(()),
            Some(hold) => Err(hold.error("{p} has asked to be left alone for a while.", now)),
        }
    }

    /// Polls with the credential that knows the job, else with all in their order until one does.
    pub async fn make(&self, client: &Client, record: Option<Record>) -> Result<Polled, ApiError> {
        #[cfg(test)]
        if let Some(script) = &self.script {
            return script.speak(&self.entry.name, record);
        }
        let Some(job) = self.entry.row.job.check(&self.job) else { return Err(ApiError::new(ErrorKind::Internal)) };
        match &self.entry.means {
            Means::None => {
                let worker = Worker { proof: None, redactor: self.entry.redactor(None), key: None, index: 0 };
                self.work(client, &job, record, &worker, Holder::Own(0)).await
            }
            Means::Forward => self.make_as_the_client(client, &job, record).await,
            Means::Keys(keys) => self.make_with_keys(client, &job, record, keys).await,
        }
    }

    async fn make_with_keys(
        &self,
        client: &Client,
        job: &Job<'_>,
        record: Option<Record>,
        keys: &[Authenticator],
    ) -> Result<Polled, ApiError> {
        let project = self.entry.row.job.project.and_then(|project| project(job));
        let known = record.map(|record| usize::from(record.credential));
        let place = |index: usize| keys.get(index).map(|key| (index, key));
        let others = (0..keys.len()).filter(|index| Some(*index) != known);
        let order = known.into_iter().chain(others).filter_map(place);
        let (mut verdict, mut held) = (None, None);
        for (index, key) in order.filter(|(_, key)| project.is_none_or(|project| key.reaches(project))) {
            if let Some(hold) = self.entry.holds.on(Holder::Own(index), Instant::now()) {
                held = Some(hold);
                continue;
            }
            match self.make_with_key(client, job, record, index, key).await {
                Err(error) if is_unknown_to_key(&error) => verdict = Some(more_telling(verdict, error)),
                result => return result,
            }
        }
        if let Some(hold) = held {
            // The one that is held might know the job, so nobody can say that it is not found.
            let detail = "{p} has asked to be left alone for a while by a credential that may know the job.";
            return Err(hold.error(detail, Instant::now()));
        }
        Err(verdict.unwrap_or_else(|| {
            let detail = "The job lies in a project or an account that no credential of {p} reaches.";
            ApiError::because(ErrorKind::InvalidVideoId, detail).with_param("video_id")
        }))
    }

    async fn make_with_key(
        &self,
        client: &Client,
        job: &Job<'_>,
        record: Option<Record>,
        index: usize,
        key: &Authenticator,
    ) -> Result<Polled, ApiError> {
        let proof = match key.fixed() {
            Some(proof) => Ok(proof.clone()),
            // Boxed, since it may fetch a token, which is rare and large.
            None => Box::pin(timeout_at(self.deadline, key.proof(client, self.deadline)))
                .await
                .unwrap_or_else(|_| Err(ApiError::new(ErrorKind::UpstreamTimeout))),
        };
        let redactor = self.entry.redactor(Some(key));
        let proof = proof.map_err(|mut error| {
            redactor.error(&mut error);
            error
        })?;
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let worker = Worker { proof: Some(proof), redactor, key: Some(key), index };
        let result = self.work(client, job, record, &worker, Holder::Own(index.into())).await;
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::UpstreamAuthFailed) {
            worker.proof.iter().for_each(|proof| key.forget_token(proof));
        }
        result
    }

    async fn make_as_the_client(
        &self,
        client: &Client,
        job: &Job<'_>,
        record: Option<Record>,
    ) -> Result<Polled, ApiError> {
        let (Some(value), Some(holder)) = (&self.authorization, self.client) else {
            return Err(ApiError::new(ErrorKind::Internal));
        };
        let redactor = self.entry.redactor_of_client(Some(value));
        let mut value = value.clone();
        value.set_sensitive(true);
        let worker = Worker { proof: Some(Proof::Header((AUTHORIZATION, value))), redactor, key: None, index: 0 };
        self.work(client, job, record, &worker, holder).await.map_err(|mut error| {
            // It is the client's credential that was refused, so it is the client who must hear of it.
            if error.kind == ErrorKind::UpstreamAuthFailed && error.said.is_some() {
                error.kind = ErrorKind::ClientAuthRefused;
            }
            error
        })
    }

    /// Makes the calls with one credential, and holds it when the provider says so.
    async fn work(
        &self,
        client: &Client,
        job: &Job<'_>,
        record: Option<Record>,
        worker: &Worker<'_>,
        holder: Holder,
    ) -> Result<Polled, ApiError> {
        let mut result = self.calls(client, job, record, worker).await;
        if let Err(error) = &mut result {
            worker.redactor.error(error);
            let waits = matches!(error.kind, ErrorKind::RateLimited | ErrorKind::UpstreamUnavailable);
            if let Some(wait) = error.retry_after.filter(|wait| waits && *wait > SHORT_WAIT) {
                self.entry.holds.hold(holder, error, wait, Instant::now());
            }
        }
        result
    }

    async fn calls(
        &self,
        client: &Client,
        job: &Job<'_>,
        record: Option<Record>,
        worker: &Worker<'_>,
    ) -> Result<Polled, ApiError> {
        let entry = &self.entry;
        let endpoint = entry.endpoint(job)?;
        let own = endpoint.address();
        let mut call = (entry.row.request)(job);
        let mut replies: Vec<Reply> = Vec::with_capacity(1);
        let (started, mut retries) = (Instant::now(), entry.limits.retries);
        loop {
            let path = [own.path.as_str(), &call.path].concat();
            let span = self.trace.as_ref().map(Span::child);
            let mut outgoing = entry.outgoing(&endpoint, &call, &path, self.more_headers(span.as_ref()));
            if let Some(proof) = &worker.proof {
                proof.add_to(&mut outgoing, job)?;
            }
            let heard = self.call(client, &endpoint, &outgoing, &replies, job, span.as_ref()).await?;
            let Heard { reply, inline, is_whole } = heard;
            let sent =
                self.wants_raw.0.then(|| raw::request(&call::url(own, &path), &outgoing, &call, &worker.redactor));
            replies.push(reply);
            let next = match entry.row.translate(job, &replies) {
                Step::Then(next) => Ok(next),
                Step::Failed(error) => Err(error),
                Step::Done(mut video) => {
                    worker.redactor.video(&mut video);
                    note_unknown_state(entry, &video);
                    if entry.row.own_links_need_credentials {
                        guard_own_links(&mut video, own);
                    }
                    let status = replies.last().map(|reply| reply.status.as_u16());
                    let reply = replies.last().filter(|_| self.wants_raw.1);
                    let received = reply.and_then(|reply| raw::response(reply, &worker.redactor));
                    let raw = Raw { request: sent.flatten().map(Into::into), response: received.map(Into::into) };
                    let polled = Polled::new(*video, &entry.name, record, started.elapsed());
                    let credential = worker.key.map(Authenticator::name);
                    let credential_index = worker.index;
                    return Ok(Polled { credential, credential_index, raw, status, inline, is_whole, ..polled });
                }
            };
            match next {
                Ok(next) => call = next,
                Err(error) => {
                    let said_with_200 = replies.pop().is_some_and(|reply| reply.status.is_success());
                    let wait = short_wait(&error).filter(|wait| Instant::now() + *wait < self.deadline);
                    let (Some(wait), true, true) = (wait, said_with_200, retries > 0) else { return Err(error) };
                    retries -= 1;
                    sleep(wait).await;
                }
            }
        }
    }
}

/// Whether another credential might know the job.
fn is_unknown_to_key(error: &ApiError) -> bool {
    matches!(error.kind, ErrorKind::VideoNotFound | ErrorKind::UpstreamAuthFailed)
}

/// How long to wait out a refusal that is over in a moment. The client knows those by their status; this is for
/// providers that say no with 200.
fn short_wait(error: &ApiError) -> Option<Duration> {
    let waits = matches!(error.kind, ErrorKind::RateLimited | ErrorKind::UpstreamUnavailable);
    error.retry_after.filter(|wait| waits && *wait <= SHORT_WAIT)
}

/// "Not found" says more than "not allowed": a credential that works has looked.
fn more_telling(before: Option<ApiError>, now: ApiError) -> ApiError {
    match before {
        Some(before) if before.kind == ErrorKind::VideoNotFound => before,
        Some(before) if now.kind != ErrorKind::VideoNotFound => before,
        _ => now,
    }
}
