//! What every door must do. A further door implements `client::Door` and adds one line at the end.

use std::{sync::Arc, time::Duration};

use queue::Headroom;
use record::ErrorKind;

use crate::{
    client::{Answer, DEADLINE, Door, Http, WebSocket},
    http2::Http2,
    mqtt_client::Mqtt,
    nng_client::Nng,
    rigged::{Rigged, answer, ingest, ingest_with_tokens, token},
};

fn lines(records: &[&str]) -> Vec<Vec<u8>> {
    records.iter().map(|record| record.as_bytes().to_vec()).collect()
}

/// C1. To see it fail: in `ingest::part`, drop the verdict of a rejection.
async fn each_index_gets_exactly_one_outcome<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024));
    let mut records = lines(&["{\"a\":1}", "{\"a\":", "7", "{\"record_id\":\"x\"}", &large, "{\"a\":2}", "{\"a\":3}"]);
    records.push(b"{\"a\":\"\xe2\x82\"}".to_vec());
    let Answer::Outcomes(outcomes) = door.send("events", &records, None).await else { panic!("outcomes were expected") };
    let words: Vec<&str> = outcomes.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(words, ["stored", "not_json", "not_an_object", "bad_record_id", "too_large", "stored", "stored", "not_utf8"]);
    let receipts: Vec<&str> = [0, 5, 6].iter().filter_map(|index| outcomes[*index].1.as_deref()).collect();
    assert_eq!(receipts, ["memory/0:0", "memory/0:1", "memory/0:2"]);
    let stored = queue.stored();
    let payloads: Vec<&[u8]> = stored.iter().map(|record| &record.payload[..]).collect();
    assert_eq!(payloads, [b"{\"a\":1}", b"{\"a\":2}", b"{\"a\":3}"]);
    assert!(stored.iter().all(|record| record.door == D::NAME && record.received_at.as_micros() > 0));
    assert_ne!(stored[0].id, stored[1].id, "an id is given to each record that has none");
    assert_eq!(queue.appends_begun(), 1, "one append for the whole request");
}

/// To see it fail: in `Ingest::submit`, append the records without the letters.
async fn what_is_rejected_is_kept<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    let records = lines(&["{\"a\":1}", "{\"a\":", "{\"record_id\":\"x\"}"]);
    assert_eq!(door.send("events", &records, None).await.words(), ["stored", "not_json", "bad_record_id"]);
    let kept = [("not_json", "{\"a\":"), ("bad_record_id", "{\"record_id\":\"x\"}")];
    assert_eq!(queue.letters(), kept.map(|(tag, payload)| ("events".to_owned(), tag.to_owned(), payload.to_owned())));
    assert_eq!(queue.appends_begun(), 1, "with the good records, in one append");
}

/// To see it fail: in `Tokens::check`, do not look at the topics; in `Ingest::authorize`, pass those without a credential.
async fn only_a_token_of_the_topic_lets_write<D: Door>() {
    let (queue, folder) = (Rigged::new(), tempfile::tempdir().expect("a folder"));
    let (ingest, tokens) = ingest_with_tokens(&queue, folder.path());
    let door = D::open(ingest).await;
    let record = lines(&["{\"device\":\"attic-7\",\"celsius\":21.5}"]);
    let (ours, other) = (token(&tokens, "sensors"), token(&tokens, "doors"));
    assert_eq!(door.send("sensors", &record, None).await.refusal(), "token_needed");
    assert_eq!(door.send("sensors", &record, Some("guessed")).await.refusal(), "unknown_token");
    assert_eq!(door.send("sensors", &record, Some(&other.secret)).await.refusal(), "token_for_other_topic");
    assert_eq!(door.send("sensors", &record, Some(&ours.secret)).await.words(), ["stored"]);
    tokens.revoke(&ours.token.id).expect("known");
    assert_eq!(door.send("sensors", &record, Some(&ours.secret)).await.refusal(), "unknown_token");
    assert_eq!((queue.appends_begun(), queue.stored().len(), queue.letters().len()), (1, 1, 0));
}

