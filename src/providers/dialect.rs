//! Errors as providers write them over HTTP, and what each means.
//!
//! Most APIs use one of a handful of shapes; [`said`] reads them all. What a status means is one table,
//! [`failure`]; a provider whose statuses mean something else decides before it asks the table.

use super::Reply;
use super::states::State;
use super::wire::{Items, Maybe, Number, Text};
use crate::video::{ApiError, ErrorKind, JobError, Said, Video, time};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;

/// A wait above this is a mistake of the provider's.
const LONGEST_WAIT: f64 = 31.0 * 24.0 * 3600.0;

/// `{"error": {…} | "…"}`, `{"message"}`, `{"detail"}`, `{"title"}`, `{"code"}`, `{"reason"}`: OpenAI, Azure, Google, Runway, Replicate, Vidu
/// and kin.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    message: Text<'a>,
    detail: Maybe<Detail<'a>>,
    title: Text<'a>,
    code: Text<'a>,
    /// Vidu's name for the code; the number beside it is the HTTP status.
    reason: Text<'a>,
    r#type: Text<'a>,
    param: Maybe<Cow<'a, str>>,
    issues: Maybe<Vec<Issue<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Inner<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    code: Text<'a>,
    /// Google's name for the code; it stands above the number.
    status: Text<'a>,
    r#type: Maybe<Cow<'a, str>>,
    param: Maybe<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Issue<'a> {
    #[serde(borrow)]
    code: Text<'a>,
}

/// A text, or FastAPI's list of what is wrong with a request.
#[derive(Deserialize)]
#[serde(untagged)]
enum Detail<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    List(#[serde(borrow)] Items<Wrong<'a>>),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wrong<'a> {
    #[serde(borrow)]
    msg: Text<'a>,
}

impl<'a> Detail<'a> {
    fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Detail::Text(text) => Some(text).filter(|text| !text.is_empty()),
            Detail::List(wrongs) => wrongs.into_iter().find_map(|wrong| wrong.msg.0),
        }
    }
}

/// What a provider said in an error answer, in whichever of the usual shapes. An unreadable body leaves all but the status empty.
pub fn said(reply: &Reply) -> Said {
    let body: Body<'_> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let inner: Inner<'_> = match body.error.map(|error| error.get()) {
        Some(object) if object.starts_with('{') => serde_json::from_str(object).unwrap_or_default(),
        Some(text) => Inner { message: serde_json::from_str(text).unwrap_or_default(), ..Inner::default() },
        None => Inner::default(),
    };
    let issue = body.issues.0.and_then(|issues| issues.into_iter().next()).and_then(|issue| issue.code.0);
    Said {
        status: reply.status.as_u16(),
        code: own(inner.status.0.or(inner.code.0).or(body.reason.0).or(body.code.0).or(issue)),
        message: own(inner.message.0.or(body.message.0).or(body.detail.0.and_then(Detail::into_text)).or(body.title.0)),
        kind: own(inner.r#type.0.or(body.r#type.0)).filter(|kind| !kind.is_empty()),
        param: own(inner.param.0.or(body.param.0)).filter(|param| !param.is_empty()),
    }
}

/// What an error answer means where its text says more than its status: statuses, words in lower case, meaning.
pub type Texts = &'static [(u16, &'static str, ErrorKind)];

/// What an error answer means, by its text where that is in the table, else by its status.
pub fn failure_by_text(reply: &Reply, said: Said, texts: Texts) -> ApiError {
    let message = said.message.as_deref().unwrap_or_default().to_lowercase();
    let row = texts.iter().find(|(status, words, _)| reply.status == *status && message.contains(words));
    match row {
        Some((_, _, kind)) => failure_of_kind(*kind, reply, said),
        None => failure(reply, said),
    }
}

/// What an error answer means, by its status alone.
pub fn failure(reply: &Reply, said: Said) -> ApiError {
    failure_of_status(reply.status.as_u16(), reply, said)
}

