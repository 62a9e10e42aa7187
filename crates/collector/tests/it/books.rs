//! What is counted, with a clock that moves when told to.

use std::sync::Arc;

use collector::{Ingest, RawItem, TopicCounts, ingest, limits::Caps};
use queue::Queue;
use record::{AcceptAnyObject, ErrorKind, ManualClock, Outcome, Rejection, RejectionTag, Timestamp, TopicSchema, Validator};

use crate::rigged::Rigged;

fn conductor(queue: &Arc<Rigged>, clock: &Arc<ManualClock>) -> Arc<Ingest> {
    let topics = vec![(TopicSchema::events(), Arc::new(AcceptAnyObject) as Arc<dyn Validator>)];
    let queue = Arc::clone(queue) as Arc<dyn Queue>;
    Arc::new(Ingest::new(queue, topics, Arc::clone(clock) as _, ingest::Config::default()).expect("one topic"))
}

fn good() -> Result<RawItem, Rejection> {
    RawItem::parse("{}".into(), 0, &Caps::default())
}

fn bad() -> Result<RawItem, Rejection> {
    Err(Rejection::new(RejectionTag::NotJson, "not JSON"))
}

#[tokio::test]
async fn every_index_is_counted_once_by_what_it_was_told() {
    let queue = Rigged::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let ingest = conductor(&queue, &clock);
    let handle = ingest.handle();
    let outcomes = ingest.submit("events", vec![good(), bad(), good()], "http".into(), None).await.expect("open");
    assert!(matches!(outcomes[..], [Outcome::Stored(_), Outcome::Rejected(_), Outcome::Stored(_)]));
    queue.set(|rig| rig.fails = Some(ErrorKind::Unavailable));
    ingest.submit("events", vec![good(), bad()], "http".into(), None).await.expect("open");
    clock.advance_micros(1_000_000);
    let expected =
        TopicCounts { received: 5, stored: 2, retry: 1, rejected: [("not_json", 2)].into(), unanswered: 0, stored_per_second: 0.2 };
    assert_eq!(handle.topic("events"), Some(expected.clone()));
    clock.advance_micros(10_000_000);
    assert_eq!(handle.topic("events"), Some(TopicCounts { stored_per_second: 0.0, ..expected }));
    assert_eq!(handle.topic("nowhere"), None);
}

#[tokio::test]
async fn records_of_a_sender_who_left_stay_in_the_books() {
    let queue = Rigged::new();
    let ingest = conductor(&queue, &Arc::new(ManualClock::new(Timestamp::from_micros(0))));
    queue.set(|rig| rig.holds = true);
    let submitting = tokio::spawn({
        let ingest = Arc::clone(&ingest);
        async move { ingest.submit("events", vec![good(), bad(), good()], "http".into(), None).await }
    });
    queue.wait_for_appends(1).await;
    submitting.abort();
    assert!(submitting.await.expect_err("aborted").is_cancelled());
    assert_eq!(ingest.handle().topic("events").map(|counts| (counts.received, counts.unanswered)), Some((3, 2)));
}

#[test]
fn a_topic_is_declared_once() {
    let topics = vec![(TopicSchema::events(), Arc::new(AcceptAnyObject) as Arc<dyn Validator>); 2];
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let made = Ingest::new(Rigged::new(), topics, clock, ingest::Config::default());
    assert_eq!(made.err().map(|error| error.kind()), Some(ErrorKind::Invalid));
}
