use super::*;
use crate::sandbox::{KINDS, Pace, find};
use serde_json::json;
use tokio::time::advance;

const JOB: &str = "video_abcdef00";

#[tokio::test(start_paused = true)]
async fn a_job_goes_from_queued_to_completed() {
    let sandbox = sandbox(Pace::default()).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let video = poll(&sandbox, "openai", JOB).await.json();
        seen.push((video["status"].as_str().unwrap().to_owned(), video["progress"].as_u64().unwrap()));
        advance(Duration::from_secs(1)).await;
    }
    let seen: Vec<_> = seen.iter().map(|(status, progress)| (status.as_str(), *progress)).collect();
    let want = [("queued", 0), ("in_progress", 0), ("in_progress", 33), ("in_progress", 66), ("completed", 100)];
    assert_eq!(seen, want);
}

#[tokio::test(start_paused = true)]
async fn times_count_from_the_first_poll_and_stay_the_same() {
    let sandbox = sandbox(Pace::default()).await;
    assert_eq!(poll(&sandbox, "openai", JOB).await.json()["created_at"], NOW);
    advance(Duration::from_secs(100)).await;
    let video = poll(&sandbox, "openai", JOB).await.json();
    assert_eq!(video["created_at"], NOW);
    assert_eq!(video["completed_at"], NOW + 4);
    assert_eq!(video["expires_at"], NOW + 86_400);
    advance(Duration::from_secs(100)).await;
    assert_eq!(poll(&sandbox, "openai", JOB).await.json(), video);
}

#[tokio::test(start_paused = true)]
async fn every_example_of_every_kind_completes_at_once_when_the_pace_is_instant() {
    let sandbox = sandbox(Pace::INSTANT).await;
    for kind in KINDS {
        for job in kind.examples {
            let answer = poll(&sandbox, kind.name, job).await;
            assert_eq!(answer.status, 200, "{job}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(sandbox.calls(kind.name, job), 1, "{job}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_uses_its_own_state_words() {
    let moving = sandbox(Pace { queued_for: Duration::from_secs(1), done_after: Duration::from_secs(2) }).await;
    let ended = sandbox(Pace::INSTANT).await;
    let jobs = |code| KINDS.iter().flat_map(move |kind| kind.jobs(code).map(move |job| (kind.name, job)));
    for code in ["10", "11"] {
        for (kind, job) in jobs(code) {
            poll(&moving, kind, &job).await;
        }
    }
    advance(Duration::from_secs(1)).await;
    let mut wrong = Vec::new();
    for code in expect::OUTCOMES {
        for (kind, job) in jobs(code) {
            let form = expected(kind, &job);
            let sandbox = if ["10", "11"].contains(code) { &moving } else { &ended };
            let word = form.word(&poll(sandbox, kind, &job).await.json());
            let want = &form.outcome(code).word;
            if word != *want {
                wrong.push(format!("{job}:{kind} says {word:?}, expected {want:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_state_word_comes_from_the_first_poll_on_and_for_ever() {
    let sandbox = sandbox(Pace::default()).await;
    for kind in KINDS {
        for job in kind.jobs("07") {
            let form = expected(kind.name, &job);
            let (unknown, known) =
                (&form.outcome("07").word, ["10", "11", "00", "01"].map(|code| &form.outcome(code).word));
            // Without state words it stays in progress.
            assert!(!known.contains(&unknown) || unknown.is_empty(), "{job}: {unknown} is a word of its own");
            for _ in 0..2 {
                assert_eq!(form.word(&poll(&sandbox, kind.name, &job).await.json()), *unknown, "{job}");
                advance(Duration::from_secs(1000)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_as_each_provider_tells_it() {
    let sandbox = sandbox(Pace::default()).await;
    let jobs: Vec<_> = ["runway", "replicate"].map(|kind| (kind, find(kind).unwrap().examples[0])).to_vec();
    for (kind, job) in &jobs {
        assert_eq!(poll(&sandbox, kind, job).await.json().get("progress"), None);
    }
    advance(Duration::from_millis(2500)).await;
    assert_eq!(poll(&sandbox, jobs[0].0, jobs[0].1).await.json()["progress"], json!(0.5));
    let prediction = poll(&sandbox, jobs[1].0, jobs[1].1).await.json();
    assert!(prediction["logs"].as_str().unwrap().contains("\n 50%|█████     | 25/50 ["), "{prediction}");
    assert_eq!(prediction["started_at"], "2026-01-02T03:04:06.000000Z");
    assert_eq!(prediction.get("completed_at"), None);
}
