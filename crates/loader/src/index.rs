//! The index of repeats on disk: which ids landed, and how far each table is known. `run` opens it, `commit` tells it of each
//! commit, `batch` is given what it knows.
//!
//! It can be lost at any time: the tables fill it again. It is the index of *these* tables, by their ids: beside another lake it is
//! made anew.
//!
//! Ids are forgotten by the time that a loader has run on this index, which no setting of a clock moves. Forgetting happens only when
//! nothing waits for a commit, so that a replay after a crash finds what the first reading found (promise L1).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::TryStreamExt;
use lake::{FileName, Snapshot, Table};
use record::{Clock, Digest, Error, Offset, Partition, RecordId, Result, Timestamp, Topic};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, WriteTransaction};

use crate::{
    dedup::{Fresh, Seen, fresh_of, partition_digest},
    ledger::{self, Addition},
    receipts::{self, Landing, Letter},
};

/// topic, 0, record id → [`Seen`], 48 bytes, and when it was noted, 8 bytes.
const SEEN: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("seen_noted");
/// When it was noted (big endian), key of `SEEN` → nothing: what to forget first.
const BY_AGE: TableDefinition<'_, &[u8], ()> = TableDefinition::new("by_age");
/// cursor's app id → how far the index knows the table; `<topic>` → 1 when every older file was read; [`RUNNING`].
const KNOWN: TableDefinition<'_, &str, u64> = TableDefinition::new("known");
/// topic → id of its table.
const TABLES: TableDefinition<'_, &str, &str> = TableDefinition::new("tables");

/// How long loaders have run on this index, in microseconds. No topic's name begins with this sign.
const RUNNING: &str = "#running_us";
/// A new index reads back so much more than the window, since tables have dates and not hours; microseconds.
const MARGIN_US: i64 = 2 * 86_400_000_000;
/// The most entries that are forgotten in one transaction.
pub(crate) const FORGET_MAX: usize = 100_000;

type Opener = Arc<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync>;

/// The index. An error of its disk closes the file, and the next call opens it again: redb takes nothing more after one.
pub(crate) struct Index {
    path: PathBuf,
    open: Opener,
    database: Mutex<Option<Database>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Up to when the time of running is counted, by the clock that never goes back.
    counted_to: Mutex<u64>,
    window_us: i64,
}

/// What is noted beside the records that landed.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// How far tables are known, by their cursors.
    pub known: Vec<(String, u64)>,
    /// The commits.
    pub landings: Vec<Landing>,
    /// What is in the dead letters.
    pub letters: Vec<Letter>,
    /// What was read, for the books.
    pub ledger: Option<Addition>,
}

impl Marks {
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.landings.is_empty() && self.letters.is_empty() && self.ledger.is_none()
    }
}

pub(crate) fn failed(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        error @ redb::Error::Corrupted(_) => Error::corrupt("the index of repeats is damaged: delete it, it is made again").because(error),
        error => Error::unavailable("the index of repeats cannot be used").because(error),
    }
}

pub(crate) fn key(topic: &Topic, id: &RecordId) -> Vec<u8> {
    [topic.as_str().as_bytes(), &[0], id.as_bytes()].concat()
}

