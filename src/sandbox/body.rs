//! The body of a reply on its way out, whole or broken off.

use super::reply::{Delivery, Reply};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body that ends as its reply's [`Delivery`] says.
pub struct ReplyBody {
    data: Option<Bytes>,
    end: End,
}

enum End {
    Clean,
    /// Let the first half leave before the connection is torn down.
    FlushThenBreak,
    Break,
}

impl ReplyBody {
    pub fn new(reply: &Reply) -> ReplyBody {
        let whole = reply.body.clone();
        match reply.delivery {
            Delivery::Cut => ReplyBody { data: Some(whole.slice(..whole.len() / 2)), end: End::FlushThenBreak },
            _ => ReplyBody { data: Some(whole).filter(|data| !data.is_empty()), end: End::Clean },
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.end {
            End::Clean => Poll::Ready(None),
            End::FlushThenBreak => {
                self.end = End::Break;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            End::Break => Poll::Ready(Some(Err(io::Error::other("cut off, as the job's name asks")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && matches!(self.end, End::Clean)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.end, &self.data) {
            (End::Clean, data) => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            _ => SizeHint::default(),
        }
    }
}
