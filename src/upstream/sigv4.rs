//! AWS Signature Version 4: headers that prove who makes a call, good for this one call and for minutes.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>, and where S3 differs
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>. No clock and no sockets in here.
//! Written out because reqsign-aws-v4 and aws-sigv4 bring 27 and 26 more crates, the latter for newer compilers only.

use super::Outgoing;
use crate::config::Secret;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::{digest, hmac};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Everything but the unreserved characters of RFC 3986.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same with the slash between segments.
const UNRESERVED_AND_SLASH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A key of an AWS account, or of a role for as long as its session lasts.
pub struct AwsKey {
    pub id: Secret,
    pub secret: Secret,
    pub session_token: Option<Secret>,
}

/// Where and when a signature is good.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `bedrock`, `s3`.
    pub service: &'a str,
    pub region: &'a str,
    pub at: Timestamp,
}

/// The headers that are signed, sorted by their names in lower case.
type Signed = BTreeMap<String, String>;

impl AwsKey {
    /// Signs a call that is ready otherwise: adds what AWS wants to see, then `authorization` over the method, the
    /// path, the body, `host` and every `x-amz-` header. Other headers may still be added, since they are not signed.
    ///
    /// For S3 the path must be encoded as [`encoded_path`] does it. Fails when the key cannot stand in a header.
    pub fn sign(&self, outgoing: &mut Outgoing<'_>, scope: &Scope<'_>) -> Result<(), String> {
        let body_hash = sha256_hex(outgoing.body.as_deref().unwrap_or_default());
        put(outgoing, DATE, &scope.time(), false)?;
        if let Some(token) = &self.session_token {
            put(outgoing, SECURITY_TOKEN, token.expose(), true)?;
        }
        if scope.is_s3() {
            put(outgoing, CONTENT_SHA256, &body_hash, false)?;
        }
        let signed = signed_headers(outgoing);
        let canonical = canonical_request(outgoing.method.as_str(), outgoing.path, &signed, &body_hash, scope.is_s3());
        let authorization = self.authorization(scope, &signed, &canonical);
        put(outgoing, AUTHORIZATION, &authorization, true)
    }

    /// The headers that carry it, for people.
    pub fn shown(&self) -> Vec<String> {
        let token = self.session_token.as_ref().map(|_| format!("{SECURITY_TOKEN}: ***"));
        token.into_iter().chain([format!("{AUTHORIZATION}: {ALGORITHM} ***")]).collect()
    }

    fn authorization(&self, scope: &Scope<'_>, signed: &Signed, canonical: &str) -> String {
        let signature = hex(&hmac(&self.signing_key(scope), &scope.string_to_sign(canonical)));
        format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.id.expose(),
            scope.name(),
            names(signed)
        )
    }

    fn signing_key(&self, scope: &Scope<'_>) -> Vec<u8> {
        let secret = format!("AWS4{}", self.secret.expose());
        let parts = [&*scope.date(), scope.region, scope.service, "aws4_request"];
        parts.iter().fold(secret.into_bytes(), |key, part| hmac(&key, part))
    }
}

impl Scope<'_> {
    /// S3 signs the path as it stands; every other service the normalized path, encoded once more.
    fn is_s3(&self) -> bool {
        self.service == "s3"
    }

    fn time(&self) -> String {
        self.at.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    fn date(&self) -> String {
        self.at.strftime("%Y%m%d").to_string()
    }

    fn name(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date(), self.region, self.service)
    }

    fn string_to_sign(&self, canonical: &str) -> String {
        format!("{ALGORITHM}\n{}\n{}\n{}", self.time(), self.name(), sha256_hex(canonical.as_bytes()))
    }
}

/// An object's key as the path of its URL, encoded as S3 will encode it when it checks the signature.
pub fn encoded_path(key: &str) -> String {
    utf8_percent_encode(key, UNRESERVED_AND_SLASH).to_string()
}

