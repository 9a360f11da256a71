//! AWS Signature Version 4, as AWS checks it, and the keys that the sandbox knows.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>. It shares nothing with the code that
//! signs, so that the two cannot agree on a mistake.

use super::request::Recorded;
use http::HeaderMap;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode;
use ring::{digest, hmac};

/// The word before the parts of a signature.
pub const SCHEME: &str = "AWS4-HMAC-SHA256";

/// A signature is good for this long before and after its time.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// A key that the sandbox accepts signatures of.
#[derive(Clone, Copy, Debug)]
pub struct AwsKey {
    pub id: &'static str,
    pub secret: &'static str,
    /// Only temporary keys have one, and they need it.
    pub session_token: Option<&'static str>,
}

/// The key of a user.
pub const AWS_USER: AwsKey =
    AwsKey { id: "AKIASANDBOX0EXAMPLE0", secret: "sandbox/user/+secret+/EXAMPLE/0123456789", session_token: None };

/// The key of a role's session.
pub const AWS_SESSION: AwsKey = AwsKey {
    id: "ASIASANDBOX0EXAMPLE0",
    secret: "sandbox/role/+secret+/EXAMPLE/0123456789",
    session_token: Some("sandbox//session+token/EXAMPLE=="),
};

/// What is wrong with a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A part is missing, or cannot be read.
    Incomplete(String),
    UnknownKey,
    /// Its time is too far from now.
    Skewed(String),
    /// It is for another day, region or service.
    WrongScope(String),
    Mismatch,
}

/// The parts of an `Authorization`.
struct Signature<'a> {
    key: &'a str,
    /// `{day}/{region}/{service}/aws4_request`.
    scope: &'a str,
    headers: Vec<&'a str>,
    signature: &'a str,
}

/// Checks that a known key signed this request, for this service and region, and not long from `now`.
pub fn check(request: &Recorded, service: &str, region: &str, now: Timestamp) -> Result<(), Fault> {
    let signature = parse(text(&request.headers, "authorization").unwrap_or_default())?;
    let known = [AWS_USER, AWS_SESSION].into_iter().find(|known| known.id == signature.key);
    let key = known.ok_or(Fault::UnknownKey)?;
    if text(&request.headers, "x-amz-security-token") != key.session_token {
        return Err(Fault::UnknownKey);
    }
    let time = text(&request.headers, "x-amz-date").unwrap_or_default();
    check_time(time, now)?;
    let day = time.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    if signature.scope != scope {
        return Err(Fault::WrongScope(format!("Credential should be scoped to {scope}, not {}.", signature.scope)));
    }
    let canonical = canonical(request, &signature.headers, service)?;
    let string_to_sign = format!("{SCHEME}\n{time}\n{scope}\n{}", hex(sha256(canonical.as_bytes()).as_ref()));
    let right = sign(key.secret, [day, region, service], &string_to_sign);
    if signature.signature == right { Ok(()) } else { Err(Fault::Mismatch) }
}

fn sign(secret: &str, [day, region, service]: [&str; 3], string_to_sign: &str) -> String {
    let mut derived = hmac(format!("AWS4{secret}").as_bytes(), day);
    for part in [region, service, "aws4_request"] {
        derived = hmac(derived.as_ref(), part);
    }
    hex(hmac(derived.as_ref(), string_to_sign).as_ref())
}

fn parse(authorization: &str) -> Result<Signature<'_>, Fault> {
    let parts = authorization.strip_prefix(SCHEME).unwrap_or_default();
    let part = |name: &str| {
        let found = parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Fault::Incomplete(format!("Authorization header requires '{name}' parameter.")))
    };
    let (key, scope) = part("Credential")?
        .split_once('/')
        .ok_or_else(|| Fault::Incomplete("Credential must have exactly 5 slash-delimited elements.".to_owned()))?;
    Ok(Signature { key, scope, headers: part("SignedHeaders")?.split(';').collect(), signature: part("Signature")? })
}

