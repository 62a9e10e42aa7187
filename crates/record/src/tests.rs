//! What the shared words promise.

use proptest::prelude::*;

use crate::{Digest, Error, ErrorKind, Key, Partition, RecordId, Timestamp, Topic, bearer_token};

#[test]
fn a_topic_is_a_checked_name() {
    for name in ["answers", "a", "sensor-7_b", &"x".repeat(64)] {
        assert_eq!(Topic::parse(name).map(|topic| topic.as_str().to_owned()).ok().as_deref(), Some(name));
    }
    for name in ["", "7a", "Answers", "a/b", "a b", "..", "ä", &"x".repeat(65)] {
        assert_eq!(Topic::parse(name).expect_err(name).kind(), ErrorKind::Invalid);
    }
}

#[test]
fn a_record_id_is_a_uuid() {
    let id = RecordId::parse("0192F0C4-8C5E-7000-8000-000000000001").expect("a UUID");
    assert_eq!(id.to_string(), "0192f0c4-8c5e-7000-8000-000000000001");
    for text in ["", "7", "0192f0c4-8c5e-7000-8000-00000000000g", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(RecordId::parse(text).expect_err(text).kind(), ErrorKind::Invalid);
    }
    let given = RecordId::generate(Timestamp::from_micros(1_764_000_000_123_456), [7; 10]);
    assert_eq!(given.as_bytes()[6] >> 4, 7, "a given id is a UUIDv7: {given}");
    let hashed = RecordId::from_digest(Digest::of(&[b"a"]));
    assert_eq!((hashed.as_bytes()[6] >> 4, hashed.as_bytes()[8] >> 6), (8, 2), "an id that is a hash is a UUIDv8: {hashed}");
}

#[test]
fn an_error_prints_its_whole_chain_once() {
    let inner = Error::corrupt("checksum differs").with("segment", 3).because(std::io::Error::other("disk"));
    let outer = Error::unavailable("cannot read").with("file", "a").with("byte", 17).because(inner);
    assert_eq!(outer.to_string(), "cannot read (file: a, byte: 17): checksum differs (segment: 3): disk");
    assert_eq!(outer.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_partition_names_its_queue() {
    let partition = Partition::new("0192f0c4-8c5e-7000-8000-000000000001", 0);
    assert_eq!(Partition::parse(partition.as_str()).ok(), Some(partition.clone()));
    assert_eq!(partition.cursor_id(&Topic::events()), "events@0192f0c4-8c5e-7000-8000-000000000001/0");
    assert!(Partition::parse("no-number").is_err());
}

#[test]
fn a_time_reads_what_it_prints() {
    let time = Timestamp::from_micros(1_764_000_000_123_456);
    assert_eq!(Timestamp::parse(&time.to_string()).ok(), Some(time));
    assert!(Timestamp::parse("yesterday").is_err());
}

#[test]
fn a_key_signs_and_does_not_show_itself() {
    let key = Key::from_bytes([1; 32]);
    assert_ne!(key.sign(&[b"a"]), Key::from_bytes([2; 32]).sign(&[b"a"]));
    assert!(!format!("{key:?}").contains('1'));
}

proptest! {
    #[test]
    fn a_digest_tells_its_parts_apart(a in ".{0,8}", b in ".{0,8}", c in ".{0,8}") {
        let whole = Digest::of(&[a.as_bytes(), b.as_bytes(), c.as_bytes()]);
        let joined = Digest::of(&[format!("{a}{b}").as_bytes(), c.as_bytes()]);
        prop_assert_ne!(whole, joined);
        prop_assert_eq!(Digest::parse(&whole.to_string()).ok(), Some(whole));
        let unit = whole.unit_interval();
        prop_assert!((0.0..1.0).contains(&unit));
    }
}

#[test]
fn a_bearer_token_may_be_announced_in_letters_of_either_case_and_is_never_empty() {
    for value in ["Bearer abc", "bearer abc", "BEARER  abc "] {
        assert_eq!(bearer_token(value.as_bytes()), Some(b"abc".as_slice()), "{value:?}");
    }
    for value in ["", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "b\u{e9}arer abc"] {
        assert_eq!(bearer_token(value.as_bytes()), None, "{value:?}");
    }
}

#[test]
fn a_rejection_quotes_a_bounded_part_of_what_came() {
    let rejection =
        crate::Rejection::new(crate::RejectionTag::SchemaMismatch, "\u{e4}".repeat(10_000)).at(format!("/{}", "x".repeat(10_000)));
    assert_eq!(rejection.message.chars().count(), 301);
    assert_eq!(rejection.pointer.map(|pointer| pointer.len()), Some(303));
}
