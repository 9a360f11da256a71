//! PixVerse's generations: docs.platform.pixverse.ai "Get Video Generation Status", "Error codes".

use super::{Ask, Kind, PROMPT};
use crate::sandbox::credentials::Credential;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "pixverse",
    base: "/openapi/v2",
    docs: "https://docs.platform.pixverse.ai/get-video-generation-status-13016632e0",
    examples: &["402718365590100"],
    credentials: &[Credential { header: "api-key", scheme: "" }],
    asks,
    answer,
    refuse,
};

/// A state that nobody knows; states are numbers.
const UNKNOWN_STATUS: u8 = 99;

/// Names are numbers in answers.
const ID: u64 = 402_718_365_590_100;

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["video", "result", _]) if !request.has_header("ai-trace-id") => {
            Ask::Answered(error(StatusCode::OK, 400011, "Ai-trace-id is empty"))
        }
        ("GET", ["video", "result", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A generation: size and link are empty until it succeeded. A bad end has a number and no reason.
fn answer(poll: &Poll<'_>) -> Reply {
    let status = match poll.state {
        State::Queued => 0,
        State::InProgress(_) => 5,
        State::Unknown => UNKNOWN_STATUS,
        State::Ended(Ending::Failed | Ending::Cancelled | Ending::Expired) => 8,
        State::Ended(Ending::Filtered) => 7,
        State::Ended(_) => 1,
    };
    let (modified, is_done) = match poll.state {
        State::Ended(_) => (poll.times.ended, status == 1),
        State::InProgress(_) => (poll.times.started, false),
        State::Queued | State::Unknown => (poll.times.created, false),
    };
    let if_done = |value: Value, empty: Value| if is_done { value } else { empty };
    let has_link = is_done && poll.ending != Ending::NoOutput;
    let url = if has_link { poll.file_url() } else { String::new() };
    let generation = json!({
        "id": poll.job.parse::<u64>().unwrap_or(ID),
        "status": status,
        "prompt": PROMPT,
        "negative_prompt": "",
        "create_time": format!("{:.0}", poll.times.created),
        "modify_time": format!("{:.0}", modified),
        "outputWidth": if_done(1280.into(), 0.into()),
        "outputHeight": if_done(720.into(), 0.into()),
        "resolution_ratio": if_done(720.into(), 0.into()),
        "size": if_done(3_145_728.into(), 0.into()),
        "seed": 2718,
        "style": "",
        "url": url,
    });
    Reply::ok(&json!({"ErrCode": 0, "ErrMsg": "Success", "Resp": generation}))
}

/// Errors come with HTTP 200, but for those of the gateway before the API.
fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, code, message) = match refused.refusal {
        Refusal::NoCredentials | Refusal::WrongCredentials => (StatusCode::OK, 400012, "Invalid account"),
        Refusal::OutOfFunds => (StatusCode::OK, 500090, "Insufficient balance. Please top up your credits."),
        Refusal::Malformed => (StatusCode::OK, 400013, "Invalid binding request: incorrect parameter type or value"),
        Refusal::UnknownJob => (StatusCode::OK, 500008, "Requested data not found"),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, 429, "Too Many Requests"),
        Refusal::ServerError => (StatusCode::OK, 99999, "Unknown error"),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 503, "Service Unavailable"),
    };
    error(status, code, message)
}

fn error(status: StatusCode, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({"ErrCode": code, "ErrMsg": message, "Resp": null}))
}
