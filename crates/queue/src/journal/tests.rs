//! The journal on the fake disk: what a power cut, a failed sync, rot and a full disk may and may not do.

mod copy;
mod crowd;
mod damage;
mod disk;
mod exhaustive;
mod faults;
mod inbox;
mod model;
mod steps;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use record::{ManualClock, Offset, Position, Record, Result, Tail, Timestamp};

use super::{Config, FaultyStorage, Journal, Stepper};
use crate::{Queue, conformance};

/// Segments so small that a test sees many.
fn small() -> Config {
    Config { segment_bytes: 16 << 10, batch_bytes_max: 4 << 10, payload_bytes_max: 2 << 10, headroom_bytes_min: 0, ..Config::default() }
}

fn open(disk: &FaultyStorage, config: Config) -> Result<(Journal, Stepper)> {
    let clock = ManualClock::new(Timestamp::from_micros(1_764_000_000_000_000));
    Journal::open_stepped(Arc::new(disk.clone()), config, Arc::new(clock))
}

type Append = BoxFuture<'static, Result<Vec<Position>>>;

fn append(journal: &Journal, numbers: std::ops::Range<u64>) -> Append {
    journal.append(numbers.map(conformance::record).collect())
}

/// Appends one batch and waits for it; the first offset.
fn store(journal: &Journal, stepper: &mut Stepper, numbers: std::ops::Range<u64>) -> Offset {
    let told = append(journal, numbers);
    while stepper.step() {}
    told.now_or_never().expect("the writer has told").expect("stored")[0].offset
}

/// All records, their numbers checked against their offsets; and how many are quarantined.
fn numbers(journal: &Journal) -> (Vec<u64>, u64) {
    let partition = conformance::partition(journal);
    let first = journal.range(&partition).expect("the range").start;
    let (read, quarantined) = conformance::read_all(journal, first, 50);
    (read.iter().map(|(_, record)| number(record)).collect(), quarantined)
}

/// The number that a record was made from; everything else in it is checked.
fn number(record: &Record) -> u64 {
    let number = u64::from_be_bytes(record.id.as_bytes()[8..].try_into().expect("eight bytes"));
    assert_eq!(*record, conformance::record(number), "a record is read as it was appended");
    number
}
