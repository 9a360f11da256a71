//! Z.ai's asynchronous results: docs.z.ai/api-reference "Get video status", "Errors".

use super::{Ask, Kind, UNKNOWN_STATE, set};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "zhipu",
    base: "/api/paas/v4",
    docs: "https://docs.z.ai/api-reference/video/get-video-status",
    examples: &["71402985613307548210986435527100"],
    credentials: &[BEARER],
    asks,
    answer,
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["async-result", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

/// A result: it has one word for waiting and running, and one for every bad end, without a reason but for moderation.
fn answer(poll: &Poll<'_>) -> Reply {
    let status = match poll.state {
        State::Queued | State::InProgress(_) => "PROCESSING",
        State::Unknown => UNKNOWN_STATE,
        State::Ended(Ending::Failed | Ending::Filtered | Ending::Cancelled | Ending::Expired) => "FAIL",
        State::Ended(_) => "SUCCESS",
    };
    let mut result = json!({"model": "cogvideox-3", "request_id": "9017958079360725355", "task_status": status});
    match poll.state {
        State::Ended(Ending::Filtered) => {
            let message = "System detected potentially unsafe or sensitive content in input or generation.";
            set(&mut result, "error", json!({"code": "1301", "message": message}));
        }
        State::Ended(Ending::NoOutput) => set(&mut result, "video_result", json!([])),
        State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) => {
            let cover = format!("{}/files/{}.png", poll.request.origin, poll.stem());
            set(&mut result, "video_result", json!([{"url": poll.file_url(), "cover_image_url": cover}]));
        }
        _ => {}
    }
    Reply::ok(&result)
}

/// 429 is the status of empty accounts, too; the code tells.
fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, code, message) = match refused.refusal {
        Refusal::NoCredentials => (
            StatusCode::UNAUTHORIZED,
            "1001",
            "Authentication parameter not received in Header, unable to authenticate",
        ),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, "1002", "Invalid Authentication Token"),
        Refusal::OutOfFunds => {
            (StatusCode::TOO_MANY_REQUESTS, "1113", "Your account is in arrears, please recharge and try again")
        }
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "1210", "Incorrect API call parameters"),
        Refusal::UnknownJob => (StatusCode::BAD_REQUEST, "1214", "Invalid id parameter."),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "1302", "High concurrency usage of this API"),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "500", "Internal Error"),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "1234", "Network error"),
    };
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}
