//! Reading what a queue has stored, by position. The queue implements it; task selection and SQL read it.

use std::ops::Range;

use crate::{Offset, Partition, Record, Result};

/// A record with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positioned {
    /// The place in the partition.
    pub offset: Offset,
    /// The record.
    pub record: Record,
}

/// What one read brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailBatch {
    /// The records, by rising offset; offsets are missing only where a range is quarantined.
    pub records: Vec<Positioned>,
    /// Where to read on. Equal to the start of the read when nothing was there.
    pub next: Offset,
    /// Damaged records that the read passed over (promise Q3); the books count them.
    pub quarantined: u64,
}

/// Stored records by position. Calls may block on a disk or a network: not for an async task's own thread.
pub trait Tail: Send + Sync {
    /// The partitions that can be read here.
    fn partitions(&self) -> Vec<Partition>;

    /// From the oldest offset that is still kept to one past the newest stored one.
    ///
    /// # Errors
    /// `Invalid` for a partition that is not this queue's; `Unavailable` or `Closed` when the queue cannot say.
    fn range(&self, partition: &Partition) -> Result<Range<Offset>>;

    /// Reads stored records (never one that is not yet acknowledged as durable) from an offset on:
    /// at least one if there is one, at most `records_max`.
    ///
    /// # Errors
    /// `Corrupt` when `from` is beyond the end; `Invalid` when it was trimmed away; else as [`range`](Self::range).
    fn read(&self, partition: &Partition, from: Offset, records_max: usize) -> Result<TailBatch>;
}
