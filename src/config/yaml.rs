//! YAML text turned into a tree that keeps the order of the file and both halves of a duplicate key.

use super::environment::MAX_FILE;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, MessageFormatter, NonFiniteFloatPolicy, Options, UserMessageFormatter};
use std::fmt;

/// One value of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Flag(bool),
    Whole(i128),
    Number(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// A value that was found wrong and reported; whoever reads it says no more about it.
    Broken,
}

/// A string, and how it was written when that is something else.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub value: String,
    /// The text before `${…}` was filled in. Messages show this one: the other may come from a secret store.
    pub written: Option<String>,
}

/// Reads one YAML document. The error says line and column, and repeats nothing of the text.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    if text.len() as u64 > MAX_FILE {
        return Err(format!("the file holds {} bytes, more than the 4 MiB that a config may have", text.len()));
    }
    // A file of comments alone has no document at all.
    let node: Option<Node> = serde_saphyr::from_str_with_options(text, options()).map_err(|error| describe(&error))?;
    Ok(node.unwrap_or(Node::Null))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_documents: 1,
            max_aliases: 1_000,
            max_nodes: 200_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        // Both are kept, so that every duplicate is reported with its path and not only the first with its line.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `off` and `yes` stay text until a field asks for a flag.
        strict_booleans: true,
        // An id with a leading zero is not a number.
        leading_zero_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        // A snippet would print the line, and the line may hold a key.
        with_snippet: false,
    }
}

fn describe(error: &Error) -> String {
    let error = error.without_snippet();
    let what = match error {
        // The tag is what follows a `!`; an unquoted password may begin with one.
        Error::UnsupportedTag { .. } => "a value begins with `!`, which YAML reads as a tag; put it in quotes".into(),
        Error::NullIntoString { .. } => "a key is empty".into(),
        Error::MultipleDocuments { .. } => "a second YAML document begins here; one is expected".into(),
        Error::SerdeInvalidType { .. } | Error::SerdeInvalidValue { .. } => {
            "a key or a value has the wrong type".into()
        }
        Error::Budget { .. } => "the file is nested too deeply, or holds too many values or aliases".into(),
        other => UserMessageFormatter.format_message(other).into_owned(),
    };
    match error.location() {
        Some(at) if at.line() > 0 => format!("line {}, column {}: {what}", at.line(), at.column()),
        _ => what,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        Node::deserialize(from)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Whole(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Whole(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(i128::try_from(value).map_or(Node::Number(value as f64), Node::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(Text { value: value.to_owned(), written: None }))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(Text { value, written: None }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry::<String, Node>()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: &str) -> Node {
        Node::Text(Text { value: value.into(), written: None })
    }

    #[test]
    fn scalars_keep_their_type_and_duplicates_are_kept_both() {
        let table = [
            ("a: 1", Node::Whole(1)),
            ("a: -7", Node::Whole(-7)),
            ("a: 1.5", Node::Number(1.5)),
            ("a: true", Node::Flag(true)),
            ("a: off", text("off")),
            ("a: ~", Node::Null),
            ("a:", Node::Null),
            ("a: \"\"", text("")),
            ("a: 2027-12-31", text("2027-12-31")),
            ("a: 0123", text("0123")),
            ("a: ${X}", text("${X}")),
            ("a: .nan", text(".nan")),
            ("a: 127.0.0.1:8080", text("127.0.0.1:8080")),
            ("a: [1, x]", Node::List(vec![Node::Whole(1), text("x")])),
        ];
        for (yaml, want) in table {
            assert_eq!(parse(yaml), Ok(Node::Map(vec![("a".into(), want)])), "{yaml}");
        }
        let twice = Node::Map(vec![("a".into(), Node::Whole(1)), ("a".into(), Node::Whole(2))]);
        assert_eq!(parse("a: 1\na: 2"), Ok(twice));
        for nothing in ["", "  \n", "# only a comment\n", "---\n", "null"] {
            assert_eq!(parse(nothing), Ok(Node::Null), "{nothing:?}");
        }
    }

    #[test]
    fn syntax_errors_say_line_and_column_and_nothing_of_the_text() {
        let table = [
            ("a: [1, 2", "line 1"),
            ("a: 1\n  b: sk-secret", "line 2, column"),
            ("a: 1\nb: \"sk-secret", "line 2"),
            ("a: 1\nb: !sk-secret x", "line 2, column 15"),
            ("a: 1\n\tb: sk-secret", "line 1"),
            ("a: *sk-secret", "line 1, column 4"),
            ("a: 1\n---\nsk-secret: 2", "line"),
            ("? {sk-secret: 1}\n: 2", "line 1"),
            ("a: {api_key: ${SECRET}}", "line 1"),
            ("a: !!int sk-secret", "line 1"),
            ("a: !!binary sk-secret", "line 1"),
        ];
        for (yaml, place) in table {
            let message = parse(yaml).expect_err(yaml);
            assert!(message.starts_with(place), "{yaml:?}: {message}");
            assert!(!message.contains("secret") && !message.contains("SECRET"), "{yaml:?}: {message}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut aliases = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let below = format!("*a{},", level - 1).repeat(10);
            aliases.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        let deep = format!("a: {}{}", "[".repeat(5_000), "]".repeat(5_000));
        let large = format!("a: {}", "x".repeat(5 << 20));
        for bomb in [aliases, deep, large] {
            assert!(parse(&bomb).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(?s).{0,200}", yaml in "[-a-c:\\[\\]{}&*!|>'\"#%@ \n\t?,0-9]{0,120}") {
            let _ = parse(&text);
            let _ = parse(&yaml);
        }
    }
}
