//! The configs that come with the program load as they stand.

use std::env::VarError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use vidgate::config::{Environment, Settings};
use vidgate::providers::PROVIDERS;

/// A machine on which every variable is set and every file is there.
struct Complete {
    pem: String,
}

impl Complete {
    fn new() -> Self {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        Complete { pem: pair.cert.pem() + &pair.signing_key.serialize_pem() }
    }
}

impl Environment for Complete {
    fn variable(&self, name: &str) -> Result<String, VarError> {
        match name {
            "GOOGLE_APPLICATION_CREDENTIALS" => Ok("/etc/vidgate/google.json".into()),
            name => Ok(format!("value-of-{}", name.to_lowercase().replace('_', "-"))),
        }
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("pem") => self.pem.clone(),
            Some("json") => r#"{"client_email":"a@example.iam","private_key":"key","project_id":"p"}"#.into(),
            _ => "text\n".into(),
        };
        Ok(text.into_bytes())
    }
}

/// A machine on which there is nothing.
struct Empty;

impl Environment for Empty {
    fn variable(&self, _: &str) -> Result<String, VarError> {
        Err(VarError::NotPresent)
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")
}

/// Every YAML file below a folder.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_config_that_comes_with_the_program_loads() {
    let files = yaml_files(&conf());
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("a text");
        if let Err(faults) = Settings::parse_with(&text, PROVIDERS, &Complete::new()) {
            panic!("{}:\n{faults}", file.display());
        }
    }
}

#[test]
fn the_reference_config_needs_no_environment() {
    let text = fs::read_to_string(conf().join("vidgate.yaml")).expect("a text");
    if let Err(faults) = Settings::parse_with(&text, PROVIDERS, &Empty) {
        panic!("{faults}");
    }
}

#[test]
fn the_reference_config_shows_every_kind() {
    let text = fs::read_to_string(conf().join("vidgate.yaml")).expect("a text");
    for row in PROVIDERS {
        let start = format!("{}:", row.kind);
        let names = |line: &str| line.trim_start_matches([' ', '#']).split_whitespace().next() == Some(&start);
        assert!(text.lines().any(names), "{}", row.kind);
    }
}

#[test]
fn one_example_has_every_kind() {
    let text = fs::read_to_string(conf().join("examples/all-providers.yaml")).expect("a text");
    let settings = Settings::parse_with(&text, PROVIDERS, &Complete::new()).expect("a config");
    let missing: Vec<&str> = PROVIDERS
        .iter()
        .filter(|row| !settings.providers.iter().any(|entry| entry.kind == **row))
        .map(|row| row.kind)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
