//! The columns of a topic's table, in our own words: this room knows no Arrow.

use std::borrow::Cow;

use crate::Topic;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// UTF-8 text.
    String,
    /// A 64-bit signed integer.
    Integer,
    /// A 64-bit floating-point number.
    Number,
    /// True or false.
    Boolean,
    /// A time; in JSON either RFC 3339 text or integer microseconds since the epoch, in the table UTC microseconds.
    Timestamp,
    /// Any JSON value, kept as its text.
    Json,
}

/// A column, filled from the payload's field of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// The name of the column and of the field.
    pub name: Cow<'static, str>,
    /// The type.
    pub kind: ColumnKind,
    /// Whether every row has a value.
    pub required: bool,
}

/// A topic and what its table looks like.
///
/// Every table begins with `record_id` (text), `received_at` (timestamp) and `door` (text), which the collector
/// fills; then come [`columns`](Self::columns), or, where there are none, one column `payload` with the whole object as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSchema {
    /// The topic.
    pub topic: Topic,
    /// The typed columns; empty for a topic of any JSON object.
    pub columns: Vec<Column>,
    /// The largest payload of one record, in bytes.
    pub payload_bytes_max: usize,
}

impl TopicSchema {
    /// The built-in topic `events`: any JSON object up to 64 KiB.
    pub fn events() -> Self {
        Self { topic: Topic::events(), columns: Vec::new(), payload_bytes_max: 64 * 1024 }
    }

    /// The built-in topic `answers`: what a worker says of a reading.
    pub fn answers() -> Self {
        let column = |name: &'static str, kind, required| Column { name: name.into(), kind, required };
        let columns = vec![
            column("collection", ColumnKind::String, true),
            column("task_id", ColumnKind::String, true),
            column("reading_id", ColumnKind::String, true),
            column("worker_id", ColumnKind::String, true),
            column("lease_id", ColumnKind::String, true),
            column("label", ColumnKind::String, true),
            column("text", ColumnKind::String, false),
            column("shown_at", ColumnKind::Timestamp, false),
            column("answered_at", ColumnKind::Timestamp, true),
            column("late", ColumnKind::Boolean, true),
        ];
        Self { topic: Topic::answers(), columns, payload_bytes_max: 4 * 1024 }
    }

    /// Whether the payload is kept whole, as JSON text.
    pub fn is_json_text(&self) -> bool {
        self.columns.is_empty()
    }
}
