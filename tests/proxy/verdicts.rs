//! How jobs end, for every kind.

use crate::support::{Providers, Proxy, get, wait_until};
use serde_json::Value;
use vidgate::sandbox::{KINDS, Kind};

/// What is known of the moderation: how many videos are gone, and whether there are words about it.
type Filter = Option<(Option<u64>, bool)>;

/// Asks for each example job of every kind with this outcome.
fn each(proxy: &Proxy, code: &str, mut check: impl FnMut(&Kind, &str, Value)) {
    for kind in KINDS {
        for job in kind.jobs(code) {
            let response = get(proxy.address(), &format!("/v1/videos/{job}:{}", kind.name));
            assert_eq!(response.status, 200, "{job}: {}", response.text());
            let video = response.json();
            assert_consistent(&video, &job);
            check(kind, &job, video);
        }
    }
}

/// The rules that hold between the fields whatever the provider.
fn assert_consistent(video: &Value, job: &str) {
    let status = video["status"].as_str().unwrap();
    assert!(["queued", "in_progress", "completed", "failed"].contains(&status), "{job}: {status}");
    assert_eq!(video["error"].is_object(), status == "failed", "{job}: {video}");
    assert_eq!(video["videos"].as_array().unwrap().is_empty(), status != "completed", "{job}: {video}");
    assert!(video["progress"].as_u64().is_some_and(|progress| progress <= 100), "{job}: {video}");
    if status == "completed" {
        assert_eq!(video["progress"], 100, "{job}");
    }
    if status == "failed" {
        let error = &video["error"];
        assert_eq!(error.as_object().unwrap().len(), 2, "{job}: {error}");
        assert!(error["code"].as_str().is_some_and(|code| !code.is_empty()), "{job}: {error}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{job}: {error}");
    }
}

fn filter(video: &Value) -> Filter {
    let filter = video["content_filter"].as_object()?;
    assert_eq!(filter.len(), 2);
    Some((filter["filtered_count"].as_u64(), !filter["reasons"].as_array().unwrap().is_empty()))
}

/// `gemini interactions` where the kinds of jobs of one provider differ, else the kind.
fn dialect(kind: &Kind, job: &str) -> String {
    match job.split(['/', '_']).next() {
        Some(form @ ("interactions" | "task" | "v2")) => format!("{} {form}", kind.name),
        _ => kind.name.to_owned(),
    }
}

fn proxied() -> (Providers, Proxy) {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    (providers, proxy)
}

#[test]
fn a_failed_job_has_the_providers_code_where_there_is_one() {
    let (_providers, proxy) = proxied();
    each(&proxy, "01", |kind, job, video| {
        let code = match dialect(kind, job).as_str() {
            "openai" | "azure" | "azure task" => "internal_error",
            "gemini" | "gemini interactions" | "vertex" => "INTERNAL",
            "runway" => "INTERNAL.BAD_OUTPUT.CODE01",
            "replicate" => "generation_failed",
            "runware" => "timeoutProvider",
            "bedrock" => "generation_failed",
            "xai" => "internal_error",
            "openrouter" | "luma" => "generation_failed",
            "together" => "workerError",
            "fal" => "runner_disconnected",
            "minimax" | "minimax v2" => "1000",
            "kling" => "generation_failed",
            "dashscope" => "InternalError.Algo",
            "ark" => "InternalServiceError",
            "vidu" => "InternalServiceFailure",
            "zhipu" | "pixverse" => "generation_failed",
            other => panic!("{other}"),
        };
        assert_eq!((video["status"].as_str(), video["error"]["code"].as_str()), (Some("failed"), Some(code)), "{job}");
        assert!(video["content_filter"].is_null(), "{job}: {video}");
    });
}

#[test]
fn a_moderated_job_has_failed_and_says_so() {
    let (_providers, proxy) = proxied();
    each(&proxy, "02", |kind, job, video| {
        let (code, count) = match dialect(kind, job).as_str() {
            "openai" | "azure" => ("moderation_blocked", None),
            "azure task" => ("output_moderation", Some(1)),
            "gemini" | "vertex" => ("content_filtered", Some(1)),
            "gemini interactions" => ("INVALID_ARGUMENT", None),
            "runway" => ("SAFETY.INPUT.TEXT", None),
            "replicate" | "bedrock" => ("content_filtered", None),
            "runware" => ("invalidProviderContent", Some(1)),
            // Told with status 400.
            "xai" => ("imagine:content-moderated", None),
            "openrouter" | "together" | "luma" => ("content_filtered", None),
            "fal" => ("content_policy_violation", None),
            "kling" => ("content_filtered", None),
            "minimax" => ("1027", None),
            "minimax v2" => ("1026", None),
            "dashscope" => ("DataInspectionFailed", None),
            "ark" => ("OutputVideoSensitiveContentDetected", None),
            "zhipu" => ("1301", None),
            "vidu" => ("CreationPolicyViolation", None),
            "pixverse" => ("content_filtered", None),
            other => panic!("{other}"),
        };
        assert_eq!((video["status"].as_str(), video["error"]["code"].as_str()), (Some("failed"), Some(code)), "{job}");
        // PixVerse has a state for it and no words.
        assert_eq!(filter(&video), Some((count, kind.name != "pixverse")), "{job}: {video}");
    });
}

