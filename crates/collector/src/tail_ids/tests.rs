//! What the ids of the queue's tail promise.

use futures::FutureExt;
use queue::{MemoryQueue, Queue};
use record::{Letter, Record, RecordId, Rejection, RejectionTag, Tail, Timestamp, Topic};

use super::{CHUNK_RECORDS, TailIds};

fn id(number: u64) -> RecordId {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    RecordId::from_bytes(bytes)
}

fn records(numbers: std::ops::Range<u64>) -> Vec<Record> {
    let record = |number| Record {
        topic: Topic::events(),
        id: id(number),
        received_at: Timestamp::from_micros(0),
        door: "http".into(),
        payload: "{}".into(),
    };
    numbers.map(record).collect()
}

#[test]
fn each_stored_record_is_found_until_it_is_trimmed() {
    let queue = MemoryQueue::new("q", 1_000_000);
    let partition = queue.partitions().remove(0);
    let mut ids = TailIds::new(&queue, partition.clone(), 1 << 20).expect("opens");
    let all = CHUNK_RECORDS as u64 * 2 + 100;
    for from in (0..all).step_by(10_000) {
        queue.append(records(from..all.min(from + 10_000))).now_or_never().expect("at once").expect("stored");
        ids.catch_up(&queue).expect("reads");
    }
    for number in (0..all).step_by(977).chain([all - 1]) {
        assert!(ids.candidates(&Topic::events(), &id(number)).contains(&number), "{number}");
    }
    let strangers = (all..all + 1_000).map(|number| ids.candidates(&Topic::events(), &id(number)).len()).sum::<usize>();
    assert!(strangers <= 2, "hardly any is looked up in vain: {strangers}");
    assert!(ids.is_complete(0));
    queue.trim(&partition, CHUNK_RECORDS as u64 + 5).expect("trimmed");
    ids.catch_up(&queue).expect("reads");
    assert!(ids.candidates(&Topic::events(), &id(3)).is_empty());
    assert_eq!(ids.candidates(&Topic::events(), &id(all - 1)), [all - 1]);
    assert!(ids.is_complete(CHUNK_RECORDS as u64 + 5));
}

/// Seen to fail when nothing is given up: the ids of a day without a lake would fill the memory.
#[test]
fn what_there_is_no_room_for_is_given_up_and_said() {
    let queue = MemoryQueue::new("q", 1_000_000);
    let mut ids = TailIds::new(&queue, queue.partitions().remove(0), CHUNK_RECORDS * 2).expect("opens");
    let all = CHUNK_RECORDS as u64 * 3 + 1;
    queue.append(records(0..all)).now_or_never().expect("at once").expect("stored");
    ids.catch_up(&queue).expect("reads");
    assert!(!ids.is_complete(0));
    assert!(ids.candidates(&Topic::events(), &id(0)).is_empty());
    assert_eq!(ids.candidates(&Topic::events(), &id(all - 1)), [all - 1]);
}

#[test]
fn a_letter_is_found_under_its_record() {
    let queue = MemoryQueue::new("q", 100);
    let mut ids = TailIds::new(&queue, queue.partitions().remove(0), 1 << 20).expect("opens");
    let sensors = Topic::parse("sensors").expect("a topic");
    let rejection = Rejection::new(RejectionTag::NotJson, "not JSON");
    let payload = Letter::new(&sensors, &rejection, b"oops", 100).to_payload();
    let letter = Record { topic: Topic::dead_letters(), payload, ..records(5..6).remove(0) };
    queue.append(vec![letter]).now_or_never().expect("at once").expect("stored");
    ids.catch_up(&queue).expect("reads");
    assert_eq!(ids.candidates(&sensors, &id(5)), [0]);
    assert!(ids.candidates(&Topic::events(), &id(5)).is_empty());
}

/// Seen to fail when all places are given: who sends one id 45,000 times makes one question read 45,000 places.
#[test]
fn a_record_comes_before_its_letters_and_of_each_a_few_are_looked_at() {
    let queue = MemoryQueue::new("q", 1_000);
    let mut ids = TailIds::new(&queue, queue.partitions().remove(0), 1 << 20).expect("opens");
    let rejection = Rejection::new(RejectionTag::NotJson, "not JSON");
    let payload = Letter::new(&Topic::events(), &rejection, b"oops", 100).to_payload();
    let letter = Record { topic: Topic::dead_letters(), payload, ..records(5..6).remove(0) };
    let all = [vec![letter.clone(); 100], records(5..6), vec![letter; 100]].concat();
    queue.append(all).now_or_never().expect("at once").expect("stored");
    ids.catch_up(&queue).expect("reads");
    let places = ids.candidates(&Topic::events(), &id(5));
    assert_eq!((places[0], places[1], places.len()), (100, 200, 17), "the record, then the latest letters: {places:?}");
}
