//! `{job}:{provider}`: how ids are read, and that no id leads anywhere but to its job.

use crate::expect;
use crate::support::{Client, Providers, Proxy, Response, Upstream, entries, get, send};
use vidgate::sandbox::KINDS;

const GEMINI: &str = "models/veo-3.1-generate-preview/operations/k4w9s1tqzm00";

#[test]
fn slashes_reach_the_same_job_however_often_they_are_encoded() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    for kind in KINDS {
        for job in kind.examples.iter().filter(|job| job.contains('/')) {
            let ask = |written: &str| {
                let response = get(proxy.address(), &format!("/v1/videos/{written}:{}", kind.name));
                assert_eq!(response.status, 200, "{written}: {}", response.text());
                let request = providers.sandbox.last_request().unwrap();
                (request.method, request.target, request.body)
            };
            let plain = ask(job);
            for slash in ["%2F", "%2f", "%252F", "%252f"] {
                assert_eq!(ask(&job.replace('/', slash)), plain, "{slash} in {job}");
            }
        }
    }
}

#[test]
fn the_answer_repeats_the_id_decoded_once() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    let table = [
        ("video_a00:openai".to_owned(), "video_a00:openai".to_owned()),
        ("video%5Fa00:openai".to_owned(), "video_a00:openai".to_owned()),
        ("video_a00%3Aopenai".to_owned(), "video_a00:openai".to_owned()),
        ("video_a00%3aopenai".to_owned(), "video_a00:openai".to_owned()),
        ("video_a00:openai:openai".to_owned(), "video_a00:openai:openai".to_owned()),
        (format!("{GEMINI}:gemini"), format!("{GEMINI}:gemini")),
        (format!("{}:gemini", GEMINI.replace('/', "%2F")), format!("{GEMINI}:gemini")),
        (format!("{}:gemini", GEMINI.replace('/', "%252F")), format!("{}:gemini", GEMINI.replace('/', "%2F"))),
    ];
    for (sent, want) in table {
        let response = get(proxy.address(), &format!("/v1/videos/{sent}"));
        assert_eq!(response.status, 200, "{sent}: {}", response.text());
        assert_eq!(response.json()["id"], want.as_str(), "{sent}");
        let again = get(proxy.address(), &format!("/v1/videos/{}", want.replace('%', "%25")));
        assert_eq!(again.json()["id"], want.as_str(), "{want} cannot be sent back");
    }
}

#[test]
fn a_doubled_suffix_counts_once() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    for suffix in [":openai", ":openai:openai", ":openai:openai:openai", "%3Aopenai:openai"] {
        let response = get(proxy.address(), &format!("/v1/videos/video_a00{suffix}"));
        assert_eq!(response.status, 200, "{suffix}: {}", response.text());
        assert_eq!(providers.sandbox.last_request().unwrap().target, "/openai/v1/videos/video_a00");
    }
    // Another provider's name before the last colon is part of the job, and no job of openai is named so.
    let response = get(proxy.address(), "/v1/videos/video_a00:azure:openai");
    assert_eq!((response.status, response.code().as_str()), (400, "invalid_video_id"));
}

#[test]
fn an_id_without_a_provider_is_what_the_settings_say() {
    let providers = Providers::instant();
    let config = providers.config("");
    let table = [
        ("bare_ids: reject\n", 400, "invalid_video_id"),
        ("bare_ids: passthrough\n", 404, "route_not_found"),
        ("", 400, "invalid_video_id"),
    ];
    for (setting, status, code) in table {
        let proxy = Proxy::start(&format!("{setting}{config}"));
        let response = get(proxy.address(), "/v1/videos/video_a00");
        assert_eq!((response.status, response.code().as_str()), (status, code), "{setting}");
    }
    let proxy = Proxy::start(&format!("bare_ids: openai\n{config}"));
    let video = get(proxy.address(), "/v1/videos/video_a00").json();
    assert_eq!(video["extra_fields"]["provider"], "openai");
    let id = video["id"].as_str().unwrap();
    assert_eq!(get(proxy.address(), &format!("/v1/videos/{id}")).json()["id"], id);
    // The rule of the provider's kind holds all the same.
    let response = get(proxy.address(), "/v1/videos/video%20a00");
    assert_eq!((response.status, response.code().as_str()), (400, "invalid_video_id"));
}

