//! Nothing secret leaves by any door: not in an answer, not in a log line, not on a terminal.

use crate::support::{
    Client, Providers, Proxy, Request, Response, UNRESOLVABLE, Upstream, get, run, send, temporary, wait_until,
};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use vidgate::sandbox::{KINDS, OUTCOMES};

/// Every secret of these tests holds this.
const MARK: &str = "SECRET-MARK";

/// A key made for this test, and for nothing else.
const RSA: &str = include_str!("support/rsa.pem");

/// Files that a config names; removed when dropped.
struct Files(Vec<PathBuf>);

impl Files {
    fn add(&mut self, ending: &str, text: &str) -> String {
        let file = temporary(ending);
        fs::write(&file, text).unwrap();
        self.0.push(file);
        self.0.last().unwrap().display().to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in &self.0 {
            let _ = fs::remove_file(file);
        }
    }
}

/// Everything that came out, and where.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn answer(&mut self, what: &str, response: &Response) {
        let mut text: String = response.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        match response.body.starts_with(b"{") {
            true => {
                // A finished video's own link is for the client to fetch.
                let mut body = response.json();
                if let Some(videos) = body.get_mut("videos") {
                    assert!(!videos.to_string().contains("SECRET-MARK-key"), "{what}: {videos}");
                    *videos = json!([]);
                }
                text.push_str(&body.to_string());
            }
            false => text.push_str(&response.text()),
        }
        self.0.push((what.to_owned(), text));
    }

    fn command(&mut self, arguments: &[&str], config: &str) {
        let output = run(arguments, Some(config), &[]);
        for stream in [output.stdout, output.stderr] {
            self.0.push((format!("{arguments:?}"), String::from_utf8_lossy(&stream).into_owned()));
        }
    }

    #[track_caller]
    fn assert_without(&self, secrets: &[&str]) {
        for (what, text) in &self.0 {
            for secret in secrets {
                let at = text.find(secret);
                let around = at.map(|at| {
                    String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(300)..(at + 100).min(text.len())])
                });
                assert!(at.is_none(), "{secret} came out in {what}: …{}…", around.unwrap_or_default());
            }
        }
    }
}

/// The text of a service-account key whose tokens are asked for there.
fn service_account(token_address: SocketAddr) -> String {
    json!({
        "type": "service_account", "project_id": "sandbox-project", "private_key_id": "SECRET-MARK-key-id",
        "private_key": RSA, "client_email": "tests@sandbox-project.iam.gserviceaccount.com",
        "token_uri": format!("http://{token_address}/token"),
    })
    .to_string()
}

/// A line from the middle of the private key.
fn key_line() -> &'static str {
    RSA.lines().nth(10).unwrap()
}

fn reply(stream: &mut TcpStream, status: u16, content_type: &str, body: &str) -> bool {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
}

/// Writes these bytes and closes the connection.
fn cut(stream: &mut TcpStream, text: &str) -> bool {
    let _ = stream.write_all(text.as_bytes());
    false
}

/// Everything that a request told the upstream.
fn echo_of(request: &Request) -> String {
    let headers: Vec<&str> = request.headers.iter().map(|(_, value)| value.as_str()).collect();
    format!("{} {}", headers.join(" "), String::from_utf8_lossy(&request.body))
}

