//! A JSON document without the insides of its long strings: all that is needed to understand an answer of which most
//! is a video in base64.

use bytes::{Buf, Bytes};

/// Strings longer than this are left out. Anything shorter is not worth a second look.
pub(super) const LONG: usize = 16 * 1024;

/// What is kept of a long string: enough for the head of a `data:` URI.
const KEPT: usize = 256;

/// Stands where a long string was cut, with its number. It is in no alphabet of base64.
const MARK: char = '~';

/// Reads a document piece by piece. Not a validator: what comes out is read by a parser that is one.
#[derive(Debug, Default)]
pub(super) struct Elider {
    document: Vec<u8>,
    /// The brackets that are open, as they will be closed.
    open: Vec<u8>,
    state: State,
    /// The next string of the innermost object is a key.
    key_is_next: bool,
    /// Long strings so far.
    count: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Between,
    /// Inside a string that begins here in the document.
    Inside { start: usize, is_key: bool, escaped: bool },
    /// At a string that turned out to be long, of which everything so far is in the document.
    Long { start: usize },
    /// Inside a long string that nobody wants.
    Passing { escaped: bool },
}

impl Elider {
    /// Takes from `input` up to its end, or until a value turns out to be a long string: then `true`, and
    /// [`Elider::take_long`] or [`Elider::pass_long`] must follow.
    pub fn feed(&mut self, input: &mut Bytes) -> bool {
        while !input.is_empty() {
            match self.state {
                State::Between => self.between(input),
                State::Inside { start, is_key, escaped } => self.inside(input, start, is_key, escaped),
                State::Passing { escaped } => self.passing(input, escaped),
                State::Long { .. } => return true,
            }
        }
        matches!(self.state, State::Long { .. })
    }

    /// Bytes that are held.
    pub fn len(&self) -> usize {
        self.document.len()
    }

    /// The number of the long string at hand.
    pub fn number(&self) -> usize {
        self.count
    }

    /// The document up to the long string at hand, cut and closed, so that it can be read.
    pub fn so_far(&self) -> Vec<u8> {
        let mut document = self.document.clone();
        if let State::Long { start } = self.state {
            cut(&mut document, start, self.count);
            document.push(b'"');
        }
        document.extend(self.open.iter().rev());
        document
    }

    /// The long string at hand as far as it has come, its escapes not undone.
    pub fn take_long(&self) -> Bytes {
        match self.state {
            State::Long { start } => Bytes::copy_from_slice(self.document.get(start..).unwrap_or_default()),
            _ => Bytes::new(),
        }
    }

    /// Goes on without the long string at hand.
    pub fn pass_long(&mut self) {
        if let State::Long { start } = self.state {
            let escaped = ends_escaped(self.document.get(start..).unwrap_or_default());
            cut(&mut self.document, start, self.count);
            self.count += 1;
            self.state = State::Passing { escaped };
        }
    }

    /// The document, once all of it was fed.
    pub fn into_document(self) -> Bytes {
        self.document.into()
    }

    fn between(&mut self, input: &mut Bytes) {
        let end = input.iter().position(|b| *b == b'"').map_or(input.len(), |at| at + 1);
        let part = input.split_to(end);
        for byte in &part {
            match byte {
                b'{' => self.open.push(b'}'),
                b'[' => self.open.push(b']'),
                b'}' | b']' => {
                    self.open.pop();
                }
                _ => {}
            }
            match byte {
                b'{' => self.key_is_next = true,
                b',' => self.key_is_next = self.open.last() == Some(&b'}'),
                b':' | b'[' => self.key_is_next = false,
                _ => {}
            }
        }
        self.document.extend_from_slice(&part);
        if part.last() == Some(&b'"') {
            self.state = State::Inside { start: self.document.len(), is_key: self.key_is_next, escaped: false };
        }
    }

    fn inside(&mut self, input: &mut Bytes, start: usize, is_key: bool, escaped: bool) {
        let room = (start + LONG + 1).saturating_sub(self.document.len());
        // A long key is nobody's video: it is kept whole, and counts against the limit of the document.
        let most = if is_key { input.len() } else { input.len().min(room.max(1)) };
        let (end, closed, escaped) = end_of_string(input.get(..most).unwrap_or_default(), escaped);
        self.document.extend_from_slice(&input.split_to(end));
        self.state = match closed {
            true => State::Between,
            false if !is_key && self.document.len() - start > LONG => State::Long { start },
            false => State::Inside { start, is_key, escaped },
        };
    }

    fn passing(&mut self, input: &mut Bytes, escaped: bool) {
        let (end, closed, escaped) = end_of_string(input, escaped);
        input.advance(end);
        self.state = match closed {
            true => {
                self.document.push(b'"');
                State::Between
            }
            false => State::Passing { escaped },
        };
    }
}

