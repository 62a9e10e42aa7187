//! The books of a run: what clients issued, what they were told, and what stood at each offset that was read. Nothing in here comes from the
//! rooms' own books. `client` and `tap` write them, `judge` reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use record::{Offset, Partition, Position, RecordId, TailBatch, Topic};

/// A record by topic and id.
pub type Key = (Topic, RecordId);

/// The books. Clones are the same.
#[derive(Clone, Default)]
pub struct Oracle(Arc<Mutex<Books>>);

/// What is known.
#[derive(Default)]
pub struct Books {
    /// Everything that a client sent under an id; the first is the one that came first from it.
    pub issued: BTreeMap<Key, Vec<String>>,
    /// Whose record it is, and its place in that client's order.
    pub order: BTreeMap<Key, (usize, u64)>,
    /// What was told as stored, and where.
    pub acknowledged: Vec<(Key, String, Position)>,
    /// Marks of records that cannot be accepted; `true` once its sender was told so in a way that means that the rejection is kept.
    pub refused: BTreeMap<String, bool>,
    /// What stood at each offset, when it was read first.
    pub read: BTreeMap<(Partition, Offset), (Topic, RecordId, String)>,
    /// What is wrong already.
    pub wrong: Vec<String>,
}

impl Oracle {
    /// A client sends this under an id of its own.
    pub fn issue(&self, key: &Key, payload: &str, order: (usize, u64)) {
        let mut books = self.books();
        books.issued.entry(key.clone()).or_default().push(payload.to_owned());
        books.order.entry(key.clone()).or_insert(order);
    }

    /// A client is about to send what cannot be accepted; `mark` stands in it and nowhere else.
    pub fn issue_bad(&self, mark: &str) {
        self.books().refused.insert(mark.to_owned(), false);
    }

    /// A client was told that this is stored.
    pub fn acknowledge(&self, key: &Key, payload: &str, position: Position) {
        self.books().acknowledged.push((key.clone(), payload.to_owned(), position));
    }

    /// A client was told that this is refused, and that the refusal is kept.
    pub fn refuse(&self, mark: &str) {
        self.books().refused.insert(mark.to_owned(), true);
    }

    /// What is wrong whatever comes later.
    pub fn wrong(&self, what: String) {
        self.books().wrong.push(what);
    }

    /// A loader read this. What stands at an offset never changes, and a damaged record is none of ours: no fault here damages what was synced.
    pub fn read(&self, partition: &Partition, batch: &TailBatch) {
        let mut books = self.books();
        if batch.quarantined > 0 {
            books.wrong.push(format!("Q3: {} records of {partition} are quarantined below {}", batch.quarantined, batch.next));
        }
        for found in &batch.records {
            let record = &found.record;
            let seen = (record.topic.clone(), record.id, String::from_utf8_lossy(&record.payload).into_owned());
            let before = books.read.get(&(partition.clone(), found.offset)).cloned();
            match before {
                None => drop(books.read.insert((partition.clone(), found.offset), seen)),
                Some(before) if before == seen => {}
                Some(before) => {
                    books.wrong.push(format!("Q1: {partition}:{} was {before:?} and is {seen:?}", found.offset));
                }
            }
        }
    }

    /// The books, for the judge.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// The offsets of a partition that were read.
    pub fn offsets(&self, partition: &Partition) -> BTreeSet<Offset> {
        self.read.keys().filter(|(of, _)| of == partition).map(|(_, offset)| *offset).collect()
    }
}
