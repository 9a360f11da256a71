//! Undoing the coding of a body that came compressed unasked, within its limit.

use super::fault::Fault;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::io::Read;

/// Undoes gzip, which some providers send unasked. What unfolds to more than `limit` is a fault.
pub(super) fn unfold(body: Bytes, headers: &mut HeaderMap, limit: usize) -> Result<Bytes, Fault> {
    let Some(coding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    let coding = coding.to_str().unwrap_or("identity");
    match coding.trim().to_ascii_lowercase().as_str() {
        "identity" | "" => Ok(body),
        "gzip" | "x-gzip" => {
            let mut plain = Vec::new();
            let cap = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            MultiGzDecoder::new(&*body)
                .take(cap)
                .read_to_end(&mut plain)
                .map_err(|_| Fault::invalid("is said to be gzip and is not"))?;
            if plain.len() > limit {
                return Err(Fault::invalid(&format!("unfolds to more than {limit} bytes (max_body)")));
            }
            headers.remove(CONTENT_ENCODING);
            Ok(plain.into())
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
