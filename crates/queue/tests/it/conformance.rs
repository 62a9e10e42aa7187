//! Every backend against the one suite.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use queue::{Headroom, Journal, MemoryQueue, Queue, conformance, journal::Config};
use record::{Clock, ErrorKind, SystemClock, Tail, Timestamp};

fn small() -> Config {
    Config { segment_bytes: 64 << 10, headroom_bytes_min: 0, batch_bytes_max: 16 << 10, payload_bytes_max: 4 << 10, ..Config::default() }
}

#[tokio::test]
async fn memory_conforms() {
    conformance::run(async || Arc::new(MemoryQueue::new("memory", 10_000)) as Arc<dyn Queue>).await;
}

#[tokio::test]
async fn journal_conforms() {
    let root = tempfile::tempdir().expect("a folder");
    let made = std::cell::Cell::new(0);
    conformance::run(async || {
        made.set(made.get() + 1);
        let dir = root.path().join(made.get().to_string());
        Arc::new(Journal::open(&dir, small(), Arc::new(SystemClock::new())).expect("a new journal")) as Arc<dyn Queue>
    })
    .await;
}

#[tokio::test]
async fn full_memory_is_unavailable_and_says_so_before() {
    let queue = MemoryQueue::new("memory", 2);
    queue.append(vec![conformance::record(0), conformance::record(1)]).await.expect("room for two");
    assert!(matches!(queue.headroom(), Headroom::Low { .. }));
    assert_eq!(queue.append(vec![conformance::record(2)]).await.expect_err("full").kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_journal_on_real_files_is_read_after_closing_and_opening() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = || Journal::open(dir.path(), small(), Arc::new(SystemClock::new()));
    let mut id = None;
    for life in 0..4 {
        let journal = open().expect("opens");
        assert_eq!(*id.get_or_insert(journal.queue_id()), journal.queue_id(), "the queue keeps its id");
        let told: Vec<_> =
            (0..50).map(|n| journal.append((0..20).map(|m| conformance::record(life * 1000 + n * 20 + m)).collect())).collect();
        for told in told {
            told.await.expect("stored");
        }
        let (read, quarantined) = conformance::read_all(&journal, 0, 333);
        assert!(read.iter().enumerate().all(|(n, (offset, record))| *offset == n as u64 && *record == conformance::record(n as u64)));
        assert_eq!((read.len() as u64, quarantined), (life * 1000 + 1000, 0));
        assert_eq!(open().err().expect("locked").kind(), ErrorKind::Unavailable);
        if life % 2 == 0 {
            journal.close().await.expect("closed");
            let partition = conformance::partition(&journal);
            assert_eq!(journal.read(&partition, 0, 1).expect_err("closed").kind(), ErrorKind::Closed);
            drop(open().expect("closing gives the lock free"));
        }
    }
}

/// A clock that panics once it is told to: the writer asks it with every batch.
#[derive(Debug)]
struct Bomb(SystemClock, AtomicBool);

impl Clock for Bomb {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic_micros(&self) -> u64 {
        assert!(!self.1.load(Ordering::SeqCst), "the clock panics, as this test wants it");
        self.0.monotonic_micros()
    }
}

/// Q2. Seen to hang when the writer's thread has no `Ending`.
#[tokio::test]
async fn a_writer_that_panics_leaves_nobody_waiting() {
    let dir = tempfile::tempdir().expect("a folder");
    let bomb = Arc::new(Bomb(SystemClock::new(), AtomicBool::new(false)));
    let journal = Journal::open(dir.path(), small(), Arc::<Bomb>::clone(&bomb)).expect("a new journal");
    journal.append(vec![conformance::record(0)]).await.expect("stored");
    let waiting = journal.wait_for(&conformance::partition(&journal), 1);
    bomb.1.store(true, Ordering::SeqCst);
    let ends = async {
        assert_eq!(journal.append(vec![conformance::record(1)]).await.expect_err("not told").kind(), ErrorKind::Closed);
        assert_eq!(waiting.await.expect_err("never").kind(), ErrorKind::Closed);
        assert_eq!(journal.close().await.expect_err("not in order").kind(), ErrorKind::Closed);
    };
    tokio::time::timeout(Duration::from_secs(20), ends).await.expect("nobody waits for ever");
    assert_eq!(conformance::read_all(&journal, 0, 10).0.len(), 1, "what was stored can still be read");
    drop(journal);
    let journal = Journal::open(dir.path(), small(), Arc::new(SystemClock::new())).expect("the lock is free");
    assert!((1..=2).contains(&conformance::read_all(&journal, 0, 10).0.len()));
}
