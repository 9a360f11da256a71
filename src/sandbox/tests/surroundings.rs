use super::*;
use crate::sandbox::{KINDS, Pace, find};
use tokio::time::advance;

#[tokio::test(start_paused = true)]
async fn the_last_request_can_be_read_back() {
    let sandbox = sandbox(Pace::INSTANT).await;
    assert!(sandbox.last_request().is_none());
    let job = find("runware").unwrap().examples[0];
    poll(&sandbox, "runware", job).await;
    let last = sandbox.last_request().unwrap();
    assert_eq!((last.method.as_str(), last.target.as_str()), ("POST", "/runware/v1"));
    assert_eq!(last.headers["authorization"], "Bearer key");
    assert_eq!(serde_json::from_slice::<Value>(&last.body).unwrap()[0]["taskUUID"], job);
    get(&sandbox, "/nowhere?a=b%20c").await;
    let last = sandbox.last_request().unwrap();
    assert_eq!((last.path(), last.query("a").as_deref()), ("/nowhere", Some("b c")));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_is_404_and_says_which_kinds_live_where() {
    let sandbox = sandbox(Pace::INSTANT).await;
    for target in ["/", "/nobody/v1/x", "/openai/v2/videos/x", "/openai/v1beta", "/openai/v1/videos"] {
        let answer = get(&sandbox, target).await;
        assert_eq!(answer.status, 404, "{target}");
        for kind in KINDS {
            assert_eq!(answer.json()["error"]["kinds"][kind.name], sandbox.base_url(kind.name));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn links_of_finished_jobs_lead_to_the_video() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let origin = format!("http://{}", sandbox.address());
    let table = [
        ("runway", 0, "/output/0"),
        ("replicate", 0, "/output"),
        ("runware", 0, "/data/0/videoURL"),
        ("xai", 0, "/video/url"),
        ("openrouter", 0, "/urls/0"),
        ("openrouter", 0, "/unsigned_urls/0"),
        ("together", 0, "/outputs/video_url"),
        ("luma", 0, "/assets/video"),
        ("dashscope", 0, "/output/video_url"),
        ("ark", 0, "/content/video_url"),
        ("zhipu", 0, "/video_result/0/url"),
        ("vidu", 0, "/creations/0/url"),
        ("pixverse", 0, "/Resp/url"),
        ("gemini", 0, "/response/generateVideoResponse/generatedSamples/0/video/uri"),
        ("gemini", 1, "/steps/1/content/0/uri"),
    ];
    for (kind, form, pointer) in table {
        let job = find(kind).unwrap().examples[form];
        let answer = poll(&sandbox, kind, job).await.json();
        let link = answer.pointer(pointer).and_then(Value::as_str).unwrap();
        let mut file = get(&sandbox, link.strip_prefix(&origin).unwrap()).await;
        if let Some(next) = file.header("location").map(str::to_owned) {
            assert_eq!((kind, file.status), ("gemini", 302));
            file = get(&sandbox, next.strip_prefix(&origin).unwrap()).await;
        }
        assert_eq!((file.status, file.header("content-type")), (200, Some("video/mp4")), "{link}");
        assert_eq!(&file.body[4..12], b"ftypisom");
    }
}

#[tokio::test(start_paused = true)]
async fn the_result_is_a_second_call_where_a_provider_has_it_so() {
    let sandbox = sandbox(Pace::default()).await;
    let job = find("fal").unwrap().examples[0];
    let auth = "authorization: Key key\r\n";
    let ask = async |job: &str| exchange(sandbox.address(), "GET", &format!("/fal/{job}"), auth, "").await.unwrap();
    let early = ask(job).await;
    assert_eq!((early.status, early.json()["detail"].as_str()), (400, Some("Request is still in progress")));
    advance(Duration::from_secs(4)).await;
    assert!(ask(job).await.json()["video"]["url"].as_str().is_some_and(|link| link.ends_with(".mp4")));
    assert_eq!(sandbox.calls("fal", job), 0, "only status calls are counted");

    let file = get(&sandbox, "/minimax/v1/files/retrieve?file_id=9176843862716400").await.json();
    assert!(file["file"]["download_url"].is_null(), "{file}");
    advance(Duration::from_secs(4)).await;
    let file = get(&sandbox, "/minimax/v1/files/retrieve?file_id=9176843862716400").await.json();
    assert!(file["file"]["download_url"].as_str().is_some_and(|link| link.ends_with("400.mp4")), "{file}");

    let filtered = find("fal").unwrap().jobs("02").next().unwrap();
    ask(&filtered).await;
    advance(Duration::from_secs(4)).await;
    let refusal = ask(&filtered).await;
    assert_eq!((refusal.status, &refusal.json()["detail"][0]["type"]), (422, &"content_policy_violation".into()));
}

#[tokio::test(start_paused = true)]
async fn content_needs_credentials_and_a_finished_job() {
    let sandbox = sandbox(Pace::INSTANT).await;
    for (target, status) in [
        ("/openai/v1/videos/video_00/content", 200),
        ("/openai/v1/videos/video_01/content", 404),
        ("/openai/v1/videos/video_10/content?variant=video", 404),
        ("/azure/openai/v1/videos/video_00/content", 200),
        ("/openrouter/api/v1/videos/job-00/content?index=0", 200),
        ("/openrouter/api/v1/videos/job-06/content?index=0", 404),
        ("/azure/openai/v1/video/generations/gen_00/content/video?api-version=preview", 200),
    ] {
        assert_eq!(get(&sandbox, target).await.status, status, "{target}");
        let stranger = exchange(sandbox.address(), "GET", target, "", "").await.unwrap();
        assert_eq!(stranger.status, 401, "{target}");
    }
    assert_eq!(sandbox.calls("openai", "video_00"), 0);
}

async fn token(sandbox: &Sandbox, target: &str, form: &str) -> Answer {
    let headers = "content-type: application/x-www-form-urlencoded\r\n";
    exchange(sandbox.address(), "POST", target, headers, form).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_service_account_gets_a_new_token_each_time() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    for number in 1..=2 {
        let answer = token(&sandbox, "/vertex/token", &format!("{grant}a.b.c")).await.json();
        assert_eq!(answer["access_token"], format!("ya29.sandbox-{number}"));
        assert_eq!((&answer["expires_in"], &answer["token_type"]), (&3599.into(), &"Bearer".into()));
    }
    assert_eq!(sandbox.calls("vertex", "token"), 2);
    // The claims say {"iss":"wrong"}.
    for assertion in ["a.b", "a..c", "a.eyJpc3MiOiJ3cm9uZyJ9.c"] {
        let answer = token(&sandbox, "/vertex/token", &format!("{grant}{assertion}")).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("invalid_grant")), "{assertion}");
    }
    let answer = token(&sandbox, "/vertex/token", "grant_type=password").await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("unsupported_grant_type")));
}

#[tokio::test(start_paused = true)]
async fn an_entra_client_gets_a_token_for_its_secret() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let target = "/azure/contoso/oauth2/v2.0/token";
    let form = "grant_type=client_credentials&client_id=c&scope=s&client_secret=";
    let answer = token(&sandbox, target, &format!("{form}secret")).await.json();
    assert_eq!(answer["access_token"], "eyJ0.sandbox-1");
    let answer = token(&sandbox, target, &format!("{form}wrong")).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("invalid_client")));
    assert_eq!(token(&sandbox, target, form).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_sandbox_closes_its_connections_and_its_listener() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let address = sandbox.address();
    let mut idle = TcpStream::connect(address).await.unwrap();
    get(&sandbox, "/").await;
    drop(sandbox);
    // Either end of the stream says that the server has gone.
    assert!(matches!(idle.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).await.is_err());
}
