//! The rules of polling against a provider that says anything at any time, on paused time.

use super::{How, Poll, Polled, Polling, Record, Told};
use crate::config::Settings;
use crate::gateway::Unobserved;
use crate::gateway::entry::Entry;
use crate::video::{ApiError, ErrorKind, JobError, Lifetime, Media, Said, Status, Video};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, advance};

/// What the provider says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Queued,
    InProgress(u8),
    Completed,
    Failed,
    Error(ErrorKind),
    /// 429 with this many seconds to wait.
    SlowDown(u64),
}

/// A provider that says what it is told to, and counts how often it is asked.
#[derive(Clone)]
pub struct Script {
    says: Arc<Mutex<Says>>,
    calls: Arc<AtomicU32>,
}

impl Script {
    pub fn speak(&self, provider: &str, record: Option<Record>) -> Result<Polled, ApiError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut video = match *self.says.lock().unwrap() {
            Says::Queued => Video::new(Status::Queued),
            Says::InProgress(percent) => {
                let mut video = Video::new(Status::InProgress);
                video.progress = Some(percent.into());
                video
            }
            Says::Completed => {
                let mut video = Video::new(Status::Completed);
                video.videos.push(Media::guarded("/a"));
                video
            }
            Says::Failed => {
                let mut video = Video::new(Status::Failed);
                video.error = Some(JobError::new("E1", "no"));
                video
            }
            Says::Error(kind) => return Err(ApiError::said(kind, Said { status: 500, ..Said::default() })),
            Says::SlowDown(seconds) => {
                let error = ApiError::said(ErrorKind::RateLimited, Said { status: 429, ..Said::default() });
                return Err(error.with_retry_after(Some(Duration::from_secs(seconds))));
            }
        };
        video.settle(Lifetime::Unknown);
        Ok(Polled::new(video, provider, record, Duration::ZERO))
    }
}

/// One job at one provider.
struct World {
    polling: Arc<Polling>,
    entry: Arc<Entry>,
    script: Script,
}

impl World {
    fn new(poll: &str) -> World {
        let text = format!(
            "providers: {{p: {{kind: openai, base_url: 'http://127.0.0.1:1/v1', timeout: 2s, breaker: null, poll: {{{poll}}}}}}}"
        );
        let settings = Settings::parse(&text).unwrap();
        World {
            polling: Arc::new(Polling::new(&settings.poll_cache)),
            entry: Arc::new(Entry::new(&settings.providers[0], &Unobserved).unwrap()),
            script: Script { says: Arc::new(Mutex::new(Says::Queued)), calls: Arc::default() },
        }
    }

    fn says(&self, says: Says) {
        *self.script.says.lock().unwrap() = says;
    }

    fn calls(&self) -> u32 {
        self.script.calls.load(Ordering::Relaxed)
    }

    async fn ask(&self) -> Result<Told, ApiError> {
        let poll = Poll {
            entry: Arc::clone(&self.entry),
            job: "video_1".into(),
            authorization: None,
            client: None,
            request_id: "r".into(),
            trace: None,
            deadline: Instant::now() + self.entry.timeout,
            wants_raw: (false, false),
            anew: false,
            wanted: None,
            script: Some(self.script.clone()),
        };
        let key = self.polling.key("p", b"", &poll.job);
        self.polling.ask(poll, key).await
    }
}

