//! How jobs end, for every kind.

use crate::expect::{self, Filter, Form};
use crate::support::{Providers, Proxy, get, wait_until};
use serde_json::Value;
use vidgate::sandbox::KINDS;

/// Asks for each example job of every kind with this outcome, and holds the answer against what is expected of it.
fn each(proxy: &Proxy, code: &str, mut check: impl FnMut(&Form, &str, Value)) {
    for kind in KINDS {
        let expected = expect::of(kind.name);
        assert_eq!(expected.jobs.len(), kind.examples.len(), "{}: one is expected for each example", kind.name);
        for (job, form) in kind.jobs(code).zip(&expected.jobs) {
            let response = get(proxy.address(), &format!("/v1/videos/{job}:{}", kind.name));
            assert_eq!(response.status, 200, "{job}: {}", response.text());
            let video = response.json();
            assert_consistent(&video, &job);
            let want = form.outcome(code);
            let got = (video["status"].as_str(), video["error"]["code"].as_str());
            assert_eq!(got, (Some(want.status.as_str()), want.error.as_deref()), "{job}: {video}");
            assert_eq!(filter(&video), want.filter, "{job}: {video}");
            check(form, &job, video);
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

fn filter(video: &Value) -> Option<Filter> {
    let filter = video["content_filter"].as_object()?;
    assert_eq!(filter.len(), 2);
    let reasons = !filter["reasons"].as_array().unwrap().is_empty();
    Some(Filter { count: filter["filtered_count"].as_u64(), reasons })
}

fn proxied() -> (Providers, Proxy) {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    (providers, proxy)
}

#[test]
fn a_job_that_ended_well_is_completed_and_nothing_was_filtered() {
    let (_providers, proxy) = proxied();
    each(&proxy, "00", |_, job, video| {
        assert_eq!(video["status"], "completed", "{job}");
        assert!(video["content_filter"].is_null(), "{job}: {video}");
    });
}

#[test]
fn a_failed_job_has_the_providers_code_where_there_is_one() {
    let (_providers, proxy) = proxied();
    each(&proxy, "01", |_, job, video| {
        assert_eq!(video["status"], "failed", "{job}");
        assert!(video["content_filter"].is_null(), "{job}: {video}");
    });
}

#[test]
fn a_moderated_job_has_failed_and_says_so() {
    let (_providers, proxy) = proxied();
    each(&proxy, "02", |_, job, video| {
        assert_eq!(video["status"], "failed", "{job}");
        assert!(video["content_filter"].is_object(), "{job}: {video}");
    });
}

#[test]
fn a_job_that_lost_some_of_its_videos_is_completed() {
    let (_providers, proxy) = proxied();
    each(&proxy, "03", |_, job, video| {
        assert_eq!(video["status"], "completed", "{job}");
        assert_eq!(video["videos"].as_array().unwrap().len(), 1, "{job}");
    });
}

#[test]
fn cancelled_and_expired_jobs_have_failed_under_codes_of_their_own() {
    let (_providers, proxy) = proxied();
    for (code, own) in [("04", "cancelled"), ("05", "expired")] {
        each(&proxy, code, |form, job, video| {
            assert_eq!(video["status"], "failed", "{job}");
            // Where the provider's own word says so, the code does, too.
            let says_so = form.outcome(code).word.to_lowercase().starts_with(&own[..6]);
            assert!(!says_so || video["error"]["code"] == own, "{job}: {video}");
        });
    }
}

#[test]
fn a_job_that_finished_without_a_video_has_failed() {
    let (_providers, proxy) = proxied();
    each(&proxy, "06", |_, job, video| {
        // Where the answer has no list of results nobody can tell, and the content is asked for instead.
        let is_asked_for = || video["videos"][0]["url"].as_str().is_some_and(|url| url.contains("/content"));
        assert!(video["status"] == "failed" || is_asked_for(), "{job}: {video}");
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
        let expected = expect::of(provider["kind"].as_str().unwrap());
        let want = expected.jobs.iter().filter(|form| !form.outcome("07").word.is_empty()).count();
        assert_eq!(provider["unknown_states"], want, "{provider}");
    }
}

#[test]
fn a_video_inside_the_answer_is_handed_on_as_it_is() {
    let (_providers, proxy) = proxied();
    each(&proxy, "08", |form, job, video| {
        let item = video["videos"][0].as_object().unwrap();
        assert_eq!(item["content_type"], "video/mp4", "{job}");
        let want = form.outcome("08").video.as_deref();
        if want.is_none() {
            assert_eq!(item["type"], "url", "{job}");
            return;
        }
        assert_eq!(item["type"].as_str(), want, "{job}");
        assert!(item["base64"].as_str().is_some_and(|data| !data.is_empty()) && !item.contains_key("url"), "{job}");
    });
}

#[test]
fn a_job_that_has_not_ended_waits_or_runs() {
    let (_providers, proxy) = proxied();
    each(&proxy, "10", |form, job, video| {
        // Some have no queue, or one word for both.
        let has_one_word = form.outcome("10").word == form.outcome("11").word;
        assert!(video["status"] == "queued" || has_one_word, "{job}: {video}");
    });
    each(&proxy, "11", |_, job, video| assert_eq!(video["status"], "in_progress", "{job}"));
}
