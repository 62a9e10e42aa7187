//! The answers in the table, one row after the other: what task selection is rebuilt from, and what every analysis begins with.
//!
//! Distinct by id at all times: a repeat that two loaders let through counts once (see *Repeats* in the design).

use std::collections::HashSet;

use arrow::{
    array::{Array, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::cast,
    datatypes::{DataType, TimeUnit},
};
use futures::TryStreamExt;
use lake::{Lake, Table};
use record::{Error, Offset, Partition, RecordId, Result, Timestamp, Topic, TopicSchema};

/// A row of the table `answers`.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerRow {
    /// The record's id.
    pub record_id: RecordId,
    /// When the collector had it.
    pub received_at: Timestamp,
    /// The collection's name.
    pub collection: String,
    /// The place, as 32 hexadecimal digits.
    pub task_id: String,
    /// The text that was shown, likewise.
    pub reading_id: String,
    /// The worker, likewise.
    pub worker_id: String,
    /// The lease.
    pub lease_id: String,
    /// The label's name.
    pub label: String,
    /// What was typed.
    pub text: Option<String>,
    /// When the word appeared, by the phone's clock.
    pub shown_at: Option<Timestamp>,
    /// When it was answered, by the phone's clock.
    pub answered_at: Timestamp,
    /// Whether the lease was over by then.
    pub late: bool,
}

/// Tells of every row of the table `answers`, each id once, in the table's order; gives how many.
///
/// # Errors
/// `Corrupt` when a file of the table is not what it should be; else what reading the table gives.
pub async fn each_answer(table: &Table, tell: &mut dyn FnMut(AnswerRow)) -> Result<u64> {
    let mut batches = std::pin::pin!(table.scan(None).await?);
    let mut seen = HashSet::new();
    while let Some(batch) = batches.try_next().await? {
        let columns = Columns::of(&batch)?;
        for row in 0..batch.num_rows() {
            let answer = columns.row(row)?;
            if seen.insert(answer.record_id) {
                tell(answer);
            }
        }
    }
    Ok(seen.len() as u64)
}

/// The table of the answers, and up to which offset of a partition it holds them.
///
/// # Errors
/// What opening the table gives.
pub async fn table_and_cursor(lake: &Lake, partition: &Partition) -> Result<(Table, Offset)> {
    let table = lake.table(&TopicSchema::answers()).await?;
    let cursor = table.cursor(&partition.cursor_id(&Topic::answers())).await?;
    Ok((table, cursor.unwrap_or(0)))
}

/// The columns of one batch.
struct Columns {
    texts: [StringArray; 8],
    times: [TimestampMicrosecondArray; 3],
    late: BooleanArray,
}

const TEXTS: [&str; 8] = ["record_id", "collection", "task_id", "reading_id", "worker_id", "lease_id", "label", "text"];
const TIMES: [&str; 3] = ["received_at", "shown_at", "answered_at"];

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let texts = TEXTS.map(|name| column::<StringArray>(batch, name, &DataType::Utf8));
        let times = TIMES.map(|name| column(batch, name, &DataType::Timestamp(TimeUnit::Microsecond, None)));
        let late = column(batch, "late", &DataType::Boolean)?;
        Ok(Self { texts: all(texts)?, times: all(times)?, late })
    }

    fn row(&self, row: usize) -> Result<AnswerRow> {
        let text = |column: usize| self.texts[column].value(row).to_owned();
        let time = |column: usize| Timestamp::from_micros(self.times[column].value(row));
        let record_id = RecordId::parse(self.texts[0].value(row))
            .map_err(|error| Error::corrupt("a row of the table answers has no id").with("row", row).because(error))?;
        Ok(AnswerRow {
            record_id,
            received_at: time(0),
            collection: text(1),
            task_id: text(2),
            reading_id: text(3),
            worker_id: text(4),
            lease_id: text(5),
            label: text(6),
            text: self.texts[7].is_valid(row).then(|| text(7)),
            shown_at: self.times[1].is_valid(row).then(|| time(1)),
            answered_at: time(2),
            late: self.late.value(row),
        })
    }
}

fn all<T, const N: usize>(columns: [Result<T>; N]) -> Result<[T; N]> {
    let columns: Vec<T> = columns.into_iter().collect::<Result<_>>()?;
    columns.try_into().map_err(|_| Error::internal("a column is missing"))
}

/// A column in the type that is expected, however a writer chose to encode it.
fn column<T: Array + Clone + 'static>(batch: &RecordBatch, name: &'static str, kind: &DataType) -> Result<T> {
    let wrong = || Error::corrupt("a column of the table answers is missing or of another type").with("column", name);
    let column = cast(batch.column_by_name(name).ok_or_else(wrong)?, kind).map_err(|error| wrong().because(error))?;
    column.as_any().downcast_ref::<T>().cloned().ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