/// Repeats what it was told, in every place where a provider could. The job says how.
fn parrot() -> Upstream {
    Upstream::start(|request, stream| {
        let echo = echo_of(request);
        let text = format!("You sent {echo}; see https://files.example/v.mp4?sig=SECRET-MARK-signed&x=1");
        let error = json!({"error": {"message": text, "code": echo, "type": echo, "param": echo}}).to_string();
        let job = request.target.rsplit(['/', '_']).next().unwrap_or_default().to_owned();
        const JSON: &str = "application/json";
        let state = |state: serde_json::Value| state.to_string();
        match job.as_str() {
            "html" => reply(stream, 200, "text/html", &format!("<html>{text}</html>")),
            "html500" => reply(stream, 500, "text/html", &format!("<html>{text}</html>")),
            "type" => reply(stream, 200, &format!("text/{}", echo.replace(' ', "-")), "x"),
            "text" => reply(stream, 400, JSON, &json!({"error": text}).to_string()),
            "detail" => reply(stream, 400, JSON, &json!({"title": echo, "detail": text}).to_string()),
            "failed" => {
                reply(stream, 200, JSON, &state(json!({"status": "failed", "error": {"code": echo, "message": text}})))
            }
            "moderated" => {
                let error = json!({"code": "moderation_blocked", "message": text});
                reply(stream, 200, JSON, &state(json!({"status": "failed", "error": error})))
            }
            "filtered" => {
                let filter = json!({"filtered_count": 1, "reasons": [text, echo]});
                reply(stream, 200, JSON, &state(json!({"status": "failed", "content_filter": filter})))
            }
            "state" => reply(stream, 200, JSON, &state(json!({"status": echo}))),
            "fields" => {
                let fields = json!({
                    "status": "completed", "model": echo, "prompt": echo, "remixed_from_video_id": echo, "seconds": echo,
                    "size": echo, "videos": [
                        {"url": "https://files.example/v.mp4?sig=SECRET-MARK-signed", "content_type": format!("video/{echo}")},
                        {"url": format!("https://files.example/v.mp4?{}", echo.replace(' ', "&"))},
                    ],
                });
                reply(stream, 200, JSON, &state(fields))
            }
            "header" => cut(stream, &format!("HTTP/1.1 200 OK\r\nno colon {echo}\r\n\r\n{{}}")),
            "line" => cut(stream, &format!("{echo}\r\n\r\n")),
            "cut" => cut(stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{echo}")),
            status => reply(stream, status.parse().unwrap_or(500), JSON, &error),
        }
    })
}

const PARROT_JOBS: &[&str] = &[
    "400",
    "401",
    "402",
    "403",
    "404",
    "409",
    "410",
    "418",
    "422",
    "429",
    "500",
    "502",
    "503",
    "504",
    "302",
    "html",
    "html500",
    "type",
    "text",
    "detail",
    "failed",
    "moderated",
    "filtered",
    "state",
    "fields",
    "header",
    "line",
    "cut",
];

/// Gives tokens, or repeats what it was told; the path says which.
fn token_server() -> Upstream {
    Upstream::start(|request, stream| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let assertion = url::form_urlencoded::parse(&request.body).find(|(name, _)| name == "assertion").unwrap().1;
        match request.target.as_str() {
            "/token" => {
                let granted = json!({"access_token": "SECRET-MARK-token", "expires_in": 3600, "token_type": "Bearer"});
                reply(stream, 200, "application/json", &granted.to_string())
            }
            "/html" => reply(stream, 200, "text/html", &format!("<html>{body} {assertion}</html>")),
            _ => {
                let text = format!("{assertion} of SECRET-MARK-key-id: {body}");
                reply(
                    stream,
                    400,
                    "application/json",
                    &json!({"error": "invalid_grant", "error_description": text}).to_string(),
                )
            }
        }
    })
}

const RAW: [(&str, &str); 2] = [("x-bf-send-back-raw-request", "true"), ("x-bf-send-back-raw-response", "true")];

/// Settings that show as much as they can be made to show: spans of every request, too.
fn loud(collector: &Upstream) -> String {
    let collector = collector.address();
    format!(
        "allow_raw: true\nadmin: 127.0.0.1:0\nlog: {{level: trace}}\n\
         traces: {{endpoint: \"http://{collector}\", headers: {{X-Key: SECRET-MARK-key-collector}}, sample: 1}}\n"
    )
}

/// A collector that says whatever it was told, and that it failed.
fn collector() -> Upstream {
    Upstream::start(|request, stream| reply(stream, 500, "text/plain", &echo_of(request)))
}

fn client_keys() -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, b"SECRET-MARK-client");
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("client_auth:\n  keys:\n    - {{name: web, sha256: \"{hash}\"}}\n")
}

fn finish(seen: &mut Seen, proxy: &Proxy, collector: &Upstream) {
    for path in ["/status", "/metrics"] {
        let response = get(proxy.admin_address(), path);
        assert_eq!(response.status, 200, "{path}");
        seen.answer(path, &response);
    }
    // The log is written by another process: its last line must be there.
    send(proxy.address(), "GET", "/the-end", &[]);
    wait_until("the last request is logged", || proxy.log().contains("/the-end"));
    let spans = || -> String {
        collector.requests().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
    };
    wait_until("the last request is exported", || spans().contains("/the-end"));
    assert!(collector.requests()[0].header("x-key").is_some_and(|key| key.contains(MARK)));
    seen.0.push(("the spans".to_owned(), spans()));
    wait_until("it is said that the collector fails", || proxy.log().contains("the collector takes no spans"));
    seen.0.push(("the log".to_owned(), proxy.log()));
}

