//! A file opened at its source: which call that takes, with which credentials, and after how many redirects.

use super::guard::{Guard, Target, refusal};
use super::storage;
use crate::gateway::entry::Entry;
use crate::gateway::observe::Calling;
use crate::gateway::poll::Polling;
use crate::gateway::redact::Redactor;
use crate::gateway::trace::Span;
use crate::providers::{Job, retry_after, said};
use crate::upstream::{Download, Endpoint, Limits, Outgoing, Proof, unix_now};
use crate::video::{ApiError, ErrorKind, Said};
use http::header::{HOST, LOCATION, RANGE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Of an error's body so much is read for its words.
const WORDS: Limits = Limits { max_body: 64 * 1024, retries: 0 };

/// Opens files of one job for one client.
pub(super) struct Fetch {
    pub entry: Arc<Entry>,
    pub polling: Arc<Polling>,
    /// The API that the job was asked of.
    pub own: Arc<Endpoint>,
    /// The provider's own name for the job.
    pub job: String,
    /// The credential that knows the job; `None` for an API without credentials.
    pub proof: Option<Proof>,
    /// The id of the request, which the API is told.
    pub request_id: Option<HeaderValue>,
    /// The trace that the request belongs to.
    pub trace: Option<Span>,
    pub redactor: Redactor,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// A link, or a path of the API that starts with `/`.
    pub address: String,
    /// Only the credentials of the API open it.
    pub is_guarded: bool,
}

/// What is wanted of a file.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub method: Method,
    pub range: Option<HeaderValue>,
}

impl Want {
    pub fn whole() -> Want {
        Want { method: Method::GET, range: None }
    }
}

/// One request of a chain of redirects.
struct Hop {
    target: Target,
    proof: Option<Proof>,
}

impl Fetch {
    /// Opens a file, redirects followed. The answer may have any other status.
    pub async fn open(&self, place: &Place, want: &Want) -> Result<Download, ApiError> {
        let mut hop = self.first(place)?;
        for _ in 0..=MAX_REDIRECTS {
            let download = self.ask(&hop, want).await?;
            let is_redirect = matches!(download.status.as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect {
                return Ok(download);
            }
            let location = download.headers.get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
            download.discard().await;
            hop = self.next(hop, location.as_deref())?;
        }
        Err(refusal(&format!("it was redirected more than {MAX_REDIRECTS} times")))
    }

    /// What an answer means that is neither the file nor a reason to ask for a new link.
    pub async fn failure(&self, download: Download) -> ApiError {
        let status = download.status.as_u16();
        let now = unix_now();
        let wait = retry_after(&download.headers, now);
        let kind = match status {
            429 => ErrorKind::RateLimited,
            503 => ErrorKind::UpstreamUnavailable,
            _ => ErrorKind::UpstreamError,
        };
        let said = self.words(download).await;
        let detail = "The source of the video at {p} failed to give it.";
        let mut error = ApiError { detail: detail.to_owned(), ..ApiError::said(kind, said) }.with_retry_after(wait);
        self.redactor.error(&mut error);
        error
    }

    /// What an answer means by which a link is gone, once a fresh poll gave no better one.
    pub async fn gone(&self, download: Download, place: &Place) -> ApiError {
        // An API says 403 of files that it has no more, a storage of those that the credential may not read.
        let is_refusal = match download.status {
            StatusCode::UNAUTHORIZED => place.is_guarded,
            StatusCode::FORBIDDEN => storage::is_object(&place.address),
            _ => false,
        };
        let kind = match is_refusal {
            // It is the client's credential that was refused, so it is the client who must hear of it.
            true if self.entry.forwards() => ErrorKind::ClientAuthRefused,
            true => ErrorKind::UpstreamAuthFailed,
            false => ErrorKind::VideoExpired,
        };
        let said = self.words(download).await;
        let mut error = ApiError::said(kind, said);
        self.redactor.error(&mut error);
        error
    }

    fn job(&self) -> Result<Job<'_>, ApiError> {
        self.entry.row.job.check(&self.job).ok_or_else(|| ApiError::new(ErrorKind::Internal))
    }

