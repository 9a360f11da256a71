//! A connection of HTTP/1, one request after the other.
//!
//! Pingora begins a request before its first byte has come, so that each idle connection holds all that a request may need
//! on its way to a service: some 20 KB. Here it begins with its first bytes, and they tell what it needs: a poll is
//! answered at the door, and never holds any of that.

use super::guard;
use bytes::BytesMut;
use pingora::ErrorType;
use pingora::apps::HttpServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{HttpProxy, ProxyHttp, Session};
use pingora::server::ShutdownWatch;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;

/// What Pingora takes for "no limit" on the wait for the next request: the watch over the connection has its own.
const FOREVER: u64 = 0;

/// How much of a request is read at once, as Pingora does.
const READ: usize = 4096;

/// How the path of a poll begins.
const POLL: &[u8] = b"GET /v1/videos/";

/// Serves requests until the connection ends, or has to. `closing` says when those that wait for a request end.
pub(super) async fn serve<P>(
    proxy: &Arc<HttpProxy<P>>,
    door: &P,
    mut stream: Stream,
    shutdown: &ShutdownWatch,
    mut closing: watch::Receiver<bool>,
) -> Option<Stream>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    loop {
        guard::request_is_awaited();
        let first = tokio::select! {
            biased;
            first = first_bytes(&mut stream) => first?,
            _ = closing.wait_for(|closing| *closing) => return None,
        };
        stream = if is_poll(&first) {
            answer(door, stream, first, shutdown).await?
        } else {
            let mut session = ServerSession::new_http1(stream);
            session.set_keepalive(Some(FOREVER));
            session.set_pipelined_prefix(first);
            proxy.process_new_http(session, shutdown).await?.consume().0
        };
    }
}

/// The beginning of the next request; `None` where the connection ends instead.
async fn first_bytes(stream: &mut Stream) -> Option<BytesMut> {
    poll_fn(|context| {
        // On the stack, so that a connection has no buffer while it waits.
        let mut room = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut room);
        let read = ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer));
        if (1..POLL.len()).contains(&buffer.filled().len()) {
            // Of a new connection the first bytes were looked at before, and come alone. What fails here fails or ends
            // with the next read, too.
            let _ = Pin::new(&mut *stream).poll_read(context, &mut buffer);
        }
        let bytes = buffer.filled();
        Poll::Ready(read.ok().filter(|()| !bytes.is_empty()).map(|()| {
            let mut first = BytesMut::with_capacity(READ);
            first.extend_from_slice(bytes);
            first
        }))
    })
    .await
}

/// Whether a request is for the state of a video, whatever its head goes on to say: its path is one segment with a
/// provider in it, which the gateway answers in every case. All others go the usual way, polls of another form as well.
fn is_poll(first: &[u8]) -> bool {
    let Some(rest) = first.strip_prefix(POLL) else { return false };
    let Some(end) = memchr::memchr3(b' ', b'?', b'/', rest) else { return false };
    let is_whole = rest.get(end).is_some_and(|byte| *byte != b'/');
    is_whole && rest.get(..end).is_some_and(|id| id.contains(&b':'))
}

/// Takes a request through the door alone, in the order of Pingora's phases.
async fn answer<P>(door: &P, stream: Stream, first: BytesMut, shutdown: &ShutdownWatch) -> Option<Stream>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    let mut session = Session::new_h1(stream);
    session.set_keepalive(Some(FOREVER));
    session.set_pipelined_prefix(first);
    match session.as_downstream_mut().read_request().await {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => {
            if matches!(error.etype(), ErrorType::InvalidHTTPHeader) {
                let refused = session.respond_error(400).await;
                refused.unwrap_or_else(|error| tracing::debug!(%error, "the client left before its refusal"));
            }
            session.as_downstream_mut().shutdown().await;
            return None;
        }
    }
    if *shutdown.borrow() {
        session.set_keepalive(None);
    }
    let mut context = door.new_ctx();
    let mut result = door.early_request_filter(&mut session, &mut context).await.map(|()| true);
    if result.is_ok() {
        result = door.request_filter(&mut session, &mut context).await;
    }
    if let Err(error) = &result {
        door.fail_to_proxy(&mut session, error, &mut context).await;
    }
    door.logging(&mut session, result.as_ref().err().map(|error| &**error), &mut context).await;
    // A request that was left alone has no answer; the connection ends rather than mixing up the next one.
    if !result.ok()? {
        tracing::error!("a poll was not answered at the door");
        return None;
    }
    let reusable = session.downstream_session.finish().await.ok().flatten()?;
    Some(reusable.into_parts().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_poll_in_every_case_is_taken_for_one() {
        let table = [
            ("GET /v1/videos/video_1:openai HTTP/1.1\r\n", true),
            ("GET /v1/videos/video_1:openai?a=/b HTTP/1.1\r\n", true),
            ("GET /v1/videos/:x HTTP/1.1\r\n", true),
            ("GET /v1/videos/video_1:openai", false),
            ("GET /v1/videos/video_1:openai/content HTTP/1.1\r\n", false),
            ("GET /v1/videos/models/m:gemini HTTP/1.1\r\n", false),
            ("GET /v1/videos/video_1 HTTP/1.1\r\n", false),
            ("GET /v1/videos/video_1%3Aopenai HTTP/1.1\r\n", false),
            ("GET /v1/videos/video_1?x:y HTTP/1.1\r\n", false),
            ("GET http://a/v1/videos/video_1:openai HTTP/1.1\r\n", false),
            ("HEAD /v1/videos/video_1:openai HTTP/1.1\r\n", false),
            ("POST /v1/videos/video_1:openai HTTP/1.1\r\n", false),
            ("GET /v1/videos HTTP/1.1\r\n", false),
            ("G", false),
        ];
        for (first, want) in table {
            assert_eq!(is_poll(first.as_bytes()), want, "{first}");
        }
    }
}
