//! Kling's tasks in both generations: app.klingai.com "Text to Video" and its siblings, "General Information"; kling.ai
//! "Query tasks" of Kling 3.

use super::{Ask, Kind, UNKNOWN_STATE, set};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use crate::sandbox::tokens;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "kling",
    base: "",
    docs: "https://app.klingai.com/global/dev/document-api/apiReference/model/textToVideo",
    examples: &["text2video/893605946402811900", "893605946402812000"],
    credentials: &[BEARER],
    asks,
    answer,
    refuse,
};

const REQUEST_ID: &str = "ace7625a-3e18-49aa-abc4-b0f1d2c3e4a5";

fn asks(request: &Request<'_>) -> Ask {
    if let Some(refusal) = refused_token(request) {
        return Ask::Answered(refusal);
    }
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["v1", "videos", kind @ .., job]) if !kind.is_empty() => Ask::Job(format!("{}/{job}", kind.join("/"))),
        ("GET", ["tasks"]) => match request.recorded.query("task_ids") {
            Some(job) if !job.is_empty() => Ask::Job(job),
            _ => Ask::Answered(error(StatusCode::BAD_REQUEST, 1201, "task_ids or external_task_ids is required")),
        },
        _ => Ask::Unknown,
    }
}

/// What is wrong with a token that was minted from a pair of keys: its times, or an issuer that says `wrong`. Its
/// signature is not checked, and an API key has none of that.
fn refused_token(request: &Request<'_>) -> Option<Reply> {
    let token = request.recorded.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let claims = tokens::claims(token)?;
    let refusal = |code: u32, message: &str| Some(error(StatusCode::UNAUTHORIZED, code, message));
    let now = jiff::Timestamp::now().as_second();
    let number = |name: &str| claims.get(name).and_then(Value::as_i64);
    match (number("exp"), number("nbf"), claims.get("iss").and_then(Value::as_str)) {
        (Some(exp), _, _) if exp <= now => refusal(1004, "Authorization has expired"),
        (_, Some(nbf), _) if nbf > now => refusal(1003, "Authorization is not yet valid"),
        (Some(_), Some(_), Some(issuer)) if !issuer.contains("wrong") => None,
        _ => refusal(1002, "Authorization is invalid"),
    }
}

fn answer(poll: &Poll<'_>) -> Reply {
    let is_older = poll.job.contains('/');
    let (word, message) = match poll.state {
        State::Queued => ("submitted", ""),
        State::InProgress(_) => ("processing", ""),
        State::Unknown => (UNKNOWN_STATE, ""),
        State::Ended(Ending::Failed | Ending::Cancelled | Ending::Expired) => ("failed", "Image pixel is invalid"),
        State::Ended(Ending::Filtered) => ("failed", "Failure to pass the risk control system"),
        State::Ended(_) => (if is_older { "succeed" } else { "succeeded" }, ""),
    };
    let updated = match poll.state {
        State::Queued => poll.times.created,
        State::InProgress(_) | State::Unknown => poll.times.started,
        State::Ended(_) => poll.times.ended,
    };
    let (created, updated) = (poll.times.created.as_millisecond(), updated.as_millisecond());
    let outputs = match poll.state {
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) => vec![output(poll)],
        _ => Vec::new(),
    };
    let data = match is_older {
        true => json!({
            "task_id": poll.stem(), "task_status": word, "task_status_msg": message, "task_info": {},
            "task_result": {"videos": outputs}, "created_at": created, "updated_at": updated,
        }),
        false => json!([task(poll, word, message, outputs, (created, updated))]),
    };
    // The envelope succeeds whatever came of the task.
    Reply::ok(&json!({"code": 0, "message": "SUCCEED", "request_id": REQUEST_ID, "data": data}))
}

fn output(poll: &Poll<'_>) -> Value {
    json!({"id": "866168216002236456", "url": poll.file_url(), "watermark_url": "", "duration": "5.041"})
}

/// A task of Kling 3. It has words about a failure only, and outputs of several types when it is done.
fn task(poll: &Poll<'_>, word: &str, message: &str, outputs: Vec<Value>, times: (i64, i64)) -> Value {
    let mut task = json!({
        "id": poll.job, "external_id": "", "status": word, "create_time": times.0, "update_time": times.1,
    });
    if !message.is_empty() {
        set(&mut task, "message", json!(message));
    }
    if word == "succeeded" {
        let typed = outputs.into_iter().map(|mut output| {
            set(&mut output, "type", json!("video"));
            output
        });
        set(&mut task, "outputs", typed.collect());
    }
    task
}

/// The documented table of codes. An account out of funds comes as 429.
fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, code, message) = match refused.refusal {
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, 1001, "Authorization is empty"),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, 1002, "Authorization is invalid"),
        Refusal::OutOfFunds => (StatusCode::TOO_MANY_REQUESTS, 1102, "The resource pack is exhausted or expired"),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, 1201, "Invalid parameter: task_id"),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, 1203, "The requested resource does not exist"),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, 1302, "The API is requested too fast"),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, 5000, "Server internal error"),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 5001, "Server temporarily unavailable"),
    };
    error(status, code, message)
}

fn error(status: StatusCode, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({"code": code, "message": message, "request_id": REQUEST_ID}))
}
