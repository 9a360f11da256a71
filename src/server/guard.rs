//! A client's connection under watch: how long it may be idle, how long and how large the head of a request may be.
//!
//! Pingora 0.9.1 bounds each read of a head, not the whole: a byte a minute keeps a connection for ever. It also answers
//! what it cannot read with an empty 400. So the connection itself watches. Where a head takes too long or grows too
//! large, it hands Pingora a byte that stands in no head, and it puts our words in the place of Pingora's refusal.

use crate::config::Limits;
use crate::video::{ApiError, Envelope, ErrorKind};
use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, timeout};

/// The connection preface of HTTP/2. What comes after it Pingora bounds itself.
const H2_PREFACE: usize = 24;

/// Neither in a request line nor in a header may there be such a byte.
const NO_HEAD: &[u8] = b"\0";

/// How a refusal of Pingora's own begins.
const REFUSAL: &[u8] = b"HTTP/1.1 400";

/// How much is read, and how long, after a refusal: a close with bytes unread would take it away from the client.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 4 << 20;

tokio::task_local! {
    /// How far the connection of this task is.
    static PHASE: Arc<AtomicU8>;
}

/// A request is awaited, nothing of it was read yet.
const AWAITED: u8 = 0;
/// Its head is being read.
const HEAD: u8 = 1;
/// Its head has been read: from here on other times count.
const BUSY: u8 = 2;

/// The head of the current request has been read.
pub(super) fn head_is_read() {
    // A stream of HTTP/2 has a task of its own, and no such mark.
    let _ = PHASE.try_with(|phase| phase.store(BUSY, Ordering::Relaxed));
}

/// The connection waits for its next request.
pub(super) fn request_is_awaited() {
    let _ = PHASE.try_with(|phase| phase.store(AWAITED, Ordering::Relaxed));
}

/// Serves a connection of HTTP/1 under watch.
pub(super) async fn watched<F: Future>(
    stream: Stream,
    limits: &Arc<Limits>,
    serve: impl FnOnce(Stream) -> F,
) -> F::Output {
    let phase = Arc::new(AtomicU8::new(AWAITED));
    let guard = Guard::new(stream, limits, &phase);
    PHASE.scope(phase, serve(Box::new(guard))).await
}

/// A connection of HTTP/2, watched until its preface has come.
pub(super) fn watched_preface(stream: Stream, limits: &Arc<Limits>) -> Stream {
    let guard = Guard::new(stream, limits, &Arc::default());
    Box::new(Guard { is_h2: true, patience: limits.header_timeout, most: H2_PREFACE, ..guard })
}

struct Guard {
    stream: Stream,
    limits: Arc<Limits>,
    phase: Arc<AtomicU8>,
    is_h2: bool,
    /// How long nothing may come.
    patience: Duration,
    /// When it ends; not known before a read has to wait.
    deadline: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    /// Bytes of the head so far.
    read: usize,
    /// How many may be read while the head is not complete.
    most: usize,
    /// Why no more is read.
    refused: Option<ErrorKind>,
    /// Our words, and how many of them are written.
    reply: Option<(Vec<u8>, usize)>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stream.fmt(f)
    }
}

impl Guard {
    fn new(stream: Stream, limits: &Arc<Limits>, phase: &Arc<AtomicU8>) -> Guard {
        Guard {
            stream,
            limits: Arc::clone(limits),
            phase: Arc::clone(phase),
            is_h2: false,
            patience: limits.idle_timeout,
            deadline: None,
            alarm: Box::pin(tokio::time::sleep(limits.idle_timeout)),
            read: 0,
            most: limits.header_size,
            refused: None,
            reply: None,
        }
    }

    fn is_busy(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == BUSY
    }

    /// Ends the head: Pingora refuses it, or finds the connection closed where nothing of it has come.
    fn refuse(&mut self, why: ErrorKind, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.read > 0 && !self.is_h2 && self.refused.is_none() {
            buf.put_slice(NO_HEAD.get(..buf.remaining().min(NO_HEAD.len())).unwrap_or_default());
        }
        self.refused = Some(why);
        Poll::Ready(Ok(()))
    }

    /// A read of a head: from its first byte on the time of the whole runs.
    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.refused.is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.phase.swap(HEAD, Ordering::Relaxed) == AWAITED {
            (self.read, self.deadline) = (0, None);
        }
        if self.read >= self.most {
            return self.refuse(ErrorKind::HeaderTooLarge, buf);
        }
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut *self.stream).poll_read(cx, buf) {
            let read = buf.filled().len() - before;
            if self.read == 0 && read > 0 && !self.is_h2 {
                self.deadline = Some(Instant::now() + self.limits.header_timeout);
            }
            self.read += read;
            if self.is_h2 && self.read >= H2_PREFACE {
                self.phase.store(BUSY, Ordering::Relaxed);
            }
            return Poll::Ready(result);
        }
        let patience = self.patience;
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + patience);
        // An alarm that goes off early costs less than one that is set anew for every request.
        if self.alarm.deadline() > deadline {
            self.alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return self.refuse(ErrorKind::RequestTimeout, buf);
            }
            self.alarm.as_mut().reset(deadline);
        }
    }

    /// Whether what is written now is a refusal of Pingora's, which is ours to word.
    fn is_refusal(&self, bytes: &[u8]) -> bool {
        self.reply.is_some() || (!self.is_h2 && !self.is_busy() && bytes.starts_with(REFUSAL))
    }

    /// Writes our refusal in the place of these bytes.
    fn poll_reply(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let why = self.refused.unwrap_or(ErrorKind::BadRequest);
        let (reply, at) = self.reply.get_or_insert_with(|| (refusal(why), 0));
        while let Some(rest) = reply.get(*at..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            *at += written;
        }
        Poll::Ready(Ok(bytes.len()))
    }
}

/// An answer in our envelope, as it goes over the wire.
fn refusal(why: ErrorKind) -> Vec<u8> {
    let error = ApiError::new(why);
    let id = uuid::Uuid::now_v7().hyphenated().to_string();
    tracing::debug!(request_id = id, error = error.code(), "a request was refused before it was read");
    let body = serde_json::to_vec(&Envelope::new(&error, &id, None)).unwrap_or_default();
    let status = error.status();
    let mut reply = format!(
        "HTTP/1.1 {status}\r\ncache-control: private, no-store\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/json\r\nx-request-id: {id}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    reply.extend_from_slice(&body);
    reply
}

impl AsyncRead for Guard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if !self.is_busy() {
            return self.poll_head(cx, buf);
        }
        Pin::new(&mut *self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        if self.is_refusal(bytes) {
            return self.poll_reply(cx, bytes);
        }
        Pin::new(&mut *self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let first = pieces.iter().find(|piece| !piece.is_empty());
        match first {
            Some(first) if self.is_refusal(first) => self.poll_reply(cx, first),
            _ => Pin::new(&mut *self.stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Guard {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
        if self.reply.is_some() {
            let mut rest = (&mut *self.stream).take(LINGER_BYTES);
            let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
        }
    }
}

#[async_trait]
impl Peek for Guard {
    async fn try_peek(&mut self, buf: &mut [u8]) -> std::io::Result<bool> {
        self.stream.try_peek(buf).await
    }
}

impl UniqueID for Guard {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Guard {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Guard {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Guard {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Guard {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}
