//! What the translation of an answer costs in memory. Allocations are counted for the thread that makes them.

#[path = "sample/mod.rs"]
mod sample;

use allocation_counter::{AllocationInfo, measure};
use sample::translation::Translation;
use vidgate::providers::PROVIDERS;

/// Characters of base64.
const LONG: usize = 30_000_000;

/// A status without a result takes no more allocations than these, whichever provider it is of.
const FEW: u64 = 12;

fn cost(translation: &Translation) -> AllocationInfo {
    measure(|| drop(translation.run()))
}

#[test]
fn a_video_in_the_answer_is_copied_once() {
    for row in PROVIDERS.iter().filter(|row| row.results_may_be_inline) {
        let translation = Translation::inline(row, LONG).unwrap_or_else(|| panic!("{}: no sample", row.kind));
        let cost = cost(&translation);
        // The JSON that is written holds the video. A buffer that grows would count once more.
        let (allocated, video) = (cost.bytes_total as f64, LONG as f64);
        assert!(allocated < 1.1 * video, "{}: {allocated} bytes for a video of {video}", row.kind);
        let peak = (cost.bytes_max as usize + translation.received()) as f64;
        assert!(peak < 2.2 * video, "{}: {peak} bytes at once for a video of {video}", row.kind);
    }
}

#[test]
fn a_small_status_takes_few_allocations() {
    for row in PROVIDERS {
        for state in ["queued", "in_progress"] {
            let Some(translation) = Translation::of(row, state) else { continue };
            let count = cost(&translation).count_total;
            assert!(count <= FEW, "{}/{state}: {count} allocations", row.kind);
        }
    }
}
