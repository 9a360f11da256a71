//! W3C Trace Context: which trace a request belongs to, and what of it goes upstream.
//!
//! The program is a hop: it keeps the id of the trace and whether it is sampled, and puts spans of its own in place of the
//! client's.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use std::fmt;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What everybody has to be able to pass on; longer ones are left out.
const MAX_STATE: usize = 512;

/// The id of a trace: 32 hexadecimal digits, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// The id of a span: 16 hexadecimal digits, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// A span of a trace: the one that a client told, or one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    /// Whether the spans of this trace are kept: whoever began it has decided that for all who come after.
    pub is_sampled: bool,
    /// What tracing systems say to each other; no business of ours.
    state: Option<HeaderValue>,
}

/// The id of the trace that a request belongs to: 32 hexadecimal digits.
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    parent(headers).map(|parent| parent.trace)
}

impl Span {
    /// That of the client. A header that is malformed, or comes twice, is as good as none.
    pub fn of(headers: &HeaderMap) -> Option<Span> {
        let parent = parent(headers)?;
        let trace = TraceId(u128::from_str_radix(parent.trace, 16).ok()?);
        let id = SpanId(u64::from_str_radix(parent.span, 16).ok()?);
        Some(Span { trace, id, is_sampled: parent.is_sampled, state: state(headers) })
    }

    /// The first one of a trace that is kept.
    pub fn root() -> Span {
        Span { trace: TraceId(fastrand::u128(1..)), id: SpanId::new(), is_sampled: true, state: None }
    }

    /// A new one of the same trace.
    pub fn child(&self) -> Span {
        Span { id: SpanId::new(), ..self.clone() }
    }

    /// The headers that tell it to whoever is called within it.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let parent = format!("00-{}-{}-{:02x}", self.trace, self.id, u8::from(self.is_sampled));
        let parent = HeaderValue::try_from(parent).ok().map(|parent| (TRACEPARENT, parent));
        parent.into_iter().chain(self.state.clone().map(|state| (TRACESTATE, state)))
    }
}

impl SpanId {
    fn new() -> SpanId {
        SpanId(fastrand::u64(1..))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A `traceparent` in its parts.
struct Parent<'a> {
    trace: &'a str,
    span: &'a str,
    is_sampled: bool,
}

/// `version-trace-span-flags`, and whatever a later version adds.
fn parent(headers: &HeaderMap) -> Option<Parent<'_>> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (only, None) = (given.next()?, given.next()) else { return None };
    let text = only.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_form = [(version, 2), (id, 32), (span, 16), (flags, 2)].iter().all(|(part, length)| is_hex(part, *length));
    let is_known = version != "ff" && (version != "00" || parts.next().is_none());
    let is_zero = |part: &str| part.bytes().all(|digit| digit == b'0');
    if !is_form || !is_known || is_zero(id) || is_zero(span) {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some(Parent { trace: id, span, is_sampled: flags & 1 == 1 })
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The lists of all headers in one.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let lists: Vec<&str> = headers.get_all(TRACESTATE).iter().map(|list| list.to_str().ok()).collect::<Option<_>>()?;
    let state = lists.join(",");
    let is_fit = !state.is_empty() && state.len() <= MAX_STATE;
    is_fit.then(|| HeaderValue::try_from(state).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [(TRACEPARENT, parents), (TRACESTATE, states)] {
            for value in values {
                headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
            }
        }
        headers
    }

    #[test]
    fn only_a_header_of_the_right_form_is_a_trace() {
        let table = [
            (format!("00-{ID}-b7ad6b7169203331-01"), true),
            (format!("00-{ID}-b7ad6b7169203331-00"), true),
            (format!("cc-{ID}-b7ad6b7169203331-01-what-the-future-will-be-like"), true),
            (format!("00-{ID}-b7ad6b7169203331-01-more"), false),
            (format!("ff-{ID}-b7ad6b7169203331-01"), false),
            (format!("00-{}-b7ad6b7169203331-01", ID.to_uppercase()), false),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
            (format!("00-{ID}-0000000000000000-01"), false),
            (format!("00-{ID}-b7ad6b7169203331"), false),
            (format!("00-{ID}-b7ad6b716920333-01"), false),
            (format!("00-{ID}-b7ad6b7169203331-0x"), false),
            (String::new(), false),
        ];
        for (text, want) in table {
            assert_eq!(trace_id(&headers(&[&text], &[])), want.then_some(ID), "{text}");
        }
        let good = format!("00-{ID}-b7ad6b7169203331-01");
        assert_eq!(trace_id(&headers(&[&good, &good], &[])), None);
    }

    #[test]
    fn every_call_gets_a_span_of_its_own_in_the_same_trace() {
        for (flags, want) in [("00", "00"), ("01", "01"), ("03", "01"), ("fe", "00")] {
            let parent = format!("00-{ID}-b7ad6b7169203331-{flags}");
            let client = Span::of(&headers(&[&parent], &["a=1", "b=2"])).unwrap();
            let texts = || -> Vec<String> {
                client.child().headers().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
            };
            let (one, other) = (texts(), texts());
            assert_ne!(one, other);
            assert!(one[0].starts_with(&format!("traceparent: 00-{ID}-")) && one[0].ends_with(want), "{one:?}");
            assert!(!one[0].contains("b7ad6b7169203331") && one[0].len() == "traceparent: ".len() + 55, "{one:?}");
            assert_eq!(one[1], "tracestate: a=1,b=2");
        }
    }

    #[test]
    fn a_state_that_is_too_long_stays_here() {
        let parent = format!("00-{ID}-b7ad6b7169203331-01");
        let client = Span::of(&headers(&[&parent], &[&"x".repeat(513)])).unwrap();
        assert_eq!(client.headers().count(), 1);
        assert_eq!(Span::of(&headers(&[], &["a=1"])), None);
    }

    #[test]
    fn ids_keep_their_zeros() {
        let parent = format!("00-{}1-{}2-01", "0".repeat(31), "0".repeat(15));
        let client = Span::of(&headers(&[&parent], &[])).unwrap();
        assert_eq!(client.headers().next().unwrap().1, parent);
        let (one, other) = (Span::root(), Span::root());
        assert!(one.is_sampled && one.trace != other.trace && one.id != other.id);
        assert_eq!((one.trace.to_string().len(), one.id.to_string().len()), (32, 16));
    }
}
