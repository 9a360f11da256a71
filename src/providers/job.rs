//! The provider's own name for a job, checked before anything is built from it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// Everything but the unreserved characters of RFC 3986.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same with the slash between segments.
const UNRESERVED_AND_SLASH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A job's name that its provider's rule has accepted.
///
/// It holds no control character, no white space, none of `?`, `#`, `%` and `\`, and no empty, `.` or `..` segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job<'a>(&'a str);

/// What the names of a provider's jobs look like.
pub struct JobRule {
    /// The form, for people: `a UUID`, `models/{model}/operations/{operation}`.
    pub form: &'static str,
    /// Examples that the rule accepts.
    pub examples: &'static [&'static str],
    /// Names hold slashes, so an encoded slash (`%2F`) inside a name is a slash.
    pub slashes: bool,
    /// Whether a name has the right alphabet and shape. Sees only names without hostile characters.
    pub accepts: fn(&str) -> bool,
    /// The cloud project that the name lies in, where names carry one.
    pub project: Option<for<'a> fn(&Job<'a>) -> Option<&'a str>>,
}

impl JobRule {
    /// The name as the provider writes it: for names that hold slashes, encoded ones are undone.
    pub fn unfold<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.slashes && name.contains('%') {
            Cow::Owned(name.replace("%2F", "/").replace("%2f", "/"))
        } else {
            Cow::Borrowed(name)
        }
    }

    /// Checks a name; `None` when it is not one that this provider could have given.
    pub fn check<'a>(&self, name: &'a str) -> Option<Job<'a>> {
        let is_hostile = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | '%' | '\\');
        let is_dead = |segment: &str| matches!(segment, "" | "." | "..");
        let is_safe = !name.contains(is_hostile) && !name.split('/').any(is_dead);
        let fits = is_safe && (self.slashes || !name.contains('/')) && (self.accepts)(name);
        fits.then_some(Job(name))
    }
}

impl<'a> Job<'a> {
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// The name as one segment of a path, encoded.
    pub fn segment(&self) -> String {
        utf8_percent_encode(self.0, UNRESERVED).to_string()
    }

    /// The name as several segments of a path: slashes stay, all else is encoded.
    pub fn segments(&self) -> String {
        utf8_percent_encode(self.0, UNRESERVED_AND_SLASH).to_string()
    }
}

/// A name from a provider's answer as one segment of a path, encoded. `None` for what would be no segment of its own.
pub fn segment_of(name: &str) -> Option<String> {
    let is_dead = matches!(name, "" | "." | "..");
    (!is_dead).then(|| utf8_percent_encode(name, UNRESERVED).to_string())
}

/// Segments as a path, each encoded.
pub fn path_of(segments: &[&str]) -> String {
    segments.iter().map(|segment| format!("/{}", utf8_percent_encode(segment, UNRESERVED))).collect()
}

/// `[A-Za-z0-9._-]+`.
pub fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Decimal digits, at least one and at most so many.
pub fn is_digits(name: &str, at_most: usize) -> bool {
    (1..=at_most).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_digit())
}

/// A UUID in its usual form: 8-4-4-4-12 hexadecimal digits.
pub fn is_uuid(name: &str) -> bool {
    let groups = [8, 4, 4, 4, 12];
    let mut parts = name.split('-');
    let fits = groups.iter().all(|length| {
        parts.next().is_some_and(|part| part.len() == *length && part.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    fits && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANY: JobRule = JobRule { form: "", examples: &[], slashes: true, accepts: |_| true, project: None };

    #[test]
    fn hostile_names_fit_no_rule() {
        let hostile = [
            "",
            ".",
            "..",
            "a/../b",
            "../a",
            "a/..",
            "a//b",
            "/a",
            "a/",
            "a/./b",
            "a?b",
            "a#b",
            "a%b",
            "a%2e",
            "a\\b",
            "a b",
            "a\tb",
            "a\r\nb",
            "a\0b",
            "a\u{7f}b",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{a0}b",
        ];
        for name in hostile {
            assert_eq!(ANY.check(name), None, "{name:?}");
        }
    }

    #[test]
    fn uuids_are_told_from_others() {
        assert!(is_uuid("24cd5dff-cb81-4db5-8506-b72a9425f9d1"));
        assert!(is_uuid("24CD5DFF-CB81-4DB5-8506-B72A9425F9D1"));
        for name in [
            "24cd5dffcb814db58506b72a9425f9d1",
            "24cd5dff-cb81-4db5-8506-b72a9425f9d1-a",
            "",
            "g4cd5dff-cb81-4db5-8506-b72a9425f9d1",
        ] {
            assert!(!is_uuid(name), "{name}");
        }
    }

    #[test]
    fn digits_are_told_from_others() {
        assert!(is_digits("0", 3) && is_digits("123", 3));
        for name in ["", "1234", "12a", "-1", "+1", "1.0", "٣"] {
            assert!(!is_digits(name, 3), "{name}");
        }
    }

    #[test]
    fn encoded_slashes_are_undone_only_where_names_hold_slashes() {
        assert_eq!(ANY.unfold("a%2Fb%2fc"), "a/b/c");
        let flat = JobRule { slashes: false, ..ANY };
        assert_eq!(flat.unfold("a%2Fb"), "a%2Fb");
        assert_eq!(flat.check("a/b"), None);
    }

    #[test]
    fn a_name_from_an_answer_stays_one_segment() {
        assert_eq!(segment_of("gen_01").as_deref(), Some("gen_01"));
        assert_eq!(segment_of("../a?b#c d").as_deref(), Some("..%2Fa%3Fb%23c%20d"));
        for dead in ["", ".", ".."] {
            assert_eq!(segment_of(dead), None, "{dead}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_name_stays_in_its_place_in_a_path(name in "\\PC{1,60}") {
            if let Some(job) = ANY.check(&name) {
                let path = job.segments();
                prop_assert!(path.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#'));
                prop_assert!(!path.split('/').any(|segment| matches!(segment, "" | "." | "..")));
                prop_assert!(!job.segment().contains('/'));
            }
        }
    }
}
