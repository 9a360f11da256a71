//! S3: the bucket into which the simulated Bedrock writes, at `/bedrock/s3/{bucket}/{key}`, for signed requests only.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>, errors:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use super::aws::{self, Fault};
use super::reply::Reply;
use super::request::{Recorded, segments};
use http::{Method, StatusCode};
use jiff::Timestamp;

/// Buckets are named so that they tell the region and the account of their jobs.
const BUCKET: &str = "vidgate-sandbox-";

/// What a job's video is called in its folder.
const VIDEO: &str = "output.mp4";

/// An object that a job writes.
pub struct Object {
    region: String,
    /// The job's name at Bedrock.
    pub job: String,
}

/// The bucket of an account in a region.
pub fn bucket(region: &str, account: &str) -> String {
    format!("{BUCKET}{region}-{account}")
}

/// The object that a request is for, or `None` when it is for something else.
pub fn asked_of(recorded: &Recorded) -> Option<Object> {
    if !matches!(recorded.method, Method::GET | Method::HEAD) {
        return None;
    }
    let segments = segments(recorded.path());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["bedrock", "s3", bucket, id, VIDEO] = segments.as_slice() else { return None };
    let (region, account) = bucket.strip_prefix(BUCKET)?.rsplit_once('-')?;
    Some(Object { region: region.to_owned(), job: format!("arn:aws:bedrock:{region}:{account}:async-invoke/{id}") })
}

/// Why the request may not see the object, if it may not.
pub fn refusal(recorded: &Recorded, object: &Object) -> Option<Reply> {
    if !recorded.headers.contains_key("authorization") {
        return Some(error(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"));
    }
    let fault = aws::check(recorded, "s3", &object.region, Timestamp::now()).err()?;
    let (status, code, message) = match &fault {
        Fault::Incomplete(why) | Fault::WrongScope(why) => {
            (StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", why.as_str())
        }
        Fault::UnknownKey => (
            StatusCode::FORBIDDEN,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Fault::Skewed(why) => (StatusCode::FORBIDDEN, "RequestTimeTooSkewed", why.as_str()),
        Fault::Mismatch => (
            StatusCode::FORBIDDEN,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
        ),
    };
    Some(error(status, code, message))
}

/// The job has not written the object, or never will.
pub fn no_such_key() -> Reply {
    error(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
}

fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Reply::new(status, "application/xml", body)
}
