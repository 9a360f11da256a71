//! A provider that hangs for ever, beside one that does not.

use crate::client::Client;
use crate::provider::{Says, serve};
use crate::support::Proxy;
use crate::{alone, percentile, runtime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

const ASKED: usize = 4_000;
const AT_ONCE: usize = 20;
const STUCK: usize = 400;

#[test]
fn a_provider_that_hangs_takes_nothing_from_the_others() {
    let _alone = alone();
    let runtime = runtime();
    let good = runtime.block_on(serve(|_| async {
        Some(Says { status: 200, headers: "", body: r#"{"status":"in_progress"}"#.into() })
    }));
    let stuck = runtime.block_on(serve(|_| async { None }));
    let proxy = Proxy::start(&format!(
        "log: {{access: false}}\nproviders:\n  good: {{kind: openai, base_url: 'http://{good}/v1', poll: {{fresh_for: 0s}}}}\n  \
         stuck: {{kind: openai, base_url: 'http://{stuck}/v1', timeout: 20s, breaker: null}}\n"
    ));
    let address = proxy.address();
    runtime.block_on(async {
        latencies(address).await;
        let alone = percentile(&mut latencies(address).await, 0.99);
        let memory_before = resident(proxy.pid());
        let (stop, shed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let others: Vec<_> = (0..STUCK).map(|job| ask_for_ever(address, job, &stop, &shed)).collect();
        // 256 calls may be under way; all others must have been turned away.
        while shed.load(Ordering::Relaxed) < STUCK - 256 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let beside = percentile(&mut latencies(address).await, 0.99);
        let grown = resident(proxy.pid()).saturating_sub(memory_before);
        stop.store(true, Ordering::Relaxed);
        others.into_iter().for_each(|other| other.abort());
        println!(
            "p99 alone {:.2} ms, beside {STUCK} stuck clients {:.2} ms: ratio {:.2}",
            alone * 1e3,
            beside * 1e3,
            beside / alone
        );
        println!("resident memory grew by {} KiB", grown / 1024);
        assert!(grown < 64 * 1024 * 1024, "resident memory grew by {grown} bytes");
    });
}

/// Seconds that polls of the good provider take.
async fn latencies(address: SocketAddr) -> Vec<f64> {
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut took = Vec::with_capacity(ASKED / AT_ONCE);
                for turn in 0..ASKED / AT_ONCE {
                    let answer = client.get(&format!("/v1/videos/video_{number}_{turn}:good")).await;
                    assert_eq!(answer.status, 200);
                    took.push(answer.took.as_secs_f64());
                }
                took
            })
        })
        .collect();
    let mut all = Vec::with_capacity(ASKED);
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

/// Polls a job of the stuck provider; whoever is turned away comes back after a moment, as Retry-After asks.
fn ask_for_ever(address: SocketAddr, job: usize, stop: &Arc<AtomicBool>, shed: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (stop, shed) = (Arc::clone(stop), Arc::clone(shed));
    tokio::spawn(async move {
        let mut client = Client::connect(address).await;
        while !stop.load(Ordering::Relaxed) {
            let answer = client.get(&format!("/v1/videos/video_{job}:stuck")).await;
            assert!(matches!(answer.status, 503 | 504), "{}", answer.status);
            shed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
}

/// Resident memory of a process in bytes; 0 where the system does not tell.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024
}