fn age_key(noted_at: u64, key: &[u8]) -> Vec<u8> {
    [&noted_at.to_be_bytes()[..], key].concat()
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the file is no index any more. Everything else passes, such as too many open files, or is for a person to mend,
/// such as a file that is not ours to read: it says nothing about what is in the file.
fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::UpgradeRequired(_) | DatabaseError::RepairAborted | DatabaseError::Storage(StorageError::Corrupted(_)) => true,
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

impl Index {
    /// Opens the index; one that is damaged is made anew, since the tables can fill it again.
    pub(crate) fn open(folder: &Path, window_us: i64, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with(folder, window_us, clock, Arc::new(|path| Database::create(path)))
    }

    /// As [`open`](Self::open), with another way to open the file.
    pub(crate) fn open_with(folder: &Path, window_us: i64, clock: Arc<dyn Clock>, open: Opener) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::unavailable("cannot make the folder of the index").with("folder", folder.display()).because(error))?;
        let counted_to = Mutex::new(clock.monotonic_micros());
        let index = Self { path: folder.join("repeats.redb"), open, database: Mutex::new(None), clock, counted_to, window_us };
        index.with(|_| Ok(()))?;
        Ok(index)
    }

    fn open_file(&self) -> Result<Database> {
        let unusable = |error| Error::unavailable("cannot open the index of repeats").with("file", self.path.display()).because(error);
        let database = match (self.open)(&self.path) {
            Ok(database) => database,
            Err(error @ DatabaseError::DatabaseAlreadyOpen) => {
                return Err(Error::unavailable("another loader uses the index of repeats")
                    .with("file", self.path.display())
                    .because(error));
            }
            Err(error) if is_damage(&error) => {
                tracing::warn!(file = %self.path.display(), %error, "the index of repeats is damaged and made again from the tables");
                std::fs::remove_file(&self.path).map_err(|error| {
                    Error::unavailable("cannot remove the damaged index").with("file", self.path.display()).because(error)
                })?;
                (self.open)(&self.path).map_err(unusable)?
            }
            Err(error) => return Err(unusable(error)),
        };
        let write = database.begin_write().map_err(failed)?;
        make_tables(&write)?;
        write.commit().map_err(failed)?;
        Ok(database)
    }

    /// Works on the open file; opens it when it is not. After an error it is opened anew at the next call.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let mut open = lock(&self.database);
        let database = match &mut *open {
            Some(database) => database,
            none => none.insert(self.open_file()?),
        };
        let done = work(database);
        if done.is_err() {
            *open = None;
        }
        done
    }

    /// What landed with these ids.
    pub(crate) fn lookup(&self, ids: impl Iterator<Item = (Topic, RecordId)>) -> Result<Fresh> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            let table = read.open_table(SEEN).map_err(failed)?;
            let mut found = Fresh::new();
            for (topic, id) in ids {
                if let Some(entry) = table.get(key(&topic, &id).as_slice()).map_err(failed)? {
                    found.insert((topic, id), Noted::from_bytes(entry.value())?.seen);
                }
            }
            Ok(found)
        })
    }

    pub(crate) fn known(&self, name: &str) -> Result<Option<u64>> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            let table = read.open_table(KNOWN).map_err(failed)?;
            Ok(table.get(name).map_err(failed)?.map(|found| found.value()))
        })
    }

    /// Notes what was committed, and how far the tables are known.
    pub(crate) fn add(&self, fresh: &Fresh, marks: &Marks) -> Result<()> {
        self.write(|write, now| {
            let mut table = write.open_table(SEEN).map_err(failed)?;
            let mut by_age = write.open_table(BY_AGE).map_err(failed)?;
            for ((topic, id), seen) in fresh {
                let key = key(topic, id);
                let old = table.get(key.as_slice()).map_err(failed)?.map(|found| Noted::from_bytes(found.value())).transpose()?;
                if let Some(old) = old {
                    // The first one stands.
                    if old.seen.partition == seen.partition && old.seen.offset <= seen.offset {
                        continue;
                    }
                    by_age.remove(age_key(old.at, &key).as_slice()).map_err(failed)?;
                }
                table.insert(key.as_slice(), Noted { seen: *seen, at: now }.to_bytes().as_slice()).map_err(failed)?;
                by_age.insert(age_key(now, &key).as_slice(), ()).map_err(failed)?;
            }
            for key in receipts::note(write, marks, now)? {
                by_age.insert(age_key(now, &key).as_slice(), ()).map_err(failed)?;
            }
            let mut known = write.open_table(KNOWN).map_err(failed)?;
            for (name, next) in &marks.known {
                known.insert(name.as_str(), *next).map_err(failed)?;
            }
            marks.ledger.as_ref().map_or(Ok(()), |addition| ledger::note(write, addition))
        })
    }

    /// Forgets what was noted longer ago than the window. To be called only when everything that was looked up is committed.
    pub(crate) fn forget(&self) -> Result<()> {
        let time = self.clock.now();
        self.write(|write, now| {
            ledger::forget(write, time)?;
            let Some(before) = now.checked_sub(u64::try_from(self.window_us).unwrap_or(0)) else { return Ok(()) };
            let mut table = write.open_table(SEEN).map_err(failed)?;
            let mut by_age = write.open_table(BY_AGE).map_err(failed)?;
            let end = age_key(before, &[]);
            let old: Vec<Vec<u8>> = by_age
                .range::<&[u8]>(..end.as_slice())
                .map_err(failed)?
                .take(FORGET_MAX)
                .map(|entry| entry.map(|(key, _)| key.value().to_vec()).map_err(failed))
                .collect::<Result<_>>()?;
            let mut expired = Vec::new();
            for age_key in &old {
                by_age.remove(age_key.as_slice()).map_err(failed)?;
                let key = &age_key[8..];
                // A key may have been noted twice: as a letter, and later as a row.
                let is_old = match table.get(key).map_err(failed)? {
                    Some(found) => Noted::from_bytes(found.value())?.at < before,
                    None => false,
                };
                if is_old {
                    table.remove(key).map_err(failed)?;
                    expired.push(key.to_vec());
                }
            }
            receipts::expire(write, &mut write.open_table(KNOWN).map_err(failed)?, &expired)?;
            let keys: Vec<Vec<u8>> = old.into_iter().map(|key| key[8..].to_vec()).collect();
            receipts::forget(write, &keys, before)
        })
    }

    /// One transaction, which also counts the time of running; `work` is given how much that is.
    pub(crate) fn write(&self, work: impl FnOnce(&WriteTransaction, u64) -> Result<()>) -> Result<()> {
        let mut counted_to = lock(&self.counted_to);
        let reached = self.clock.monotonic_micros();
        let since = reached.saturating_sub(*counted_to);
        self.with(|database| {
            let write = database.begin_write().map_err(failed)?;
            let now = {
                let mut marks = write.open_table(KNOWN).map_err(failed)?;
                let before = marks.get(RUNNING).map_err(failed)?.map_or(0, |found| found.value());
                marks.insert(RUNNING, before.saturating_add(since)).map_err(failed)?;
                before.saturating_add(since)
            };
            work(&write, now)?;
            #[cfg(feature = "faults")]
            fail::fail_point!("index::written");
            write.commit().map_err(failed)
        })?;
        #[cfg(feature = "faults")]
        fail::fail_point!("index::committed");
        *counted_to = reached;
        Ok(())
    }

    /// Whether the index knows other tables than these under their topics' names.
    pub(crate) fn is_of_others(&self, tables: &BTreeMap<Topic, Table>) -> Result<bool> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            let (marks, known) = (read.open_table(KNOWN).map_err(failed)?, read.open_table(TABLES).map_err(failed)?);
            for (topic, table) in tables {
                let id = known.get(topic.as_str()).map_err(failed)?;
                let is_filled = marks.get(topic.as_str()).map_err(failed)?.is_some();
                if id.map_or(is_filled, |id| id.value() != table.id()) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Whether it knows a table of this topic.
    pub(crate) fn knows(&self, topic: &Topic) -> Result<bool> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            Ok(read.open_table(TABLES).map_err(failed)?.get(topic.as_str()).map_err(failed)?.is_some())
        })
    }

    /// Makes the index the one of these tables: when it knows another table under a topic's name, it is of another lake, and what it
    /// calls a repeat landed elsewhere. All is forgotten then, and read back from the tables.
    pub(crate) fn belong_to(&self, tables: &BTreeMap<Topic, Table>) -> Result<()> {
        let is_of_others = self.is_of_others(tables)?;
        if is_of_others {
            tracing::warn!(file = %self.path.display(), "the index of repeats is one of other tables and made again from these");
        }
        self.write(|write, _| {
            if is_of_others {
                write.delete_table(SEEN).map_err(failed)?;
                write.delete_table(BY_AGE).map_err(failed)?;
                write.delete_table(KNOWN).map_err(failed)?;
                write.delete_table(TABLES).map_err(failed)?;
                receipts::delete_tables(write)?;
                ledger::delete_tables(write)?;
                make_tables(write)?;
            }
            let mut known = write.open_table(TABLES).map_err(failed)?;
            for (topic, table) in tables {
                known.insert(topic.as_str(), table.id()).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// Reads back from a table what the index does not know: the window for a new index, what a crash cut off otherwise.
    pub(crate) async fn catch_up(&self, topic: &Topic, table: &Table, cursors: &[(Partition, Offset)]) -> Result<()> {
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
        let snapshot = table.snapshot().await?;
        let (version, window_from) = (snapshot.version, self.window_from(&snapshot));
        for file in snapshot.files {
            let name = FileName::parse(&file.path);
            let is_new = |name: &FileName| behind.iter().any(|(partition, known, _)| **partition == name.partition && name.last >= *known);
            let oldest = match name.as_ref().is_some_and(is_new) && !whole {
                true => Timestamp::from_micros(i64::MIN), // it landed a moment ago, whatever its time says
                false if whole => window_from,
                false => continue,
            };
            // The file's lowest offset stands for each of its rows: they all lie below the cursor, hence before what is read next.
            let (partition, offset) = name.map_or((Digest::of(&[]), 0), |name| (partition_digest(&name.partition), name.first));
            let mut batches = table.scan_files(vec![file], None)?;
            while let Some(batch) = batches.try_next().await? {
                self.add(&fresh_of(topic, &batch, (partition, offset), oldest)?, &Marks::default())?;
            }
        }
        let mut known: Vec<(String, u64)> = behind.iter().map(|(partition, _, cursor)| (partition.cursor_id(topic), *cursor)).collect();
        known.push((topic.to_string(), 1));
        // Which commit landed each row is not read back: by this one all of them are there.
        let landing = |(partition, _, next): &(&Partition, u64, u64)| Landing {
            topic: topic.clone(),
            partition: partition_digest(partition),
            next: *next,
            version,
        };
        let landings = behind.iter().map(landing).collect();
        self.add(&Fresh::new(), &Marks { known, landings, ..Marks::default() })
    }

    /// Where the window of a new index begins where no table's dates are known.
    pub(crate) fn window_start(&self) -> Timestamp {
        self.clock.now().plus_micros(-self.window_us - MARGIN_US)
    }

    /// Where the window of a new index begins: back from now or from the newest date in the table, whichever is earlier. Then neither
    /// a clock that is ahead today, nor rows of a day when it was, leave out what came since.
    fn window_from(&self, snapshot: &Snapshot) -> Timestamp {
        let newest = snapshot.files.iter().filter_map(|file| file.received_date()).max();
        let newest = newest.and_then(|date| Timestamp::parse(&format!("{date}T00:00:00Z")).ok());
        let now = self.clock.now();
        newest.map_or(now, |newest| newest.min(now)).plus_micros(-self.window_us - MARGIN_US)
    }
}

fn make_tables(write: &WriteTransaction) -> Result<()> {
    write.open_table(SEEN).map_err(failed)?;
    write.open_table(BY_AGE).map_err(failed)?;
    write.open_table(KNOWN).map_err(failed)?;
    write.open_table(TABLES).map_err(failed)?;
    receipts::make_tables(write)?;
    ledger::make_tables(write)
}

/// An entry of the index.
struct Noted {
    seen: Seen,
    /// The time of running.
    at: u64,
}

impl Noted {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.seen.to_bytes()[..], &self.at.to_be_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (seen, at) = bytes.split_last_chunk::<8>().unwrap_or((bytes, &[0; 8]));
        Ok(Self { seen: Seen::from_bytes(seen)?, at: u64::from_be_bytes(*at) })
    }
}
