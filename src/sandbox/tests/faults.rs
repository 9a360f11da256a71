use super::*;
use crate::sandbox::{KINDS, Pace};
use flate2::read::GzDecoder;
use std::io::Read;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn every_kind_breaks_in_the_same_ways() {
    let sandbox = sandbox(Pace::INSTANT).await;
    for kind in KINDS {
        for job in kind.jobs("52") {
            let answer = poll(&sandbox, kind.name, &job).await;
            assert_eq!((answer.status, answer.header("content-type")), (502, Some("text/html")));
        }
        for job in kind.jobs("60") {
            let answer = poll(&sandbox, kind.name, &job).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
        }
        for job in kind.jobs("61") {
            let answer = poll(&sandbox, kind.name, &job).await;
            assert_eq!((answer.status, answer.length()), (200, answer.body.len()));
            assert!(serde_json::from_slice::<Value>(&answer.body).unwrap_err().is_eof());
        }
        for job in kind.jobs("62") {
            let answer = poll(&sandbox, kind.name, &job).await;
            assert_eq!((answer.status, answer.length(), answer.body.len()), (200, 0, 0));
        }
        for job in kind.jobs("67") {
            let answer = poll(&sandbox, kind.name, &job).await;
            assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (204, None, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_promises_more_than_it_sends() {
    let sandbox = sandbox(Pace::INSTANT).await;
    for kind in KINDS {
        let job = kind.jobs("63").next().unwrap();
        let answer = poll(&sandbox, kind.name, &job).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.len(), answer.length() / 2);
        assert!(answer.body.starts_with(b"{"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_the_right_one() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let answer = poll(&sandbox, "openai", "video_66").await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.length(), answer.body.len());
    let mut plain = String::new();
    GzDecoder::new(answer.body.as_slice()).read_to_string(&mut plain).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&plain).unwrap()["id"], "video_66");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_right_after_three_seconds() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let start = Instant::now();
    assert_eq!(poll(&sandbox, "openai", "video_64").await.json()["status"], "completed");
    assert!(start.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_closes_after_two_minutes_without_a_word() {
    let sandbox = sandbox(Pace::INSTANT).await;
    let start = Instant::now();
    assert!(poll_with(&sandbox, "openai", "video_65", "authorization: Bearer key\r\n").await.is_none());
    assert!(start.elapsed() >= Duration::from_secs(120));
    assert_eq!(sandbox.calls("openai", "video_65"), 1);
}
