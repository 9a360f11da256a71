//! A world and a provider table for the tests of the config.

use super::environment::Environment;
use super::faults::Faults;
use super::settings::Settings;
use crate::providers::{BaseUrl, Call, CredentialForm, Job, JobRule, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ErrorKind, Lifetime};
use http::Method;
use std::collections::HashMap;
use std::env::VarError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Variables and files that exist only in a test.
#[derive(Default)]
pub struct World {
    variables: HashMap<String, String>,
    files: HashMap<PathBuf, Vec<u8>>,
}

impl World {
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    pub fn file(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.into(), bytes.as_ref().to_vec());
        self
    }
}

impl Environment for World {
    fn variable(&self, name: &str) -> Result<String, VarError> {
        self.variables.get(name).cloned().ok_or(VarError::NotPresent)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub const GOOGLE_KEY: &str =
    r#"{"type":"service_account","project_id":"proj-1","private_key":"sk-pem","client_email":"a@b.iam"}"#;

/// The world most tests live in.
pub fn world() -> World {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    World::default()
        .variable("OPENAI_API_KEY", "sk-from-env")
        .variable("EMPTY", "")
        .variable("N", "4")
        .variable("NEWLINE", "sk-a\nsk-b")
        .variable("TIMEOUT", "7s")
        .file("/tls/cert.pem", pair.cert.pem())
        .file("/tls/key.pem", pair.signing_key.serialize_pem())
        .file("/tls/two.pem", pair.cert.pem().repeat(2))
        .file("/tls/empty.pem", "")
        .file("/tls/broken.pem", "-----BEGIN CERTIFICATE-----\nsk-%%%\n-----END CERTIFICATE-----\n")
        .file("/google.json", GOOGLE_KEY)
        .file("/google-bad.json", r#"{"private_key":"sk-pem","client_email":7}"#)
        .file("/google-uri.json", GOOGLE_KEY.replace("\"type\"", "\"token_uri\":\"http://sk-evil.example\",\"type\""))
        .file("/keys.yaml", format!("- {{name: file-1, sha256: {}}}\n", "ab".repeat(32)))
        .file("/keys-bad.yaml", "- {name: file-1, sha256: sk-x}\n- {nam: y}\n")
        .file("/keys-syntax.yaml", "- [\n")
        .file("/binary", [0xff, 0x00])
}

/// Reads a config in that world.
pub fn parse(text: &str) -> Result<Settings, Faults> {
    Settings::parse_with(text, KINDS, &world())
}

fn request(_: &Job<'_>) -> Call {
    Call { method: Method::GET, path: "/".into(), body: None }
}

fn read<'a>(_: &Job<'a>, _: &'a [Reply]) -> Step<'a> {
    Step::Failed(ApiError::new(ErrorKind::VideoNotFound))
}

const fn row(kind: &'static str, base_url: BaseUrl, credentials: &'static [CredentialForm]) -> Provider {
    let job = JobRule { form: "any", examples: &["x"], slashes: false, accepts: |_| true, project: None };
    Provider {
        kind,
        title: kind,
        docs: "",
        base_url,
        credentials,
        headers: &[],
        job,
        poll_interval: Duration::from_secs(10),
        result_lifetime: Lifetime::Unknown,
        link_hosts: &[],
        own_links_need_credentials: false,
        results_may_be_inline: false,
        variants: NO_VARIANTS,
        states: &[],
        request,
        read,
    }
}

const fn with_project(mut row: Provider) -> Provider {
    row.job.project = Some(|_| None);
    row
}

const BEARER: &[CredentialForm] = &[CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer }];
const GEMINI: &[CredentialForm] = &[CredentialForm { fields: &["api_key"], scheme: Scheme::Header("x-goog-api-key") }];
const AZURE: &[CredentialForm] = &[
    CredentialForm { fields: &["api_key"], scheme: Scheme::Header("api-key") },
    CredentialForm {
        fields: &["entra.tenant_id", "entra.client_id", "entra.client_secret"],
        scheme: Scheme::EntraClientSecret,
    },
];
const VERTEX: &[CredentialForm] = &[
    CredentialForm { fields: &["service_account"], scheme: Scheme::GoogleServiceAccount },
    CredentialForm { fields: &["access_token"], scheme: Scheme::Bearer },
    CredentialForm { fields: &["api_key"], scheme: Scheme::Header("x-goog-api-key") },
];
const SIGNED: Scheme = Scheme::AwsSignature { service: "bedrock" };
const BEDROCK: &[CredentialForm] = &[
    CredentialForm { fields: &["access_key_id", "secret_access_key"], scheme: SIGNED },
    CredentialForm { fields: &["access_key_id", "secret_access_key", "session_token"], scheme: SIGNED },
    CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer },
];
const KLING: &[CredentialForm] = &[
    CredentialForm { fields: &["access_key", "secret_key"], scheme: Scheme::KlingKeys },
    CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer },
];

static OPENAI: Provider = row("openai", BaseUrl::Fixed("https://api.openai.com/v1"), BEARER);
static AZURE_ROW: Provider =
    row("azure", BaseUrl::Required { form: "https://{resource}.openai.azure.com/openai/v1" }, AZURE);
static GEMINI_ROW: Provider = row("gemini", BaseUrl::Fixed("https://generativelanguage.googleapis.com/v1beta"), GEMINI);
static VERTEX_ROW: Provider = with_project(row(
    "vertex",
    BaseUrl::FromJob { form: "https://{loc}-aiplatform.googleapis.com/v1", build: |_| None },
    VERTEX,
));
static RUNWAY: Provider = row("runway", BaseUrl::Fixed("https://api.dev.runwayml.com/v1"), BEARER);
static REPLICATE: Provider = row("replicate", BaseUrl::Fixed("https://api.replicate.com/v1"), BEARER);
static RUNWARE: Provider = row("runware", BaseUrl::Fixed("https://api.runware.ai/v1"), BEARER);
static BEDROCK_ROW: Provider = with_project(row(
    "bedrock",
    BaseUrl::FromJob { form: "https://bedrock-runtime.{region}.amazonaws.com", build: |_| None },
    BEDROCK,
));
static KLING_ROW: Provider = row("kling", BaseUrl::Fixed("https://api-singapore.klingai.com"), KLING);

/// The kinds of the tests: the forms of real ones, without their translation.
pub static KINDS: &[&Provider] =
    &[&OPENAI, &AZURE_ROW, &GEMINI_ROW, &VERTEX_ROW, &RUNWAY, &REPLICATE, &RUNWARE, &BEDROCK_ROW, &KLING_ROW];