/// To see it fail: in `columns::check`, leave the JSON Schema out.
async fn a_record_keeps_to_the_json_schema_of_its_topic<D: Door>() {
    let (queue, folder) = (Rigged::new(), tempfile::tempdir().expect("a folder"));
    let (ingest, tokens) = ingest_with_tokens(&queue, folder.path());
    let door = D::open(ingest).await;
    let cases = [
        (r#"{"device":"attic-7","celsius":21.5}"#, None),
        (r#"{"device":"attic-7","celsius":21,"at":"2026-11-24T11:15:24Z","tags":["a","b"]}"#, None),
        (r#"{"record_id":"0192f0c4-8c5e-7000-8000-000000000001","device":"attic-7","celsius":-3}"#, None),
        (r#"{"device":"Attic","celsius":21.5}"#, Some("/device")),
        (r#"{"device":"attic-7","celsius":61}"#, Some("/celsius")),
        (r#"{"device":"attic-7","celsius":"warm"}"#, Some("/celsius")),
        (r#"{"device":"attic-7"}"#, Some("/celsius")),
        (r#"{"device":"attic-7","celsius":1,"at":"today"}"#, Some("/at")),
        (r#"{"device":"attic-7","celsius":1,"tags":["a",2]}"#, Some("/tags/1")),
        (r#"{"device":"attic-7","celsius":1,"tags":["a","b","c"]}"#, Some("/tags")),
        (r#"{"device":"attic-7","celsius":1,"fahrenheit":70}"#, Some("/fahrenheit")),
    ];
    let records = lines(&cases.map(|(record, _)| record));
    let secret = token(&tokens, "sensors").secret;
    let Answer::Outcomes(outcomes) = door.send("sensors", &records, Some(&secret)).await else { panic!("outcomes were expected") };
    for ((record, pointer), (word, detail)) in cases.iter().zip(&outcomes) {
        match pointer {
            None => assert_eq!(word, "stored", "{record}"),
            Some(pointer) => assert_eq!((word.as_str(), detail.as_deref()), ("schema_mismatch", Some(*pointer)), "{record}"),
        }
    }
    assert_eq!((queue.stored().len(), queue.letters().len()), (3, 8));
}

async fn a_record_that_breaks_the_schema_is_rejected_with_its_field<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    let changed = |name: &str, value: Option<serde_json::Value>| {
        let mut answer = answer();
        let fields = answer.as_object_mut().expect("an object");
        match value {
            Some(value) => fields.insert(name.to_owned(), value),
            None => fields.remove(name),
        };
        answer.to_string().into_bytes()
    };
    let cases = [
        (changed("late", Some(true.into())), "stored", None),
        (changed("label", None), "schema_mismatch", Some("/label")),
        (changed("label", Some(7.into())), "schema_mismatch", Some("/label")),
        (changed("label", Some(serde_json::Value::Null)), "schema_mismatch", Some("/label")),
        (changed("answered_at", Some("yesterday".into())), "schema_mismatch", Some("/answered_at")),
        (changed("answered_at", Some(1_764_000_000_000_000_i64.into())), "stored", None),
        (changed("answered_at", Some(i64::MAX.into())), "schema_mismatch", Some("/answered_at")),
        (changed("shown_at", Some((-1).into())), "schema_mismatch", Some("/shown_at")),
        (changed("a/b~", Some(1.into())), "schema_mismatch", Some("/a~1b~0")),
        (changed("door", Some("http".into())), "forged_field", Some("/door")),
    ];
    let twice = answer().to_string().replacen('{', "{\"label\":\"wrong\",", 1).into_bytes();
    let cases: Vec<_> = cases.into_iter().chain([(twice, "schema_mismatch", Some("/label"))]).collect();
    let records: Vec<Vec<u8>> = cases.iter().map(|(record, _, _)| record.clone()).collect();
    let Answer::Outcomes(outcomes) = door.send("answers", &records, None).await else { panic!("outcomes were expected") };
    for ((record, word, pointer), (found, detail)) in cases.iter().zip(&outcomes) {
        assert_eq!(found, word, "{}", String::from_utf8_lossy(record));
        if *word != "stored" {
            assert_eq!(detail.as_deref(), *pointer);
        }
    }
    assert_eq!(queue.stored().len(), 2);
}

async fn an_unknown_topic_is_refused<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    assert_eq!(door.send("nowhere", &lines(&["{}"]), None).await.refusal(), "unknown_topic");
    assert_eq!(door.send("events", &lines(&["{}"]), None).await.words(), ["stored"]);
    assert_eq!(queue.stored().len(), 1);
}

async fn a_request_over_the_cap_is_refused_whole<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    let record = format!("{{\"a\":\"{}\"}}", "x".repeat(60_000)).into_bytes();
    assert_eq!(door.send("events", &vec![record.clone(); 40], None).await.refusal(), "body_too_large");
    assert_eq!(door.send("events", &vec![b"{}".to_vec(); 10_001], None).await.refusal(), "too_many_records");
    assert_eq!(door.send("events", &vec![b"{}".to_vec(); 10_000], None).await.words().len(), 10_000);
    assert_eq!(queue.stored().len(), 10_000);
}

async fn half_a_request_stores_nothing<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    door.send_half("events", b"{\"a\":1}\n{\"a\":2}\n").await;
    assert_eq!(queue.appends_begun(), 0);
    assert_eq!(door.send("events", &lines(&["{}"]), None).await.words(), ["stored"]);
}

/// C3.
async fn a_repeated_id_is_stored_again<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    let record = lines(&["{\"record_id\":\"0192f0c4-8c5e-7000-8000-000000000001\"}"]);
    for _ in 0..2 {
        assert_eq!(door.send("events", &record, None).await.words(), ["stored"]);
    }
    let stored = queue.stored();
    assert_eq!((stored.len(), stored[0].id), (2, stored[1].id));
}

/// To see it fail: in `server::run`, return without waiting for the connections.
async fn shutdown_answers_the_request_under_way<D: Door>() {
    let queue = Rigged::new();
    let door = Arc::new(D::open(ingest(&queue).0).await);
    queue.set(|rig| rig.holds = true);
    let sender = Arc::clone(&door);
    let sending = tokio::spawn(async move { sender.send("events", &[b"{}".to_vec()], None).await });
    queue.wait_for_appends(1).await;
    let mut closing = tokio::spawn(door.shut_down());
    let closed = tokio::time::timeout(Duration::from_millis(50), &mut closing).await;
    assert!(closed.is_err(), "the door is not closed while a request is under way");
    queue.set(|rig| rig.holds = false);
    let answer = tokio::time::timeout(DEADLINE, sending).await.expect("in time").expect("no panic");
    assert_eq!(answer.words(), ["stored"]);
    tokio::time::timeout(DEADLINE, closing).await.expect("in time").expect("no panic");
    assert_eq!(queue.stored().len(), 1);
}

/// C2. To see it fail: let `Rigged::headroom` be asked nowhere, that is, take the two checks out of `http` and `ingest`.
async fn low_headroom_stores_nothing_and_says_when<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    queue.set(|rig| rig.headroom = Headroom::Low { retry_after_ms: 1_500 });
    match door.send("events", &lines(&["{}", "{}"]), None).await {
        Answer::Refused(code) => assert_eq!(code, "unavailable"),
        Answer::Outcomes(outcomes) => assert!(outcomes.iter().all(|(word, _)| word == "retry") && outcomes.len() == 2),
    }
    assert_eq!(queue.appends_begun(), 0);
    queue.set(|rig| rig.headroom = Headroom::Enough);
    assert_eq!(door.send("events", &lines(&["{}"]), None).await.words(), ["stored"]);
}

async fn a_queue_that_cannot_store_now_means_retry<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    queue.set(|rig| rig.fails = Some(ErrorKind::Unavailable));
    for (records, words) in [(&["{}", "7", "{}"][..], &["retry", "not_an_object", "retry"][..]), (&["{}", "{}"], &["retry", "retry"])] {
        match door.send("events", &lines(records), None).await {
            // A door without words for *retry* tells of no record that it was stored.
            Answer::Refused(code) => assert_eq!(code, "unavailable"),
            outcomes => assert_eq!(outcomes.words(), words),
        }
    }
    assert_eq!(queue.appends_begun(), 2, "the fault was met");
    queue.set(|rig| rig.fails = None);
    assert_eq!(door.send("events", &lines(&["{}"]), None).await.words(), ["stored"]);
}

/// Q2. To see it fail: answer `Retry` for every error in `Ingest::append`.
async fn a_closed_queue_refuses_and_is_not_asked_again<D: Door>() {
    let queue = Rigged::new();
    let door = D::open(ingest(&queue).0).await;
    queue.set(|rig| rig.fails = Some(ErrorKind::Closed));
    assert_eq!(door.send("events", &lines(&["{}", "7"]), None).await.refusal(), "closed");
    queue.set(|rig| rig.fails = None);
    assert_eq!(door.send("events", &lines(&["{}"]), None).await.refusal(), "closed");
    assert_eq!((queue.appends_begun(), queue.stored().len()), (1, 0));
}

async fn the_validator_sees_the_credential<D: Door>() {
    let queue = Rigged::new();
    let (ingest, witness) = ingest(&queue);
    let door = D::open(ingest).await;
    let record = [answer().to_string().into_bytes()];
    assert_eq!(door.send("answers", &record, Some("secret")).await.words(), ["stored"]);
    assert_eq!(door.send("answers", &record, Some("stranger")).await.words(), ["unknown_worker"]);
    assert_eq!(door.send("answers", &record, None).await.words(), ["stored"]);
    let seen = witness.0.lock().expect("no panic").clone();
    assert_eq!(seen, [Some("secret".into()), Some("stranger".into()), None]);
}

macro_rules! conformance {
    ($door:ident: $client:ty => $($promise:ident),* $(,)?) => {
        mod $door {
            use super::*;
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise::<$client>().await;
                }
            )*
        }
    };
    ($door:ident: $client:ty) => {
        conformance!($door: $client =>
            each_index_gets_exactly_one_outcome,
            what_is_rejected_is_kept,
            only_a_token_of_the_topic_lets_write,
            a_record_keeps_to_the_json_schema_of_its_topic,
            a_record_that_breaks_the_schema_is_rejected_with_its_field,
            an_unknown_topic_is_refused,
            a_request_over_the_cap_is_refused_whole,
            half_a_request_stores_nothing,
            a_repeated_id_is_stored_again,
            shutdown_answers_the_request_under_way,
            low_headroom_stores_nothing_and_says_when,
            a_queue_that_cannot_store_now_means_retry,
            a_closed_queue_refuses_and_is_not_asked_again,
            the_validator_sees_the_credential,
        );
    };
}

conformance!(http: Http);
conformance!(http2: Http2);
conformance!(http2_over_tls: Http2<true>);
conformance!(websocket: WebSocket);
conformance!(websocket_over_tls: WebSocket<true>);
conformance!(mqtt: Mqtt);
conformance!(mqtt_over_tls: Mqtt<true>);
conformance!(nng: Nng);
