//! Numbers for Prometheus, in a registry of the program's own. They outlive the settings: counters of a provider go on
//! counting when a gateway is made anew.

mod exposition;
mod labels;
mod latency;
mod process;
mod series;

pub(super) use exposition::Format;

use super::logs::Dropped;
use crate::gateway::{Answered, Gateway, Observer, ProviderState, Watch};
use crate::video::ErrorKind;
use labels::{Build, CACHE, CLASSES, Exchange, Name, Outcome, Provider, Reason, Request, Status, class};
use latency::Latency;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use series::Series;
use std::sync::{Arc, Mutex, PoisonError};

/// All numbers of the process.
pub(super) struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    /// Requests that name no configured provider.
    nobody: Series,
    states: States,
    /// One scrape at a time: what is read when it is asked for is written into the gauges first.
    scrape: Mutex<()>,
}

/// What is counted as it happens.
#[derive(Default)]
struct Families {
    requests: Family<Request, Counter>,
    latency: Family<Provider, Latency>,
    exchanges: Family<Exchange, Counter>,
    exchange_latency: Family<Provider, Latency>,
    unknown_states: Family<Provider, Counter>,
    /// In the order of [`CACHE`].
    cache: Vec<Counter>,
    refusals: Family<Reason, Counter>,
    passthrough: Family<Status, Counter>,
    reloads: Family<Outcome, Counter>,
    spans_dropped: Counter,
}

/// What is read when it is asked for.
#[derive(Default)]
struct States {
    ready: Gauge,
    requests: Gauge,
    exchanges: Family<Provider, Gauge>,
    breakers: Family<Provider, Gauge>,
    held: Family<Provider, Gauge>,
    cache_entries: Gauge,
    cache_bytes: Gauge,
    jobs: Gauge,
    memory: Gauge,
    files: Gauge,
}

/// What only the server knows.
pub(super) struct Vitals {
    pub is_ready: bool,
    pub in_flight: usize,
}

impl Metrics {
    pub fn new(dropped: Dropped) -> Metrics {
        let (mut registry, cache) = (Registry::default(), Family::<Outcome, Counter>::default());
        let by_result = CACHE.iter().map(|result| cache.get_or_create_owned(&Outcome { result }));
        let families = Families { cache: by_result.collect(), ..Families::default() };
        let states = States::default();
        families.register(&mut registry);
        states.register(&mut registry);
        registry.register("vidgate_poll_cache_answers", "Answers with a video by where they came from", cache);
        registry.register(
            "vidgate_log_lines_dropped",
            "Log lines that were dropped since nobody read fast enough",
            dropped,
        );
        registry.register("vidgate_build", "The version", Info::new(Build { version: env!("CARGO_PKG_VERSION") }));
        let started: Gauge = Gauge::default();
        started.set(process::started());
        registry.register("process_start_time_seconds", "When the process started, in Unix time", started);
        let families = Arc::new(families);
        Metrics { nobody: Series::new(&families, None), registry, families, states, scrape: Mutex::default() }
    }

    /// Counts a request that was turned away before it came to a gateway.
    pub fn refused(&self, answered: &Answered) {
        self.nobody.answered(answered);
    }

    /// Counts a request that was passed through; 0 when it got no answer.
    pub fn passed_through(&self, status: u16) {
        self.families.passthrough.get_or_create(&Status { status: class(status) }).inc();
    }

    /// Counts a reading of changed settings.
    pub fn reloaded(&self, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.families.reloads.get_or_create(&Outcome { result }).inc();
    }

    /// The counter of spans that never arrive.
    pub fn spans_dropped(&self) -> Counter {
        self.families.spans_dropped.clone()
    }

    /// The answer to a scrape.
    pub fn text(&self, gateway: &Gateway, vitals: &Vitals, format: Format) -> String {
        let _one_at_a_time = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.states.read(gateway, vitals);
        exposition::text(&self.registry, format)
    }
}

impl Observer for Metrics {
    fn watch(&self, provider: Option<&Arc<str>>) -> Arc<dyn Watch> {
        Arc::new(Series::new(&self.families, provider))
    }
}

impl Families {
    fn register(&self, to: &mut Registry) {
        to.register("vidgate_requests", "Requests that this program answered itself", self.requests.clone());
        let help = "From the head of a request to its answer";
        to.register("vidgate_request_duration_seconds", help, self.latency.clone());
        to.register("vidgate_upstream_exchanges", "Polls at a provider, retries included", self.exchanges.clone());
        let help = "How long polls at a provider took, retries included";
        to.register("vidgate_upstream_exchange_duration_seconds", help, self.exchange_latency.clone());
        let help = "Answers of a provider whose state word nobody knew";
        to.register("vidgate_unknown_states", help, self.unknown_states.clone());
        to.register("vidgate_client_key_refusals", "Requests without a good client key", self.refusals.clone());
        to.register("vidgate_passthrough_requests", "Requests that were passed through", self.passthrough.clone());
        to.register("vidgate_reloads", "Readings of changed settings", self.reloads.clone());
        let help = "Spans that were dropped since the collector did not take them";
        to.register("vidgate_spans_dropped", help, self.spans_dropped.clone());
        // A rate needs a first value, so what can be listed starts at 0.
        for kind in [ErrorKind::InvalidApiKey, ErrorKind::ProviderNotAllowed, ErrorKind::ClientRateLimited] {
            self.refusals.get_or_create_owned(&Reason { reason: kind.code() });
        }
        for status in CLASSES {
            self.passthrough.get_or_create_owned(&Status { status });
        }
        for result in ["ok", "failed"] {
            self.reloads.get_or_create_owned(&Outcome { result });
        }
    }

