//! Labels. Every value is the name of a provider in the config or a word of a fixed list: never an id, a URL or a key.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::fmt;
use std::sync::Arc;

/// Where there is nothing to say.
pub const NONE: &str = "none";

/// Stands for "no configured provider". No provider can have this name.
const NOBODY: &str = "-";

/// Results of the poll cache, as in `x-vidgate-cache`.
pub const CACHE: [&str; 5] = ["hit", "miss", "coalesced", "stale", "off"];

/// Classes of HTTP statuses; the first is for no status at all.
pub const CLASSES: [&str; 6] = [NONE, "1xx", "2xx", "3xx", "4xx", "5xx"];

/// A configured name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Provider {
    pub provider: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    pub provider: Name,
    pub status: &'static str,
    pub error: &'static str,
    pub cache: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Exchange {
    pub provider: Name,
    pub status: &'static str,
    pub error: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Status {
    pub status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    pub result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Build {
    pub version: &'static str,
}

impl Name {
    pub fn of(provider: Option<&Arc<str>>) -> Name {
        Name(provider.map_or_else(|| NOBODY.into(), Arc::clone))
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        Name(name.into())
    }
}

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        EncodeLabelValue::encode(&&*self.0, encoder)
    }
}

/// The class of an HTTP status; 0 is no status.
pub fn class(status: u16) -> &'static str {
    CLASSES.get(usize::from(status / 100)).copied().unwrap_or(NONE)
}
