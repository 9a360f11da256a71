//! What translating a provider's answer costs, and what belongs to it: the id, an error, an answer from the cache.
//!
//! `make bench-translate` measures times. `make bench-check` counts instructions and allocations of the same cases, which
//! repeat where times do not, and holds them against `baseline.txt`.

#[path = "../../tests/sample/mod.rs"]
mod sample;

mod cases;
mod count;
mod hit;
mod time;

fn main() {
    match std::env::args().any(|argument| argument == "--count") {
        true => count::all(cases::all()),
        false => time::all(cases::all()),
    }
}
