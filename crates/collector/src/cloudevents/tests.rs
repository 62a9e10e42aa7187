//! What is an event, and what is stored of it.

use axum::http::HeaderMap;
use bytes::Bytes;
use record::RejectionTag;
use serde_json::{Value, json};

use super::{Attributes, check};
use crate::{limits::Caps, raw_item::RawItem, wire::Item};

const MINIMAL: &str = r#"{"specversion":"1.0","id":"1","source":"/shelf/7","type":"t"}"#;

fn structured(event: &str) -> Item {
    RawItem::parse(Bytes::from(event.to_owned()), 0, &Caps::default()).and_then(check)
}

/// The minimal event with one member changed or added.
fn with(name: &str, value: Value) -> Item {
    let mut event: Value = serde_json::from_str(MINIMAL).expect("JSON");
    event[name] = value;
    structured(&event.to_string())
}

fn binary(fields: Fields<'_>, data: &'static [u8]) -> Item {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().expect("a field's value"));
    }
    Attributes::of(&headers).expect("an event").with_data(&Bytes::from_static(data), &Caps::default())
}

type Fields<'a> = &'a [(&'static str, &'static str)];

const FIELDS: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/shelf/7"), ("ce-type", "t")];

fn binary_with(fields: Fields<'_>, data: &'static [u8]) -> Item {
    binary(&[&FIELDS, fields].concat(), data)
}

fn payload(item: &Item) -> Value {
    serde_json::from_slice(item.as_ref().expect("an event").payload()).expect("JSON")
}

fn fault(item: Item) -> (RejectionTag, Option<String>) {
    let rejection = item.expect_err("no event").rejection;
    assert!(!rejection.message.is_empty());
    (rejection.tag, rejection.pointer)
}

#[test]
fn an_event_is_stored_as_it_came() {
    let event = format!("{} ", MINIMAL.replace("\"t\"", "\"t\", \"data\" : [1, {\"b\":null}]"));
    let item = structured(&event).expect("an event");
    assert_eq!(&item.payload()[..], event.as_bytes());
}

#[test]
fn source_and_id_make_the_record_id() {
    let id = |source: &str, id: &str| {
        let event = json!({"specversion": "1.0", "id": id, "source": source, "type": "t"}).to_string();
        structured(&event).expect("an event").id().expect("an id")
    };
    let one = id("/shelf/7", "1");
    // A UUIDv8 (RFC 9562 section 5.8); the same next year, or a resend would be a new record.
    assert_eq!(one.to_string(), "b4b10935-f168-8203-b06a-c1bbfaa48bfd");
    assert_eq!((one.as_bytes()[6] >> 4, one.as_bytes()[8] >> 6), (8, 2));
    assert_eq!(one, with("type", "other".into()).expect("an event").id().expect("an id"));
    assert_eq!(one, binary(&FIELDS, b"{}").expect("an event").id().expect("an id"));
    assert!([id("/shelf/71", "1"), id("/shelf/", "71"), id("/shelf/7", "2")].iter().all(|other| *other != one));
    assert_ne!(id("/shelf/7", "11"), id("/shelf/71", "1"));
}

#[test]
fn a_missing_or_wrong_attribute_is_named() {
    for name in super::REQUIRED {
        let mut event: Value = serde_json::from_str(MINIMAL).expect("JSON");
        event.as_object_mut().expect("an object").remove(name);
        assert_eq!(fault(structured(&event.to_string())), (RejectionTag::SchemaMismatch, Some(format!("/{name}"))));
        for value in [json!(null), json!(""), json!(7), json!({"a": 1}), json!([]), json!("a\u{1}"), json!("a\u{fdd0}")] {
            assert_eq!(fault(with(name, value)), (RejectionTag::SchemaMismatch, Some(format!("/{name}"))));
        }
    }
    let cases = [
        ("specversion", json!("0.3")),
        ("source", json!("not a reference")),
        ("source", json!("/%zz")),
        ("dataschema", json!("/relative")),
        ("datacontenttype", json!("json")),
        ("datacontenttype", json!("a/b c")),
        ("subject", json!("")),
        ("time", json!("yesterday")),
        ("time", json!(1_764_000_000)),
        ("data_base64", json!("%%%")),
        ("data_base64", json!(7)),
        ("Upper", json!("a")),
        ("with_underscore", json!("a")),
        ("extension", json!(1.5)),
        ("extension", json!(2_147_483_648_i64)),
        ("extension", json!({})),
    ];
    for (name, value) in cases {
        assert_eq!(fault(with(name, value.clone())), (RejectionTag::SchemaMismatch, Some(format!("/{name}"))), "{value}");
    }
}

