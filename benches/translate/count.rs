//! Runs each case a known number of times between two points that callgrind can see. `bench/counts/check.py` starts it.

use crate::cases::Case;
use std::hint::black_box;

/// How often a small case is counted. A long one runs once: beside its length nothing counts.
const RUNS: u32 = 20;

/// Prints each name with the number of runs, in the order in which callgrind writes its files: two for each case. The
/// first holds what happens only once, and calls of functions since the case before; it is for nothing else.
pub fn all(cases: impl Iterator<Item = Case>) {
    for Case { name, payload, run } in cases {
        let runs = if payload.is_some() { 1 } else { RUNS };
        counted(runs, &*run);
        counted(runs, &*run);
        println!("{name}\t{runs}");
    }
}

/// Callgrind counts what happens inside, and writes it down at the end.
#[inline(never)]
fn counted(runs: u32, run: &dyn Fn()) {
    (0..runs).for_each(|_| run());
    black_box(runs);
}
