//! What the doors' addresses take and answer, in OpenAPI. `cli` asks, with the topics of its settings, and puts the document together.
//!
//! A topic has an operation of its own for its records, with the schema that they keep to, in place of one for all topics.

mod topic;

use record::{Api, Credential, Operation, RecordId};
use serde_json::{Value, json};

use crate::{
    admin::{NewToken, Retry, TokenList},
    limits::Caps,
    problem::Details,
    receipts::Told,
    tokens::{Made, Token},
    unpack::Coding,
    wire::{Response, StreamOutcomes, StreamRefusal},
};

pub use topic::{Described, Entry};

/// The group of the addresses that take records and tell of them.
pub const RECORDS: &str = "Records";
/// The group of the addresses that say how the server is.
pub const STATUS: &str = "Status";
/// The group of the addresses that are the owner's.
pub const OWNER: &str = "Owner";

const BUSY: (u16, &str) = (503, "`unavailable`: nothing can be stored now; `closed`: the server has to be restarted");
const FAILED: (u16, &str) = (500, "`internal`, `corrupt`: the request failed; the server's log says why");
const NOT_OWNER: [(u16, &str); 2] =
    [(401, "`not_the_owner`: no bearer token was shown"), (403, "`not_the_owner`: the token is not the owner's")];

/// Describes the doors' addresses, for these topics.
pub fn of(topics: &[Described], caps: &Caps) -> Api {
    let mut api = Api::default();
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let name = api.named_schema("TopicName", json!({ "type": "string", "enum": names, "description": "A topic of this server." }));
    for topic in topics {
        records(&mut api, topic, caps);
    }
    beacon(&mut api, topics);
    stream(&mut api, &name);
    receipt(&mut api, &name);
    status(&mut api);
    tokens(&mut api);
    retry(&mut api);
    api
}

fn records(api: &mut Api, topic: &Described, caps: &Caps) {
    let (name, record) = (&topic.name, topic.record(api));
    let outcomes = api.schema::<Response<'_>>();
    let refused = api.schema::<Details<'_>>();
    let details = format!(
        "Each record has an outcome of its own, also where others are rejected. At most {} records and {} bytes, packed and unpacked; {} bytes a \
         record. {}",
        caps.records_per_request_max, caps.body_bytes_max, topic.record_bytes_max, topic.details
    );
    let one_or_more =
        json!({ "oneOf": [record, { "type": "array", "minItems": 1, "maxItems": caps.records_per_request_max, "items": record }] });
    let example = topic.example();
    let lines = example.as_ref().map(|example| Value::from(format!("{example}\n")));
    let a_line = json!({ "type": "string", "minLength": 1, "description": "A JSON object a line." });
    let unsaid = json!({ "type": "string", "minLength": 1, "description": "A JSON object, an array of objects, or an object a line." });
    let mut operation =
        Operation::post(format!("/v1/records/{name}"), &format!("send_{name}"), RECORDS, &format!("Store records of {name}"))
            .details(details)
            .in_field("Content-Encoding", "How the body is packed", json!({ "type": "string", "enum": ["identity", "gzip", "zstd"] }))
            .body("application/json", one_or_more, example)
            .body("application/x-ndjson", a_line, lines.clone())
            .body("text/plain", unsaid, lines);
    if topic.takes_any_object() {
        let event = topic::event(api);
        let example = Some(topic::event_example());
        operation = operation.body("application/cloudevents+json", event.clone(), example.clone()).body(
            "application/cloudevents-batch+json",
            json!({ "type": "array", "minItems": 1, "items": event }),
            example.map(|example| json!([example])),
        );
    }
    operation = match topic.entry {
        Entry::Anybody => operation,
        Entry::Token => operation.needs(Credential::WriteToken),
        Entry::Worker => operation.takes(Credential::WorkerSecret),
    };
    let operation = operation
        .answers_json(200, "Every record has an outcome: runs that cover every index", outcomes)
        .refuses(&[
            (400, "`no_record`, `body_not_unpacked`, `body_broken`"),
            (401, "`not_bearer`, `token_needed`, `unknown_token`"),
            (403, "`token_for_other_topic`"),
            (408, "`body_too_slow`"),
            (413, "`body_too_large`, `too_many_records`"),
            (415, "`unsupported_media_type`: another content type or encoding than these"),
            (429, "`too_many_requests`: more records a second than one sender may bring"),
            FAILED,
        ])
        .with_field(415, "Accept", "The content types that are taken", json!({ "type": "string" }))
        .with_field(415, "Accept-Encoding", &format!("The encodings that are taken: {}", Coding::TAKEN), json!({ "type": "string" }))
        .answers(503, "`unavailable`: all records are to be sent again; `closed`", record::ProblemDetails::MEDIA_TYPE, refused)
        .with_field(503, "Retry-After", "Seconds to wait, where it is worth the while", json!({ "type": "integer", "minimum": 1 }));
    api.add(operation);
}

