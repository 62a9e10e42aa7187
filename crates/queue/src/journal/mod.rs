//! The embedded queue: segments in a folder, group commit with one fdatasync for many appends.
//!
//! ```text
//! append ─ encode ─ channel ─▶ writer: write ▸ fdatasync ▸ publish ▸ acknowledge        (writer, entry)
//!                                 │ takes spare segments ◀─ housekeeper ◀─ trim          (spares)
//! read ◀─ chunks ◀─ segments ◀────┘                                                      (reader, segment)
//! open ─ lock ─ scan every segment ─ mend the tail                                       (recovery)
//! look, or copy, beside whoever has it open, and change nothing                          (inspect, copy)
//! ```
//!
//! All files go through [`Storage`]; [`FaultyStorage`] is a fake disk that loses power, tears writes and fails.
//! Threads drive the writer and the housekeeper ([`Journal::open`]), or a test does ([`Journal::open_stepped`]).

mod config;
mod copy;
mod crowd;
mod drive;
mod entry;
mod faulty;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod inbox;
mod inspect;
mod reader;
mod recovery;
mod segment;
mod shared;
mod spares;
mod storage;
mod telemetry;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io::ErrorKind,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread::JoinHandle,
};

use futures::{FutureExt, future::BoxFuture};
use record::{Clock, Durability, Error, Offset, Partition, Position, Record, RecordId, Result, Tail, TailBatch};
use tokio::sync::oneshot;

pub use self::{
    config::Config,
    copy::copy,
    drive::Stepper,
    faulty::{Faults, FaultyStorage},
    inspect::{DamagedRange, Inspection, SegmentInspection, SegmentState, inspect},
    storage::{FileStorage, Storage, StorageFile, StorageLock},
};
use self::{
    inbox::{Inbox, Refusal},
    shared::Shared,
    writer::{Group, InFlight},
};
use crate::{
    Headroom, Queue,
    memory::{check_from, check_partition, positions},
};

/// A durable log in a folder, with one partition `<queue id>/0`. Dropping it closes it.
pub struct Journal {
    shared: Arc<Shared>,
    /// Gone when the journal is closed: then the writer finishes what it has and ends.
    inbox: RwLock<Option<Inbox>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What a journal holds and has done; for metrics and for the books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The oldest offset that is kept.
    pub first: Offset,
    /// One past the newest stored record.
    pub end: Offset,
    /// Segments that hold records, or will.
    pub segments: u64,
    /// Their size on disk.
    pub bytes: u64,
    /// Offsets lost to damage, as found at opening (promise Q3).
    pub quarantined: u64,
    /// Batches written since opening.
    pub batches: u64,
    /// fdatasync calls of the writer since opening.
    pub fsyncs: u64,
    /// Bytes of appends that wait for the disk.
    pub in_flight_bytes: u64,
    /// Whether a failed write or fsync has stopped it (promise Q2).
    pub is_poisoned: bool,
}

impl Journal {
    /// Opens the journal in a folder, making folder and journal when they are not there. Starts two threads.
    ///
    /// # Errors
    /// `Invalid` for settings out of bounds, or a journal of a newer format; `Unavailable` when another process has the journal open, or
    /// the disk cannot be read or has no room; `Corrupt` for a folder that no crash leaves behind (segments of two journals, a
    /// renamed file, no readable header at all). A torn tail and damaged records are no error: see [`Status::quarantined`].
    pub fn open(dir: &Path, config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let storage = FileStorage::open(dir)
            .map_err(|error| Error::unavailable("cannot open the journal's folder").with("folder", dir.display()).because(error))?;
        Self::open_on(Arc::new(storage), config, clock)
    }

