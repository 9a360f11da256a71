//! One request for the bytes of a video: from the poll to where they are, once more if a link is gone.

use super::asked::{self, Asked};
use super::fetch::{Fetch, Place};
use super::file::Found;
use super::flow::{Flow, Source};
use super::opening::Opening;
use super::range::ByteRange;
use super::sending::{Resume, Sending};
use super::{Served, guard};
use crate::config::ContentMode;
use crate::gateway::answer::Answer;
use crate::gateway::caller::Caller;
use crate::gateway::entry::{Entry, Means};
use crate::gateway::inline::{Inline, Wanted};
use crate::gateway::poll::{How, JobKey, Told};
use crate::gateway::text::{self, Stored};
use crate::gateway::{Answered, Gateway};
use crate::providers::Job;
use crate::upstream::{Authenticator, Download, Proof};
use crate::video::{ApiError, ErrorKind, Status};
use http::header::{AUTHORIZATION, CONTENT_RANGE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::Arc;
use tokio::time::Instant;
use url::Url;

/// One request for the bytes of a video.
pub(super) struct Visit<'a> {
    pub gateway: &'a Gateway,
    pub entry: &'a Arc<Entry>,
    pub job: &'a Job<'a>,
    pub caller: &'a Caller<'a>,
    pub asked: Asked,
    pub authorization: Option<&'a HeaderValue>,
    pub key: JobKey,
    pub is_head: bool,
    pub range: Option<ByteRange>,
}

