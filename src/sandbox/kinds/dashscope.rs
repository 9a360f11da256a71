//! DashScope's tasks: alibabacloud.com/help/en/model-studio "Wan text-to-video API reference", "Manage asynchronous
//! tasks", "Error codes".

use super::{Ask, Kind, PROMPT, UNKNOWN_STATE, set};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::{TimeZone, offset};
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "dashscope",
    base: "/api/v1",
    docs: "https://www.alibabacloud.com/help/en/model-studio/text-to-video-api-reference",
    examples: &["b1d0c7e4-25f8-4a3b-9c61-70e8a4d2f300"],
    credentials: &[BEARER],
    asks,
    answer,
    refuse,
};

const REQUEST_ID: &str = "8c1f7a90-3d52-9e4b-a6d7-15b0c2e9f864";

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["tasks", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A task. Its failure is told inside `output`, and what it used only when it succeeded.
fn answer(poll: &Poll<'_>) -> Reply {
    let status = match poll.state {
        State::Queued => "PENDING",
        State::InProgress(_) => "RUNNING",
        State::Unknown => UNKNOWN_STATE,
        State::Ended(Ending::Failed | Ending::Filtered | Ending::Expired) => "FAILED",
        State::Ended(Ending::Cancelled) => "CANCELED",
        State::Ended(_) => "SUCCEEDED",
    };
    let mut output = json!({"task_id": poll.job, "task_status": status, "submit_time": local(poll.times.created)});
    if !matches!(poll.state, State::Queued) {
        set(&mut output, "scheduled_time", local(poll.times.started));
    }
    if matches!(poll.state, State::Ended(_)) {
        set(&mut output, "end_time", local(poll.times.ended));
    }
    let mut task = json!({"request_id": REQUEST_ID});
    match poll.state {
        State::Ended(Ending::Failed | Ending::Expired) => {
            tell(&mut output, "InternalError.Algo", "The algorithm process failed.");
        }
        State::Ended(Ending::Filtered) => {
            tell(&mut output, "DataInspectionFailed", "Output data may contain inappropriate content.");
        }
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) => {
            set(&mut output, "orig_prompt", PROMPT.into());
            set(&mut output, "video_url", poll.file_url().into());
            let usage =
                json!({"duration": 5, "output_video_duration": 5, "size": "1280*720", "video_count": 1, "SR": 720});
            set(&mut task, "usage", usage);
        }
        _ => {}
    }
    set(&mut task, "output", output);
    Reply::ok(&task)
}

/// Local time of China without a word about it.
fn local(time: Timestamp) -> Value {
    time.to_zoned(TimeZone::fixed(offset(8))).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string().into()
}

fn tell(output: &mut Value, code: &str, message: &str) {
    set(output, "code", code.into());
    set(output, "message", message.into());
}

/// A job that is not known is an answer like any other.
fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, code, message) = match refused.refusal {
        Refusal::UnknownJob => {
            let output = json!({"task_id": refused.job, "task_status": "UNKNOWN"});
            return Reply::ok(&json!({"request_id": REQUEST_ID, "output": output}));
        }
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, "InvalidApiKey", "No API-key provided."),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "InvalidApiKey", "Invalid API-key provided."),
        Refusal::OutOfFunds => {
            (StatusCode::BAD_REQUEST, "Arrearage", "Access denied, please make sure your account is in good standing.")
        }
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "InvalidParameter", "The task_id is not valid."),
        Refusal::RateLimited => {
            (StatusCode::TOO_MANY_REQUESTS, "Throttling.RateQuota", "Requests rate limit exceeded.")
        }
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "An internal error has occurred."),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ModelUnavailable", "Please try again later."),
    };
    Reply::json(status, &json!({"request_id": REQUEST_ID, "code": code, "message": message}))
}
