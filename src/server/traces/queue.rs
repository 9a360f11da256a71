//! Between requests and the exporter: a queue that never makes anybody wait, and a bell for the end.

use super::record::Record;
use prometheus_client::metrics::counter::Counter;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::mpsc;

/// Spans that wait to be sent; each is about 1 KiB, at most 4.
const LONGEST: usize = 4096;

/// Where spans are put. Clones are the same queue.
#[derive(Clone)]
pub struct Queue {
    sender: mpsc::Sender<Record>,
    dropped: Counter,
}

/// Where they are taken out.
pub type Waiting = mpsc::Receiver<Record>;

pub fn new(dropped: Counter) -> (Queue, Waiting) {
    let (sender, waiting) = mpsc::channel(LONGEST);
    (Queue { sender, dropped }, waiting)
}

impl Queue {
    /// Puts a span into it; a full one drops it.
    pub fn put(&self, record: Record) {
        if self.sender.try_send(record).is_err() {
            self.count_dropped(1);
        }
    }

    pub fn count_dropped(&self, spans: usize) {
        self.dropped.inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
    }

    pub fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

/// Rings when all that waits is to be sent now.
pub struct Bell(mpsc::Sender<SyncSender<()>>);

/// Hears the bell; whoever rings is told when it is done.
pub type Rung = mpsc::Receiver<SyncSender<()>>;

pub fn bell() -> (Bell, Rung) {
    let (sender, rung) = mpsc::channel(1);
    (Bell(sender), rung)
}

impl Bell {
    /// Whether it was heard and answered in this time. Blocks.
    pub fn ring(&self, within: Duration) -> bool {
        let (done, all_sent) = sync_channel(1);
        self.0.try_send(done).is_ok() && all_sent.recv_timeout(within).is_ok()
    }
}