    /// As [`open`](Self::open), on any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(storage: Arc<dyn Storage>, config: Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let (journal, stepper) = Self::open_stepped(storage, config, clock)?;
        let thread = stepper.spawn().map_err(|error| Error::unavailable("cannot start the journal's threads").because(error))?;
        *journal.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(journal)
    }

    /// As [`open_on`](Self::open_on), but without threads: nothing happens except in [`Stepper::step`]. For tests and simulation.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_stepped(storage: Arc<dyn Storage>, config: Config, clock: Arc<dyn Clock>) -> Result<(Self, Stepper)> {
        config.check()?;
        let lock = storage.lock().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => Error::unavailable("another process has this journal open").with("folder", storage.place()),
            _ => Error::unavailable("cannot lock the journal's folder").with("folder", storage.place()).because(error),
        })?;
        let (shared, writer) = recovery::recover(storage, config, clock)?;
        telemetry::opened(&shared.storage.place(), &shared.status());
        let (inbox, outlet) = inbox::channel(shared.config.in_flight_appends_max);
        let stepper = Stepper::new(Arc::clone(&shared), writer, outlet, lock);
        Ok((Self { shared, inbox: RwLock::new(Some(inbox)), writer: Mutex::new(None) }, stepper))
    }

    /// The id that the journal was given when it was formatted: a UUIDv7.
    pub fn queue_id(&self) -> RecordId {
        self.shared.queue_id
    }

    /// What it holds and has done.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Encodes the records and hands them to the writer. Returns where the first offset will be told.
    fn send(&self, records: &[Record]) -> Result<oneshot::Receiver<Result<Offset>>> {
        if let Some(error) = self.shared.refusal() {
            return Err(error);
        }
        let config = &self.shared.config;
        if let Some(record) = records.iter().find(|record| record.payload.len() > config.payload_bytes_max) {
            return Err(Error::invalid("a record is larger than the journal takes")
                .with("record_id", record.id)
                .with("payload_bytes", record.payload.len())
                .with("payload_bytes_max", config.payload_bytes_max));
        }
        let bytes = records.iter().map(entry::record_bytes).sum::<usize>();
        if bytes > config.append_bytes_max() {
            return Err(Error::invalid("an append does not fit into a segment: send fewer records at once")
                .with("bytes", bytes)
                .with("bytes_max", config.append_bytes_max()));
        }
        let in_flight = InFlight::take(&self.shared, bytes as u64)?;
        let mut entries = Vec::with_capacity(bytes);
        for record in records {
            entry::encode(record, &mut entries)?;
        }
        assert_eq!(entries.len(), bytes, "a record takes the bytes that it was counted with");
        let (reply, told) = oneshot::channel();
        let group = Group { entries, records: records.len() as u64, reply, _in_flight: in_flight };
        let inbox = self.inbox.read().unwrap_or_else(PoisonError::into_inner);
        match inbox.as_ref().map(|inbox| inbox.put(group)) {
            Some(Ok(())) => Ok(told),
            Some(Err(Refusal::Full)) => {
                Err(Error::unavailable("too many appends wait for the disk").with("in_flight_appends_max", config.in_flight_appends_max))
            }
            Some(Err(Refusal::Gone)) | None => Err(self.shared.closed_error()),
        }
    }

    fn stop(&self) {
        self.inbox.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic of the writer has been printed; there is nobody else to tell.
            let _ = thread.join();
        }
    }
}

impl Tail for Journal {
    fn partitions(&self) -> Vec<Partition> {
        vec![self.shared.partition.clone()]
    }

    fn range(&self, partition: &Partition) -> Result<Range<Offset>> {
        check_partition(&self.shared.partition, partition)?;
        self.shared.check_readable()?;
        let status = self.shared.status();
        Ok(status.first..status.end)
    }

    fn read(&self, partition: &Partition, from: Offset, records_max: usize) -> Result<TailBatch> {
        check_partition(&self.shared.partition, partition)?;
        reader::read(&self.shared, from, records_max)
    }
}

impl Queue for Journal {
    fn durability(&self) -> Durability {
        Durability::Fsync
    }

    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Vec<Position>>> {
        let count = records.len() as u64;
        if count == 0 {
            return std::future::ready(Ok(Vec::new())).boxed();
        }
        let told = match self.send(&records) {
            Ok(told) => told,
            Err(error) => return std::future::ready(Err(error)).boxed(),
        };
        let partition = self.shared.partition.clone();
        async move {
            // No answer: the writer is gone, and whether the records are stored is unknown.
            let first = told.await.unwrap_or_else(|_| Err(Error::closed("the journal has stopped before it could tell")))?;
            Ok(positions(&partition, first..first + count))
        }
        .boxed()
    }

    fn headroom(&self) -> Headroom {
        self.shared.headroom()
    }

    fn wait_for(&self, partition: &Partition, offset: Offset) -> BoxFuture<'static, Result<()>> {
        match check_partition(&self.shared.partition, partition) {
            Ok(()) => self.shared.tip_receiver.wait_for(offset),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn trim(&self, partition: &Partition, below: Offset) -> Result<()> {
        check_partition(&self.shared.partition, partition)?;
        self.shared.check_readable()?;
        check_from(&(0..self.shared.end()), below)?;
        let trimmed: Vec<_> = {
            let mut segments = self.shared.segments_mut();
            // The last segment stays: it is written.
            let count = segments.windows(2).take_while(|pair| pair[1].base <= below).count();
            segments.drain(..count).collect()
        };
        for segment in trimmed {
            let name = segment.name.clone();
            self.shared
                .spares
                .recycle(segment)
                .map_err(|error| Error::unavailable("cannot free a segment of the journal").with("segment", name).because(error))?;
        }
        Ok(())
    }

    /// After this the files are closed and the lock is free; reads give `Closed`.
    fn close(&self) -> BoxFuture<'static, Result<()>> {
        self.stop();
        let closed = self.shared.tip_receiver.closed();
        let shared = Arc::clone(&self.shared);
        async move {
            closed.await;
            match shared.is_poisoned() {
                true => Err(shared.closed_error()),
                false => Ok(()),
            }
        }
        .boxed()
    }
}
