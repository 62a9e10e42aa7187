//! What a repeat is, and what the index of repeats keeps of a record (promise C3). `index` keeps it; `batch` judges by it.
//!
//! The index is not atomic with the commit. It holds committed records only, each with its position, and how far it knows
//! each table; what it missed in a crash it reads back from the table at the next start. A record is a repeat only of a
//! *different, earlier* position: otherwise a replay would drop its own records.

use std::collections::HashMap;

use arrow::{array::AsArray, datatypes::TimestampMicrosecondType};
use lake::RowHash;
use record::{Digest, Error, Offset, Partition, RecordId, Result, Timestamp, Topic};

/// Where a record landed, and what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub partition: Digest,
    pub offset: Offset,
    pub received_at: Timestamp,
    pub hash: RowHash,
}

/// What a record is, given the first one with its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    First,
    Repeat,
    IdReused,
}

/// The rule of repeats. It depends on what was stored alone, and not on any clock: a replay judges the same (promise L1), and a
/// clock that jumps makes no repeat a first one. A record that the index knows is known, however long ago it came.
pub(crate) fn judge(earlier: Option<&Seen>, record: &Seen) -> Verdict {
    match earlier {
        None => Verdict::First,
        // Its own position, seen before a crash; or, after the table was set back, a later one.
        Some(seen) if seen.partition == record.partition && seen.offset >= record.offset => Verdict::First,
        Some(seen) if seen.hash == record.hash => Verdict::Repeat,
        Some(_) => Verdict::IdReused,
    }
}

/// The short form of a partition in the index.
pub(crate) fn partition_digest(partition: &Partition) -> Digest {
    Digest::of(&[partition.as_str().as_bytes()])
}

/// Records by topic and id.
pub(crate) type Fresh = HashMap<(Topic, RecordId), Seen>;

impl Seen {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [&self.partition.as_bytes()[..], &self.offset.to_be_bytes(), &self.received_at.as_micros().to_be_bytes(), &self.hash.as_bytes()[..]]
            .concat()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = || {
            Error::corrupt("an entry of the index of repeats has another length: delete the index, it is made again")
                .with("found", bytes.len())
        };
        let array = |range: std::ops::Range<usize>| bytes.get(range).ok_or_else(wrong);
        let number = |range| -> Result<[u8; 8]> { array(range)?.try_into().map_err(|_| wrong()) };
        let digest = |range| -> Result<Digest> {
            let hex: String = array(range)?.iter().map(|byte| format!("{byte:02x}")).collect();
            Digest::parse(&hex)
        };
        Ok(Self {
            partition: digest(0..16)?,
            offset: u64::from_be_bytes(number(16..24)?),
            received_at: Timestamp::from_micros(i64::from_be_bytes(number(24..32)?)),
            hash: digest(32..48)?,
        })
    }
}

/// The rows of a table's batch that were received at `oldest` or later, each at one place.
pub(crate) fn fresh_of(topic: &Topic, batch: &arrow::array::RecordBatch, place: (Digest, Offset), oldest: Timestamp) -> Result<Fresh> {
    let hashes = lake::row_hashes(batch)?;
    let (ids, times) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<TimestampMicrosecondType>());
    let mut fresh = Fresh::new();
    for (row, hash) in hashes.into_iter().enumerate() {
        let received_at = Timestamp::from_micros(times.value(row));
        if received_at >= oldest {
            let seen = Seen { partition: place.0, offset: place.1, received_at, hash };
            fresh.insert((topic.clone(), RecordId::parse(ids.value(row))?), seen);
        }
    }
    Ok(fresh)
}
