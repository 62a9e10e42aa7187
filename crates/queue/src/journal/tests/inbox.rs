//! Appends from their senders to the writer, across threads; no test decides by how long something took.

use std::{sync::Arc, thread, time::Duration};

use futures::FutureExt;
use record::{ManualClock, Timestamp};
use tokio::sync::oneshot;

use super::small;
use crate::journal::{
    FaultyStorage,
    inbox::{self, Refusal},
    recovery,
    shared::Shared,
    writer::{Group, InFlight},
};

/// Longer than any test: a wait that lasts so long is a fault.
const LONG: Duration = Duration::from_secs(600);

fn shared() -> Arc<Shared> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_764_000_000_000_000)));
    recovery::recover(Arc::new(FaultyStorage::new(1)), small(), clock).expect("an empty disk").0
}

fn group(shared: &Arc<Shared>) -> (Group, oneshot::Receiver<record::Result<u64>>) {
    let (reply, told) = oneshot::channel();
    (Group { entries: vec![0; 8], records: 1, reply, _in_flight: InFlight::take(shared, 8).expect("room") }, told)
}

/// Seen to wait for the whole time when senders wake nobody.
#[test]
fn the_writer_wakes_when_as_many_are_there_as_it_waits_for() {
    let (inbox, outlet) = inbox::channel(100);
    let shared = shared();
    let writer = thread::spawn(move || {
        assert!(outlet.wait());
        outlet.wait_until(10, LONG);
        outlet.take().len()
    });
    for number in 0..10 {
        while number < 2 && !inbox.is_waited_at() {
            thread::yield_now();
        }
        inbox.put(group(&shared).0).expect("taken");
    }
    assert_eq!(writer.join().expect("no panic"), 10);
}

#[test]
fn the_writer_wakes_when_no_more_can_come() {
    let (inbox, outlet) = inbox::channel(100);
    let shared = shared();
    inbox.put(group(&shared).0).expect("taken");
    let writer = thread::spawn(move || {
        outlet.wait_until(10, LONG);
        outlet.wait_while_coming(10, 1, LONG);
        let groups = outlet.take().len();
        (groups, outlet.wait())
    });
    drop(inbox);
    assert_eq!(writer.join().expect("no panic"), (1, false));
}

#[test]
fn when_hardly_anybody_comes_any_more_the_writer_goes_on() {
    let (inbox, outlet) = inbox::channel(100);
    let shared = shared();
    inbox.put(group(&shared).0).expect("taken");
    outlet.wait_while_coming(10, 1, Duration::from_millis(1));
    assert_eq!(outlet.take().len(), 1);
}

/// Seen to fail when what waits is forgotten with the writer.
#[test]
fn what_is_not_taken_is_told() {
    let (inbox, outlet) = inbox::channel(2);
    let shared = shared();
    let (first, told) = group(&shared);
    inbox.put(first).expect("taken");
    inbox.put(group(&shared).0).expect("taken");
    assert_eq!(inbox.put(group(&shared).0), Err(Refusal::Full));
    drop(outlet);
    assert!(told.now_or_never().expect("told").is_err(), "the reply is gone, which tells that nobody knows");
    assert_eq!(inbox.put(group(&shared).0), Err(Refusal::Gone));
    assert_eq!(shared.status().in_flight_bytes, 0);
}
