//! What the validator of answers lets through, and how it says no.

use std::{collections::BTreeSet, sync::Arc};

use record::{Digest, Draft, Key, RecordId, RejectionTag, Timestamp, Topic, Validator};
use serde_json::{Value, json};

use super::{Answer, AnswerValidator, FIELDS, KnownReadings, json_schema};
use crate::identity::{Identity, NewWorker};

struct OneReading;

fn task() -> Digest {
    Digest::of(&[b"task"])
}

fn reading() -> Digest {
    Digest::of(&[b"reading"])
}

impl KnownReadings for OneReading {
    fn task_of(&self, collection: &str, asked: &Digest) -> Result<Digest, RejectionTag> {
        match collection {
            "ours" if *asked == reading() => Ok(task()),
            "ours" => Err(RejectionTag::UnknownTask),
            _ => Err(RejectionTag::UnknownCollection),
        }
    }
}

struct Desk {
    validator: AnswerValidator,
    worker: NewWorker,
    good: Value,
}

fn desk() -> Desk {
    let identity = Identity::new(Key::from_bytes([7; 32]));
    let worker = identity.new_worker().expect("randomness");
    let lease = identity.lease(&reading(), &worker.worker_id, Timestamp::from_micros(1_000));
    let good = json!({
        "record_id": "0192f0c4-8c5e-7000-8000-000000000001", "collection": "ours", "task_id": task().to_string(),
        "reading_id": reading().to_string(), "lease_id": lease, "label": "wrong", "text": " Straße ", "answered_at": 999,
    });
    Desk { validator: AnswerValidator::new(identity, Arc::new(OneReading)), worker, good }
}

fn check(desk: &Desk, payload: &Value, secret: Option<&str>) -> Result<Answer, (RejectionTag, Option<String>)> {
    let mut draft = Draft {
        topic: Topic::answers(),
        id: RecordId::parse("0192f0c4-8c5e-7000-8000-000000000001").expect("an id"),
        received_at: Timestamp::from_micros(5_000),
        door: "http".into(),
        payload: payload.to_string().into(),
        credential: secret.map(|secret| secret.as_bytes().to_vec().into()),
    };
    desk.validator.check(&mut draft).map_err(|rejection| (rejection.tag, rejection.pointer))?;
    Ok(Answer::from_payload(&draft.payload).expect("what was validated can be read"))
}

#[test]
fn a_good_answer_gets_its_worker_and_its_lateness_from_the_server() {
    let desk = desk();
    let answer = check(&desk, &desk.good, Some(&desk.worker.secret)).expect("good");
    assert_eq!(answer.worker_id, desk.worker.worker_id.to_string());
    assert_eq!(answer.text.as_deref(), Some("Straße"));
    assert!(!answer.late);
    let mut late = desk.good.clone();
    late["answered_at"] = json!("1970-01-01T00:00:01Z");
    assert!(check(&desk, &late, Some(&desk.worker.secret)).expect("late answers are used").late);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let desk = desk();
    let cases: [(&str, Value, RejectionTag, &str); 14] = [
        ("worker_id", json!("me"), RejectionTag::ForgedField, "/worker_id"),
        ("late", json!(false), RejectionTag::ForgedField, "/late"),
        ("mood", json!("good"), RejectionTag::SchemaMismatch, "/mood"),
        ("collection", json!("theirs"), RejectionTag::UnknownCollection, "/collection"),
        ("collection", json!(7), RejectionTag::SchemaMismatch, "/collection"),
        ("reading_id", json!(task().to_string()), RejectionTag::UnknownTask, "/reading_id"),
        ("reading_id", json!("short"), RejectionTag::SchemaMismatch, "/reading_id"),
        ("task_id", json!(reading().to_string()), RejectionTag::UnknownTask, "/task_id"),
        ("lease_id", json!("3e8.00000000000000000000000000000000"), RejectionTag::UnknownLease, "/lease_id"),
        ("lease_id", json!("x"), RejectionTag::UnknownLease, "/lease_id"),
        ("label", json!("maybe"), RejectionTag::SchemaMismatch, "/label"),
        ("text", json!("a\u{7}"), RejectionTag::SchemaMismatch, "/text"),
        ("text", json!("x".repeat(201)), RejectionTag::SchemaMismatch, "/text"),
        ("answered_at", json!("noon"), RejectionTag::SchemaMismatch, "/answered_at"),
    ];
    for (field, value, tag, pointer) in cases {
        let mut bad = desk.good.clone();
        bad[field] = value.clone();
        assert_eq!(check(&desk, &bad, Some(&desk.worker.secret)), Err((tag, Some(pointer.to_owned()))), "{field}: {value}");
    }
}

#[test]
fn a_forged_worker_is_refused() {
    let desk = desk();
    let other = Identity::new(Key::from_bytes([8; 32])).new_worker().expect("randomness");
    for secret in [None, Some(""), Some("x"), Some(other.secret.as_str()), Some(&desk.worker.secret[..63])] {
        assert_eq!(check(&desk, &desk.good, secret).map_err(|(tag, _)| tag), Err(RejectionTag::UnknownWorker), "{secret:?}");
    }
    // Another worker of the same server does not hold the lease.
    let second = Identity::new(Key::from_bytes([7; 32])).new_worker().expect("randomness");
    assert_eq!(check(&desk, &desk.good, Some(&second.secret)).map_err(|(tag, _)| tag), Err(RejectionTag::UnknownLease));
}

#[test]
fn only_wrong_has_a_text() {
    let desk = desk();
    let mut bad = desk.good.clone();
    bad["label"] = json!("right");
    assert_eq!(check(&desk, &bad, Some(&desk.worker.secret)).map_err(|(tag, _)| tag), Err(RejectionTag::SchemaMismatch));
}

/// Seen to fail when `time_field` takes every integer: such a time has no RFC 3339 text, and the table's readers stumble over it.
#[test]
fn times_that_no_table_can_show_are_refused() {
    let desk = desk();
    let year_10000 = 253_402_300_800_000_000_i64;
    for field in ["answered_at", "shown_at"] {
        for time in [json!(-1), json!(i64::MIN), json!(i64::MAX), json!(year_10000), json!("1969-12-31T23:59:59Z")] {
            let mut bad = desk.good.clone();
            bad[field] = time.clone();
            let refused = check(&desk, &bad, Some(&desk.worker.secret));
            assert_eq!(refused, Err((RejectionTag::SchemaMismatch, Some(format!("/{field}")))), "{time}");
        }
        for time in [json!(0), json!(year_10000 - 1), json!("9999-12-30T00:00:00Z")] {
            let mut good = desk.good.clone();
            good[field] = time.clone();
            assert!(check(&desk, &good, Some(&desk.worker.secret)).is_ok(), "{time}");
        }
    }
}

/// Fails when a field is added to one of the two alone.
#[test]
fn the_schema_names_the_fields_that_a_sender_may_give() {
    let schema = json_schema();
    let named: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(named, BTreeSet::from(FIELDS));
    let example = schema["examples"][0].as_object().unwrap();
    assert!(example.keys().all(|name| named.contains(name.as_str())));
    assert!(schema["required"].as_array().unwrap().iter().all(|name| example.contains_key(name.as_str().unwrap())));
}