/// Sets a header; one of the same name that stood there before would make the signature wrong.
fn put(outgoing: &mut Outgoing<'_>, name: HeaderName, value: &str, is_secret: bool) -> Result<(), String> {
    let mut value = HeaderValue::from_str(value).map_err(|_| "it holds characters that cannot stand in a header")?;
    value.set_sensitive(is_secret);
    outgoing.headers.retain(|(known, _)| *known != name);
    outgoing.headers.push((name, value));
    Ok(())
}

fn signed_headers(outgoing: &Outgoing<'_>) -> Signed {
    let mut signed = Signed::new();
    let is_signed = |name: &HeaderName| *name == HOST || name.as_str().starts_with("x-amz-");
    for (name, value) in outgoing.headers.iter().filter(|(name, _)| is_signed(name)) {
        add_header(&mut signed, name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    signed
}

/// Values without the blanks around them and with one blank inside; those of one name are joined by commas.
fn add_header(signed: &mut Signed, name: &str, value: &str) {
    let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    match signed.get_mut(name) {
        Some(before) => {
            before.push(',');
            before.push_str(&value);
        }
        None => {
            signed.insert(name.to_owned(), value);
        }
    }
}

fn names(signed: &Signed) -> String {
    signed.keys().map(String::as_str).collect::<Vec<_>>().join(";")
}

/// The request as both sides write it down to sign it. `target` is the path with its query as it goes over the wire.
fn canonical_request(method: &str, target: &str, signed: &Signed, body_hash: &str, is_s3: bool) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = match is_s3 {
        true => path.to_owned(),
        false => encoded_path(&normalized(path)),
    };
    let headers: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    format!("{method}\n{path}\n{}\n{headers}\n{}\n{body_hash}", canonical_query(query), names(signed))
}

/// The path without empty segments, `.` and `..`.
fn normalized(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// Every parameter encoded in one way, sorted by name and then by value.
fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let plain: Vec<u8> = percent_decode_str(text).collect();
        percent_encoding::percent_encode(&plain, UNRESERVED).to_string()
    };
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let mut pairs: Vec<(String, String)> = parameters
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    /// The hash of nothing.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The keys of AWS's published examples.
    fn key(secret: &str, session_token: Option<&str>) -> AwsKey {
        AwsKey { id: "AKIDEXAMPLE".into(), secret: secret.into(), session_token: session_token.map(Secret::from) }
    }

    fn suite_key() -> AwsKey {
        key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
    }

    fn suite_scope() -> Scope<'static> {
        Scope { service: "service", region: "us-east-1", at: "2015-08-30T12:36:00Z".parse().unwrap() }
    }

    fn outgoing<'a>(method: Method, path: &'a str, host: &'static str) -> Outgoing<'a> {
        Outgoing { method, path, headers: vec![(HOST, HeaderValue::from_static(host))], body: None }
    }

    fn header(outgoing: &Outgoing<'_>, name: &str) -> String {
        let mut values = outgoing.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().unwrap_or_else(|| panic!("no {name}")).1.to_str().unwrap().to_owned();
        assert!(values.next().is_none(), "{name} stands there twice");
        value
    }

    /// What stands behind `name=` in an `authorization`.
    fn part(authorization: &str, name: &str) -> String {
        let (_, rest) = authorization.split_once(&format!("{name}=")).unwrap();
        rest.split(',').next().unwrap().to_owned()
    }

    /// AWS's test suite (<https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4>), with
    /// the normalized path where a case comes in both forms.
    #[test]
    fn the_cases_of_the_published_suite_are_signed_alike() {
        let alphabet = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let unreserved_path = format!("/{alphabet}");
        let unreserved_query = format!("/?{alphabet}={alphabet}");
        let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let table = [
            ("get-vanilla", "GET", "/", vanilla),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-query-order-encoded",
                "GET",
                "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
                "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
            ),
            (
                "get-vanilla-empty-query-key",
                "GET",
                "/?Param1=value1",
                "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
            ),
            (
                "get-vanilla-query-unreserved",
                "GET",
                &unreserved_query,
                "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
            ),
            (
                "get-vanilla-utf8-query",
                "GET",
                "/?ሴ=bar",
                "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
            ),
            ("get-utf8", "GET", "/ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
            (
                "get-unreserved",
                "GET",
                &unreserved_path,
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
            (
                "get-space-normalized",
                "GET",
                "/example space/",
                "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
            ),
            (
                "get-slashes-normalized",
                "GET",
                "//example//",
                "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
            ),
            (
                "get-slash-pointless-dot-normalized",
                "GET",
                "/./example",
                "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
            ),
            ("get-slash-dot-slash-normalized", "GET", "/./", vanilla),
            ("get-relative-relative-normalized", "GET", "/example1/example2/../..", vanilla),
            ("post-vanilla", "POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "post-vanilla-query",
                "POST",
                "/?Param1=value1",
                "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            ),
        ];
        for (case, method, path, signature) in table {
            let mut outgoing = outgoing(method.parse().unwrap(), path, "example.amazonaws.com");
            suite_key().sign(&mut outgoing, &suite_scope()).unwrap();
            let want = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature={signature}"
            );
            assert_eq!(header(&outgoing, "authorization"), want, "{case}");
            assert_eq!(header(&outgoing, "x-amz-date"), "20150830T123600Z");
        }
    }

    /// Cases of the suite that sign more headers than a call of ours has.
    #[test]
    fn signed_headers_are_trimmed_and_a_body_is_hashed_as_published() {
        let authorization = |method: &str, headers: &[(&str, &str)], body: &str| {
            let mut signed = Signed::new();
            headers.iter().for_each(|(name, value)| add_header(&mut signed, name, value));
            let canonical = canonical_request(method, "/", &signed, &sha256_hex(body.as_bytes()), false);
            suite_key().authorization(&suite_scope(), &signed, &canonical)
        };
        let (host, date) = (("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z"));
        let trimmed =
            authorization("GET", &[host, date, ("my-header1", " value1"), ("my-header2", " \"a   b   c\"")], "");
        assert_eq!(
            part(&trimmed, "Signature"),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            "get-header-value-trim"
        );
        assert_eq!(part(&trimmed, "SignedHeaders"), "host;my-header1;my-header2;x-amz-date");
        let duplicate = ["value2", "value2", "value1"].map(|value| ("my-header1", value));
        assert_eq!(
            part(&authorization("GET", &[&[host, date], &duplicate[..]].concat(), ""), "Signature"),
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
            "get-header-key-duplicate"
        );
        let form = [
            host,
            date,
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-length", "13"),
            ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
        ];
        assert_eq!(
            part(&authorization("POST", &form, "Param1=value1"), "Signature"),
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
            "post-x-www-form-urlencoded"
        );
    }

    #[test]
    fn a_session_token_is_sent_and_signed_as_published() {
        let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        let mut outgoing = outgoing(Method::GET, "/", "example.amazonaws.com");
        key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Some(token)).sign(&mut outgoing, &suite_scope()).unwrap();
        let authorization = header(&outgoing, "authorization");
        assert_eq!(part(&authorization, "SignedHeaders"), "host;x-amz-date;x-amz-security-token");
        assert_eq!(
            part(&authorization, "Signature"),
            "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
            "get-vanilla-with-session-token"
        );
        assert_eq!(header(&outgoing, "x-amz-security-token"), token);
    }

    /// Made with botocore 1.43.11.
    #[test]
    fn an_invocation_of_bedrock_is_signed_with_its_encoded_path_encoded_once_more() {
        let path =
            "/async-invoke/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aasync-invoke%2Fabcde1fghij2".to_owned();
        let scope = Scope { service: "bedrock", region: "us-west-2", at: "2026-11-20T10:15:30Z".parse().unwrap() };
        let mut outgoing = outgoing(Method::GET, &path, "bedrock-runtime.us-west-2.amazonaws.com");
        suite_key().sign(&mut outgoing, &scope).unwrap();
        let canonical = canonical_request("GET", &path, &signed_headers(&outgoing), EMPTY, false);
        assert_eq!(
            canonical,
            "GET\n/async-invoke/arn%253Aaws%253Abedrock%253Aus-west-2%253A123456789012%253Aasync-invoke%252Fabcde1fghij2\n\n\
             host:bedrock-runtime.us-west-2.amazonaws.com\nx-amz-date:20261120T101530Z\n\nhost;x-amz-date\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            scope.string_to_sign(&canonical),
            "AWS4-HMAC-SHA256\n20261120T101530Z\n20261120/us-west-2/bedrock/aws4_request\n\
             43ae50ff62591fb98c118b93d0568ed37a4617ba4e62ad98d4142bcd469fde12"
        );
        assert_eq!(
            header(&outgoing, "authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/us-west-2/bedrock/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=844f2ef3fa51c13545eea37a9579f5f9c6d560573c91e0d3a2f4eb22101a8fc4"
        );
    }

    /// The examples of <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    #[test]
    fn the_published_examples_of_s3_are_signed_alike() {
        let key = key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None);
        let scope = Scope { service: "s3", region: "us-east-1", at: "2013-05-24T00:00:00Z".parse().unwrap() };
        let host = "examplebucket.s3.amazonaws.com";
        // GET Object: it signs `range` too, which we do not.
        let mut signed = Signed::new();
        let headers =
            [("host", host), ("range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY), ("x-amz-date", &scope.time())];
        headers.iter().for_each(|(name, value)| add_header(&mut signed, name, value));
        let canonical = canonical_request("GET", "/test.txt", &signed, EMPTY, true);
        assert_eq!(
            sha256_hex(canonical.as_bytes()),
            "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"
        );
        assert_eq!(
            part(&key.authorization(&scope, &signed, &canonical), "Signature"),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        // GET Bucket Lifecycle and GET Bucket (List Objects): signed as ours are.
        let table = [
            ("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ];
        for (path, signature) in table {
            let mut outgoing = outgoing(Method::GET, path, host);
            key.sign(&mut outgoing, &scope).unwrap();
            let authorization = header(&outgoing, "authorization");
            assert_eq!(part(&authorization, "SignedHeaders"), "host;x-amz-content-sha256;x-amz-date");
            assert_eq!(part(&authorization, "Signature"), signature, "{path}");
            assert_eq!(header(&outgoing, "x-amz-content-sha256"), EMPTY);
        }
    }

    #[test]
    fn s3_signs_the_path_as_it_stands() {
        let path = encoded_path("/a b/ü$+:@!*'(x)//../output~1.mp4");
        assert_eq!(path, "/a%20b/%C3%BC%24%2B%3A%40%21%2A%27%28x%29//../output~1.mp4");
        let canonical = canonical_request("GET", &path, &Signed::new(), EMPTY, true);
        assert_eq!(canonical.lines().nth(1), Some(path.as_str()));
    }

    #[test]
    fn what_proves_us_is_sensitive_and_replaces_what_stood_there() {
        let mut outgoing = outgoing(Method::GET, "/", "h");
        for name in ["x-amz-date", "x-amz-security-token", "authorization"] {
            outgoing.headers.push((HeaderName::from_static(name), HeaderValue::from_static("old")));
        }
        outgoing.headers.push((HeaderName::from_static("x-amz-meta"), HeaderValue::from_static("m")));
        outgoing.headers.push((HeaderName::from_static("range"), HeaderValue::from_static("bytes=0-9")));
        key("secret", Some("token")).sign(&mut outgoing, &suite_scope()).unwrap();
        let secret: Vec<&str> =
            outgoing.headers.iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(secret, ["x-amz-security-token", "authorization"]);
        let authorization = header(&outgoing, "authorization");
        assert_eq!(part(&authorization, "SignedHeaders"), "host;x-amz-date;x-amz-meta;x-amz-security-token");
        assert_eq!(
            (header(&outgoing, "x-amz-security-token"), header(&outgoing, "range")),
            ("token".into(), "bytes=0-9".into())
        );
    }

    #[test]
    fn a_key_that_fits_into_no_header_is_refused_without_being_shown() {
        let key = AwsKey { id: "AKID\n".into(), secret: "s".into(), session_token: None };
        let why = key.sign(&mut outgoing(Method::GET, "/", "h"), &suite_scope()).unwrap_err();
        assert!(!why.contains("AKID"), "{why}");
    }
}
