//! Ten thousand jobs, a thousand clients, and a provider that often fails.

use crate::client::Client;
use crate::provider::{Says, serve};
use crate::support::Proxy;
use crate::{Lateness, alone, percentile, runtime};
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const CLIENTS: usize = 1_000;
const JOBS_EACH: usize = 10;
const LASTS: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(300);
const DEADLINE: Duration = Duration::from_secs(3);
/// For what stands in to be found once the deadline has passed.
const SLACK: Duration = Duration::from_millis(500);

/// What is true of a job: it runs for some seconds and then completes, or fails where its number says so.
fn truth(job: usize, age: Duration) -> (&'static str, u64) {
    let lasts = Duration::from_secs(3 + (job % 7) as u64);
    match age < lasts {
        true => ("in_progress", (100.0 * age.as_secs_f64() / lasts.as_secs_f64()) as u64),
        false if may_fail(job) => ("failed", 0),
        false => ("completed", 100),
    }
}

fn may_fail(job: usize) -> bool {
    job % 10 == 3
}

async fn says(job: String, start: Instant) -> Option<Says> {
    let dice = fastrand::u32(0..100);
    if dice < 2 {
        return None;
    }
    sleep(Duration::from_millis(200)).await;
    let number: usize = job.trim_start_matches("video_").parse().ok()?;
    let (status, progress) = truth(number, start.elapsed());
    let error = if status == "failed" { r#","error":{"code":"E1","message":"no"}"# } else { "" };
    Some(match dice {
        2..7 => Says { status: 500, headers: "", body: "{}".into() },
        7..12 => Says { status: 429, headers: "retry-after: 1\r\n", body: "{}".into() },
        _ => {
            Says { status: 200, headers: "", body: format!(r#"{{"status":"{status}","progress":{progress}{error}}}"#) }
        }
    })
}

#[derive(Default)]
struct Tally {
    polls: usize,
    errors: HashMap<u16, usize>,
    ended: usize,
    waits: Vec<f64>,
}

#[test]
fn a_failing_provider_costs_clients_neither_a_wrong_failure_nor_a_step_back() {
    let _alone = alone();
    let runtime = runtime();
    let start = Instant::now();
    let provider = runtime.block_on(serve(move |job| says(job, start)));
    let proxy = Proxy::start(&format!(
        "log: {{access: false}}\nproviders: {{p: {{kind: openai, base_url: 'http://{provider}/v1', timeout: 3s, max_concurrent: 2000}}}}\n"
    ));
    let address = proxy.address();
    runtime.block_on(async {
        let lateness = Lateness::watch();
        let mut tasks = Vec::with_capacity(CLIENTS);
        for number in 0..CLIENTS {
            let client = Client::connect(address).await;
            tasks.push(tokio::spawn(watch(client, number, start)));
        }
        let mut all = Tally::default();
        for task in tasks {
            let tally = task.await.unwrap();
            all.polls += tally.polls;
            all.ended += tally.ended;
            all.waits.extend(tally.waits);
            for (status, count) in tally.errors {
                *all.errors.entry(status).or_default() += count;
            }
        }
        let (median, last) = (percentile(&mut all.waits, 0.5), percentile(&mut all.waits, 1.0));
        println!("{} polls of {} jobs, {} seen to their end", all.polls, CLIENTS * JOBS_EACH, all.ended);
        println!("errors by status: {:?}; waits: {median:.3} s (median), {last:.3} s (longest)", all.errors);
        let allowed = (DEADLINE + SLACK).as_secs_f64() + 10.0 * lateness.worst();
        assert!(last <= allowed, "an answer took {last} s, allowed were {allowed} s");
        assert!(all.ended > 0);
    });
}

/// Polls ten jobs in turn and holds every answer against the truth and against the one before.
async fn watch(mut client: Client, number: usize, start: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut before: HashMap<usize, (String, u64)> = HashMap::new();
    let mut turn = 0;
    while start.elapsed() < LASTS {
        let job = number * JOBS_EACH + turn % JOBS_EACH;
        turn += 1;
        let answer = client.get(&format!("/v1/videos/video_{job}:p")).await;
        tally.polls += 1;
        tally.waits.push(answer.took.as_secs_f64());
        if answer.status == 200 {
            let video = answer.json();
            check(job, &video, before.get(&job), start.elapsed());
            let status = video["status"].as_str().unwrap().to_owned();
            before.insert(job, (status, video["progress"].as_u64().unwrap()));
        } else {
            assert!(matches!(answer.status, 429 | 502 | 503 | 504), "{}", answer.status);
            *tally.errors.entry(answer.status).or_default() += 1;
        }
        sleep(PAUSE).await;
    }
    tally.ended = before.values().filter(|(status, _)| is_end(status)).count();
    tally
}

fn check(job: usize, video: &Value, before: Option<&(String, u64)>, age: Duration) {
    let (status, progress) = (video["status"].as_str().unwrap(), video["progress"].as_u64().unwrap());
    let (true_status, _) = truth(job, age);
    if is_end(status) {
        assert_eq!(status, true_status, "job {job}: an end that the provider never said");
    }
    if let Some((earlier, progress_before)) = before {
        assert!(!is_end(earlier) || status == earlier, "job {job}: {earlier} became {status}");
        assert!(progress >= *progress_before, "job {job}: progress fell from {progress_before} to {progress}");
    }
}

fn is_end(status: &str) -> bool {
    matches!(status, "completed" | "failed")
}
