//! What stands in the document of a topic's own schema, and how the text and the types agree.

use serde_json::{Value, json};

use super::{Described, Entry, of};
use crate::limits::Caps;

fn document(json_schema: Option<Value>, entry: Entry) -> Value {
    let topic = Described { name: "sensors".to_owned(), details: String::new(), entry, json_schema, record_bytes_max: 1_000 };
    of(&[topic], &Caps::default()).document(json!({}))
}

/// Seen to fail without `point`: a reader looks for `$defs` at the document's root.
#[test]
fn references_within_a_schema_lead_to_its_place_in_the_document() {
    let schema = json!({
        "$id": "https://pages.example/sensors.json",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "at": { "$ref": "#/$defs/place" },
            "next": { "$ref": "https://pages.example/sensors.json#/$defs/place" },
            "whole": { "$ref": "#" },
            "word": { "const": { "$ref": "#/kept" } },
            "elsewhere": { "$ref": "https://pages.example/other.json#/a" },
        },
        "$defs": { "place": { "type": "string" } },
    });
    let document = document(Some(schema), Entry::Token);
    let record = &document["components"]["schemas"]["record.sensors"];
    let properties = &record["properties"];
    assert_eq!(properties["at"]["$ref"], "#/components/schemas/record.sensors/$defs/place");
    assert_eq!(properties["next"]["$ref"], "#/components/schemas/record.sensors/$defs/place");
    assert_eq!(properties["whole"]["$ref"], "#/components/schemas/record.sensors");
    assert_eq!(properties["word"]["const"]["$ref"], "#/kept");
    assert_eq!(properties["elsewhere"]["$ref"], "https://pages.example/other.json#/a");
    assert!(record["$id"].is_null() && record["$schema"].is_null() && record["additionalProperties"] == false);
    assert_eq!(properties["record_id"]["$ref"], "#/components/schemas/RecordId");
}

#[test]
fn who_may_write_stands_at_the_topic() {
    let of = |entry| document(None, entry)["paths"]["/v1/records/sensors"]["post"]["security"].clone();
    assert_eq!(of(Entry::Anybody), Value::Null);
    assert_eq!(of(Entry::Token), json!([{ "write_token": [] }]));
    assert_eq!(of(Entry::Worker), json!([{ "worker_secret": [] }, {}]));
    let (open, closed) = (document(None, Entry::Anybody), document(None, Entry::Token));
    assert_eq!(open["paths"]["/v1/beacon/{topic}"]["post"]["parameters"][0]["schema"]["enum"], json!(["sensors"]));
    assert!(closed["paths"]["/v1/beacon/{topic}"].is_null(), "a beacon has no token");
}

#[test]
fn events_go_to_topics_of_any_object() {
    let types = |schema| {
        let document = document(schema, Entry::Anybody);
        let content = document["paths"]["/v1/records/sensors"]["post"]["requestBody"]["content"].clone();
        content.as_object().expect("by type").keys().cloned().collect::<Vec<_>>()
    };
    let plain = ["application/json", "application/x-ndjson", "text/plain"];
    assert_eq!(types(Some(json!({ "type": "object", "properties": { "a": {} } }))), plain);
    let all = types(None);
    // Every type that the door takes, and no other.
    let mut taken: Vec<&str> = crate::wire::Form::TAKEN.split(", ").collect();
    taken.sort_unstable();
    assert_eq!(all, taken);
}
