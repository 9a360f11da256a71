//! The commands beside `serve`.

use crate::support::{Providers, run};
use std::process::Output;
use vidgate::providers::{PROVIDERS, find};
use vidgate::sandbox::KINDS;

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn check_sums_a_good_config_up_on_one_screen() {
    let providers = Providers::instant();
    let output = run(&["check"], Some(&providers.config("")), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    assert!(text.lines().count() <= KINDS.len() + 20, "{text}");
    for kind in KINDS {
        assert!(
            text.contains(kind.name) && text.contains(&providers.sandbox.base_url(kind.name)),
            "{}: {text}",
            kind.name
        );
    }
    assert!(!text.contains("test-key-123"), "{text}");
    assert_eq!(providers.sandbox.last_request().map(|request| request.target), None);
}

#[test]
fn check_names_every_fault_of_a_bad_config() {
    let config = "listen: nowhere\nallow_raw: perhaps\nsurprise: 1\nproviders:\n  openai: {base_url: \"ftp://x\", \
                  credentials: {api_key: \"${VIDGATE_TEST_NO_SUCH}\"}, timeout: 5}\n  runway: {credentials: {key: x}}\n  \
                  zzz: {kind: nothing}\n";
    let output = run(&["check"], Some(config), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = err(&output);
    let faults = [
        "listen",
        "allow_raw",
        "surprise",
        "providers.openai.base_url",
        "providers.openai.credentials",
        "VIDGATE_TEST_NO_SUCH",
        "providers.openai.timeout",
        "providers.runway.credentials",
        "providers.zzz.kind",
    ];
    for fault in faults {
        assert!(text.contains(fault), "{fault} is missing: {text}");
    }
    assert!(out(&output).is_empty());
    // The program refuses to serve it with the same words.
    let serve = run(&["serve"], Some(config), &[]);
    assert_eq!(serve.status.code(), Some(1));
    for fault in faults {
        assert!(err(&serve).contains(fault), "{fault} is missing: {}", err(&serve));
    }
}

#[test]
fn values_come_from_the_environment() {
    let config = "providers:\n  openai: {credentials: {api_key: \"${VIDGATE_TEST_KEY}\"}}\n";
    assert_eq!(run(&["check"], Some(config), &[("VIDGATE_TEST_KEY", "k-1")]).status.code(), Some(0));
    assert_eq!(run(&["check"], Some(config), &[]).status.code(), Some(1));
}

#[test]
fn explain_shows_the_call_and_sends_nothing() {
    let providers = Providers::instant();
    let config = providers.config("headers: {X-Team: films-secret}");
    for kind in KINDS {
        for job in kind.examples {
            let output = run(&["explain", &format!("{job}:{}", kind.name)], Some(&config), &[]);
            assert_eq!(output.status.code(), Some(0), "{job}: {}", err(&output));
            let text = out(&output);
            let lines: Vec<&str> = text.lines().collect();
            let base = providers.sandbox.base_url(kind.name);
            let (call, auth, body) = match kind.name {
                "openai" => (format!("GET {base}/videos/{job}"), "authorization: Bearer ***", ""),
                "azure" if job.starts_with("task_") => {
                    (format!("GET {base}/video/generations/jobs/{job}?api-version=preview"), "api-key: ***", "")
                }
                "azure" => (format!("GET {base}/videos/{job}"), "api-key: ***", ""),
                "gemini" => (format!("GET {base}/{job}"), "x-goog-api-key: ***", ""),
                "vertex" => {
                    let (model, _) = job.split_once("/operations/").unwrap();
                    (format!("POST {base}/{model}:fetchPredictOperation"), "authorization: Bearer ***", "operationName")
                }
                "runway" => (format!("GET {base}/tasks/{job}"), "authorization: Bearer ***", ""),
                "replicate" => (format!("GET {base}/predictions/{job}"), "authorization: Bearer ***", ""),
                "dashscope" => (format!("GET {base}/tasks/{job}"), "authorization: Bearer ***", ""),
                "ark" => (format!("GET {base}/contents/generations/tasks/{job}"), "authorization: Bearer ***", ""),
                "zhipu" => (format!("GET {base}/async-result/{job}"), "authorization: Bearer ***", ""),
                "vidu" => (format!("GET {base}/tasks/{job}/creations"), "authorization: Token ***", ""),
                "pixverse" => (format!("GET {base}/video/result/{job}"), "api-key: ***", ""),
                "runware" => (format!("POST {base}"), "authorization: Bearer ***", "getResponse"),
                "bedrock" => {
                    let arn = job.replace(':', "%3A").replace('/', "%2F");
                    (format!("GET {base}/async-invoke/{arn}"), "authorization: Bearer ***", "")
                }
                "kling" if job.contains('/') => {
                    (format!("GET {base}/v1/videos/{job}"), "authorization: Bearer ***", "")
                }
                "kling" => (format!("GET {base}/tasks?task_ids={job}"), "authorization: Bearer ***", ""),
                "minimax" => match job.strip_prefix("v2/") {
                    Some(id) => (format!("GET {base}/v2/query/video_generation/{id}"), "authorization: Bearer ***", ""),
                    None => {
                        let call = format!("GET {base}/v1/query/video_generation?task_id={job}");
                        (call, "authorization: Bearer ***", "")
                    }
                },
                "fal" => (format!("GET {base}/{job}/status"), "authorization: Key ***", ""),
                // As the translation makes it; that this is the documented call, the sandbox says.
                other => {
                    let row = find(other).unwrap();
                    let call = (row.request)(&row.job.check(job).unwrap());
                    (format!("{} {base}{}", call.method, call.path), "authorization: Bearer ***", "")
                }
            };
            assert!(lines.contains(&call.as_str()), "{call} is missing: {text}");
            assert!(lines.contains(&auth), "{auth} is missing: {text}");
            assert!(lines.contains(&"x-team: ***"), "{text}");
            assert!(lines.contains(&concat!("user-agent: vidgate/", env!("CARGO_PKG_VERSION"))), "{text}");
            assert_eq!(lines.contains(&"x-runway-version: 2024-11-06"), kind.name == "runway", "{text}");
            assert_eq!(lines.contains(&"ai-trace-id: {a fresh UUID}"), kind.name == "pixverse", "{text}");
            let last = lines.last().unwrap();
            assert!(body.is_empty() || (last.contains(body) && last.contains(job)), "{text}");
            assert!(!text.contains("test-key-123") && !text.contains("films-secret"), "{text}");
        }
    }
    assert!(providers.sandbox.last_request().is_none());
}

#[test]
fn explain_finds_the_region_of_a_vertex_job() {
    let config = "providers:\n  vertex: {credentials: {access_token: t-123456}}\n";
    let job = |location: &str| {
        format!("projects/p/locations/{location}/publishers/google/models/veo-3.1-generate-001/operations/a:vertex")
    };
    let table = [
        ("us-central1", "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/"),
        ("global", "https://aiplatform.googleapis.com/v1/projects/p/locations/global/"),
    ];
    for (location, url) in table {
        let output = run(&["explain", &job(location)], Some(config), &[]);
        assert!(out(&output).contains(&format!("POST {url}")), "{}{}", out(&output), err(&output));
    }
    for location in ["evil.example", "evil.example/x-y1", "us-central1.evil.example", "us-central1@evil"] {
        let output = run(&["explain", &job(location)], Some(config), &[]);
        assert_eq!(output.status.code(), Some(1), "{location}: {}", out(&output));
    }
}

#[test]
fn explain_refuses_what_a_request_would_be_refused_for() {
    let providers = Providers::instant();
    let config = providers.config("");
    for (id, words) in
        [("video_1", "malformed"), ("../x:openai", "no job"), ("video_1:nobody", "No provider named nobody")]
    {
        let output = run(&["explain", id], Some(&config), &[]);
        assert_eq!(output.status.code(), Some(1), "{id}");
        assert!(err(&output).contains(words), "{id}: {}", err(&output));
        assert!(out(&output).is_empty(), "{id}");
    }
}

#[test]
fn providers_lists_every_kind() {
    let output = run(&["providers"], None, &[]);
    assert_eq!(output.status.code(), Some(0));
    for row in PROVIDERS {
        assert!(out(&output).contains(row.kind) && out(&output).contains(row.docs), "{}", row.kind);
    }
}

#[test]
fn arguments_that_are_not_known_are_a_fault_of_usage() {
    for arguments in [&["fly"][..], &[], &["serve"], &["check", "--fast"], &["explain"], &["providers", "x"]] {
        let output = run(arguments, None, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains("Usage"), "{arguments:?}: {}", err(&output));
    }
    for argument in ["--help", "--version"] {
        assert_eq!(run(&[argument], None, &[]).status.code(), Some(0), "{argument}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for command in ["check", "serve"] {
        let output = run(&[command, "--config", "/no/such/vidgate.yaml"], None, &[]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(err(&output).contains("/no/such/vidgate.yaml"), "{command}: {}", err(&output));
    }
}
