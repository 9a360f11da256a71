//! The providers: a table row and two pure functions each, no I/O, no clock.
//!
//! A row says what is fixed about a provider: its address, its credentials, how its jobs are named,
//! how long its results live. `request` turns a job into the provider's own call, `read` turns the
//! provider's replies into a [`Video`](crate::video::Video). Adding a provider is one file here and one line in [`PROVIDERS`].

mod ark;
mod arn;
mod azure;
mod bedrock;
mod dashscope;
mod dialect;
mod fal;
mod fal_result;
mod gemini;
mod google;
mod google_errors;
mod interactions;
mod job;
mod kling;
mod luma;
mod minimax;
mod minimax_errors;
mod openai;
mod openrouter;
mod outputs;
mod pixverse;
mod replicate;
mod runware;
mod runway;
mod states;
mod step;
#[cfg(test)]
mod testing;
mod together;
mod verdict;
mod vertex;
mod vidu;
mod wire;
mod xai;
mod zhipu;

pub use arn::Arn;
pub use dialect::{retry_after, said};
pub use job::{Job, JobRule};
pub use states::{State, States};
pub use step::{Call, Reply, Step};

use crate::video::Lifetime;
use std::time::Duration;

/// Every provider this build knows, in the order in which they are listed to people.
pub static PROVIDERS: &[&Provider] = &[
    &openai::OPENAI,
    &azure::AZURE,
    &gemini::GEMINI,
    &vertex::VERTEX,
    &runway::RUNWAY,
    &replicate::REPLICATE,
    &runware::RUNWARE,
    &xai::XAI,
    &openrouter::OPENROUTER,
    &together::TOGETHER,
    &bedrock::BEDROCK,
    &luma::LUMA,
    &fal::FAL,
    &kling::KLING,
    &minimax::MINIMAX,
    &dashscope::DASHSCOPE,
    &ark::ARK,
    &zhipu::ZHIPU,
    &vidu::VIDU,
    &pixverse::PIXVERSE,
];

/// The row of a kind (`openai`, `runway`, …), or `None` when there is no such kind.
pub fn find(kind: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().copied().find(|row| row.kind == kind)
}

/// One provider: what is fixed about it, and the two functions that translate.
pub struct Provider {
    /// The word written as `kind` in the config.
    pub kind: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Where the provider documents its status call.
    pub docs: &'static str,
    pub base_url: BaseUrl,
    /// The ways to authenticate, tried in this order against the fields that a credential has.
    pub credentials: &'static [CredentialForm],
    /// Headers that the API demands on every call, besides the credentials; [`FRESH_UUID`] stands for a value that is
    /// never sent twice.
    pub headers: &'static [(&'static str, &'static str)],
    pub job: JobRule,
    /// How often the provider wants to be polled; what `openai-poll-after-ms` says by default.
    pub poll_interval: Duration,
    /// How long results can be downloaded, where the provider documents it.
    pub result_lifetime: Lifetime,
    /// Hosts that result links may live on: a host, or `.suffix` for all below it.
    pub link_hosts: &'static [&'static str],
    /// Result links on the API's own host need the operator's credentials.
    pub own_links_need_credentials: bool,
    /// Its answers may hold the bytes of a video, in base64.
    pub results_may_be_inline: bool,
    /// What else there is of a video besides its bytes.
    pub variants: Variants,
    /// The words for the states of its jobs; for each form of job names, where they differ, with that form before it.
    pub states: &'static [(&'static str, States)],
    /// The first call for a job.
    pub request: fn(&Job<'_>) -> Call,
    /// What the replies so far say. The replies are in the order of the calls; the last one is new.
    pub read: for<'a> fn(&Job<'a>, &'a [Reply]) -> Step<'a>,
}

/// Other renderings of a finished video.
pub struct Variants {
    /// Their names in `?variant=`: `thumbnail`, `spritesheet`.
    pub names: &'static [&'static str],
    /// Where one of them is, given where the video is (a path of the API).
    pub path: fn(&str, &str) -> Option<String>,
}

/// For providers that have the video and nothing else.
pub const NO_VARIANTS: Variants = Variants { names: &[], path: |_, _| None };

/// Each row is the only one of its kind.
impl PartialEq for Provider {
    fn eq(&self, other: &Provider) -> bool {
        std::ptr::eq(self, other)
    }
}

/// The value of a row's header that is made anew for every request.
pub const FRESH_UUID: &str = "{a fresh UUID}";

/// Where a provider's API lives when the config does not say.
#[derive(Clone, Copy)]
pub enum BaseUrl {
    /// One address for everybody.
    Fixed(&'static str),
    /// Each customer has an address of their own; the config must give it. The form is shown to people.
    Required { form: &'static str },
    /// The job's name holds the region. `build` gives `None` for a region that cannot exist.
    FromJob { form: &'static str, build: fn(&Job<'_>) -> Option<String> },
}

/// One way to authenticate.
pub struct CredentialForm {
    /// The fields that it needs, as written under `credentials` (`entra.tenant_id` is nested).
    pub fields: &'static [&'static str],
    pub scheme: Scheme,
}

/// How a credential becomes part of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer {first field}`.
    Bearer,
    /// `Authorization: {this word} {first field}`, for providers that have a word of their own for it.
    Authorization(&'static str),
    /// A header of the provider's own, holding the first field.
    Header(&'static str),
    /// A Google service-account key (JSON): signs for an access token, sent as bearer.
    GoogleServiceAccount,
    /// An access key and a secret key of Kling: a token that names the first and is signed with the second, sent as bearer.
    KlingKeys,
    /// Microsoft Entra client credentials (tenant, client, secret): an access token, sent as bearer.
    EntraClientSecret,
    /// AWS Signature Version 4 for this service (access key id, secret, perhaps a session token). The job's name is an
    /// [`Arn`], whose region the signature is for.
    AwsSignature { service: &'static str },
}

impl Provider {
    /// What the replies so far say, with the rules applied that hold for every provider.
    pub fn translate<'a>(&self, job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
        let mut step = (self.read)(job, replies);
        if let Step::Done(video) = &mut step {
            video.settle(self.result_lifetime);
        }
        step
    }
}
