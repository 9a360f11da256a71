//! What docs/openapi.json says is what the program answers.

mod content;
mod schema;

use crate::support::{Client, Providers, Proxy, Response, get, send, wait_until};
use ring::digest::{SHA256, digest};
use schema::{complaint, resolve};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use vidgate::sandbox::{KINDS, OUTCOMES};
use vidgate::video::ErrorKind;

const VIDEO: &str = "/v1/videos/{video_id}";
const CONTENT: &str = "/v1/videos/{video_id}/content";

/// A job that completes.
const JOB: &str = "/v1/videos/video_7c3e9a51d2f84b06a1e5c0d94f7b2800:openai";

/// Of HTTP itself, or written by Pingora.
const UNDOCUMENTED: &[&str] = &["content-type", "content-length", "transfer-encoding", "date", "connection"];

fn text() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")).unwrap()
}

/// The document, and the error codes that were seen.
struct Document {
    root: Value,
    seen: RefCell<BTreeSet<String>>,
}

impl Document {
    fn read() -> Document {
        Document { root: serde_json::from_slice(&text()).unwrap(), seen: RefCell::default() }
    }

    /// The description of an answer.
    #[track_caller]
    fn response(&self, path: &str, method: &str, status: u16) -> &Value {
        let response = &self.root["paths"][path][method]["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {path} has no {status}");
        response.get("$ref").map_or(response, |reference| resolve(&self.root, reference))
    }

    /// Holds an answer against the description.
    #[track_caller]
    fn check(&self, path: &str, method: &str, response: &Response, what: &str) {
        let described = self.response(path, method, response.status);
        self.check_headers(described, response, what);
        let Some(media) = described.get("content") else {
            return assert!(response.body.is_empty(), "{what}: {}", response.text());
        };
        let Some(json) = media.get("application/json") else { return content::is_of_these(media, response, what) };
        let body = response.json();
        let why = complaint(&self.root, &json["schema"], &body);
        assert_eq!(why, None, "{what}: {body}");
        let (shape, is_error) = if response.status == 200 { ("Video", false) } else { ("Error", true) };
        let required = self.root["components"]["schemas"][shape]["required"].as_array().unwrap();
        let known: BTreeSet<&str> = required.iter().map(|key| key.as_str().unwrap()).collect();
        let keys: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, known, "{what}");
        if is_error {
            self.seen.borrow_mut().insert(response.code());
        }
    }

    #[track_caller]
    fn check_headers(&self, described: &Value, response: &Response, what: &str) {
        let headers = described["headers"].as_object().unwrap();
        for (name, header) in headers {
            let header = header.get("$ref").map_or(header, |reference| resolve(&self.root, reference));
            let Some(value) = response.header(&name.to_ascii_lowercase()) else {
                assert!(header["required"] != true, "{what}: no {name}");
                continue;
            };
            let is_number = header["schema"]["type"] == "integer";
            let value = if is_number { json!(value.parse::<u64>().unwrap()) } else { json!(value) };
            assert_eq!(complaint(&self.root, &header["schema"], &value), None, "{what}: {name}");
        }
        for (name, _) in &response.headers {
            let is_described = headers.keys().any(|known| known.eq_ignore_ascii_case(name));
            assert!(is_described || UNDOCUMENTED.contains(&name.as_str()), "{what}: {name} is not described");
        }
    }
}

fn sha256(key: &str) -> String {
    digest(&SHA256, key.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keys of clients: one for Runway only, one that may ask once.
fn client_keys() -> String {
    let (web, slow) = (sha256("sk-web"), sha256("sk-slow"));
    format!(
        "client_auth:\n  keys:\n    - {{name: web, sha256: \"{web}\", providers: [runway]}}\n    \
         - {{name: slow, sha256: \"{slow}\", rate: 1/h}}\n"
    )
}

#[test]
fn the_admin_address_serves_the_document() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&format!("admin: 127.0.0.1:0\n{}", providers.config("")));
    let response = get(proxy.admin_address(), "/openapi.json");
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert!(response.body == text());
    assert_eq!(response.json()["info"]["version"], env!("CARGO_PKG_VERSION"));
    // The public listener does not.
    assert_eq!(get(proxy.address(), "/openapi.json").status, 404);
}

