//! A second opinion: sample answers composed by others, where a folder of them is at hand, held against their notes.
//!
//! The folder is `VIDGATE_SAMPLES`, else `../shared/fixtures` beside the checkout. Without one there is nothing to hold
//! the translation against here; `fixtures.rs` has this repository's own samples.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use vidgate::providers::{Provider, Reply, Step, find};
use vidgate::video::{Envelope, VideoBody};

/// Folders whose name is not the kind's.
const FOLDERS: &[(&str, &str)] =
    &[("azure-sora1", "azure"), ("azure-sora2", "azure"), ("kling-v3", "kling"), ("minimax-v2", "minimax")];

/// The job that a folder's samples are of, where the kind has several forms of names.
const JOBS: &[(&str, &str)] = &[("kling-v3", "893605946402811985"), ("minimax-v2", "v2/424010985738629")];

/// Samples of calls other than the status of a job.
const OTHER_CALLS: &[(&str, &str)] = &[
    ("openai", "list"),
    ("openai", "deleted"),
    ("openai", "webhook_completed"),
    ("fal", "submit"),
    ("fal", "cancel_requested"),
    ("fal", "cancel_already_completed"),
    ("dashscope", "cancel_refused"),
    ("vidu", "cancel_refused"),
];

/// Kinds whose result is a second call, with the sample of a first answer and of a second one that go together.
const TWO_STEPS: &[(&str, &str, &str)] =
    &[("fal", "completed", "completed.result"), ("minimax", "completed", "files_retrieve")];

/// Samples of second answers, besides those above.
const SECOND_ANSWERS: &[(&str, &str)] =
    &[("fal", "completed.result_wrapped"), ("fal", "failed.result"), ("fal", "failed.result_infra")];

/// Samples whose notes leave open what comes of them, or take a query that failed for a job that did.
const NOTES: &[(&str, &str, &str)] = &[
    ("fal", "completed.result_wrapped", "failed"),
    ("fal", "failed.result", "HTTP 5xx"),
    ("fal", "failed.result_infra", "HTTP 5xx"),
    ("minimax", "files_retrieve", "completed"),
];

/// Kinds whose result links need the operator's key, so that a client gets a link of the proxy instead.
const KEYED_LINKS: &[&str] = &["openai", "azure", "gemini", "vertex", "bedrock", "openrouter"];

/// What a note says of an HTTP error, and what the error table makes of it.
const HTTP_NOTES: &[(&str, &[u64])] = &[
    ("400", &[400]),
    ("401", &[502]),
    ("404", &[404]),
    ("429", &[429]),
    ("HTTP 5xx", &[502, 503]),
    ("HTTP 400", &[400]),
    ("HTTP 401", &[502]),
    ("HTTP 404", &[404]),
    ("HTTP 429", &[429]),
    ("HTTP 4xx", &[400, 404]),
];

/// Fields that a note names within its words: `created_at 1785981695 (UTC+8)`.
const FIELDS_IN_NOTES: &[&str] = &["created_at", "completed_at", "size", "seconds"];

fn folder() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    std::env::var_os("VIDGATE_SAMPLES").map_or(beside, PathBuf::from)
}

fn row(folder: &str) -> Option<&'static Provider> {
    let renamed = FOLDERS.iter().find(|(name, _)| *name == folder).map(|(_, kind)| *kind);
    find(renamed.unwrap_or(folder))
}

fn reply(state: &Value, body: Vec<u8>) -> Reply {
    let mut headers = HeaderMap::new();
    for (name, value) in state["headers"].as_object().into_iter().flatten() {
        let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
        headers.insert(name.parse::<HeaderName>().unwrap(), value);
    }
    let status = StatusCode::from_u16(u16::try_from(state["http_status"].as_u64().unwrap()).unwrap()).unwrap();
    Reply { status, headers, body: Bytes::from(body), received_at: 1_760_000_000 }
}

/// A sample with those that belong before and after it, in the order of the calls.
fn answers(folder: &Path, name: &str, state: &str, states: &Value) -> Vec<Reply> {
    let is_second = SECOND_ANSWERS.contains(&(name, state));
    let steps = TWO_STEPS
        .iter()
        .find(|(kind, first, second)| *kind == name && (is_second || [*first, *second].contains(&state)));
    let names = match steps {
        Some((_, first, _)) if is_second => vec![*first, state],
        Some((_, first, second)) => vec![*first, *second],
        None => vec![state],
    };
    let read = |state: &str| {
        let note = &states[state];
        reply(note, fs::read(folder.join(note["file"].as_str().unwrap())).unwrap())
    };
    names.into_iter().map(read).collect()
}