fn beacon(api: &mut Api, topics: &[Described]) {
    let open: Vec<&str> = topics.iter().filter(|topic| topic.entry == Entry::Anybody).map(|topic| topic.name.as_str()).collect();
    if open.is_empty() {
        return;
    }
    let body = json!({ "type": "string", "minLength": 1, "maxLength": 65_536, "description": "An object, an array, or an object a line." });
    api.add(
        Operation::post("/v1/beacon/{topic}", "send_beacon", RECORDS, "Store records of a page that is being left")
            .details(
                "For `navigator.sendBeacon`. The answer carries no outcomes: each record is stored, or was rejected and is in the dead letters.",
            )
            .in_path("topic", "A topic that anybody may write to", json!({ "type": "string", "enum": open }))
            .body("text/plain", body, Some("{\"left\":\"/page/7\"}\n".into()))
            .answers_nothing(204, "Each record is stored, or its rejection is")
            .refuses(&[
                (400, "`no_record`, `body_not_unpacked`, `body_broken`"),
                (401, "`not_bearer`"),
                (404, "`unknown_topic`"),
                (408, "`body_too_slow`"),
                (413, "`body_too_large`, `too_many_records`"),
                (415, "`unsupported_media_type`: a beacon is text"),
                (429, "`too_many_requests`"),
                FAILED,
                (503, "`unavailable`: no record was stored; `closed`"),
            ]),
    );
}

fn stream(api: &mut Api, name: &Value) {
    let messages = json!({
        "sent": { "type": "string", "description": "A JSON object, an array of objects, or an object a line; text or binary." },
        "received": { "oneOf": [api.schema::<StreamOutcomes<'_>>(), api.schema::<StreamRefusal<'_>>()] },
    });
    api.add(
        Operation::get("/v1/stream/{topic}", "stream", RECORDS, "Store records over a WebSocket")
            .details(
                "An upgrade as in RFC 6455. Messages are counted from 0; each gets one answer, in their order, with its number in `seq`. A credential is \
                 `Authorization: Bearer`, or `bearer.SECRET` in the list of subprotocols.",
            )
            .in_path("topic", "The topic", name.clone())
            .in_field("Sec-WebSocket-Protocol", "`crowdread.v1`, and perhaps `bearer.SECRET`", json!({ "type": "string" }))
            .with("security", json!([{ "write_token": [] }, { "worker_secret": [] }, {}]))
            .with("x-messages", messages)
            .answers_nothing(101, "The connection is a WebSocket from here on")
            .refuses(&[
                (400, "`bad_subprotocols`"),
                (401, "`not_bearer`, `token_needed`, `unknown_token`"),
                (403, "`token_for_other_topic`, `foreign_origin`"),
                (404, "`unknown_topic`"),
                (426, "`not_websocket`: the request is no upgrade to a WebSocket"),
                FAILED,
                (503, "`closed`"),
            ])
            .with_field(426, "Upgrade", "What is asked for", json!({ "type": "string", "const": "websocket" })),
    );
}

