//! The connection pool, and a call with its retries inside one deadline.

use super::attempt::attempt;
use super::fault::Again;
use super::outgoing::{Limits, Outgoing};
use super::{Endpoint, retry};
use crate::providers::Reply;
use crate::video::{ApiError, ErrorKind};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use std::sync::Arc;
use tokio::time::{Instant, sleep, timeout_at};

/// Idle connections that are kept for all providers together.
const POOL: usize = 1024;

/// The one pool of the process. Cheap to share, never to be made per request.
pub struct Client {
    connector: Connector,
}

impl Default for Client {
    fn default() -> Self {
        Client { connector: Connector::new(Some(ConnectorOptions::new(POOL))) }
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
        let mut tried = 0;
        loop {
            let peers = timeout_at(deadline, endpoint.peers())
                .await
                .map_err(|_| ApiError::new(ErrorKind::UpstreamTimeout))??;
            let result = attempt(&self.connector, &peers, outgoing, limits, deadline).await;
            let is_counted = !matches!(&result, Err(fault) if fault.again == Again::AtOnce);
            let pause = retry::pause(&result, tried).filter(|_| !is_counted || tried < limits.retries);
            match pause {
                // A pause beyond the deadline would turn a known answer into a timeout.
                Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
                _ => return result.map_err(|fault| fault.error),
            }
            tried += u32::from(is_counted);
            *resent += 1;
        }
    }
}
