//! What following the journal does when a read fails.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ocr::live::Live;
use record::{Error, ErrorKind, Offset, Partition, Result, SystemClock, Tail, TailBatch};
use tokio_util::sync::CancellationToken;

use super::threads::follow_until;

/// A queue whose reads go as the test says; offsets without records, as a quarantined range has them.
struct Rigged {
    reads: AtomicU64,
    read: fn(u64, Offset) -> Result<TailBatch>,
    shutdown: CancellationToken,
}

impl Tail for Rigged {
    fn partitions(&self) -> Vec<Partition> {
        vec![Partition::new("rigged", 0)]
    }

    fn range(&self, _: &Partition) -> Result<Range<Offset>> {
        Ok(0..100)
    }

    fn read(&self, _: &Partition, from: Offset, _: usize) -> Result<TailBatch> {
        let read = (self.read)(self.reads.fetch_add(1, Ordering::Relaxed), from);
        if read.as_ref().is_ok_and(|batch| batch.next == 20) {
            self.shutdown.cancel();
        }
        read
    }
}

fn follow(read: fn(u64, Offset) -> Result<TailBatch>) -> (Result<()>, u64) {
    let shutdown = CancellationToken::new();
    let tail = Rigged { reads: AtomicU64::new(0), read, shutdown: shutdown.clone() };
    let live = Live::new(Arc::new(SystemClock::new()));
    let ended = follow_until(&live, &tail, &tail.partitions()[0], 0, Duration::from_millis(1), &shutdown);
    (ended, live.counted_below())
}

fn counted(next: Offset) -> Result<TailBatch> {
    Ok(TailBatch { records: Vec::new(), next, quarantined: 0 })
}

/// Fails when the first error ends the following: then the journal is never trimmed again.
#[test]
fn following_goes_on_after_a_read_that_failed_for_the_moment() {
    let (ended, next) = follow(|read, from| match read {
        0 => counted(10),
        1 | 2 => Err(Error::unavailable("the disk is away")),
        _ => {
            assert!(from >= 10, "what was counted is not counted again: {from}");
            counted(20)
        }
    });
    ended.expect("the shutdown ended it");
    assert_eq!(next, 20);
}

#[test]
fn following_ends_at_damage() {
    let (ended, next) = follow(|read, _| if read == 0 { counted(10) } else { Err(Error::corrupt("not what was written")) });
    assert_eq!(ended.expect_err("told").kind(), ErrorKind::Corrupt);
    assert_eq!(next, 10);
}
