//! The samples of providers' answers in `tests/fixtures/{kind}/{state}.json`, and what a client gets of one.

// Each of the tests and benchmarks uses a part of it.
#![allow(dead_code)]

pub mod translation;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use vidgate::providers::{Job, Provider, Reply};
use vidgate::video::VideoId;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// The page whose fields the sample is composed from.
    pub source: String,
    /// The id that a client asks for.
    id: String,
    replies: Vec<Sample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A JSON body.
    body: Option<Value>,
    /// A body that is not JSON.
    text: Option<String>,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Where the sample of a kind in a state is, if there is one.
pub fn path(kind: &str, state: &str) -> PathBuf {
    root().join(kind).join(format!("{state}.json"))
}

/// All samples of a kind, sorted by name.
pub fn paths(kind: &str) -> Vec<PathBuf> {
    let folder = root().join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("expect.json") && !path.to_string_lossy().ends_with(".answer.json"))
        .collect();
    files.sort();
    files
}

impl Fixture {
    pub fn read(path: &Path) -> Fixture {
        let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn id(&self) -> VideoId {
        VideoId::parse(&self.id).unwrap()
    }

    pub fn replies(&self) -> Vec<Reply> {
        self.replies.iter().map(Sample::reply).collect()
    }
}

impl Sample {
    fn reply(&self) -> Reply {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let body = match (&self.body, &self.text) {
            (Some(body), None) => Bytes::from(serde_json::to_vec(body).unwrap()),
            (None, Some(text)) => Bytes::from(text.clone()),
            _ => panic!("a reply has either a body or a text"),
        };
        Reply { status: StatusCode::from_u16(self.status).unwrap(), headers, body, received_at: 1_760_000_000 }
    }
}

/// The job that an unfolded name stands for.
pub fn job<'a>(row: &Provider, name: &'a str) -> Job<'a> {
    row.job.check(name).unwrap_or_else(|| panic!("{name} is no job of {}", row.kind))
}
