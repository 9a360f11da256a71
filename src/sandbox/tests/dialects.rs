use super::*;
use crate::sandbox::{KINDS, Pace, find};
use serde_json::json;

/// Where each kind says the reason of a refusal.
fn reason(kind: &str, answer: &Answer) -> String {
    let body = answer.json();
    let at = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let found = match kind {
        "openai" => at("/error/code").or_else(|| at("/error/type")),
        "azure" => at("/error/code").or_else(|| at("/error/type")),
        "gemini" | "vertex" => at("/error/details/0/reason").or_else(|| at("/error/status")),
        "runway" => at("/error"),
        "replicate" => at("/title").or_else(|| at("/detail")),
        "runware" => at("/errors/0/code"),
        "bedrock" => answer.header("x-amzn-errortype").and_then(|kind| Some(kind.split_once(':')?.0.to_owned())),
        "xai" => at("/code"),
        "openrouter" => at("/error/message"),
        "together" => at("/error/code").or_else(|| at("/error/type")),
        "luma" => at("/detail"),
        "kling" => body["code"].as_u64().map(|code| code.to_string()),
        "fal" => at("/detail").or_else(|| at("/detail/0/type")),
        "dashscope" => at("/code").or_else(|| at("/output/task_status")),
        "ark" | "zhipu" => at("/error/code"),
        "vidu" => at("/reason"),
        "pixverse" => body["ErrCode"].as_u64().map(|code| code.to_string()),
        _ => None,
    };
    found.unwrap_or_else(|| panic!("{kind}: {body}"))
}

