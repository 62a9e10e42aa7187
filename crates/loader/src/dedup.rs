//! What a repeat is, and the index that knows what landed (promise C3). Asked by `batch`, told by `commit` after each commit.
//!
//! The index is not atomic with the commit. It holds committed records only, each with its position, and how far it knows
//! each table; what it missed in a crash it reads back from the table at the next start. A record is a repeat only of a
//! *different, earlier* position: otherwise a replay would drop its own records.

use std::{collections::HashMap, path::Path};

use arrow::{array::AsArray, datatypes::TimestampMicrosecondType};
use futures::TryStreamExt;
use lake::{FileName, RowHash, Table};
use record::{Digest, Error, Offset, Partition, RecordId, Result, Timestamp, Topic};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

/// topic, 0, record id → [`Seen`], 48 bytes.
const SEEN: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("seen");
/// received_at (big endian, sign flipped), key of `SEEN` → nothing: what to forget first.
const BY_TIME: TableDefinition<'_, &[u8], ()> = TableDefinition::new("by_time");
/// cursor's app id → how far the index knows the table; `<topic>` → 1 when every older file was read.
const KNOWN: TableDefinition<'_, &str, u64> = TableDefinition::new("known");

/// Entries are kept longer than the window by this, so that a replay judges as the first reading did; microseconds.
const MARGIN_US: i64 = 86_400_000_000;
/// The most entries that are forgotten in one transaction.
const FORGET_MAX: usize = 100_000;

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

/// The rule of repeats. It depends on what was stored alone, not on the clock: a replay judges the same (promise L1).
pub(crate) fn judge(earlier: Option<&Seen>, record: &Seen, window_us: i64) -> Verdict {
    match earlier {
        None => Verdict::First,
        // Its own position, seen before a crash; or, after the table was set back, a later one.
        Some(seen) if seen.partition == record.partition && seen.offset >= record.offset => Verdict::First,
        Some(seen) if record.received_at.micros_since(seen.received_at).abs() > window_us => Verdict::First,
        Some(seen) if seen.hash == record.hash => Verdict::Repeat,
        Some(_) => Verdict::IdReused,
    }
}

/// The short form of a partition in the index.
pub(crate) fn partition_digest(partition: &Partition) -> Digest {
    Digest::of(&[partition.as_str().as_bytes()])
}

pub(crate) type Fresh = HashMap<(Topic, RecordId), Seen>;

pub(crate) struct Index {
    database: Database,
    window_us: i64,
}

fn failed(error: impl Into<redb::Error>) -> Error {
    Error::unavailable("the index of repeats cannot be used").because(error.into())
}

fn key(topic: &Topic, id: &RecordId) -> Vec<u8> {
    [topic.as_str().as_bytes(), &[0], id.as_bytes()].concat()
}

fn time_key(received_at: Timestamp, key: &[u8]) -> Vec<u8> {
    [&(received_at.as_micros() ^ i64::MIN).to_be_bytes()[..], key].concat()
}