#[test]
fn paths_that_only_look_like_ours_are_not_found() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    let paths = [
        "/",
        "/v1",
        "/v1/videos",
        "/v1/videos/",
        "/v1/videos?limit=2",
        "/v1/videos/characters",
        "/v1/videos/characters/char_1",
        "/v1/videos/edits",
        "/v1/videos/extensions",
        "/v1/videos/video_1/remix",
        "/v1/videos/video_1/content",
        "/v1/videos/models/m/operations/x",
        "/v1/videos/video_1:openai/remix",
        "/v1/videos/video_1:openai/",
        "/v1/videos/video_1:openai/contents",
        "/v1/videos/video_1:openai/content/1",
        "/v1/video/video_1:openai",
        "/v2/videos/video_1:openai",
        "//v1/videos/video_1:openai",
        "/V1/videos/video_1:openai",
        "/metrics",
        "/livez",
        "/readyz",
        "/status",
        "/openapi.json",
    ];
    for path in paths {
        let response = get(proxy.address(), path);
        assert_eq!((response.status, response.code().as_str()), (404, "route_not_found"), "{path}");
        assert_eq!(response.json()["is_bifrost_error"], true, "{path}");
    }
    assert!(providers.sandbox.last_request().is_none());
}

#[test]
fn a_job_that_breaks_its_kinds_rule_is_refused() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    let jobs_of = |kind: &'static str| expect::of(kind).no_jobs.into_iter().map(move |job| (kind, job));
    for (kind, job) in KINDS.iter().flat_map(|kind| jobs_of(kind.name)) {
        let response = get(proxy.address(), &format!("/v1/videos/{job}:{kind}"));
        assert_eq!((response.status, response.code().as_str()), (400, "invalid_video_id"), "{job}:{kind}");
        let error = response.json();
        assert_eq!(error["error"]["param"], "video_id");
        assert_eq!(error["extra_fields"]["provider"], kind);
        assert_eq!(error["is_bifrost_error"], true);
    }
    assert!(providers.sandbox.last_request().is_none());
}

#[test]
fn an_unknown_provider_is_told_which_there_are() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    let response = get(proxy.address(), "/v1/videos/video_1:nobody");
    assert_eq!((response.status, response.code().as_str()), (400, "unknown_provider"));
    let error = response.json();
    let message = error["error"]["message"].as_str().unwrap();
    for kind in KINDS {
        assert!(message.contains(kind.name), "{} is missing: {message}", kind.name);
    }
    assert!(error["extra_fields"]["provider"].is_null());
    for name in ["OpenAI", "-x", "_x", "open.ai", "open%20ai", ""] {
        let response = get(proxy.address(), &format!("/v1/videos/video_1:{name}"));
        assert_eq!((response.status, response.code().as_str()), (400, "invalid_video_id"), "{name}");
    }
}

#[test]
fn an_id_has_1024_bytes_at_most_however_it_is_written() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    let job = |length: usize| "a".repeat(length - ":openai".len());
    let table = [
        (format!("{}:openai", job(1024)), 200),
        (format!("{}:openai", job(1025)), 400),
        (format!("{}:openai", job(1024).replace('a', "%61")), 200),
        (format!("{}:openai", job(1025).replace('a', "%61")), 400),
        (":openai".to_owned(), 400),
        (":openai:openai".to_owned(), 400),
        (":".to_owned(), 400),
    ];
    for (id, status) in table {
        let response = get(proxy.address(), &format!("/v1/videos/{id}"));
        assert_eq!(response.status, status, "{} bytes: {}", id.len(), response.text());
        if status == 400 {
            assert_eq!(response.code(), "invalid_video_id");
        }
    }
}

