//! A mapping with known keys, and the readers for the values that stand in it.

use super::secret::Secret;
use super::tree::{Reading, Value, child};
use super::units::{Rate, duration, rate, size};
use super::words::suggestion;
use super::yaml::Node;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A mapping that hands out its values by key and reports the keys nobody asked for.
pub(super) struct Section<'a> {
    pub path: String,
    entries: &'a [(String, Node)],
    asked: Vec<&'static str>,
    pub reading: &'a Reading<'a>,
}

impl<'a> Value<'a> {
    /// Reads a mapping. Null is an empty one, since that is what a key is whose lines are all commented out.
    pub fn section<T>(&self, read: impl FnOnce(&mut Section<'a>) -> T) -> Option<T> {
        let entries = match self.node {
            Node::Null => &[],
            Node::Map(entries) => entries.as_slice(),
            _ => return self.wrong_secret("a mapping"),
        };
        let mut section = Section { path: self.path.clone(), entries, asked: Vec::new(), reading: self.reading };
        let result = read(&mut section);
        section.report_unknown();
        Some(result)
    }
}

impl<'a> Section<'a> {
    /// The value of a key, or `None` when the key is not there.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        #[cfg(test)]
        self.reading.asked.borrow_mut().insert(self.at(key));
        let (_, node) = self.entries.iter().find(|(name, _)| name == key)?;
        Some(Value { node, path: self.at(key), reading: self.reading })
    }

    /// The value of a key; `None` when it is not there or null.
    pub fn take_set(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.take(key).filter(|value| !value.is_null())
    }

    /// Reads a key that has a default.
    pub fn or<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&Value<'a>) -> Option<T>) -> T {
        self.take(key).and_then(|value| read(&value)).unwrap_or(default)
    }

    /// Reads a key that may be absent or null.
    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
        self.take_set(key).and_then(|value| read(&value))
    }

    /// Reads a key that must be there; `expected` says what for.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.take(key) {
            Some(value) => read(&value),
            None => {
                self.fault(key, format!("this key is missing; expected {expected}"));
                None
            }
        }
    }

    pub fn fault(&self, key: &str, message: impl Into<String>) {
        self.reading.fault(&self.at(key), message);
    }

    /// The path of a key of this section.
    pub fn at(&self, key: &str) -> String {
        child(&self.path, key)
    }

    fn report_unknown(&self) {
        for (key, _) in self.entries.iter().filter(|(key, _)| !self.asked.contains(&key.as_str())) {
            let hint = match suggestion(key, self.asked.iter().copied()) {
                none if none.is_empty() => format!("; expected one of {}", self.asked.join(", ")),
                hint => hint,
            };
            self.fault(key, format!("unknown key{hint}"));
        }
    }
}

/// Readers: each reports what is wrong and then gives `None`.
impl<'a> Value<'a> {
    /// Text that is not empty.
    pub fn text(&self) -> Option<&'a str> {
        match self.as_text() {
            Some(text) if !text.is_empty() => Some(text),
            _ => self.wrong("text"),
        }
    }

    /// Text that is never printed, and not empty.
    pub fn secret(&self) -> Option<Secret> {
        match self.as_text() {
            Some(text) if !text.is_empty() => Some(Secret::from(text)),
            _ => self.wrong_secret("text that is not empty"),
        }
    }

    /// A name for logs and metrics.
    pub fn label(&self) -> Option<String> {
        let fits = |text: &&str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
        match self.as_text().filter(fits) {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            _ => self.wrong("a name of 1 to 64 visible ASCII characters without spaces"),
        }
    }

    pub fn path_text(&self) -> Option<PathBuf> {
        self.text().map(PathBuf::from)
    }

    /// `true` or `false`; `on`, `off`, `yes` and `no` will do.
    pub fn flag(&self) -> Option<bool> {
        match self.as_scalar().as_deref() {
            Some("true" | "on" | "yes") => Some(true),
            Some("false" | "off" | "no") => Some(false),
            _ => self.wrong("true or false"),
        }
    }

    /// A whole number within a range.
    pub fn whole<N>(&self, range: RangeInclusive<N>) -> Option<N>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        let number = self.as_scalar().and_then(|text| text.trim().parse().ok()).filter(|number| range.contains(number));
        number.or_else(|| self.wrong(&format!("a whole number from {} to {}", range.start(), range.end())))
    }

    /// A share: above 0, at most 1.
    pub fn ratio(&self) -> Option<f64> {
        let number = self.as_scalar().and_then(|text| text.trim().parse().ok());
        number.filter(|ratio| *ratio > 0.0 && *ratio <= 1.0).or_else(|| self.wrong("a number above 0 and at most 1"))
    }

    /// A share, none and all included.
    pub fn share(&self) -> Option<f64> {
        let number = self.as_scalar().and_then(|text| text.trim().parse().ok());
        number.filter(|share| (0.0..=1.0).contains(share)).or_else(|| self.wrong("a number from 0 to 1"))
    }

    pub fn duration(&self) -> Option<Duration> {
        let read = self.as_scalar().and_then(|text| duration(&text));
        read.or_else(|| self.wrong("a duration such as 250ms, 3s, 5m or 24h, of at most 8784h"))
    }

    pub fn time_above_zero(&self) -> Option<Duration> {
        let read = self.as_scalar().and_then(|text| duration(&text)).filter(|duration| !duration.is_zero());
        read.or_else(|| self.wrong("a duration above zero such as 250ms, 3s, 5m or 24h, of at most 8784h"))
    }

    pub fn size(&self) -> Option<u64> {
        let read = self.as_scalar().and_then(|text| size(&text));
        read.or_else(|| self.wrong("a size such as 65536, 64KiB, 16MiB or 1GiB"))
    }

    pub fn size_above_zero(&self) -> Option<u64> {
        let read = self.as_scalar().and_then(|text| size(&text)).filter(|size| *size > 0);
        read.or_else(|| self.wrong("a size above zero such as 65536, 64KiB, 16MiB or 1GiB"))
    }

    pub fn rate(&self) -> Option<Rate> {
        let read = self.as_scalar().and_then(|text| rate(&text));
        read.or_else(|| self.wrong("a rate above zero such as 50/s, 600/m or 1000/h"))
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, table: &[(&'static str, T)]) -> Option<T> {
        let text = self.as_text().unwrap_or_default();
        if let Some((_, meaning)) = table.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
        self.wrong(&words.join(" or "))
    }
}
