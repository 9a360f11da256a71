//! Replicate predictions: replicate-python-beta `types/prediction.py`; replicate.com docs "Prediction lifecycle".

use super::{Ask, Kind, PROMPT, UNKNOWN_STATE, percent, set};
use crate::sandbox::credentials::{BEARER, Credential};
use crate::sandbox::media;
use crate::sandbox::outcome::{Ending, Refusal};
use crate::sandbox::pace::State;
use crate::sandbox::poll::{Poll, Refused};
use crate::sandbox::reply::Reply;
use crate::sandbox::request::Request;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "replicate",
    base: "/v1",
    docs: "https://replicate.com/docs/reference/http#predictions.get",
    examples: &["q7h2m9x4c1rj80cv5t6wbn3d00"],
    credentials: &[BEARER, Credential { header: "authorization", scheme: "Token" }],
    asks,
    answer,
    refuse,
};

fn asks(request: &Request<'_>) -> Ask {
    let (method, segments) = request.route();
    match (method, segments.as_slice()) {
        ("GET", ["predictions", job]) => Ask::Job((*job).to_owned()),
        _ => Ask::Unknown,
    }
}

fn answer(poll: &Poll<'_>) -> Reply {
    let (status, error) = match poll.state {
        State::Queued => ("starting", None),
        State::InProgress(_) => ("processing", None),
        State::Unknown => (UNKNOWN_STATE, None),
        State::Ended(Ending::Failed) => ("failed", Some("Prediction failed: CUDA out of memory")),
        State::Ended(Ending::Filtered) => (
            "failed",
            Some("The input or output was flagged as sensitive. Please try again with different inputs. (E005)"),
        ),
        State::Ended(Ending::Cancelled) => ("canceled", None),
        State::Ended(Ending::Expired) => ("aborted", None),
        State::Ended(_) => ("succeeded", None),
    };
    let get = format!("{}/predictions/{}", poll.request.base_url, poll.job);
    let mut prediction = json!({
        "id": poll.job, "model": "google/veo-3", "version": "hidden", "status": status, "error": error,
        "input": {"prompt": PROMPT, "duration": 8, "resolution": "720p", "aspect_ratio": "16:9"},
        "output": output(poll), "logs": logs(poll.state), "data_removed": false, "source": "api",
        "created_at": format!("{:.3}", poll.times.created),
        "urls": {"get": get, "cancel": format!("{get}/cancel")},
    });
    date(&mut prediction, poll);
    Reply::ok(&prediction)
}

/// Sets the times that are known by now: they are absent, not null, until then. An aborted prediction never started.
fn date(prediction: &mut Value, poll: &Poll<'_>) {
    if !matches!(poll.state, State::Queued | State::Ended(Ending::Expired)) {
        set(prediction, "started_at", json!(format!("{:.6}", poll.times.started)));
    }
    if let State::Ended(_) = poll.state {
        let seconds = |from| poll.times.ended.duration_since(from).as_secs_f64();
        set(prediction, "completed_at", json!(format!("{:.6}", poll.times.ended)));
        set(
            prediction,
            "metrics",
            json!({"predict_time": seconds(poll.times.started), "total_time": seconds(poll.times.created)}),
        );
    }
}

fn output(poll: &Poll<'_>) -> Option<String> {
    match poll.state {
        State::Ended(Ending::Completed | Ending::PartlyFiltered) => Some(poll.file_url()),
        State::Ended(Ending::Inline) => Some(format!("data:video/mp4;base64,{}", media::base64())),
        _ => None,
    }
}

/// Progress is in the log only, as tqdm draws it.
fn logs(state: State) -> String {
    let share = match state {
        State::Queued | State::Ended(Ending::Expired) => return String::new(),
        State::InProgress(share) => share,
        State::Unknown | State::Ended(_) => 1.0,
    };
    let (percent, step) = (percent(share), (share * 50.0) as usize);
    let (full, rest) = ("█".repeat(step / 5), " ".repeat(10 - (step / 5).min(10)));
    format!("Using seed: 2718\n{percent:3}%|{full}{rest}| {step}/50 [00:01<00:01, 17.15it/s]\n")
}

/// Problem details, but for the rate limit, which has a form of its own.
fn refuse(refused: &Refused<'_>) -> Reply {
    let (status, title, detail) = match refused.refusal {
        Refusal::NoCredentials | Refusal::WrongCredentials => {
            (StatusCode::UNAUTHORIZED, "Unauthenticated", "You did not pass a valid authentication token")
        }
        Refusal::OutOfFunds => (
            StatusCode::PAYMENT_REQUIRED,
            "Insufficient credit",
            "You have insufficient credit to run this model. Go to https://replicate.com/account/billing to add some.",
        ),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "Bad Request", "The prediction ID is not valid."),
        Refusal::UnknownJob => (StatusCode::NOT_FOUND, "Not Found", "The requested resource could not be found."),
        Refusal::RateLimited => return throttled(refused.retry_after.unwrap_or_default()),
        Refusal::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", "Something went wrong."),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", "Please try again later."),
    };
    Reply::json(status, &json!({"title": title, "detail": detail, "status": status.as_u16()}))
        .with(CONTENT_TYPE, "application/problem+json")
}

fn throttled(seconds: u32) -> Reply {
    let detail = format!("Request was throttled. Your rate limit resets in ~{seconds}s.");
    let status = StatusCode::TOO_MANY_REQUESTS;
    Reply::json(status, &json!({"detail": detail, "status": status.as_u16(), "retry_after": seconds}))
}
