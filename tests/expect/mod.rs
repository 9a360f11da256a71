//! What a kind's documents say must be seen of it: `tests/fixtures/{kind}/expect.json`, which its fixtures bring along.
//! The tests of the sandbox, of the fixtures and of the proxy read it, so that none of them has to name the kind.
//!
//! Jobs are those of the sandbox, and `00` to `08`, `10`, `11` and `40` to `53` its outcomes.

// Each of the tests reads a part of it.
#![allow(dead_code)]

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Fixtures that cannot be, each with the reason.
    #[serde(default)]
    pub no_such_state: BTreeMap<String, String>,
    /// The headers that its API needs, with `{key}` where the credential stands.
    pub headers: BTreeMap<String, String>,
    /// What is no name of a job, though any text without white space might be.
    pub no_jobs: Vec<String>,
    /// One for each example of the sandbox's row, in its order.
    pub jobs: Vec<Form>,
}

/// A form that names of jobs take.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The documented call below the base URL: `{job}` is the name, `{last}` what follows its last `/` or `:`.
    call: String,
    body: Option<Value>,
    /// Where an answer has its state word. Those that are there count, in this order.
    word: Vec<String>,
    pub outcomes: BTreeMap<String, Outcome>,
    /// Where a refusal has its reason: the first that is there. A name without a slash is a header's.
    reason: Vec<String>,
    pub refusals: BTreeMap<String, Refusal>,
}

/// What becomes of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The provider's word for it, empty where it has none.
    pub word: String,
    /// What a client gets: the status, and the code of the job's error.
    pub status: String,
    pub error: Option<String>,
    pub filter: Option<Filter>,
    /// `base64` where the video stands in the answer.
    pub video: Option<String>,
}

/// What a client gets of a moderation.
#[derive(Deserialize, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// How many videos are gone, where that is known.
    pub count: Option<u64>,
    /// There are words about it.
    pub reasons: bool,
}

/// How the provider says no; under `none`, to a request without credentials.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub status: Option<u16>,
    pub reason: Option<String>,
    pub client: Option<Told>,
}

/// What a client gets of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    pub code: Option<String>,
    /// Part of the message.
    pub says: Option<String>,
    pub r#type: Option<String>,
    pub param: Option<String>,
}

/// The outcomes of which every form of jobs says what becomes of them.
pub const OUTCOMES: &[&str] = &["10", "11", "00", "01", "02", "03", "04", "05", "06", "07", "08"];

/// What must be seen of a kind.
pub fn of(kind: &str) -> Expectations {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(kind).join("expect.json");
    let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

impl Expectations {
    /// The headers besides the credential.
    pub fn plain_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(_, value)| !value.contains("{key}"))
    }
}

impl Form {
    /// Method, path with query, and body of the documented call for a job.
    pub fn call(&self, job: &str) -> (&str, String, String) {
        let last = job.rsplit(['/', ':']).next().unwrap();
        let (method, path) = self.call.split_once(' ').unwrap();
        let body = self.body.as_ref().map_or(String::new(), Value::to_string);
        (method, path.replace("{job}", job).replace("{last}", last), body.replace("{job}", job))
    }

    pub fn outcome(&self, code: &str) -> &Outcome {
        self.outcomes.get(code).unwrap_or_else(|| panic!("nothing is expected of outcome {code} of {}", self.call))
    }

    /// The state word of an answer.
    pub fn word(&self, answer: &Value) -> String {
        let words: Vec<String> = self.word.iter().filter_map(|pointer| text(answer, pointer)).collect();
        words.join(" ")
    }

    /// The reason that a refusal gives.
    pub fn reason(&self, answer: &Value, header: impl Fn(&str) -> Option<String>) -> Option<String> {
        self.reason.iter().find_map(|place| match place.starts_with('/') {
            true => text(answer, place),
            false => header(place),
        })
    }

    /// The HTTP status of a refusal, where it is not this one.
    pub fn status_of(&self, refusal: &str, usual: u16) -> u16 {
        self.refusals.get(refusal).and_then(|refusal| refusal.status).unwrap_or(usual)
    }
}

fn text(answer: &Value, pointer: &str) -> Option<String> {
    match answer.pointer(pointer)? {
        Value::Null | Value::Object(_) | Value::Array(_) => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