/// What an error means that came with one status and says another.
pub fn failure_of_status(status: u16, reply: &Reply, said: Said) -> ApiError {
    let kind = match status {
        401 | 403 | 407 => ErrorKind::UpstreamAuthFailed,
        402 => ErrorKind::UpstreamAccountError,
        404 | 410 => ErrorKind::VideoNotFound,
        429 => ErrorKind::RateLimited,
        400 | 422 => ErrorKind::RefusedByProvider,
        503 => ErrorKind::UpstreamUnavailable,
        300..=399 => return reply.invalid("as an answer: redirects of a status call are not followed"),
        _ => ErrorKind::UpstreamError,
    };
    failure_of_kind(kind, reply, said)
}

/// What an error answer means where the provider's codes say it; else by its status.
pub fn failure_by_code(codes: &[(&str, ErrorKind)], reply: &Reply, said: Said) -> ApiError {
    let code = said.code.as_deref().unwrap_or_default();
    match codes.iter().find(|(known, _)| *known == code) {
        Some((_, kind)) => failure_of_kind(*kind, reply, said),
        None => failure(reply, said),
    }
}

/// The job's verdict where it comes as an error of the query: a status call has no content of its own that moderation
/// could refuse. `None` for an error that holds none of these signs.
pub fn moderated<'a>(said: &Said, signs: &[&str]) -> Option<Video<'a>> {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let mut video = Video::in_known_state(State::Failed);
    video.fail_by_signs(JobError::new(text(&said.code), text(&said.message)), signs);
    video.content_filter.is_some().then_some(video)
}

/// The error for an answer whose meaning the provider's own rules have settled.
pub fn failure_of_kind(kind: ErrorKind, reply: &Reply, said: Said) -> ApiError {
    ApiError::said(kind, said).with_retry_after(retry_after(&reply.headers, reply.received_at))
}

/// How long a provider asks to wait: `retry-after-ms`, else `Retry-After` in seconds or as a date.
pub fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()).map(|ms| ms / 1000.0);
    let seconds = millis.or_else(|| {
        let value = text("retry-after")?;
        let until = || time::from_http_date(value).map(|at| (at - now).max(0) as f64);
        value.parse::<f64>().ok().or_else(until)
    });
    wait(Number(seconds))
}

/// A number of seconds as a wait; `None` for what cannot be one.
pub fn wait(seconds: Number) -> Option<Duration> {
    seconds.0.filter(|s| s.is_finite() && (0.0..=LONGEST_WAIT).contains(s)).map(Duration::from_secs_f64)
}

