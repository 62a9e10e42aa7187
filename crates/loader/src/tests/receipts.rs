//! What became of a record, asked by its id.

use record::{ManualClock, RETRIED, Receipt, Receipts};

use super::*;
use crate::index::{Index, Marks};

fn id(number: u64) -> RecordId {
    record("events", number, "").id
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).expect("a topic")
}

/// Offset and table version of a row.
fn landed(handle: &Handle, name: &str, number: u64) -> (Option<Offset>, Option<u64>) {
    match handle.receipt(&topic(name), &id(number)).expect("answers") {
        Some(Receipt::Landed { position, table_version }) => (position.map(|position| position.offset), table_version),
        other => panic!("a row was expected: {other:?}"),
    }
}

fn tag(handle: &Handle, name: &str, number: u64) -> Option<String> {
    match handle.receipt(&topic(name), &id(number)).expect("answers") {
        Some(Receipt::DeadLetter { tag, message }) if !message.is_empty() => Some(tag.into_owned()),
        None => None,
        other => panic!("a dead letter was expected: {other:?}"),
    }
}

/// The table's version in which a row is first seen, from the table alone.
async fn first_version_with(world: &World, number: u64) -> u64 {
    let version =
        world.lake().await.existing_table("points").await.expect("opens").expect("is there").snapshot().await.expect("reads").version;
    assert!(world.ids("points").await.contains_key(&id(number).to_string()));
    version
}

/// Seen to fail when `version` looks from the offset itself instead of the one behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_names_the_commit_that_landed_a_record_or_why_it_did_not() {
    let world = World::new();
    let running = world.start().await.expect("starts");
    let mut versions = Vec::new();
    for number in 0..3 {
        world.append(vec![record("points", number, &format!("{{\"n\":{number}}}"))]).await;
        running.handle.flush().await.expect("flushes");
        versions.push(first_version_with(&world, number).await);
    }
    world.append(vec![record("points", 7, "{\"n\":\"seven\"}"), record("dead_letters", 8, &letter("points", "oops"))]).await;
    assert_eq!(running.handle.receipt(&topic("points"), &id(7)).expect("answers"), None, "on its way");
    running.handle.flush().await.expect("flushes");
    let check = |handle: &Handle| {
        for (number, version) in (0..3).zip(&versions) {
            assert_eq!(landed(handle, "points", number), (Some(number), Some(*version)));
        }
        assert_eq!(tag(handle, "points", 7).as_deref(), Some("schema_mismatch"));
        assert_eq!(tag(handle, "points", 8).as_deref(), Some("not_json"));
        assert_eq!((tag(handle, "events", 8), tag(handle, "points", 9)), (None, None));
    };
    check(&running.handle);
    running.stop().await.expect("ends well");
    let running = world.start().await.expect("starts");
    check(&running.handle);
    running.stop().await.expect("ends well");
    // A lost index: which commit it was is not known any more, one that has it is.
    std::fs::remove_dir_all(world.index()).expect("deleted");
    let running = world.start().await.expect("starts");
    assert_eq!(landed(&running.handle, "points", 0).1, Some(versions[2]));
    assert_eq!(tag(&running.handle, "points", 7).as_deref(), Some("schema_mismatch"));
    assert_eq!(tag(&running.handle, "points", 8).as_deref(), Some("not_json"));
    // Sent again: no dead letter any more.
    let settled = letter("points", "").replace("not_json", RETRIED);
    world.append(vec![record("points", 8, "{\"n\":8}"), record("dead_letters", 8, &settled)]).await;
    running.handle.flush().await.expect("flushes");
    assert_eq!(landed(&running.handle, "points", 8).0, Some(5));
    running.stop().await.expect("ends well");
}

/// Seen to fail when the letters are not read back: `None`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_whose_note_a_crash_cut_off_is_read_back() {
    let mut world = World::new();
    world.fault = Some(Arc::new(|point| match point {
        lake::FaultPoint::Index => Err(Error::closed("crash injected")),
        _ => Ok(()),
    }));
    world.append(vec![record("points", 7, "{\"n\":\"seven\"}"), record("points", 1, "{\"n\":1}")]).await;
    let running = world.start().await.expect("starts");
    running.handle.flush().await.expect_err("it crashed");
    running.stop().await.expect_err("it crashed");
    world.fault = None;
    let running = world.start().await.expect("starts");
    running.handle.flush().await.expect("flushes");
    assert_eq!(tag(&running.handle, "points", 7).as_deref(), Some("schema_mismatch"));
    assert!(matches!(landed(&running.handle, "points", 1), (Some(_), Some(_))));
    running.stop().await.expect("ends well");
}

#[test]
fn what_is_forgotten_is_expired_and_not_unknown() {
    let folder = TempDir::new().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let index = Index::open(folder.path(), 1_000, Arc::clone(&clock) as _).expect("opens");
    let seen = crate::dedup::Seen {
        partition: record::Digest::of(&[b"p"]),
        offset: 3,
        received_at: Timestamp::from_micros(0),
        hash: record::Digest::of(&[b"h"]),
    };
    let key = (topic("points"), id(1));
    let letter = crate::receipts::Letter { topic: topic("points"), id: id(2), tag: "not_json".into(), message: "m".into() };
    index.add(&[(key.clone(), seen)].into(), &Marks { letters: vec![letter.clone()], ..Marks::default() }).expect("adds");
    clock.advance_micros(900);
    // The same id lands later than its letter came.
    index.add(&[((topic("points"), id(2)), seen)].into(), &Marks { letters: vec![letter], ..Marks::default() }).expect("adds");
    clock.advance_micros(500);
    index.forget().expect("forgets");
    let is_known = |number| !index.lookup([(topic("points"), id(number))].into_iter()).expect("reads").is_empty();
    assert_eq!((is_known(1), is_known(2)), (false, true), "each by its own age");
    assert!(index.is_expired(&topic("points"), &id(1)).expect("reads"));
    assert!(!index.is_expired(&topic("points"), &id(2)).expect("reads") && !index.is_expired(&topic("points"), &id(3)).expect("reads"));
    assert!(index.letter(&topic("points"), &id(2)).expect("reads").is_some(), "noted again");
}