    /// Counts what a client's key is to blame for.
    fn refused(&self, kind: ErrorKind) {
        if matches!(kind, ErrorKind::InvalidApiKey | ErrorKind::ProviderNotAllowed | ErrorKind::ClientRateLimited) {
            self.refusals.get_or_create(&Reason { reason: kind.code() }).inc();
        }
    }
}

impl States {
    fn register(&self, to: &mut Registry) {
        let mut add = |name: &str, help: &str, metric: &Gauge| to.register(name, help, metric.clone());
        add("vidgate_ready", "1 when new traffic should come here", &self.ready);
        add("vidgate_requests_in_flight", "Requests under way, passed-through ones included", &self.requests);
        add("vidgate_poll_cache_entries", "Answers that are kept", &self.cache_entries);
        add("vidgate_poll_cache_bytes", "Size of the answers that are kept", &self.cache_bytes);
        add("vidgate_jobs_remembered", "Jobs of which it is known how far they had come", &self.jobs);
        if process::memory().is_some() {
            add("process_resident_memory_bytes", "Memory in use", &self.memory);
            add("process_open_fds", "Open file descriptors", &self.files);
        }
        let mut add =
            |name: &str, help: &str, family: &Family<Provider, Gauge>| to.register(name, help, family.clone());
        add("vidgate_upstream_exchanges_in_flight", "Polls under way at a provider", &self.exchanges);
        add("vidgate_breaker_state", "0: closed, 1: half open, 2: open, the provider is left alone", &self.breakers);
        add("vidgate_credentials_held", "Credentials that a provider asked not to use for a while", &self.held);
    }

    fn read(&self, gateway: &Gateway, vitals: &Vitals) {
        let cache = gateway.cache_state();
        self.ready.set(vitals.is_ready.into());
        self.requests.set(number(vitals.in_flight));
        self.cache_entries.set(number(cache.entries));
        self.cache_bytes.set(number(cache.bytes));
        self.jobs.set(number(cache.jobs));
        self.memory.set(process::memory().map_or(0, number));
        self.files.set(process::open_files().map_or(0, number));
        // A provider that is no longer configured has no state.
        for family in [&self.exchanges, &self.breakers, &self.held] {
            family.clear();
        }
        for state in gateway.provider_states() {
            let label = Provider { provider: Name::from(state.name.as_str()) };
            self.exchanges.get_or_create(&label).set(number(state.in_flight));
            self.breakers.get_or_create(&label).set(breaker(&state));
            self.held.get_or_create(&label).set(number(state.held.len()));
        }
    }
}

fn breaker(state: &ProviderState) -> i64 {
    match state.breaker {
        "closed" => 0,
        "half_open" => 1,
        _ => 2,
    }
}

fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

impl EncodeMetric for Dropped {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let lines = u64::try_from(self.lines()).unwrap_or(u64::MAX);
        encoder.encode_counter::<NoLabelSet, _, u64>(&lines, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::gateway::Exchanged;
    use std::io::sink;
    use std::time::Duration;
    use tracing_appender::non_blocking::NonBlocking;

    fn metrics() -> Metrics {
        Metrics::new(Dropped::from(NonBlocking::new(sink()).0.error_counter()))
    }

    fn gateway(names: &[&str], metrics: &Metrics) -> Gateway {
        let entry = |name: &&str| format!("{name}: {{kind: openai, base_url: 'http://127.0.0.1:1/v1'}}");
        let entries: Vec<String> = names.iter().map(entry).collect();
        let settings = Settings::parse(&format!("providers: {{{}}}", entries.join(", "))).unwrap();
        Gateway::observed(&settings, metrics).unwrap()
    }

    #[test]
    fn counters_go_on_when_the_settings_change() {
        let metrics = metrics();
        let vitals = Vitals { is_ready: true, in_flight: 0 };
        let before = gateway(&["kept", "gone"], &metrics);
        let answered = Answered { status: 200, cache: Some("hit"), ..Answered::default() };
        let name: Arc<str> = "kept".into();
        metrics.watch(Some(&name)).answered(&answered);
        let text = metrics.text(&before, &vitals, Format::Prometheus);
        assert!(text.contains("vidgate_breaker_state{provider=\"gone\"} 0"), "{text}");

        let after = gateway(&["kept"], &metrics);
        metrics.watch(Some(&name)).answered(&answered);
        metrics.reloaded(true);
        let text = metrics.text(&after, &vitals, Format::Prometheus);
        let hits = "vidgate_requests_total{provider=\"kept\",status=\"2xx\",error=\"none\",cache=\"hit\"} 2\n";
        assert!(text.contains(hits) && text.contains("vidgate_reloads_total{result=\"ok\"} 1\n"), "{text}");
        assert!(!text.contains("vidgate_breaker_state{provider=\"gone\"}"), "{text}");
        assert!(text.contains("vidgate_unknown_states_total{provider=\"gone\"} 0"), "{text}");
    }

    #[test]
    fn a_duration_lies_in_the_bucket_of_its_bound() {
        let metrics = metrics();
        let gateway = gateway(&["p"], &metrics);
        for millis in [0, 1, 2, 60_000, 60_001] {
            let exchanged = Exchanged { status: None, error: None, took: Duration::from_millis(millis) };
            metrics.watch(Some(&"p".into())).exchanged(&exchanged);
        }
        let text = metrics.text(&gateway, &Vitals { is_ready: true, in_flight: 0 }, Format::Prometheus);
        for (bound, count) in [("0.001", 2), ("0.002", 3), ("15.0", 3), ("60.0", 4), ("+Inf", 5)] {
            let line = format!("duration_seconds_bucket{{le=\"{bound}\",provider=\"p\"}} {count}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(text.contains("vidgate_upstream_exchange_duration_seconds_sum{provider=\"p\"} 120.004\n"), "{text}");
    }
}
