//! A video that is a file at a link: opened at its source, and what the source's answer means.

use super::Served;
use super::fetch::{Fetch, Place, Want};
use super::flow::Source;
use super::opening::{self, Opening};
use super::range::ByteRange;
use super::sending::Resume;
use super::visit::Visit;
use crate::gateway::Answered;
use crate::gateway::poll::Told;
use crate::gateway::text::Stored;
use crate::upstream::Download;
use crate::video::ApiError;
use http::header::ETAG;
use http::{HeaderMap, Method};

/// What a source answered.
pub(super) enum Found {
    Served(Served),
    /// The link does not lead to the file any more.
    Gone(Box<Download>),
}

impl Visit<'_> {
    /// Opens the file at its source.
    pub(super) async fn open(
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
                401 | 403 | 404 | 410 => return Ok(Found::Gone(Box::new(download))),
                _ => return Err(fetch.failure(download).await),
            }
            let opening = match self.is_head {
                true => opening::of_head(download.status, &download.headers, self.caller.headers)?,
                false => opening::of(download.status, &download.headers, self.caller.headers, self.range)?,
            };
            if opening == Opening::AskForWhole {
                download.discard().await;
                if !may_ask_again {
                    return Err(opening::never_whole());
                }
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