#[test]
fn no_outcome_of_any_kind_shows_a_secret() {
    let providers = Providers::instant();
    for key in ["SECRET-MARK-key-good", "SECRET-MARK-key-wrong"] {
        let more = "headers: {X-Team: SECRET-MARK-key-header}, timeout: 300ms, retries: 0";
        let collector = collector();
        let config =
            format!("{}{}{}", loud(&collector), client_keys(), providers.config(more).replace("test-key-123", key));
        let proxy = Proxy::start(&config);
        let mut seen = Seen::default();
        let answers = thread::scope(|scope| {
            let ask = |kind: &'static vidgate::sandbox::Kind| {
                let mut seen = Seen::default();
                let mut headers = RAW.to_vec();
                headers.push(("x-bf-vk", "SECRET-MARK-client"));
                let codes = OUTCOMES.iter().map(|row| row.code).filter(|code| *code != "64");
                for job in codes.flat_map(|code| kind.jobs(code)) {
                    let path = format!("/v1/videos/{job}:{}?token=SECRET-MARK-query", kind.name);
                    seen.answer(&path.replace(MARK, "mark"), &send(proxy.address(), "GET", &path, &headers));
                }
                seen
            };
            let threads: Vec<_> = KINDS.iter().map(|kind| scope.spawn(move || ask(kind))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap().0).collect::<Vec<_>>()
        });
        seen.0.extend(answers);
        finish(&mut seen, &proxy, &collector);
        seen.command(&["check"], &config);
        for kind in KINDS {
            seen.command(&["explain", &format!("{}:{}", kind.examples[0], kind.name)], &config);
        }
        seen.assert_without(&[MARK]);
    }
}

#[test]
fn a_provider_that_repeats_our_secrets_to_us_repeats_them_to_nobody_else() {
    let parrot = parrot();
    let base = parrot.address();
    let collector = collector();
    let mut config = format!("{}providers:\n", loud(&collector));
    for (name, kind, credentials) in [
        ("own", "openai", "{api_key: SECRET-MARK-key-1}"),
        ("two", "openai", "[{api_key: SECRET-MARK-key-1}, {api_key: SECRET-MARK-key-2}]"),
        ("mine", "openai", "forward"),
        ("az", "azure", "{api_key: SECRET-MARK-key-1}"),
        ("goo", "gemini", "{api_key: SECRET-MARK-key-1}"),
    ] {
        config.push_str(&format!(
            "  {name}: {{kind: {kind}, base_url: \"http://{base}/v1\", credentials: {credentials}, retries: 0, breaker: null, \
             headers: {{X-Team: SECRET-MARK-key-header}}}}\n"
        ));
    }
    let proxy = Proxy::start(&config);
    let mut seen = Seen::default();
    for name in ["own", "two", "mine", "az", "goo"] {
        for job in PARROT_JOBS {
            let job = if name == "goo" { format!("models/m/operations/{job}") } else { format!("video_{job}") };
            let path = format!("/v1/videos/{job}:{name}");
            for authorization in
                ["Bearer SECRET-MARK-key-forwarded", "Basic SECRET-MARK-key:forwarded", "Bearer SECRET-MARK-kéy"]
            {
                let mut headers = RAW.to_vec();
                headers.push(("Authorization", authorization));
                seen.answer(&path, &send(proxy.address(), "GET", &path, &headers));
                if name != "mine" {
                    break;
                }
            }
        }
    }
    assert!(parrot.requests().iter().any(|request| echo_of(request).contains("SECRET-MARK-key-2")));
    finish(&mut seen, &proxy, &collector);
    // The words themselves do come out, the log's included.
    assert!(seen.0.iter().any(|(what, text)| what == "/v1/videos/video_failed:own" && text.contains("You sent")));
    assert!(proxy.log().contains("an unknown state") && proxy.log().contains("***"), "{}", proxy.log());
    seen.assert_without(&[MARK]);
}

