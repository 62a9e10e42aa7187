//! Disks that are full, fail or lose power; tables that are gone; clocks that jump.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
};

use lake::{FaultPoint, faulty::FaultyDisk};
use record::{Clock, ManualClock};
use redb::{Database, DatabaseError, StorageBackend, StorageError, backends::FileBackend};

use super::*;
use crate::{
    dedup::{Fresh, Seen},
    index::{Index, Marks},
};

fn events(numbers: Range<u64>) -> Vec<Record> {
    numbers.map(|n| record("events", n, "{}")).collect()
}

/// L1: at each trim the power goes, and what is then on the disk has all that is trimmed. Seen to fail when `write_as` does not sync
/// its files, when `make_durable` does nothing, when only files are synced and not their folders, and when the queue is trimmed
/// before the roll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_trimmed_only_of_what_a_power_cut_leaves_in_the_table() {
    let mut world = World::new();
    let disk = FaultyDisk::new();
    world.fsync = disk.fsync();
    let root = world.folder.path().to_path_buf();
    let cuts: Arc<Mutex<Vec<(Offset, TempDir)>>> = Arc::default();
    let seen = Arc::clone(&cuts);
    let on_trim: OnTrim = Box::new(move |below| {
        let after = TempDir::new().expect("a folder");
        disk.after_power_cut(&root.join("lake"), after.path()).expect("restored");
        seen.lock().expect("no panic").push((below, after));
        Ok(())
    });
    world.queue = Arc::new(Watched { on_trim, ..Watched::new() });
    for round in 0..3 {
        world.append(events(round * 10..round * 10 + 10)).await;
        world.load().await;
    }
    let cuts = std::mem::take(&mut *cuts.lock().expect("no panic"));
    assert_eq!(cuts.iter().map(|(below, _)| *below).collect::<Vec<_>>(), [10, 20, 30], "it was trimmed after each roll");
    for (below, after) in &cuts {
        let left = World { folder: TempDir::new().expect("a folder"), ..World::new() };
        std::fs::rename(after.path(), left.folder.path().join("lake")).expect("moved");
        let ids = left.ids("events").await;
        assert_eq!((ids.len() as u64, ids.values().max()), (*below, Some(&1)), "L1: after a power cut when trimmed below {below}");
    }
}

/// L1. Seen to end the loader when `roll` gives an error of the index on.
#[tokio::test]
async fn a_full_disk_under_the_index_is_waited_out() {
    let mut world = World::new();
    let strikes = Arc::new(AtomicU32::new(0));
    let struck = Arc::clone(&strikes);
    world.fault = Some(Arc::new(move |point| match point == FaultPoint::Index && struck.fetch_add(1, Ordering::SeqCst) < 2 {
        true => Err(Error::unavailable("the disk is full")),
        false => Ok(()),
    }));
    world.append(events(0..3)).await;
    assert_eq!(world.load().await.landed(), 3);
    assert!(strikes.load(Ordering::SeqCst) >= 3, "the fault fired");
    world.append(events(0..4)).await;
    assert_eq!(world.load().await.repeated(), 3, "the index knows them all the same");
}

/// Seen to end the loader when an error of `trim` is given on.
#[tokio::test]
async fn a_trim_that_fails_is_tried_again() {
    let mut world = World::new();
    let strikes = Arc::new(AtomicU32::new(0));
    let struck = Arc::clone(&strikes);
    let on_trim: OnTrim = Box::new(move |_| match struck.fetch_add(1, Ordering::SeqCst) < 2 {
        true => Err(Error::unavailable("the disk failed a rename")),
        false => Ok(()),
    });
    world.queue = Arc::new(Watched { on_trim, ..Watched::new() });
    world.append(events(0..3)).await;
    let running = world.start().await.expect("starts");
    running.handle.flush().await.expect("flushes");
    let partition = world.queue.partitions().remove(0);
    let trimmed = async {
        while world.queue.range(&partition).expect("a range").start < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), trimmed).await.expect("trimmed in the end");
    running.stop().await.expect("ends well");
    assert!(strikes.load(Ordering::SeqCst) >= 3, "the fault fired");
}