/// How much of `bytes` belongs to the string, its closing quote included; whether that was there; and whether the next
/// byte is escaped.
pub(super) fn end_of_string(bytes: &[u8], mut escaped: bool) -> (usize, bool, bool) {
    let mut at = 0;
    while at < bytes.len() {
        if escaped {
            (escaped, at) = (false, at + 1);
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(found) if rest.get(found) == Some(&b'"') => return (at + found + 1, true, false),
            Some(found) => (escaped, at) = (true, at + found + 1),
            None => return (bytes.len(), false, false),
        }
    }
    (bytes.len(), false, escaped)
}

/// The number of the long string that was cut here; `None` for a string that is whole.
pub(super) fn number_of_cut(text: &str) -> Option<usize> {
    let digits = text.strip_suffix(MARK)?;
    let (_, number) = digits.rsplit_once(MARK)?;
    number.parse().ok()
}

/// Leaves the head of the string that begins at `start`, and its number.
fn cut(document: &mut Vec<u8>, start: usize, number: usize) {
    let mut end = (start + KEPT).min(document.len());
    // Neither a character nor an escape (at most \u and four digits) may be cut in half.
    while end > start && document.get(end).is_some_and(|b| b & 0xc0 == 0x80) {
        end -= 1;
    }
    let tail_start = end.saturating_sub(6).max(start);
    let tail = document.get(tail_start..end).unwrap_or_default();
    if let Some(at) = tail.iter().position(|b| *b == b'\\') {
        end = tail_start + at;
        // Of two backslashes the first may be the end of a pair that began before.
        while end > start && document.get(end - 1) == Some(&b'\\') {
            end -= 1;
        }
    }
    document.truncate(end);
    document.extend_from_slice(format!("{MARK}{number}{MARK}").as_bytes());
}

fn ends_escaped(string: &[u8]) -> bool {
    string.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// The document that comes out, and the long strings as they were when they were met.
    fn elided(text: &str, piece: usize) -> (Value, Vec<Value>) {
        let mut elider = Elider::default();
        let mut seen = Vec::new();
        for chunk in text.as_bytes().chunks(piece) {
            let mut input = Bytes::copy_from_slice(chunk);
            while elider.feed(&mut input) {
                seen.push(serde_json::from_slice(&elider.so_far()).unwrap());
                elider.pass_long();
            }
        }
        (serde_json::from_slice(&elider.into_document()).unwrap(), seen)
    }

    #[test]
    fn long_values_are_cut_and_the_rest_stays() {
        let long = "A".repeat(3 * LONG);
        let text = json!({"a": [1, {"b": long, "c": "x\"y"}], "d": long, "e": {"f": null}}).to_string();
        for piece in [1, 7, 1000, LONG, usize::MAX] {
            let (document, seen) = elided(&text, piece.min(text.len()));
            assert_eq!(document["a"][1]["c"], "x\"y");
            assert_eq!(document["e"], json!({"f": null}));
            assert_eq!(number_of_cut(document["a"][1]["b"].as_str().unwrap()), Some(0));
            assert_eq!(number_of_cut(document["d"].as_str().unwrap()), Some(1));
            assert_eq!(seen.len(), 2);
            assert_eq!(number_of_cut(seen[0]["a"][1]["b"].as_str().unwrap()), Some(0));
            assert_eq!(seen[0].get("d"), None);
            assert!(document.to_string().len() < 2000);
        }
    }

    #[test]
    fn escapes_and_characters_are_not_cut_in_half() {
        for unit in ["\\\"", "\\\\", "\\u00e4", "ä", "€", "\\/", "a\\n"] {
            for shift in 0..8 {
                let text = format!("{{\"a\":\"{}{}\",\"z\":1}}", "x".repeat(shift), unit.repeat(LONG));
                let (document, seen) = elided(&text, 4096);
                assert_eq!((document["z"].as_i64(), seen.len()), (Some(1), 1), "{unit} {shift}");
            }
        }
    }

    #[test]
    fn keys_are_never_cut() {
        let text = json!({("k".repeat(2 * LONG)): {"x": 1}}).to_string();
        let (document, seen) = elided(&text, 999);
        assert_eq!((document, seen.len()), (serde_json::from_str(&text).unwrap(), 0));
    }

    proptest! {
        #[test]
        fn short_documents_come_out_as_they_went_in(
            texts in proptest::collection::vec(".{0,40}", 0..6), piece in 1usize..50
        ) {
            let value = json!({"a": texts, "b": {"c": texts.first()}, "d": [[], {}]});
            let (document, seen) = elided(&value.to_string(), piece);
            prop_assert_eq!((document, seen.len()), (value, 0));
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            let mut elider = Elider::default();
            for chunk in bytes.chunks(piece) {
                while elider.feed(&mut Bytes::copy_from_slice(chunk)) {
                    elider.pass_long();
                }
            }
        }
    }
}
