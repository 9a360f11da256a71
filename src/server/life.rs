//! From start to stop: readiness, draining, and the signals that end the program.

use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

/// How often it is looked whether requests are still in flight.
const LOOK: Duration = Duration::from_millis(20);

/// How far the program is, and how many requests it is busy with.
#[derive(Debug, Default)]
pub(super) struct Life {
    warm: AtomicBool,
    draining: AtomicBool,
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

    pub fn enter(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Arc::clone(&self.in_flight))
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }
}

/// SIGTERM drains and waits, SIGINT stops at once.
pub(super) struct Signals {
    drain: Duration,
    shutdown_timeout: Duration,
    life: Arc<Life>,
}

impl Signals {
    pub fn new(drain: Duration, shutdown_timeout: Duration, life: Arc<Life>) -> Signals {
        Signals { drain, shutdown_timeout, life }
    }

    /// Keeps serving while load balancers notice, then waits for what is in flight.
    async fn drain(&self) {
        self.life.draining.store(true, Ordering::Release);
        tracing::info!(seconds = self.drain.as_secs_f64(), "draining: /readyz says no, requests are still served");
        sleep(self.drain).await;
        let end = Instant::now() + self.shutdown_timeout;
        while self.life.in_flight() > 0 && Instant::now() < end {
            sleep(LOOK).await;
        }
        let left = self.life.in_flight();
        if left > 0 {
            tracing::warn!(requests = left, "shutdown_timeout has passed with requests in flight");
        }
    }
}

#[async_trait::async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals cannot be watched; stop the program with SIGKILL");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
            _ = terminate.recv() => {}
        }
        tokio::select! {
            () = self.drain() => ShutdownSignal::GracefulTerminate,
            _ = interrupt.recv() => ShutdownSignal::FastShutdown,
            _ = terminate.recv() => ShutdownSignal::FastShutdown,
        }
    }
}
