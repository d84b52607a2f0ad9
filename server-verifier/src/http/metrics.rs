//! Numbers for Prometheus. Each is registered once; counting is an atomic addition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, SharedString, Unit,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::problem::{Kind, Problem};
use crate::rules::decide::Outcome;

/// Upper bounds of the latencies' buckets, in seconds.
const LATENCIES: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Outcomes of requests, by name.
const OUTCOMES: [&str; 7] =
    ["executed", "refused", "insufficient-funds", "limit-exceeded", "malformed", "conflict", "busy"];
/// Outcomes of cancellations, by name.
const ENDS: [&str; 5] = ["executed", "cancelled", "refused", "malformed", "busy"];
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// A counter that Prometheus scrapes and the console reads.
pub(crate) struct Count {
    scraped: Counter,
    total: AtomicU64,
}

impl Count {
    pub(crate) fn increment(&self, by: u64) {
        self.scraped.increment(by);
        self.total.fetch_add(by, Ordering::Relaxed);
    }

    /// Follows a count that is kept elsewhere.
    pub(crate) fn follow(&self, total: u64) {
        self.scraped.absolute(total);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Since the start.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// The service's numbers.
pub(crate) struct Metrics {
    registry: Registry,
    handle: PrometheusHandle,
    outcomes: [Count; 7],
    ends: [Count; 5],
    latency: Histogram,
    responses: [Count; 4],
    pub(crate) connections: Gauge,
    pub(crate) connections_shed: Count,
    pub(crate) private_key_queue: Gauge,
    pub(crate) rate_limited: Count,
    pub(crate) wrong_credentials: Count,
    pub(crate) handshakes_failed: Count,
    log_lines_lost: Count,
    lost_log_lines: Arc<AtomicU64>,
    pub(crate) alarms: Count,
    store_errors: Count,
    internal_errors: Count,
}

struct Registry(PrometheusRecorder);

fn labels(label: Option<(&'static str, &'static str)>) -> Vec<Label> {
    label.map(|(key, value)| Label::from_static_parts(key, value)).into_iter().collect()
}

impl Registry {
    const META: Metadata<'static> = Metadata::new("onetap", Level::INFO, None);

    fn counter(
        &self,
        name: &'static str,
        what: &'static str,
        label: Option<(&'static str, &'static str)>,
    ) -> Count {
        self.0.describe_counter(
            KeyName::from_const_str(name),
            Some(Unit::Count),
            SharedString::const_str(what),
        );
        let scraped = self.0.register_counter(&Key::from_parts(name, labels(label)), &Self::META);
        Count { scraped, total: AtomicU64::new(0) }
    }

    fn gauge(
        &self,
        name: &'static str,
        what: &'static str,
        label: Option<(&'static str, &'static str)>,
    ) -> Gauge {
        self.0.describe_gauge(
            KeyName::from_const_str(name),
            Some(Unit::Count),
            SharedString::const_str(what),
        );
        self.0.register_gauge(&Key::from_parts(name, labels(label)), &Self::META)
    }

    fn histogram(&self, name: &'static str, what: &'static str) -> Histogram {
        self.0.describe_histogram(
            KeyName::from_const_str(name),
            Some(Unit::Seconds),
            SharedString::const_str(what),
        );
        self.0.register_histogram(&Key::from_static_name(name), &Self::META)
    }
}

impl Metrics {
    /// `lost_log_lines` is counted elsewhere and told here.
    pub(crate) fn new(lost_log_lines: Arc<AtomicU64>) -> Self {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCIES);
        // Fails only for a list of buckets that is empty.
        let builder = builder.unwrap_or_else(|_| PrometheusBuilder::new());
        let registry = Registry(builder.build_recorder());
        let outcome = |name| {
            registry.counter("onetap_authorisations_total", "Requests judged", Some(("outcome", name)))
        };
        let end =
            |name| registry.counter("onetap_cancellations_total", "Cancellations", Some(("outcome", name)));
        let class = |name| registry.counter("onetap_http_responses_total", "Answers", Some(("class", name)));
        Self {
            outcomes: OUTCOMES.map(outcome),
            ends: ENDS.map(end),
            latency: registry.histogram("onetap_authorisation_seconds", "From a request read to its answer"),
            responses: CLASSES.map(class),
            connections: registry.gauge("onetap_http_connections", "Open connections", None),
            connections_shed: registry.counter(
                "onetap_http_connections_shed_total",
                "Connections turned away, or ended to make room",
                None,
            ),
            private_key_queue: registry.gauge(
                "onetap_private_key_queue",
                "Requests at the private key, or waiting",
                None,
            ),
            rate_limited: registry.counter("onetap_rate_limited_total", "Requests over a rate limit", None),
            wrong_credentials: registry.counter(
                "onetap_wrong_credentials_total",
                "Requests of nobody known",
                None,
            ),
            handshakes_failed: registry.counter(
                "onetap_tls_failures_total",
                "TLS handshakes that failed",
                None,
            ),
            log_lines_lost: registry.counter("onetap_log_lines_lost_total", "Log lines not written", None),
            lost_log_lines,
            alarms: registry.counter(
                "onetap_alarms_total",
                "Encrypted joint passwords that did not open",
                None,
            ),
            store_errors: registry.counter(
                "onetap_store_errors_total",
                "Requests for which the store failed",
                None,
            ),
            internal_errors: registry.counter(
                "onetap_internal_errors_total",
                "Requests that ended in a defect, or with cryptography or keys failing",
                None,
            ),
            handle: registry.0.handle(),
            registry,
        }
    }

    pub(crate) fn authorised(&self, outcome: &Outcome, took: Duration) {
        increment(&OUTCOMES, &self.outcomes, outcome);
        self.latency.record(took.as_secs_f64());
    }

    pub(crate) fn cancelled(&self, outcome: &Outcome) {
        increment(&ENDS, &self.ends, outcome);
    }

    /// How many requests were judged since the start, by outcome.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(self.outcomes.iter().map(Count::total))
    }

    /// Counts an answer that leaves.
    pub(crate) fn answered(&self, status: u16, problem: Option<&Problem>) {
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        self.responses[class].increment(1);
        if let Some(problem) = problem.filter(|problem| problem.is_failure()) {
            let count = if problem.kind() == Kind::Busy { &self.store_errors } else { &self.internal_errors };
            count.increment(1);
        }
    }

    /// Sets a number that is looked up when somebody asks.
    pub(crate) fn set(
        &self,
        name: &'static str,
        what: &'static str,
        label: Option<(&'static str, &'static str)>,
        value: f64,
    ) {
        self.registry.gauge(name, what, label).set(value);
    }

    /// Follows a count that is looked up when somebody asks.
    pub(crate) fn follow(
        &self,
        name: &'static str,
        what: &'static str,
        label: Option<(&'static str, &'static str)>,
        total: u64,
    ) {
        self.registry.counter(name, what, label).scraped.absolute(total);
    }

    /// Prometheus's text format.
    pub(crate) fn render(&self) -> String {
        self.log_lines_lost.scraped.absolute(self.lost_log_lines.load(Ordering::Relaxed));
        self.handle.render()
    }

    /// Folds samples into buckets, so that they take no memory. To be called every few seconds.
    pub(crate) fn fold(&self) {
        self.handle.run_upkeep();
    }
}

/// Counts an outcome by its name.
fn increment(names: &[&str], counts: &[Count], outcome: &Outcome) {
    let mut counts = names.iter().zip(counts);
    if let Some((_, count)) = counts.find(|(name, _)| **name == <&'static str>::from(outcome)) {
        count.increment(1);
    }
}
