//! `GET /v1/videos/{id}/content`: the bytes of a finished video, wherever they are.
//!
//! ```text
//! index, variant ─► poll ─► where the video is ─┬─ a link or a path of the API ─► guard ─► fetch ──┐
//!                     ▲                         └─ base64 in the answer ─► decode as it comes ─────┤
//!                     └── a link that is gone: once more, anew                                     ▼
//!                                                                     client ◄── sending ◄── part, headers
//! ```

mod asked;
mod embedded;
mod fetch;
mod file;
mod flow;
mod guard;
mod measure;
mod opening;
mod range;
mod sending;
mod storage;
mod visit;

pub(super) use measure::Measures;
pub(super) use sending::{Sending, cut_off};

use super::Gateway;
use super::answer::Answer;
use super::caller::Caller;
use super::entry::Entry;
use super::outcome::Answered;
use super::retrieve::own_authorization;
use crate::providers::Job;
use crate::video::ApiError;
use asked::Asked;
use http::HeaderValue;
use range::ByteRange;
use std::sync::Arc;
use visit::Visit;

/// What a request for bytes is answered with.
pub(super) enum Served {
    Answer(Answer),
    File(Box<Sending>),
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
