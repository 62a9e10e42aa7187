//! The table of records that were stored, or came to a door, and cannot be a row of their own table.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use record::{Column, ColumnKind, Error, Position, RecordId, Result, Timestamp, Topic};

use crate::schema::arrow_schema;

/// Where a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// At a door that could not tell its sender.
    Door,
    /// After storing, on its way to the table.
    Loader,
}

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic it was sent to.
    pub topic: Topic,
    /// Its id.
    pub id: RecordId,
    /// When it came.
    pub received_at: Timestamp,
    /// The door it came through.
    pub door: String,
    /// Where it was refused.
    pub stage: Stage,
    /// The reason in one word.
    pub tag: String,
    /// The reason for people.
    pub message: String,
    /// The payload; bytes that are not UTF-8 are replaced, and the message says so.
    pub payload: Vec<u8>,
    /// Where it stands in the queue.
    pub position: Position,
}

/// The columns of `dead_letters`.
pub(crate) fn columns() -> Vec<Column> {
    let column = |name: &'static str, kind| Column { name: name.into(), kind, required: true };
    vec![
        column("topic", ColumnKind::String),
        column("record_id", ColumnKind::String),
        column("received_at", ColumnKind::Timestamp),
        column("door", ColumnKind::String),
        column("stage", ColumnKind::String),
        column("tag", ColumnKind::String),
        column("message", ColumnKind::String),
        column("payload", ColumnKind::String),
        column("partition", ColumnKind::String),
        column("offset", ColumnKind::Integer),
    ]
}

/// The rows of some dead letters.
///
/// # Errors
/// `Internal` when Arrow refuses the columns.
pub fn dead_letters_batch(letters: &[DeadLetter]) -> Result<RecordBatch> {
    let text = |of: &dyn Fn(&DeadLetter) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(letters.iter().map(of))) };
    let message = |letter: &DeadLetter| match std::str::from_utf8(&letter.payload) {
        Ok(_) => letter.message.clone(),
        Err(_) => format!("{} (payload is not UTF-8; wrong bytes are shown as U+FFFD)", letter.message),
    };
    let stage = |letter: &DeadLetter| match letter.stage {
        Stage::Door => "door".to_owned(),
        Stage::Loader => "loader".to_owned(),
    };
    let times =
        TimestampMicrosecondArray::from_iter_values(letters.iter().map(|letter| letter.received_at.as_micros())).with_timezone("UTC");
    let offsets = Int64Array::from_iter_values(letters.iter().map(|letter| i64::try_from(letter.position.offset).unwrap_or(i64::MAX)));
    let arrays: Vec<ArrayRef> = vec![
        text(&|letter| letter.topic.to_string()),
        text(&|letter| letter.id.to_string()),
        Arc::new(times),
        text(&|letter| letter.door.clone()),
        text(&stage),
        text(&|letter| letter.tag.clone()),
        text(&message),
        text(&|letter| String::from_utf8_lossy(&letter.payload).into_owned()),
        text(&|letter| letter.position.partition.to_string()),
        Arc::new(offsets),
    ];
    RecordBatch::try_new(arrow_schema(&columns()), arrays)
        .map_err(|error| Error::internal("dead letters do not fit their table").because(error))
}
