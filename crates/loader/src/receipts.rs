//! What the index of repeats knows beside repeats: which commit landed what, and why a record is in the dead letters. For who asks what
//! became of a record ([`Receipts`]). `commit` notes it, `run` reads back from the tables what a crash cut off.

use std::collections::HashMap;

use futures::TryStreamExt;
use lake::{DeadLetter, FileName};
use record::{Digest, Offset, Partition, Position, RETRIED, Receipt, Receipts, RecordId, Result, Timestamp, Topic};
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use crate::{
    commit::dead_cursor_id,
    dedup::partition_digest,
    index::{Index, Marks, failed, key},
    telemetry::{Handle, lock},
};

/// topic, 0, partition, the cursor after a commit (big endian) → the commit's version and when it was noted, 8 bytes each.
const COMMITS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("commits");
/// topic, 0, record id → when it was noted, 8 bytes, then tag, 0, message.
const LETTERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("letters");

/// Of topic and record id, what is left when the rest is forgotten: 8 bytes of their hash. Two generations, the older one goes when the
/// newer is full.
const EXPIRED: [TableDefinition<'_, u64, ()>; 2] = [TableDefinition::new("expired_0"), TableDefinition::new("expired_1")];
/// In the table of how far tables are known: which generation is the newer one. No topic's name begins with this sign.
const GENERATION: &str = "#expired_generation";

/// Records of a generation; each takes some 20 bytes on the disk.
const EXPIRED_MAX: u64 = 10_000_000;
/// The longest message that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// A commit that moved a topic's cursor.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    pub topic: Topic,
    pub partition: Digest,
    pub next: Offset,
    pub version: lake::Version,
}

/// Why a record is in the dead letters.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub topic: Topic,
    pub id: RecordId,
    pub tag: String,
    pub message: String,
}

impl Letter {
    pub(crate) fn of(letter: &DeadLetter) -> Self {
        let message = letter.message.chars().take(MESSAGE_CHARS_MAX).collect();
        Self { topic: letter.topic.clone(), id: letter.id, tag: letter.tag.clone(), message }
    }
}

pub(crate) fn make_tables(write: &WriteTransaction) -> Result<()> {
    write.open_table(COMMITS).map_err(failed)?;
    write.open_table(LETTERS).map_err(failed)?;
    for generation in EXPIRED {
        write.open_table(generation).map_err(failed)?;
    }
    Ok(())
}

pub(crate) fn delete_tables(write: &WriteTransaction) -> Result<()> {
    write.delete_table(COMMITS).map_err(failed)?;
    write.delete_table(LETTERS).map_err(failed)?;
    for generation in EXPIRED {
        write.delete_table(generation).map_err(failed)?;
    }
    Ok(())
}

/// Notes commits and letters; gives the keys of the letters, which are to be forgotten by their age.
pub(crate) fn note(write: &WriteTransaction, marks: &Marks, now: u64) -> Result<Vec<Vec<u8>>> {
    let mut commits = write.open_table(COMMITS).map_err(failed)?;
    for landing in &marks.landings {
        let value = [landing.version.to_be_bytes(), now.to_be_bytes()].concat();
        commits.insert(commit_key(&landing.topic, landing.partition, landing.next).as_slice(), value.as_slice()).map_err(failed)?;
    }
    let mut letters = write.open_table(LETTERS).map_err(failed)?;
    let mut noted = Vec::new();
    for letter in &marks.letters {
        let key = key(&letter.topic, &letter.id);
        if letter.tag == RETRIED {
            letters.remove(key.as_slice()).map_err(failed)?;
            continue;
        }
        let value = [&now.to_be_bytes()[..], letter.tag.as_bytes(), &[0], letter.message.as_bytes()].concat();
        letters.insert(key.as_slice(), value.as_slice()).map_err(failed)?;
        noted.push(key);
    }
    Ok(noted)
}

