//! What the journal says of itself: a metric and its log line are one function.

use super::Status;

/// The journal is open.
pub(crate) fn opened(place: &str, status: &Status) {
    metrics::gauge!("queue_journal_quarantined_records").set(status.quarantined as f64);
    if status.quarantined > 0 {
        tracing::warn!(place, quarantined = status.quarantined, "the journal is damaged: lost records are counted as quarantined");
    }
    tracing::info!(place, first = status.first, end = status.end, segments = status.segments, "journal open");
}

/// One batch is durable.
pub(crate) fn batch_stored(records: u64, bytes: u64, micros: u64) {
    metrics::counter!("queue_journal_records_total").increment(records);
    metrics::counter!("queue_journal_bytes_total").increment(bytes);
    metrics::histogram!("queue_journal_batch_seconds").record(micros as f64 / 1e6);
}

/// A write or fsync failed: no more is taken (promise Q2).
pub(crate) fn poisoned(place: &str, reason: &str) {
    metrics::counter!("queue_journal_poisoned_total").increment(1);
    tracing::error!(place, reason, "the journal takes no more records: what was not acknowledged may be lost; mend the disk and restart");
}

/// The disk has no room for another segment, or the process no handle for it.
pub(crate) fn refused(place: &str, error: &std::io::Error) {
    metrics::counter!("queue_journal_refused_total").increment(1);
    tracing::warn!(place, %error, "the journal cannot begin another segment: records are refused until it can");
}

/// The housekeeper could not do its work; the writer will do it itself.
pub(crate) fn housekeeping_failed(place: &str, error: &std::io::Error) {
    tracing::warn!(place, %error, "the journal could not prepare its next segment ahead");
}

/// A file in the folder is none of the journal's.
pub(crate) fn foreign_file(place: &str, name: &str) {
    tracing::warn!(place, name, "left alone: no file of the journal's");
}

/// Both copies of a segment's header are damaged; its entries are read all the same.
pub(crate) fn header_lost(place: &str, name: &str) {
    tracing::warn!(place, name, "a segment's header is damaged; its entries are checked one by one");
}

/// The last words could not be written.
pub(crate) fn close_failed(place: &str, error: &std::io::Error) {
    tracing::warn!(place, %error, "the journal was not closed in full; the next opening looks it through");
}
