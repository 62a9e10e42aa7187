//! What is counted, with a clock that moves when told to.

use std::sync::Arc;

use collector::{
    Ingest, RawItem, TopicCounts,
    ingest::{self, Entrance, Sender},
    letters,
    limits::Caps,
    rates,
    wire::Item,
};
use queue::Queue;
use record::{AcceptAnyObject, ErrorKind, ManualClock, Outcome, Timestamp, TopicSchema};

use crate::rigged::Rigged;

fn conductor(queue: &Arc<Rigged>, clock: &Arc<ManualClock>) -> Arc<Ingest> {
    conductor_with(queue, clock, ingest::Config::default())
}

fn conductor_with(queue: &Arc<Rigged>, clock: &Arc<ManualClock>, config: ingest::Config) -> Arc<Ingest> {
    let topics = vec![Entrance::open(TopicSchema::events(), Arc::new(AcceptAnyObject))];
    let queue = Arc::clone(queue) as Arc<dyn Queue>;
    Arc::new(Ingest::new(queue, topics, Arc::clone(clock) as _, config).expect("one topic"))
}

fn http() -> Sender {
    Sender { door: "http".into(), credential: None, address: None, is_told: true }
}

fn good() -> Item {
    RawItem::parse("{}".into(), 0, &Caps::default())
}

fn bad() -> Item {
    RawItem::parse("{".into(), 0, &Caps::default())
}

#[tokio::test]
async fn every_index_is_counted_once_by_what_it_was_told() {
    let queue = Rigged::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let ingest = conductor(&queue, &clock);
    let handle = ingest.handle();
    let outcomes = ingest.submit("events", vec![good(), bad(), good()], http()).await.expect("open");
    assert!(matches!(outcomes[..], [Outcome::Stored(_), Outcome::Rejected(_), Outcome::Stored(_)]));
    queue.set(|rig| rig.fails = Some(ErrorKind::Unavailable));
    ingest.submit("events", vec![good(), bad()], http()).await.expect("open");
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
        async move { ingest.submit("events", vec![good(), bad(), good()], http()).await }
    });
    queue.wait_for_appends(1).await;
    submitting.abort();
    assert!(submitting.await.expect_err("aborted").is_cancelled());
    assert_eq!(ingest.handle().topic("events").map(|counts| (counts.received, counts.unanswered)), Some((3, 2)));
}

#[test]
fn a_topic_is_declared_once() {
    let topics = [(), ()].map(|()| Entrance::open(TopicSchema::events(), Arc::new(AcceptAnyObject))).into();
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let made = Ingest::new(Rigged::new(), topics, clock, ingest::Config::default());
    assert_eq!(made.err().map(|error| error.kind()), Some(ErrorKind::Invalid));
}

/// Seen to fail when `Letters::allow` says yes to all.
#[tokio::test]
async fn garbage_is_kept_up_to_its_allowance_and_told_beyond() {
    let queue = Rigged::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let letters = letters::Config { payload_bytes_max: 100, bytes_per_day_max: 86_400_000, burst_bytes_max: 700 };
    let ingest = conductor_with(&queue, &clock, ingest::Config { letters, ..ingest::Config::default() });
    let garbage = || (0..5).map(|_| bad()).collect::<Vec<_>>();
    // Five letters of some 210 bytes each: three fit.
    let outcomes = ingest.submit("events", garbage(), http()).await.expect("open");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Rejected(_))), "everyone is told");
    assert_eq!(queue.letters().len(), 3);
    // A thousand bytes a second.
    clock.advance_micros(1_000_000);
    ingest.submit("events", garbage(), http()).await.expect("open");
    assert_eq!(queue.letters().len(), 6);
}

