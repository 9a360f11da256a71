//! Sends spans in batches, beside the requests: a collector that is slow, or not there, costs them nothing.

use super::otlp;
use super::queue::{Queue, Rung, Waiting};
use super::record::{Attribute, Record, Value};
use crate::config::{self, BaseAddress};
use crate::providers::{Reply, retry_after};
use crate::upstream::{Client, Endpoint, Header, Limits, Outgoing, Trust};
use crate::video::{ApiError, ErrorKind};
use async_trait::async_trait;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// Spans of one batch.
const BATCH: usize = 512;

/// How long a span waits for others to go with it.
const GATHER: Duration = Duration::from_secs(1);

/// A batch that was not taken in this time is lost.
const DEADLINE: Duration = Duration::from_secs(10);

const CONNECT: Duration = Duration::from_secs(3);

/// The longest rest that a collector may ask for with `Retry-After`.
const LONGEST_REST: Duration = Duration::from_secs(30);

const LIMITS: Limits = Limits { max_body: 64 * 1024, retries: 2 };

const OUR_NAME: &str = concat!("vidgate/", env!("CARGO_PKG_VERSION"));

/// A service of its own, with a thread of its own. It goes on until the process ends, since the last requests come last.
pub struct Exporter(Mutex<Option<Sending>>);

struct Sending {
    queue: Queue,
    waiting: Waiting,
    rung: Rung,
    collector: Collector,
    outage: Outage,
    /// The collector has asked to be left alone until then.
    rests_until: Instant,
}

/// Where spans go.
struct Collector {
    client: Client,
    endpoint: Arc<Endpoint>,
    path: String,
    headers: Vec<Header>,
    /// What all spans are from.
    resource: Vec<Attribute>,
}

/// Since when the collector takes nothing, for a word at the beginning and one at the end.
#[derive(Default)]
struct Outage {
    began: Option<Instant>,
    lost: usize,
}

impl Exporter {
    pub(super) fn new(
        settings: &config::Traces,
        queue: Queue,
        waiting: Waiting,
        rung: Rung,
    ) -> Result<Exporter, String> {
        let (collector, outage) = (Collector::new(settings)?, Outage::default());
        let rests_until = Instant::now();
        Ok(Exporter(Mutex::new(Some(Sending { queue, waiting, rung, collector, outage, rests_until }))))
    }
}

#[async_trait]
impl BackgroundService for Exporter {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let sending = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sending) = sending {
            sending.run().await;
        }
    }
}

impl Sending {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let rung = self.gather(&mut batch).await;
            self.send(&mut batch).await;
            if let Some(done) = rung {
                while let Ok(record) = self.waiting.try_recv() {
                    batch.push(record);
                    if batch.len() == BATCH {
                        self.send(&mut batch).await;
                    }
                }
                self.send(&mut batch).await;
                // Whoever rang may not have waited.
                let _ = done.try_send(());
            }
        }
    }

    /// Fills a batch: until it is full, its first span has waited long enough, or the bell rings.
    async fn gather(&mut self, batch: &mut Vec<Record>) -> Option<SyncSender<()>> {
        let mut send_at = None;
        loop {
            tokio::select! {
                Some(done) = self.rung.recv() => return Some(done),
                () = sleep_until(self.rests_until), if Instant::now() < self.rests_until => {}
                // Never at an end, since a sender of it is at hand here.
                _ = self.waiting.recv_many(batch, BATCH - batch.len()), if Instant::now() >= self.rests_until => {
                    if batch.len() == BATCH {
                        return None;
                    }
                    send_at.get_or_insert_with(|| Instant::now() + GATHER);
                }
                () = sleep_until(send_at.unwrap_or_else(Instant::now)), if send_at.is_some() => return None,
            }
        }
    }

    /// Sends a batch, or drops it and says so.
    async fn send(&mut self, batch: &mut Vec<Record>) {
        if batch.is_empty() {
            return;
        }
        let (spans, result) = (batch.len(), self.collector.take(batch).await);
        batch.clear();
        let address = self.collector.endpoint.address();
        match result {
            Ok(rejected) => {
                self.queue.count_dropped(rejected);
                self.outage.is_over(address);
            }
            Err(refusal) => {
                self.queue.count_dropped(spans);
                self.outage.goes_on(spans, address, &refusal.why);
                self.rests_until = Instant::now() + refusal.rest.min(LONGEST_REST);
            }
        }
    }
}

