//! Sockets: connections in, replies out.

use super::body::ReplyBody;
use super::reply::{Delivery, Reply};
use super::request::Recorded;
use super::service::Service;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The largest request body that is read: 1 MiB.
const LARGEST_BODY: usize = 1 << 20;

/// How long to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is dropped, and every connection with it.
pub async fn accept(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(stream, Arc::clone(&service))); }
                // Out of file descriptors, most likely: wait for others to give some back.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, service: Arc<Service>) {
    // Small answers to waiting clients; a failure here only costs time.
    let _ = stream.set_nodelay(true);
    let respond = service_fn(|request| respond(request, &service));
    // A client that leaves, and a connection that we cut, both end here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), respond).await;
}

async fn respond(request: Request<Incoming>, service: &Service) -> io::Result<Response<ReplyBody>> {
    let reply = match record(request).await {
        Some(recorded) => service.answer(recorded),
        None => Reply::json(StatusCode::PAYLOAD_TOO_LARGE, &json!({"error": {"message": "The body is too large."}})),
    };
    match reply.delivery {
        Delivery::After(delay) => tokio::time::sleep(delay).await,
        Delivery::Never(patience) => {
            tokio::time::sleep(patience).await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        Delivery::Whole | Delivery::Cut => {}
    }
    Ok(response(reply))
}

async fn record(request: Request<Incoming>) -> Option<Recorded> {
    let (parts, body) = request.into_parts();
    let body: Bytes = Limited::new(body, LARGEST_BODY).collect().await.ok()?.to_bytes();
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    Some(Recorded { method: parts.method, target, headers: parts.headers, body })
}

fn response(reply: Reply) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(&reply));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    if reply.status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    }
    response
}
