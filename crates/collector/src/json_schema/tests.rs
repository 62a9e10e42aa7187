//! Which schemas give a table, and which columns.

use record::{Column, ColumnKind, ErrorKind};
use serde_json::{Value, json};

use super::JsonSchema;

fn columns(properties: Value, required: Value) -> Vec<Column> {
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    JsonSchema::parse(&schema.to_string()).expect("a schema").columns().to_vec()
}

#[test]
fn properties_are_columns() {
    let cases = [
        (json!({ "type": "string" }), ColumnKind::String, true),
        (json!({ "type": "string", "enum": ["a", "b"] }), ColumnKind::String, true),
        (json!({ "type": "string", "format": "date-time" }), ColumnKind::Timestamp, true),
        (json!({ "type": "integer" }), ColumnKind::Integer, true),
        (json!({ "type": "number" }), ColumnKind::Number, true),
        (json!({ "type": "boolean" }), ColumnKind::Boolean, true),
        (json!({ "type": "array" }), ColumnKind::Json, true),
        (json!({ "type": "object" }), ColumnKind::Json, true),
        (json!({ "type": ["string", "integer"] }), ColumnKind::Json, true),
        (json!({ "type": ["null", "number"] }), ColumnKind::Number, false),
        (json!({ "enum": [1, "a", null] }), ColumnKind::Json, false),
        (json!(true), ColumnKind::Json, false),
    ];
    for (property, kind, required) in cases {
        let name = "a".into();
        assert_eq!(columns(json!({ "a": property }), json!(["a"])), [Column { name, kind, required }], "{property}");
    }
    let optional = columns(json!({ "b": { "type": "integer" }, "a": { "type": "string" }, "record_id": {} }), json!([]));
    let names: Vec<(&str, bool)> = optional.iter().map(|column| (&*column.name, column.required)).collect();
    assert_eq!(names, [("a", false), ("b", false)], "by name; the id is the record's own");
}

#[test]
fn a_schema_that_no_table_can_keep_is_refused_with_what_to_mend() {
    let with = |name: &str, value: Value| {
        let mut schema = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
        schema[name] = value;
        schema.to_string()
    };
    let cases = [
        ("{".to_owned(), "not JSON"),
        ("[]".to_owned(), "not a valid JSON Schema"),
        (with("type", json!("array")), "\"type\": \"object\""),
        (with("properties", json!({})), "without a schema"),
        (with("properties", json!({ "a b": {} })), "letters, digits"),
        (with("properties", json!({ "7a": {} })), "letters, digits"),
        (with("properties", json!({ "a": {}, "A": {} })), "upper and lower case"),
        (with("properties", json!({ "door": {} })), "the server fills"),
        (with("properties", json!({ "Received_At": {} })), "the server fills"),
        (with("properties", json!({ "a": { "type": "text" } })), "not a valid JSON Schema"),
        (with("properties", json!({ "a": { "pattern": "(?=x)" } })), "not a valid JSON Schema"),
        (with("properties", json!({ "a": { "$ref": "https://schemas.example/a.json" } })), "not a valid JSON Schema"),
        (with("additionalProperties", json!(true)), "additionalProperties"),
        (with("patternProperties", json!({ "^x": {} })), "patternProperties"),
        (with("required", json!(["b"])), "not among its properties"),
    ];
    for (text, expected) in cases {
        let error = JsonSchema::parse(&text).expect_err(&text);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_long_value_is_not_quoted_whole() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string", "maxLength": 3 } } });
    let schema = JsonSchema::parse(&schema.to_string()).expect("a schema");
    let rejection = schema.check(record(json!({ "a": "x".repeat(10_000) }))).expect_err("too long");
    assert!(rejection.message.chars().count() <= 301 && rejection.pointer.as_deref() == Some("/a"));
}

fn record(value: Value) -> Vec<(String, Value)> {
    value.as_object().expect("an object").clone().into_iter().collect()
}

/// Seen to fail when the id is left in the record: no sender of such a topic could send one (promise C3).
#[test]
fn a_schema_that_does_not_name_the_id_has_no_say_in_it() {
    let schema =
        json!({ "type": "object", "additionalProperties": false, "maxProperties": 1, "properties": { "a": { "type": "integer" } } });
    let schema = JsonSchema::parse(&schema.to_string()).expect("a schema");
    let with_id = json!({ "record_id": "0192f0c4-8c5e-7000-8000-000000000001", "a": 1 });
    schema.check(record(with_id.clone())).expect("the id is the record's own");
    let named = json!({ "type": "object", "properties": { "a": {}, "record_id": { "pattern": "^ff" } } });
    let named = JsonSchema::parse(&named.to_string()).expect("a schema");
    assert_eq!(named.check(record(with_id)).expect_err("named").pointer.as_deref(), Some("/record_id"));
}

/// Seen to fail when the draft is set and not taken from `$schema`.
#[test]
fn a_schema_is_read_as_the_draft_that_it_names() {
    let schema = |draft: &str, a: Value| {
        let schema = json!({ "$schema": draft, "type": "object", "properties": { "a": a } });
        JsonSchema::parse(&schema.to_string())
    };
    let old = json!({ "type": "integer", "minimum": 1, "exclusiveMinimum": true });
    let old = schema("http://json-schema.org/draft-04/schema#", old).expect("draft 4");
    assert!(old.check(record(json!({ "a": 1 }))).is_err() && old.check(record(json!({ "a": 2 }))).is_ok());
    let depends = json!({ "type": "object", "dependencies": { "x": ["y"] } });
    let depends = schema("http://json-schema.org/draft-07/schema#", depends).expect("draft 7");
    assert!(depends.check(record(json!({ "a": { "x": 1 } }))).is_err());
    let unknown = schema("https://schemas.example/our-own", json!({})).expect_err("unknown");
    assert!(unknown.to_string().contains("our-own"), "{unknown}");
}
