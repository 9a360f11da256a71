//! Walking the tree of a config: values that know their path and say what is wrong with them.

use super::environment::Environment;
use super::faults::{Fault, Faults};
use super::interpolate::interpolate;
use super::yaml::{Node, Text};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// One reading of a config: where its faults are gathered, and what is around it.
pub(super) struct Reading<'e> {
    environment: &'e dyn Environment,
    faults: RefCell<Vec<Fault>>,
    /// The position of each path in the file, to sort the faults by.
    places: RefCell<HashMap<String, usize>>,
    /// The path of every key that was asked for.
    #[cfg(test)]
    pub asked: RefCell<std::collections::BTreeSet<String>>,
}

impl<'e> Reading<'e> {
    pub fn new(environment: &'e dyn Environment) -> Self {
        Reading {
            environment,
            faults: RefCell::default(),
            places: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    pub fn fault(&self, path: &str, message: impl Into<String>) {
        self.faults.borrow_mut().push(Fault::new(path, message));
    }

    /// The bytes of a file that the config names.
    pub fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.environment.file(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    /// Fills in `${…}`, reports keys written twice, and notes where everything stands. Every tree goes through here once.
    pub fn prepare(&self, node: &mut Node, path: &str) {
        let mut places = self.places.borrow_mut();
        let place = places.len();
        places.entry(path.to_owned()).or_insert(place);
        drop(places);
        match node {
            Node::Text(text) => match interpolate(&text.value, self.environment) {
                Ok(None) => {}
                Ok(Some(value)) => text.written = Some(std::mem::replace(&mut text.value, value)),
                Err(message) => {
                    self.fault(path, message);
                    *node = Node::Broken;
                }
            },
            Node::List(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.prepare(item, &format!("{path}[{at}]"));
                }
            }
            Node::Map(entries) => {
                let mut seen = HashSet::new();
                for (key, value) in entries {
                    let path = child(path, key);
                    if !seen.insert(key.clone()) {
                        self.fault(&path, "this key is written twice; expected once");
                    }
                    self.prepare(value, &path);
                }
            }
            Node::Null | Node::Flag(_) | Node::Whole(_) | Node::Number(_) | Node::Broken => {}
        }
    }

    /// What went wrong, in the order of the file, or `None` when nothing did.
    pub fn finish(self) -> Option<Faults> {
        let faults = self.faults.into_inner();
        let places = self.places.into_inner();
        (!faults.is_empty()).then(|| Faults::sorted(faults, |path| place_of(path, &places)))
    }
}

/// Where a path stands in the file; what is missing stands where it would belong to.
fn place_of(path: &str, places: &HashMap<String, usize>) -> usize {
    let mut path = path;
    loop {
        if let Some(place) = places.get(path) {
            return *place;
        }
        match path.rfind(['.', '[']) {
            Some(end) => path = path.get(..end).unwrap_or_default(),
            None => return usize::MAX,
        }
    }
}

/// The path of a key below a path.
pub(super) fn child(path: &str, key: &str) -> String {
    let key: Cow<'_, str> = match key.len() <= 64 && key.bytes().all(|b| b.is_ascii_graphic()) {
        true => key.into(),
        false => key.chars().take(64).collect::<String>().escape_debug().to_string().into(),
    };
    match path {
        "" => key.into_owned(),
        path => format!("{path}.{key}"),
    }
}

/// A value of the file, with its path.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub node: &'a Node,
    pub path: String,
    pub reading: &'a Reading<'a>,
}

impl<'a> Value<'a> {
    pub fn fault(&self, message: impl Into<String>) {
        self.reading.fault(&self.path, message);
    }

    /// Reports that this is not what is expected here; a value that was reported before is not reported again.
    pub fn wrong<T>(&self, expected: &str) -> Option<T> {
        if !matches!(self.node, Node::Broken) {
            self.fault(format!("expected {expected}, found {}", self.found()));
        }
        None
    }

    /// Like [`wrong`](Self::wrong), for fields whose value must not be printed.
    pub fn wrong_secret<T>(&self, expected: &str) -> Option<T> {
        if !matches!(self.node, Node::Broken) {
            self.fault(format!("expected {expected}, found {}", self.type_name()));
        }
        None
    }

    pub fn is_null(&self) -> bool {
        matches!(self.node, Node::Null)
    }

    /// The value as people may see it. What was filled in from outside is not shown: it may be a secret.
    pub fn found(&self) -> String {
        match self.node {
            Node::Text(Text { written: Some(written), .. }) => format!("the value of {}", quoted(written)),
            Node::Text(Text { value, .. }) => quoted(value),
            Node::Flag(value) => value.to_string(),
            Node::Whole(value) => value.to_string(),
            Node::Number(value) => value.to_string(),
            _ => self.type_name().into(),
        }
    }

    fn type_name(&self) -> &'static str {
        match self.node {
            Node::Null => "nothing (null)",
            Node::Flag(_) => "a boolean (quote it to make it text)",
            Node::Whole(_) | Node::Number(_) => "a number (quote it to make it text)",
            Node::Text(Text { value, .. }) if value.is_empty() => "an empty text",
            Node::Text(_) => "other text",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
            Node::Broken => "an unusable value",
        }
    }

    /// The text, if this is text.
    pub fn as_text(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) => Some(&text.value),
            _ => None,
        }
    }

    /// A scalar in its text form, so that numbers and flags may come out of `${…}`.
    pub fn as_scalar(&self) -> Option<Cow<'a, str>> {
        match self.node {
            Node::Text(text) => Some(text.value.as_str().into()),
            Node::Flag(value) => Some(value.to_string().into()),
            Node::Whole(value) => Some(value.to_string().into()),
            Node::Number(value) => Some(value.to_string().into()),
            _ => None,
        }
    }

    /// The items of a list; anything else is reported.
    pub fn list(&self, expected: &str) -> Option<Vec<Value<'a>>> {
        match self.node {
            Node::List(_) => Some(self.one_or_many()),
            _ => self.wrong_secret(expected),
        }
    }

    /// The items of a list, or the one value that stands in its place.
    pub fn one_or_many(&self) -> Vec<Value<'a>> {
        let Node::List(items) = self.node else { return vec![self.clone()] };
        let item = |(at, node)| Value { node, path: format!("{}[{at}]", self.path), reading: self.reading };
        items.iter().enumerate().map(item).collect()
    }

    /// The entries of a mapping whose keys the user chooses, in the order of the file. Null is an empty one.
    pub fn entries(&self) -> Option<Vec<(&'a str, Value<'a>)>> {
        let entries = match self.node {
            Node::Null => return Some(Vec::new()),
            Node::Map(entries) => entries,
            _ => return self.wrong("a mapping"),
        };
        let mut seen = HashSet::new();
        let first = entries.iter().filter(|(key, _)| seen.insert(key.as_str()));
        let value = |(key, node): &'a (String, Node)| {
            (key.as_str(), Value { node, path: child(&self.path, key), reading: self.reading })
        };
        Some(first.map(value).collect())
    }
}

fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let short: String = text.chars().take(SHOWN).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{dots}\"", short.escape_debug())
}
