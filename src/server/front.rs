//! Which HTTP a client without TLS speaks, found out before Pingora takes the connection.
//!
//! Pingora 0.9.1 does that by waiting for the 24 bytes of the HTTP/2 preface, without a deadline. A whole request of
//! HTTP/1.0 is shorter (`OPTIONS / HTTP/1.0`, the health check of HAProxy) and would wait for ever. The first three
//! bytes say enough: no method begins with `PRI`, which is kept for HTTP/2.

use super::life::LAST_WORDS;
use async_trait::async_trait;
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::protocols::Stream;
use pingora::proxy::{HttpProxy, ProxyHttp};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const PRI: &[u8; 3] = b"PRI";

/// How long a new connection may say nothing; as long as Pingora waits for the head of a request.
const FIRST_BYTES: Duration = Duration::from_secs(60);

/// A proxy per protocol. Their connections to services are kept apart.
pub(super) struct Front<P> {
    /// HTTP/1, and whatever a TLS handshake agreed on.
    usual: Arc<HttpProxy<P>>,
    /// HTTP/2 with prior knowledge.
    h2c: Arc<HttpProxy<P>>,
}

impl<P: ProxyHttp + Clone> Front<P> {
    pub fn new(conf: &Arc<ServerConf>, door: &P) -> Front<P> {
        let proxy = |h2c: bool| {
            let mut options = HttpServerOptions::default();
            options.h2c = h2c;
            let mut proxy = HttpProxy::new(door.clone(), Arc::clone(conf));
            proxy.server_options = Some(options);
            proxy.handle_init_modules();
            Arc::new(proxy)
        };
        Front { usual: proxy(false), h2c: proxy(true) }
    }
}

#[async_trait]
impl<P> ServerApp for Front<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if stream.get_ssl_digest().is_some() {
            return self.usual.process_new(stream, shutdown).await;
        }
        let mut first = [0; PRI.len()];
        // What is read here is put back, and read again by the proxy.
        match timeout(FIRST_BYTES, stream.try_peek(&mut first)).await {
            Ok(Ok(true)) if first == *PRI => self.h2c.process_new(stream, shutdown).await,
            Ok(Ok(_)) => self.usual.process_new(stream, shutdown).await,
            // The client has closed, or never said anything.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    async fn cleanup(&self) {
        // From here on Pingora closes whatever waits for a request, a connection that was accepted just now as well.
        sleep(LAST_WORDS).await;
        self.usual.cleanup().await;
        self.h2c.cleanup().await;
    }
}
