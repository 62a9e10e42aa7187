//! The table of records that were stored, or came to a door, and cannot be a row of their own table.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use record::{Column, ColumnKind, Error, Partition, Position, RETRIED, RecordId, RejectionTag, Result, Timestamp, Topic};

use crate::{schema::arrow_schema, table::Table};

/// Where a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// At a door.
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

/// Calls with each dead letter that was not sent again since, in the order of the table's files; ends early when told to.
///
/// # Errors
/// What reading the table gives; `Corrupt` for a row that no loader wrote.
pub async fn each_dead_letter(table: &Table, each: &mut (dyn FnMut(DeadLetter) -> bool + Send)) -> Result<()> {
    // Topic and id → partition, and the offset below which its letters are settled.
    let mut retried: HashMap<(String, String), (String, i64)> = HashMap::new();
    let mut batches = table.scan(Some(&["topic", "record_id", "tag", "partition", "offset"])).await?;
    while let Some(batch) = batches.try_next().await? {
        let [topics, ids, tags, partitions] = [0, 1, 2, 3].map(|column| batch.column(column).as_string::<i32>());
        let offsets = batch.column(4).as_primitive::<Int64Type>();
        for row in (0..batch.num_rows()).filter(|row| tags.value(*row) == RETRIED) {
            let place = (partitions.value(row).to_owned(), offsets.value(row));
            let latest = retried.entry((topics.value(row).to_owned(), ids.value(row).to_owned())).or_insert_with(|| place.clone());
            if latest.1 < place.1 {
                *latest = place;
            }
        }
    }
    let is_settled = |letter: &DeadLetter| {
        // What came later under an id that is taken stays refused, however often its first record was sent.
        if letter.tag == RejectionTag::IdReused.as_str() {
            return false;
        }
        let key = (letter.topic.to_string(), letter.id.to_string());
        retried.get(&key).is_some_and(|(partition, below)| {
            partition != letter.position.partition.as_str() || i64::try_from(letter.position.offset).is_ok_and(|offset| offset < *below)
        })
    };
    let names: Vec<String> = columns().into_iter().map(|column| column.name.into_owned()).collect();
    let mut batches = table.scan(Some(&names.iter().map(String::as_str).collect::<Vec<_>>())).await?;
    while let Some(batch) = batches.try_next().await? {
        for letter in dead_letters_of(&batch)? {
            if letter.tag != RETRIED && !is_settled(&letter) && !each(letter) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The dead letters of a batch with all columns, in its order; those that say *sent again* with the rest.
///
/// # Errors
/// `Corrupt` for a row that no loader wrote.
pub fn dead_letters_of(batch: &RecordBatch) -> Result<Vec<DeadLetter>> {
    (0..batch.num_rows()).map(|row| letter_of(batch, row, |column| batch.column(column).as_string::<i32>().value(row))).collect()
}

fn letter_of<'a>(batch: &RecordBatch, row: usize, text: impl Fn(usize) -> &'a str) -> Result<DeadLetter> {
    let offset = batch.column(9).as_primitive::<Int64Type>().value(row);
    let offset = u64::try_from(offset).map_err(|error| Error::corrupt("a dead letter has a negative offset").because(error))?;
    Ok(DeadLetter {
        topic: Topic::parse(text(0))?,
        id: RecordId::parse(text(1))?,
        received_at: Timestamp::from_micros(batch.column(2).as_primitive::<TimestampMicrosecondType>().value(row)),
        door: text(3).to_owned(),
        stage: if text(4) == "door" { Stage::Door } else { Stage::Loader },
        tag: text(5).to_owned(),
        message: text(6).to_owned(),
        payload: text(7).as_bytes().to_vec(),
        position: Position { partition: Partition::parse(text(8))?, offset },
    })
}
