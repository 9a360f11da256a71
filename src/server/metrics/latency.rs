//! A histogram of durations without a lock: every hit passes it.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in milliseconds: from an answer of the cache to the longest sensible timeout.
const BOUNDS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000];

/// Clones are the same histogram.
#[derive(Debug, Clone, Default)]
pub struct Latency(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    /// Of each bucket alone.
    within: [AtomicU64; BOUNDS.len()],
    beyond: AtomicU64,
    nanos: AtomicU64,
}

impl Latency {
    pub fn observe(&self, took: Duration) {
        let place = BOUNDS.iter().position(|bound| took <= Duration::from_millis(*bound));
        let bucket = place.and_then(|place| self.0.within.get(place)).unwrap_or(&self.0.beyond);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.0.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or_default(), Ordering::Relaxed);
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
        let within = BOUNDS.iter().zip(&self.0.within);
        let mut buckets: Vec<(f64, u64)> =
            within.map(|(bound, count)| (seconds(*bound), count.load(Ordering::Relaxed))).collect();
        buckets.push((f64::INFINITY, self.0.beyond.load(Ordering::Relaxed)));
        // The sum of what was just read, so that it never disagrees with the buckets.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
