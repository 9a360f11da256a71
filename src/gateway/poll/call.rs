//! One call of a poll: what it carries besides, how its answer is read, and who is told of it.

use super::Poll;
use crate::config::BaseAddress;
use crate::gateway::inline::{self, Heard};
use crate::gateway::observe::Calling;
use crate::gateway::trace::Span;
use crate::providers::{Job, Reply, Step};
use crate::upstream::{Client, Endpoint, Header, Outgoing, Reach};
use crate::video::ApiError;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use tokio::time::Instant;

impl Poll {
    /// Makes one call, and tells of it where its trace is kept.
    pub(super) async fn call(
        &self,
        client: &Client,
        endpoint: &Arc<Endpoint>,
        outgoing: &Outgoing<'_>,
        before: &[Reply],
        job: &Job<'_>,
        span: Option<&Span>,
    ) -> Result<Heard, ApiError> {
        let calling = Calling { parent: self.trace.as_ref(), span, began: Instant::now() };
        let mut resent = 0;
        let heard = self.heard(client, endpoint, outgoing, before, job, &mut resent).await;
        let result = heard.as_ref().map(|heard| heard.reply.status.as_u16()).map_err(|error| error.kind);
        calling.is_over(&*self.entry.watch, outgoing, endpoint.address(), result, resent);
        heard
    }

    /// The answer to one call: whole, or read only as far as it takes to find the bytes of a video.
    async fn heard(
        &self,
        client: &Client,
        endpoint: &Arc<Endpoint>,
        outgoing: &Outgoing<'_>,
        before: &[Reply],
        job: &Job<'_>,
        resent: &mut u32,
    ) -> Result<Heard, ApiError> {
        let entry = &self.entry;
        let Some(wanted) = self.wanted else {
            let reply = client.exchange_counted(endpoint, outgoing, &entry.limits, self.deadline, resent).await?;
            return Ok(Heard { reply, inline: None, is_whole: true });
        };
        let endpoint = entry.download_endpoint(endpoint.address(), Reach::Anywhere)?;
        let found_in = |reply: &Reply| {
            let replies: Vec<Reply> = before.iter().chain([reply]).cloned().collect();
            match entry.row.translate(job, &replies) {
                Step::Done(video) => inline::cut_at(&video, wanted.index),
                Step::Then(_) | Step::Failed(_) => None,
            }
        };
        // Boxed, since it is rare and large.
        Box::pin(inline::hear(client, &endpoint, outgoing, &entry.limits, self.deadline, wanted, found_in)).await
    }

    /// What goes to the provider besides what its API needs.
    pub(super) fn more_headers(&self, span: Option<&Span>) -> Vec<Header> {
        let mut headers = Vec::with_capacity(3);
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.push((HeaderName::from_static("x-request-id"), id));
        }
        headers.extend(span.into_iter().flat_map(Span::headers));
        headers
    }
}

/// The whole address of a call.
pub(super) fn url(own: &BaseAddress, path: &str) -> String {
    let base = own.to_string();
    let origin = base.strip_suffix(own.path.as_str()).unwrap_or(&base);
    format!("{origin}{path}")
}
