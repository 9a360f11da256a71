//! Pingora's view of the program: every request enters here.

use super::MAX_TRIES;
use super::access::Line;
use super::hops;
use super::life::{InFlight, Life};
use super::passthrough::{Service, Services};
use super::snapshot::{Current, Snapshot};
use super::traces::{Observers, Served, Serving};
use super::{framing, guard};
use crate::gateway::{Answered, NotOurs, Outcome, Permit, given_request_id, trace_id};
use crate::video::{ApiError, ErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a client may go on sending the body of a request that was answered with an error.
const LINGER: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Door {
    now: Current,
    life: Arc<Life>,
    observers: Arc<Observers>,
    header_size: usize,
}

/// One request on its way through.
pub struct Passage {
    started: Instant,
    /// The config that the request is served by, whatever is loaded meanwhile.
    snapshot: Arc<Snapshot>,
    service: Option<Arc<Service>>,
    /// The headers that carry client keys of ours.
    key_headers: Vec<HeaderName>,
    /// The name of the key that let a passed-through request in.
    key: Option<String>,
    answered: Option<Answered>,
    /// Its span; boxed, since most requests are not traced.
    serving: Option<Box<Serving>>,
    /// The one whose turn it is.
    upstream: Option<SocketAddr>,
    /// Upstreams that could not be connected to.
    tried: Vec<SocketAddr>,
    _permit: Option<Permit>,
    _in_flight: InFlight,
}

impl Door {
    /// `header_size`: requests with larger heads are refused.
    pub fn new(now: &Current, life: &Arc<Life>, observers: &Arc<Observers>, header_size: usize) -> Door {
        Door { now: Arc::clone(now), life: Arc::clone(life), observers: Arc::clone(observers), header_size }
    }

    /// Finds the service for a request that is not for a video, and lets the client in to it.
    fn admit(&self, session: &Session, why: NotOurs, passage: &mut Passage) -> Result<(), ApiError> {
        let Snapshot { gateway, services, .. } = &*passage.snapshot;
        gateway.count(session)?;
        let header = session.req_header();
        let authority = header.uri.authority().map(|authority| authority.as_str());
        let host = header.headers.get(HOST).and_then(|host| host.to_str().ok()).or(authority);
        let service = services.find(host, header.uri.path()).ok_or_else(|| no_route(services, why))?;
        let permit = gateway.admit().ok_or_else(|| ApiError::new(ErrorKind::Overloaded))?;
        let key = if service.auth { gateway.authorize(session)?.name } else { None };
        // No key of ours is any business of the service, not even where none is asked for.
        let (service, key_headers) = (Arc::clone(service), gateway.key_headers(session));
        (passage.key, passage.key_headers) = (key, key_headers);
        passage._permit = Some(permit);
        passage.service = Some(service);
        Ok(())
    }

    async fn refuse(&self, session: &mut Session, error: ApiError, passage: &mut Passage) -> pingora::Result<()> {
        if let Outcome::Answered(mut answered) = passage.snapshot.gateway.refuse(session, error).await? {
            answered.took = passage.started.elapsed();
            // What failed on its way through is counted as passed through.
            if passage.service.is_none() {
                self.observers.metrics.refused(&answered);
            }
            passage.answered = Some(answered);
        }
        Ok(())
    }
}

#[async_trait]
impl ProxyHttp for Door {
    type CTX = Passage;

    fn new_ctx(&self) -> Passage {
        Passage {
            started: Instant::now(),
            snapshot: self.now.load_full(),
            service: None,
            key_headers: Vec::new(),
            key: None,
            answered: None,
            serving: None,
            upstream: None,
            tried: Vec::new(),
            _permit: None,
            _in_flight: self.life.enter(),
        }
    }

    /// None: Pingora's own would compress answers, and is switched off unless somebody asks for it.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, _session: &mut Session, _passage: &mut Passage) -> pingora::Result<()> {
        guard::head_is_read();
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, passage: &mut Passage) -> pingora::Result<bool> {
        if let Some(traces) = &self.observers.traces {
            passage.serving = traces.begin(&session.req_header().headers).map(Box::new);
        }
        if self.life.is_leaving() {
            // A client that goes on elsewhere now does not meet a connection that is being closed later.
            session.set_keepalive(None);
        }
        if let Some(error) = framing::fault(session, self.header_size) {
            session.set_keepalive(None);
            return self.refuse(session, error, passage).await.map(|()| true);
        }
        let span = passage.serving.as_ref().map(|serving| &serving.span);
        let why = match passage.snapshot.gateway.intercept_within(session, span).await? {
            Outcome::Answered(answered) => {
                passage.answered = Some(answered);
                return Ok(true);
            }
            Outcome::NotOurs(why) => why,
        };
        match self.admit(session, why, passage) {
            Ok(()) => {
                if is_upgrade(session) {
                    // After an upgrade both sides may be silent for as long as they like.
                    session.set_read_timeout(None);
                }
                Ok(false)
            }
            Err(error) => self.refuse(session, error, passage).await.map(|()| true),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, passage: &mut Passage) -> pingora::Result<Box<HttpPeer>> {
        let service = passage.service.as_ref();
        let peer = service.and_then(|service| service.next_peer(is_upgrade(session), &passage.tried));
        passage.upstream = peer.as_ref().map(|peer| peer._address.clone());
        peer.map(Box::new).ok_or_else(|| match passage.tried.is_empty() {
            true => Error::explain(ErrorType::HTTPStatus(503), "no upstream is healthy"),
            false => Error::explain(ErrorType::ConnectError, "no other upstream is left").into_up(),
        })
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        peer: &HttpPeer,
        passage: &mut Passage,
        mut e: Box<Error>,
    ) -> Box<Error> {
        // Nothing was sent yet, so another upstream may have it whatever the method.
        passage.tried.push(peer._address.clone());
        let has_another = passage.service.as_ref().is_some_and(|service| service.has_another(&passage.tried));
        e.set_retry(has_another && passage.tried.len() < MAX_TRIES);
        e
    }

    /// A connection that the service closed while it was idle is replaced by another, but only for a request that
    /// may come twice and has no body: what was sent of a body may have had its effect.
    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        e: Box<Error>,
        _passage: &mut Passage,
        client_reused: bool,
    ) -> Box<Error> {
        let mut e = e.more_context(format!("Peer: {peer}"));
        let has_begun = session.response_written().is_some();
        if session.req_header().method.is_idempotent() && session.as_mut().is_body_empty() && !has_begun {
            e.retry.decide_reuse(client_reused);
        } else {
            e.set_retry(false);
        }
        e
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Passage,
    ) -> pingora::Result<()> {
        for name in &passage.key_headers {
            request.remove_header(name);
        }
        Ok(())
    }

    /// Pingora 0.9.1 writes the end of a chunked body twice when an HTTP/2 client ends it with an empty frame
    /// (its issue 935), which spoils the connection for the next request: an empty last piece is dropped here.
    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        _passage: &mut Passage,
    ) -> pingora::Result<()> {
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        _passage: &mut Passage,
    ) -> pingora::Result<()> {
        hops::strip(response);
        Ok(())
    }

    /// Clients of HTTP/1.0 do not know chunks: for them the end of the connection is the end of the body.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _passage: &mut Passage,
    ) -> pingora::Result<()> {
        if session.req_header().version == Version::HTTP_10 && response.headers.contains_key(TRANSFER_ENCODING) {
            response.remove_header(&TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        Ok(())
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, passage: &mut Passage) -> FailToProxy {
        let has_begun = session.response_written().is_some();
        let what = if passage.service.is_some() { "a passed-through request failed" } else { "an answer broke off" };
        failed(session, passage, e, what);
        let Some(kind) = meaning(e).filter(|_| !has_begun) else {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        let error = ApiError::new(kind);
        let error_code = error.status().as_u16();
        session.set_keepalive(None);
        match self.refuse(session, error, passage).await {
            Ok(()) => linger(session).await,
            Err(error) => tracing::debug!(%error, "the client left before its error"),
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// The words of Pingora's own line may repeat what a service sent; ours is written in `fail_to_proxy`.
    fn suppress_error_log(&self, _session: &Session, _passage: &Passage, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        session: &Session,
        passage: &Passage,
        error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        failed(session, passage, error, "an upstream failed, another try is made");
        true
    }

    fn request_summary(&self, session: &Session, _passage: &Passage) -> String {
        let header = session.req_header();
        format!("{} {}", header.method, header.uri.path())
    }

    async fn logging(&self, session: &mut Session, e: Option<&Error>, passage: &mut Passage) {
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        if passage.service.is_some() {
            self.observers.metrics.passed_through(status);
        }
        let logs_access = passage.snapshot.logs_access;
        let serving = passage.serving.as_ref();
        if !logs_access && serving.is_none() {
            return;
        }
        let header = session.req_header();
        let line = Line {
            method: &header.method,
            path: header.uri.path(),
            status,
            took: passage.started.elapsed(),
            sent: session.body_bytes_sent(),
            request_id: given_request_id(&header.headers),
            trace_id: match serving {
                Some(serving) => Some(serving.trace().to_string().into()),
                None => trace_id(&header.headers).map(Into::into),
            },
            key: passage.key.as_deref(),
            client: passage.snapshot.gateway.client(session),
            answered: passage.answered.as_ref(),
        };
        if logs_access {
            line.write();
        }
        if let (Some(traces), Some(serving)) = (&self.observers.traces, serving) {
            let is_tls = session.as_downstream().digest().is_some_and(|digest| digest.ssl_digest.is_some());
            let fault = e.map(|error| error.etype().as_str());
            traces.end(serving, &Served { line: &line, version: header.version, is_tls, fault });
        }
    }
}

fn no_route(services: &Services, why: NotOurs) -> ApiError {
    ApiError::new(match why {
        NotOurs::Method if services.is_empty() => ErrorKind::MethodNotAllowed,
        _ => ErrorKind::RouteNotFound,
    })
}

/// Logs a failure without the words of the error, which may hold bytes of the service or of the client.
fn failed(session: &Session, passage: &Passage, error: &Error, what: &str) {
    let upstream = passage.upstream.as_ref().map(tracing::field::display);
    let path = session.req_header().uri.path();
    let (is_client, source) = (*error.esource() == ErrorSource::Downstream, error.esource().as_str());
    let error = error.etype().as_str();
    if is_client {
        tracing::debug!(path, upstream, error, source, "{what}");
    } else {
        tracing::warn!(path, upstream, error, source, "{what}");
    }
}

/// WebSocket is the one upgrade that Pingora passes on.
fn is_upgrade(session: &Session) -> bool {
    let upgrade = session.req_header().headers.get(UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Reads on for a while when the client is still sending: closing with bytes unread would take the answer away from it.
async fn linger(session: &mut Session) {
    let downstream = session.as_downstream_mut();
    if !downstream.is_http2() && !downstream.is_body_done() {
        downstream.set_total_drain_timeout(Some(LINGER));
        if let Err(error) = downstream.drain_request_body().await {
            tracing::debug!(%error, "the client went on sending after its error");
        }
    }
}

/// What a failure of a passed-through request means to its client; `None` when the client has left.
fn meaning(error: &Error) -> Option<ErrorKind> {
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(503), _) => Some(ErrorKind::ServiceUnavailable),
        (ErrorType::HTTPStatus(400..=499), _) => Some(ErrorKind::BadRequest),
        (ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError, ErrorSource::Downstream) => None,
        (_, ErrorSource::Downstream) => Some(ErrorKind::BadRequest),
        (ErrorType::ReadTimedout | ErrorType::WriteTimedout, _) => Some(ErrorKind::ServiceTimeout),
        (ErrorType::InvalidHTTPHeader, ErrorSource::Upstream) => Some(ErrorKind::ServiceInvalidResponse),
        (_, ErrorSource::Upstream) => Some(ErrorKind::ServiceUnreachable),
        _ => Some(ErrorKind::Internal),
    }
}