fn receipt(api: &mut Api, name: &Value) {
    let (told, id) = (api.schema::<Told<'_>>(), api.schema::<RecordId>());
    api.add(
        Operation::get("/v1/records/{topic}/{id}", "get_receipt", RECORDS, "What became of a record")
            .details("A topic that takes records with a write token alone wants one here, too.")
            .in_path("topic", "The topic", name.clone())
            .in_path("id", "The record's id", id)
            .takes(Credential::WriteToken)
            .answers_json(200, "It is stored, landed in its table, or a dead letter", told)
            .refuses(&[
                (400, "`invalid`: not the id of a record"),
                (401, "`not_bearer`, `token_needed`, `unknown_token`"),
                (403, "`token_for_other_topic`"),
                (404, "`unknown_record`: never stored here, or rejected and not kept; `unknown_topic`"),
                (410, "`expired`: it landed longer ago than receipts are kept"),
                FAILED,
                (503, "`unavailable`: it cannot be said now"),
            ]),
    );
}

fn status(api: &mut Api) {
    let text = json!({ "type": "string" });
    api.add(Operation::get("/healthz", "healthz", STATUS, "Whether the process answers").answers(200, "`ok`", "text/plain", text.clone()));
    api.add(
        Operation::get("/readyz", "readyz", STATUS, "Whether records can be stored now")
            .answers(200, "`ready`", "text/plain", text.clone())
            .refuses(&[BUSY]),
    );
    api.add(Operation::get("/metrics", "metrics", STATUS, "Metrics for Prometheus").answers(
        200,
        "Prometheus' text format, version 0.0.4",
        "text/plain",
        text,
    ));
}

fn tokens(api: &mut Api) {
    let (list, new) = (api.schema::<TokenList>(), api.schema::<NewToken>());
    let (made, token) = (api.schema::<Made>(), api.schema::<Token>());
    let owner = |operation: Operation| operation.needs(Credential::Owner).refuses(&NOT_OWNER).refuses(&[FAILED]);
    api.add(owner(Operation::get("/v1/tokens", "list_tokens", OWNER, "The write tokens")).answers_json(200, "The oldest first", list));
    let example = json!({ "name": "attic", "topics": ["events"] });
    api.add(
        owner(Operation::post("/v1/tokens", "create_token", OWNER, "Make a write token"))
            .body("application/json", new, Some(example))
            .answers_json(201, "The token: its secret is shown here and nowhere else", made)
            .refuses(&[
                (400, "`bad_body`, `invalid`: a topic that is not there, a time that is past"),
                (413, "`bad_body`"),
                (415, "`bad_body`: it is JSON"),
                (422, "`bad_body`: JSON of another form"),
                (503, "`unavailable`: it cannot be kept now"),
            ]),
    );
    api.add(
        owner(Operation::delete("/v1/tokens/{id}", "revoke_token", OWNER, "Revoke a write token"))
            .in_path("id", "The token's id, from the list", json!({ "type": "string" }))
            .answers_json(200, "The token, which lets nobody in any more", token)
            .refuses(&[(404, "`unknown_token`"), (503, "`unavailable`: that cannot be kept now")]),
    );
}

fn retry(api: &mut Api) {
    let (asked, outcomes) = (api.schema::<Retry>(), api.schema::<Response<'_>>());
    api.add(
        Operation::post("/v1/dead-letters/retry", "retry_dead_letters", OWNER, "Send rejected records again")
            .details("Each under the id that it had. Those that are stored are noted in the dead letters.")
            .needs(Credential::Owner)
            .body("application/json", asked, None)
            .answers_json(200, "What became of each", outcomes)
            .refuses(&NOT_OWNER)
            .refuses(&[
                (400, "`bad_body`"),
                (413, "`bad_body`"),
                (415, "`bad_body`: it is JSON"),
                (422, "`bad_body`: JSON of another form"),
                FAILED,
                BUSY,
            ]),
    );
}

#[cfg(test)]
mod tests;
