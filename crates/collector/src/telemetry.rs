//! What the doors count and log: a metric and its log line are one function here. `ingest` and `http` call it.

use record::{Door, Error, Outcome, Topic};

/// The outcomes of one request, by name: `stored`, `retry`, or the rejection's tag.
pub(crate) fn count(topic: &Topic, door: &Door, outcomes: &[Outcome]) -> Vec<(&'static str, u64)> {
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
        let labels = [("topic", topic.to_string()), ("door", door.to_string()), ("outcome", (*name).to_owned())];
        metrics::counter!("crowdread_collector_records_total", &labels).increment(*count);
    }
    counts
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
pub(crate) fn closed(door: &'static str, code: u16, reason: &'static str) {
    let labels = [("door", door.to_owned()), ("code", code.to_string())];
    metrics::counter!("crowdread_collector_connections_closed_total", &labels).increment(1);
    tracing::debug!(door, code, reason, "connection closed");
}

/// Counts a WebSocket as open until it is dropped.
pub(crate) struct OpenSocket(());

impl OpenSocket {
    pub(crate) fn new() -> Self {
        metrics::gauge!("crowdread_websocket_connections").increment(1.0);
        Self(())
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        metrics::gauge!("crowdread_websocket_connections").decrement(1.0);
    }
}

/// How many connections are open now.
pub(crate) fn connections(open: usize) {
    metrics::gauge!("crowdread_http_connections").set(open as f64);
}

/// How many connections are taken, of those that were asked for, under the limit of open files.
pub(crate) fn connections_limited(asked: Option<usize>, connections_max: usize, limit: Option<u64>) {
    metrics::gauge!("crowdread_http_connections_max").set(connections_max as f64);
    let open_files_max = limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    if let Some(asked) = asked.filter(|asked| connections_max < *asked) {
        tracing::warn!(asked, connections_max, open_files_max, "fewer connections than set: raise the limit of open files (ulimit -Hn)");
    } else {
        tracing::info!(connections_max, open_files_max, "connections are taken");
    }
}

/// The system did not let the limit of open files be raised.
pub(crate) fn handles_not_raised(error: &std::io::Error) {
    tracing::warn!(%error, "the limit of open files stays as it is");
}

/// The listening socket gave an error, such as too many open files.
pub(crate) fn accept_failed(error: &std::io::Error) {
    metrics::counter!("crowdread_http_accept_errors_total").increment(1);
    tracing::warn!(%error, "cannot accept a connection; trying again");
}

/// What shutdown left behind.
pub(crate) fn shut_down(cut_off: usize) {
    if cut_off == 0 {
        tracing::info!("http door closed; every request under way was answered");
    } else {
        tracing::warn!(connections = cut_off, "http door closed; these connections did not finish in time and were cut off");
    }
}