/// C1, for a door whose answer carries no outcomes. Seen to fail when `is_told` is not looked at.
#[tokio::test]
async fn a_sender_who_is_not_told_is_acknowledged_only_when_each_rejection_is_kept() {
    let queue = Rigged::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let letters = letters::Config { payload_bytes_max: 100, bytes_per_day_max: 86_400_000, burst_bytes_max: 700 };
    let ingest = conductor_with(&queue, &clock, ingest::Config { letters, ..ingest::Config::default() });
    let beacon = || Sender { is_told: false, ..http() };
    let three = || vec![bad(), good(), bad(), bad()];
    let outcomes = ingest.submit("events", three(), beacon()).await.expect("open");
    assert!(matches!(outcomes[..], [Outcome::Rejected(_), Outcome::Stored(_), Outcome::Rejected(_), Outcome::Rejected(_)]));
    let outcomes = ingest.submit("events", three(), beacon()).await.expect("open");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Retry { after_ms: 1_000 })), "{outcomes:?}");
    assert_eq!((queue.stored().len(), queue.letters().len()), (1, 3), "nothing of the second request");
    // What it did not get is there for others: 700 bytes again after a while, and a refused request in between.
    clock.advance_micros(1_000_000);
    ingest.submit("events", (0..5).map(|_| bad()).collect(), beacon()).await.expect("open");
    let outcomes = ingest.submit("events", vec![bad(), bad(), bad()], beacon()).await.expect("open");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Rejected(_))), "{outcomes:?}");
    assert_eq!(queue.letters().len(), 6);
    queue.set(|rig| rig.fails = Some(ErrorKind::Unavailable));
    clock.advance_micros(10_000_000);
    let outcomes = ingest.submit("events", vec![bad()], beacon()).await.expect("open");
    assert!(matches!(outcomes[..], [Outcome::Retry { .. }]), "the queue did not take the rejection: {outcomes:?}");
}

#[tokio::test]
async fn a_letter_keeps_what_fits_and_says_what_it_left_out() {
    let queue = Rigged::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let letters = letters::Config { payload_bytes_max: 10, ..letters::Config::default() };
    let ingest = conductor_with(&queue, &clock, ingest::Config { letters, ..ingest::Config::default() });
    let sent: [&'static [u8]; 3] = [b"12345678", "123456789\u{e4}".as_bytes(), b"1234\xff"];
    let items = sent.map(|sent| RawItem::parse(sent.into(), 0, &Caps::default())).into();
    ingest.submit("events", items, http()).await.expect("open");
    let kept = queue.letters().into_iter().map(|(_, tag, payload)| (tag, payload)).collect::<Vec<_>>();
    let expected = [("not_an_object", "12345678"), ("not_json", "123456789"), ("not_utf8", "1234\u{fffd}")];
    assert_eq!(kept, expected.map(|(tag, payload)| (tag.to_owned(), payload.to_owned())));
}

/// C2. Seen to fail when `submit` does not ask the rates: all is stored.
#[tokio::test]
async fn a_sender_who_brings_more_than_its_rate_waits_and_others_do_not() {
    let queue = Rigged::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let rates = rates::Config { address_records_per_second_max: 10, token_records_per_second_max: 0 };
    let ingest = conductor_with(&queue, &clock, ingest::Config { rates, ..ingest::Config::default() });
    let from = |address: &str| Sender { address: Some(address.parse().expect("an address")), ..http() };
    let all = || (0..150).map(|_| good()).collect::<Vec<_>>();
    let is_stored = |outcomes: Vec<Outcome>| outcomes.iter().all(|outcome| matches!(outcome, Outcome::Stored(_)));
    assert!(is_stored(ingest.submit("events", all(), from("192.0.2.1")).await.expect("open")), "the burst, and what came with it");
    let outcomes = ingest.submit("events", all(), from("192.0.2.1")).await.expect("open");
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Retry { after_ms: 5_000 }) && outcomes.len() == 150, "{outcomes:?}");
    assert_eq!(ingest.wait_ms("events", None, Some("192.0.2.1".parse().expect("an address"))), Some(5_000));
    for other in ["192.0.2.2", "127.0.0.1", "127.0.0.1"] {
        assert!(is_stored(ingest.submit("events", all(), from(other)).await.expect("open")), "{other}");
    }
    clock.advance_micros(5_000_000);
    assert!(is_stored(ingest.submit("events", all(), from("192.0.2.1")).await.expect("open")));
    assert_eq!(queue.stored().len(), 5 * 150);
}
