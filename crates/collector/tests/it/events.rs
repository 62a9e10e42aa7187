//! CloudEvents through the HTTP door.

use std::sync::Arc;

use collector::{http, server};
use serde_json::{Value, json};

use crate::{
    client::{Server, app, spread},
    rigged::{Rigged, ingest},
};

async fn start(queue: &Arc<Rigged>) -> Server {
    Server::start(app(ingest(queue).0, http::Config::default()), server::Config::default()).await
}

async fn post(server: &Server, topic: &str, fields: &[(&str, &str)], body: String) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(format!("http://{}/v1/records/{topic}", server.address)).body(body);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shelf/7", "type": "page.turned", "data": {"page": 3}})
}

const FIELDS: [(&str, &str); 5] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "/shelf/7"),
    ("ce-type", "page.turned"),
    ("content-type", "application/json"),
];
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json; charset=utf-8");
const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");

/// The same event has one id, and as much as JSON can say the same payload, in every mode.
#[tokio::test]
async fn an_event_is_the_same_record_in_every_mode() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    let requests = [
        (&FIELDS[..], r#"{"page":3}"#.to_owned()),
        (&[STRUCTURED], event("1").to_string()),
        (&[BATCH], json!([event("1")]).to_string()),
        // The content type decides, whatever the fields say (HTTP binding section 3).
        (&[STRUCTURED, ("ce-id", "2"), ("ce-type", "other")], event("1").to_string()),
    ];
    for (fields, body) in requests {
        let (status, answer) = post(&server, "events", fields, body).await;
        assert_eq!((status, &answer["outcomes"][0]["outcome"]), (200, &"stored".into()), "{fields:?}: {answer}");
    }
    let stored = queue.stored();
    assert_eq!(stored.len(), 4);
    assert!(stored.iter().all(|record| record.id == stored[0].id && record.id.as_bytes()[6] >> 4 == 8));
    let mut in_fields = event("1");
    in_fields["datacontenttype"] = "application/json".into();
    let payloads: Vec<Value> = stored.iter().map(|record| serde_json::from_slice(&record.payload).expect("JSON")).collect();
    assert_eq!(payloads, [in_fields, event("1"), event("1"), event("1")]);
}

#[tokio::test]
async fn each_event_of_a_batch_has_its_own_outcome() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    let changed = |name: &str, value: Value| {
        let mut event = event("9");
        event[name] = value;
        event
    };
    let batch = json!([event("1"), changed("source", "no reference".into()), 7, event("2"), changed("time", "noon".into()), event("3")]);
    let (status, answer) = post(&server, "events", &[BATCH], batch.to_string()).await;
    let outcomes = spread(answer["outcomes"].as_array().expect("outcomes"));
    let said: Vec<(&str, Option<&str>)> = outcomes.iter().map(|(word, detail)| (word.as_str(), detail.as_deref())).collect();
    let expected = [
        ("stored", Some("memory/0:0")),
        ("schema_mismatch", Some("/source")),
        ("not_an_object", None),
        ("stored", Some("memory/0:1")),
        ("schema_mismatch", Some("/time")),
        ("stored", Some("memory/0:2")),
    ];
    assert_eq!((status, said), (200, expected.to_vec()));
    // As with records, a request without one is none.
    assert_eq!(post(&server, "events", &[BATCH], "[]".to_owned()).await.0, 400);
    for (fields, body) in [(BATCH, event("1")), (STRUCTURED, json!([event("1")]))] {
        let (status, answer) = post(&server, "events", &[fields], body.to_string()).await;
        assert_eq!((status, &answer["outcomes"][0]["outcome"]), (200, &"rejected".into()), "{answer}");
    }
    assert_eq!(queue.stored().len(), 3);
}

#[tokio::test]
async fn a_bad_event_in_fields_is_rejected_with_its_attribute() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    let (status, answer) = post(&server, "events", &FIELDS[1..], "{}".to_owned()).await;
    assert_eq!((status, &answer["outcomes"][0]["pointer"]), (200, &"/specversion".into()), "{answer}");
    let (status, answer) = post(&server, "events", &FIELDS, "{".to_owned()).await;
    let run = &answer["outcomes"][0];
    assert_eq!((status, &run["tag"], &run["pointer"]), (200, &"not_json".into(), &"/data".into()), "{answer}");
    assert_eq!((queue.stored().len(), queue.letters().len()), (0, 2));
}

#[tokio::test]
async fn a_topic_of_columns_takes_no_events() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    for (fields, body) in [(&FIELDS[..], json!({})), (&[STRUCTURED], event("1")), (&[BATCH], json!([event("1")]))] {
        let (status, problem) = post(&server, "answers", fields, body.to_string()).await;
        assert_eq!((status, problem["code"].as_str()), (415, Some("unsupported_media_type")), "{problem}");
    }
    assert_eq!(queue.appends_begun(), 0);
}
