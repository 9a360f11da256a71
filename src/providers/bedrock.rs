//! AWS Bedrock: asynchronous invocations of Luma Ray and Nova Reel, which write their video into the customer's bucket.
//!
//! Fields: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GetAsyncInvoke.html>. An invocation says
//! neither what it was asked for nor how far it has come. Errors carry their type in a header, and as text in the body.

use super::arn::Arn;
use super::dialect::{failure, failure_of_kind, said};
use super::job::{Job, JobRule};
use super::states::{State, States};
use super::wire::{Maybe, Text, Time};
use super::{BaseUrl, Call, CredentialForm, NO_VARIANTS, Provider, Reply, Scheme, Step};
use crate::video::{ApiError, ContentFilter, ErrorKind, JobError, Lifetime, Media, Said, Status, Video};
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// The other way is a bearer: <https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html>.
const SIGNED: Scheme = Scheme::AwsSignature { service: "bedrock" };

pub static BEDROCK: Provider = Provider {
    kind: "bedrock",
    title: "AWS Bedrock: Luma Ray, Nova Reel",
    docs: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GetAsyncInvoke.html",
    base_url: BaseUrl::FromJob { form: "https://bedrock-runtime.{region}.amazonaws.com", build: base_url },
    credentials: &[
        CredentialForm { fields: &["access_key_id", "secret_access_key"], scheme: SIGNED },
        CredentialForm { fields: &["access_key_id", "secret_access_key", "session_token"], scheme: SIGNED },
        CredentialForm { fields: &["api_key"], scheme: Scheme::Bearer },
    ],
    headers: &[],
    job: JobRule {
        form: "arn:aws:bedrock:{region}:{account}:async-invoke/{invocation}",
        examples: &[
            "arn:aws:bedrock:us-west-2:123456789012:async-invoke/7qk2m9zr4t1b",
            "arn:aws-us-gov:bedrock:us-gov-west-1:210987654321:async-invoke/0v8c3xw5ynlh",
        ],
        slashes: true,
        accepts: |name| invocation(name).is_some(),
        project: Some(account),
    },
    // AWS's own sample waits 15 s:
    // <https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-runtime_example_bedrock-runtime_Scenario_AmazonNova_TextToVideo_section.html>.
    poll_interval: Duration::from_secs(15),
    // Results stay in the customer's bucket for as long as it says.
    result_lifetime: Lifetime::Unknown,
    // An answer names an object of S3, never a link.
    link_hosts: &[],
    own_links_need_credentials: false,
    results_may_be_inline: false,
    variants: NO_VARIANTS,
    states: &[("", STATES)],
    request,
    read,
};

/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GetAsyncInvoke.html>.
const STATES: States = &[("InProgress", State::InProgress), ("Completed", State::Completed), ("Failed", State::Failed)];

/// The object that both models write below the place that an invocation names:
/// <https://docs.aws.amazon.com/nova/latest/userguide/video-gen-access.html>.
const RESULT: &str = "output.mp4";

/// Words, in lower case, of the texts with which a job fails that moderation stopped; there is no code for it:
/// <https://docs.aws.amazon.com/nova/latest/userguide/video-gen-errors.html>.
const MODERATION_WORDS: &[&str] = &["content filter", "content moderation", "responsible ai"];

/// Types of errors whose status alone does not say what they mean:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html>,
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>.
const TYPES: &[(&str, ErrorKind)] = &[
    // The rule for names has let only well-formed ones through, so the invocation is not there.
    ("ValidationException", ErrorKind::VideoNotFound),
    ("ResourceNotFoundException", ErrorKind::VideoNotFound),
    ("AccessDeniedException", ErrorKind::UpstreamAuthFailed),
    ("ExpiredTokenException", ErrorKind::UpstreamAuthFailed),
    ("IncompleteSignature", ErrorKind::UpstreamAuthFailed),
    ("IncompleteSignatureException", ErrorKind::UpstreamAuthFailed),
    ("InvalidClientTokenId", ErrorKind::UpstreamAuthFailed),
    ("InvalidSignatureException", ErrorKind::UpstreamAuthFailed),
    ("MissingAuthenticationTokenException", ErrorKind::UpstreamAuthFailed),
    ("NotAuthorized", ErrorKind::UpstreamAuthFailed),
    ("RequestExpired", ErrorKind::UpstreamAuthFailed),
    ("RequestTimeTooSkewed", ErrorKind::UpstreamAuthFailed),
    ("SignatureDoesNotMatch", ErrorKind::UpstreamAuthFailed),
    ("UnrecognizedClientException", ErrorKind::UpstreamAuthFailed),
    ("OptInRequired", ErrorKind::UpstreamAccountError),
    ("ThrottlingException", ErrorKind::RateLimited),
    ("ServiceUnavailable", ErrorKind::UpstreamUnavailable),
    ("ServiceUnavailableException", ErrorKind::UpstreamUnavailable),
];

