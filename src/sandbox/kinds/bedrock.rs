//! AWS Bedrock: asynchronous invocations. Bedrock "GetAsyncInvoke"; Nova "Error handling"; AWS "Common error types".

use super::{Ask, Kind, UNKNOWN_STATE, set};
use crate::sandbox::aws::{self, Fault};
use crate::sandbox::credentials::{BEARER, Credential};
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use crate::sandbox::s3;
use http::{HeaderName, StatusCode};
use jiff::Timestamp;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "bedrock",
    base: "",
    docs: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GetAsyncInvoke.html",
    examples: &["arn:aws:bedrock:us-west-2:123456789012:async-invoke/k3v9x1m7qd00"],
    credentials: &[BEARER, Credential { header: "authorization", scheme: aws::SCHEME }],
    asks,
    answer,
    refuse,
};

/// The name of an invocation is one segment, its slash encoded.
fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["async-invoke", arn]) => match wrong_signature(request, arn) {
            Some(fault) => Ask::Answered(unsigned(&fault)),
            None => Ask::Job((*arn).to_owned()),
        },
        _ => Ask::Unknown,
    }
}

/// What is wrong with the signature of a request that has one.
fn wrong_signature(request: &Request<'_>, arn: &str) -> Option<Fault> {
    let authorization = request.recorded.headers.get("authorization")?.to_str().ok()?;
    let region = arn.split(':').nth(3).unwrap_or_default();
    let checked = || aws::check(request.recorded, "bedrock", region, Timestamp::now()).err();
    authorization.starts_with(aws::SCHEME).then(checked).flatten()
}

fn unsigned(fault: &Fault) -> Reply {
    let (kind, message) = match fault {
        Fault::Incomplete(why) => ("IncompleteSignatureException", why.as_str()),
        Fault::UnknownKey => ("UnrecognizedClientException", "The security token included in the request is invalid."),
        Fault::Skewed(why) | Fault::WrongScope(why) => ("InvalidSignatureException", why.as_str()),
        Fault::Mismatch => (
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method.",
        ),
    };
    error(StatusCode::FORBIDDEN, kind, message)
}

/// There is no queue, and the place of the result is told from the start.
fn answer(poll: &Poll<'_>) -> Reply {
    let status = match poll.state {
        State::Queued | State::InProgress(_) => "InProgress",
        State::Unknown => UNKNOWN_STATE,
        State::Ended(Ending::Failed | Ending::Filtered | Ending::Cancelled | Ending::Expired) => "Failed",
        State::Ended(_) => "Completed",
    };
    let (region, account) = place(poll.job);
    let time = |at: Timestamp| json!(format!("{at:.3}"));
    let mut invocation = json!({
        "invocationArn": poll.job, "modelArn": format!("arn:aws:bedrock:{region}::foundation-model/luma.ray-v2:0"),
        "status": status, "submitTime": time(poll.times.created), "lastModifiedTime": time(poll.times.created),
        "outputDataConfig": {"s3OutputDataConfig": {
            "s3Uri": format!("s3://{}/{}", s3::bucket(region, account), poll.stem()),
        }},
    });
    if let State::Ended(ending) = poll.state {
        set(&mut invocation, "endTime", time(poll.times.ended));
        set(&mut invocation, "lastModifiedTime", time(poll.times.ended));
        let message = match ending {
            Ending::Failed | Ending::Cancelled | Ending::Expired => "The model had an internal error.",
            Ending::Filtered => "The generated video has been blocked by our content filters.",
            _ => return Reply::ok(&invocation),
        };
        set(&mut invocation, "failureMessage", json!(message));
    }
    Reply::ok(&invocation)
}

/// The region and the account in an invocation's name.
fn place(arn: &str) -> (&str, &str) {
    let mut parts = arn.split(':').skip(3);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn refuse(refused: &Refused<'_>) -> Reply {
    let malformed;
    let (status, kind, message) = match refused.refusal {
        Refusal::NoCredentials => {
            (StatusCode::FORBIDDEN, "MissingAuthenticationTokenException", "Missing Authentication Token")
        }
        Refusal::WrongCredentials => (
            StatusCode::FORBIDDEN,
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
        ),
        Refusal::OutOfFunds => {
            (StatusCode::FORBIDDEN, "OptInRequired", "The AWS Access Key Id needs a subscription for the service.")
        }
        Refusal::Malformed => {
            malformed = format!(
                "1 validation error detected: Value '{}' at 'invocationArn' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: \
                 arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{{1,20}}:[0-9]{{12}}:async-invoke/[a-z0-9]{{12}}",
                refused.job
            );
            (StatusCode::BAD_REQUEST, "ValidationException", malformed.as_str())
        }
        Refusal::UnknownJob => (StatusCode::BAD_REQUEST, "ValidationException", "Invocation not found."),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", "Too many requests."),
        Refusal::ServerError => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", "An internal server error occurred.")
        }
        Refusal::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", "The service isn't currently available.")
        }
    };
    error(status, kind, message)
}

/// The type is in a header, and may have an address behind it.
fn error(status: StatusCode, kind: &str, message: &str) -> Reply {
    let kind = format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/");
    Reply::json(status, &json!({"message": message})).with(HeaderName::from_static("x-amzn-errortype"), &kind)
}
