//! JSON payloads → record batch. A row that cannot be one is named with its reason, so that the loader can dead-letter it.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
    },
    datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType},
};
use record::{Column, ColumnKind, Digest, Error, RecordId, Rejection, RejectionTag, Result, Timestamp, TopicSchema};
use serde_json::{Map, Value};

use crate::schema::{arrow_schema, topic_columns};

/// What a topic's row is made from.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The record's identity.
    pub id: RecordId,
    /// When the collector had it.
    pub received_at: Timestamp,
    /// The door it came through.
    pub door: &'a str,
    /// A JSON object; fields that are no column are ignored.
    pub payload: &'a [u8],
}

/// A row that is not in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its index in the input.
    pub index: usize,
    /// What is wrong, with a JSON pointer to the field.
    pub rejection: Rejection,
}

/// What [`build_batch`] made.
#[derive(Clone, Debug)]
pub struct Built {
    /// The good rows, in their order.
    pub batch: RecordBatch,
    /// For each row of the batch its index in the input.
    pub kept: Vec<usize>,
    /// The others.
    pub bad: Vec<BadRow>,
}

/// A hash of what a row says: its columns after `record_id`, `received_at` and `door`.
pub type RowHash = Digest;

/// Builds the batch of a topic's table: `record_id`, `received_at`, `door`, then the topic's columns or `payload`.
///
/// # Errors
/// `Internal` when Arrow refuses the columns; a bad row is no error.
pub fn build_batch(schema: &TopicSchema, rows: &[Row<'_>]) -> Result<Built> {
    let columns = topic_columns(schema);
    let mut ids = StringBuilder::with_capacity(rows.len(), rows.len() * 36);
    let mut times = TimestampMicrosecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
    let mut doors = StringBuilder::with_capacity(rows.len(), rows.len() * 8);
    let mut builders: Vec<ColumnBuilder> = columns[3..].iter().map(|column| ColumnBuilder::new(column.kind)).collect();
    let (mut kept, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
    let mut cells = Vec::with_capacity(builders.len());
    for (index, row) in rows.iter().enumerate() {
        match read_cells(schema, &columns[3..], row.payload, &mut cells) {
            Err(rejection) => bad.push(BadRow { index, rejection }),
            Ok(()) => {
                ids.append_value(row.id.to_string());
                times.append_value(row.received_at.as_micros());
                doors.append_value(row.door);
                for (builder, cell) in builders.iter_mut().zip(cells.drain(..)) {
                    builder.append(cell);
                }
                kept.push(index);
            }
        }
        cells.clear();
    }
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(ids.finish()), Arc::new(times.finish()), Arc::new(doors.finish())];
    arrays.extend(builders.into_iter().map(ColumnBuilder::finish));
    let batch = RecordBatch::try_new(arrow_schema(&columns), arrays)
        .map_err(|error| Error::internal("columns do not fit the table's schema").with("topic", &schema.topic).because(error))?;
    Ok(Built { batch, kept, bad })
}

/// The hash of each row of a topic's batch. The same for a batch that was just built and for one that was read back,
/// so that the index of repeats can be rebuilt from the table.
///
/// # Errors
/// `Internal` for a column type that no column kind maps to.
pub fn row_hashes(batch: &RecordBatch) -> Result<Vec<RowHash>> {
    let schema = batch.schema();
    let mut columns: Vec<(&str, &ArrayRef)> =
        schema.fields().iter().zip(batch.columns()).map(|(field, column)| (field.name().as_str(), column)).skip(3).collect();
    // By name: a table may have its columns in another order than its topic, once one was added.
    columns.sort_unstable_by_key(|(name, _)| *name);
    (0..batch.num_rows())
        .map(|row| {
            let mut parts: Vec<Cow<'_, [u8]>> = Vec::with_capacity(columns.len() * 2);
            for (name, column) in &columns {
                // Absent values are left out and the others carry their name: a column added later changes no hash.
                if column.is_valid(row) {
                    parts.push(Cow::Borrowed(name.as_bytes()));
                    parts.push(cell_bytes(column, row)?);
                }
            }
            Ok(Digest::of(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()))
        })
        .collect()
}

fn cell_bytes(column: &ArrayRef, row: usize) -> Result<Cow<'_, [u8]>> {
    Ok(match column.data_type() {
        DataType::Utf8 => Cow::Borrowed(column.as_string::<i32>().value(row).as_bytes()),
        DataType::Int64 => Cow::Owned(column.as_primitive::<Int64Type>().value(row).to_le_bytes().to_vec()),
        DataType::Float64 => Cow::Owned(column.as_primitive::<Float64Type>().value(row).to_bits().to_le_bytes().to_vec()),
        DataType::Boolean => Cow::Owned(vec![u8::from(column.as_boolean().value(row))]),
        DataType::Timestamp(..) => Cow::Owned(column.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes().to_vec()),
        other => return Err(Error::internal("a column has a type that no column kind maps to").with("type", other)),
    })
}

enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

fn read_cells(schema: &TopicSchema, columns: &[Column], payload: &[u8], cells: &mut Vec<Cell>) -> Result<(), Rejection> {
    let text = std::str::from_utf8(payload)
        .map_err(|error| Rejection::new(RejectionTag::NotUtf8, format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let value: Value = serde_json::from_str(text).map_err(|error| Rejection::new(RejectionTag::NotJson, format!("not JSON: {error}")))?;
    let Value::Object(mut object) = value else {
        return Err(Rejection::new(RejectionTag::NotAnObject, "the payload is JSON and not an object"));
    };
    if schema.is_json_text() {
        cells.push(Cell::Text(text.to_owned()));
        return Ok(());
    }
    for column in columns {
        cells.push(read_cell(column, &mut object)?);
    }
    Ok(())
}

fn read_cell(column: &Column, object: &mut Map<String, Value>) -> Result<Cell, Rejection> {
    let mismatch = |message: String| Rejection::new(RejectionTag::SchemaMismatch, message).at(format!("/{}", column.name));
    let value = match object.remove(&*column.name) {
        None | Some(Value::Null) if column.required => {
            return Err(mismatch(format!("field {} is missing and required", column.name)));
        }
        None | Some(Value::Null) => return Ok(Cell::Null),
        Some(value) => value,
    };
    let wrong = |value: &Value, expected: &str| {
        let shown: String = value.to_string().chars().take(80).collect();
        mismatch(format!("field {} is {shown}, expected {expected}", column.name))
    };
    Ok(match (column.kind, value) {
        (ColumnKind::Json, value) => Cell::Text(value.to_string()),
        (ColumnKind::String, Value::String(text)) => Cell::Text(text),
        (ColumnKind::Boolean, Value::Bool(flag)) => Cell::Boolean(flag),
        (ColumnKind::Timestamp, Value::String(text)) => match Timestamp::parse(&text) {
            Ok(time) => Cell::Integer(time.as_micros()),
            Err(_) => return Err(wrong(&Value::String(text), "an RFC 3339 time")),
        },
        (ColumnKind::Integer | ColumnKind::Timestamp, Value::Number(number)) => match number.as_i64() {
            Some(integer) => Cell::Integer(integer),
            None => return Err(wrong(&Value::Number(number), "a 64-bit integer")),
        },
        (ColumnKind::Number, Value::Number(number)) => match number.as_f64() {
            Some(number) => Cell::Number(number),
            None => return Err(wrong(&Value::Number(number), "a number")),
        },
        (ColumnKind::String, value) => return Err(wrong(&value, "text")),
        (ColumnKind::Integer, value) => return Err(wrong(&value, "a 64-bit integer")),
        (ColumnKind::Number, value) => return Err(wrong(&value, "a number")),
        (ColumnKind::Boolean, value) => return Err(wrong(&value, "true or false")),
        (ColumnKind::Timestamp, value) => return Err(wrong(&value, "an RFC 3339 time or integer microseconds")),
    })
}

enum ColumnBuilder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Boolean(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    fn new(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::String | ColumnKind::Json => Self::Text(StringBuilder::new()),
            ColumnKind::Integer => Self::Integer(Int64Builder::new()),
            ColumnKind::Number => Self::Number(Float64Builder::new()),
            ColumnKind::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnKind::Timestamp => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    fn append(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Integer(builder), Cell::Integer(value)) => builder.append_value(value),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Number(builder), Cell::Number(value)) => builder.append_value(value),
            (Self::Number(builder), _) => builder.append_null(),
            (Self::Boolean(builder), Cell::Boolean(value)) => builder.append_value(value),
            (Self::Boolean(builder), _) => builder.append_null(),
            (Self::Time(builder), Cell::Integer(value)) => builder.append_value(value),
            (Self::Time(builder), _) => builder.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Integer(mut builder) => Arc::new(builder.finish()),
            Self::Number(mut builder) => Arc::new(builder.finish()),
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Time(mut builder) => Arc::new(builder.finish()),
        }
    }
}
