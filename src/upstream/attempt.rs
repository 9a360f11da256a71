//! One try at a call: one connection, one request, the head of one reply.

use super::download::{Download, retire};
use super::endpoint::Peers;
use super::fault::{Again, Fault, no_answer, not_connected};
use super::idle::Pool;
use super::outgoing::Outgoing;
use super::peer::PooledPeer;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{Error, ErrorType};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Sends a call over one connection and reads the head of the reply, until the deadline.
pub(super) async fn attempt(
    connector: &Arc<Connector>,
    pool: &Pool,
    peers: &Peers,
    outgoing: &Outgoing<'_>,
    deadline: Instant,
) -> Result<Download, Fault> {
    let (peer, mut session, reused) = match idle(peers, pool) {
        Some((peer, session)) => (peer, session, true),
        // Boxed: a handshake needs kilobytes, which every poll would carry along.
        None => {
            Box::pin(timeout_at(deadline, connect(connector, peers))).await.unwrap_or_else(|_| Err(Fault::timeout()))?
        }
    };
    let conversation = timeout_at(deadline, converse(&mut session, outgoing));
    let fault = match conversation.await {
        Ok(Ok(())) => match session.response_header() {
            Some(head) => {
                let (status, headers) = (head.status, head.headers.clone());
                return Ok(Download::new(Arc::clone(connector), Arc::clone(peer), session, status, headers));
            }
            None => Fault::invalid("has no header"),
        },
        Ok(Err(error)) => {
            fall_back_to_h1(connector, peer, &error);
            no_answer(&error, reused)
        }
        Err(_) => Fault::timeout(),
    };
    retire(connector, session, peer).await;
    Err(fault)
}

/// An idle connection to the peer that worked last.
fn idle<'a>(peers: &'a Peers, pool: &Pool) -> Option<(&'a Arc<PooledPeer>, HttpSession)> {
    let peer = peers.in_turn().next()?;
    Some((peer, peer.idle_session(pool)?))
}

/// A stream of an open connection of HTTP/2, or else a new connection. Addresses that refuse are passed over for the next
/// at once.
async fn connect<'a>(
    connector: &Connector,
    peers: &'a Peers,
) -> Result<(&'a Arc<PooledPeer>, HttpSession, bool), Fault> {
    let mut fault = Fault::unreachable("it has no address", Again::Never);
    for peer in peers.in_turn() {
        match connector.get_http_session(&**peer).await {
            Ok((session, reused)) => return Ok((peer, session, reused)),
            Err(error) => {
                peers.give_up(peer);
                fall_back_to_h1(connector, peer, &error);
                fault = not_connected(&error);
                if !matches!(error.etype(), ErrorType::ConnectRefused | ErrorType::ConnectNoRoute) {
                    break;
                }
            }
        }
    }
    Err(fault)
}

async fn converse(session: &mut HttpSession, outgoing: &Outgoing<'_>) -> Result<(), Box<Error>> {
    send(session, outgoing.header()?, outgoing).await?;
    read_header(session).await
}

async fn send(
    session: &mut HttpSession,
    header: Box<RequestHeader>,
    outgoing: &Outgoing<'_>,
) -> Result<(), Box<Error>> {
    match (session, &outgoing.body) {
        // The generic call leaves an HTTP/2 stream open, which a GET must not.
        (HttpSession::H2(h2), None) => h2.write_request_header(header, true),
        (session, None) => {
            session.write_request_header(header).await?;
            session.finish_request_body().await
        }
        (session, Some(body)) => {
            session.write_request_header(header).await?;
            session.write_request_body(body.clone(), true).await?;
            session.finish_request_body().await
        }
    }
}

/// Reads up to the final header; informational ones are passed over.
async fn read_header(session: &mut HttpSession) -> Result<(), Box<Error>> {
    loop {
        session.read_response_header().await?;
        let is_informational = session.response_header().is_some_and(|header| header.status.is_informational());
        if !is_informational || !matches!(session, HttpSession::H1(_)) {
            return Ok(());
        }
    }
}

/// A server that spoke HTTP/2 badly, or asked for HTTP/1.1, gets HTTP/1.1 from now on.
fn fall_back_to_h1(connector: &Connector, peer: &PooledPeer, error: &Error) {
    if matches!(error.etype(), ErrorType::H2Downgrade | ErrorType::InvalidH2) {
        connector.prefer_h1(peer);
    }
}