#[test]
fn the_document_has_the_table_of_errors() {
    let document = Document::read();
    let mut described = BTreeSet::new();
    for (path, method) in [(VIDEO, "get"), (CONTENT, "get")] {
        let responses = document.root["paths"][path][method]["responses"].as_object().unwrap();
        for status in responses.keys().map(|status| status.parse::<u16>().unwrap()).filter(|status| *status >= 400) {
            let response = document.response(path, method, status);
            let codes = response["x-vidgate-codes"].as_object().unwrap();
            described
                .extend(codes.iter().map(|(code, kind)| (status, code.clone(), kind.as_str().unwrap().to_owned())));
            let rules = &response["content"]["application/json"]["schema"]["allOf"][1]["properties"];
            assert_eq!(rules["status_code"]["const"], status);
            // Where the provider's own codes are not relayed, the list is the whole of it.
            if let Some(list) = rules["error"]["properties"]["code"]["enum"].as_array() {
                let list: BTreeSet<&str> = list.iter().map(|code| code.as_str().unwrap()).collect();
                assert_eq!(list, codes.keys().map(String::as_str).collect(), "{status}");
            } else {
                assert!([400, 401, 403].contains(&status), "{status} has no list of codes");
            }
        }
    }
    let row = |kind: &ErrorKind| (kind.status(), kind.code().to_owned(), kind.kind().to_owned());
    assert_eq!(described, ErrorKind::ALL.iter().map(row).collect());
}

#[test]
fn every_answer_is_as_described() {
    let document = Document::read();
    let providers = Providers::instant();
    // The slow one is like any other; the silent one is asked for below.
    for row in OUTCOMES.iter().filter(|row| !["64", "65"].contains(&row.code)) {
        // A proxy for each, since a refusal can hold the credential for the next.
        let proxy = Proxy::start(&providers.config("retries: 0, breaker: null"));
        for kind in KINDS {
            for job in kind.jobs(row.code) {
                let target = format!("/v1/videos/{job}:{}", kind.name);
                document.check(VIDEO, "get", &get(proxy.address(), &target), &target);
                document.check(VIDEO, "head", &send(proxy.address(), "HEAD", &target, &[]), &target);
                content::check(&document, &proxy, &target);
            }
        }
    }
    content::check_renderings(&document, &providers);
    content::check_links(&document);
    check_refusals(&document, &providers);
    check_heads(&document, &providers);
    check_keys(&document, &providers);
    check_overload(&document, &providers);
    // The last: it takes the providers away.
    check_versions(&document, providers);

    let seen = document.seen.into_inner();
    for kind in ErrorKind::ALL {
        // A fault of the program cannot be asked for; a malformed request is not for a video.
        if !matches!(kind, ErrorKind::Internal | ErrorKind::BadRequest) {
            assert!(seen.contains(kind.code()), "{} was not seen", kind.code());
        }
    }
}

fn check_refusals(document: &Document, providers: &Providers) {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = providers.config("retries: 0, timeout: 300ms");
    let proxy = Proxy::start(&format!("{config}  gone: {{kind: openai, base_url: \"http://{closed}/v1\"}}\n"));
    let asked = [
        ("GET", "/v1/videos/video_1", VIDEO),
        ("GET", "/v1/videos/%zz:openai", VIDEO),
        ("GET", "/v1/videos/video_1:nobody", VIDEO),
        ("GET", "/v1/videos/video_1:gone", VIDEO),
        ("GET", "/v1/videos/video_silent65:openai", VIDEO),
        ("GET", "/v1/videos/edits", VIDEO),
        ("POST", "/v1/videos/video_1:openai", VIDEO),
        ("GET", "/v1/videos/video_1:openai/content", CONTENT),
        ("GET", "/v1/videos/video_1:nobody/content", CONTENT),
        ("GET", "/v1/videos/edits/content", CONTENT),
        ("DELETE", "/v1/videos/video_1:openai/content", CONTENT),
    ];
    for (method, target, path) in asked {
        document.check(path, "get", &send(proxy.address(), method, target, &[]), target);
        if method == "GET" {
            document.check(path, "head", &send(proxy.address(), "HEAD", target, &[]), target);
        }
    }
}

fn check_heads(document: &Document, providers: &Providers) {
    let limits = "limits: {header_size: 4KiB, header_timeout: 200ms}\n";
    let proxy = Proxy::start(&format!("{limits}{}", providers.config("")));
    let large = send(proxy.address(), "GET", JOB, &[("x-large", &"x".repeat(5000))]);
    document.check(VIDEO, "get", &large, "a large head");
    let mut client = Client::connect(proxy.address());
    client.write(format!("GET {JOB} HTTP/1.1\r\nHost: a").as_bytes());
    document.check(VIDEO, "get", &client.read(false), "a slow head");
}

