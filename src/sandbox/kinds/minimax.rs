//! MiniMax's tasks and files. platform.minimax.io/docs "Query video generation", "Video download", "Query (v2)", "Error codes".

use super::{Ask, Kind, UNKNOWN_STATE, set};
use crate::sandbox::credentials::BEARER;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "minimax",
    base: "",
    docs: "https://platform.minimax.io/docs/api-reference/video-generation-query",
    examples: &["176843862716400", "v2/424010985738600"],
    credentials: &[BEARER],
    asks,
    answer,
    refuse,
};

/// A task's file has its number with this digit before it.
const FILE: &str = "9";

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    let query = |name: &str| request.recorded.query(name).unwrap_or_default();
    match (method, segments.as_slice()) {
        ("GET", ["v1", "query", "video_generation"]) => Ask::Job(query("task_id")),
        ("GET", ["v1", "files", "retrieve"]) => match query("file_id").strip_prefix(FILE) {
            Some(job) => Ask::Result(job.to_owned()),
            None => Ask::Answered(base_resp(StatusCode::OK, 2013, "invalid params, no such file")),
        },
        ("GET", ["v2", "query", "video_generation", job]) => Ask::Job(format!("v2/{job}")),
        _ => Ask::Unknown,
    }
}

fn answer(poll: &Poll<'_>) -> Reply {
    match poll.request.segments.get(1).map(String::as_str) {
        Some("files") => file(poll),
        _ if is_v2(poll.job) => v2(poll),
        _ => v1(poll),
    }
}

fn is_v2(job: &str) -> bool {
    job.starts_with("v2/")
}

/// A task of v1: no times and no words about what was asked for. `file_id` is empty until there is one.
fn v1(poll: &Poll<'_>) -> Reply {
    let (status, code, message) = match poll.state {
        State::Queued => ("Queueing", 0, "success"),
        State::InProgress(_) => ("Processing", 0, "success"),
        State::Unknown => (UNKNOWN_STATE, 0, "success"),
        State::Ended(Ending::Failed | Ending::Cancelled | Ending::Expired) => ("Fail", 1000, "unknown error"),
        State::Ended(Ending::Filtered) => ("Fail", 1027, "output new_sensitive"),
        State::Ended(_) => ("Success", 0, "success"),
    };
    let mut task = json!({
        "task_id": poll.job, "status": status, "file_id": "",
        "base_resp": {"status_code": code, "status_msg": message},
    });
    if status == "Success" {
        set(&mut task, "video_width", json!(1366));
        set(&mut task, "video_height", json!(768));
    }
    if status == "Success" && poll.ending != Ending::NoOutput {
        set(&mut task, "file_id", json!(format!("{FILE}{}", poll.job)));
    }
    Reply::ok(&task)
}

fn file(poll: &Poll<'_>) -> Reply {
    let State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline) = poll.state else {
        return base_resp(StatusCode::OK, 2013, "invalid params, no such file");
    };
    let id: u64 = format!("{FILE}{}", poll.job).parse().unwrap_or_default();
    Reply::ok(&json!({
        "file": {
            "file_id": id, "bytes": 1024, "created_at": poll.times.ended.as_second(), "filename": "output.mp4",
            "purpose": "video_generation", "download_url": poll.file_url(),
        },
        "base_resp": {"status_code": 0, "status_msg": "success"},
    }))
}

/// A task of v2: everything in one answer.
fn v2(poll: &Poll<'_>) -> Reply {
    let failure = |code: &str, message: &str| json!({"error": {"code": code, "message": message}, "usage": {}});
    let (status, more) = match poll.state {
        State::Queued => ("queued", json!({})),
        State::InProgress(_) => ("running", json!({})),
        State::Unknown => (UNKNOWN_STATE, json!({})),
        State::Ended(Ending::Failed | Ending::Expired) => ("failed", failure("1000", "internal error")),
        State::Ended(Ending::Filtered) => ("failed", failure("1026", "video description contains sensitive content")),
        State::Ended(Ending::Cancelled) => ("cancelled", json!({"usage": {}})),
        State::Ended(Ending::NoOutput) => ("succeeded", json!({"content": {}})),
        State::Ended(_) => (
            "succeeded",
            json!({"content": {"url": poll.file_url()}, "usage": {"total_seconds": 5, "output_seconds": 5}}),
        ),
    };
    let updated = match poll.state {
        State::Queued => poll.times.created,
        State::InProgress(_) | State::Unknown => poll.times.started,
        State::Ended(_) => poll.times.ended,
    };
    let mut task = json!({
        "id": poll.stem(), "model": "MiniMax-H3", "status": status, "created_at": poll.times.created.as_second(),
        "updated_at": updated.as_second(), "resolution": "768P", "duration": 5, "ratio": "16:9",
        "task_type": "generation", "modality": "video",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        set(&mut task, key, value.clone());
    }
    Reply::ok(&json!({"task": task}))
}

/// v1 says no with 200 and a code; only its load balancer has statuses of its own. v2 has both.
fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, code, message) = match refused.refusal {
        Refusal::NoCredentials => (StatusCode::UNAUTHORIZED, 1004, "login fail: Please carry the API secret key"),
        Refusal::WrongCredentials => (StatusCode::UNAUTHORIZED, 2049, "invalid api key"),
        Refusal::OutOfFunds => (StatusCode::PAYMENT_REQUIRED, 1008, "insufficient balance"),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, 2013, "invalid params"),
        Refusal::UnknownJob => (StatusCode::BAD_REQUEST, 2013, "invalid params, invalid task_id"),
        Refusal::RateLimited => (StatusCode::TOO_MANY_REQUESTS, 1002, "rate limit"),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, 1000, "unknown error"),
        Refusal::Unavailable => return unavailable(),
    };
    match is_v2(refused.job) {
        true => v2_error(status, &format!("{message} ({code})")),
        false => base_resp(StatusCode::OK, code, message),
    }
}

fn base_resp(status: StatusCode, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({"base_resp": {"status_code": code, "status_msg": message}}))
}

/// What stands before both APIs when they do not answer.
fn unavailable() -> Reply {
    Reply::new(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "no healthy upstream")
}

fn v2_error(status: StatusCode, message: &str) -> Reply {
    let kind: Value = match status {
        StatusCode::UNAUTHORIZED => "authorized_error",
        StatusCode::PAYMENT_REQUIRED => "insufficient_balance_error",
        StatusCode::BAD_REQUEST => "bad_request_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        _ => "server_error",
    }
    .into();
    Reply::json(
        status,
        &json!({
            "type": "error", "error": {"type": kind, "message": message, "http_code": status.as_str()},
            "request_id": "021785229015510a2c883cf675b9804d",
        }),
    )
}
