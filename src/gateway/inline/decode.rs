//! Base64 inside a JSON string, decoded as it comes.

use super::elide::end_of_string;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Providers pad or do not; what is left over in the last character is of no interest.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);

/// The text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct NotBase64;

/// Decodes the inside of a JSON string, from after its quote (or after the head of a `data:` URI) to its closing quote.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Decoder {
    /// Characters of a group that is not complete, and characters that wait to be decoded.
    clean: Vec<u8>,
    /// An escape that has begun.
    escape: Vec<u8>,
    is_padded: bool,
    has_ended: bool,
}

impl Decoder {
    /// Decodes the next piece of the string; what follows its closing quote is left alone.
    pub fn decode(&mut self, piece: &[u8]) -> Result<Vec<u8>, NotBase64> {
        if self.has_ended {
            return Ok(Vec::new());
        }
        let (end, closed, _) = end_of_string(piece, self.escape.len() == 1);
        let inside = piece.get(..end - usize::from(closed)).unwrap_or_default();
        let mut plain = Vec::with_capacity(inside.len() / 4 * 3 + 3);
        for byte in self.decode_plain(inside, &mut plain) {
            self.take(*byte)?;
        }
        self.has_ended = closed;
        let whole = if closed { self.clean.len() } else { self.clean.len() - self.clean.len() % 4 };
        BASE64.decode_vec(self.clean.get(..whole).unwrap_or_default(), &mut plain).map_err(|_| NotBase64)?;
        self.clean.drain(..whole);
        Ok(plain)
    }

    /// The quick way for what nearly all base64 is: characters of the standard alphabet and nothing else. Gives back
    /// what it has left undone.
    fn decode_plain<'a>(&mut self, inside: &'a [u8], plain: &mut Vec<u8>) -> &'a [u8] {
        if !self.escape.is_empty() || self.is_padded {
            return inside;
        }
        // The group that the last piece has begun.
        let missing = (4 - self.clean.len() % 4) % 4;
        let Some((first, rest)) = inside.split_at_checked(missing) else { return inside };
        let group = [self.clean.as_slice(), first].concat();
        let (groups, left) = rest.split_at(rest.len() - rest.len() % 4);
        let before = plain.len();
        let is_padded = group.contains(&b'=') || groups.ends_with(b"=");
        if is_padded || BASE64.decode_vec(&group, plain).and_then(|()| BASE64.decode_vec(groups, plain)).is_err() {
            plain.truncate(before);
            return inside;
        }
        self.clean.clear();
        left
    }

    /// The closing quote has come.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn take(&mut self, byte: u8) -> Result<(), NotBase64> {
        if !self.escape.is_empty() {
            return self.escaped(byte);
        }
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if !self.is_padded => self.clean.push(byte),
            b'-' if !self.is_padded => self.clean.push(b'+'),
            b'_' if !self.is_padded => self.clean.push(b'/'),
            b'=' => self.is_padded = true,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'\\' => self.escape.push(byte),
            _ => return Err(NotBase64),
        }
        Ok(())
    }

    fn escaped(&mut self, byte: u8) -> Result<(), NotBase64> {
        self.escape.push(byte);
        let plain = match self.escape.as_slice() {
            [b'\\', b'/'] => b'/',
            [b'\\', b'n' | b'r' | b't'] => b'\n',
            [b'\\', b'u', digits @ ..] if digits.len() == 4 => {
                let digits = std::str::from_utf8(digits).map_err(|_| NotBase64)?;
                u8::from_str_radix(digits.strip_prefix("00").ok_or(NotBase64)?, 16).map_err(|_| NotBase64)?
            }
            [b'\\', b'u', ..] => return Ok(()),
            _ => return Err(NotBase64),
        };
        self.escape.clear();
        // A backslash has no place in base64, so it cannot begin another escape.
        if plain == b'\\' { Err(NotBase64) } else { self.take(plain) }
    }
}

/// Where the data begins in a string that may be a `data:` URI, its escapes not undone.
pub(super) fn start_of_data(string: &[u8]) -> usize {
    const MARK: &[u8] = b";base64,";
    let head = string.get(..string.len().min(256)).unwrap_or_default();
    if !head.starts_with(b"data:") {
        return 0;
    }
    head.windows(MARK.len()).position(|window| window == MARK).map_or(0, |at| at + MARK.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    fn decoded(string: &str, piece: usize) -> Result<(Vec<u8>, bool), NotBase64> {
        let mut decoder = Decoder::default();
        let mut plain = Vec::new();
        for chunk in string.as_bytes().chunks(piece) {
            plain.extend(decoder.decode(chunk)?);
        }
        Ok((plain, decoder.has_ended()))
    }

    #[test]
    fn escapes_white_space_and_both_alphabets_are_understood() {
        let table = [
            ("aGVsbG8=\"", "hello"),
            ("aGVsbG8\"", "hello"),
            ("aGVs\\nbG8\\u003d\"}, \"more\"", "hello"),
            ("aGVs bG8=\\r\\n\"", "hello"),
            ("Pz8\\/Pz8\\/\"", "??????"),
            ("Pz8_Pz8_\"", "??????"),
            ("\"", ""),
        ];
        for (string, want) in table {
            for piece in 1..string.len() + 1 {
                assert_eq!(decoded(string, piece), Ok((want.as_bytes().to_vec(), true)), "{string} by {piece}");
            }
        }
        for string in ["a!b", "aGVs=bG8", "a\\\"b", "\\u0141", "\\u005c", "YQ==YQ==\""] {
            assert_eq!(decoded(string, 3), Err(NotBase64), "{string}");
        }
    }

    #[test]
    fn data_begins_behind_the_head_of_a_data_uri() {
        let table =
            [("data:video/mp4;base64,AAAA", 22), ("data:video\\/mp4;base64,AAAA", 23), ("AAAA", 0), ("data:,x", 0)];
        for (string, want) in table {
            assert_eq!(start_of_data(string.as_bytes()), want, "{string}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..30, is_plain in any::<bool>()
        ) {
            let text = if is_plain { PADDED.encode(&bytes) } else { URL_SAFE_NO_PAD.encode(&bytes) };
            prop_assert_eq!(decoded(&format!("{text}\""), piece), Ok((bytes, true)));
        }
    }
}