/// With these words, in lower case, a `ValidationException` is about the form of the name after all.
const MALFORMED: &[&str] = &["failed to satisfy constraint", "malformed"];

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Invocation<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    model_arn: Text<'a>,
    failure_message: Text<'a>,
    submit_time: Time,
    end_time: Time,
    output_data_config: Maybe<OutputDataConfig<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OutputDataConfig<'a> {
    #[serde(borrow, rename = "s3OutputDataConfig")]
    s3: Maybe<S3Output<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct S3Output<'a> {
    /// Ends in the invocation's own name.
    #[serde(borrow, rename = "s3Uri")]
    uri: Text<'a>,
}

/// What AWS writes into the body of an error besides what others do.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorBody<'a> {
    #[serde(borrow, rename = "__type")]
    kind: Text<'a>,
    #[serde(rename = "Message")]
    message: Text<'a>,
}

/// The name of an invocation, all its parts checked:
/// `arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:async-invoke/[a-z0-9]{12}` with a partition and a region that are known.
fn invocation(name: &str) -> Option<Arn<'_>> {
    let arn = Arn::parse(name)?;
    arn.dns_suffix()?;
    let id = arn.resource.strip_prefix("async-invoke/")?;
    let is_id = id.len() == 12 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_account = arn.account.len() == 12 && arn.account.bytes().all(|b| b.is_ascii_digit());
    (arn.service == "bedrock" && is_account && is_id).then_some(arn)
}

/// An invocation is known in its own region only: <https://docs.aws.amazon.com/general/latest/gr/bedrock.html>.
fn base_url(job: &Job<'_>) -> Option<String> {
    let arn = invocation(job.as_str())?;
    Some(format!("https://bedrock-runtime.{}.{}", arn.region, arn.dns_suffix()?))
}

fn account<'a>(job: &Job<'a>) -> Option<&'a str> {
    invocation(job.as_str()).map(|arn| arn.account)
}

fn request(job: &Job<'_>) -> Call {
    Call::get(format!("/async-invoke/{}", job.segment()))
}

fn read<'a>(job: &Job<'a>, replies: &'a [Reply]) -> Step<'a> {
    let Some(reply) = replies.last() else { return Step::Then(request(job)) };
    read_invocation(reply).into()
}

fn read_invocation(reply: &Reply) -> Result<Video<'_>, ApiError> {
    if !reply.status.is_success() {
        return Err(http_error(reply));
    }
    let invocation: Invocation<'_> = reply.json()?;
    let Some(word) = invocation.status.0 else {
        return Err(reply.invalid("as an invocation: it has no status"));
    };
    let mut video = Video::in_state(word, STATES);
    video.model = invocation.model_arn.as_deref().and_then(model).map(|model| model.to_owned().into());
    video.created_at = invocation.submit_time.0;
    video.completed_at = invocation.end_time.0;
    let place = invocation.output_data_config.0.and_then(|config| config.s3.0).and_then(|output| output.uri.0);
    video.videos = place.as_deref().and_then(result).into_iter().collect();
    if let (Status::Failed, Some(message)) = (video.status, invocation.failure_message.0) {
        let text = message.to_lowercase();
        if MODERATION_WORDS.iter().any(|words| text.contains(words)) {
            video.content_filter = Some(ContentFilter { filtered_count: None, reasons: vec![message.clone()] });
        }
        video.fail_with(JobError::new("", message));
    }
    Ok(video)
}

/// `luma.ray-v2:0` of `arn:aws:bedrock:us-west-2::foundation-model/luma.ray-v2:0`.
fn model(arn: &str) -> Option<&str> {
    Arn::parse(arn)?.resource.split_once('/').map(|(_, id)| id).filter(|id| !id.is_empty())
}

