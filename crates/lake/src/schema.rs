//! The three spellings of a column: ours, Arrow's, Delta's. `table` compares and creates with them, `rows` fills them.

use std::{borrow::Cow, sync::Arc};

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use deltalake::kernel::{DataType, PrimitiveType, StructField};
use record::{Column, ColumnKind, Error, Result, TopicSchema};

/// The partition column of topic tables: the UTC date of `received_at`.
pub(crate) const RECEIVED_DATE: &str = "received_date";

const fn column(name: &'static str, kind: ColumnKind, required: bool) -> Column {
    Column { name: Cow::Borrowed(name), kind, required }
}

/// All data columns of a topic's table, in order: the collector's three, then the topic's own or `payload`.
pub(crate) fn topic_columns(schema: &TopicSchema) -> Vec<Column> {
    let mut columns = vec![
        column("record_id", ColumnKind::String, true),
        column("received_at", ColumnKind::Timestamp, true),
        column("door", ColumnKind::String, true),
    ];
    if schema.is_json_text() {
        columns.push(column("payload", ColumnKind::Json, true));
    } else {
        columns.extend(schema.columns.iter().cloned());
    }
    columns
}

/// The Arrow type of a kind.
pub(crate) fn arrow_type(kind: ColumnKind) -> ArrowType {
    match kind {
        ColumnKind::String | ColumnKind::Json => ArrowType::Utf8,
        ColumnKind::Integer => ArrowType::Int64,
        ColumnKind::Number => ArrowType::Float64,
        ColumnKind::Boolean => ArrowType::Boolean,
        ColumnKind::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// The Arrow schema of some columns.
pub(crate) fn arrow_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(
        columns.iter().map(|column| Field::new(&*column.name, arrow_type(column.kind), !column.required)).collect::<Vec<_>>(),
    ))
}

fn delta_type(arrow: &ArrowType) -> Result<DataType> {
    Ok(DataType::Primitive(match arrow {
        ArrowType::Utf8 => PrimitiveType::String,
        ArrowType::Int64 => PrimitiveType::Long,
        ArrowType::Float64 => PrimitiveType::Double,
        ArrowType::Boolean => PrimitiveType::Boolean,
        ArrowType::Timestamp(TimeUnit::Microsecond, Some(_)) => PrimitiveType::Timestamp,
        other => return Err(Error::internal("a column has a type that no column kind maps to").with("type", other)),
    }))
}

/// A Delta field for an Arrow field.
pub(crate) fn delta_field(field: &Field) -> Result<StructField> {
    Ok(StructField::new(field.name().clone(), delta_type(field.data_type())?, field.is_nullable()))
}

/// The Delta field of the partition column.
pub(crate) fn date_field() -> StructField {
    StructField::new(RECEIVED_DATE, DataType::Primitive(PrimitiveType::Date), true)
}

/// The data columns of an existing table, the partition column left out.
pub(crate) fn arrow_from_delta<'a>(fields: impl Iterator<Item = &'a StructField>, table: &str) -> Result<SchemaRef> {
    let mut found = Vec::new();
    for field in fields {
        if field.name() == RECEIVED_DATE {
            continue;
        }
        let arrow = match field.data_type() {
            DataType::Primitive(PrimitiveType::String) => ArrowType::Utf8,
            DataType::Primitive(PrimitiveType::Long) => ArrowType::Int64,
            DataType::Primitive(PrimitiveType::Double) => ArrowType::Float64,
            DataType::Primitive(PrimitiveType::Boolean) => ArrowType::Boolean,
            DataType::Primitive(PrimitiveType::Timestamp) => arrow_type(ColumnKind::Timestamp),
            other => {
                return Err(Error::invalid("a table has a column of a type that is not read here")
                    .with("table", table)
                    .with("column", field.name())
                    .with("type", other)
                    .with("expected", "string, long, double, boolean or timestamp"));
            }
        };
        found.push(Field::new(field.name(), arrow, field.is_nullable()));
    }
    Ok(Arc::new(Schema::new(found)))
}

/// What `wanted` adds to `existing`: optional columns only.
///
/// # Errors
/// `Invalid` when a column is missing from `wanted`, differs, or is new and required.
pub(crate) fn added_fields(existing: &Schema, wanted: &Schema, table: &str) -> Result<Vec<Field>> {
    let refused = |what: String| {
        Error::invalid("the table has another schema; mend the topic's columns or use a new topic")
            .with("table", table)
            .with("difference", what)
    };
    for field in existing.fields() {
        match wanted.field_with_name(field.name()) {
            Err(_) => return Err(refused(format!("column {} is in the table and not in the topic", field.name()))),
            Ok(other) if other.data_type() != field.data_type() => {
                return Err(refused(format!(
                    "column {} is {} in the table and {} in the topic",
                    field.name(),
                    field.data_type(),
                    other.data_type()
                )));
            }
            Ok(other) if other.is_nullable() != field.is_nullable() => {
                let word = |nullable| if nullable { "optional" } else { "required" };
                return Err(refused(format!(
                    "column {} is {} in the table and {} in the topic",
                    field.name(),
                    word(field.is_nullable()),
                    word(other.is_nullable())
                )));
            }
            Ok(_) => {}
        }
    }
    let new: Vec<Field> = wanted
        .fields()
        .iter()
        .filter(|field| existing.field_with_name(field.name()).is_err())
        .map(|field| field.as_ref().clone())
        .collect();
    match new.iter().find(|field| !field.is_nullable()) {
        Some(field) => Err(refused(format!("new column {} is required; the rows that are there have no value for it", field.name()))),
        None => Ok(new),
    }
}
