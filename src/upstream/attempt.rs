//! One try at a call: one connection, one request, one reply.

use super::body;
use super::client::{Limits, Outgoing};
use super::endpoint::Peers;
use crate::providers::Reply;
use crate::video::{ApiError, ErrorKind};
use http::header::CONTENT_LENGTH;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Idle connections are closed before the shortest usual timeout of a load balancer (60 s).
const IDLE: Duration = Duration::from_secs(50);

/// Why a try gave no reply.
#[derive(Debug)]
pub(super) struct Fault {
    pub error: ApiError,
    pub again: Again,
}

/// Whether another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The connection came from the pool and had died there: a new one, at once.
    AtOnce,
    /// Nothing was answered: after a pause.
    Later,
    Never,
}

impl Fault {
    /// A reply that is not what the provider documents; `what` completes "The answer of …".
    pub(super) fn invalid(what: &str) -> Fault {
        let error = ApiError::because(ErrorKind::UpstreamInvalidResponse, format!("The answer of {{p}} {what}."));
        Fault { error, again: Again::Never }
    }

    fn unreachable(why: &str, again: Again) -> Fault {
        let detail = format!("{{p}} could not be reached: {why}.");
        Fault { error: ApiError::because(ErrorKind::UpstreamUnreachable, detail), again }
    }
}

/// Sends a call over one connection and reads the whole reply.
pub(super) async fn attempt(
    connector: &Connector,
    peers: &Peers,
    outgoing: &Outgoing<'_>,
    limits: &Limits,
) -> Result<Reply, Fault> {
    let Some(peer) = peers.current() else { return Err(Fault::unreachable("it has no address", Again::Never)) };
    let (mut session, reused) = match connector.get_http_session(peer).await {
        Ok(got) => got,
        Err(error) => {
            peers.give_up(peer);
            return Err(not_connected(connector, peer, &error));
        }
    };
    let header = outgoing.header().map_err(|error| broken(&error, reused))?;
    if let Err(error) = send(&mut session, header, outgoing).await {
        return Err(no_answer(connector, peer, &error, reused));
    }
    if let Err(error) = read_header(&mut session).await {
        return Err(no_answer(connector, peer, &error, reused));
    }
    let Some(response) = session.response_header() else { return Err(Fault::invalid("has no header")) };
    let (status, mut headers) = (response.status, response.headers.clone());
    let body = body::read(&mut session, &headers, limits.max_body).await;
    if body.is_err() {
        session.shutdown().await;
    }
    let body = body?;
    connector.release_http_session(session, peer, Some(IDLE)).await;
    let body = body::unfold(body, &mut headers, limits.max_body)?;
    let received_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    Ok(Reply { status, headers, body, received_at })
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

fn not_connected(connector: &Connector, peer: &HttpPeer, error: &Error) -> Fault {
    fall_back_to_h1(connector, peer, error);
    let why = match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => {
            "connecting took longer than connect_timeout".into()
        }
        ErrorType::ConnectRefused => "the connection was refused".into(),
        ErrorType::ConnectNoRoute => "there is no route to it".into(),
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => {
            format!("the TLS handshake failed ({})", root_cause(error))
        }
        other => format!("connecting failed ({})", other.as_str()),
    };
    // A certificate that is wrong now is wrong in a moment too.
    let is_verdict = matches!(error.etype(), ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert);
    Fault::unreachable(&why, if is_verdict { Again::Never } else { Again::Later })
}

fn no_answer(connector: &Connector, peer: &HttpPeer, error: &Error, reused: bool) -> Fault {
    fall_back_to_h1(connector, peer, error);
    match error.etype() {
        ErrorType::InvalidHTTPHeader => Fault::invalid("is not HTTP"),
        _ => broken(error, reused),
    }
}

fn broken(error: &Error, reused: bool) -> Fault {
    let why = format!("the connection broke before an answer ({})", error.etype().as_str());
    Fault::unreachable(&why, if reused { Again::AtOnce } else { Again::Later })
}

/// A server that spoke HTTP/2 badly, or asked for HTTP/1.1, gets HTTP/1.1 from now on.
fn fall_back_to_h1(connector: &Connector, peer: &HttpPeer, error: &Error) {
    if matches!(error.etype(), ErrorType::H2Downgrade | ErrorType::InvalidH2) {
        connector.prefer_h1(peer);
    }
}

/// The innermost cause, which for TLS names what is wrong with the certificate.
fn root_cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error.root_cause();
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl Outgoing<'_> {
    fn header(&self) -> Result<Box<RequestHeader>, Box<Error>> {
        let mut header = RequestHeader::build(self.method.clone(), self.path.as_bytes(), Some(8 + self.headers.len()))?;
        for (name, value) in &self.headers {
            header.append_header(name.clone(), value.clone())?;
        }
        if let Some(body) = &self.body {
            header.insert_header(CONTENT_LENGTH, body.len())?;
        }
        Ok(Box::new(header))
    }
}
