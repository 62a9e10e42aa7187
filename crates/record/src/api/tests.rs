//! What a description becomes.

use serde_json::json;

use super::{Api, Credential, Operation};
use crate::Durability;

#[test]
fn an_operation_names_its_schemas_and_its_refusals() {
    let mut api = Api::default();
    let durability = api.schema::<Durability>();
    api.add(
        Operation::get("/v1/how", "how", "Records", "How it is stored")
            .needs(Credential::Owner)
            .answers_json(200, "So", durability)
            .refuses(&[(401, "not_the_owner"), (404, "not_found")]),
    );
    let document = api.document(json!({ "info": { "title": "t", "version": "1" } }));
    let operation = &document["paths"]["/v1/how"]["get"];
    assert_eq!(operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Durability");
    assert_eq!(document["components"]["schemas"]["Durability"]["enum"], json!(["fsync", "replicated", "memory"]));
    let unauthorized = &operation["responses"]["401"];
    assert_eq!(unauthorized["content"]["application/problem+json"]["schema"]["$ref"], "#/components/schemas/Problem");
    assert!(unauthorized["headers"]["WWW-Authenticate"].is_object() && operation["responses"]["404"]["headers"].is_null());
    assert_eq!(document["components"]["schemas"]["Problem"]["required"], json!(["type", "title", "status", "code", "detail"]));
    assert_eq!(operation["security"], json!([{ "owner": [] }]));
}

#[test]
#[should_panic(expected = "two things are called Durability")]
fn one_name_is_one_thing() {
    let mut api = Api::default();
    api.schema::<Durability>();
    api.named_schema("Durability", json!({ "type": "object" }));
}
