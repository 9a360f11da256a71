//! The config that comes with the program, held against what the reader asks for.

use crate::config::settings::{Settings, read};
use crate::config::testing::{World, world};
use crate::config::tree::Reading;
use crate::providers::PROVIDERS;
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
  bedrock: {credentials: {api_key: k}}
  kling: {credentials: {api_key: k}}
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
    read(EVERYTHING, PROVIDERS, &reading).expect("the syntax is right");
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
    let shown = |yaml: &str| match Settings::parse_with(yaml, PROVIDERS, &World::default()) {
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
    match Settings::parse_with(&yaml, PROVIDERS, &world_with_variables_of(&[&yaml])) {
        Ok(settings) => assert_eq!(settings.providers.len(), PROVIDERS.len(), "{yaml}"),
        Err(faults) => panic!("{yaml}\n{faults}"),
    }
}

#[test]
fn the_examples_load() {
    let texts = [
        include_str!("../../../conf/examples/all-providers.yaml"),
        include_str!("../../../conf/examples/passthrough.yaml"),
        include_str!("../../../conf/examples/client-keys.yaml"),
    ];
    let world = world_with_variables_of(&texts);
    for text in texts {
        if let Err(faults) = Settings::parse_with(text, PROVIDERS, &world) {
            panic!("{text}\n{faults}");
        }
    }
}

/// A world in which every variable is set that these texts name.
fn world_with_variables_of(texts: &[&str]) -> World {
    let mut world = world();
    for name in texts.iter().flat_map(|text| text.split("${").skip(1)).filter_map(|rest| rest.split('}').next()) {
        world = world.variable(name, if name == "GOOGLE_APPLICATION_CREDENTIALS" { "/google.json" } else { "value" });
    }
    world
}
