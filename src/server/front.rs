//! Where a connection of a client enters: how many there may be, which HTTP it speaks, what it may take its time for.
//!
//! Pingora 0.9.1 finds out about HTTP/2 without TLS by waiting for the 24 bytes of its preface, without a deadline. A
//! whole request of HTTP/1.0 is shorter (`OPTIONS / HTTP/1.0`, the health check of HAProxy) and would wait for ever. The
//! first three bytes say enough: no method begins with `PRI`, which is kept for HTTP/2.

use super::life::LAST_WORDS;
use super::{guard, http1};
use crate::config::Limits;
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ServerApp};
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::{HttpProxy, ProxyHttp};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const PRI: &[u8; 3] = b"PRI";

/// Streams of a connection of HTTP/2 at once.
const STREAMS: u32 = 100;

/// Streams of a connection that its client may take back before they were looked at. With more waiting, the connection
/// is closed: it asks only to keep us busy ("rapid reset", CVE-2023-44487).
const RESET_STREAMS: usize = 20;

/// Streams of a connection that may fail by its client's fault ("made you reset", CVE-2025-8671).
const FAILED_STREAMS: usize = 256;

/// A proxy per protocol; their connections to services are kept apart. Polls over HTTP/1 pass the door without them.
pub(super) struct Front<P> {
    /// HTTP/1, and whatever a TLS handshake agreed on.
    usual: Arc<HttpProxy<P>>,
    /// HTTP/2 with prior knowledge.
    h2c: Arc<HttpProxy<P>>,
    door: P,
    /// Whether connections without a request are to end.
    closing: watch::Sender<bool>,
    limits: Arc<Limits>,
    connections: AtomicUsize,
}

/// One connection of those there may be, until it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<P: ProxyHttp + Clone> Front<P> {
    pub fn new(conf: &Arc<ServerConf>, door: &P, limits: &Limits) -> Front<P> {
        let limits = Arc::new(limits.clone());
        let proxy = |h2c: bool| {
            let mut options = HttpServerOptions::default();
            options.h2c = h2c;
            options.h2_idle_timeout = Some(limits.idle_timeout);
            let mut proxy = HttpProxy::new(door.clone(), Arc::clone(conf));
            proxy.server_options = Some(options);
            proxy.h2_options = Some(h2_options(&limits));
            proxy.handle_init_modules();
            Arc::new(proxy)
        };
        Front {
            usual: proxy(false),
            h2c: proxy(true),
            door: door.clone(),
            closing: watch::Sender::new(false),
            limits: Arc::clone(&limits),
            connections: AtomicUsize::new(0),
        }
    }
}

impl<P> Front<P> {
    /// A place for one more connection; `None` when all are taken.
    fn enter(&self) -> Option<Place<'_>> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.connections);
        (before < self.limits.connections).then_some(place)
    }

    /// Whether a connection without TLS begins as HTTP/2; `None` when it begins with nothing at all.
    async fn begins_as_h2(&self, stream: &mut Stream) -> Option<bool> {
        // What is read here is put back, and read again by the proxy.
        let mut first = [0; PRI.len()];
        let (one, _) = first.split_at_mut(1);
        timeout(self.limits.idle_timeout, stream.try_peek(one)).await.ok()?.ok()?;
        if !PRI.starts_with(one) {
            return Some(false);
        }
        timeout(self.limits.header_timeout, stream.try_peek(&mut first)).await.ok()?.ok()?;
        Some(first == *PRI)
    }
}

fn h2_options(limits: &Limits) -> H2Options {
    let mut options = default_h2_options();
    options.max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX));
    options.max_concurrent_streams(STREAMS);
    options.max_pending_accept_reset_streams(RESET_STREAMS);
    options.max_local_error_reset_streams(Some(FAILED_STREAMS));
    options
}

#[async_trait]
impl<P> ServerApp for Front<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let Some(_place) = self.enter() else {
            tracing::debug!("a connection is closed: there are as many as limits.connections allows");
            return None;
        };
        let (proxy, is_h2) = match stream.get_ssl_digest() {
            Some(_) => (&self.usual, matches!(stream.selected_alpn_proto(), Some(ALPN::H2))),
            None => match self.begins_as_h2(&mut stream).await? {
                true => (&self.h2c, true),
                false => (&self.usual, false),
            },
        };
        if is_h2 {
            return proxy.process_new(guard::watched_preface(stream, &self.limits), shutdown).await;
        }
        let serve = |stream| http1::serve(&self.usual, &self.door, stream, shutdown, self.closing.subscribe());
        guard::watched(stream, &self.limits, serve).await
    }

    async fn cleanup(&self) {
        // From here on Pingora closes whatever waits for a request, a connection that was accepted just now as well.
        sleep(LAST_WORDS).await;
        self.closing.send_replace(true);
        self.usual.http_cleanup().await;
        self.h2c.http_cleanup().await;
    }
}
