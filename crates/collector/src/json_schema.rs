//! A topic's JSON Schema (2020-12, and older drafts by their `$schema`): the columns that it gives, and whether a record keeps to it.
//! `cli` reads the schemas of the settings; `columns` checks with them.
//!
//! The schema's top-level properties are the columns. What the table could not keep is refused when the schema is read, and not when the
//! first record comes: properties without a name that every reader of tables takes, and records with further fields.

use std::collections::BTreeSet;

use jsonschema::{Draft, PatternOptions, Validator};
use record::{Column, ColumnKind, Error, Rejection, RejectionTag, Result};
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// The largest schema, in bytes.
const SCHEMA_BYTES_MAX: usize = 1 << 20;
/// The most columns of a topic.
const COLUMNS_MAX: usize = 1_000;
/// The longest name of a column, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Columns of every table, and its partition column, which a record does not bring.
const OF_THE_TABLE: [&str; 3] = ["received_at", "door", "received_date"];

/// A schema that records can be checked with.
#[derive(Debug)]
pub struct JsonSchema {
    source: Value,
    validator: Validator,
    columns: Vec<Column>,
    names_record_id: bool,
}

impl JsonSchema {
    /// Reads a schema. References to other documents are not followed.
    ///
    /// # Errors
    /// `Invalid` when the text is no JSON Schema, or describes records that no table of ours can keep.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(Error::invalid(format!("a JSON Schema has at most {SCHEMA_BYTES_MAX} bytes")).with("found", text.len()));
        }
        let schema: Value = serde_json::from_str(text).map_err(|error| Error::invalid("the JSON Schema is not JSON").because(error))?;
        if Draft::default().detect(&schema) == Draft::Unknown {
            let found = schema["$schema"].to_string();
            return Err(wrong("the JSON Schema is of a draft that is not known here; 2020-12 is").with("$schema", found));
        }
        // Linear time for every pattern: it runs on bytes from outside.
        let options = jsonschema::options().should_validate_formats(true);
        let validator = options.with_pattern_options(PatternOptions::regex()).build(&schema).map_err(|error| {
            wrong("not a valid JSON Schema")
                .with("at", format_args!("/{}", error.instance_path().to_string().trim_start_matches('/')))
                .because(error.masked().to_string())
        })?;
        let names_record_id = schema["properties"].get("record_id").is_some();
        Ok(Self { validator, columns: columns(&schema)?, names_record_id, source: schema })
    }

    /// The schema as it was read.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// The columns, in the order of their names.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether a record keeps to it.
    ///
    /// # Errors
    /// `schema_mismatch` with the pointer of the first value at fault.
    pub(crate) fn check(&self, mut record: Vec<(String, Value)>) -> Result<(), Rejection> {
        // The id is the record's own: a schema that does not name it has no say in it.
        if !self.names_record_id {
            record.retain(|(name, _)| name != "record_id");
        }
        self.validator
            .validate(&Value::Object(Map::from_iter(record)))
            .map_err(|error| Rejection::new(RejectionTag::SchemaMismatch, error.to_string()).at(error.instance_path().to_string()))
    }
}

fn wrong(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(what)
}

fn columns(schema: &Value) -> Result<Vec<Column>> {
    if schema.get("type") != Some(&Value::from("object")) {
        return Err(wrong("a record is a JSON object: expected \"type\": \"object\" at the top of the JSON Schema"));
    }
    if let Some(field) = ["patternProperties", "unevaluatedProperties"].into_iter().find(|field| schema.get(field).is_some()) {
        return Err(wrong(format!(
            "{field} at the top of the JSON Schema: the table has a column for each of its properties and no others"
        )));
    }
    if schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false)) {
        return Err(wrong(
            "additionalProperties at the top of the JSON Schema must be false or left out: \
                          the table has a column for each of its properties, and a record with others is rejected",
        ));
    }
    let no_properties = || wrong("the JSON Schema has no properties: declare the topic without a schema to take any object");
    let properties = schema.get("properties").and_then(Value::as_object).filter(|found| !found.is_empty()).ok_or_else(no_properties)?;
    if properties.len() > COLUMNS_MAX {
        return Err(wrong(format!("a topic has at most {COLUMNS_MAX} properties")).with("found", properties.len()));
    }
    let required: BTreeSet<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(name) = required.iter().find(|name| !properties.contains_key(**name)) {
        return Err(wrong("a required property of the JSON Schema is not among its properties").with("property", name));
    }
    let mut lower_case = BTreeSet::new();
    let mut columns = Vec::with_capacity(properties.len());
    for (name, property) in properties.iter().filter(|(name, _)| *name != "record_id") {
        check_name(name)?;
        if !lower_case.insert(name.to_ascii_lowercase()) {
            return Err(wrong("two properties of the JSON Schema differ in upper and lower case alone, which tables do not tell apart")
                .with("property", name));
        }
        let (kind, is_nullable) = kind(property);
        columns.push(Column { name: name.clone().into(), kind, required: required.contains(name.as_str()) && !is_nullable });
    }
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(columns)
}

fn check_name(name: &str) -> Result<()> {
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let is_plain = begins_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_plain {
        return Err(wrong(format!(
            "a property's name is a column's: 1 to {NAME_BYTES_MAX} letters, digits and _, not beginning with a digit"
        ))
        .with("property", format_args!("{:?}", name.chars().take(80).collect::<String>())));
    }
    if OF_THE_TABLE.iter().any(|ours| name.eq_ignore_ascii_case(ours)) || name.eq_ignore_ascii_case("record_id") {
        return Err(wrong("the server fills this column: leave the property out").with("property", name));
    }
    Ok(())
}

/// The kind of a property's column, and whether it may be null. What has no plain type is kept as JSON text.
fn kind(property: &Value) -> (ColumnKind, bool) {
    let types: Vec<&str> = match property.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_time = property.get("format") == Some(&Value::from("date-time"));
    let is_nullable = types.contains(&"null") || types.is_empty();
    let kinds: Vec<&str> = types.into_iter().filter(|name| *name != "null").collect();
    let kind = match kinds[..] {
        ["string"] if is_time => ColumnKind::Timestamp,
        ["string"] => ColumnKind::String,
        ["integer"] => ColumnKind::Integer,
        ["number"] | ["integer", "number"] | ["number", "integer"] => ColumnKind::Number,
        ["boolean"] => ColumnKind::Boolean,
        _ => ColumnKind::Json,
    };
    (kind, is_nullable)
}