fn check_keys(document: &Document, providers: &Providers) {
    let base = providers.sandbox.base_url("openai");
    let entry = format!("providers:\n  openai: {{base_url: \"{base}\", credentials: forward, retries: 0}}\n");
    let other = "  runway: {credentials: {api_key: k-1}}\n";
    let proxy = Proxy::start(&format!("{}{entry}{other}", client_keys()));
    let (web, slow) = (("x-api-key", "sk-web"), ("x-bf-vk", "sk-slow"));
    let forwarded = ("authorization", "Bearer wrong-key");
    let asked: [(&[(&str, &str)], u16); 5] =
        [(&[], 401), (&[web], 403), (&[slow, forwarded], 401), (&[slow], 429), (&[("x-api-key", "sk-else")], 401)];
    for (headers, status) in asked {
        let response = send(proxy.address(), "GET", JOB, headers);
        assert_eq!(response.status, status, "{headers:?}: {}", response.text());
        document.check(VIDEO, "get", &response, JOB);
        let content = format!("{JOB}/content");
        document.check(CONTENT, "get", &send(proxy.address(), "GET", &content, &headers[..headers.len().min(1)]), JOB);
    }
}

fn check_overload(document: &Document, providers: &Providers) {
    let proxy = Proxy::start(&format!("max_requests: 1\n{}", providers.config("")));
    let mut first = Client::connect(proxy.address());
    first.write(b"GET /v1/videos/video_held65:openai HTTP/1.1\r\nHost: videos.test\r\n\r\n");
    wait_until("the first request is at the provider", || providers.sandbox.calls("openai", "video_held65") > 0);
    for (target, path) in [(JOB.to_owned(), VIDEO), (format!("{JOB}/content"), CONTENT)] {
        let response = get(proxy.address(), &target);
        assert_eq!(response.code(), "overloaded");
        document.check(path, "get", &response, &target);
    }
}

/// 304, raw fields, no cache, and what is said while the provider is away.
fn check_versions(document: &Document, providers: Providers) {
    let config = providers.config("poll: {fresh_for: 1ms}, breaker: null, retries: 0");
    let proxy = Proxy::start(&format!("allow_raw: true\n{config}"));
    let queued = JOB.replace("00:", "10:");
    let response = get(proxy.address(), &queued);
    document.check(VIDEO, "get", &response, "first");
    let tag = response.header("etag").unwrap();
    let response = send(proxy.address(), "GET", &queued, &[("if-none-match", tag)]);
    assert_eq!(response.status, 304);
    document.check(VIDEO, "get", &response, "304");
    let raw = [("x-bf-send-back-raw-request", "true"), ("x-bf-send-back-raw-response", "true")];
    let response = send(proxy.address(), "GET", &queued, &raw);
    assert!(response.json()["extra_fields"]["raw_response"].is_object(), "{}", response.text());
    document.check(VIDEO, "get", &response, "raw");
    drop(providers);
    let response = get(proxy.address(), &queued);
    assert_eq!(response.header("x-vidgate-cache"), Some("stale"), "{}", response.text());
    document.check(VIDEO, "get", &response, "stale");
}

/// The examples are what the program says, times and ids aside.
#[test]
fn the_examples_are_real_answers() {
    let document = Document::read();
    let providers = Providers::instant();
    let mut count = 0;
    for response in document.root["components"]["responses"].as_object().unwrap().values() {
        let Some(media) = response.pointer("/content/application~1json") else { continue };
        for (name, example) in media["examples"].as_object().into_iter().flatten() {
            assert_eq!(complaint(&document.root, &media["schema"], &example["value"]), None, "{name}");
            let mut config = String::from("public_url: https://videos.example.com\n");
            let is_about_keys = name.contains("key");
            config.push_str(if is_about_keys { client_keys() } else { String::new() }.as_str());
            config.push_str("providers:\n");
            for kind in ["openai", "runway", "replicate"] {
                let base = providers.sandbox.base_url(kind);
                config.push_str(&format!(
                    "  {kind}: {{base_url: \"{base}\", credentials: {{api_key: k-1}}, retries: 0, timeout: 1s}}\n"
                ));
            }
            let proxy = Proxy::start(&config);
            let (method, target) = example["summary"].as_str().unwrap().split_once(' ').unwrap();
            let headers: &[(&str, &str)] = if name == "key_not_allowed" { &[("x-api-key", "sk-web")] } else { &[] };
            let real = send(proxy.address(), method, target, headers);
            assert_eq!(timeless(real.json()), timeless(example["value"].clone()), "{name}");
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}

/// The same without what differs from one answer to the next.
fn timeless(mut value: Value) -> Value {
    const DIFFERENT: &[&str] =
        &["event_id", "created_at", "completed_at", "expires_at", "latency", "cache_id", "progress"];
    match &mut value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut().filter(|(_, value)| !value.is_null()) {
                *value = if DIFFERENT.contains(&key.as_str()) { json!("") } else { timeless(value.take()) };
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| *value = timeless(value.take())),
        _ => {}
    }
    value
}
