//! The bytes of a file as they come from its source, cut to the part that a client wants.

use crate::gateway::inline::Inline;
use crate::upstream::Download;
use crate::video::{ApiError, ErrorKind};
use bytes::Bytes;
use std::time::Duration;

/// Where bytes come from.
pub(super) enum Source {
    Network { download: Download, idle_timeout: Duration },
    Inline(Inline),
}

/// A part of what a source gives.
pub(super) struct Flow {
    source: Source,
    /// Bytes to be passed over first.
    skip: u64,
    /// Bytes that must still come; `None` where the end of the source is the end.
    left: Option<u64>,
}

impl Flow {
    pub fn new(source: Source, skip: u64, length: Option<u64>) -> Flow {
        Flow { source, skip, left: length }
    }

    /// The next bytes; `None` after the last. A source that ends too early has failed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            let piece = match &mut self.source {
                Source::Network { download, idle_timeout } => download.next_within(*idle_timeout).await?,
                Source::Inline(inline) => inline.next().await?,
            };
            let Some(mut piece) = piece else { return self.left.map_or(Ok(None), |_| Err(too_short())) };
            let passed_over = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
            self.skip -= passed_over as u64;
            piece = piece.split_off(passed_over);
            if let Some(left) = &mut self.left {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    /// Gives the connection back where the file was read to its end; closes it otherwise.
    pub async fn finish(self) {
        if let Source::Network { mut download, .. } = self.source
            && download.is_done()
        {
            download.give_back().await;
        }
    }
}

fn too_short() -> ApiError {
    ApiError::because(ErrorKind::UpstreamInvalidResponse, "The video of {p} broke off before its end.")
}