/// The video below `s3://{bucket}/{invocation}`.
fn result(place: &str) -> Option<Media<'static>> {
    let below = place.strip_prefix("s3://")?.trim_end_matches('/');
    (!below.is_empty()).then(|| Media::guarded(format!("s3://{below}/{RESULT}")))
}

fn http_error(reply: &Reply) -> ApiError {
    let said = aws_said(reply);
    let kind = said.code.as_deref().and_then(|code| TYPES.iter().find(|(known, _)| *known == code));
    let kind = kind.map(|(_, kind)| *kind).filter(|_| reply.status.is_client_error());
    // A 400 that has lost its type on the way is what most of them are.
    let is_untyped = said.code.is_none() && said.message.is_some() && reply.status == StatusCode::BAD_REQUEST;
    let kind = kind.or_else(|| is_untyped.then_some(ErrorKind::VideoNotFound));
    let text = said.message.as_deref().unwrap_or_default().to_lowercase();
    match kind {
        Some(ErrorKind::VideoNotFound) if MALFORMED.iter().any(|words| text.contains(words)) => {
            failure_of_kind(ErrorKind::RefusedByProvider, reply, said)
        }
        Some(kind) => failure_of_kind(kind, reply, said),
        None => failure(reply, said),
    }
}

/// The type stands in a header or in the body, before a colon with an address or behind a number sign:
/// <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>.
fn aws_said(reply: &Reply) -> Said {
    let common = said(reply);
    let body: ErrorBody<'_> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let header = reply.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let kind = header.or(body.kind.as_deref()).or(common.code.as_deref());
    let name = |kind: &str| {
        let kind = kind.split(':').next().unwrap_or_default();
        kind.rsplit('#').next().unwrap_or_default().trim().to_owned()
    };
    let code = kind.map(name).filter(|code| !code.is_empty());
    let message = common.message.or(body.message.0.map(Into::into));
    Said { code, message, ..common }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;
    use crate::video::Source;

    const NAME: &str = "arn:aws:bedrock:us-west-2:123456789012:async-invoke/7qk2m9zr4t1b";

    #[test]
    fn the_partition_and_the_region_give_the_host_and_nothing_else_does() {
        let table = [
            (NAME, Some("https://bedrock-runtime.us-west-2.amazonaws.com")),
            (
                "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:async-invoke/7qk2m9zr4t1b",
                Some("https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
            ),
            (
                "arn:aws-cn:bedrock:cn-north-1:123456789012:async-invoke/7qk2m9zr4t1b",
                Some("https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            ),
            ("arn:aws-iso:bedrock:us-iso-east-1:123456789012:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws-evil:bedrock:us-west-2:123456789012:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock:us-west-2.evil.example:123456789012:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock:us-west-2@evil:123456789012:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock::123456789012:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock:..:123456789012:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:s3:us-west-2:123456789012:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock:us-west-2:12345678901:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock:us-west-2:12345678901x:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock:us-west-2:123456789012:model-job/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock:us-west-2:123456789012:async-invoke/7QK2M9ZR4T1B", None),
            ("arn:aws:bedrock:us-west-2:123456789012:async-invoke/7qk2m9zr4t1", None),
            ("arn:aws:bedrock:us-west-2:123456789012:async-invoke/7qk2m9zr4t1bb", None),
            ("arn:aws:bedrock:us-west-2:123456789012:async-invoke/7qk2m9/r4t1b", None),
            ("arn:aws:bedrock:us-west-2:123456789012:async-invoke/7qk2m9zr4t1:", None),
            ("arn:aws:bedrock:us-west-2:123456789012:async-invoke/..", None),
            ("arn:aws:bedrock:us-west-2:123456789012:x:async-invoke/7qk2m9zr4t1b", None),
            ("arn:aws:bedrock:us-west-2:123456789012:async-invoke%2F7qk2m9zr4t1b", None),
            ("xarn:aws:bedrock:us-west-2:123456789012:async-invoke/7qk2m9zr4t1b", None),
        ];
        for (name, want) in table {
            let got = BEDROCK.job.check(name).and_then(|job| base_url(&job));
            assert_eq!(got.as_deref(), want, "{name}");
        }
    }

    #[test]
    fn a_name_is_one_segment_of_the_path_and_says_whose_it_is() {
        let job = BEDROCK.job.check(NAME).unwrap();
        let path = "/async-invoke/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aasync-invoke%2F7qk2m9zr4t1b";
        assert_eq!(request(&job), Call::get(path));
        assert_eq!(account(&job), Some("123456789012"));
    }

    #[test]
    fn the_model_is_what_follows_its_kind() {
        let table = [
            ("arn:aws:bedrock:us-west-2::foundation-model/luma.ray-v2:0", Some("luma.ray-v2:0")),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-reel-v1:1", Some("amazon.nova-reel-v1:1")),
            ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/k3v9", Some("k3v9")),
            ("arn:aws:bedrock:us-east-1::foundation-model/", None),
            ("arn:aws:bedrock:us-east-1::foundation-model", None),
            ("luma.ray-v2:0", None),
        ];
        for (arn, want) in table {
            assert_eq!(model(arn), want, "{arn}");
        }
    }

    #[test]
    fn the_result_is_an_object_below_the_place_that_the_invocation_names() {
        let table = [
            ("s3://bucket/7qk2m9zr4t1b", Some("s3://bucket/7qk2m9zr4t1b/output.mp4")),
            ("s3://bucket/a b/7qk2m9zr4t1b/", Some("s3://bucket/a b/7qk2m9zr4t1b/output.mp4")),
            ("s3://bucket", Some("s3://bucket/output.mp4")),
            ("s3://", None),
            ("https://evil.example/x", None),
            ("bucket/7qk2m9zr4t1b", None),
        ];
        for (place, want) in table {
            let got = result(place).map(|media| media.source);
            assert_eq!(got, want.map(|link| Source::Guarded(link.into())), "{place}");
        }
    }

    #[test]
    fn an_error_is_told_by_its_type_wherever_that_stands() {
        let table = [
            (400, Some("ValidationException"), r#"{"message":"Invocation not found."}"#, ErrorKind::VideoNotFound),
            (
                400,
                Some("ValidationException:http://internal.amazon.com/coral/com.amazon.coral.validate/"),
                r#"{"message":"1 validation error detected: Value 'x' failed to satisfy constraint: y"}"#,
                ErrorKind::RefusedByProvider,
            ),
            (404, Some("ResourceNotFoundException"), "{}", ErrorKind::VideoNotFound),
            (404, None, "{}", ErrorKind::VideoNotFound),
            (403, Some("InvalidSignatureException"), "{}", ErrorKind::UpstreamAuthFailed),
            (403, Some("RequestTimeTooSkewed"), "{}", ErrorKind::UpstreamAuthFailed),
            (400, Some("ExpiredTokenException"), "{}", ErrorKind::UpstreamAuthFailed),
            (400, None, r#"{"__type":"com.amazon.coral.service#IncompleteSignature"}"#, ErrorKind::UpstreamAuthFailed),
            (400, None, r#"{"__type":"ThrottlingException"}"#, ErrorKind::RateLimited),
            (400, None, r#"{"code":"ThrottlingException"}"#, ErrorKind::RateLimited),
            (403, Some("OptInRequired"), "{}", ErrorKind::UpstreamAccountError),
            (403, None, "", ErrorKind::UpstreamAuthFailed),
            (400, Some("SomethingNew"), "{}", ErrorKind::RefusedByProvider),
            (400, None, r#"{"message":"Invocation not found."}"#, ErrorKind::VideoNotFound),
            (400, None, r#"{"message":"Malformed name."}"#, ErrorKind::RefusedByProvider),
            (400, None, "<html>", ErrorKind::RefusedByProvider),
            (429, Some("ThrottlingException"), "{}", ErrorKind::RateLimited),
            (500, Some("ValidationException"), "{}", ErrorKind::UpstreamError),
            (503, Some("ServiceUnavailableException"), "{}", ErrorKind::UpstreamUnavailable),
        ];
        for (status, header, body, want) in table {
            let mut reply = reply(status, body);
            if let Some(header) = header {
                reply.headers.insert("x-amzn-errortype", header.parse().unwrap());
            }
            assert_eq!(http_error(&reply).kind, want, "{status} {header:?} {body}");
        }
    }

    #[test]
    fn the_text_of_an_error_is_read_in_either_spelling() {
        for body in [r#"{"message":"m"}"#, r#"{"Message":"m"}"#, r#"{"message":null,"Message":"m"}"#] {
            assert_eq!(aws_said(&reply(403, body)).message.as_deref(), Some("m"), "{body}");
        }
    }
}