#[tokio::test(start_paused = true)]
async fn each_kind_refuses_in_its_own_dialect() {
    let table = [
        ("openai", "40", 400, "invalid_value"),
        ("openai", "41", 401, "invalid_api_key"),
        ("openai", "42", 429, "insufficient_quota"),
        ("openai", "44", 404, "invalid_request_error"),
        ("openai", "49", 429, "rate_limit_exceeded"),
        ("openai", "50", 500, "server_error"),
        ("openai", "53", 503, "server_error"),
        ("azure", "41", 401, "401"),
        ("azure", "42", 402, "402"),
        ("azure", "44", 404, "video_generation_user_error"),
        ("azure", "49", 429, "429"),
        ("gemini", "40", 400, "INVALID_ARGUMENT"),
        ("gemini", "41", 400, "API_KEY_INVALID"),
        ("gemini", "42", 403, "BILLING_DISABLED"),
        ("gemini", "44", 403, "PERMISSION_DENIED"),
        ("gemini", "49", 429, "RESOURCE_EXHAUSTED"),
        ("gemini", "53", 503, "UNAVAILABLE"),
        ("vertex", "41", 401, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        ("vertex", "44", 404, "NOT_FOUND"),
        ("vertex", "50", 500, "INTERNAL"),
        ("runway", "41", 401, "The API key you provided is not valid."),
        ("runway", "44", 404, "Could not find a task with this ID."),
        ("replicate", "41", 401, "Unauthenticated"),
        ("replicate", "42", 402, "Insufficient credit"),
        ("replicate", "49", 429, "Request was throttled. Your rate limit resets in ~30s."),
        ("runware", "41", 401, "invalidApiKey"),
        ("runware", "42", 402, "insufficientCredits"),
        ("runware", "44", 404, "taskNotFound"),
        ("bedrock", "40", 400, "ValidationException"),
        ("bedrock", "41", 403, "AccessDeniedException"),
        ("bedrock", "42", 403, "OptInRequired"),
        ("bedrock", "44", 400, "ValidationException"),
        ("bedrock", "49", 429, "ThrottlingException"),
        ("bedrock", "50", 500, "InternalServerException"),
        ("xai", "40", 400, "invalid-argument"),
        ("xai", "41", 400, "invalid-argument"),
        ("xai", "42", 403, "permission-denied"),
        ("xai", "44", 404, "not-found"),
        ("xai", "49", 429, "resource-exhausted"),
        ("openrouter", "41", 401, "User not found."),
        ("openrouter", "42", 402, "Insufficient credits. Add more to go on."),
        ("openrouter", "44", 404, "Resource not found"),
        ("together", "41", 401, "invalid_api_key"),
        ("together", "44", 404, "not_found"),
        ("together", "49", 429, "model_rate_limit"),
        ("luma", "41", 401, "Invalid API key is provided"),
        ("luma", "44", 404, "Generation not found"),
        ("kling", "40", 400, "1201"),
        ("kling", "41", 401, "1002"),
        ("kling", "42", 429, "1102"),
        ("kling", "44", 404, "1203"),
        ("kling", "49", 429, "1302"),
        ("kling", "50", 500, "5000"),
        ("kling", "53", 503, "5001"),
        ("fal", "40", 422, "uuid_parsing"),
        ("fal", "41", 401, "Invalid credentials"),
        ("fal", "42", 403, "User is locked. Reason: Exhausted balance."),
        ("fal", "44", 404, "Request not found"),
        ("fal", "50", 500, "Internal server error"),
        ("dashscope", "40", 400, "InvalidParameter"),
        ("dashscope", "41", 401, "InvalidApiKey"),
        ("dashscope", "42", 400, "Arrearage"),
        ("dashscope", "44", 200, "UNKNOWN"),
        ("dashscope", "49", 429, "Throttling.RateQuota"),
        ("ark", "41", 401, "AuthenticationError"),
        ("ark", "42", 403, "AccountOverdueError"),
        ("ark", "44", 404, "NotFound"),
        ("zhipu", "41", 401, "1002"),
        ("zhipu", "42", 429, "1113"),
        ("zhipu", "44", 400, "1214"),
        ("zhipu", "49", 429, "1302"),
        ("vidu", "42", 400, "CreditInsufficient"),
        ("vidu", "44", 404, "TaskNotFound"),
        ("pixverse", "41", 200, "400012"),
        ("pixverse", "42", 200, "500090"),
        ("pixverse", "44", 200, "500008"),
        ("pixverse", "50", 200, "99999"),
    ];
    let sandbox = sandbox(Pace::INSTANT).await;
    for (kind, code, status, want) in table {
        for job in find(kind).unwrap().jobs(code) {
            let answer = poll(&sandbox, kind, &job).await;
            assert_eq!((answer.status, reason(kind, &answer).as_str()), (status, want), "{job}");
        }
    }
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
                let first = refused_with(first, kind.name, &job);
                assert_eq!((answer.status, answer.header("retry-after")), (first, retry_after), "{job}");
                let second = if second == 200 { 200 } else { refused_with(second, kind.name, &job) };
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
        let (wrong, missing) = match kind.name {
            "gemini" => (400, 403),
            "bedrock" => (403, 403),
            "xai" => (400, 401),
            // Told apart by the body alone: `each_kind_refuses_in_its_own_dialect`.
            "pixverse" => (200, 200),
            _ => (401, 401),
        };
        let (wrong, missing) = (refused_with(wrong, kind.name, job), refused_with(missing, kind.name, job));
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
    let answer = exchange(sandbox.address(), method, &target, "authorization: Bearer key\r\n", &elsewhere).await;
    assert_eq!(answer.unwrap().status, 400);

    assert_eq!(get(&sandbox, "/runway/v1/tasks/5e2a7c90-4b1d-4f38-9a6e-08d3f7b1c200").await.status, 400);
    assert_eq!(get(&sandbox, "/azure/openai/v1/video/generations/jobs/task_00").await.status, 400);

    let target = "/pixverse/openapi/v2/video/result/402718365590100";
    let answer = exchange(sandbox.address(), "GET", target, "api-key: key\r\n", "").await.unwrap();
    assert_eq!(reason("pixverse", &answer), "400011");

    let auth = "authorization: Bearer key\r\n";
    let answer = exchange(sandbox.address(), "POST", "/runware/v1", auth, "{}").await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errors"][0]["taskType"], "getResponse");
}
