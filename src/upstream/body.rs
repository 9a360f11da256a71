//! A body that is gathered as it comes, and the coding undone of one that came compressed unasked, within its limit.

use super::fault::Fault;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::io::Read;

/// What bodies of unknown length are gathered in: most are short.
const FIRST: usize = 16 * 1024;
const BLOCK: usize = 256 * 1024;

/// A body as it comes. It grows without moving what it has, since whoever moves a large block holds it twice meanwhile.
pub(super) struct Gathered {
    blocks: Vec<Vec<u8>>,
    length: usize,
}

impl Gathered {
    /// Memory that is reserved but never written costs nothing, so an honest length is given all its room at once.
    pub fn with_room_for(announced: Option<usize>) -> Gathered {
        Gathered { blocks: vec![Vec::with_capacity(announced.unwrap_or(FIRST))], length: 0 }
    }

    pub fn push(&mut self, piece: &[u8]) {
        self.length += piece.len();
        let mut rest = piece;
        while !rest.is_empty() {
            let room = self.blocks.last().map_or(0, |block| block.capacity() - block.len());
            let (now, later) = rest.split_at(room.min(rest.len()));
            match self.blocks.last_mut().filter(|_| room > 0) {
                Some(block) => block.extend_from_slice(now),
                None => self.blocks.push(Vec::with_capacity(BLOCK)),
            }
            rest = later;
        }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// All of it in one piece.
    pub fn join(mut self) -> Bytes {
        match self.blocks.len() {
            0 | 1 => self.blocks.pop().unwrap_or_default().into(),
            _ => self.blocks.concat().into(),
        }
    }
}

/// Undoes gzip, which some providers send unasked. What unfolds to more than `limit` is a fault.
pub(super) fn unfold(body: Bytes, headers: &mut HeaderMap, limit: usize) -> Result<Bytes, Fault> {
    let Some(coding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    let coding = coding.to_str().unwrap_or("identity");
    match coding.trim().to_ascii_lowercase().as_str() {
        "identity" | "" => Ok(body),
        "gzip" | "x-gzip" => {
            let mut decoder = MultiGzDecoder::new(&*body);
            let (mut plain, mut piece) = (Gathered::with_room_for(None), [0; 8 * 1024]);
            loop {
                let read = decoder.read(&mut piece).map_err(|_| Fault::invalid("is said to be gzip and is not"))?;
                let Some(more) = piece.get(..read).filter(|more| !more.is_empty()) else { break };
                if plain.len() + more.len() > limit {
                    return Err(Fault::invalid(&format!("unfolds to more than {limit} bytes (max_body)")));
                }
                plain.push(more);
            }
            headers.remove(CONTENT_ENCODING);
            Ok(plain.join())
        }
        _ => Err(Fault::invalid("is compressed in a way that was not asked for and is not gzip")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn unfolded(coding: Option<&str>, body: &[u8], limit: usize) -> Result<(Bytes, bool), String> {
        let mut headers = HeaderMap::new();
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        }
        let result = unfold(Bytes::copy_from_slice(body), &mut headers, limit);
        result.map(|plain| (plain, headers.contains_key(CONTENT_ENCODING))).map_err(|fault| fault.error.detail)
    }

    #[test]
    fn gzip_is_undone_and_its_header_taken_away() {
        for coding in ["gzip", "x-gzip", "GZip", " gzip "] {
            assert_eq!(unfolded(Some(coding), &gzip(b"{}"), 10), Ok((Bytes::from_static(b"{}"), false)), "{coding}");
        }
        let members = [gzip(b"{"), gzip(b"}")].concat();
        assert_eq!(unfolded(Some("gzip"), &members, 10), Ok((Bytes::from_static(b"{}"), false)));
        assert_eq!(unfolded(None, b"{}", 10), Ok((Bytes::from_static(b"{}"), false)));
        assert_eq!(unfolded(Some("identity"), b"{}", 10), Ok((Bytes::from_static(b"{}"), true)));
    }

    #[test]
    fn the_limit_is_of_what_unfolds() {
        assert!(unfolded(Some("gzip"), &gzip(&[b' '; 100]), 100).is_ok());
        assert!(
            unfolded(Some("gzip"), &gzip(&[b' '; 101]), 100).unwrap_err().contains("more than 100 bytes (max_body)")
        );
        assert!(unfolded(Some("gzip"), &gzip(&[b' '; 101]), usize::MAX).is_ok());
    }

    #[test]
    fn what_is_not_whole_gzip_is_a_fault() {
        let sound = gzip(b"{}");
        let cut = &sound[..sound.len() - 1];
        for body in [&b"{}"[..], b"", cut, &[&sound[..], b"more"].concat()] {
            assert!(unfolded(Some("gzip"), body, 100).unwrap_err().contains("is said to be gzip and is not"));
        }
        for coding in ["br", "zstd", "deflate", "gzip, gzip"] {
            assert!(unfolded(Some(coding), &sound, 100).unwrap_err().contains("was not asked for"), "{coding}");
        }
    }
}
