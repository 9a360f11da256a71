//! Everything that is measured, in one list.

use crate::hit::Hit;
use crate::sample::translation::Translation;
use std::hint::black_box;
use vidgate::providers::{PROVIDERS, Provider};
use vidgate::video::Target;

/// Something that is done again and again.
pub struct Case {
    pub name: String,
    /// Bytes of the video in the answer, where it is there.
    pub payload: Option<usize>,
    pub run: Box<dyn Fn()>,
}

/// Names of cases, and the samples that they translate.
const SAMPLES: &[(&str, &str)] = &[
    ("small", "in_progress"),
    ("completed", "completed"),
    ("not_found", "not_found"),
    ("rate_limited", "rate_limited"),
];

/// Names of cases, and how many characters of base64 the video has.
const INLINE: &[(&str, usize)] = &[("inline_10mb", 10_000_000), ("inline_30mb", 30_000_000)];

/// Names of cases, and the paths that they read.
const PATHS: &[(&str, &str)] = &[
    ("id/plain", "video_68d7512d07848190b3e45da0ecbebcde:openai"),
    ("id/slashes", "models/veo-3.1-generate-preview/operations/k4w9s1tqzm00:gemini"),
    ("id/encoded", "models%2Fveo-3.1-generate-preview%2Foperations%2Fk4w9s1tqzm00:gemini/content"),
    ("id/refused", "video_68d7512d07848190b3e45da0ecbebcde:Open%20AI"),
];

/// Each is made when its turn comes, so that only one long answer is held at a time.
pub fn all() -> impl Iterator<Item = Case> {
    let ids = PATHS.iter().map(|(name, path)| case(*name, None, move || black_box(Target::parse(black_box(path)))));
    ids.chain(PROVIDERS.iter().flat_map(|row| translations(row))).chain(std::iter::once_with(|| {
        let hit = Hit::new();
        case("hit", None, move || hit.run())
    }))
}

fn translations(row: &'static Provider) -> impl Iterator<Item = Case> {
    let small = SAMPLES.iter().filter_map(move |(name, state)| {
        let translation = Translation::of(row, state)?;
        Some(case(format!("{}/{name}", row.kind), None, move || translation.run()))
    });
    let lengths = INLINE.iter().filter(move |_| row.results_may_be_inline);
    let long = lengths.map(move |(name, length)| {
        let translation = Translation::inline(row, *length)
            .unwrap_or_else(|| panic!("{}: there is no sample with a video in it", row.kind));
        case(format!("{}/{name}", row.kind), Some(*length), move || translation.run())
    });
    small.chain(long)
}

fn case<T>(name: impl Into<String>, payload: Option<usize>, run: impl Fn() -> T + 'static) -> Case {
    Case { name: name.into(), payload, run: Box::new(move || drop(black_box(run()))) }
}
