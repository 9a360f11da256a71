//! From start to stop: readiness, draining, and the signals that end the program.

use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// How often it is looked whether requests are still in flight.
const LOOK: Duration = Duration::from_millis(20);

/// How long a connection that was accepted at the very end may take to make its request.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(300);

/// How far the program is, and how many requests it is busy with.
#[derive(Debug, Default)]
pub(super) struct Life {
    warm: AtomicBool,
    draining: AtomicBool,
    leaving: AtomicBool,
    in_flight: Arc<AtomicUsize>,
}

/// One request in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Life {
    /// The names have been resolved, or have had their time.
    pub fn is_warm(&self) {
        self.warm.store(true, Ordering::Release);
    }

    /// Whether new traffic should come here.
    pub fn is_ready(&self) -> bool {
        self.warm.load(Ordering::Acquire) && !self.is_draining()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether connections are closed after their next answer, since this process ends soon.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Waits until every request in flight has been answered, or has had its time.
    pub fn wait_for_the_last(&self, shutdown_timeout: Duration) {
        std::thread::sleep(LAST_WORDS + LOOK);
        let end = Instant::now() + shutdown_timeout;
        while self.in_flight() > 0 && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        match self.in_flight() {
            // What was answered on HTTP/2 streams is still being sent.
            0 => std::thread::sleep(LAST_WORDS),
            left => tracing::warn!(requests = left, "shutdown_timeout has passed with requests in flight"),
        }
    }

    pub fn enter(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(&self.in_flight))
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }
}

/// SIGTERM drains, SIGQUIT hands the sockets over, SIGINT stops at once.
pub(super) struct Signals {
    drain: Duration,
    /// Where a program that takes over waits for the sockets.
    upgrade_sock: PathBuf,
    life: Arc<Life>,
}

impl Signals {
    pub fn new(drain: Duration, upgrade_sock: PathBuf, life: Arc<Life>) -> Signals {
        Signals { drain, upgrade_sock, life }
    }

    /// Keeps serving while load balancers notice.
    async fn drain(&self) {
        self.life.draining.store(true, Ordering::Release);
        self.life.leaving.store(true, Ordering::Release);
        tracing::info!(seconds = self.drain.as_secs_f64(), "draining: /readyz says no, requests are still served");
        sleep(self.drain).await;
    }

    /// Whether somebody is there to hand the sockets to. Pingora would stop even when nobody is.
    fn may_hand_over(&self) -> bool {
        let path = self.upgrade_sock.display();
        // Whoever gets the sockets gets the traffic, so it must be somebody who could be this program.
        let own = std::fs::metadata("/proc/self").map(|data| data.uid()).ok();
        let is_ours = |data: std::fs::Metadata| data.file_type().is_socket() && Some(data.uid()) == own;
        let waits = std::fs::symlink_metadata(&self.upgrade_sock).is_ok_and(is_ours);
        if waits {
            tracing::info!(%path, "handing the listening sockets over; requests in flight are finished");
            // The other serves as well from now on, so that this one stays ready.
            self.life.leaving.store(true, Ordering::Release);
        } else {
            tracing::error!(%path, "SIGQUIT: no program of this user, started with --upgrade, waits there; going on");
        }
        waits
    }
}

#[async_trait::async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut quit)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::quit()))
        else {
            tracing::error!("signals cannot be watched; stop the program with SIGKILL");
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
                _ = quit.recv() => if self.may_hand_over() {
                    return ShutdownSignal::GracefulUpgrade;
                },
                _ = terminate.recv() => break,
            }
        }
        tokio::select! {
            () = self.drain() => ShutdownSignal::GracefulTerminate,
            _ = interrupt.recv() => ShutdownSignal::FastShutdown,
            _ = terminate.recv() => ShutdownSignal::FastShutdown,
        }
    }
}
