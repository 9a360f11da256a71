//! Idle connections of HTTP/1, for each peer.
//!
//! Pingora's own pool watches each idle connection with a task of its own, which is begun and ended for every call. Here a
//! connection is looked at when it is taken, and one task for each peer closes those that nobody takes.

use pingora::protocols::Stream;
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep};

/// They are closed before the shortest usual timeout of a load balancer (60 s).
pub(super) const LONGEST: Duration = Duration::from_secs(50);

/// How often it is looked for those that are older.
const LOOK: Duration = Duration::from_secs(5);

/// Connections that are kept for one peer.
const MOST: usize = 1024;

/// Those of all peers, by their place in the pool: entries that ask the same server as the same client share connections.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<u64, Weak<Idle>>>);

impl Pool {
    /// The connections of the peers with this number, for as long as there is any such peer.
    pub fn of(&self, number: u64) -> Arc<Idle> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&number).and_then(Weak::upgrade) {
            return known;
        }
        peers.retain(|_, idle| idle.strong_count() > 0);
        let idle = Arc::default();
        peers.insert(number, Arc::downgrade(&idle));
        idle
    }
}

/// Connections with a reply read to its end, the latest in front.
#[derive(Default)]
pub(super) struct Idle {
    streams: Mutex<VecDeque<(Stream, Instant)>>,
    /// Whether a task closes the old ones.
    swept: AtomicBool,
}

impl Idle {
    /// A connection that is open, as far as anybody knows. The latest is the likeliest to be.
    pub fn take(&self) -> Option<Stream> {
        loop {
            let (mut stream, since) = self.streams().pop_front()?;
            if since.elapsed() < LONGEST && is_quiet(&mut stream) {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection, unless its server has closed it or says what nobody asked.
    pub fn put(self: &Arc<Self>, mut stream: Stream) {
        if !is_quiet(&mut stream) {
            return;
        }
        let mut streams = self.streams();
        streams.push_front((stream, Instant::now()));
        // Dropped without the lock: closing is a call of the system.
        let oldest = if streams.len() > MOST { streams.pop_back() } else { None };
        drop(streams);
        drop(oldest);
        if !self.swept.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Takes out those that are too old.
    fn old(&self) -> VecDeque<(Stream, Instant)> {
        let mut streams = self.streams();
        let young = streams.iter().take_while(|(_, since)| since.elapsed() < LONGEST).count();
        streams.split_off(young)
    }

    fn streams(&self) -> MutexGuard<'_, VecDeque<(Stream, Instant)>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes old connections for as long as there are any.
async fn sweep(idle: Weak<Idle>) {
    loop {
        sleep(LOOK).await;
        let Some(idle) = idle.upgrade() else { return };
        drop(idle.old());
        if idle.streams().is_empty() {
            idle.swept.store(false, Ordering::Release);
            // One may have come since, whose task is this one.
            if idle.streams().is_empty() || idle.swept.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}

/// Whether nothing waits to be read, not even the end.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0; 1];
    let mut buffer = ReadBuf::new(&mut byte);
    // The runtime's turns do not count here: a stream that has to wait for its turn is not quiet.
    let reading = unconstrained(poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)));
    pin!(reading).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::protocols::l4::stream::Stream as L4Stream;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::advance;

    /// A connection, and its other end.
    async fn connection() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Box::new(L4Stream::from(near)), listener.accept().await.unwrap().0)
    }

    /// Waits until the connection has heard what happened at its other end.
    async fn until_heard(idle: &Idle) {
        while idle.streams().iter_mut().all(|(stream, _)| is_quiet(stream)) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_latest_connection_is_taken_first() {
        let idle = Arc::new(Idle::default());
        let mut ids = Vec::new();
        let mut others = Vec::new();
        for _ in 0..3 {
            let (near, other) = connection().await;
            ids.push(near.id());
            others.push(other);
            idle.put(near);
        }
        let taken = || idle.take().map(|stream| stream.id());
        assert_eq!([taken(), taken(), taken(), taken()], [Some(ids[2]), Some(ids[1]), Some(ids[0]), None]);
    }

    #[tokio::test]
    async fn what_was_closed_or_speaks_unasked_is_not_taken() {
        let idle = Arc::new(Idle::default());
        for speaks in [true, false] {
            let (near, mut other) = connection().await;
            idle.put(near);
            if speaks {
                other.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
            } else {
                drop(other);
            }
            until_heard(&idle).await;
            assert!(idle.take().is_none(), "speaks: {speaks}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_ones_are_closed_also_when_nobody_asks() {
        let idle = Arc::new(Idle::default());
        for _ in 0..2 {
            let (near, _other) = connection().await;
            idle.put(near);
            let since = Instant::now();
            while !idle.streams().is_empty() {
                advance(LOOK / 2).await;
                tokio::task::yield_now().await;
                assert!(since.elapsed() < LONGEST + 3 * LOOK, "it is still there");
            }
            assert!(since.elapsed() >= LONGEST, "{:?}", since.elapsed());
        }
    }
}