/// What a client gets: the status and the body.
fn answer(row: &Provider, folder: &str, replies: &[Reply]) -> Option<(u64, Value)> {
    let sample: Value = serde_json::from_slice(&replies.first()?.body).unwrap_or_default();
    let own_name = ["id", "name"].iter().find_map(|key| sample[key].as_str());
    let name = JOBS.iter().find(|(name, _)| *name == folder).map(|(_, job)| *job).or(own_name).unwrap_or_default();
    let job = row.job.check(name).or_else(|| row.job.check(row.job.examples.first()?))?;
    match row.translate(&job, replies) {
        Step::Done(video) => {
            let body = VideoBody { id: "id", provider: row.kind, video: &video, content_url: "content/" };
            Some((200, serde_json::from_slice(&body.to_json()).unwrap()))
        }
        Step::Failed(error) => {
            Some((error.status().as_u16().into(), json!(Envelope::new(&error, "id", Some(row.kind)))))
        }
        Step::Then(_) => None,
    }
}

/// What is wrong with an answer by the sample's note.
fn complaint(kind: &str, expect: &Value, status: u64, body: &Value) -> Option<String> {
    match expect {
        Value::Null => (status == 200).then(|| "an error was expected".to_owned()),
        Value::String(note) => complaint_of_note(note, status, body),
        Value::Object(map) => map.iter().find_map(|(path, want)| complaint_of_field(kind, path, want, body)),
        other => Some(format!("a note of an unknown form: {other}")),
    }
}

fn complaint_of_field(kind: &str, path: &str, want: &Value, body: &Value) -> Option<String> {
    let (path, want) = match (path, want) {
        ("url", Value::String(_)) if KEYED_LINKS.contains(&kind) => ("videos.0.url", &json!("content/0")),
        ("url", _) => ("videos.0.url", want),
        ("content_type", _) => ("videos.0.content_type", want),
        _ => (path, want),
    };
    let pointer = format!("/{}", path.replace('.', "/"));
    let got = body.pointer(&pointer).unwrap_or(&Value::Null);
    let fits = match want {
        Value::Bool(set) => got.is_null() != *set,
        Value::String(text) if text.contains(" or ") => got.as_str().is_some_and(|got| text.contains(got)),
        _ => got == want,
    };
    (!fits).then(|| format!("{path} is {got}, expected {want}"))
}

fn complaint_of_note(note: &str, status: u64, body: &Value) -> Option<String> {
    if let Some((_, fits)) = HTTP_NOTES.iter().find(|(http, _)| note.starts_with(http)) {
        return (!fits.contains(&status)).then(|| format!("answered {status}, expected {note}"));
    }
    let got = body["status"].as_str().unwrap_or_default();
    let says = |word: &str| note.contains(word);
    let words = note.split([' ', ',', ';', '(']).next().unwrap_or_default();
    let has_field = |name: &&&str| told(note, name).is_none_or(|want| text_of(&body[**name]) == want);
    let percent = note.split("progress ").nth(1).and_then(|tail| tail.split([' ', '(']).next()?.parse::<u64>().ok());
    let fits = words.split('/').any(|word| got == word)
        && FIELDS_IN_NOTES.iter().all(|name| has_field(&name))
        && (!says("content_filter") || !body["content_filter"].is_null())
        && (!says("cancelled") || body["error"]["code"] == "cancelled")
        && percent.is_none_or(|percent| body["progress"] == percent);
    (!fits).then(|| format!("answered {body}, expected {note}"))
}

/// What a note says of a field, without quotes; `None` where it does not name it.
fn told<'a>(note: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = note.split_once(&format!("{name} "))?;
    rest.split([' ', ',', ';']).next().map(|value| value.trim_matches('"'))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn samples_of_others_are_read_as_their_notes_expect() {
    let Ok(folders) = fs::read_dir(folder()) else { return };
    let (mut read, mut complaints) = (0, Vec::new());
    for path in folders.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(row) = row(&name) else { continue };
        let index: Value = serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap();
        for (state, note) in index["states"].as_object().unwrap() {
            if OTHER_CALLS.contains(&(name.as_str(), state.as_str())) {
                continue;
            }
            let replies = answers(&path, &name, state, &index["states"]);
            let Some((status, body)) = answer(row, &name, &replies) else {
                panic!("{name}/{state}: a call is missing")
            };
            read += 1;
            let settled = NOTES.iter().find(|(kind, of, _)| (*kind, *of) == (name.as_str(), state.as_str()));
            let expect = settled.map_or_else(|| note["expect"].clone(), |(_, _, note)| Value::from(*note));
            if let Some(why) = complaint(row.kind, &expect, status, &body) {
                complaints.push(format!("{name}/{state}: {why}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(read > 0, "the folder holds no sample of a known kind");
}