/// Forgets the letter of a key, if it was noted before, and some commits that were.
pub(crate) fn forget(write: &WriteTransaction, keys: &[Vec<u8>], before: u64) -> Result<()> {
    let mut letters = write.open_table(LETTERS).map_err(failed)?;
    for key in keys {
        let is_old = letters.get(key.as_slice()).map_err(failed)?.is_some_and(|found| number(found.value(), 0) < before);
        if is_old {
            letters.remove(key.as_slice()).map_err(failed)?;
        }
    }
    let mut commits = write.open_table(COMMITS).map_err(failed)?;
    let mut old = Vec::new();
    for entry in commits.iter().map_err(failed)? {
        let (key, value) = entry.map_err(failed)?;
        if number(value.value(), 8) < before {
            old.push(key.value().to_vec());
        }
    }
    for key in old {
        commits.remove(key.as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Keeps of rows that are forgotten that they were there.
pub(crate) fn expire(write: &WriteTransaction, known: &mut Table<'_, &'static str, u64>, rows: &[Vec<u8>]) -> Result<()> {
    let mut newer = known.get(GENERATION).map_err(failed)?.map_or(0, |found| found.value()) as usize % 2;
    if write.open_table(EXPIRED[newer]).map_err(failed)?.len().map_err(failed)? >= EXPIRED_MAX {
        newer = 1 - newer;
        write.delete_table(EXPIRED[newer]).map_err(failed)?;
        known.insert(GENERATION, newer as u64).map_err(failed)?;
    }
    let mut table = write.open_table(EXPIRED[newer]).map_err(failed)?;
    for key in rows {
        table.insert(short(key), ()).map_err(failed)?;
    }
    Ok(())
}

fn short(key: &[u8]) -> u64 {
    number(Digest::of(&[key]).as_bytes(), 0)
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

fn commit_key(topic: &Topic, partition: Digest, next: Offset) -> Vec<u8> {
    [topic.as_str().as_bytes(), &[0], partition.as_bytes(), &next.to_be_bytes()].concat()
}

impl Index {
    /// The version of the first known commit that has a topic's records up to an offset and beyond.
    fn version(&self, topic: &Topic, partition: Digest, offset: Offset) -> Result<Option<lake::Version>> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            let table = read.open_table(COMMITS).map_err(failed)?;
            let (from, to) = (commit_key(topic, partition, offset + 1), commit_key(topic, partition, Offset::MAX));
            let first = table.range::<&[u8]>(from.as_slice()..=to.as_slice()).map_err(failed)?.next();
            let first = first.transpose().map_err(failed)?;
            Ok(first.map(|(_, value)| number(value.value(), 0)))
        })
    }

    pub(crate) fn letter(&self, topic: &Topic, id: &RecordId) -> Result<Option<(String, String)>> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            let table = read.open_table(LETTERS).map_err(failed)?;
            let Some(found) = table.get(key(topic, id).as_slice()).map_err(failed)? else { return Ok(None) };
            let text = String::from_utf8_lossy(found.value().get(8..).unwrap_or_default()).into_owned();
            Ok(text.split_once('\0').map(|(tag, message)| (tag.to_owned(), message.to_owned())))
        })
    }

    pub(crate) fn is_expired(&self, topic: &Topic, id: &RecordId) -> Result<bool> {
        self.with(|database| {
            let read = database.begin_read().map_err(failed)?;
            for generation in EXPIRED {
                let table = read.open_table(generation).map_err(failed)?;
                if table.get(short(&key(topic, id))).map_err(failed)?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Reads back the dead letters that the index does not know: the window for a new index, what a crash cut off otherwise.
    pub(crate) async fn catch_up_letters(&self, table: &lake::Table, cursors: &[(Partition, Offset)]) -> Result<()> {
        let mut behind = Vec::new();
        for (partition, cursor) in cursors {
            let known = self.known(&dead_cursor_id(partition))?;
            if known.unwrap_or(0) < *cursor {
                behind.push((partition, known, *cursor));
            }
        }
        if behind.is_empty() {
            return Ok(());
        }
        let snapshot = table.snapshot().await?;
        let oldest =
            if behind.iter().any(|(_, known, _)| known.is_none()) { self.window_start() } else { Timestamp::from_micros(i64::MIN) };
        let is_new = |name: FileName| {
            let of_it = behind.iter().find(|(partition, ..)| **partition == name.partition);
            of_it.is_none_or(|(_, known, _)| known.is_none_or(|known| name.last >= known))
        };
        let files = snapshot.files.into_iter().filter(|file| FileName::parse(&file.path).is_none_or(is_new)).collect();
        let mut batches = table.scan_files(files, None)?;
        let mut letters = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            letters.extend(lake::dead_letters_of(&batch)?.into_iter().filter(|letter| letter.received_at >= oldest));
        }
        // Files come newest first; a letter and its settling go by their places.
        letters.sort_by(|a, b| a.position.cmp(&b.position));
        let known = behind.iter().map(|(partition, _, cursor)| (dead_cursor_id(partition), *cursor)).collect();
        let letters = letters.iter().map(Letter::of).collect();
        self.add(&HashMap::new(), &Marks { known, letters, ..Marks::default() })
    }
}

impl Receipts for Handle {
    fn receipt(&self, topic: &Topic, id: &RecordId) -> Result<Option<Receipt>> {
        let found = self.index.lookup([(topic.clone(), *id)].into_iter())?;
        if let Some(seen) = found.get(&(topic.clone(), *id)) {
            let partition = lock(&self.books).next.keys().find(|partition| partition_digest(partition) == seen.partition).cloned();
            let position = partition.map(|partition| Position { partition, offset: seen.offset });
            let table_version = self.index.version(topic, seen.partition, seen.offset)?;
            return Ok(Some(Receipt::Landed { position, table_version }));
        }
        if let Some((tag, message)) = self.index.letter(topic, id)? {
            return Ok(Some(Receipt::DeadLetter { tag: tag.into(), message }));
        }
        Ok(self.index.is_expired(topic, id)?.then_some(Receipt::Expired))
    }
}
