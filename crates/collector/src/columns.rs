//! Whether a payload fits its topic's columns. `ingest` asks after the validator has had its say, so that what is stored
//! is what the table can take; a topic of any JSON object passes.

use std::{fmt, marker::PhantomData};

use record::{Column, ColumnKind, Rejection, RejectionTag, Timestamp, TopicSchema};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::json_schema::JsonSchema;

/// So many of a topic's fields are named to who sent another one.
const SHOWN: usize = 10;

/// Fields that the collector fills in every table.
const OF_THE_SERVER: [&str; 2] = ["received_at", "door"];

/// Checks that every field is a column, every required column has a value, and every value has its column's type; and, where the
/// topic has one, that the whole keeps to its JSON Schema.
///
/// # Errors
/// `schema_mismatch` or `forged_field`, with the pointer of the first field at fault.
pub(crate) fn check(schema: &TopicSchema, json_schema: Option<&JsonSchema>, payload: &[u8]) -> Result<(), Rejection> {
    if schema.is_json_text() {
        return Ok(());
    }
    let Fields(fields) = serde_json::from_slice::<Fields<Value>>(payload)
        .map_err(|error| Rejection::new(RejectionTag::NotAnObject, format!("expected a JSON object: {error}")))?;
    for (index, (name, value)) in fields.iter().enumerate() {
        // Readers differ in which of two they take: the check here and the table must not.
        if fields[..index].iter().any(|(before, _)| before == name) {
            return Err(Rejection::new(RejectionTag::SchemaMismatch, "the field stands in the record more than once").at(pointer(name)));
        }
        if name == "record_id" {
            continue;
        }
        if OF_THE_SERVER.contains(&name.as_str()) {
            return Err(Rejection::new(RejectionTag::ForgedField, "the server fills this field: leave it out").at(pointer(name)));
        }
        match schema.columns.iter().find(|column| column.name == *name) {
            Some(column) => check_value(column, value)?,
            None => return Err(unknown(schema, name)),
        }
    }
    if let Some(missing) = schema.columns.iter().find(|column| column.required && !fields.iter().any(|(name, _)| *name == column.name)) {
        return Err(mismatch(missing, "it is missing"));
    }
    json_schema.map_or(Ok(()), |json_schema| json_schema.check(fields))
}

/// An object's fields in their order, also those that stand there twice. A record of a typed topic is small.
pub(crate) struct Fields<V>(pub(crate) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Fields<V> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for FieldsVisitor<V> {
    type Value = Fields<V>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields<V>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = entries.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

fn check_value(column: &Column, value: &Value) -> Result<(), Rejection> {
    let fits = match (column.kind, value) {
        (_, Value::Null) => !column.required,
        (ColumnKind::String, Value::String(_)) | (ColumnKind::Boolean, Value::Bool(_)) | (ColumnKind::Json, _) => true,
        (ColumnKind::Number, Value::Number(_)) => true,
        (ColumnKind::Integer, value) => value.is_i64(),
        (ColumnKind::Timestamp, Value::String(text)) => Timestamp::parse(text).is_ok_and(Timestamp::is_sendable),
        (ColumnKind::Timestamp, value) => value.as_i64().is_some_and(|micros| Timestamp::from_micros(micros).is_sendable()),
        _ => false,
    };
    if fits { Ok(()) } else { Err(mismatch(column, found(value))) }
}

fn mismatch(column: &Column, found: &str) -> Rejection {
    let expected = match column.kind {
        ColumnKind::String => "text",
        ColumnKind::Integer => "an integer of 64 bits",
        ColumnKind::Number => "a number",
        ColumnKind::Boolean => "true or false",
        ColumnKind::Timestamp => "a time of the years 1970 to 9999 (RFC 3339 text, or integer microseconds since 1970 in UTC)",
        ColumnKind::Json => "any JSON value",
    };
    Rejection::new(RejectionTag::SchemaMismatch, format!("expected {expected}; {found}")).at(pointer(&column.name))
}

fn unknown(schema: &TopicSchema, name: &str) -> Rejection {
    let names: Vec<&str> = schema.columns.iter().take(SHOWN).map(|column| &*column.name).collect();
    let more = if schema.columns.len() > SHOWN { ", …" } else { "" };
    Rejection::new(RejectionTag::SchemaMismatch, format!("the topic has no such field; its fields are {}{more}", names.join(", ")))
        .at(pointer(name))
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "found null",
        Value::Bool(_) => "found true or false",
        Value::Number(_) => "found a number of another kind or range",
        Value::String(_) => "found text that is none",
        Value::Array(_) => "found an array",
        Value::Object(_) => "found an object",
    }
}

/// RFC 6901 section 3; a name from outside is cut to a bounded length.
pub(crate) fn pointer(name: &str) -> String {
    let shown: String = name.chars().take(80).collect();
    format!("/{}", shown.replace('~', "~0").replace('/', "~1"))
}