impl Visit<'_> {
    pub(super) async fn serve(&self, answered: &mut Answered) -> Result<Served, ApiError> {
        let (mut told, mut inline) = self.look(false, answered).await?;
        let mut is_fresh = false;
        loop {
            let stored = self.stored(&told)?;
            let place = match &stored.place {
                text::Place::Inline => return self.serve_inline(&told, stored, inline, answered).await,
                text::Place::Link(link) => Place { address: link.clone(), is_guarded: false },
                text::Place::Guarded(address) => Place { address: address.clone(), is_guarded: true },
            };
            let place = self.rendering(place)?;
            let fetch = self.fetch(&told, &place).await?;
            if !place.is_guarded && self.entry.content.mode == ContentMode::Redirect {
                return self.redirect(&fetch, &place).map(Served::Answer);
            }
            match self.open(&told, stored, fetch, &place, answered).await? {
                Found::Served(served) => return Ok(served),
                Found::Gone(download) if is_fresh && told.how == How::Stale => {
                    download.discard().await;
                    let detail = "The link to the video is gone, and {p} could not be asked for a new one.";
                    return Err(ApiError::because(ErrorKind::UpstreamUnavailable, detail));
                }
                Found::Gone(download) if is_fresh => {
                    let fetch = self.fetch(&told, &place).await?;
                    return Err(fetch.gone(*download, &place).await);
                }
                Found::Gone(download) => {
                    self.forget_token(&told, &download, &place).await;
                    download.discard().await;
                    is_fresh = true;
                    (told, inline) = self.look(true, answered).await?;
                }
            }
        }
    }

    /// What is known of the job, or what the provider says now.
    pub(super) async fn look(&self, anew: bool, answered: &mut Answered) -> Result<(Told, Option<Inline>), ApiError> {
        let mut poll = self.gateway.poll(self.entry, self.job, self.caller, self.authorization, (false, false));
        poll.anew = anew;
        poll.wanted = Some(Wanted { index: self.asked.index, idle_timeout: self.entry.content.idle_timeout });
        let started = Instant::now();
        let result = self.gateway.polling.look(poll, self.key).await;
        answered.upstream = Some(started.elapsed());
        let (told, inline) = result?;
        answered.job_status = Some(told.text.status);
        answered.cache = Some(told.how.as_str());
        Ok((told, inline))
    }

    /// The video that is asked for, if the job has come that far.
    fn stored<'t>(&self, told: &'t Told) -> Result<&'t Stored, ApiError> {
        let text = &told.text;
        match text.status {
            Status::Queued | Status::InProgress => {
                let error = ApiError::new(ErrorKind::VideoNotReady);
                Err(error.with_retry_after(Some(self.entry.interval)))
            }
            Status::Failed => {
                let (code, message) = text.error.clone().unwrap_or_default();
                let detail = format!("The job failed, so there is no video. {{p}} says: {message} ({code}).");
                Err(ApiError::because(ErrorKind::VideoFailed, detail))
            }
            Status::Completed if text.results.is_empty() => {
                Err(ApiError::because(ErrorKind::VideoExpired, "{p} has removed the video."))
            }
            Status::Completed => text.results.get(self.asked.index).ok_or_else(|| {
                let detail = format!("None of the job's videos ({}) has this index.", text.results.len());
                ApiError::because(ErrorKind::InvalidIndex, detail).with_param("index")
            }),
        }
    }

    /// Where the rendering is that is asked for.
    fn rendering(&self, place: Place) -> Result<Place, ApiError> {
        let Some(variant) = self.asked.variant else { return Ok(place) };
        let path = Some(&place.address).filter(|address| address.starts_with('/'));
        let path = path.and_then(|path| (self.entry.row.variants.path)(path, variant));
        path.map(|address| Place { address, ..place }).ok_or_else(|| asked::no_variant(self.entry.row))
    }

    /// What it takes to fetch the file: the credential that knows the job, where one is needed.
    async fn fetch(&self, told: &Told, place: &Place) -> Result<Fetch, ApiError> {
        let own = self.entry.endpoint(self.job)?;
        let mut redactor = self.entry.redactor(None);
        let mut proof = None;
        match &self.entry.means {
            Means::None => {}
            Means::Forward => {
                redactor = self.entry.redactor_of_client(self.authorization);
                proof = self.authorization.cloned().map(|mut value| {
                    value.set_sensitive(true);
                    Proof::Header((AUTHORIZATION, value))
                });
            }
            Means::Keys(_) => {
                if let Some(key) = self.authenticator(told).filter(|_| place.is_guarded) {
                    let deadline = Instant::now() + self.entry.timeout;
                    let fetched = key.proof(&self.gateway.polling.client, deadline).await;
                    redactor = self.entry.redactor(Some(key));
                    proof = Some(fetched.map_err(|mut error| {
                        redactor.error(&mut error);
                        error
                    })?);
                }
            }
        }
        let request_id = HeaderValue::from_str(&self.caller.request_id).ok();
        let trace = self.caller.trace();
        let (entry, polling) = (Arc::clone(self.entry), Arc::clone(&self.gateway.polling));
        let job = self.job.as_str().to_owned();
        Ok(Fetch { entry, polling, own, job, proof, request_id, trace, redactor })
    }

    /// The credential that the job is known to.
    fn authenticator(&self, told: &Told) -> Option<&Authenticator> {
        let Means::Keys(keys) = &self.entry.means else { return None };
        let known = keys.iter().find(|key| Some(key.name()) == told.kept.credential);
        known.or_else(|| keys.first())
    }

    /// A token that the API refuses is fetched anew for the next try.
    async fn forget_token(&self, told: &Told, download: &Download, place: &Place) {
        if let Some(key) = self.authenticator(told).filter(|_| place.is_guarded && download.status == 401) {
            let deadline = Instant::now() + self.entry.timeout;
            if let Ok(proof) = key.proof(&self.gateway.polling.client, deadline).await {
                key.forget_token(&proof);
            }
        }
    }

    /// Sends the client to the link itself, if it is one that would be followed here.
    fn redirect(&self, fetch: &Fetch, place: &Place) -> Result<Answer, ApiError> {
        let link = Url::parse(&place.address).map_err(|_| guard::refusal("it is no URL"))?;
        fetch.guard().admit(&link)?;
        let location = HeaderValue::from_str(link.as_str()).map_err(|_| guard::refusal("it is no URL"))?;
        Ok(Answer::empty(StatusCode::FOUND, &self.caller.request_id, HeaderMap::from_iter([(LOCATION, location)])))
    }

    /// The answer where no byte of the file is wanted, or there is none.
    pub(super) fn without_bytes(
        &self,
        opening: &Opening,
        headers: &HeaderMap,
        answered: &mut Answered,
    ) -> Option<Answer> {
        let request_id = &self.caller.request_id;
        match opening {
            Opening::NotModified => Some(Answer::empty(opening.status(), request_id, headers.clone())),
            Opening::NoSuchPart { total } => {
                let error = ApiError::new(ErrorKind::RangeNotSatisfiable);
                answered.fail(&error);
                let range = total.map_or("bytes */*".to_owned(), |total| format!("bytes */{total}"));
                let range = HeaderValue::from_str(&range).ok().filter(|_| total.is_some());
                let mut answer = Answer::error(&error, request_id, Some(&self.entry.name));
                answer.headers.extend(range.map(|range| (CONTENT_RANGE, range)));
                Some(answer)
            }
            _ => None,
        }
    }

    pub(super) fn sending(
        &self,
        told: &Told,
        opening: &Opening,
        mut headers: HeaderMap,
        source: Option<Source>,
        resume: Option<Box<Resume>>,
    ) -> Served {
        let skip = if let Opening::Part { skip, .. } = opening { *skip } else { 0 };
        headers.extend(Answer::headers_of_bytes(&self.caller.request_id, told.how));
        let length = opening.length();
        let flow = source.map(|source| Flow::new(source, skip, length));
        Served::File(Box::new(Sending { status: opening.status(), headers, length, flow, resume }))
    }
}
