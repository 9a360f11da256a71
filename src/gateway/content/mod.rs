//! `GET /v1/videos/{id}/content`: the bytes of a finished video, wherever they are.
//!
//! ```text
//! index, variant ─► poll ─► where the video is ─┬─ a link or a path of the API ─► guard ─► fetch ──┐
//!                     ▲                         └─ base64 in the answer ─► decode as it comes ─────┤
//!                     └── a link that is gone: once more, anew                                     ▼
//!                                                                     client ◄── sending ◄── part, headers
//! ```

mod asked;
mod fetch;
mod flow;
mod guard;
mod measure;
mod opening;
mod range;
mod sending;
mod storage;

pub(super) use measure::Measures;
pub(super) use sending::{Sending, cut_off};

use super::answer::Answer;
use super::caller::Caller;
use super::entry::{Entry, Means};
use super::inline::{Inline, Wanted};
use super::poll::{JobKey, Told};
use super::redact::Redactor;
use super::retrieve::own_authorization;
use super::text::{self, Stored};
use super::{Answered, Gateway};
use crate::config::ContentMode;
use crate::providers::Job;
use crate::upstream::{Authenticator, Download, Proof};
use crate::video::{ApiError, ErrorKind, Status};
use asked::Asked;
use fetch::{Fetch, Place, Want};
use flow::{Flow, Source};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use opening::Opening;
use range::ByteRange;
use sending::Resume;
use std::sync::Arc;
use tokio::time::Instant;
use url::Url;

/// What a request for bytes is answered with.
pub(super) enum Served {
    Answer(Answer),
    File(Box<Sending>),
}

/// One request for the bytes of a video.
struct Visit<'a> {
    gateway: &'a Gateway,
    entry: &'a Arc<Entry>,
    job: &'a Job<'a>,
    caller: &'a Caller<'a>,
    asked: Asked,
    authorization: Option<&'a HeaderValue>,
    key: JobKey,
    is_head: bool,
    range: Option<ByteRange>,
}

/// What a source answered.
enum Found {
    Served(Served),
    /// The link does not lead to the file any more.
    Gone(Download),
}

impl Gateway {
    pub(super) async fn content(
        &self,
        query: &str,
        is_head: bool,
        entry: &Arc<Entry>,
        job: &Job<'_>,
        caller: &Caller<'_>,
        answered: &mut Answered,
    ) -> Result<Served, ApiError> {
        let asked = Asked::parse(query, entry.row)?;
        let authorization = own_authorization(entry, caller)?;
        let identity = authorization.map_or(&b""[..], HeaderValue::as_bytes);
        let key = self.polling.key(&entry.memory, identity, job.as_str());
        let range = if is_head { None } else { ByteRange::asked(caller.headers) };
        self.count_late(caller, answered.key.as_deref())?;
        Visit { gateway: self, entry, job, caller, asked, authorization, key, is_head, range }.serve(answered).await
    }
}