/// Jobs that no provider gave. They are sent as they stand here, followed by `:{provider}`, to every kind.
const HOSTILE: &[&[u8]] = &[
    b"",
    b".",
    b"..",
    b"%2e%2e",
    b"%2E%2E",
    b".%2e",
    b"%252e%252e",
    b"..%2f",
    b"..%2f..%2fadmin",
    b"../../admin",
    b"../videos/video_1",
    b"%2e%2e/%2e%2e/admin",
    b"..\\..\\admin",
    b"..%5c..%5cadmin",
    b"video_1/../../admin",
    b"video_1/./x",
    b"video_1%2f..%2f..%2fadmin",
    b"video_1%252f..%252fadmin",
    b"video_1%25252f..%25252fadmin",
    b"..;/admin",
    b"/",
    b"//",
    b"//evil.example/x",
    b"%2f%2fevil.example",
    b"%2F/evil.example",
    b"\\\\evil.example\\x",
    b"/etc/passwd",
    b"http://evil.example/x",
    b"http:%2f%2fevil.example%2fx",
    b"https%3a%2f%2fevil.example",
    b"file:///etc/passwd",
    b"gopher://evil.example:70/_x",
    b"user@evil.example",
    b"@evil.example",
    b"@evil.example:80",
    b"user:pass@evil.example",
    b"%40evil.example%3a80",
    b"evil.example:80",
    b"[::1]",
    b"::1",
    b"localhost:9090/status",
    b"?",
    b"video_1?x=",
    b"%3f",
    b"video_1%3fapi-version=evil",
    b"video_1%253fkey=evil",
    b"video_1&key=evil",
    b"video_1%26key%3devil",
    b"#",
    b"video_1#",
    b"%23",
    b"video_1%23x",
    b"\\",
    b"%5c",
    b"%00",
    b"video_1%00",
    b"video_1%00.mp4",
    b"video_1\0",
    b"%0d%0aX-Evil:%201",
    b"video_1%0d%0a%0d%0aGET%20/admin%20HTTP/1.1%0d%0a%0d%0a",
    b"video_1%250d%250aX-Evil:%201",
    b"video_1 HTTP/1.1\r\nX-Evil: 1\r\nX-Rest: ",
    b"video_1\r\nX-Evil: 1\r\n",
    b"video_1\nX-Evil: 1\n",
    b"video_1\rX-Evil: 1\r",
    b"%0a",
    b"%0d",
    b"%09",
    b"video_1\t",
    b"video_1 ",
    b" video_1",
    b"video_1%20",
    b"video_1+1",
    b"video_1;x=y",
    b"video_1%3bx=y",
    b"video_1,video_2",
    b"video_1|id",
    b"video_1$(id)",
    b"video_1%60id%60",
    b"video_1'--",
    b"video_1\"",
    b"video_1\",\"x\":\"y",
    b"video_1%22%2c%22x%22%3a%22y",
    b"<script>",
    b"${jndi:ldap://evil.example/a}",
    b"{{7*7}}",
    b"%7b%7d",
    b"*",
    b"video_*",
    b"~root",
    b"!",
    b"%",
    b"%2",
    b"%zz",
    b"%u002e%u002e",
    b"\xff",
    b"video_\xc3\x28",
    b"%ff",
    b"%c0%ae%c0%ae",
    b"%c0%af",
    b"%ed%a0%80",
    b"%ef%bc%8f",
    b"%ef%bc%8e%ef%bc%8e",
    b"%e2%81%84",
    b"%e2%88%95",
    b"%e2%80%a4%e2%80%a4",
    b"%e2%80%a8",
    b"%c2%85",
    b"%c2%a0",
    b"%e2%80%8b",
    b"%e2%80%ae",
    "vidéo".as_bytes(),
    "視頻".as_bytes(),
    b"%1b[31m",
    b"%7f",
    b"video_1/content",
    b"video_1%2fcontent",
    b"video_1:",
    b":video_1",
    b"a:b:c",
    // Names that hold slashes, bent.
    b"models/../operations/x",
    b"models/m/operations/..",
    b"models/m/operations/%2e%2e",
    b"models/m/operations/.",
    b"models%2f..%2foperations%2fx",
    b"models%252f..%252foperations%252fx",
    b"models//operations/x",
    b"models/m/operations/",
    b"models/m//operations/x",
    b"/models/m/operations/x",
    b"//evil.example/models/m/operations/x",
    b"models/m/operations/x/..",
    b"models/m/operations/x/../../../../v1/admin",
    b"models/m/operations/x%2f..%2fy",
    b"models/m/operations/x%252f..%252fy",
    b"models/m/operations/x%25252fy",
    b"models/m/operations/x%252e",
    b"models/m/operations/x%3fkey=evil",
    b"models/m/operations/x%23y",
    b"models/m/operations/x\\y",
    b"models/m/operations/x;y",
    b"models/m/operations/x@evil.example",
    b"models/m%0d%0aX-Evil:1/operations/x",
    b"models/m%00/operations/x",
    b"models/m:cancel/operations/x",
    b"models/m/operations/x:cancel",
    b"models/m/operations/x%ef%bc%8fy",
    b"interactions/..",
    b"interactions/%2e%2e%2fmodels",
    b"interactions/x?alt=sse",
    b"interactions/x%3falt=sse",
    b"interactions/x/content",
    b"fal-ai/veo3/requests/..",
    b"fal-ai/veo3/requests/x/../../../admin",
    b"fal-ai/../requests/5e2a7c90-4b1d-4f38-9a6e-08d3f7b1c200",
    b"fal-ai/veo3%3fx/requests/5e2a7c90-4b1d-4f38-9a6e-08d3f7b1c200",
    b"fal-ai/veo3@evil.example/requests/5e2a7c90-4b1d-4f38-9a6e-08d3f7b1c200",
    b"fal-ai/veo3/requests/5e2a7c90-4b1d-4f38-9a6e-08d3f7b1c200/cancel",
    b"fal-ai/veo3/requests/5e2a7c90-4b1d-4f38-9a6e-08d3f7b1c200%23",
    b"1%26external_task_ids%3d2",
    b"1%2c2",
    b"text2video/..",
    b"text2video/1%26x%3d2",
    b"text2video/1%2f..%2f..%2fadmin",
    b"../images/generations/1",
    b"v2/..",
    b"v2/1%2f..%2f..%2fadmin",
    b"1%26file_id%3d2",
    b"projects/p/locations/evil.example%23/publishers/google/models/m/operations/x",
    b"projects/p/locations/us-central1.evil.example/publishers/google/models/m/operations/x",
    b"projects/p/locations/us-central1@evil.example/publishers/google/models/m/operations/x",
    b"projects/p/locations/evil.example%2fx-y1/publishers/google/models/m/operations/x",
    b"projects/../locations/us-central1/publishers/google/models/m/operations/x",
    b"projects/p%3fx/locations/us-central1/publishers/google/models/m/operations/x",
    b"projects/p/locations/us-central1/publishers/google/models/../operations/x",
    b"projects/p/locations/us-central1/publishers/google/models/m/operations/x%22,%22a%22:%22b",
    b"projects/p/locations/us-central1/publishers/google/models/m:predict%3f/operations/x",
    // Names of Amazon's resources, bent.
    b"arn:aws:bedrock:us-west-2.evil.example:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock:us-west-2.evil.example%2f:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock:evil.example%23:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock:user@evil.example:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock:us-west-2:443:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock:..:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock::123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock:cn-north-1:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws-cn:bedrock:us-west-2:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws-evil:bedrock:us-west-2:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:evil:bedrock:us-west-2:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock-runtime:us-west-2:123456789012:async-invoke/k3v9x1m7qd00",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke/../../admin",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke/..",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke%2f..%2fk3v9x1m7qd00",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke//k3v9x1m7qd00",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke/k3v9x1m7qd00/x",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke/k3v9x1m7qd00:x",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke:k3v9x1m7qd00",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke%25252fk3v9x1m7qd00",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke/k3v9x1m7qd0%3f",
    b"arn:aws:bedrock:us-west-2:123456789012:async-invoke/K3V9X1M7QD00",
    b"arn:aws:bedrock:us-west-2:*:async-invoke/k3v9x1m7qd00",
];

