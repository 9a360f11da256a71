//! One try at a call: one connection, one request, one reply.

use super::body;
use super::endpoint::Peers;
use super::fault::{Again, Fault, no_answer, not_connected};
use super::outgoing::{Limits, Outgoing};
use crate::providers::Reply;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout_at};

/// Idle connections are closed before the shortest usual timeout of a load balancer (60 s).
const IDLE: Duration = Duration::from_secs(50);

/// Sends a call over one connection and reads the whole reply, until the deadline.
pub(super) async fn attempt(
    connector: &Connector,
    peers: &Peers,
    outgoing: &Outgoing<'_>,
    limits: &Limits,
    deadline: Instant,
) -> Result<Reply, Fault> {
    let connecting = timeout_at(deadline, connect(connector, peers));
    let (peer, mut session, reused) = connecting.await.unwrap_or_else(|_| Err(Fault::timeout()))?;
    let conversation = timeout_at(deadline, converse(&mut session, outgoing, limits));
    let result = conversation.await.unwrap_or(Err(Broken::Timeout));
    match result {
        Ok((status, mut headers, body)) => {
            connector.release_http_session(session, peer, Some(IDLE)).await;
            let body = body::unfold(body, &mut headers, limits.max_body)?;
            let received_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
            Ok(Reply { status, headers, body, received_at })
        }
        Err(broken) => {
            retire(connector, session, peer).await;
            Err(match broken {
                Broken::Timeout => Fault::timeout(),
                Broken::NoAnswer(error) => {
                    fall_back_to_h1(connector, peer, &error);
                    no_answer(&error, reused)
                }
                Broken::Answer(fault) => fault,
            })
        }
    }
}

/// A connection of the pool, or else a new one. Addresses that refuse are passed over for the next at once.
async fn connect<'a>(connector: &Connector, peers: &'a Peers) -> Result<(&'a HttpPeer, HttpSession, bool), Fault> {
    let mut fault = Fault::unreachable("it has no address", Again::Never);
    for peer in peers.in_turn() {
        match connector.get_http_session(peer).await {
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

/// Why a conversation ended before the whole reply was there.
enum Broken {
    Timeout,
    NoAnswer(Box<Error>),
    Answer(Fault),
}

async fn converse(
    session: &mut HttpSession,
    outgoing: &Outgoing<'_>,
    limits: &Limits,
) -> Result<(StatusCode, HeaderMap, Bytes), Broken> {
    let header = outgoing.header().map_err(Broken::NoAnswer)?;
    send(session, header, outgoing).await.map_err(Broken::NoAnswer)?;
    read_header(session).await.map_err(Broken::NoAnswer)?;
    let Some(response) = session.response_header() else { return Err(Broken::Answer(Fault::invalid("has no header"))) };
    let (status, headers) = (response.status, response.headers.clone());
    let body = body::read(session, &headers, limits.max_body).await.map_err(Broken::Answer)?;
    Ok((status, headers, body))
}

/// A connection on which an exchange failed carries no other one: it may be dead and not know it. HTTP/1 ends with
/// its session; an HTTP/2 connection takes no new streams and ends after those that it has.
async fn retire(connector: &Connector, session: HttpSession, peer: &HttpPeer) {
    if let HttpSession::H2(h2) = &session {
        h2.conn.mark_shutdown();
        connector.release_http_session(session, peer, None).await;
    }
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
fn fall_back_to_h1(connector: &Connector, peer: &HttpPeer, error: &Error) {
    if matches!(error.etype(), ErrorType::H2Downgrade | ErrorType::InvalidH2) {
        connector.prefer_h1(peer);
    }
}