impl Visit<'_> {
    async fn serve(&self, answered: &mut Answered) -> Result<Served, ApiError> {
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
                Found::Gone(download) if is_fresh => {
                    let fetch = self.fetch(&told, &place).await?;
                    return Err(fetch.gone(download, &place).await);
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
    async fn look(&self, anew: bool, answered: &mut Answered) -> Result<(Told, Option<Inline>), ApiError> {
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
                let detail = format!("The job has {} videos, none with this index.", text.results.len());
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
        let secrets = |key: &Authenticator| -> Vec<String> {
            key.secrets().into_iter().map(|secret| secret.expose().to_owned()).collect()
        };
        let mut redactor = Redactor::new([]);
        let mut proof = None;
        match &self.entry.means {
            Means::None => {}
            Means::Forward => {
                redactor = Redactor::of_client(self.authorization, []);
                proof = self.authorization.cloned().map(|mut value| {
                    value.set_sensitive(true);
                    Proof::Header((AUTHORIZATION, value))
                });
            }
            Means::Keys(_) => {
                if let Some(key) = self.authenticator(told).filter(|_| place.is_guarded) {
                    let deadline = Instant::now() + self.entry.timeout;
                    let fetched = key.proof(&self.gateway.polling.client, deadline).await;
                    redactor = Redactor::new(secrets(key));
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
        Ok(Answer::empty(StatusCode::FOUND, &self.caller.request_id, vec![(LOCATION, location)]))
    }

    /// Opens the file at its source.
    async fn open(
        &self,
        told: &Told,
        stored: &Stored,
        fetch: Fetch,
        place: &Place,
        answered: &mut Answered,
    ) -> Result<Found, ApiError> {
        let mut download = self.ask(&fetch, place).await?;
        let mut may_ask_again = true;
        loop {
            answered.upstream_status = Some(download.status.as_u16());
            match download.status.as_u16() {
                200 | 206 | 416 => {}
                401 | 403 | 404 | 410 => return Ok(Found::Gone(download)),
                _ => return Err(fetch.failure(download).await),
            }
            let opening = match self.is_head {
                true => opening::of_head(download.status, &download.headers, self.caller.headers),
                false => opening::of(download.status, &download.headers, self.caller.headers, self.range)?,
            };
            if opening == Opening::AskForWhole && may_ask_again {
                download.discard().await;
                download = fetch.open(place, &Want::whole()).await?;
                may_ask_again = false;
                continue;
            }
            let default_type =
                if self.asked.variant.is_some() { "application/octet-stream" } else { &stored.content_type };
            let headers = opening.headers(&download.headers, default_type);
            if let Some(answer) = self.without_bytes(&opening, &headers, answered) {
                download.discard().await;
                return Ok(Found::Served(Served::Answer(answer)));
            }
            if self.is_head {
                download.discard().await;
                return Ok(Found::Served(self.sending(told, &opening, headers, None, None)));
            }
            let resume = resume(&opening, &download.headers, fetch, place);
            let idle_timeout = self.entry.content.idle_timeout;
            let source = Source::Network { download, idle_timeout };
            return Ok(Found::Served(self.sending(told, &opening, headers, Some(source), resume)));
        }
    }

    /// The first answer of the source. Signed links often allow nothing but GET, so for those who want the head alone a
    /// source that refuses HEAD is asked for one byte.
    async fn ask(&self, fetch: &Fetch, place: &Place) -> Result<Download, ApiError> {
        if !self.is_head {
            return fetch.open(place, &Want { range: self.range.and_then(ByteRange::header), ..Want::whole() }).await;
        }
        let download = fetch.open(place, &Want { method: Method::HEAD, range: None }).await?;
        if !matches!(download.status.as_u16(), 400..=405 | 410 | 501) {
            return Ok(download);
        }
        download.discard().await;
        let first_byte = Want { range: ByteRange::Between(0, 0).header(), ..Want::whole() };
        fetch.open(place, &first_byte).await
    }

    /// Serves a video that stands in the provider's answer: from what is kept of it, or as it comes.
    async fn serve_inline(
        &self,
        told: &Told,
        stored: &Stored,
        inline: Option<Inline>,
        answered: &mut Answered,
    ) -> Result<Served, ApiError> {
        if self.asked.variant.is_some() {
            return Err(asked::no_variant(self.entry.row));
        }
        let index = self.asked.index;
        let held =
            |told: &Told| told.text.inline(index).map(Inline::held).ok_or_else(|| ApiError::new(ErrorKind::Internal));
        // What is in memory is measured at no cost to anybody; what comes over the network only where it must be.
        let must_be_measured = inline.is_none() || self.is_head || self.range.is_some();
        let measures = &self.gateway.measures;
        let mut measure = measures.get(self.key, index);
        let mut inline = inline;
        if measure.is_none() && must_be_measured {
            let is_held = inline.is_none();
            measure = Some(measures.take(self.key, index, inline.take().map_or_else(|| held(told), Ok)?).await?);
            if !is_held && !self.is_head {
                let (again, coming) = self.look(false, answered).await?;
                inline = Some(coming.map_or_else(|| held(&again), Ok)?);
            }
        }
        let mut about = HeaderMap::new();
        if let Some(measure) = &measure {
            about.insert(CONTENT_LENGTH, HeaderValue::from(measure.length));
            about.insert(ETAG, measure.etag.clone());
        }
        let opening = opening::of(StatusCode::OK, &about, self.caller.headers, self.range)?;
        let mut content_type = stored.content_type.as_str();
        if let Some(coming) = &mut inline {
            content_type = coming.content_type().await?.unwrap_or(content_type);
        }
        let headers = opening.headers(&about, content_type);
        if let Some(answer) = self.without_bytes(&opening, &headers, answered) {
            return Ok(Served::Answer(answer));
        }
        let source = match self.is_head {
            true => None,
            false => Some(Source::Inline(inline.map_or_else(|| held(told), Ok)?)),
        };
        Ok(self.sending(told, &opening, headers, source, None))
    }

    /// The answer where no byte of the file is wanted, or there is none.
    fn without_bytes(
        &self,
        opening: &Opening,
        headers: &[(HeaderName, HeaderValue)],
        answered: &mut Answered,
    ) -> Option<Answer> {
        let request_id = &self.caller.request_id;
        match opening {
            Opening::NotModified => Some(Answer::empty(opening.status(), request_id, headers.to_vec())),
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

    fn sending(
        &self,
        told: &Told,
        opening: &Opening,
        mut headers: Vec<(HeaderName, HeaderValue)>,
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

/// How to go on with a file after a break: where its tag tells that it is the same one.
fn resume(opening: &Opening, headers: &HeaderMap, fetch: Fetch, place: &Place) -> Option<Box<Resume>> {
    let etag = headers.get(ETAG).filter(|etag| etag.as_bytes().starts_with(b"\""))?.clone();
    let (start, end) = match opening {
        Opening::Part { part, .. } => (part.start, Some(part.end)),
        Opening::Whole { length } => (0, length.and_then(|length| length.checked_sub(1))),
        _ => return None,
    };
    Some(Box::new(Resume { fetch, place: place.clone(), etag, start, end }))
}
