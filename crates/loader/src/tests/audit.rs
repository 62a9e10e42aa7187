//! The audit (promise L2) finds what it is there for: rows too many, too few and exchanged behind the loader's back, and says since when
//! it counts.

use lake::{CursorMove, FileName, Row, build_batch};
use record::{Clock, ManualClock};

use super::*;
use crate::{
    Audit, TopicAudit,
    index::{Index, Marks},
    ledger::{Addition, Entry, Kept},
};

const MINUTE_US: i64 = 60_000_000;
/// The minute after that of most records.
const LATER_US: i64 = RECEIVED_AT_US + MINUTE_US;
const FIRST_MINUTE: &str = "2096-10-02T07:06Z";
const LATER_MINUTE: &str = "2096-10-02T07:07Z";

fn events(numbers: Range<u64>, received_at_us: i64) -> Vec<Record> {
    let at = |record: Record| Record { received_at: Timestamp::from_micros(received_at_us), ..record };
    numbers.map(|n| at(record("events", n, "{}"))).collect()
}

impl World {
    async fn audit(&self) -> Audit {
        let running = self.start().await.expect("starts");
        let audit = running.handle.audit().await.expect("reads the tables");
        running.stop().await.expect("ends well");
        audit
    }

    /// Writes rows as another file with the name of the first one, and commits it.
    async fn add_behind_the_back(&self, records: &[Record]) {
        let schema = TopicSchema::events();
        let table = self.lake().await.table(&schema).await.expect("opens");
        let file = &table.snapshot().await.expect("reads").files[0];
        let name = FileName::parse(&file.path).expect("the loader's");
        let rows: Vec<Row<'_>> = records
            .iter()
            .map(|record| Row { id: record.id, received_at: record.received_at, door: &record.door, payload: &record.payload })
            .collect();
        let built = build_batch(&schema, &rows).expect("rows");
        let files = table.write(&[built.batch], &name).await.expect("written");
        let moved = CursorMove { app_id: "behind the back".into(), expected: 0, next: 1, counters: Vec::new() };
        table.commit(&files, &moved).await.expect("committed");
    }

    /// Takes a file away as any program may that knows Delta.
    async fn remove_behind_the_back(&self, at: &str) {
        let table = self.lake().await.existing_table("events").await.expect("opens").expect("is there");
        let snapshot = table.snapshot().await.expect("reads");
        let file = snapshot.files.iter().find(|file| file.path.contains(at)).expect("such a file");
        let (path, date) = (&file.path, file.received_date().expect("a date"));
        let remove = format!(
            "{{\"remove\":{{\"path\":\"{path}\",\"deletionTimestamp\":1,\"dataChange\":true,\"extendedFileMetadata\":true,\
             \"partitionValues\":{{\"received_date\":\"{date}\"}},\"size\":{}}}}}\n",
            file.bytes
        );
        let log = self.folder.path().join(format!("lake/events/_delta_log/{:020}.json", snapshot.version + 1));
        std::fs::write(log, remove).expect("written");
    }
}

fn line<'a>(audit: &'a Audit, topic: &str) -> &'a TopicAudit {
    audit.topics.iter().find(|line| line.topic == topic).expect("the topic")
}