/// One proxy for all kinds, each at a path of its own of one recording upstream.
fn recorded() -> (Upstream, Proxy) {
    let upstream = Upstream::json(200, r#"{"status":"queued"}"#);
    let base_url = |kind: &str| format!("http://{}/{kind}/v1", upstream.address());
    let proxy = Proxy::start(&entries(base_url, "k-123456", |_| "retries: 0, poll: {cache: false}".into()));
    (upstream, proxy)
}

fn ask_raw(proxy: &Proxy, path: &[u8]) -> Response {
    let mut client = Client::connect(proxy.address());
    client.write(&[b"GET ", path, b" HTTP/1.1\r\nHost: videos.test\r\nConnection: close\r\n\r\n"].concat());
    client.read(false)
}

#[test]
fn no_hostile_id_reaches_an_upstream() {
    assert!(HOSTILE.len() >= 60);
    let (upstream, proxy) = recorded();
    let long: Vec<Vec<u8>> = [2_000, 60_000].into_iter().map(|length| vec![b'a'; length]).collect();
    let deep = b"a/".repeat(600);
    let jobs = HOSTILE.iter().map(|job| job.to_vec()).chain(long).chain([deep]);
    for job in jobs {
        for kind in KINDS {
            let path = [b"/v1/videos/", job.as_slice(), b":", kind.name.as_bytes()].concat();
            let shown: String = path.escape_ascii().take(200).map(char::from).collect();
            let response = ask_raw(&proxy, &path);
            assert!(matches!(response.status, 400 | 404), "{shown}: {}", response.status);
            assert_eq!(upstream.requests().len(), 0, "{shown} reached the upstream: {:?}", upstream.requests());
            if !response.body.is_empty() {
                assert_eq!(response.json()["is_bifrost_error"], true, "{shown}");
            }
        }
    }
}

#[test]
fn what_follows_the_provider_name_cannot_bend_the_call() {
    let (upstream, proxy) = recorded();
    let tails: &[&[u8]] = &[
        b"@evil.example",
        b"%40evil.example",
        b".evil.example",
        b":80",
        b":443/x",
        b"%00",
        b"%0d%0aX-Evil:1",
        b"%2f..%2fadmin",
        b"/../../admin",
        b"/..",
        b"//evil.example",
        b"\\x",
        b";x",
        b"%3fx=y",
        b"%23x",
        b" ",
        b"%20",
        b"/content/..",
        b"/content%2f..",
        b"%2fcontent%2f..",
    ];
    for tail in tails {
        let response = ask_raw(&proxy, &[b"/v1/videos/video_1:openai", *tail].concat());
        assert!(matches!(response.status, 400 | 404), "{}: {}", tail.escape_ascii(), response.status);
        assert_eq!(upstream.requests().len(), 0, "{}", tail.escape_ascii());
    }
}

#[test]
fn odd_but_legal_names_reach_exactly_their_place() {
    let (upstream, proxy) = recorded();
    let table: &[(&[u8], &str)] = &[
        (b"/v1/videos/...:openai", "/openai/v1/videos/..."),
        (b"/v1/videos/..a:openai", "/openai/v1/videos/..a"),
        (b"/v1/videos/-:openai", "/openai/v1/videos/-"),
        (b"/v1/videos/--help:openai", "/openai/v1/videos/--help"),
        (b"/v1/videos/169.254.169.254:openai", "/openai/v1/videos/169.254.169.254"),
        (b"/v1/videos/evil.example:openai", "/openai/v1/videos/evil.example"),
        (b"/v1/videos/null:openai", "/openai/v1/videos/null"),
        (b"/v1/videos/%76ideo_1:openai", "/openai/v1/videos/video_1"),
        (b"/v1/videos/video_1:openai?api-version=evil&key=evil", "/openai/v1/videos/video_1"),
        (b"/v1/videos/video_1:openai?http://evil.example/", "/openai/v1/videos/video_1"),
        (b"/v1/videos/video_1:openai#/../admin", "/openai/v1/videos/video_1"),
        (b"/v1/videos/task_1:azure?api-version=evil", "/azure/v1/video/generations/jobs/task_1?api-version=preview"),
        (b"/v1/videos/models/...%2Foperations/..x:gemini", "/gemini/v1/models/.../operations/..x"),
        (b"/v1/videos/interactions/interactions:gemini", "/gemini/v1/interactions/interactions"),
        (
            b"/v1/videos/arn%3Aaws:bedrock:us-west-2:123456789012:async-invoke%2Fk3v9x1m7qd00:bedrock?region=evil",
            "/bedrock/v1/async-invoke/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aasync-invoke%2Fk3v9x1m7qd00",
        ),
    ];
    for (number, (path, target)) in table.iter().enumerate() {
        let response = ask_raw(&proxy, path);
        let requests = upstream.requests();
        assert_eq!(requests.len(), number + 1, "{}: {}", path.escape_ascii(), response.text());
        let request = &requests[number];
        assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", *target));
        assert_eq!(request.header("host"), Some(upstream.address().to_string().as_str()));
        assert!(request.body.is_empty());
        let key = target_key(target);
        let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let mut want = vec!["accept", "accept-encoding", "host", "user-agent", "x-request-id", key];
        want.sort_unstable();
        assert_eq!(names, want, "{target}");
    }
}

fn target_key(target: &str) -> &'static str {
    match target.split('/').nth(1) {
        Some("azure") => "api-key",
        Some("gemini") => "x-goog-api-key",
        _ => "authorization",
    }
}

#[test]
fn a_host_header_cannot_bend_the_call() {
    let (upstream, proxy) = recorded();
    for host in ["evil.example", "127.0.0.1:1", "evil.example/x?y", "a@b", "[::1]:80"] {
        let before = upstream.requests().len();
        let response = send(proxy.address(), "GET", "/v1/videos/video_1:openai", &[("Host", host)]);
        assert!(matches!(response.status, 200 | 400), "{host}: {}", response.status);
        for request in upstream.requests().iter().skip(before) {
            assert_eq!(request.header("host"), Some(upstream.address().to_string().as_str()), "{host}");
            assert_eq!(request.target, "/openai/v1/videos/video_1");
        }
    }
}
