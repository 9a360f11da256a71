//! AWS: calls that are signed, to Bedrock and to the bucket that holds its results.

use crate::support::{Providers, Proxy, Request, Response, Upstream, get, run, send};
use http::header::{HOST, RANGE};
use http::{HeaderValue, Method, StatusCode};
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vidgate::config::{Credential, Credentials, Settings};
use vidgate::providers::Reply;
use vidgate::sandbox::{AWS_SESSION, AWS_USER, AwsKey};
use vidgate::upstream::{Authenticator, Client, Endpoint, Limits, Outgoing, Proof, Trust, encoded_path};

const JOB: &str = "arn:aws:bedrock:us-west-2:123456789012:async-invoke/k3v9x1m7qd00";
const PATH: &str = "/async-invoke/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aasync-invoke%2Fk3v9x1m7qd00";

/// A credential of the config.
fn credential(key: &AwsKey) -> String {
    let token = key.session_token.map(|token| format!(", session_token: \"{token}\"")).unwrap_or_default();
    format!("{{access_key_id: {}, secret_access_key: \"{}\"{token}}}", key.id, key.secret)
}

/// An entry for Bedrock at this address.
fn entry(base_url: &str, credentials: &str) -> String {
    format!(
        "providers:\n  bedrock: {{base_url: \"{base_url}\", credentials: {credentials}, retries: 1, breaker: null, \
         poll: {{cache: false}}}}\n"
    )
}

fn sandboxed(credentials: &str) -> (Providers, Proxy) {
    let providers = Providers::instant();
    let proxy = Proxy::start(&entry(&providers.sandbox.base_url("bedrock"), credentials));
    (providers, proxy)
}

fn poll(proxy: &Proxy, job: &str) -> Response {
    get(proxy.address(), &format!("/v1/videos/{job}:bedrock"))
}

#[track_caller]
fn assert_refused(response: &Response, words: &str) {
    let text = response.text();
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_auth_failed"), "{text}");
    assert!(response.json()["error"]["message"].as_str().unwrap().contains(words), "{words} is missing: {text}");
    assert_eq!(response.json()["is_bifrost_error"], false, "{text}");
}