#[test]
fn a_service_account_shows_neither_its_key_nor_what_is_made_with_it() {
    let (parrot, tokens) = (parrot(), token_server());
    let mut files = Files(Vec::new());
    let good = service_account(tokens.address());
    let collector = collector();
    let mut config = format!("{}providers:\n", loud(&collector));
    let job = "projects/sandbox-project/locations/us-central1/publishers/google/models/veo/operations/a00";
    let names = ["good", "refused", "html"];
    for (name, path) in names.iter().zip(["/token", "/refuse", "/html"]) {
        let file = files.add("json", &good.replace("/token\"", &format!("{path}\"")));
        config.push_str(&format!(
            "  {name}: {{kind: vertex, base_url: \"http://{}/v1\", credentials: {{service_account: {file}}}, retries: 0}}\n",
            parrot.address()
        ));
    }
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let inline = service_account(gone).replace('\\', "\\\\").replace('"', "\\\"");
    config.push_str(&format!(
        "  gone: {{kind: vertex, base_url: \"http://{}/v1\", credentials: {{service_account: \"{inline}\"}}, timeout: 2s, retries: 0}}\n",
        parrot.address()
    ));
    let proxy = Proxy::start(&config);
    let mut seen = Seen::default();
    for name in ["good", "refused", "html", "gone"] {
        let response = send(proxy.address(), "GET", &format!("/v1/videos/{job}:{name}"), &RAW);
        assert_eq!(response.status, 502, "{name}: {}", response.text());
        if matches!(name, "refused" | "html") {
            assert_eq!(response.code(), "upstream_auth_failed", "{}", response.text());
        }
        seen.answer(name, &response);
    }
    assert!(parrot.requests().iter().any(|request| echo_of(request).contains("SECRET-MARK-token")));
    finish(&mut seen, &proxy, &collector);
    seen.command(&["check"], &config);
    for name in ["good", "refused", "gone"] {
        seen.command(&["explain", &format!("{job}:{name}")], &config);
    }
    seen.assert_without(&[MARK, key_line()]);
    for request in tokens.requests() {
        let assertion = url::form_urlencoded::parse(&request.body).find(|(name, _)| name == "assertion").unwrap().1;
        seen.assert_without(&assertion.split('.').collect::<Vec<_>>());
    }
}

