//! A topic's records as the document shows them: the JSON Schema of the settings, with its references told from the document's own place.

use record::{Api, RecordId};
use serde_json::{Map, Value, json};

/// Who may write to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Anybody.
    Anybody,
    /// Who has a write token of it.
    Token,
    /// Workers; others' records are rejected one by one.
    Worker,
}

/// A topic to be described.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// What is to be known of it beyond what all topics have; may be empty.
    pub details: String,
    /// Who may write to it.
    pub entry: Entry,
    /// The JSON Schema that its records keep to; any object where there is none.
    pub json_schema: Option<Value>,
    /// The largest record, in bytes.
    pub record_bytes_max: usize,
}

impl Described {
    /// Whether it takes CloudEvents.
    pub(super) fn takes_any_object(&self) -> bool {
        self.json_schema.is_none()
    }

    /// The first example that the schema gives.
    pub(super) fn example(&self) -> Option<Value> {
        match &self.json_schema {
            Some(schema) => schema["examples"].as_array()?.first().cloned(),
            None => Some(json!({ "lamp": 7 })),
        }
    }

    /// The schema of a record, under a name of its own.
    pub(super) fn record(&self, api: &mut Api) -> Value {
        let (name, id) = (format!("record.{}", self.name), api.schema::<RecordId>());
        let schema = match &self.json_schema {
            None => json!({ "type": "object", "description": format!("A record of {}: any JSON object.", self.name) }),
            Some(schema) => moved(schema, &format!("#/components/schemas/{name}")),
        };
        api.named_schema(&name, with_id(schema, self.json_schema.is_some(), &id))
    }
}

/// With the record's id, which every topic takes, and without further fields, which a table of columns does not have.
fn with_id(mut schema: Value, is_closed: bool, id: &Value) -> Value {
    let Some(members) = schema.as_object_mut() else { return schema };
    if is_closed {
        members.insert("additionalProperties".to_owned(), false.into());
    }
    let properties = members.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.entry("record_id").or_insert_with(|| id.clone());
    }
    schema
}

/// A schema that stands within a document: references that begin at its own root begin at `place` there. Its own address goes, as
/// the document's would be told from it otherwise (JSON Schema 2020-12 core, section 8.2.1).
fn moved(schema: &Value, place: &str) -> Value {
    let address = schema.get("$id").and_then(Value::as_str).unwrap_or_default().trim_end_matches('#').to_owned();
    let mut moved = schema.clone();
    if let Some(members) = moved.as_object_mut() {
        members.remove("$id");
        // What this document has anyway.
        members.retain(|name, value| name != "$schema" || *value != "https://json-schema.org/draft/2020-12/schema");
    }
    point(&mut moved, &address, place);
    moved
}

fn point(schema: &mut Value, address: &str, place: &str) {
    match schema {
        Value::Object(members) => point_members(members, address, place),
        Value::Array(values) => values.iter_mut().for_each(|value| point(value, address, place)),
        _ => {}
    }
}

fn point_members(members: &mut Map<String, Value>, address: &str, place: &str) {
    for (name, value) in members {
        match value {
            // A property may be called `$ref`, too; its value is then a schema and no text.
            Value::String(reference) if name == "$ref" || name == "$dynamicRef" => {
                let within = reference.strip_prefix(address).unwrap_or(reference);
                let pointer = within.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
                if let Some(pointer) = pointer {
                    *reference = format!("{place}{pointer}");
                } else if within.is_empty() {
                    *reference = place.to_owned();
                }
            }
            // What stands there is no schema.
            _ if matches!(name.as_str(), "const" | "enum" | "default" | "examples") => {}
            value => point(value, address, place),
        }
    }
}

/// A CloudEvent as `cloudevents` takes it (CloudEvents 1.0.2, section 3.1, and JSON format).
pub(super) fn event(api: &mut Api) -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let time = json!({ "type": "string", "format": "date-time" });
    let schema = json!({
        "type": "object",
        "description": "A CloudEvent 1.0 in the JSON event format. Further members are extensions: text, true, false or integers of 32 bits.",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": text,
            "source": { "type": "string", "minLength": 1, "format": "uri-reference" },
            "type": text,
            "subject": text,
            "time": time,
            "datacontenttype": { "type": "string", "examples": ["application/json"] },
            "dataschema": { "type": "string", "format": "uri" },
            "data": {},
            "data_base64": { "type": "string", "contentEncoding": "base64" },
        },
        "propertyNames": { "pattern": "^([a-z0-9]+|data_base64)$" },
        "additionalProperties": { "type": ["string", "boolean", "integer", "null"] },
        "not": { "required": ["data", "data_base64"] },
    });
    api.named_schema("CloudEvent", schema)
}

/// One.
pub(super) fn event_example() -> Value {
    json!({ "specversion": "1.0", "id": "17", "source": "/shelf/7", "type": "page.turned", "data": { "page": 3 } })
}
