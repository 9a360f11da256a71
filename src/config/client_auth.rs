//! Who may ask.

use super::listen::Listen;
use super::section::Section;
use super::tree::{Reading, Value};
use super::units::Rate;
use super::yaml::{self, Node};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const WAYS: &str = "either {open: true} to let anyone ask, or keys";

/// Who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing was written: anyone on this machine, since every listener is on loopback.
    Anyone,
    /// Anyone, and the operator says so.
    Open,
    /// Whoever has one of these keys; at least one.
    Keys(Vec<ClientKey>),
}

/// The key of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// For logs and metrics; unique.
    pub name: String,
    /// The SHA-256 of the key; unique.
    pub sha256: [u8; 32],
    /// The names of the provider entries it may use; default all.
    pub providers: Option<Vec<String>>,
    /// Default: no limit.
    pub rate: Option<Rate>,
    /// Unix seconds (UTC) from which on it is no longer valid; default never.
    pub expires: Option<i64>,
}

/// Reads `client_auth`. `providers` are the names that keys may be limited to.
pub(super) fn read(root: &mut Section, listen: &[Listen], providers: &[&str]) -> ClientAuth {
    let Some(value) = root.take_set("client_auth") else {
        if let Some(open) = listen.iter().find(|listen| !listen.addr.ip().is_loopback()) {
            let addr = open.addr;
            root.fault("client_auth", format!("expected {WAYS}, since {addr} is not on loopback; found neither"));
        }
        return ClientAuth::Anyone;
    };
    value.section(|section| who(section, providers)).unwrap_or(ClientAuth::Anyone)
}

fn who(section: &mut Section, providers: &[&str]) -> ClientAuth {
    let open = section.or("open", false, Value::flag);
    let mut keys = Keys { providers, list: Vec::new() };
    let inline = section.take_set("keys");
    if let Some(value) = &inline {
        keys.read_list(value);
    }
    let file = section.take_set("keys_file");
    if let Some(value) = &file {
        keys.read_file(value);
    }
    let has_keys = inline.is_some() || file.is_some();
    if open == has_keys {
        let found = if open { "both" } else { "neither" };
        section.reading.fault(&section.path, format!("expected {WAYS}; found {found}"));
    }
    if open { ClientAuth::Open } else { ClientAuth::Keys(keys.list) }
}

struct Keys<'p> {
    providers: &'p [&'p str],
    list: Vec<ClientKey>,
}

impl Keys<'_> {
    fn read_list(&mut self, value: &Value) {
        let Some(items) = value.list("a list of keys") else { return };
        if items.is_empty() {
            value.fault("expected at least one key, found an empty list");
        }
        for item in items {
            let Some(key) = item.section(|section| one(section, self.providers)).flatten() else { continue };
            for (field, taken) in [
                ("name", self.list.iter().any(|other| other.name == key.name)),
                ("sha256", self.list.iter().any(|other| other.sha256 == key.sha256)),
            ] {
                if taken {
                    item.reading
                        .fault(&format!("{}.{field}", item.path), "expected its own, found that of another key");
                }
            }
            self.list.push(key);
        }
    }

    /// The faults of the file stand below the path of the key that names it.
    fn read_file(&mut self, value: &Value) {
        let Some(path) = value.path_text() else { return };
        let read = value.reading.file(&path).and_then(|bytes| {
            let text = String::from_utf8(bytes).map_err(|_| format!("{} is not valid UTF-8", path.display()))?;
            yaml::parse(&text).map_err(|message| format!("{}: {message}", path.display()))
        });
        match read {
            Ok(node) => self.read_tree(node, &value.path, value.reading),
            Err(message) => value.fault(message),
        }
    }

    fn read_tree(&mut self, mut node: Node, path: &str, reading: &Reading) {
        reading.prepare(&mut node, path);
        self.read_list(&Value { node: &node, path: path.to_owned(), reading });
    }
}

fn one(section: &mut Section, known: &[&str]) -> Option<ClientKey> {
    let name = section.required("name", "a name for logs and metrics", Value::label);
    let sha256 = section.required("sha256", "the SHA-256 of the key as 64 hex digits", sha256);
    let providers = section.optional("providers", |value| providers(value, known));
    let rate = section.optional("rate", Value::rate);
    let expires = section.optional("expires", expires);
    Some(ClientKey { name: name?, sha256: sha256?, providers, rate, expires })
}

/// What stands there may be the key itself, so it is not shown.
fn sha256(value: &Value) -> Option<[u8; 32]> {
    let text = value.as_text().unwrap_or_default();
    let mut hash = [0; 32];
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    match digits.filter(|digits| digits.len() == 64) {
        Some(digits) => {
            for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
            }
            Some(hash)
        }
        None => value.wrong_secret("the SHA-256 of the key as 64 hex digits"),
    }
}

fn providers(value: &Value, known: &[&str]) -> Option<Vec<String>> {
    const EXPECTED: &str = "a list of at least one provider, or null for all";
    let items = value.list(EXPECTED)?;
    if items.is_empty() {
        return value.wrong(EXPECTED);
    }
    Some(items.iter().filter_map(|item| provider(item, known)).collect())
}

/// The name of a provider entry.
pub(super) fn provider(value: &Value, known: &[&str]) -> Option<String> {
    let name = value.text()?;
    match known.contains(&name) {
        true => Some(name.to_owned()),
        false => value.wrong(&format!("a name under `providers` ({})", known.join(", "))),
    }
}

/// A day, to its end in UTC, or a moment.
fn expires(value: &Value) -> Option<i64> {
    let text = value.as_text().unwrap_or_default();
    let moment = || text.parse::<Timestamp>().ok();
    let end_of_day = || {
        let day: Date = (text.len() == 10).then(|| text.parse().ok())??;
        Some(day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let time = end_of_day().or_else(moment).map(|time| time.as_second());
    time.or_else(|| value.wrong("a date such as 2027-12-31 or a time such as 2027-12-31T12:00:00Z"))
}
