//! From a request to its reply.

use super::jobs::{Jobs, Start};
use super::kinds::{Ask, KINDS, Kind, find};
use super::outcome::{self, Ending, Outcome, Refusal};
use super::pace::{self, State};
use super::poll::{Poll, Refused, Times};
use super::reply::Reply;
use super::request::{Recorded, Request, segments};
use super::{Options, credentials, faults, media, ranges, s3, storage, tokens};
use http::header::RETRY_AFTER;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// All the simulated providers.
pub struct Service {
    options: Options,
    address: SocketAddr,
    jobs: Mutex<Jobs>,
    last: Mutex<Option<Recorded>>,
}

impl Service {
    pub fn new(options: Options, address: SocketAddr) -> Service {
        Service { options, address, jobs: Mutex::default(), last: Mutex::default() }
    }

    /// Answers a request, and remembers it.
    pub fn answer(&self, recorded: Recorded) -> Reply {
        let reply = ranges::cut(self.dispatch(&recorded), &recorded.headers);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(recorded);
        reply
    }

    pub fn last_request(&self) -> Option<Recorded> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn jobs<T>(&self, with: impl FnOnce(&mut Jobs) -> T) -> T {
        with(&mut self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn dispatch(&self, recorded: &Recorded) -> Reply {
        let reading = matches!(recorded.method, Method::GET | Method::HEAD);
        if reading && recorded.path().starts_with("/files/") {
            return media::download();
        }
        if let Some(reply) = storage::answer(recorded).filter(|_| reading) {
            return reply;
        }
        if let Some(kind) = tokens::asked_of(recorded) {
            let count = self.jobs(|jobs| jobs.count(kind, "token"));
            return tokens::answer(kind, recorded, count);
        }
        if let Some(object) = s3::asked_of(recorded) {
            return self.object(recorded, &object);
        }
        match self.route(recorded) {
            Some((kind, request)) => self.provider(kind, &request),
            None => self.nothing_here(recorded),
        }
    }

    /// The kind that a path belongs to.
    fn route<'a>(&self, recorded: &'a Recorded) -> Option<(&'static Kind, Request<'a>)> {
        let path = recorded.path().strip_prefix('/')?;
        let kind = find(path.split('/').next()?)?;
        let rest = path.strip_prefix(kind.name)?.strip_prefix(kind.base)?;
        if !(rest.is_empty() || rest.starts_with('/')) {
            return None;
        }
        let origin = recorded.origin(self.address);
        let base_url = format!("{origin}/{}{}", kind.name, kind.base);
        Some((kind, Request { recorded, segments: segments(rest), origin, base_url }))
    }

    fn provider(&self, kind: &Kind, request: &Request<'_>) -> Reply {
        let ask = (kind.asks)(request);
        if let Ask::Job(job) = &ask {
            self.jobs(|jobs| jobs.count(kind.name, job));
        }
        if let Ask::Unknown = ask {
            return self.nothing_here(request.recorded);
        }
        if let Some(refusal) = credentials::refusal(kind.credentials, &request.recorded.headers) {
            return refuse(kind, Refused { refusal, job: ask.job(), retry_after: None });
        }
        match ask {
            Ask::Job(job) => self.poll(kind, request, &job),
            Ask::Content(job) => self.content(kind, request, &job),
            Ask::Result(job) => {
                let start = self.jobs(|jobs| jobs.start(kind.name, &job, self.now()));
                self.tell(kind, request, &job, start)
            }
            Ask::Answered(reply) => reply,
            Ask::Unknown => self.nothing_here(request.recorded),
        }
    }

    fn poll(&self, kind: &Kind, request: &Request<'_>, job: &str) -> Reply {
        let outcome = outcome::of(job);
        let (start, first) = self.jobs(|jobs| jobs.poll(kind.name, job, self.now()));
        if let Outcome::Refuses { refusal, retry_after, once } = outcome
            && (first || !once)
        {
            return refuse(kind, Refused { refusal, job, retry_after });
        }
        let reply = self.tell(kind, request, job, start);
        match outcome {
            Outcome::Breaks(fault) => faults::apply(fault, reply),
            _ => reply,
        }
    }

    /// The kind's answer about a job, as far as it has come.
    fn tell(&self, kind: &Kind, request: &Request<'_>, job: &str, start: Start) -> Reply {
        let outcome = outcome::of(job);
        let ending = match outcome {
            Outcome::Ends(ending) => ending,
            _ => Ending::Completed,
        };
        let times = Times::new(start.wall, self.options.pace);
        (kind.answer)(&Poll { request, job, state: self.state(outcome, start), ending, times })
    }

    /// The bytes of a job that has any; for every other one, the kind's own "no such video".
    fn content(&self, kind: &Kind, request: &Request<'_>, job: &str) -> Reply {
        let no_video = |refusal| refuse(kind, Refused { refusal, job, retry_after: None });
        match self.has_video(kind.name, job) {
            true => {
                let variant = request.recorded.query("variant");
                media::rendering(variant.as_deref()).unwrap_or_else(|| no_video(Refusal::Malformed))
            }
            false => no_video(Refusal::UnknownJob),
        }
    }

    /// The object that a job of Bedrock writes, if it does.
    fn object(&self, recorded: &Recorded, object: &s3::Object) -> Reply {
        s3::refusal(recorded, object).unwrap_or_else(|| match self.has_video("bedrock", &object.job) {
            true => media::download(),
            false => s3::no_such_key(),
        })
    }

    fn has_video(&self, kind: &str, job: &str) -> bool {
        let start = self.jobs(|jobs| jobs.start(kind, job, self.now()));
        let state = self.state(outcome::of(job), start);
        matches!(state, State::Ended(Ending::Completed | Ending::PartlyFiltered | Ending::Inline))
    }

    fn state(&self, outcome: Outcome, start: Start) -> State {
        pace::state(outcome, self.options.pace, start.at.elapsed())
    }

    fn now(&self) -> Start {
        let wall = Timestamp::try_from((self.options.now)()).unwrap_or(Timestamp::UNIX_EPOCH);
        Start { at: Instant::now(), wall }
    }

    fn nothing_here(&self, recorded: &Recorded) -> Reply {
        let origin = recorded.origin(self.address);
        let kinds: Map<String, Value> = KINDS
            .iter()
            .map(|kind| (kind.name.to_owned(), format!("{origin}/{}{}", kind.name, kind.base).into()))
            .collect();
        let message = format!(
            "The sandbox serves no {} {}. Each kind lives below its own address.",
            recorded.method,
            recorded.path()
        );
        Reply::json(StatusCode::NOT_FOUND, &json!({"error": {"message": message, "kinds": kinds}}))
    }
}

fn refuse(kind: &Kind, refused: Refused<'_>) -> Reply {
    let reply = (kind.refuse)(&refused);
    match refused.retry_after {
        Some(seconds) => reply.with(RETRY_AFTER, &seconds.to_string()),
        None => reply,
    }
}
