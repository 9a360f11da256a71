//! The body of an answer: in one piece where it is small, else in pieces that are not copied.

use bytes::Bytes;

/// Bodies up to this are copied into one piece, which leaves in one packet with the header.
const SMALL: usize = 16 * 1024;

/// A body that is complete. Its clones share their bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub first: Bytes,
    pub rest: Vec<Bytes>,
}

impl Body {
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body { first: bytes.into(), rest: Vec::new() }
    }
}

/// A body that is being put together.
pub(super) struct Pieces {
    /// Pieces that are shared, each with what comes before it.
    shared: Vec<Bytes>,
    end: Vec<u8>,
    is_small: bool,
}

impl Pieces {
    /// `length`: of what is to come, about.
    pub fn with_room_for(length: usize) -> Pieces {
        let is_small = length <= SMALL;
        Pieces { shared: Vec::new(), end: Vec::with_capacity(if is_small { length } else { 1024 }), is_small }
    }

    /// Adds bytes that somebody else keeps.
    pub fn share(&mut self, piece: &Bytes) {
        if self.is_small {
            self.end.extend_from_slice(piece);
        } else {
            self.shared.push(std::mem::take(&mut self.end).into());
            self.shared.push(piece.clone());
        }
    }

    /// Where bytes of its own are added.
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.end
    }

    pub fn finish(self) -> Body {
        let mut pieces = self.shared.into_iter().chain([Bytes::from(self.end)]);
        Body { first: pieces.next().unwrap_or_default(), rest: pieces.collect() }
    }
}