/// Seen to fail when `Lane::take_topic` leaves the last of the rows that it has chosen out, and when `Page::stored` counts letters twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_term_is_told_by_topic_and_minute() {
    let world = World::new();
    world.append(events(0..10, RECEIVED_AT_US)).await;
    world.append(events(5..15, LATER_US)).await;
    world.append(vec![record("points", 1, r#"{"n":"bad"}"#), record("nowhere", 1, "{}")]).await;
    world.append(vec![record("dead_letters", 4, &letter("points", "oops")), record("dead_letters", 5, "{}")]).await;
    let audit = world.audit().await;
    assert!(audit.balances && audit.check().is_ok(), "{}", audit.to_text());
    let terms = |topic: &str| {
        let terms = line(&audit, topic).terms;
        (terms.stored, terms.landed, terms.repeated, terms.dead_lettered, terms.in_flight)
    };
    assert_eq!(terms("events"), (20, 15, 5, 0, 0));
    assert_eq!((terms("points"), terms("nowhere")), ((1, 0, 0, 1, 0), (1, 0, 0, 1, 0)));
    assert_eq!(terms("dead_letters"), (2, 1, 0, 1, 0), "what a door kept, and what is said to be such and cannot be read");
    assert_eq!(line(&audit, "events").minutes, 2);
    let whole = &audit.partitions[0];
    assert_eq!((whole.stored, whole.landed, whole.repeated, whole.dead_lettered, whole.refused), (24, 15, 5, 3, 1));
    assert_eq!((&whole.minutes_since, whole.in_flight), (&None, 0), "it began with the queue");
    // A later process knows the same.
    assert_eq!(Audit { at: audit.at.clone(), ..world.audit().await }, audit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_added_is_found_with_topic_and_minute() {
    let world = World::new();
    world.append(events(0..10, RECEIVED_AT_US)).await;
    world.load().await;
    world.append(events(10..20, LATER_US)).await;
    world.load().await;
    world.add_behind_the_back(&events(13..14, LATER_US)).await;
    let audit = world.audit().await;
    let events = line(&audit, "events");
    let differing: Vec<_> =
        events.differing.iter().map(|minute| (minute.minute.as_str(), minute.terms.stored, minute.terms.landed)).collect();
    assert_eq!(differing, [(LATER_MINUTE, 10, 11)]);
    assert_eq!((events.rows_committed, events.rows_found), (20, 21));
    let error = audit.check().expect_err("differs");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&format!("events {LATER_MINUTE}")), "{error}");
    assert!(audit.to_text().contains("1 too many"), "{}", audit.to_text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_removed_or_exchanged_are_found() {
    let world = World::new();
    world.append(events(0..10, RECEIVED_AT_US)).await;
    world.load().await;
    world.append(events(10..20, LATER_US)).await;
    world.load().await;
    world.remove_behind_the_back(".00000000000000000000.00000000000000000009.").await;
    let audit = world.audit().await;
    let differing = &line(&audit, "events").differing;
    assert_eq!((differing.len(), differing[0].minute.as_str(), differing[0].terms.landed), (1, FIRST_MINUTE, 0));
    assert!(audit.check().is_err() && audit.to_text().contains("10 missing"), "{}", audit.to_text());
    // As many rows again, and one of them another.
    let mut others = events(0..10, RECEIVED_AT_US);
    others[3] = events(77..78, RECEIVED_AT_US).remove(0);
    world.add_behind_the_back(&others).await;
    // The file's name is that of the newest one: its offsets are none of the removed one's, and are not looked at.
    let audit = world.audit().await;
    let events = line(&audit, "events");
    assert_eq!((events.rows_committed, events.rows_found), (20, 20), "counts alone do not tell");
    assert!(events.differing.len() == 1 && events.differing[0].has_other_rows && !audit.balances, "{}", audit.to_text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_ledger_begins_anew_and_the_totals_are_checked_all_the_same() {
    let world = World::new();
    world.append(events(0..10, RECEIVED_AT_US)).await;
    world.load().await;
    std::fs::remove_dir_all(world.index()).expect("deleted");
    world.append(events(10..15, RECEIVED_AT_US)).await;
    let audit = world.audit().await;
    assert!(audit.balances, "{}", audit.to_text());
    assert_eq!(line(&audit, "events").terms.stored, 5, "of the same minute, and only what came since");
    assert!(audit.partitions[0].minutes_since.is_some() && audit.to_text().contains("since"), "{}", audit.to_text());
    world.remove_behind_the_back(".00000000000000000000.00000000000000000009.").await;
    let audit = world.audit().await;
    let events = line(&audit, "events");
    assert_eq!((events.minutes_differing, events.rows_committed, events.rows_found, audit.balances), (0, 15, 5, false));
}

/// Seen to fail when `roll_if_due` calls settled what was read and the ledger does not know: it is trimmed then, and the ledger begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_ledger_does_not_know_stays_in_the_queue() {
    let mut world = World::new();
    world.config.read_records_max = 2;
    let crashes = Arc::new(AtomicU32::new(2));
    let left = Arc::clone(&crashes);
    world.fault = Some(Arc::new(move |point| match point == lake::FaultPoint::Index && left.load(Ordering::SeqCst) > 0 {
        true => Err(Error::closed(format!("crash injected, {} left", left.fetch_sub(1, Ordering::SeqCst)))),
        false => Ok(()),
    }));
    world.append(events(0..5, RECEIVED_AT_US).into_iter().chain(events(2..4, LATER_US)).collect()).await;
    for _ in 0..2 {
        let running = world.start().await.expect("starts");
        assert!(running.handle.audit().await.is_err(), "the table has them, the ledger does not");
        let _ = running.stop().await;
        assert_eq!(world.queue.range(&world.queue.partitions()[0]).expect("a range").start, 0);
    }
    assert_eq!(crashes.load(Ordering::SeqCst), 0, "the faults fired");
    let audit = world.audit().await;
    assert!(audit.balances && audit.partitions[0].minutes_since.is_none(), "{}", audit.to_text());
    let terms = line(&audit, "events").terms;
    assert_eq!((terms.stored, terms.landed, terms.repeated), (7, 5, 2), "judged again as it was judged before");
}

/// The ledger of a backup is older than the queue that was trimmed since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_index_is_not_taken_for_the_ledger() {
    let world = World::new();
    world.append(events(0..10, RECEIVED_AT_US)).await;
    world.load().await;
    let (file, old) = (world.index().join("repeats.redb"), world.folder.path().join("old.redb"));
    std::fs::copy(&file, &old).expect("copied");
    world.append(events(10..20, RECEIVED_AT_US)).await;
    world.load().await;
    std::fs::copy(&old, &file).expect("copied");
    world.append(events(20..25, RECEIVED_AT_US)).await;
    let audit = world.audit().await;
    assert!(audit.balances && audit.partitions[0].minutes_since.is_some(), "{}", audit.to_text());
    assert_eq!(line(&audit, "events").terms.stored, 5);
}

#[test]
fn minutes_are_forgotten_by_their_age_and_no_jump_of_the_clock_takes_more() {
    let folder = TempDir::new().expect("a folder");
    let day = 1_440;
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(200 * day * MINUTE_US)));
    let index = Index::open(folder.path(), 1, Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>).expect("opens");
    let partition = Partition::new("q", 0);
    index.open_page(&partition, &(0..0), &[].into(), 0).expect("begins");
    let entry = Entry { stored: 3, repeated: 1, ids: 7 };
    let entries = [100, 120, 200].map(|at| (Topic::events(), at * day, entry)).to_vec();
    let addition = Addition { partition: partition.clone(), next: 9, entries };
    index.add(&[].into(), &Marks { ledger: Some(addition), ..Marks::default() }).expect("adds");
    clock.advance_micros(4_000 * day.unsigned_abs() * MINUTE_US.unsigned_abs());
    index.forget().expect("forgets");
    let Kept { entries, floor, .. } = index.ledger(&partition).expect("reads");
    assert_eq!(entries.keys().map(|(_, minute)| minute / day).collect::<Vec<_>>(), [120, 200]);
    assert!(floor > 100 * day && floor <= 110 * day, "{floor}");
    let page = index.open_page(&partition, &(0..20), &[].into(), 0).expect("goes on");
    assert_eq!(page.next, 9);
}

/// L1. Seen to fail when retired topics are not looked at: what landed is a dead letter as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_landed_stays_landed_when_its_topic_is_not_in_the_settings() {
    let mut world = World::new();
    world.config.keep_below = Some(Arc::new(|_: &Partition| 0));
    world.append(events(0..10, RECEIVED_AT_US)).await;
    assert!(world.audit().await.balances);
    // Of this one nothing has come yet: all is read again for it.
    world.topics = vec![points()];
    let audit = world.audit().await;
    assert!(audit.balances, "{}", audit.to_text());
    assert_eq!((audit.partitions[0].landed, audit.partitions[0].dead_lettered, audit.partitions[0].quarantined), (10, 0, 0));
    // What comes now has no place, and is a dead letter.
    world.append(events(10..12, RECEIVED_AT_US)).await;
    let audit = world.audit().await;
    assert_eq!((audit.balances, audit.partitions[0].dead_lettered), (true, 2), "{}", audit.to_text());
}

/// Seen to fail without the checks: each wrong start changes the tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_looks_changes_nothing_by_naming_the_wrong_settings_or_tables() {
    let mut world = World::new();
    world.append(events(0..10, RECEIVED_AT_US)).await;
    assert!(world.audit().await.balances);
    world.config.is_strict = true;
    assert!(world.audit().await.balances);
    let refused = async |world: &World| world.start().await.err().map(|error| error.kind());
    let topics = std::mem::replace(&mut world.topics, vec![points()]);
    assert_eq!(refused(&world).await, Some(ErrorKind::Invalid));
    world.topics = topics;
    // A topic of which the queue has a record, and which has no table.
    world.append(vec![record("nowhere", 1, "{}")]).await;
    let running = world.start().await.expect("starts");
    assert!(running.handle.audit().await.is_err());
    assert_eq!(running.stop().await.expect_err("a record of no topic").kind(), ErrorKind::Invalid);
    let lake = world.folder.path().join("lake");
    std::fs::rename(lake.join("events"), world.folder.path().join("events")).expect("moved");
    assert_eq!(refused(&world).await, Some(ErrorKind::Corrupt), "a table is gone");
    std::fs::rename(&lake, world.folder.path().join("other")).expect("moved");
    assert!(refused(&world).await.is_some() && !lake.join("events").exists(), "nothing is made elsewhere");
}