/// L2. Seen to fail, with books that do not balance, when `find_lost` finds nothing: the skip is silent.
#[tokio::test]
async fn records_of_a_table_that_is_gone_are_counted_as_quarantined() {
    let world = World::new();
    let mut both = events(0..5);
    both.extend((0..7).map(|n| record("points", n, r#"{"n":1}"#)));
    world.append(both).await;
    world.load().await;
    // One of two tables, while the queue is trimmed of both.
    std::fs::remove_dir_all(world.folder.path().join("lake/points")).expect("deleted");
    world.append(events(5..6)).await;
    let progress = world.load().await;
    assert_eq!((progress.landed(), progress.quarantined), (6, 7));
    world.append(events(6..7)).await;
    assert_eq!(world.load().await.quarantined, 7, "once");
    // All of them: another lake.
    std::fs::remove_dir_all(world.folder.path().join("lake")).expect("deleted");
    world.append(events(7..8)).await;
    let progress = world.load().await;
    assert_eq!((progress.landed(), progress.quarantined, progress.stored), (1, 14, 15));
}

/// L1. Seen to fail when `belong_to` does not look: the records are called repeats of rows in the other lake, and are in none of this one.
#[tokio::test]
async fn the_index_of_another_lake_calls_nothing_a_repeat() {
    let world = World::new();
    world.append(events(0..5)).await;
    world.load().await;
    std::fs::rename(world.folder.path().join("lake"), world.folder.path().join("old-lake")).expect("moved");
    world.append(events(0..5)).await;
    let progress = world.load().await;
    assert_eq!((progress.landed(), progress.repeated(), progress.quarantined), (5, 0, 5));
    assert_eq!(world.ids("events").await.len(), 5);
    world.append(events(0..5)).await;
    assert_eq!(world.load().await.repeated(), 5);
}

fn seen(offset: Offset, received_at: i64) -> Seen {
    let hash = record::Digest::of(&[b"x"]);
    Seen { partition: record::Digest::of(&[b"p"]), offset, received_at: Timestamp::from_micros(received_at), hash }
}

fn ids(numbers: Range<u64>) -> Vec<(Topic, RecordId)> {
    events(numbers).into_iter().map(|record| (record.topic, record.id)).collect()
}

fn fresh(numbers: Range<u64>, received_at: i64) -> Fresh {
    ids(numbers.clone()).into_iter().zip(numbers).map(|(key, n)| (key, seen(n, received_at))).collect()
}

const DAY_US: u64 = 86_400_000_000;

/// C3. Seen to fail when ids are forgotten by `received_at`: a clock that is ahead for a moment clears the index.
#[test]
fn ids_are_forgotten_by_the_time_of_running_whatever_the_clocks_say() {
    let folder = TempDir::new().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let known = |index: &Index, numbers| index.lookup(ids(numbers).into_iter()).expect("reads").len();
    let open = || Index::open(folder.path(), 7 * DAY_US as i64, Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>).expect("opens");
    let index = open();
    index.add(&fresh(0..10, 0), &Marks::default()).expect("adds");
    index.add(&fresh(10..20, i64::MAX), &Marks::default()).expect("adds");
    index.forget().expect("forgets");
    assert_eq!(known(&index, 0..20), 20, "a time far ahead makes nothing old");
    clock.advance_micros(5 * DAY_US);
    index.add(&fresh(20..30, 0), &Marks::default()).expect("adds");
    drop(index);
    // Time during which no loader runs does not count.
    clock.advance_micros(100 * DAY_US);
    let index = open();
    index.forget().expect("forgets");
    assert_eq!(known(&index, 0..30), 30);
    clock.advance_micros(3 * DAY_US);
    index.forget().expect("forgets");
    assert_eq!((known(&index, 0..20), known(&index, 20..30)), (0, 10), "what is older than the window of running is forgotten");
}

/// A file whose disk is full as long as a test likes.
#[derive(Debug)]
struct Full(FileBackend, Arc<AtomicBool>);

impl Full {
    fn check(&self) -> Result<(), std::io::Error> {
        match self.1.load(Ordering::SeqCst) {
            true => Err(std::io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Full {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.check()?;
        self.0.set_len(len)
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.check()?;
        self.0.write(offset, data)
    }
    fn close(&self) -> Result<(), std::io::Error> {
        self.0.close()
    }
}

/// Seen to fail when `with` keeps the file open after an error: it says `PreviousIo` for ever.
#[test]
fn the_index_works_again_when_its_disk_has_room_again() {
    let folder = TempDir::new().expect("a folder");
    let (full, openings) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (is_full, opened) = (Arc::clone(&full), Arc::clone(&openings));
    let open = move |path: &Path| {
        opened.fetch_add(1, Ordering::SeqCst);
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(StorageError::Io)?;
        Database::builder().create_with_backend(Full(FileBackend::new(file)?, Arc::clone(&is_full)))
    };
    let index = Index::open_with(folder.path(), 1, Arc::new(SystemClock::new()), Arc::new(open)).expect("opens");
    index.add(&fresh(0..10, 0), &Marks::default()).expect("adds");
    full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = index.add(&fresh(10..2_000, 0), &Marks::default()).expect_err("full");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    full.store(false, Ordering::SeqCst);
    index.add(&fresh(10..2_000, 0), &Marks::default()).expect("adds");
    assert_eq!(index.lookup(ids(0..2_000).into_iter()).expect("reads").len(), 2_000);
    assert!(openings.load(Ordering::SeqCst) >= 2, "it was opened again");
}

/// Seen to fail when any error at opening deletes the file.
#[test]
fn an_index_that_cannot_be_opened_now_is_not_deleted() {
    let folder = TempDir::new().expect("a folder");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Index::open(folder.path(), 1, Arc::clone(&clock)).expect("made").add(&fresh(0..10, 0), &Marks::default()).expect("adds");
    for errno in [24, 23, 13, 5, 28] {
        // Too many open files, of this process and of all; not ours; a bad sector; no room.
        let fails = move |_: &Path| Err(DatabaseError::Storage(StorageError::Io(std::io::Error::from_raw_os_error(errno))));
        let error = Index::open_with(folder.path(), 1, Arc::clone(&clock), Arc::new(fails)).err().expect("fails");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    let index = Index::open(folder.path(), 1, clock).expect("opens");
    assert_eq!(index.lookup(ids(0..10).into_iter()).expect("reads").len(), 10);
}
