//! A thousand clients and one job.

use crate::client::Client;
use crate::provider::{Says, serve};
use crate::support::Proxy;
use crate::{Lateness, alone, percentile, runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 1_000;
const LASTS: Duration = Duration::from_secs(10);
const DONE_AFTER: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(250);

#[test]
fn a_thousand_clients_cost_one_call_a_second_and_all_learn_of_the_end() {
    let _alone = alone();
    let runtime = runtime();
    let (calls, is_done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, done) = (Arc::clone(&calls), Arc::clone(&is_done));
    let provider = runtime.block_on(serve(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let status = if done.load(Ordering::Acquire) { "completed" } else { "in_progress" };
        async move { Some(Says { status: 200, headers: "", body: format!(r#"{{"status":"{status}"}}"#) }) }
    }));
    let proxy = Proxy::start(&format!(
        "log: {{access: false}}\nproviders: {{p: {{kind: openai, base_url: 'http://{provider}/v1', poll: {{fresh_for: 1s}}}}}}\n"
    ));
    let address = proxy.address();
    runtime.block_on(async {
        let mut clients = Vec::with_capacity(CLIENTS);
        for _ in 0..CLIENTS {
            clients.push(Client::connect(address).await);
        }
        let lateness = Lateness::watch();
        let start = Instant::now();
        let tasks: Vec<_> = clients.into_iter().map(|client| tokio::spawn(watch(client, start))).collect();
        tokio::time::sleep(DONE_AFTER).await;
        is_done.store(true, Ordering::Release);
        let done_at = start.elapsed();
        let (mut polls, mut late) = (0, Vec::with_capacity(CLIENTS));
        for task in tasks {
            let (count, seen_at) = task.await.unwrap();
            polls += count;
            late.push(seen_at.expect("a client never learnt of the end").saturating_sub(done_at).as_secs_f64());
        }
        let calls = calls.load(Ordering::Relaxed);
        let (median, last) = (percentile(&mut late, 0.5), percentile(&mut late, 1.0));
        println!("{CLIENTS} clients, {polls} polls, {calls} calls; the end was known after {median:.3} s (median), {last:.3} s (last)");
        assert!(calls <= 11, "{calls} calls");
        let allowed = 1.5 + 10.0 * lateness.worst();
        assert!(last <= allowed, "the last client learnt of the end after {last} s, allowed were {allowed} s");
    });
}

/// Polls until the time is up; gives the number of polls and when the end was seen first.
async fn watch(mut client: Client, start: Instant) -> (usize, Option<Duration>) {
    let (mut polls, mut seen_at) = (0, None);
    while start.elapsed() < LASTS {
        let answer = client.get("/v1/videos/video_1:p").await;
        assert_eq!(answer.status, 200);
        polls += 1;
        if seen_at.is_none() && answer.json()["status"] == "completed" {
            seen_at = Some(start.elapsed());
        }
        tokio::time::sleep(PAUSE).await;
    }
    (polls, seen_at)
}