    async fn words(&self, download: Download) -> Said {
        let status = download.status.as_u16();
        let deadline = Instant::now() + Duration::from_secs(5);
        match self.polling.client.whole(download, &WORDS, deadline).await {
            Ok(reply) => said(&reply),
            Err(_) => Said { status, ..Said::default() },
        }
    }

    pub fn guard(&self) -> Guard<'_> {
        Guard { row: self.entry.row, settings: &self.entry.content, own: self.own.address() }
    }

    fn first(&self, place: &Place) -> Result<Hop, ApiError> {
        let guard = self.guard();
        let own = self.own.address();
        let link = match place.address.starts_with('/') {
            true => format!("{own}{}", place.address),
            false => place.address.clone(),
        };
        let job = self.job()?;
        let target = match storage::target(&link, &job, &guard)? {
            Some(target) => target,
            None => guard.admit(&parsed(&link, None)?)?,
        };
        let proof = self.proof.clone().filter(|_| place.is_guarded && target.takes_credentials);
        Ok(Hop { target, proof })
    }

    fn next(&self, before: Hop, location: Option<&str>) -> Result<Hop, ApiError> {
        let location = location.ok_or_else(|| refusal("it was redirected to nowhere"))?;
        let from = format!("{}{}", before.target.address, before.target.path);
        let target = self.guard().admit(&parsed(location, Url::parse(&from).ok().as_ref())?)?;
        // Once a chain has left the host that the credential is for, it does not come back with it.
        let proof = before.proof.filter(|_| target.address == before.target.address);
        Ok(Hop { target, proof })
    }

    async fn ask(&self, hop: &Hop, want: &Want) -> Result<Download, ApiError> {
        let Target { address, path, reach, is_own, s3_region, .. } = &hop.target;
        let endpoint = self.entry.download_endpoint(address, *reach)?;
        let span = self.trace.as_ref().map(Span::child);
        let mut headers = vec![(HOST, endpoint.host_header().clone())];
        match is_own {
            true => {
                headers.extend(self.entry.file_headers());
                headers.extend(self.request_id.clone().map(|id| (HeaderName::from_static("x-request-id"), id)));
                headers.extend(span.iter().flat_map(Span::headers));
            }
            false => headers.extend(Entry::foreign_headers()),
        }
        headers.extend(want.range.clone().map(|range| (RANGE, range)));
        let mut outgoing = Outgoing { method: want.method.clone(), path, headers, body: None };
        match (&hop.proof, s3_region) {
            (Some(proof), Some(region)) => proof.add_to_s3(&mut outgoing, region)?,
            (Some(proof), None) => proof.add_to(&mut outgoing, &self.job()?)?,
            (None, _) => {}
        }
        let (began, mut resent) = (Instant::now(), 0);
        let (deadline, retries) = (began + self.entry.content.idle_timeout, self.entry.limits.retries);
        let opened = self.polling.client.open(&endpoint, &outgoing, retries, deadline, &mut resent).await;
        let calling = Calling { parent: self.trace.as_ref(), span: span.as_ref(), began };
        let result = opened.as_ref().map(|download| download.status.as_u16()).map_err(|error| error.kind);
        calling.is_over(&*self.entry.watch, &outgoing, endpoint.address(), result, resent);
        opened.map_err(|mut error| {
            self.redactor.error(&mut error);
            error
        })
    }
}

/// A link as it is written, which may be relative to another one. What parsers disagree about is no link.
fn parsed(link: &str, base: Option<&Url>) -> Result<Url, ApiError> {
    if link.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
        return Err(refusal("it holds a backslash, white space or control characters"));
    }
    Url::options().base_url(base).parse(link).map_err(|_| refusal("it is no URL"))
}
