//! The connection pool, and a call with its retries inside one deadline.

use super::attempt::attempt;
use super::download::Download;
use super::fault::Again;
use super::idle::Pool;
use super::outgoing::{Limits, Outgoing};
use super::{Endpoint, retry};
use crate::providers::Reply;
use crate::video::{ApiError, ErrorKind};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use std::sync::Arc;
use tokio::time::{Instant, sleep, timeout_at};

/// Idle connections of HTTP/2 that are kept for all providers together.
const POOL: usize = 1024;

/// The one pool of the process. Cheap to share, never to be made per request.
pub struct Client {
    connector: Arc<Connector>,
    pool: Pool,
}

impl Default for Client {
    fn default() -> Self {
        Client { connector: Arc::new(Connector::new(Some(ConnectorOptions::new(POOL)))), pool: Pool::default() }
    }
}

impl Client {
    /// Sends a call until it is answered, the tries are used up, or the deadline passes.
    ///
    /// Every call that comes here reads a state, so sending it twice is safe whatever its method.
    pub async fn exchange(
        &self,
        endpoint: &Arc<Endpoint>,
        outgoing: &Outgoing<'_>,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        self.exchange_counted(endpoint, outgoing, limits, deadline, &mut 0).await
    }

    /// The same; `resent` says how often the call was sent again, also when there is no reply.
    pub async fn exchange_counted(
        &self,
        endpoint: &Arc<Endpoint>,
        outgoing: &Outgoing<'_>,
        limits: &Limits,
        deadline: Instant,
        resent: &mut u32,
    ) -> Result<Reply, ApiError> {
        let download = self.open(endpoint, outgoing, limits.retries, deadline, resent).await?;
        self.whole(download, limits, deadline).await
    }

    /// The same up to the head of the reply; its body is left to the caller.
    pub async fn open(
        &self,
        endpoint: &Arc<Endpoint>,
        outgoing: &Outgoing<'_>,
        retries: u32,
        deadline: Instant,
        resent: &mut u32,
    ) -> Result<Download, ApiError> {
        let mut tried = 0;
        loop {
            let peers = timeout_at(deadline, endpoint.peers())
                .await
                .map_err(|_| ApiError::new(ErrorKind::UpstreamTimeout))??;
            let result = attempt(&self.connector, &self.pool, &peers, outgoing, deadline).await;
            let is_counted = !matches!(&result, Err(fault) if fault.again == Again::AtOnce);
            let pause = retry::pause(&result, tried).filter(|_| !is_counted || tried < retries);
            // A pause beyond the deadline would turn a known answer into a timeout.
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < deadline) else {
                return result.map_err(|fault| fault.error);
            };
            if let Ok(download) = result {
                download.discard().await;
            }
            sleep(pause).await;
            tried += u32::from(is_counted);
            *resent += 1;
        }
    }

    /// Reads the rest of a reply that was opened.
    pub async fn whole(&self, download: Download, limits: &Limits, deadline: Instant) -> Result<Reply, ApiError> {
        download.whole(limits.max_body, deadline).await.map_err(|fault| fault.error)
    }
}