fn check_time(time: &str, now: Timestamp) -> Result<(), Fault> {
    let parsed = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok().and_then(|at| at.to_zoned(TimeZone::UTC).ok());
    let Some(at) = parsed.map(|zoned| zoned.timestamp()) else {
        return Err(Fault::Incomplete("Date must be in ISO-8601 'basic format'.".to_owned()));
    };
    let (shown, age) = (now.strftime("%Y%m%dT%H%M%SZ"), now.duration_since(at));
    if age > PATIENCE {
        return Err(Fault::Skewed(format!("Signature expired: {time} is more than 5 min. earlier than {shown}.")));
    }
    if age < -PATIENCE {
        return Err(Fault::Skewed(format!(
            "Signature not yet current: {time} is more than 5 min. later than {shown}."
        )));
    }
    Ok(())
}

/// The request written down as its client must have done to sign it.
fn canonical(request: &Recorded, signed: &[&str], service: &str) -> Result<String, Fault> {
    let is_listed = |name: &str| signed.contains(&name);
    let must_be = |name: &str| name == "host" || name.starts_with("x-amz-");
    let forgotten = request.headers.keys().find(|name| must_be(name.as_str()) && !is_listed(name.as_str()));
    if let Some(name) = forgotten {
        return Err(Fault::Incomplete(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
    }
    if !signed.is_sorted() {
        return Err(Fault::Mismatch);
    }
    let mut headers = String::new();
    for name in signed {
        let values: Vec<String> =
            request.headers.get_all(*name).iter().map(|value| collapsed(value.as_bytes())).collect();
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let (path, hash) = if service == "s3" {
        (encode(&decode(request.path()), b"/"), s3_hash(request)?)
    } else {
        // Each segment has been encoded before, and is encoded again.
        (encode(request.path().as_bytes(), b"/"), hex(sha256(&request.body).as_ref()))
    };
    let (method, query) = (request.method.as_str(), canonical_query(&request.target));
    Ok(format!("{method}\n{path}\n{query}\n{headers}\n{}\n{hash}", signed.join(";")))
}

/// S3 is told the body's hash in a header, or that nobody hashed it.
fn s3_hash(request: &Recorded) -> Result<String, Fault> {
    let given = text(&request.headers, "x-amz-content-sha256").unwrap_or_default();
    let right = hex(sha256(&request.body).as_ref());
    match given == "UNSIGNED-PAYLOAD" || given == right {
        true => Ok(given.to_owned()),
        false => Err(Fault::Incomplete("Missing or wrong header: x-amz-content-sha256.".to_owned())),
    }
}

fn canonical_query(target: &str) -> String {
    let Some((_, query)) = target.split_once('?') else { return String::new() };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(&decode(name), b""), encode(&decode(value), b"")))
        .collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// AWS's `UriEncode`: every byte but unreserved ones, and but those that are kept.
fn encode(bytes: &[u8], kept: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(*byte)),
            byte if kept.contains(byte) => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn decode(text: &str) -> Vec<u8> {
    percent_decode(text.as_bytes()).collect()
}

/// A header's value without blanks at its ends, and with one where there were several.
fn collapsed(value: &[u8]) -> String {
    String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn hmac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue, Method};

    const TIME: &str = "20260102T030405Z";

    fn recorded(target: &str, headers: &[(&'static str, &str)]) -> Recorded {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let headers = HeaderMap::from_iter(headers);
        Recorded { method: Method::GET, target: target.to_owned(), headers, body: Default::default() }
    }

    fn set(request: &mut Recorded, name: &'static str, value: &str) {
        request.headers.insert(name, HeaderValue::from_str(value).unwrap());
    }

    /// A request for a job of Bedrock, signed with this key.
    fn signed(key: &AwsKey) -> Recorded {
        let mut request = recorded("/bedrock/async-invoke/a%3Ab%2Fc", &[("host", "h"), ("x-amz-date", TIME)]);
        let mut names = vec!["host", "x-amz-date"];
        if let Some(token) = key.session_token {
            set(&mut request, "x-amz-security-token", token);
            names.push("x-amz-security-token");
        }
        let canonical = canonical(&request, &names, "bedrock").unwrap();
        let scope = "20260102/us-west-2/bedrock/aws4_request";
        let string_to_sign = format!("{SCHEME}\n{TIME}\n{scope}\n{}", hex(sha256(canonical.as_bytes()).as_ref()));
        let signature = sign(key.secret, ["20260102", "us-west-2", "bedrock"], &string_to_sign);
        let (id, names) = (key.id, names.join(";"));
        let authorization = format!("{SCHEME} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        set(&mut request, "authorization", &authorization);
        request
    }

    /// What is wrong with a request after `minutes`; its first word.
    fn fault(request: &Recorded, minutes: i64) -> String {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let now = now + SignedDuration::from_mins(minutes);
        let fault = check(request, "bedrock", "us-west-2", now).err();
        let shown = fault.map(|fault| format!("{fault:?}")).unwrap_or_default();
        shown.split('(').next().unwrap_or_default().to_owned()
    }

    /// AWS's example for S3: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    #[test]
    fn the_published_example_is_written_down_and_signed_alike() {
        let empty = hex(sha256(b"").as_ref());
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", empty.as_str()),
            ("x-amz-date", "20130524T000000Z"),
        ];
        let canonical = canonical(&recorded("/test.txt", &headers), &headers.map(|(name, _)| name), "s3").unwrap();
        let hash = hex(sha256(canonical.as_bytes()).as_ref());
        assert_eq!(hash, "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972");
        let string_to_sign = format!("{SCHEME}\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{hash}");
        let signature =
            sign("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ["20130524", "us-east-1", "s3"], &string_to_sign);
        assert_eq!(signature, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    }

    #[test]
    fn a_signature_holds_for_its_key_its_request_and_its_minutes() {
        for key in [AWS_USER, AWS_SESSION] {
            let request = signed(&key);
            for (minutes, want) in [(0, ""), (5, ""), (-5, ""), (6, "Skewed"), (-6, "Skewed")] {
                assert_eq!(fault(&request, minutes), want, "{} after {minutes} min", key.id);
            }
        }
        assert_eq!(fault(&signed(&AwsKey { id: "AKIANOBODY", ..AWS_USER }), 0), "UnknownKey");
        assert_eq!(fault(&signed(&AwsKey { secret: "another", ..AWS_USER }), 0), "Mismatch");
        assert_eq!(fault(&signed(&AwsKey { session_token: None, ..AWS_SESSION }), 0), "UnknownKey");
        assert_eq!(fault(&signed(&AwsKey { session_token: Some("x"), ..AWS_USER }), 0), "UnknownKey");
    }

    #[test]
    fn whatever_is_changed_on_the_way_breaks_the_signature() {
        type Change = fn(&mut Recorded);
        let table: &[(&str, Change, &str)] = &[
            ("method", |request| request.method = Method::POST, "Mismatch"),
            ("path", |request| request.target = "/bedrock/async-invoke/a%3Ab%2Fd".into(), "Mismatch"),
            ("encoding", |request| request.target = "/bedrock/async-invoke/a:b%2Fc".into(), "Mismatch"),
            ("query", |request| request.target.push_str("?x=y"), "Mismatch"),
            ("body", |request| request.body = "{}".into(), "Mismatch"),
            ("host", |request| set(request, "host", "evil.example"), "Mismatch"),
            ("time", |request| set(request, "x-amz-date", "20260102T030406Z"), "Mismatch"),
            ("day", |request| set(request, "x-amz-date", "20260103T030405Z"), "Skewed"),
            ("no time", |request| set(request, "x-amz-date", "now"), "Incomplete"),
            ("unsigned header", |request| set(request, "x-amz-meta", "x"), "Incomplete"),
            ("other header", |request| set(request, "range", "bytes=0-9"), ""),
            ("no signature", |request| set(request, "authorization", "AWS4-HMAC-SHA256 key"), "Incomplete"),
        ];
        for (what, change, want) in table {
            let mut request = signed(&AWS_USER);
            change(&mut request);
            assert_eq!(fault(&request, 0), *want, "{what}");
        }
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        for (service, region) in [("s3", "us-west-2"), ("bedrock", "us-east-1")] {
            let fault = check(&signed(&AWS_USER), service, region, now).unwrap_err();
            assert!(matches!(fault, Fault::WrongScope(_)), "{service} {region}: {fault:?}");
        }
    }
}
