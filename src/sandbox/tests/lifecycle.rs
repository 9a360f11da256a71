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

/// The state word of an answer, wherever its kind keeps it.
fn word(kind: &str, job: &str, answer: &Value) -> String {
    let first = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    match kind {
        "dashscope" => first("/output/task_status").unwrap(),
        "zhipu" => first("/task_status").unwrap(),
        "vidu" => first("/state").unwrap(),
        "pixverse" => answer["Resp"]["status"].to_string(),
        "runware" => first("/errors/0/code").or_else(|| first("/data/0/status")).unwrap(),
        "xai" => first("/status").or_else(|| first("/code")).unwrap(),
        "luma" => first("/state").unwrap(),
        "gemini" | "vertex" if !job.starts_with("interactions") => match (answer.get("done"), answer.get("error")) {
            (None, None) => "running".to_owned(),
            (Some(_), Some(error)) => format!("error {}", error["code"]),
            (Some(_), None) => "done".to_owned(),
            _ => panic!("{answer}"),
        },
        "kling" => first("/data/task_status").or_else(|| first("/data/0/status")).unwrap(),
        _ => first("/status").or_else(|| first("/task/status")).unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_uses_its_own_state_words() {
    // Queued, in progress, then the ends 00 to 06.
    let table = [
        ("openai", 0, "queued in_progress completed failed failed completed cancelled expired completed"),
        ("azure", 0, "queued in_progress completed failed failed completed cancelled expired completed"),
        ("azure", 1, "queued running succeeded failed failed succeeded cancelled failed succeeded"),
        ("gemini", 0, "running running done error_13 done done error_1 error_13 done"),
        ("gemini", 1, "queued in_progress completed failed failed completed cancelled failed completed"),
        ("vertex", 0, "running running done error_13 done done error_1 error_13 done"),
        ("runway", 0, "PENDING RUNNING SUCCEEDED FAILED FAILED SUCCEEDED CANCELLED FAILED SUCCEEDED"),
        ("replicate", 0, "starting processing succeeded failed failed succeeded canceled aborted succeeded"),
        (
            "runware",
            0,
            "pending processing success timeoutProvider invalidProviderContent invalidProviderContent \
             timeoutProvider timeoutProvider success",
        ),
        ("bedrock", 0, "InProgress InProgress Completed Failed Failed Completed Failed Failed Completed"),
        ("xai", 0, "pending pending done failed imagine:content-moderated done failed expired done"),
        ("openrouter", 0, "pending in_progress completed failed failed completed cancelled expired completed"),
        ("together", 0, "queued in_progress completed failed failed completed cancelled failed completed"),
        ("luma", 0, "queued dreaming completed failed failed completed failed failed completed"),
        ("kling", 0, "submitted processing succeed failed failed succeed failed failed succeed"),
        ("kling", 1, "submitted processing succeeded failed failed succeeded failed failed succeeded"),
        ("minimax", 0, "Queueing Processing Success Fail Fail Success Fail Fail Success"),
        ("minimax", 1, "queued running succeeded failed failed succeeded cancelled failed succeeded"),
        ("fal", 0, "IN_QUEUE IN_PROGRESS COMPLETED COMPLETED COMPLETED COMPLETED COMPLETED COMPLETED COMPLETED"),
        ("dashscope", 0, "PENDING RUNNING SUCCEEDED FAILED FAILED SUCCEEDED CANCELED FAILED SUCCEEDED"),
        ("ark", 0, "queued running succeeded failed failed succeeded cancelled expired succeeded"),
        ("zhipu", 0, "PROCESSING PROCESSING SUCCESS FAIL FAIL SUCCESS FAIL FAIL SUCCESS"),
        ("vidu", 0, "queueing processing success failed failed success failed failed success"),
        ("pixverse", 0, "0 5 1 8 7 1 8 8 1"),
    ];
    let moving = sandbox(Pace { queued_for: Duration::from_secs(1), done_after: Duration::from_secs(2) }).await;
    let ended = sandbox(Pace::INSTANT).await;
    for (kind, form, want) in table {
        let job = |code| find(kind).unwrap().jobs(code).nth(form).unwrap();
        let mut words = Vec::new();
        for code in ["10", "11"] {
            poll(&moving, kind, &job(code)).await;
        }
        advance(Duration::from_secs(1)).await;
        for (sandbox, code) in [("10"), ("11")]
            .map(|code| (&moving, code))
            .into_iter()
            .chain(["00", "01", "02", "03", "04", "05", "06"].map(|code| (&ended, code)))
        {
            let job = job(code);
            words.push(word(kind, &job, &poll(sandbox, kind, &job).await.json()).replace(' ', "_"));
        }
        assert_eq!(words.join(" "), want, "{kind} {form}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_state_word_comes_from_the_first_poll_on_and_for_ever() {
    let sandbox = sandbox(Pace::default()).await;
    for kind in KINDS {
        for job in kind.jobs("07") {
            let before = word(kind.name, &job, &poll(&sandbox, kind.name, &job).await.json());
            advance(Duration::from_secs(1000)).await;
            let after = word(kind.name, &job, &poll(&sandbox, kind.name, &job).await.json());
            let wordless = before == "running";
            let unknown = if kind.name == "pixverse" { "99" } else { "reticulating" };
            assert!(wordless || before == unknown, "{job}: {before}");
            assert_eq!(before, after, "{job}");
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