fn own(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::reply;

    #[test]
    fn the_usual_shapes_are_read() {
        let table = [
            (
                r#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#,
                Some("c"),
                Some("m"),
                Some("t"),
                Some("p"),
            ),
            (r#"{"error":{"message":"m","type":null,"param":null,"code":null}}"#, None, Some("m"), None, None),
            (
                r#"{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED"}}"#,
                Some("PERMISSION_DENIED"),
                Some("m"),
                None,
                None,
            ),
            (r#"{"error":{"code":"401","message":"m"}}"#, Some("401"), Some("m"), None, None),
            (r#"{"error":"m"}"#, None, Some("m"), None, None),
            (r#"{"error":"m","issues":[{"code":"c","path":[]}],"docUrl":"u"}"#, Some("c"), Some("m"), None, None),
            (r#"{"title":"t","detail":"m","status":404}"#, None, Some("m"), None, None),
            (r#"{"detail":[{"loc":["path"],"msg":"m","type":"t"}]}"#, None, Some("m"), None, None),
            (r#"{"detail":{"a":1}}"#, None, None, None, None),
            (
                r#"{"object":"error","message":"m","type":"t","param":"p","code":404}"#,
                Some("404"),
                Some("m"),
                Some("t"),
                Some("p"),
            ),
            (r#"{"code":"c","error":"m"}"#, Some("c"), Some("m"), None, None),
            (r#"{"code":404,"reason":"c","message":"m","metadata":{}}"#, Some("c"), Some("m"), None, None),
            (r#"{"error":null,"message":"m"}"#, None, Some("m"), None, None),
            (r#"{"error":{"type":7,"param":[]}}"#, None, None, None, None),
            ("<html>", None, None, None, None),
            ("", None, None, None, None),
            ("[]", None, None, None, None),
        ];
        for (body, code, message, kind, param) in table {
            let said = said(&reply(400, body));
            let got = (said.code.as_deref(), said.message.as_deref(), said.kind.as_deref(), said.param.as_deref());
            assert_eq!(got, (code, message, kind, param), "{body}");
        }
    }

    #[test]
    fn a_status_has_one_meaning() {
        let table = [
            (401, ErrorKind::UpstreamAuthFailed),
            (402, ErrorKind::UpstreamAccountError),
            (403, ErrorKind::UpstreamAuthFailed),
            (404, ErrorKind::VideoNotFound),
            (410, ErrorKind::VideoNotFound),
            (400, ErrorKind::RefusedByProvider),
            (422, ErrorKind::RefusedByProvider),
            (429, ErrorKind::RateLimited),
            (302, ErrorKind::UpstreamInvalidResponse),
            (405, ErrorKind::UpstreamError),
            (500, ErrorKind::UpstreamError),
            (502, ErrorKind::UpstreamError),
            (503, ErrorKind::UpstreamUnavailable),
        ];
        for (status, want) in table {
            let reply = reply(status, "{}");
            assert_eq!(failure(&reply, said(&reply)).kind, want, "{status}");
        }
    }

    #[test]
    fn a_text_counts_for_more_than_its_status_where_it_is_in_the_table() {
        const TEXTS: Texts = &[(403, "out of credits", ErrorKind::UpstreamAccountError)];
        let table = [
            (403, r#"{"error":"You are OUT of credits."}"#, ErrorKind::UpstreamAccountError),
            (403, r#"{"error":"No."}"#, ErrorKind::UpstreamAuthFailed),
            (429, r#"{"error":"You are out of credits."}"#, ErrorKind::RateLimited),
            (403, "", ErrorKind::UpstreamAuthFailed),
        ];
        for (status, body, want) in table {
            let reply = reply(status, body);
            assert_eq!(failure_by_text(&reply, said(&reply), TEXTS).kind, want, "{status} {body}");
        }
    }

    #[test]
    fn a_code_that_the_provider_documents_stands_above_the_status() {
        let codes = &[("1113", ErrorKind::UpstreamAccountError)];
        let table = [
            (429, r#"{"error":{"code":"1113"}}"#, ErrorKind::UpstreamAccountError),
            (429, r#"{"error":{"code":1113}}"#, ErrorKind::UpstreamAccountError),
            (429, r#"{"error":{"code":"11130"}}"#, ErrorKind::RateLimited),
            (401, "{}", ErrorKind::UpstreamAuthFailed),
        ];
        for (status, body, want) in table {
            let reply = reply(status, body);
            assert_eq!(failure_by_code(codes, &reply, said(&reply)).kind, want, "{status} {body}");
        }
    }

    #[test]
    fn moderation_of_a_status_call_is_moderation_of_the_job() {
        let said = |code: &str| Said { code: Some(code.into()), message: Some("No.".into()), ..Said::default() };
        let video = moderated(&said("Moderated"), &["moderat"]).unwrap();
        assert_eq!(video.error, Some(JobError::new("Moderated", "No.")));
        assert_eq!(video.content_filter.unwrap().reasons, ["No."]);
        assert!(moderated(&said("NotFound"), &["moderat"]).is_none());
        assert!(moderated(&Said::default(), &["moderat"]).is_none());
    }

    #[test]
    fn waits_are_read_in_every_form() {
        let table = [
            ("retry-after", "5", Some(5.0)),
            ("retry-after", "0.5", Some(0.5)),
            ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT", Some(30.0)),
            ("retry-after", "Wed, 21 Oct 2009 07:28:00 GMT", Some(0.0)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("retry-after", "1e300", None),
            ("retry-after-ms", "1500", Some(1.5)),
        ];
        for (name, value, want) in table {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let got = retry_after(&headers, 1_445_412_450).map(|wait| wait.as_secs_f64());
            assert_eq!(got, want, "{name}: {value}");
        }
    }
}
