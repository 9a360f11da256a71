//! One call of a poll: what it carries besides, how its answer is read, and who is told of it.

use super::Poll;
use crate::config::BaseAddress;
use crate::gateway::Called;
use crate::gateway::inline::{self, Heard};
use crate::gateway::trace::Span;
use crate::providers::{Job, Reply, Step};
use crate::upstream::{Client, Endpoint, Header, Outgoing, Reach};
use crate::video::ApiError;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::SystemTime;
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
        let (started, mut resent) = (Instant::now(), 0);
        let result = self.heard(client, endpoint, outgoing, before, job, &mut resent).await;
        if let (Some(parent), Some(span)) = (&self.trace, span.filter(|span| span.is_sampled)) {
            let took = started.elapsed();
            self.entry.watch.called(&Called {
                span,
                parent: parent.id,
                method: &outgoing.method,
                address: endpoint.address(),
                path: outgoing.path,
                status: result.as_ref().ok().map(|heard| heard.reply.status.as_u16()),
                error: result.as_ref().err().map(|error| error.kind),
                resent,
                began: SystemTime::now() - took,
                took,
            });
        }
        result
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
        inline::hear(client, &endpoint, outgoing, &entry.limits, self.deadline, wanted, found_in).await
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
