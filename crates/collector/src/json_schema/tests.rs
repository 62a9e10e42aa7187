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
        ("[]".to_owned(), ""),
        (with("type", json!("array")), "\"type\": \"object\""),
        (with("properties", json!({})), "without a schema"),
        (with("properties", json!({ "a b": {} })), "letters, digits"),
        (with("properties", json!({ "7a": {} })), "letters, digits"),
        (with("properties", json!({ "a": {}, "A": {} })), "upper and lower case"),
        (with("properties", json!({ "door": {} })), "the server fills"),
        (with("properties", json!({ "Received_At": {} })), "the server fills"),
        (with("properties", json!({ "a": { "type": "text" } })), "JSON Schema"),
        (with("properties", json!({ "a": { "pattern": "(?=x)" } })), "JSON Schema"),
        (with("properties", json!({ "a": { "$ref": "https://schemas.example/a.json" } })), "JSON Schema"),
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
    let rejection = schema.check(&json!({ "a": "x".repeat(10_000) })).expect_err("too long");
    assert!(rejection.message.chars().count() <= 300 && rejection.pointer.as_deref() == Some("/a"));
}
