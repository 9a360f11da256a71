//! How long videos are that stand in base64 in an answer: nobody says so, and a range cannot be cut without knowing.
//! One is measured by reading it through, once.

use crate::gateway::inline::Inline;
use crate::gateway::poll::JobKey;
use crate::gateway::text::strong_tag;
use crate::video::ApiError;
use http::HeaderValue;
use moka::sync::Cache;
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3Default;

/// Measures that are kept, and how long: a finished video does not change.
const MAX_MEASURES: u64 = 10_000;
const KEEP: Duration = Duration::from_secs(3600);

/// What a video is like that was read through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Measure {
    pub length: u64,
    /// Strong: made of all its bytes.
    pub etag: HeaderValue,
}

/// The measures of videos by their job and index.
pub(in crate::gateway) struct Measures(Cache<(JobKey, usize), Measure>);

impl Default for Measures {
    fn default() -> Self {
        Measures(Cache::builder().max_capacity(MAX_MEASURES).time_to_live(KEEP).build())
    }
}

impl Measures {
    pub fn get(&self, job: JobKey, index: usize) -> Option<Measure> {
        self.0.get(&(job, index))
    }

    /// Reads a video through.
    pub async fn take(&self, job: JobKey, index: usize, mut inline: Inline) -> Result<Measure, ApiError> {
        let (mut length, mut hash) = (0, Xxh3Default::new());
        while let Some(piece) = inline.next().await? {
            length += piece.len() as u64;
            hash.update(&piece);
        }
        let etag = strong_tag(hash.digest128());
        let measure = Measure { length, etag };
        self.0.insert((job, index), measure.clone());
        Ok(measure)
    }
}