/// Nothing of these keys is where people read.
#[track_caller]
fn assert_secret(proxy: &Proxy, response: &Response) {
    for text in [response.text(), proxy.log()] {
        for key in [AWS_USER, AWS_SESSION] {
            for secret in [key.secret].into_iter().chain(key.session_token) {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}

#[test]
fn an_invocation_is_polled_with_each_form_of_credential() {
    let table = [
        (credential(&AWS_USER), "AWS4-HMAC-SHA256 Credential=AKIASANDBOX0EXAMPLE0/", None),
        (credential(&AWS_SESSION), "AWS4-HMAC-SHA256 Credential=ASIASANDBOX0EXAMPLE0/", AWS_SESSION.session_token),
        ("{api_key: bedrock-api-key-1}".to_owned(), "Bearer bedrock-api-key-1", None),
    ];
    for (credentials, starts, token) in table {
        let (providers, proxy) = sandboxed(&credentials);
        let response = poll(&proxy, JOB);
        assert_eq!(response.status, 200, "{credentials}: {}", response.text());
        let video = response.json();
        assert_eq!((&video["status"], &video["model"]), (&"completed".into(), &"luma.ray-v2:0".into()));
        assert_eq!(
            video["videos"][0]["url"],
            format!("http://videos.test/v1/videos/{JOB}:bedrock/content?index=0").as_str()
        );
        assert_secret(&proxy, &response);
        let request = providers.sandbox.last_request().unwrap();
        let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(request.target, format!("/bedrock{PATH}"));
        assert!(header("authorization").unwrap().starts_with(starts), "{:?}", request.headers);
        assert_eq!(header("x-amz-security-token"), token);
        assert_eq!(header("x-amz-date").is_some(), starts.starts_with("AWS4"));
        // A refusal for a moment is waited out.
        let again = JOB.replace("qd00", "qd48");
        assert_eq!(poll(&proxy, &again).status, 200);
        assert_eq!(providers.sandbox.calls("bedrock", &again), 2);
    }
}

#[test]
fn a_key_that_is_wrong_in_any_part_is_the_operators_fault() {
    let mismatch = "does not match the signature you provided";
    let unknown = "The security token included in the request is invalid";
    let table = [
        (AwsKey { secret: "sandbox/other/+secret+/EXAMPLE/0123456789", ..AWS_USER }, mismatch),
        (AwsKey { id: "AKIANOBODY0EXAMPLE00", ..AWS_USER }, unknown),
        (AwsKey { session_token: None, ..AWS_SESSION }, unknown),
        (AwsKey { session_token: Some("sandbox/another/token"), ..AWS_SESSION }, unknown),
        (AwsKey { session_token: Some("sandbox/another/token"), ..AWS_USER }, unknown),
    ];
    for (key, words) in table {
        let (_providers, proxy) = sandboxed(&credential(&key));
        let response = poll(&proxy, JOB);
        assert_refused(&response, words);
        assert_secret(&proxy, &response);
    }
}

/// A Bedrock that refuses in this way.
fn refusing(kind: &'static str, message: impl Fn(&Request) -> String + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |request, stream| {
        let body = serde_json::json!({"message": message(request)}).to_string();
        let head = format!(
            "HTTP/1.1 403 X\r\ncontent-type: application/json\r\nx-amzn-errortype: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
    })
}

#[test]
fn what_aws_says_of_our_clock_reaches_the_client() {
    let words = "Signature expired: 20260603T083000Z is now earlier than 20260603T084107Z (20260603T084607Z - 5 min.)";
    for kind in ["InvalidSignatureException", "RequestTimeTooSkewed"] {
        let upstream = refusing(kind, |_| words.to_owned());
        let proxy = Proxy::start(&entry(&format!("http://{}", upstream.address()), &credential(&AWS_USER)));
        assert_refused(&poll(&proxy, JOB), words);
    }
}

#[test]
fn a_session_token_that_aws_repeats_is_not_repeated_to_anybody() {
    let upstream = refusing("InvalidSignatureException", |request| {
        format!(
            "The Canonical String should have been 'x-amz-security-token:{}'",
            request.header("x-amz-security-token").unwrap()
        )
    });
    let proxy = Proxy::start(&entry(&format!("http://{}", upstream.address()), &credential(&AWS_SESSION)));
    let response = poll(&proxy, JOB);
    assert_refused(&response, "x-amz-security-token:***");
    assert_secret(&proxy, &response);
}

#[test]
fn a_signature_is_made_for_each_call_with_the_time_of_the_call() {
    let upstream = Upstream::json(200, r#"{"status":"InProgress"}"#);
    let proxy = Proxy::start(&entry(&format!("http://{}", upstream.address()), &credential(&AWS_SESSION)));
    let other = JOB.replace("qd00", "qd01");
    for job in [JOB, &other] {
        let headers = [("Host", "evil.example"), ("x-amz-date", "19700101T000000Z"), ("x-amz-meta", "x")];
        assert_eq!(send(proxy.address(), "GET", &format!("/v1/videos/{job}:bedrock"), &headers).status, 200);
    }
    let requests = upstream.requests();
    let signature = |request: &Request| request.header("authorization").unwrap().rsplit('=').next().unwrap().to_owned();
    assert_ne!(signature(&requests[0]), signature(&requests[1]));
    for request in &requests {
        let authorization = request.header("authorization").unwrap();
        assert!(authorization.contains("/us-west-2/bedrock/aws4_request, "), "{authorization}");
        assert!(authorization.contains("SignedHeaders=host;x-amz-date;x-amz-security-token, "), "{authorization}");
        assert_eq!(request.header("host"), Some(upstream.address().to_string().as_str()));
        assert_eq!(request.header("x-amz-meta"), None);
        let time = request.header("x-amz-date").unwrap();
        let signed_at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).unwrap();
        let signed_at = signed_at.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(signed_at.try_into().unwrap()) < 60, "{time} is not now");
        let dates: Vec<_> = request.headers.iter().filter(|(name, _)| name == "x-amz-date").collect();
        assert_eq!(dates.len(), 1);
    }
}

#[test]
fn raw_requests_and_explanations_show_stars_for_a_signature() {
    let providers = Providers::instant();
    let config = entry(&providers.sandbox.base_url("bedrock"), &credential(&AWS_SESSION));
    let proxy = Proxy::start(&format!("allow_raw: true\n{config}"));
    let raw = [("x-bf-send-back-raw-request", "true"), ("x-bf-send-back-raw-response", "true")];
    let response = send(proxy.address(), "GET", &format!("/v1/videos/{JOB}:bedrock"), &raw);
    let sent = &response.json()["extra_fields"]["raw_request"];
    assert_eq!(sent["url"], format!("{}{PATH}", providers.sandbox.base_url("bedrock")).as_str());
    assert_eq!(
        (&sent["headers"]["authorization"], &sent["headers"]["x-amz-security-token"]),
        (&"***".into(), &"***".into())
    );
    assert!(sent["headers"]["x-amz-date"].is_string(), "{sent}");
    assert_secret(&proxy, &response);

    let output = run(&["explain", &format!("{JOB}:bedrock")], Some(&config), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in ["authorization: AWS4-HMAC-SHA256 ***", "x-amz-security-token: ***"] {
        assert!(text.lines().any(|own| own == line), "{line} is missing: {text}");
    }
    assert!(!text.contains(AWS_SESSION.secret) && !text.contains("session+token"), "{text}");
}

#[test]
fn the_region_of_an_invocation_gives_the_host_and_nothing_else_does() {
    let config = format!("providers:\n  bedrock: {{credentials: {}}}\n", credential(&AWS_USER));
    let invocation = |partition: &str, region: &str| {
        format!("arn:{partition}:bedrock:{region}:123456789012:async-invoke/k3v9x1m7qd00:bedrock")
    };
    let explain = |id: &str| run(&["explain", id], Some(&config), &[]);
    let table = [
        ("aws", "us-west-2", "https://bedrock-runtime.us-west-2.amazonaws.com/async-invoke/arn%3Aaws%3A"),
        ("aws", "eu-north-1", "https://bedrock-runtime.eu-north-1.amazonaws.com/async-invoke/arn%3Aaws%3A"),
        ("aws-us-gov", "us-gov-west-1", "https://bedrock-runtime.us-gov-west-1.amazonaws.com/async-invoke/arn%3A"),
        ("aws-cn", "cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/async-invoke/arn%3Aaws-cn"),
        ("aws-eusc", "eusc-de-east-1", "https://bedrock-runtime.eusc-de-east-1.amazonaws.eu/async-invoke/arn%3A"),
    ];
    for (partition, region, url) in table {
        let output = explain(&invocation(partition, region));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("GET {url}")), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let hostile = [
        ("aws", "evil.example"),
        ("aws", "us-west-2.evil.example"),
        ("aws", "us-west-2@evil"),
        ("aws", "us-west-2/x"),
        ("aws", "us-west-2%2Fx"),
        ("aws", "us-west-2:443"),
        ("aws", "../us-west-2"),
        ("aws", ""),
        ("aws", "cn-north-1"),
        ("aws-cn", "us-west-2"),
        ("aws-iso", "us-iso-east-1"),
        ("aws-x.evil.example", "us-west-2"),
    ];
    for (partition, region) in hostile {
        let output = explain(&invocation(partition, region));
        assert_eq!(output.status.code(), Some(1), "{partition} {region}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_credential_that_names_its_account_is_used_for_that_account_only() {
    let providers = Providers::instant();
    let (user, session) = (credential(&AWS_USER), credential(&AWS_SESSION));
    let with = |credential: &str, more: &str| credential.replacen('{', &format!("{{{more}, "), 1);
    let credentials = format!(
        "[{}, {}]",
        with(&user, "name: films, projects: [\"210987654321\"]"),
        with(&session, "name: ads, projects: [\"123456789012\"]")
    );
    let proxy = Proxy::start(&entry(&providers.sandbox.base_url("bedrock"), &credentials));
    let sent_with = || {
        let request = providers.sandbox.last_request().unwrap();
        request.headers["authorization"].to_str().unwrap().split(['=', '/']).nth(1).unwrap().to_owned()
    };
    assert_eq!(poll(&proxy, JOB).status, 200);
    assert_eq!(sent_with(), AWS_SESSION.id);
    assert_eq!(poll(&proxy, &JOB.replace("123456789012", "210987654321")).status, 200);
    assert_eq!(sent_with(), AWS_USER.id);
    let stranger = JOB.replace("123456789012", "111111111111");
    let response = poll(&proxy, &stranger);
    assert_eq!((response.status, response.code().as_str()), (400, "invalid_video_id"), "{}", response.text());
    assert_eq!(providers.sandbox.calls("bedrock", &stranger), 0);
}

#[test]
fn a_key_without_its_other_half_is_a_fault_of_the_config() {
    for credentials in
        ["{access_key_id: AKIA1}", "{secret_access_key: s}", "{access_key_id: A, secret_access_key: s, api_key: k}"]
    {
        let config = format!("providers:\n  bedrock: {{credentials: {credentials}}}\n");
        let output = run(&["check"], Some(&config), &[]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("expected exactly access_key_id + secret_access_key, or"), "{text}");
    }
}

/// The first credential of the only provider.
fn configured(credentials: &str) -> Credential {
    let settings = Settings::parse(&entry("http://127.0.0.1:1", credentials)).unwrap();
    let Credentials::Keys(keys) = &settings.providers[0].credentials else { panic!("no keys") };
    keys[0].clone()
}

/// What calls with this credential carry.
fn proof(authenticator: &Authenticator) -> Proof {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    runtime.block_on(authenticator.proof(&Client::default(), deadline)).unwrap()
}

/// Asks the sandbox's S3 for an object, signed with this credential.
fn fetch(providers: &Providers, credentials: &str, key: &str) -> Reply {
    let authenticator = Authenticator::new(&configured(credentials), &Trust::default()).unwrap();
    let base = vidgate::config::BaseAddress::parse(&providers.sandbox.base_url("bedrock")).unwrap();
    let endpoint = Endpoint::new(base, Duration::from_secs(3), Trust::default()).unwrap();
    let path = encoded_path(&format!("/bedrock/s3/{key}"));
    let host = HeaderValue::from_str(&providers.sandbox.address().to_string()).unwrap();
    let mut outgoing = Outgoing { method: Method::GET, path: &path, headers: vec![(HOST, host)], body: None };
    proof(&authenticator).add_to_s3(&mut outgoing, "us-west-2").unwrap();
    outgoing.headers.push((RANGE, HeaderValue::from_static("bytes=0-9")));
    let limits = Limits { max_body: 1 << 20, retries: 0 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        Client::default().exchange(&endpoint, &outgoing, &limits, deadline).await.unwrap()
    })
}

#[test]
fn the_same_key_opens_the_bucket_that_holds_the_result() {
    let providers = Providers::instant();
    let bucket = "vidgate-sandbox-us-west-2-123456789012";
    for key in [AWS_USER, AWS_SESSION] {
        let reply = fetch(&providers, &credential(&key), &format!("{bucket}/k3v9x1m7qd00/output.mp4"));
        assert_eq!(reply.status, StatusCode::PARTIAL_CONTENT, "{}", String::from_utf8_lossy(&reply.body));
        assert_eq!((&reply.body[4..8], reply.body.len()), (&b"ftyp"[..], 10));
    }
    let other = AwsKey { secret: "sandbox/other/+secret+/EXAMPLE/0123456789", ..AWS_USER };
    let east = bucket.replace("us-west-2", "us-east-1");
    let table = [
        (AWS_USER, format!("{bucket}/k3v9x1m7qd01/output.mp4"), 404, "NoSuchKey"),
        (AWS_USER, format!("{bucket}/k3v9x1m7qd06/output.mp4"), 404, "NoSuchKey"),
        (other, format!("{bucket}/k3v9x1m7qd00/output.mp4"), 403, "SignatureDoesNotMatch"),
        (AWS_USER, format!("{east}/k3v9x1m7qd00/output.mp4"), 400, "AuthorizationHeaderMalformed"),
    ];
    for (key, object, status, code) in table {
        let reply = fetch(&providers, &credential(&key), &object);
        let body = String::from_utf8_lossy(&reply.body);
        assert!(reply.status == status && body.contains(code), "{object}: {} {body}", reply.status);
    }
    let anybody = get(providers.sandbox.address(), &format!("/bedrock/s3/{bucket}/k3v9x1m7qd00/output.mp4"));
    assert_eq!(anybody.status, 403, "{}", anybody.text());
}

#[test]
fn an_api_key_of_bedrock_signs_nothing_for_s3() {
    let authenticator = Authenticator::new(&configured("{api_key: k-123456}"), &Trust::default()).unwrap();
    let mut outgoing = Outgoing { method: Method::GET, path: "/k", headers: Vec::new(), body: None };
    let error = proof(&authenticator).add_to_s3(&mut outgoing, "us-west-2").unwrap_err();
    assert!(error.message(Some("bedrock")).contains("wants an access key of AWS"), "{error}");
    assert!(outgoing.headers.is_empty());
}
