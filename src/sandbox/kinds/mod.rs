//! The kinds: a row and three pure functions each.

mod ark;
mod azure;
mod bedrock;
mod dashscope;
mod fal;
mod gemini;
mod google;
mod kling;
mod luma;
mod minimax;
mod openai;
mod openrouter;
mod pixverse;
mod replicate;
mod runware;
mod runway;
mod together;
mod vertex;
mod vidu;
mod xai;
mod zhipu;

use super::credentials::Credential;
use super::poll::{Poll, Refused};
use super::reply::Reply;
use super::request::Request;
use serde_json::Value;

/// Every kind that the sandbox speaks.
pub static KINDS: &[Kind] = &[
    openai::KIND,
    azure::KIND,
    gemini::KIND,
    vertex::KIND,
    runway::KIND,
    replicate::KIND,
    runware::KIND,
    xai::KIND,
    openrouter::KIND,
    together::KIND,
    bedrock::KIND,
    luma::KIND,
    fal::KIND,
    kling::KIND,
    minimax::KIND,
    dashscope::KIND,
    ark::KIND,
    zhipu::KIND,
    vidu::KIND,
    pixverse::KIND,
];

/// The row of a kind, or `None` when the sandbox does not have it.
pub fn find(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|row| row.name == kind)
}

/// One simulated provider.
#[derive(Debug)]
pub struct Kind {
    /// The word written as `kind` in the config, and the first segment of its address here.
    pub name: &'static str,
    /// What its real base URL has after the host; follows `/{name}` here.
    pub base: &'static str,
    /// Where the provider documents what is simulated.
    pub docs: &'static str,
    /// One job of each form that its names take, all of them completing.
    pub examples: &'static [&'static str],
    /// The headers in which it takes credentials.
    pub credentials: &'static [Credential],
    /// What a request is for.
    pub(super) asks: fn(&Request<'_>) -> Ask,
    /// The provider's answer about a job.
    pub(super) answer: fn(&Poll<'_>) -> Reply,
    /// How the provider says no.
    pub(super) refuse: fn(&Refused<'_>) -> Reply,
}

impl Kind {
    /// The example jobs with another outcome: their last two characters replaced by `code`.
    pub fn jobs(&self, code: &str) -> impl Iterator<Item = String> {
        self.examples.iter().map(move |job| {
            let stem = job.len().checked_sub(2).and_then(|end| job.get(..end)).unwrap_or_default();
            format!("{stem}{code}")
        })
    }
}

/// What a request to a kind is for.
pub(super) enum Ask {
    /// How a job is doing; the job in the form in which the gateway names it.
    Job(String),
    /// What a job that has ended came to, where that is a call of its own. The first call is the one that is counted,
    /// refused and broken.
    Result(String),
    /// The bytes of a job's video, credentials needed.
    Content(String),
    /// Something that needs credentials and no job.
    Answered(Reply),
    /// Nothing that is simulated.
    Unknown,
}

impl Ask {
    /// The job, empty when there is none.
    pub(super) fn job(&self) -> &str {
        match self {
            Ask::Job(job) | Ask::Result(job) | Ask::Content(job) => job,
            Ask::Answered(_) | Ask::Unknown => "",
        }
    }
}

/// What every simulated video was asked to show.
const PROMPT: &str = "A paper boat sails down a gutter after the rain";

/// A state word that no provider has.
const UNKNOWN_STATE: &str = "reticulating";

/// A share of the work in whole percent.
fn percent(share: f64) -> u8 {
    (share * 100.0) as u8
}

/// Adds a field to an object that is built step by step.
fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