#[test]
fn a_job_that_lost_some_of_its_videos_is_completed() {
    let (_providers, proxy) = proxied();
    each(&proxy, "03", |kind, job, video| {
        let lost = match dialect(kind, job).as_str() {
            "azure task" => Some((Some(1), false)),
            "gemini" | "vertex" | "runware" => Some((Some(1), true)),
            _ => None,
        };
        assert_eq!(video["status"], "completed", "{job}");
        assert_eq!(video["videos"].as_array().unwrap().len(), 1, "{job}");
        assert_eq!(filter(&video), lost, "{job}: {video}");
    });
}

#[test]
fn cancelled_and_expired_jobs_have_failed_under_codes_of_their_own() {
    let (_providers, proxy) = proxied();
    each(&proxy, "04", |kind, job, video| {
        // Some have no such state.
        let code = match dialect(kind, job).as_str() {
            "runware" => "timeoutProvider",
            "xai" => "internal_error",
            "fal" => "runner_disconnected",
            "minimax" => "1000",
            "bedrock" | "luma" | "kling" | "zhipu" | "pixverse" => "generation_failed",
            _ => "cancelled",
        };
        assert_eq!((video["status"].as_str(), video["error"]["code"].as_str()), (Some("failed"), Some(code)), "{job}");
    });
    each(&proxy, "05", |kind, job, video| {
        let code = match dialect(kind, job).as_str() {
            "openai" | "azure" | "replicate" | "xai" | "openrouter" | "ark" => Some("expired"),
            _ => None,
        };
        assert_eq!(video["status"], "failed", "{job}");
        assert!(code.is_none_or(|code| video["error"]["code"] == code), "{job}: {video}");
    });
}

#[test]
fn a_job_that_finished_without_a_video_has_failed() {
    let (_providers, proxy) = proxied();
    each(&proxy, "06", |kind, job, video| {
        // The object of OpenAI has no list of results, and Bedrock names only their place, so that nobody can tell.
        let want = match dialect(kind, job).as_str() {
            "openai" | "azure" | "bedrock" => ("completed", None),
            // OpenRouter's links may be missing; its content call is asked instead.
            "openrouter" => ("completed", None),
            // Sora 1 says nothing else when moderation has taken all of them.
            "azure task" => ("failed", Some("content_filtered")),
            _ => ("failed", Some("no_output")),
        };
        assert_eq!((video["status"].as_str().unwrap(), video["error"]["code"].as_str()), want, "{job}");
    });
}

#[test]
fn a_state_that_nobody_knows_is_no_end_and_is_counted_and_logged() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&format!("admin: 127.0.0.1:0\n{}", providers.config("poll: {cache: false}")));
    each(&proxy, "07", |_, job, video| assert_eq!(video["status"], "in_progress", "{job}"));
    wait_until("the word is logged", || proxy.log().contains("reticulating"));
    let status = get(proxy.admin_address(), "/status").json();
    for provider in status["providers"].as_array().unwrap() {
        // Operations of Google have no state words.
        let want = match provider["kind"].as_str().unwrap() {
            "vertex" => 0,
            "gemini" => 1,
            kind => vidgate::sandbox::find(kind).unwrap().examples.len(),
        };
        assert_eq!(provider["unknown_states"], want, "{provider}");
    }
}

#[test]
fn a_video_inside_the_answer_is_handed_on_as_it_is() {
    let (_providers, proxy) = proxied();
    each(&proxy, "08", |kind, job, video| {
        let item = video["videos"][0].as_object().unwrap();
        assert_eq!(item["content_type"], "video/mp4", "{job}");
        if !["gemini", "vertex", "replicate", "runware", "fal"].contains(&kind.name) {
            assert_eq!(item["type"], "url", "{job}");
            return;
        }
        assert_eq!(item["type"], "base64", "{job}");
        assert!(item["base64"].as_str().is_some_and(|data| !data.is_empty()) && !item.contains_key("url"), "{job}");
    });
}

#[test]
fn a_job_that_has_not_ended_waits_or_runs() {
    let (_providers, proxy) = proxied();
    each(&proxy, "10", |kind, job, video| {
        // Operations of Google are done or not; Bedrock has no queue, and Zhipu one word for both.
        let says = match dialect(kind, job).as_str() {
            "gemini" | "vertex" | "bedrock" | "zhipu" => "in_progress",
            _ => "queued",
        };
        assert_eq!(video["status"], says, "{job}");
    });
    each(&proxy, "11", |_, job, video| assert_eq!(video["status"], "in_progress", "{job}"));
}
