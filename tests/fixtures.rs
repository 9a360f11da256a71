//! Each provider's answers and what becomes of them, side by side: `tests/fixtures/{kind}/{state}.json` holds what
//! the provider says, `{state}.answer.json` what a client gets. `VIDGATE_BLESS=1` writes the answers anew.

#[path = "expect/mod.rs"]
mod expect;

#[path = "sample/mod.rs"]
mod sample;

use sample::Fixture;
use serde_json::{Value, json};
use std::fs;
use vidgate::providers::{PROVIDERS, Provider, Step};
use vidgate::video::{Envelope, VideoBody};

/// The states that every kind must have a fixture for.
const STATES: &[&str] = &[
    "queued",
    "in_progress",
    "completed",
    "failed",
    "filtered",
    "cancelled",
    "not_found",
    "unauthorized",
    "rate_limited",
    "server_error",
    "not_json",
    "truncated",
];

/// What a client gets for a fixture.
fn answer(row: &Provider, fixture: &Fixture) -> Value {
    let (id, replies) = (fixture.id(), fixture.replies());
    let name = row.job.unfold(id.job());
    let job = sample::job(row, &name);
    match row.translate(&job, &replies) {
        Step::Done(video) => {
            let content_url = format!("https://videos.example.com/v1/videos/{}/content?index=", id.as_str());
            let body = VideoBody { id: id.as_str(), provider: id.provider(), video: &video, content_url: &content_url };
            let body: Value = serde_json::from_slice(&body.to_json()).unwrap();
            json!({"status": 200, "unknown_state": video.unknown_state, "body": body})
        }
        Step::Failed(error) => {
            let body = Envelope::new(&error, "req_1", Some(id.provider()));
            json!({"status": error.status().as_u16(), "retry_after": error.retry_after_seconds(), "body": body})
        }
        Step::Then(call) => panic!("one more call is wanted: {call:?}"),
    }
}

#[test]
fn every_answer_is_the_one_beside_it() {
    let mut wrong = Vec::new();
    for row in PROVIDERS {
        for path in sample::paths(row.kind) {
            let fixture = Fixture::read(&path);
            assert!(!fixture.source.is_empty(), "{} names no source", path.display());
            let got = serde_json::to_string_pretty(&answer(row, &fixture)).unwrap() + "\n";
            let beside = path.with_extension("answer.json");
            if std::env::var_os("VIDGATE_BLESS").is_some() {
                fs::write(&beside, &got).unwrap();
            }
            if fs::read_to_string(&beside).ok().as_deref() != Some(&got) {
                wrong.push(format!("{}\n{got}", beside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_has_a_fixture_for_every_state_or_says_why_not() {
    for row in PROVIDERS {
        let expected = expect::of(row.kind);
        let exists = |state: &str| sample::path(row.kind, state).exists();
        for state in STATES {
            assert!(exists(state) != expected.no_such_state.contains_key(*state), "{}: {state}", row.kind);
        }
        for (state, why) in &expected.no_such_state {
            assert!(STATES.contains(&state.as_str()) && !why.is_empty(), "{}: {state}: {why}", row.kind);
        }
        assert!(!expected.no_jobs.is_empty(), "{}: which names are none of its jobs?", row.kind);
        // A job that can lose some of its videos to moderation and deliver the others.
        let loses_some = expected.jobs.iter().any(|form| form.outcome("03").filter.is_some());
        assert_eq!(exists("partly_filtered"), loses_some, "{}: partly_filtered", row.kind);
    }
}

#[test]
fn every_example_job_is_accepted_by_its_own_rule() {
    for row in PROVIDERS {
        assert!(!row.job.examples.is_empty(), "{}", row.kind);
        for example in row.job.examples {
            let job = row.job.check(example).unwrap_or_else(|| panic!("{}: {example}", row.kind));
            let call = (row.request)(&job);
            assert!(call.path.is_empty() || call.path.starts_with('/'), "{}: {}", row.kind, call.path);
        }
    }
}