impl Seen {
    fn to_bytes(self) -> Vec<u8> {
        [&self.partition.as_bytes()[..], &self.offset.to_be_bytes(), &self.received_at.as_micros().to_be_bytes(), &self.hash.as_bytes()[..]]
            .concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
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

impl Index {
    /// Opens the index; one that is damaged is made anew, since the tables can fill it again.
    pub(crate) fn open(folder: &Path, window_us: i64) -> Result<Self> {
        let cannot = |error: std::io::Error| {
            Error::unavailable("cannot make the folder of the index").with("folder", folder.display()).because(error)
        };
        std::fs::create_dir_all(folder).map_err(cannot)?;
        let path = folder.join("repeats.redb");
        let database = match Database::create(&path) {
            Ok(database) => database,
            Err(error @ DatabaseError::DatabaseAlreadyOpen) => {
                return Err(Error::unavailable("another loader uses the index of repeats").with("file", path.display()).because(error));
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the index of repeats is damaged and made again from the tables");
                std::fs::remove_file(&path).map_err(cannot)?;
                Database::create(&path).map_err(failed)?
            }
        };
        let write = database.begin_write().map_err(failed)?;
        {
            write.open_table(SEEN).map_err(failed)?;
            write.open_table(BY_TIME).map_err(failed)?;
            write.open_table(KNOWN).map_err(failed)?;
        }
        write.commit().map_err(failed)?;
        Ok(Self { database, window_us })
    }

    pub(crate) fn window_us(&self) -> i64 {
        self.window_us
    }

    /// What landed with these ids.
    pub(crate) fn lookup(&self, topic: &Topic, ids: &[RecordId]) -> Result<Vec<Option<Seen>>> {
        let read = self.database.begin_read().map_err(failed)?;
        let table = read.open_table(SEEN).map_err(failed)?;
        ids.iter()
            .map(|id| match table.get(key(topic, id).as_slice()).map_err(failed)? {
                Some(found) => Seen::from_bytes(found.value()).map(Some),
                None => Ok(None),
            })
            .collect()
    }

    fn known(&self, name: &str) -> Result<Option<u64>> {
        let read = self.database.begin_read().map_err(failed)?;
        let table = read.open_table(KNOWN).map_err(failed)?;
        Ok(table.get(name).map_err(failed)?.map(|found| found.value()))
    }

    /// Notes what was committed, and how far the tables are known; forgets what is long past the window.
    pub(crate) fn add(&self, fresh: &Fresh, known: &[(String, u64)]) -> Result<()> {
        let write = self.database.begin_write().map_err(failed)?;
        {
            let mut table = write.open_table(SEEN).map_err(failed)?;
            let mut by_time = write.open_table(BY_TIME).map_err(failed)?;
            for ((topic, id), seen) in fresh {
                let key = key(topic, id);
                let old = table.get(key.as_slice()).map_err(failed)?.map(|found| Seen::from_bytes(found.value())).transpose()?;
                if old.is_some_and(|old| old.received_at > seen.received_at) {
                    continue;
                }
                if let Some(old) = old {
                    by_time.remove(time_key(old.received_at, &key).as_slice()).map_err(failed)?;
                }
                table.insert(key.as_slice(), seen.to_bytes().as_slice()).map_err(failed)?;
                by_time.insert(time_key(seen.received_at, &key).as_slice(), ()).map_err(failed)?;
            }
            if let Some(newest) = fresh.values().map(|seen| seen.received_at).max() {
                let end = time_key(newest.plus_micros(-self.window_us - MARGIN_US), &[]);
                let old: Vec<Vec<u8>> = by_time
                    .range::<&[u8]>(..end.as_slice())
                    .map_err(failed)?
                    .take(FORGET_MAX)
                    .map(|entry| entry.map(|(key, _)| key.value().to_vec()).map_err(failed))
                    .collect::<Result<_>>()?;
                for key in old {
                    by_time.remove(key.as_slice()).map_err(failed)?;
                    table.remove(&key[8..]).map_err(failed)?;
                }
            }
            let mut marks = write.open_table(KNOWN).map_err(failed)?;
            for (name, next) in known {
                marks.insert(name.as_str(), *next).map_err(failed)?;
            }
        }
        write.commit().map_err(failed)
    }

    /// Reads back from a table what the index does not know: all of it for a new index, what a crash cut off otherwise.
    pub(crate) async fn catch_up(&self, topic: &Topic, table: &Table, cursors: &[(Partition, Offset)], now: Timestamp) -> Result<()> {
        let whole = self.known(topic.as_str())?.is_none();
        let mut behind = Vec::new();
        for (partition, cursor) in cursors {
            let known = self.known(&partition.cursor_id(topic))?.unwrap_or(0);
            if known < *cursor {
                behind.push((partition, known, *cursor));
            }
        }
        if !whole && behind.is_empty() {
            return Ok(());
        }
        let oldest = now.plus_micros(-self.window_us - MARGIN_US);
        for file in table.snapshot().await?.files {
            let name = FileName::parse(&file.path);
            let is_new = |name: &FileName| behind.iter().any(|(partition, known, _)| **partition == name.partition && name.last >= *known);
            if !whole && !name.as_ref().is_some_and(is_new) {
                continue;
            }
            // The file's lowest offset stands for each of its rows: they all lie below the cursor, hence before what is read next.
            let (partition, offset) = name.map_or((Digest::of(&[]), 0), |name| (partition_digest(&name.partition), name.first));
            let mut batches = table.scan_files(vec![file], None)?;
            while let Some(batch) = batches.try_next().await? {
                self.add(&fresh_of(topic, &batch, (partition, offset), oldest)?, &[])?;
            }
        }
        let mut known: Vec<(String, u64)> = behind.iter().map(|(partition, _, cursor)| (partition.cursor_id(topic), *cursor)).collect();
        known.push((topic.to_string(), 1));
        self.add(&Fresh::new(), &known)
    }
}

fn fresh_of(topic: &Topic, batch: &arrow::array::RecordBatch, place: (Digest, Offset), oldest: Timestamp) -> Result<Fresh> {
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
