//! A reply whose head has come; its body is read as it comes.

use super::body::{self, Gathered};
use super::clock::unix_now;
use super::fault::Fault;
use super::peer::PooledPeer;
use crate::providers::Reply;
use crate::video::{ApiError, ErrorKind};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use pingora::ErrorType;
use pingora::connectors::http::Connector;
use pingora::protocols::http::client::HttpSession;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What Pingora reads at once, from how much on more may be there, and the longest piece.
const READ: usize = 64 * 1024;
const FULL: usize = READ / 2;
const PIECE: usize = 3 * READ;

/// How much of a body that nobody wants is read, and how long, so that its connection can be used again.
const SCRAPS: usize = 64 * 1024;
const SCRAPS_WAIT: Duration = Duration::from_millis(200);

/// A connection on which a reply is coming. Dropping it closes the connection.
pub struct Download {
    connector: Arc<Connector>,
    peer: Arc<PooledPeer>,
    session: HttpSession,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Why no more will come, once what came before it has been handed out.
    failure: Option<Box<pingora::Error>>,
}

impl Download {
    pub(super) fn new(
        connector: Arc<Connector>,
        peer: Arc<PooledPeer>,
        session: HttpSession,
        status: StatusCode,
        headers: HeaderMap,
    ) -> Download {
        Download { connector, peer, session, status, headers, failure: None }
    }

    /// The next piece of the body; `None` after its last. Fails when the connection ends before the body does.
    ///
    /// Pingora reads 64 KiB at most. Where more is there already it comes along, so that a fast source does not cost a call
    /// of the system for each of them.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Box<pingora::Error>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let HttpSession::H1(h1) = &mut self.session else { return self.session.read_response_body().await };
        let Some(first) = h1.read_body_ref().await? else { return Ok(None) };
        if first.len() < FULL {
            return Ok(Some(Bytes::copy_from_slice(first)));
        }
        let mut piece = BytesMut::with_capacity(PIECE);
        piece.extend_from_slice(first);
        while piece.len() + READ <= PIECE {
            let mut reading = pin!(h1.read_body_ref());
            match poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
                Poll::Ready(Ok(Some(more))) => piece.extend_from_slice(more),
                Poll::Ready(Err(error)) => {
                    self.failure = Some(error);
                    break;
                }
                Poll::Ready(Ok(None)) | Poll::Pending => break,
            }
        }
        Ok(Some(piece.freeze()))
    }

    /// The same with a limit on the silence before it.
    pub async fn next_within(&mut self, idle_timeout: Duration) -> Result<Option<Bytes>, ApiError> {
        // Pingora's timers cost nothing while bytes are there.
        self.session.set_read_timeout(Some(idle_timeout));
        self.next().await.map_err(|error| match error.etype() {
            ErrorType::ReadTimedout => {
                let detail = format!("{{p}} sent nothing for {} s.", idle_timeout.as_secs_f64());
                ApiError::because(ErrorKind::UpstreamTimeout, detail)
            }
            _ => Fault::invalid("broke off before its end").error,
        })
    }

    /// Whether the whole body was read.
    pub fn is_done(&mut self) -> bool {
        self.session.response_done()
    }

    /// Reads the rest as a reply of at most `max_body` bytes, compressed and unfolded.
    pub(super) async fn whole(mut self, max_body: usize, deadline: Instant) -> Result<Reply, Fault> {
        match timeout_at(deadline, read(&mut self, max_body)).await {
            Ok(Ok(body)) => {
                let (status, mut headers) = (self.status, std::mem::take(&mut self.headers));
                self.give_back().await;
                let body = body::unfold(body, &mut headers, max_body)?;
                let received_at = unix_now();
                Ok(Reply { status, headers, body, received_at })
            }
            failed => {
                retire(&self.connector, self.session, &self.peer).await;
                Err(failed.map_or_else(|_| Fault::timeout(), |result| result.err().unwrap_or_else(Fault::timeout)))
            }
        }
    }

    /// The connection can be used again: the body was read to its end.
    pub async fn give_back(mut self) {
        self.session.set_read_timeout(None);
        self.peer.release(self.session, &self.connector).await;
    }

    /// Nobody wants the rest. A short one is read, which is cheaper than another connection.
    pub async fn discard(mut self) {
        let reading = async {
            let mut read = 0;
            while read <= SCRAPS {
                match self.next().await {
                    Ok(Some(piece)) => read += piece.len(),
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        if timeout_at(Instant::now() + SCRAPS_WAIT, reading).await == Ok(true) {
            self.give_back().await;
        } else {
            retire(&self.connector, self.session, &self.peer).await;
        }
    }
}

/// A connection on which an exchange failed carries no other one: it may be dead and not know it. HTTP/1 ends with
/// its session; an HTTP/2 connection takes no new streams and ends after those that it has.
pub(super) async fn retire(connector: &Connector, session: HttpSession, peer: &PooledPeer) {
    if let HttpSession::H2(h2) = &session {
        h2.conn.mark_shutdown();
        connector.release_http_session(session, peer, None).await;
    }
}

/// Reads to the end. More than `limit` bytes are a fault as soon as they are seen or announced.
async fn read(download: &mut Download, limit: usize) -> Result<Bytes, Fault> {
    let announced = download.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let Some(first) = download.next().await.map_err(cut_off)? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(too_large(limit));
    }
    // Most come in one piece, which is not copied.
    let Some(second) = download.next().await.map_err(cut_off)? else { return Ok(first) };
    let mut body = Gathered::with_room_for(announced);
    body.push(&first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if body.len() + piece.len() > limit {
            return Err(too_large(limit));
        }
        body.push(&piece);
        next = download.next().await.map_err(cut_off)?;
    }
    Ok(body.join())
}

fn too_large(limit: usize) -> Fault {
    Fault::invalid(&format!("is larger than {limit} bytes (max_body)"))
}

fn cut_off(_: Box<pingora::Error>) -> Fault {
    Fault::invalid("broke off before its end")
}
