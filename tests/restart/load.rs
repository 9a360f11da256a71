//! Clients that ask without a pause, over connections that are kept for as long as the proxy lets them.

use crate::support::{Client, Response};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Load on a proxy until it is told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Each client asks at the address that `place` names at the time. `verdict` says what is wrong with an answer.
    pub fn start<P, T, V>(clients: usize, place: P, target: T, verdict: V) -> Load
    where
        P: Fn() -> SocketAddr + Send + Sync + 'static,
        T: Fn(usize) -> String + Send + Sync + 'static,
        V: Fn(&Response) -> Result<(), String> + Send + Sync + 'static,
    {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let shared = Arc::new((place, target, verdict));
        let worker = |_| {
            let (stop, sent, shared) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&shared));
            std::thread::spawn(move || {
                let (place, target, verdict) = &*shared;
                let (mut failures, mut kept) = (Vec::new(), None);
                while !stop.load(Ordering::SeqCst) {
                    let target = target(sent.fetch_add(1, Ordering::SeqCst));
                    // A client that cannot connect, send or read panics.
                    match catch_unwind(AssertUnwindSafe(|| ask(&mut kept, place(), &target))) {
                        Ok(answer) => failures.extend(verdict(&answer).err()),
                        Err(_) => {
                            kept = None;
                            failures.push(format!("{target}: no answer"));
                        }
                    }
                }
                failures
            })
        };
        let workers = (0..clients).map(worker).collect();
        Load { stop, sent, workers }
    }

    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// Stops, and says how many requests were sent and what was wrong with their answers.
    pub fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let failures = self.workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        (self.sent.load(Ordering::SeqCst), failures)
    }
}

fn ask(kept: &mut Option<(SocketAddr, Client)>, place: SocketAddr, target: &str) -> Response {
    let reusable = kept.take().filter(|(address, _)| *address == place);
    let mut client = reusable.map_or_else(|| Client::connect(place), |(_, client)| client);
    let answer = client.request("GET", target, &[], b"");
    if answer.header("connection") != Some("close") {
        *kept = Some((place, client));
    }
    answer
}
