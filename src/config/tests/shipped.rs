//! The config that comes with the program, held against what the reader asks for.

use crate::config::settings::{Settings, read};
use crate::config::testing::{KINDS, World, world};
use crate::config::tree::Reading;
use std::collections::BTreeSet;

const REFERENCE: &str = include_str!("../../../conf/vidgate.yaml");

/// Touches every part of the reader.
const EVERYTHING: &str = "
listen: {addr: 127.0.0.1:1, tls: {cert: /tls/cert.pem, key: /tls/key.pem}}
limits: {}
client_rate: {}
passthrough: {match: {}, upstreams: http://a, health_check: {path: /h}}
client_auth: {keys: [{name: a, sha256: x}]}
log: {}
traces: {endpoint: http://a, headers: {}}
poll_cache: {}
providers:
  azure: {credentials: {entra: {}}, breaker: {}, poll: {}, content: {}, headers: {}}
  vertex: {credentials: {access_token: t}}
";

/// The reference with its commented lines written out, as far as they are settings.
fn words_of_reference() -> BTreeSet<&'static str> {
    let key = |word: &'static str| word.strip_suffix(':').map(|key| key.trim_start_matches(['{', '[']));
    REFERENCE.split_whitespace().filter_map(key).collect()
}

#[test]
fn every_key_that_is_read_stands_in_the_reference() {
    let world = world();
    let reading = Reading::new(&world);
    read(EVERYTHING, KINDS, &reading).expect("the syntax is right");
    let written = words_of_reference();
    let asked = reading.asked.borrow();
    assert!(asked.len() > 60, "{asked:#?}");
    for path in asked.iter() {
        let key = path.rsplit('.').next().unwrap_or_default();
        assert!(written.contains(key), "`{path}` is missing in conf/vidgate.yaml");
    }
}

#[test]
fn the_reference_writes_the_defaults() {
    let shown = |yaml: &str| match Settings::parse_with(yaml, KINDS, &World::default()) {
        Ok(settings) => format!("{settings:#?}"),
        Err(faults) => panic!("{faults}"),
    };
    let bare = "providers: {local: {kind: openai, base_url: 'http://127.0.0.1:30000/v1'}}";
    assert_eq!(shown(REFERENCE), shown(bare));
}

#[test]
fn the_commented_examples_load_too() {
    // A line of settings begins with a key, a dash or a brace; prose begins with a capital letter.
    let is_setting = |line: &str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first == "-" || (first.ends_with(':') && first.starts_with(|c: char| c.is_ascii_lowercase()) && first != "or:")
    };
    let start = REFERENCE.find("  # openai:").expect("the examples");
    let mut yaml = String::from("providers:\n");
    let mut second_form = false;
    for line in REFERENCE[start..].lines() {
        let line = line.replacen("# ", "", 1);
        // Another form of the same credentials would be the same key again.
        second_form = (second_form || line.contains("# or")) && !line.trim().is_empty();
        if is_setting(&line) && !second_form {
            yaml.push_str(&line);
            yaml.push('\n');
        }
    }
    let variables = ["OPENAI", "AZURE_OPENAI", "GEMINI", "RUNWARE"].map(|name| format!("{name}_API_KEY"));
    let mut world = world().variable("GOOGLE_APPLICATION_CREDENTIALS", "/google.json");
    for name in variables.iter().map(String::as_str).chain(["RUNWAYML_API_SECRET", "REPLICATE_API_TOKEN"]) {
        world = world.variable(name, "k");
    }
    match Settings::parse_with(&yaml, KINDS, &world) {
        Ok(settings) => assert_eq!(settings.providers.len(), KINDS.len(), "{yaml}"),
        Err(faults) => panic!("{yaml}\n{faults}"),
    }
}

#[test]
fn the_examples_load() {
    let mut world = world().variable("GOOGLE_APPLICATION_CREDENTIALS", "/google.json");
    let texts = [
        include_str!("../../../conf/examples/all-providers.yaml"),
        include_str!("../../../conf/examples/passthrough.yaml"),
        include_str!("../../../conf/examples/client-keys.yaml"),
    ];
    for name in texts.iter().flat_map(|text| text.split("${").skip(1)).filter_map(|rest| rest.split('}').next()) {
        if name != "GOOGLE_APPLICATION_CREDENTIALS" {
            world = world.variable(name, "value");
        }
    }
    for text in texts {
        if let Err(faults) = Settings::parse_with(text, KINDS, &world) {
            panic!("{text}\n{faults}");
        }
    }
}
