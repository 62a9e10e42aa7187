//! What splitting a body and merging outcomes promise.

use bytes::Bytes;
use record::{Durability, ErrorKind, Outcome, Partition, Position, Rejection, RejectionTag};

use super::{Form, Item, Response, split};
use crate::limits::Caps;

fn caps() -> Caps {
    Caps { payload_bytes_max: 200, records_per_request_max: 5, nesting_depth_max: 4, ..Caps::default() }
}

/// Splits a body and says in one word what stands at each index: the tag, or `ok`.
fn check(form: Form, body: &[u8], expected: &[&str]) {
    let items = split(&Bytes::copy_from_slice(body), form, &caps()).expect("within the caps");
    let found: Vec<&str> = items.iter().map(word).collect();
    assert_eq!(found, expected, "{:?}: {items:?}", String::from_utf8_lossy(body));
}

fn word(item: &Item) -> &'static str {
    match item {
        Ok(_) => "ok",
        Err(unreadable) => unreadable.rejection.tag.as_str(),
    }
}

#[test]
fn an_object_an_array_and_lines_are_told_apart() {
    check(Form::Json, br#" {"a":1} "#, &["ok"]);
    check(Form::Json, b"\xef\xbb\xbf{\"a\":1}", &["ok"]);
    check(Form::Json, b"{\n \"a\":\n 1\n}\n", &["ok"]);
    check(Form::Json, br#"[{"a":1} , {"b":[1,2]}]"#, &["ok", "ok"]);
    check(Form::Lines, b"{\"a\":1}\r\n\n  \n{\"b\":1}", &["ok", "ok"]);
    check(Form::Unsaid, b"{\"a\":1}\n{\"b\":1}\n", &["ok", "ok"]);
    check(Form::Unsaid, b"{\n\"a\":1}", &["ok"]);
    check(Form::Unsaid, b"[{}]", &["ok"]);
    check(Form::Unsaid, b"oops\n{\"b\":1}\n", &["not_json", "ok"]);
}

#[test]
fn no_record_is_found_where_there_is_none() {
    for body in ["", " \r\n\t", "[]", "[ \n ]", "\u{feff}"] {
        for form in [Form::Json, Form::Unsaid] {
            check(form, body.as_bytes(), &[]);
        }
    }
}

#[test]
fn a_bad_line_leaves_the_others_alone() {
    check(Form::Lines, b"{}\n{\"a\":}\n{}", &["ok", "not_json", "ok"]);
    check(Form::Lines, b"{}\n{\"a\":\"\xc3\"}\n{}", &["ok", "not_utf8", "ok"]);
    check(Form::Lines, b"{}\n5\n[{}]\n\"x\"\nnull", &["ok", "not_an_object", "not_an_object", "not_an_object", "not_an_object"]);
    check(Form::Lines, b"{} {}\n{}", &["not_json", "ok"]);
    check(Form::Lines, b"{\"a\":\"\\ud800\"}\n{\"a\":1e999}\n{\"\\udfff\":1}", &["not_json", "not_json", "not_json"]);
}

#[test]
fn an_element_of_the_wrong_kind_leaves_the_others_alone() {
    check(Form::Json, b"[{},5,{}]", &["ok", "not_an_object", "ok"]);
    check(Form::Json, b"[-1.5e3 ,null,true,\"a,]\",[1,[2]]]", &["not_an_object"; 5]);
    check(Form::Json, b"[{},{\"a\":\"\xc3\"},{}]", &["ok", "not_utf8", "ok"]);
    check(Form::Json, br#"[{"a":[[[[1]]]]},{}]"#, &["too_large", "ok"]);
    check(Form::Json, br#"[{"record_id":7},{}]"#, &["bad_record_id", "ok"]);
}

/// After a broken element nobody can say which index a later one has: `{"c":1}` is the sender's third element and would
/// be the second here. To see it fail: let `array` go on after `broken` at the next `{`.
#[test]
fn what_follows_a_broken_element_is_not_stored() {
    check(Form::Json, br#"[{},{"a":oops},{}]"#, &["ok", "not_json"]);
    check(Form::Json, br#"[{"a":"x},{"b":"y},{"c":1}]"#, &["not_json"]);
    check(Form::Json, b"[{},]", &["ok", "not_json"]);
    check(Form::Json, b"[{} {}]", &["ok", "not_json"]);
    check(Form::Json, b"[{},{}", &["ok", "ok", "not_json"]);
    check(Form::Json, b"[{}]{}", &["ok", "not_json"]);
    check(Form::Json, b"[", &["not_json"]);
    check(Form::Json, b"[oops]", &["not_json"]);
}

#[test]
fn a_rejection_names_the_byte_in_the_body() {
    let body = Bytes::from_static(b"{}\n{\"a\":1,\n{\"b\" 2}");
    let items = split(&body, Form::Lines, &caps()).expect("within the caps");
    let message = items[2].as_ref().expect_err("broken").rejection.message.clone();
    assert_eq!(message, "not JSON: expected `:` at byte 16 of the body");
    let items = split(&Bytes::from_static(b"[{},\n{\"a\":\noops}]"), Form::Json, &caps()).expect("within the caps");
    let message = items[1].as_ref().expect_err("broken").rejection.message.clone();
    assert!(message.starts_with("not JSON: expected value at byte 11 of the body (the element begins at byte 5)"), "{message}");
}

#[test]
fn an_id_is_a_uuid_and_stands_once() {
    let id = "0192f0c4-8c5e-7000-8000-000000000001";
    let body = format!(
        "{{\"record_id\":\"{id}\"}}\n{{\"record_id\":\"{id}\",\"a\":1,\"record_id\":\"{id}\"}}\n{{\"record_id\":{{\"a\":1}}}}\n{{}}"
    );
    let items = split(&body.into(), Form::Lines, &caps()).expect("within the caps");
    assert_eq!(items[0].as_ref().expect("good").id().expect("given").to_string(), id);
    assert_eq!(items[1].as_ref().expect_err("twice").rejection.tag, RejectionTag::BadRecordId);
    assert_eq!(items[2].as_ref().expect_err("an object").rejection.pointer.as_deref(), Some("/record_id"));
    assert_eq!(items[3].as_ref().expect("good").id(), None);
}

#[test]
fn a_record_over_its_cap_is_refused_and_one_at_it_is_not() {
    let object = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    check(Form::Json, object(200).as_bytes(), &["ok"]);
    check(Form::Json, object(201).as_bytes(), &["too_large"]);
}

#[test]
fn too_many_records_are_refused_as_a_whole() {
    for (form, body) in [(Form::Lines, "1\n".repeat(6)), (Form::Json, "[1,1,1,1,1,1]".to_owned())] {
        assert_eq!(split(&body.into(), form, &caps()).expect_err("six").kind(), ErrorKind::Invalid);
    }
}

#[test]
fn nesting_without_end_costs_no_stack() {
    let deep = Caps { payload_bytes_max: usize::MAX, ..caps() };
    for body in ["[".repeat(1 << 20), format!("[{}]", "[".repeat(1 << 20)), "{\"a\":".repeat(1 << 18)] {
        for form in [Form::Json, Form::Lines, Form::Unsaid] {
            let items = split(&body.clone().into(), form, &deep).expect("one record");
            assert!(items.len() == 1 && items[0].is_err());
        }
    }
}

#[test]
fn neighbours_with_the_same_outcome_are_one_run() {
    let stored = |offset| Outcome::Stored(Position { partition: Partition::new("q", 0), offset });
    let other = Outcome::Stored(Position { partition: Partition::new("q", 1), offset: 9 });
    let rejected = |message: &'static str| Outcome::Rejected(Rejection::new(RejectionTag::SchemaMismatch, message).at("/label"));
    let retry = Outcome::Retry { after_ms: 5 };
    let outcomes = [stored(7), stored(8), stored(10), other, rejected("a"), rejected("a"), rejected("b"), retry.clone(), retry.clone()];
    let response = Response::new(Durability::Fsync, &outcomes);
    assert_eq!(response.all_retry_after_ms(), None);
    let expected = serde_json::json!({"durability": "fsync", "outcomes": [
        {"from": 0, "to": 1, "outcome": "stored", "receipt": "q/0:7"},
        {"from": 2, "to": 2, "outcome": "stored", "receipt": "q/0:10"},
        {"from": 3, "to": 3, "outcome": "stored", "receipt": "q/1:9"},
        {"from": 4, "to": 5, "outcome": "rejected", "tag": "schema_mismatch", "message": "a", "pointer": "/label"},
        {"from": 6, "to": 6, "outcome": "rejected", "tag": "schema_mismatch", "message": "b", "pointer": "/label"},
        {"from": 7, "to": 8, "outcome": "retry", "retry_after_ms": 5},
    ]});
    assert_eq!(serde_json::to_value(&response).expect("JSON"), expected);
    assert_eq!(Response::new(Durability::Fsync, &[retry.clone(), retry]).all_retry_after_ms(), Some(5));
}

#[test]
fn a_type_that_is_not_ours_is_refused() {
    assert_eq!(Form::of(Some("Application/JSON; charset=utf-8")).ok(), Some(Form::Json));
    assert_eq!(Form::of(Some("application/x-ndjson")).ok(), Some(Form::Lines));
    assert_eq!(Form::of(Some("text/plain;charset=UTF-8")).ok(), Some(Form::Unsaid));
    assert_eq!(Form::of(None).ok(), Some(Form::Unsaid));
    assert_eq!(Form::of(Some("application/x-www-form-urlencoded")).expect_err("not ours").kind(), ErrorKind::Invalid);
}