/// Why a batch was not taken, and how long no other should come.
struct Refusal {
    why: String,
    rest: Duration,
}

impl Collector {
    fn new(settings: &config::Traces) -> Result<Collector, String> {
        let address = settings.endpoint.clone();
        let trust = Trust::of(settings.ca_file.as_ref(), address.tls).map_err(|error| error.to_string())?;
        let path = format!("{}/v1/traces", address.path);
        let endpoint = Endpoint::new(address, CONNECT, trust).ok_or("its host cannot be used")?;
        let mut headers = vec![
            (HOST, endpoint.host_header().clone()),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static(OUR_NAME)),
        ];
        for (name, value) in &settings.headers {
            let mut value =
                HeaderValue::from_str(value.expose()).map_err(|_| format!("the value of {name} is no header value"))?;
            value.set_sensitive(true);
            headers.retain(|(known, _)| known != name);
            headers.push((name.clone(), value));
        }
        let resource = vec![
            ("service.name", Value::Text(settings.service_name.clone())),
            ("service.version", Value::Word(env!("CARGO_PKG_VERSION"))),
            ("service.instance.id", Value::Text(Uuid::now_v7().to_string())),
        ];
        Ok(Collector { client: Client::default(), endpoint, path, headers, resource })
    }

    /// Hands a batch over; the answer is how many spans of it were not taken.
    async fn take(&self, batch: &[Record]) -> Result<usize, Refusal> {
        let body = otlp::request(&self.resource, batch);
        let outgoing =
            Outgoing { method: Method::POST, path: &self.path, headers: self.headers.clone(), body: Some(body.into()) };
        let deadline = Instant::now() + DEADLINE;
        match self.client.exchange(&self.endpoint, &outgoing, &LIMITS, deadline).await {
            Ok(reply) if reply.status.is_success() => Ok(otlp::rejected(&reply.body)),
            Ok(reply) => Err(Refusal::from(&reply)),
            Err(error) => Err(Refusal::from(&error)),
        }
    }
}

impl From<&Reply> for Refusal {
    /// Its own words are left out: they may repeat our headers.
    fn from(reply: &Reply) -> Refusal {
        let rest = retry_after(&reply.headers, reply.received_at).unwrap_or_default();
        Refusal { why: format!("it answered {}", reply.status.as_u16()), rest }
    }
}

impl From<&ApiError> for Refusal {
    fn from(error: &ApiError) -> Refusal {
        let why = match error.kind {
            ErrorKind::UpstreamTimeout => format!("it did not answer within {} s", DEADLINE.as_secs()),
            _ => error.detail.replace("{p}", "it").trim_end_matches('.').to_owned(),
        };
        Refusal { why, rest: Duration::ZERO }
    }
}

impl Outage {
    fn goes_on(&mut self, spans: usize, collector: &BaseAddress, why: &str) {
        if self.began.is_none() {
            let collector = collector.authority();
            tracing::warn!(collector, why, "the collector takes no spans; they are dropped until it does");
        }
        self.began.get_or_insert_with(Instant::now);
        self.lost += spans;
    }

    fn is_over(&mut self, collector: &BaseAddress) {
        if let Some(began) = self.began.take() {
            let (collector, lost) = (collector.authority(), std::mem::take(&mut self.lost));
            tracing::info!(collector, lost, seconds = began.elapsed().as_secs(), "the collector takes spans again");
        }
    }
}
