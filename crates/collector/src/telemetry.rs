//! What the doors count and log: a metric and its log line are one function here. `ingest` and `http` call it.

use std::{
    path::Path,
    sync::{PoisonError, RwLock},
};

use metrics::Counter;
use record::{Door, Error, Outcome, Topic};

/// The counters of a topic's outcomes, by door and name; each is looked up by its labels once.
pub(crate) struct OutcomeCounters {
    topic: Topic,
    known: RwLock<Vec<(Door, &'static str, Counter)>>,
}

impl OutcomeCounters {
    pub(crate) fn new(topic: Topic) -> Self {
        Self { topic, known: RwLock::default() }
    }

    /// Counts the outcomes of one request, and gives them by name: `stored`, `retry`, or the rejection's tag.
    pub(crate) fn count(&self, door: &Door, outcomes: &[Outcome]) -> Vec<(&'static str, u64)> {
        let mut counts: Vec<(&'static str, u64)> = Vec::new();
        for outcome in outcomes {
            let name = match outcome {
                Outcome::Stored(_) => "stored",
                Outcome::Retry { .. } => "retry",
                Outcome::Rejected(rejection) => rejection.tag.as_str(),
            };
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        for (name, count) in &counts {
            self.add(door, name, *count);
        }
        counts
    }

    fn add(&self, door: &Door, name: &'static str, count: u64) {
        let is_it = |(of, known, _): &&(Door, &str, Counter)| of == door && *known == name;
        if let Some((_, _, counter)) = self.known.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_it) {
            return counter.increment(count);
        }
        let labels = [("topic", self.topic.to_string()), ("door", door.to_string()), ("outcome", name.to_owned())];
        let counter = metrics::counter!("crowdread_collector_records_total", &labels);
        counter.increment(count);
        self.known.write().unwrap_or_else(PoisonError::into_inner).push((door.clone(), name, counter));
    }
}

/// Of a request's rejected records, how many are kept.
pub(crate) fn letters(topic: &Topic, door: &Door, kept: usize, rejected: usize) {
    if rejected == 0 {
        return;
    }
    let labels = [("topic", topic.to_string()), ("door", door.to_string())];
    metrics::counter!("crowdread_collector_dead_letters_kept_total", &labels).increment(kept as u64);
    metrics::counter!("crowdread_collector_dead_letters_dropped_total", &labels).increment((rejected - kept) as u64);
}

/// The sender went away before the queue had said what became of its records.
pub(crate) fn unanswered(topic: &Topic, door: &Door, records: usize) {
    let labels = [("topic", topic.to_string()), ("door", door.to_string())];
    metrics::counter!("crowdread_collector_unanswered_records_total", &labels).increment(records as u64);
    tracing::debug!(%topic, %door, records, "sender left before the answer");
}

/// The queue takes no records any more: the process has to be restarted (promise Q2).
pub(crate) fn queue_closed(topic: &Topic, error: &Error) {
    metrics::counter!("crowdread_collector_queue_closed_total").increment(1);
    tracing::error!(%topic, %error, "the queue takes no records any more; restart is needed");
}

/// The queue could not store now.
pub(crate) fn queue_unavailable(topic: &Topic, error: &Error) {
    metrics::counter!("crowdread_collector_queue_unavailable_total").increment(1);
    tracing::warn!(%topic, %error, "the queue could not store; senders are told to come back");
}

/// A request that was answered without outcomes.
pub(crate) fn refused(door: &'static str, status: u16, problem: &str) {
    let labels = [("door", door.to_owned()), ("status", status.to_string())];
    metrics::counter!("crowdread_collector_requests_refused_total", &labels).increment(1);
    tracing::debug!(door, status, problem, "request refused");
}

/// A message of a connection that stays open was answered without outcomes.
pub(crate) fn message_refused(door: &'static str, code: &'static str, detail: &str) {
    let labels = [("door", door.to_owned()), ("code", code.to_owned())];
    metrics::counter!("crowdread_collector_messages_refused_total", &labels).increment(1);
    tracing::debug!(door, code, detail, "message refused");
}

/// A connection was closed by its door; the reason begins with a word for programs.
pub(crate) fn closed(door: &'static str, code: impl std::fmt::Display, reason: &'static str) {
    let labels = [("door", door.to_owned()), ("code", code.to_string())];
    metrics::counter!("crowdread_collector_connections_closed_total", &labels).increment(1);
    tracing::debug!(door, %code, reason, "connection closed");
}

/// Counts a connection as open, in the gauge of that name, until it is dropped.
pub(crate) struct Open(&'static str);

impl Open {
    pub(crate) fn new(gauge: &'static str) -> Self {
        metrics::gauge!(gauge).increment(1.0);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!(self.0).decrement(1.0);
    }
}

/// Records of MQTT's QoS 0, of which nobody is told: they are counted apart.
pub(crate) fn mqtt_unacknowledged(topic: &str, outcomes: &[Outcome]) {
    let stored = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Stored(_))).count();
    for (outcome, count) in [("stored", stored), ("rejected", outcomes.len() - stored)] {
        if count > 0 {
            let labels = [("topic", topic.to_owned()), ("outcome", outcome.to_owned())];
            metrics::counter!("crowdread_mqtt_unacknowledged_records_total", &labels).increment(count as u64);
        }
    }
}

/// A will could not be stored when its client went.
pub(crate) fn mqtt_will_lost(topic: &str) {
    metrics::counter!("crowdread_mqtt_wills_lost_total", "topic" => topic.to_owned()).increment(1);
    tracing::warn!(topic, "a will could not be stored; its client is gone");
}

/// How many sessions of MQTT are kept without a connection.
pub(crate) fn mqtt_sessions(kept: usize) {
    metrics::gauge!("crowdread_mqtt_sessions_kept").set(kept as f64);
}

/// How many connections are open now.
pub(crate) fn connections(open: usize) {
    metrics::gauge!("crowdread_http_connections").set(open as f64);
}

/// How many connections are taken, of those that were asked for, under the limit of open files.
pub(crate) fn connections_limited(door: &'static str, asked: Option<usize>, connections_max: usize, limit: Option<u64>) {
    metrics::gauge!(format!("crowdread_{door}_connections_max")).set(connections_max as f64);
    let open_files_max = limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    if let Some(asked) = asked.filter(|asked| connections_max < *asked) {
        tracing::warn!(
            door,
            asked,
            connections_max,
            open_files_max,
            "fewer connections than set: raise the limit of open files (ulimit -Hn)"
        );
    } else {
        tracing::info!(door, connections_max, open_files_max, "connections are taken");
    }
}

/// The system did not let the limit of open files be raised.
pub(crate) fn handles_not_raised(error: &std::io::Error) {
    tracing::warn!(%error, "the limit of open files stays as it is");
}

/// The listening socket gave an error, such as too many open files.
pub(crate) fn accept_failed(door: &'static str, error: &std::io::Error) {
    metrics::counter!(format!("crowdread_{door}_accept_errors_total")).increment(1);
    tracing::warn!(door, %error, "cannot accept a connection; trying again");
}

/// A client and a door did not agree upon TLS; why, in one word. Anybody can bring that about, so it is not for the log.
pub(crate) fn handshake_failed(door: &'static str, reason: &'static str, error: &std::io::Error) {
    metrics::counter!("crowdread_tls_handshakes_failed_total", "door" => door, "reason" => reason).increment(1);
    tracing::debug!(door, reason, %error, "TLS handshake failed");
}

/// New connections are shown another certificate from now on.
pub(crate) fn certificate_renewed(certificate: &Path) {
    metrics::counter!("crowdread_tls_certificates_renewed_total").increment(1);
    tracing::info!(certificate = %certificate.display(), "the new certificate is in force for new connections");
}

/// What stands in place of the certificate cannot be used.
pub(crate) fn certificate_not_renewed(error: &Error) {
    metrics::counter!("crowdread_tls_certificates_unusable_total").increment(1);
    tracing::error!(%error, "the new certificate or its key cannot be used; the old one stays in force and expires in its time");
}

/// Other accounts of this machine can take the server's part.
pub(crate) fn key_readable_by_others(key: &Path) {
    tracing::warn!(key = %key.display(), "every account of this machine may read the private key of TLS: chmod o= KEY");
}

/// An address has its share of the connections, so one more was closed at once.
pub(crate) fn connection_refused(door: &'static str) {
    metrics::counter!("crowdread_connections_refused_total", "door" => door).increment(1);
    tracing::debug!(door, "connection refused: its address has its share");
}

/// What shutdown left behind.
pub(crate) fn shut_down(door: &'static str, cut_off: usize) {
    if cut_off == 0 {
        tracing::info!(door, "door closed; everything under way was answered");
    } else {
        tracing::warn!(door, connections = cut_off, "door closed; these connections did not finish in time and were cut off");
    }
}
