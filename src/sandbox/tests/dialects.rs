use super::*;
use crate::sandbox::{KINDS, Pace, find};
use serde_json::json;

/// What an answer gives as the reason of a refusal.
fn reason(form: &Form, answer: &Answer) -> Option<String> {
    // AWS puts an address behind it.
    let header = |name: &str| answer.header(name)?.split(':').next().map(str::to_owned);
    form.reason(&answer.json(), header)
}

#[tokio::test(start_paused = true)]
async fn each_kind_refuses_in_its_own_dialect() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let mut wrong = Vec::new();
    for kind in KINDS {
        for example in kind.examples {
            let form = expected(kind.name, example);
            // What is said of a job that nobody knows, every kind has to tell.
            let codes = form.refusals.iter().filter(|(_, want)| want.reason.is_some()).map(|(code, _)| code.as_str());
            for code in codes.filter(|code| *code != "44").chain(["44"]) {
                let job = format!("{}{code}", example.strip_suffix("00").unwrap());
                let answer = poll(&sandbox, kind.name, &job).await;
                let got = (Some(answer.status), reason(&form, &answer));
                let want = form.refusals.get(code).map_or((None, None), |want| (want.status, want.reason.clone()));
                if got != want || got.1.is_none() {
                    wrong.push(format!("{job}:{} says {got:?}, expected {want:?}", kind.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn every_kind_says_when_to_come_back_and_lets_go_where_it_refuses_once() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let table = [
        ("48", 429, Some("0"), 200),
        ("49", 429, Some("30"), 429),
        ("53", 503, Some("30"), 503),
        ("55", 503, None, 200),
    ];
    for kind in KINDS {
        for (code, first, retry_after, second) in table {
            for job in kind.jobs(code) {
                let answer = poll(&sandbox, kind.name, &job).await;
                let form = expected(kind.name, &job);
                let refused = |usual: u16| form.status_of(if usual == 429 { "49" } else { "53" }, usual);
                let first = refused(first);
                assert_eq!((answer.status, answer.header("retry-after")), (first, retry_after), "{job}");
                let second = if second == 200 { 200 } else { refused(second) };
                assert_eq!(poll(&sandbox, kind.name, &job).await.status, second, "{job}");
                assert_eq!(sandbox.calls(kind.name, &job), 2);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_missing_or_say_wrong_are_refused() {
    let sandbox = sandbox(Pace::INSTANT).await;
    for kind in KINDS {
        let job = kind.examples[0];
        let form = expected(kind.name, job);
        let (wrong, missing) = (form.status_of("41", 401), form.status_of("none", 401));
        for form in kind.credentials {
            let header = format!("{}: {} key-wrong\r\n", form.header, form.scheme);
            assert_eq!(poll_with(&sandbox, kind.name, job, &header).await.unwrap().status, wrong, "{header}");
            // A signature is checked in earnest.
            let status = if form.scheme == "AWS4-HMAC-SHA256" { 403 } else { 200 };
            let header = format!("{}: {} key\r\n", form.header, form.scheme);
            assert_eq!(poll_with(&sandbox, kind.name, job, &header).await.unwrap().status, status, "{header}");
        }
        assert_eq!(poll_with(&sandbox, kind.name, job, "").await.unwrap().status, missing, "{}", kind.name);
    }
}

#[tokio::test(start_paused = true)]
async fn partly_filtered_jobs_keep_one_video_and_say_what_is_missing() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let job = |kind: &str, form| find(kind).unwrap().jobs("03").nth(form).unwrap();

    let sora = poll(&sandbox, "azure", &job("azure", 1)).await.json();
    assert_eq!((&sora["n_variants"], sora["generations"].as_array().unwrap().len()), (&json!(2), 1));

    let gemini = poll(&sandbox, "gemini", &job("gemini", 0)).await.json()["response"]["generateVideoResponse"].take();
    assert_eq!(gemini["raiMediaFilteredCount"], 1);
    assert_eq!(gemini["generatedSamples"].as_array().unwrap().len(), 1);

    let vertex = poll(&sandbox, "vertex", &job("vertex", 0)).await.json()["response"].take();
    assert_eq!((&vertex["raiMediaFilteredCount"], vertex["videos"].as_array().unwrap().len()), (&json!(1), 1));

    let runware = poll(&sandbox, "runware", &job("runware", 0)).await.json();
    assert_eq!(runware["data"][0]["taskUUID"], runware["errors"][0]["taskUUID"]);
}

#[tokio::test(start_paused = true)]
async fn the_video_comes_inline_where_the_kind_can() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let table = [
        ("gemini", 0, "/response/generateVideoResponse/generatedSamples/0/video/encodedVideo"),
        ("gemini", 1, "/steps/1/content/0/data"),
        ("vertex", 0, "/response/videos/0/bytesBase64Encoded"),
        ("runware", 0, "/data/0/videoBase64Data"),
        ("replicate", 0, "/output"),
    ];
    for (kind, form, pointer) in table {
        let job = find(kind).unwrap().jobs("08").nth(form).unwrap();
        let answer = poll(&sandbox, kind, &job).await.json();
        let inline = answer.pointer(pointer).and_then(Value::as_str).unwrap();
        assert!(inline.trim_start_matches("data:video/mp4;base64,").starts_with("AAAAIGZ0eXBpc29t"), "{inline}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_provider_would_not_take_is_refused() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let vertex = find("vertex").unwrap().examples[0];

    let answer = get(&sandbox, &format!("/vertex/v1/{vertex}")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("The Operation ID must be a Long, but was instead: 3f6b1d8e"));

    let (method, target, _) = call("vertex", vertex);
    let elsewhere = json!({"operationName": vertex.replace("sandbox-project", "other")}).to_string();
    let answer = exchange(sandbox.address(), &method, &target, "authorization: Bearer key\r\n", &elsewhere).await;
    assert_eq!(answer.unwrap().status, 400);

    assert_eq!(get(&sandbox, "/runway/v1/tasks/5e2a7c90-4b1d-4f38-9a6e-08d3f7b1c200").await.status, 400);
    assert_eq!(get(&sandbox, "/azure/openai/v1/video/generations/jobs/task_00").await.status, 400);

    let target = "/pixverse/openapi/v2/video/result/402718365590100";
    let answer = exchange(sandbox.address(), "GET", target, "api-key: key\r\n", "").await.unwrap();
    assert_eq!(answer.json()["ErrCode"], 400_011);

    let auth = "authorization: Bearer key\r\n";
    let answer = exchange(sandbox.address(), "POST", "/runware/v1", auth, "{}").await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errors"][0]["taskType"], "getResponse");
}