fn how(told: Result<Told, ApiError>) -> How {
    told.map(|told| told.how).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_fresh_for_a_second_and_then_asked_for_again() {
    let world = World::new("");
    assert_eq!(how(world.ask().await), How::Miss);
    assert_eq!(how(world.ask().await), How::Hit);
    advance(Duration::from_millis(999)).await;
    assert_eq!(how(world.ask().await), How::Hit);
    advance(Duration::from_millis(1)).await;
    assert_eq!(how(world.ask().await), How::Miss);
    assert_eq!(world.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_kept_and_a_provider_that_takes_it_back_is_not_believed() {
    let world = World::new("");
    world.says(Says::Completed);
    assert_eq!(world.ask().await.unwrap().text.status, Status::Completed);
    world.says(Says::InProgress(10));
    advance(Duration::from_secs(599)).await;
    assert_eq!(how(world.ask().await), How::Hit);
    advance(Duration::from_secs(2)).await;
    // The answer is no longer at hand, but it is remembered that there was one.
    let error = world.ask().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::UpstreamInvalidResponse);
    world.says(Says::Completed);
    assert_eq!(world.ask().await.unwrap().text.status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_failing_provider_is_stood_in_for_but_not_asked_more_often() {
    let world = World::new("stale_for: 60s");
    world.says(Says::InProgress(40));
    assert_eq!(how(world.ask().await), How::Miss);
    world.says(Says::Error(ErrorKind::UpstreamError));
    for second in 1..60 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(how(world.ask().await), How::Stale, "{second}");
        assert_eq!(how(world.ask().await), How::Stale, "{second}");
        assert_eq!(world.calls(), second + 1);
    }
    advance(Duration::from_secs(1)).await;
    assert_eq!(world.ask().await.err().unwrap().kind, ErrorKind::UpstreamError);
}

#[tokio::test(start_paused = true)]
async fn refusals_and_unknown_jobs_are_never_papered_over() {
    for kind in [ErrorKind::UpstreamAuthFailed, ErrorKind::ClientAuthRefused, ErrorKind::VideoNotFound] {
        let world = World::new("");
        assert_eq!(how(world.ask().await), How::Miss);
        world.says(Says::Error(kind));
        advance(Duration::from_secs(1)).await;
        assert_eq!(world.ask().await.err().unwrap().kind, kind);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_job_is_asked_for_once_a_second() {
    let world = World::new("");
    world.says(Says::Error(ErrorKind::VideoNotFound));
    for _ in 0..10 {
        assert_eq!(world.ask().await.err().unwrap().kind, ErrorKind::VideoNotFound);
    }
    assert_eq!(world.calls(), 1);
    advance(Duration::from_secs(1)).await;
    world.says(Says::Queued);
    assert_eq!(how(world.ask().await), How::Miss);
}

#[tokio::test(start_paused = true)]
async fn without_freshness_every_poll_asks_and_the_answer_still_stands_in() {
    let world = World::new("fresh_for: 0s");
    assert_eq!((how(world.ask().await), how(world.ask().await)), (How::Miss, How::Miss));
    world.says(Says::Error(ErrorKind::UpstreamTimeout));
    assert_eq!(how(world.ask().await), How::Stale);
    assert_eq!(world.calls(), 3);
}

#[derive(Debug, Clone, Copy)]
struct Step {
    says: Says,
    /// Time that passes before the poll.
    millis: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let says = prop_oneof![
        Just(Says::Queued),
        (0_u8..=100).prop_map(Says::InProgress),
        Just(Says::Completed),
        Just(Says::Failed),
        Just(Says::Error(ErrorKind::UpstreamError)),
        Just(Says::Error(ErrorKind::UpstreamTimeout)),
        Just(Says::Error(ErrorKind::UpstreamUnreachable)),
        Just(Says::Error(ErrorKind::UpstreamInvalidResponse)),
        Just(Says::Error(ErrorKind::VideoNotFound)),
        Just(Says::Error(ErrorKind::UpstreamAuthFailed)),
        (0_u64..100).prop_map(Says::SlowDown),
    ];
    let step = (says, 0_u64..3000).prop_map(|(says, millis)| Step { says, millis });
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_provider_says_clients_see_no_step_back_and_no_invented_failure(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = World::new("");
            let (mut progress, mut ended, mut said_failed) = (0, false, false);
            let mut asked_at: Option<Instant> = None;
            for step in steps {
                advance(Duration::from_millis(step.millis)).await;
                world.says(step.says);
                let calls = world.calls();
                let told = world.ask().await;
                let was_asked = world.calls() > calls;
                said_failed |= was_asked && step.says == Says::Failed;
                match (&told, step.says) {
                    (Ok(told), _) => {
                        assert!(!ended || told.text.status.is_terminal(), "an end was taken back");
                        assert!(told.text.progress >= progress, "progress fell");
                        assert!(told.text.status != Status::Failed || said_failed, "a failure was invented");
                        progress = told.text.progress;
                        ended |= told.text.status.is_terminal();
                    }
                    (Err(error), Says::Error(kind)) if was_asked => assert_eq!(error.kind, kind),
                    (Err(_), _) => {}
                }
                if was_asked && matches!(step.says, Says::Error(ErrorKind::VideoNotFound | ErrorKind::UpstreamAuthFailed)) {
                    assert!(told.is_err(), "a refusal was papered over");
                }
                if was_asked && told.is_ok() {
                    let apart = asked_at.map(|at| at.elapsed());
                    assert!(apart.is_none_or(|apart| apart >= Duration::from_secs(1)), "asked twice within the interval");
                    asked_at = Some(Instant::now());
                }
            }
        });
    }
}
