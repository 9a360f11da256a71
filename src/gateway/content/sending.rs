//! A file on its way to a client: its head, its bytes as fast as the client takes them, and a source that breaks.

use super::fetch::{Fetch, Place, Want};
use super::flow::{Flow, Source};
use super::range::Part;
use crate::gateway::answer::response;
use crate::video::{ApiError, ErrorKind};
use http::header::{CONTENT_LENGTH, ETAG, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::{HttpTask, ServerSession as HttpSession};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

/// How long a client may take nothing. Players stop reading while they are paused, and ask again when cut off.
const CLIENT_PATIENCE: Duration = Duration::from_secs(300);

/// Pieces of this length are longer than the buffer of any connection.
const LARGE: usize = 16 * 1024;

/// Times that a source may break without having given another byte.
const MAX_BREAKS: u32 = 3;

/// What Pingora is told so that it empties its buffer, and gives back when it has.
const FLUSHED: ErrorType = ErrorType::Custom("flushed");

/// A file, or a part of it, about to be sent.
pub(in crate::gateway) struct Sending {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Bytes that will be sent, where that is known.
    pub length: Option<u64>,
    /// `None` for a client who wants the head alone.
    pub(super) flow: Option<Flow>,
    /// How to go on after a break, where that is possible.
    pub(super) resume: Option<Box<Resume>>,
}

/// A file that can be opened again at any byte, and recognized.
pub(super) struct Resume {
    pub fetch: Fetch,
    pub place: Place,
    /// A strong tag.
    pub etag: HeaderValue,
    /// Where in the file the part begins.
    pub start: u64,
    /// Its last byte, where that is known.
    pub end: Option<u64>,
}

/// What became of the bytes.
pub(in crate::gateway) struct Sent {
    pub bytes: u64,
    /// Why the source gave no more, though more was to come: the connection to the client must be closed.
    pub broken: Option<ApiError>,
}

impl Sending {
    /// Writes all of it. An error is one of writing to the client.
    pub async fn write(mut self, session: &mut Session) -> pingora::Result<Sent> {
        let header = self.header(session.req_header().version);
        if self.length.is_none() && session.req_header().version < Version::HTTP_11 {
            session.set_keepalive(None);
        }
        session.as_downstream_mut().set_write_timeout(Some(CLIENT_PATIENCE));
        let flow = self.flow.take();
        session.write_response_header(Box::new(header), flow.is_none()).await?;
        let sent = match flow {
            Some(flow) => self.pump(flow, session).await?,
            None => Sent { bytes: 0, broken: None },
        };
        session.as_downstream_mut().set_write_timeout(None);
        Ok(sent)
    }

    /// Moves the bytes, a piece at a time: as much as its source has at hand. Before it waits for more, what was written
    /// has left.
    async fn pump(&self, mut flow: Flow, session: &mut Session) -> pingora::Result<Sent> {
        let (mut bytes, mut breaks, mut may_be_buffered) = (0, 0, true);
        loop {
            let next = {
                let mut reading = pin!(flow.next());
                match poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
                    Poll::Ready(next) => next,
                    Poll::Pending => {
                        if may_be_buffered {
                            flush(session).await?;
                            may_be_buffered = false;
                        }
                        reading.await
                    }
                }
            };
            match next {
                Ok(Some(piece)) => {
                    let length = piece.len();
                    session.write_response_body(Some(piece), false).await?;
                    // A large piece does not pass through the buffer, and empties it first.
                    (bytes, breaks, may_be_buffered) = (bytes + length as u64, 0, length < LARGE);
                }
                Ok(None) => break,
                Err(error) => {
                    breaks += 1;
                    let again = match &self.resume {
                        Some(resume) if breaks <= MAX_BREAKS => resume.again(bytes).await,
                        _ => None,
                    };
                    match again {
                        Some(next) => flow = next,
                        None => {
                            flush(session).await?;
                            return Ok(Sent { bytes, broken: Some(error) });
                        }
                    }
                }
            }
        }
        flow.finish().await;
        session.write_response_body(None, true).await?;
        Ok(Sent { bytes, broken: None })
    }

    fn header(&mut self, version: Version) -> ResponseHeader {
        let mut headers = std::mem::take(&mut self.headers);
        match self.length {
            Some(length) => _ = headers.insert(CONTENT_LENGTH, HeaderValue::from(length)),
            // Before HTTP/1.1 the end of the connection is the end of the body; HTTP/2 has frames of its own.
            None if version == Version::HTTP_11 => {
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            None => {}
        }
        response(self.status, headers)
    }
}

/// Sends what waits in the buffer of the connection: the head at first, and whatever does not fill it.
async fn flush(session: &mut Session) -> pingora::Result<()> {
    // Frames of HTTP/2 wait for nothing.
    let HttpSession::H1(h1) = session.as_downstream_mut() else { return Ok(()) };
    // Pingora empties its buffer for a body of known length at its end, or when it is told that there is no more.
    let end = Error::new(FLUSHED);
    let flushing = h1.response_duplex_vec(vec![HttpTask::Body(None, false), HttpTask::Failed(end)]);
    match timeout(CLIENT_PATIENCE, flushing).await {
        Ok(Err(error)) if *error.etype() != FLUSHED => Err(error),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::explain(ErrorType::WriteTimedout, "the client takes nothing").into_down()),
    }
}

impl Resume {
    /// The rest of the same file after this many bytes of the part; `None` when its source has another one now.
    async fn again(&self, sent: u64) -> Option<Flow> {
        let position = self.start + sent;
        let range = match self.end {
            Some(end) => format!("bytes={position}-{end}"),
            None => format!("bytes={position}-"),
        };
        let want = Want { range: HeaderValue::from_str(&range).ok(), ..Want::whole() };
        let download = self.fetch.open(&self.place, &want).await.ok()?;
        if download.headers.get(ETAG) != Some(&self.etag) {
            return None;
        }
        let skip = match download.status {
            StatusCode::PARTIAL_CONTENT => {
                Part::given(&download.headers).filter(|part| part.start == position).map(|_| 0)?
            }
            StatusCode::OK => position,
            _ => return None,
        };
        let left = self.end.map(|end| end + 1 - position);
        let idle_timeout = self.fetch.entry.content.idle_timeout;
        Some(Flow::new(Source::Network { download, idle_timeout }, skip, left))
    }
}

/// The connection to the client has to be closed: it was promised more than there is.
pub(in crate::gateway) fn cut_off(error: &ApiError) -> Box<Error> {
    let what = match error.kind {
        ErrorKind::UpstreamTimeout => ErrorType::ReadTimedout,
        _ => ErrorType::ConnectionClosed,
    };
    Error::explain(what, "the source of a video broke off").into_up()
}
