//! How the collector is: `GET /healthz`, `GET /readyz`, `GET /metrics`, and a [`Handle`] with the counters that the board
//! shows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use queue::Headroom;
use record::{Clock, Topic};

use crate::{ingest::Ingest, problem::Problem};

/// Over how many whole seconds a rate is taken.
const RATE_SECONDS: u64 = 10;
/// The seconds that are remembered: those of the rate, and the one under way.
const SECONDS_KEPT: usize = RATE_SECONDS as usize + 1;

/// What was counted of one topic since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicCounts {
    /// Indices of requests that were read.
    pub received: u64,
    /// Told *stored*.
    pub stored: u64,
    /// Told *retry*.
    pub retry: u64,
    /// Told *rejected*, by tag.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Handed to the queue for a sender who left, or whose queue closed, before the answer: stored or not.
    pub unanswered: u64,
    /// Told *stored*, records a second over the last ten whole seconds.
    pub stored_per_second: f64,
}

#[derive(Debug, Default)]
struct TopicCounters {
    counts: TopicCounts,
    /// (second, stored in it), at the second modulo the length.
    seconds: [(u64, u64); SECONDS_KEPT],
}

/// The counters behind the handles.
#[derive(Debug)]
pub(crate) struct Counters {
    topics: BTreeMap<String, Mutex<TopicCounters>>,
    clock: Arc<dyn Clock>,
}

impl Counters {
    pub(crate) fn new(topics: impl Iterator<Item = String>, clock: Arc<dyn Clock>) -> Self {
        Self { topics: topics.map(|topic| (topic, Mutex::default())).collect(), clock }
    }

    pub(crate) fn received(&self, topic: &Topic, records: usize) {
        self.of(topic).counts.received += records as u64;
    }

    pub(crate) fn unanswered(&self, topic: &Topic, records: usize) {
        self.of(topic).counts.unanswered += records as u64;
    }

    /// Counts outcomes by name, as `telemetry::count` gives them.
    pub(crate) fn outcomes(&self, topic: &Topic, outcomes: &[(&'static str, u64)]) {
        let second = self.second();
        let mut counters = self.of(topic);
        for (name, count) in outcomes {
            match *name {
                "stored" => {
                    counters.counts.stored += count;
                    let place = &mut counters.seconds[(second % SECONDS_KEPT as u64) as usize];
                    *place = (second, if place.0 == second { place.1 + count } else { *count });
                }
                "retry" => counters.counts.retry += count,
                tag => *counters.counts.rejected.entry(tag).or_default() += count,
            }
        }
    }

    fn of(&self, topic: &Topic) -> MutexGuard<'_, TopicCounters> {
        let counters = self.topics.get(topic.as_str()).expect("only topics that are taken here are counted");
        // Counts stay true if somebody panicked while holding them: each is one addition.
        counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn second(&self) -> u64 {
        self.clock.monotonic_micros() / 1_000_000
    }
}

/// Reads the counters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Counters>);

impl Handle {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self(counters)
    }

    /// What was counted of a topic, or nothing when it is not taken here.
    pub fn topic(&self, topic: &str) -> Option<TopicCounts> {
        let counters = self.0.topics.get(topic)?.lock().unwrap_or_else(PoisonError::into_inner);
        let second = self.0.second();
        let recent = counters.seconds.iter().filter(|(at, _)| *at < second && second - *at <= RATE_SECONDS);
        let stored: u64 = recent.map(|(_, count)| count).sum();
        Some(TopicCounts { stored_per_second: stored as f64 / RATE_SECONDS as f64, ..counters.counts.clone() })
    }
}

#[derive(Clone)]
struct Shared {
    ingest: Arc<Ingest>,
    prometheus: PrometheusHandle,
}

/// `GET /healthz` (the process answers), `GET /readyz` (it can store) and `GET /metrics` (Prometheus text).
pub fn router(ingest: Arc<Ingest>, prometheus: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Shared { ingest, prometheus })
}

async fn readyz(State(shared): State<Shared>) -> Response {
    match shared.ingest.headroom() {
        Ok(Headroom::Enough) => "ready\n".into_response(),
        Ok(Headroom::Low { retry_after_ms }) => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the queue's headroom is low");
            problem.retry_after_ms(retry_after_ms).into_response()
        }
        Err(error) => Problem::from(&error).into_response(),
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.prometheus.render()).into_response()
}
