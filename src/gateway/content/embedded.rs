//! A video that stands in base64 in the provider's answer: from what is kept of it, or as it comes.

use super::flow::Source;
use super::visit::Visit;
use super::{Served, asked, opening};
use crate::gateway::Answered;
use crate::gateway::inline::Inline;
use crate::gateway::poll::Told;
use crate::gateway::text::Stored;
use crate::video::{ApiError, ErrorKind};
use http::header::{CONTENT_LENGTH, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};

impl Visit<'_> {
    /// Serves a video that stands in the provider's answer: from what is kept of it, or as it comes.
    pub(super) async fn serve_inline(
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
}