#[test]
fn what_does_not_come_about_shows_no_secret() {
    let plain = Upstream::json(200, "{}");
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut files = Files(Vec::new());
    let anchor = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let ca = files.add("pem", &anchor.cert.pem());
    let more = format!(
        "credentials: {{api_key: SECRET-MARK-key}}, headers: {{X-Team: SECRET-MARK-key-header}}, ca_file: {ca}, retries: 1"
    );
    let collector = collector();
    let config = format!(
        "{}{}providers:\n  notls: {{kind: openai, base_url: \"https://{}/v1\", {more}}}\n  \
         gone: {{kind: openai, base_url: \"https://{gone}/v1\", {more}}}\n  \
         nameless: {{kind: openai, base_url: \"https://{UNRESOLVABLE}/v1\", {more}}}\n  \
         mine: {{kind: openai, base_url: \"https://{gone}/v1\", credentials: forward, ca_file: {ca}}}\n",
        loud(&collector),
        client_keys(),
        plain.address()
    );
    let proxy = Proxy::start(&config);
    let mut seen = Seen::default();
    let vk = ("x-bf-vk", "SECRET-MARK-client");
    for name in ["notls", "gone", "nameless", "mine"] {
        let path = format!("/v1/videos/video_1:{name}?key=SECRET-MARK-query");
        let response = send(
            proxy.address(),
            "GET",
            &path,
            &[
                vk,
                ("Authorization", "Bearer SECRET-MARK-forwarded"),
                ("Cookie", "SECRET-MARK-cookie"),
                ("User-Agent", "SECRET-MARK-agent"),
                ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                ("tracestate", "v=SECRET-MARK-state"),
            ],
        );
        assert_eq!(response.code(), "upstream_unreachable", "{name}: {}", response.text());
        seen.answer(name, &response);
    }
    let wrong =
        [("x-bf-vk", "SECRET-MARK-bad"), ("x-api-key", "SECRET-MARK-bad"), ("Authorization", "Bearer SECRET-MARK-bad")];
    for path in
        ["/v1/videos/video_1:gone", "/v1/videos/video_1:nobody", "/v1/videos/..:gone", "/nowhere", "/v1/videos/video_1"]
    {
        for (method, headers) in [("GET", &wrong[..]), ("POST", &[vk])] {
            seen.answer(path, &send(proxy.address(), method, &format!("{path}?key=SECRET-MARK-query"), headers));
        }
    }
    // What is no HTTP is not repeated either.
    let tail = "x-bf-vk: SECRET-MARK-client\r\nAuthorization: Bearer SECRET-MARK-forwarded\r\n";
    for line in [
        "GET /v1/videos/video_1:gone?key=SECRET-MARK-query HTTP/9.9\r\n",
        "GET /v1/videos/video_1:gone?key=SECRET-MARK-query\r\n",
        "GET /v1/videos/video_1:gone?key=SECRET-MARK-query HTTP/1.1\r\nno colon SECRET-MARK-x\r\n",
        "GET /v1/videos/video_1:gone?key=SECRET-MARK-query HTTP/1.1\r\nbad\u{1}name: SECRET-MARK-x\r\n",
        "GET /v1/videos/video_1:gone?key=SECRET-MARK-query HTTP/1.1\r\nContent-Length: SECRET-MARK-x\r\n",
        "GET /v1/videos/video_1:gone?key=SECRET-MARK-query HTTP/1.1\r\nTransfer-Encoding: SECRET-MARK-x\r\n",
        "GET http://user:SECRET-MARK-x@videos.test/v1/videos/video_1:gone?key=SECRET-MARK-query HTTP/1.1\r\n",
        "CONNECT SECRET-MARK-x:443 HTTP/1.1\r\n",
        "GET /v1/videos/video_1:gone?key=SECRET MARK <SECRET-MARK-query> HTTP/1.1\r\n",
        "\u{16}\u{3}\u{1}SECRET-MARK-x\r\n",
    ] {
        let mut client = Client::connect(proxy.address());
        client.write(format!("{line}{tail}Connection: close\r\n\r\n").as_bytes());
        seen.0.push((line.replace(MARK, "mark"), String::from_utf8_lossy(&client.read_to_end()).into_owned()));
    }
    finish(&mut seen, &proxy, &collector);
    seen.assert_without(&[MARK]);
}

#[test]
fn a_config_that_is_wrong_shows_no_secret() {
    let config = "public_url: https://user:SECRET-MARK-x@videos.test\nclient_auth:\n  keys:\n    - {name: web, sha256: SECRET-MARK-x}\n\
                  passthrough: {upstreams: [\"http://user:SECRET-MARK-x@127.0.0.1:1\"]}\n\
                  traces: {endpoint: \"http://user:SECRET-MARK-x@h\", headers: {X-A: \"SECRET-MARK\\nx\", Host: SECRET-MARK-x}}\n\
                  providers:\n  \
                  openai: {credentials: SECRET-MARK-x}\n  \
                  azure: {base_url: \"https://user:SECRET-MARK-x@h/v1?key=SECRET-MARK-y\", credentials: {api_key: \"SECRET-MARK x\"}}\n  \
                  gemini: {credentials: [SECRET-MARK-x]}\n  \
                  runway: {credentials: {api_key: [SECRET-MARK-x]}, headers: {X-A: \"SECRET-MARK\\nx\", Authorization: SECRET-MARK-x}}\n  \
                  vertex: {credentials: {service_account: SECRET-MARK-x}}\n  \
                  replicate: {credentials: {api_key: SECRET-MARK-x, access_token: SECRET-MARK-x}}\n  \
                  entra: {kind: azure, base_url: \"https://h/v1\", credentials: {entra: {tenant_id: t, client_secret: SECRET-MARK-x}}}\n";
    let mut seen = Seen::default();
    for command in ["check", "serve"] {
        seen.command(&[command], config);
    }
    let broken = format!("{config}  runware: {{credentials: {{api_key: \"SECRET-MARK-x}}}}\n");
    seen.command(&["check"], &broken);
    assert!(seen.0.iter().any(|(_, text)| text.contains("providers.openai.credentials")), "{:?}", seen.0);
    seen.assert_without(&[MARK]);
}