#[test]
fn what_the_specification_allows_is_taken() {
    let cases = [
        ("source", json!("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66")),
        ("source", json!("mailto:cncf-wg-serverless@lists.cncf.io")),
        ("source", json!("1-555-123-4567")),
        ("id", json!("ä ſ 🦀")),
        ("time", json!("1937-01-01T12:00:27.87+00:20")),
        ("dataschema", json!("https://example.org/schema#1")),
        ("datacontenttype", json!("application/vnd.a+json; charset=UTF-8")),
        ("subject", json!(null)),
        ("comexampleextension1", json!(-2_147_483_648)),
        ("extension", json!(true)),
        ("extension", json!("")),
        ("data", json!(null)),
        ("data", json!("text")),
        ("data_base64", json!("AAH/")),
    ];
    for (name, value) in cases {
        let item = with(name, value.clone());
        assert_eq!(payload(&item)[name], value, "{name}");
    }
}

/// Seen to fail when members are put into a map, where the last of two wins and readers disagree.
#[test]
fn a_member_that_stands_there_twice_is_refused() {
    let twice = MINIMAL.replacen('{', "{\"type\":\"u\",", 1);
    assert_eq!(fault(structured(&twice)), (RejectionTag::SchemaMismatch, Some("/type".to_owned())));
    let both = MINIMAL.replacen('{', "{\"data\":1,\"data_base64\":\"\",", 1);
    assert_eq!(fault(structured(&both)).1.as_deref(), Some("/data_base64"));
    assert_eq!(fault(binary_with(&[("ce-type", "u")], b"")).1.as_deref(), Some("/type"));
}

#[test]
fn fields_and_body_make_the_event_in_json() {
    let common = json!({"specversion": "1.0", "id": "1", "source": "/shelf/7", "type": "t"});
    let cases: [(Fields<'_>, &[u8], Value); 8] = [
        (&[], b"", json!({})),
        (&[], b" {\"a\": 1} ", json!({"data": {"a": 1}})),
        (
            &[("content-type", "application/json; charset=utf-8")],
            b"[1]",
            json!({"datacontenttype": "application/json; charset=utf-8", "data": [1]}),
        ),
        (&[("content-type", "application/vnd.a+json")], b"null", json!({"datacontenttype": "application/vnd.a+json", "data": null})),
        (&[("content-type", "text/plain")], b"a\"b\xc3\xa4", json!({"datacontenttype": "text/plain", "data": "a\"bä"})),
        (
            &[("content-type", "text/plain;charset=latin1")],
            b"a",
            json!({"datacontenttype": "text/plain;charset=latin1", "data_base64": "YQ=="}),
        ),
        (&[("content-type", "image/png")], b"\x00\xff", json!({"datacontenttype": "image/png", "data_base64": "AP8="})),
        (
            &[("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"), ("ce-extension", "\"quoted \\\"text\\\"\"")],
            b"",
            json!({"subject": "Euro € 😀", "extension": "quoted \"text\""}),
        ),
    ];
    for (fields, data, expected) in cases {
        let mut event = common.clone();
        event.as_object_mut().expect("an object").extend(expected.as_object().expect("an object").clone());
        assert_eq!(payload(&binary_with(fields, data)), event);
    }
    assert!(Attributes::of(&HeaderMap::new()).is_none());
}

/// The body is read by itself before it becomes a member: `1,"id":"2"` would otherwise change the id.
#[test]
fn data_cannot_reach_into_the_event() {
    let cases: [(&[u8], RejectionTag); 4] = [
        (b"1,\"id\":\"2\"", RejectionTag::NotJson),
        (b"{}}", RejectionTag::NotJson),
        (b"oops", RejectionTag::NotJson),
        (b"\"\xff\"", RejectionTag::NotUtf8),
    ];
    for (data, tag) in cases {
        assert_eq!(fault(binary_with(&[], data)), (tag, Some("/data".to_owned())));
    }
}

#[test]
fn fields_that_are_no_attributes_are_named() {
    let cases: [(Fields<'_>, &str); 4] = [
        (&[("ce-data", "1")], "/data"),
        (&[("ce-datacontenttype", "a/b")], "/datacontenttype"),
        (&[("ce-my-name", "a")], "/my-name"),
        (&[("ce-subject", "%ff")], "/subject"),
    ];
    for (fields, pointer) in cases {
        assert_eq!(fault(binary_with(fields, b"{}")).1.as_deref(), Some(pointer));
    }
    assert_eq!(fault(binary(&FIELDS[1..], b"{}")).1.as_deref(), Some("/specversion"));
}

#[test]
fn an_event_over_its_topics_cap_is_too_large() {
    let caps = Caps { payload_bytes_max: 100, ..Caps::default() };
    for size in [40, 101, 5_000] {
        let headers = FIELDS.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect();
        let item = Attributes::of(&headers).expect("an event").with_data(&Bytes::from(vec![b'7'; size]), &caps);
        assert_eq!(fault(item).0, RejectionTag::TooLarge);
    }
}
