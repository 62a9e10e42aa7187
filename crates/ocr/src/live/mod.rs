//! What the server knows while people read: a fold over the queue, rebuilt at start from the table and the queue's tail.
//!
//! The validator asks it which readings exist, task selection which word comes next, the board how things stand.

mod change;
mod collection;
mod status;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use record::{Clock, Digest, Error, Offset, Partition, Record, RecordId, RejectionTag, Result, Tail, Timestamp, Topic};
use tokio_util::sync::CancellationToken;

pub use collection::{LiveCollection, Pass, Thoroughness, WordEntry, WordState, WordVerdict};
pub use status::{AccuracyPoint, CollectionStatus, PageStatus, Picture, WordStatus, hardest};

use crate::{
    answer::{Answer, KnownReadings},
    collection::{Collection, PageEntry},
    selection,
};

/// How often the queue is asked for new records when there were none, in milliseconds.
const POLL_MS: u64 = 10;
/// Records taken from the queue at once.
const READ_RECORDS_MAX: usize = 4_096;

/// All collections that are open for reading.
#[derive(Debug)]
pub struct Live {
    clock: Arc<dyn Clock>,
    collections: RwLock<BTreeMap<String, Arc<Mutex<LiveCollection>>>>,
    /// The readings that the validator knows, apart from the state so that doors do not wait for it.
    readings: RwLock<BTreeMap<String, std::collections::HashMap<Digest, Digest>>>,
    next: AtomicU64,
}

impl Live {
    /// With no collections.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, collections: RwLock::default(), readings: RwLock::default(), next: AtomicU64::new(0) }
    }

    /// The clock by which leases run.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Opens a collection for reading.
    pub fn add(&self, collection: &Collection, selection: selection::Config) {
        let live = LiveCollection::new(collection.settings.clone(), &collection.pages, selection);
        self.learn_readings(&live);
        let name = collection.settings.name.clone();
        self.collections.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(Mutex::new(live)));
    }

    /// Adds a page to a collection that is open.
    ///
    /// # Errors
    /// `Invalid` when there is no such collection.
    pub fn add_page(&self, collection: &str, page: &PageEntry) -> Result<()> {
        let live = self.get(collection)?;
        let mut live = lock(&live);
        live.add_page(page);
        self.learn_readings(&live);
        Ok(())
    }

    /// The names of the open collections.
    pub fn names(&self) -> Vec<String> {
        self.collections.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// A collection by name.
    ///
    /// # Errors
    /// `Invalid` when there is none, naming those that there are.
    pub fn get(&self, name: &str) -> Result<Arc<Mutex<LiveCollection>>> {
        let collections = self.collections.read().unwrap_or_else(PoisonError::into_inner);
        collections.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = collections.keys().map(String::as_str).collect();
            let shown: String = name.chars().take(80).collect();
            Error::invalid("no such collection here").with("found", shown).with("known", known.join(", "))
        })
    }

    /// Counts a stored record, if it is an answer.
    ///
    /// # Errors
    /// `Corrupt` when its payload is not what the door lets through.
    pub fn apply(&self, record: &Record) -> Result<()> {
        if record.topic != Topic::answers() {
            return Ok(());
        }
        let answer = Answer::from_payload(&record.payload).map_err(|error| error.with("record_id", record.id))?;
        self.count(record.id, &answer, record.received_at);
        Ok(())
    }

    /// Counts an answer, once for each record id. One for a collection that is not open here is another server's.
    pub fn count(&self, id: RecordId, answer: &Answer, received_at: Timestamp) {
        if let Ok(live) = self.get(&answer.collection) {
            lock(&live).apply(id, answer, received_at);
        }
    }

    /// The offset below which every record was counted: the queue keeps the rest.
    pub fn counted_below(&self) -> Offset {
        self.next.load(Ordering::Acquire)
    }

    /// Counts what the queue has stored from an offset on; gives where to go on.
    ///
    /// # Errors
    /// As [`Tail::read`].
    pub fn follow(&self, tail: &dyn Tail, partition: &Partition, from: Offset) -> Result<Offset> {
        let mut from = from.max(tail.range(partition)?.start);
        loop {
            let batch = tail.read(partition, from, READ_RECORDS_MAX)?;
            for positioned in &batch.records {
                if let Err(error) = self.apply(&positioned.record) {
                    tracing::error!(offset = positioned.offset, %error, "a stored answer was passed over");
                }
            }
            self.next.store(batch.next, Ordering::Release);
            if batch.next == from {
                return Ok(from);
            }
            from = batch.next;
        }
    }

    /// Works out verdicts and accuracy of every collection that got answers since the last time. Readers do not wait for it.
    pub fn refresh(&self) {
        for name in self.names() {
            let Ok(live) = self.get(&name) else { continue };
            let Some(mut pass) = lock(&live).begin_pass() else { continue };
            pass.run();
            lock(&live).end_pass(pass);
        }
    }

    fn learn_readings(&self, live: &LiveCollection) {
        let known = live.words().iter().map(|word| (word.reading, word.task)).collect();
        let mut readings = self.readings.write().unwrap_or_else(PoisonError::into_inner);
        readings.insert(live.settings().name.clone(), known);
    }
}

impl KnownReadings for Live {
    fn task_of(&self, collection: &str, reading: &Digest) -> Result<Digest, RejectionTag> {
        let readings = self.readings.read().unwrap_or_else(PoisonError::into_inner);
        let known = readings.get(collection).ok_or(RejectionTag::UnknownCollection)?;
        known.get(reading).copied().ok_or(RejectionTag::UnknownTask)
    }
}

/// Locks a collection. A panic elsewhere does not stop the readers: the state is rebuilt from the queue at the next start.
pub fn lock(live: &Mutex<LiveCollection>) -> MutexGuard<'_, LiveCollection> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Follows the queue until told to stop. Blocks its thread.
///
/// # Errors
/// As [`Tail::read`]; what was read until then is counted.
pub fn run(live: &Live, tail: &dyn Tail, partition: &Partition, from: Offset, shutdown: &CancellationToken) -> Result<()> {
    let mut from = from;
    while !shutdown.is_cancelled() {
        from = live.follow(tail, partition, from)?;
        std::thread::sleep(Duration::from_millis(POLL_MS));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
