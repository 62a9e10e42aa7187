//! Group commit: gathers appends, writes them, one fdatasync for all, and only then tells them (promise Q1).
//!
//! `append → channel → Writer::offer → decide → roll │ flush (write → sync → publish → acknowledge)`
//!
//! [`decide`] is pure; [`Writer::step`] does what it says. A thread or a simulator drives the steps (`drive`).

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, atomic::Ordering},
};

use record::{Error, Offset, Result};
use tokio::sync::oneshot;

use super::{
    entry,
    segment::{ENTRIES_AT, Segment, SegmentHeader},
    shared::Shared,
    spares::{self, Spare},
    telemetry,
};

/// The records of one append, encoded, and who waits for them.
pub(crate) struct Group {
    pub entries: Vec<u8>,
    pub records: u64,
    pub reply: oneshot::Sender<Result<Offset>>,
    /// Gives its share of the bytes in flight back when it is dropped.
    pub _in_flight: InFlight,
}

/// A share of the bytes in flight.
pub(crate) struct InFlight {
    shared: Arc<Shared>,
    bytes: u64,
}

impl InFlight {
    /// Takes a share.
    ///
    /// # Errors
    /// `Unavailable` when there is none left.
    pub fn take(shared: &Arc<Shared>, bytes: u64) -> Result<Self> {
        let before = shared.in_flight_bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = Self { shared: Arc::clone(shared), bytes };
        let bytes_max = shared.config.in_flight_bytes_max;
        if before + bytes > bytes_max {
            return Err(Error::unavailable("too much waits for the disk").with("in_flight_bytes_max", bytes_max));
        }
        Ok(taken)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.in_flight_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing waits.
    Idle,
    /// The first group does not fit into this segment: begin another.
    Roll,
    /// Write the first so many groups with one fdatasync.
    Flush { groups: usize },
}

/// Decides from the sizes of the waiting groups, the bytes left in the segment, and the largest batch.
/// A group is never split, so its offsets follow each other and its fate is one.
pub(crate) fn decide(group_bytes: impl Iterator<Item = usize>, room_bytes: usize, batch_bytes_max: usize) -> Step {
    let (mut groups, mut bytes) = (0, 0);
    for group in group_bytes {
        if bytes + group > room_bytes || (groups > 0 && bytes + group > batch_bytes_max) {
            return if groups == 0 { Step::Roll } else { Step::Flush { groups } };
        }
        groups += 1;
        bytes += group;
    }
    if groups == 0 { Step::Idle } else { Step::Flush { groups } }
}

/// Proof that fdatasync has returned for all that was written before. Only [`Writer::sync`] makes one.
struct Synced(());

/// The one that writes.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    active: Arc<Segment>,
    /// Where the next entry goes in the active segment.
    at: u64,
    next: Offset,
    pending: VecDeque<Group>,
    pending_bytes: usize,
    buffer: Vec<u8>,
}

impl Writer {
    /// Continues a segment at a place.
    pub fn new(shared: Arc<Shared>, active: Arc<Segment>, at: u64) -> Self {
        let next = shared.end();
        let writer = Self { shared, active, at, next, pending: VecDeque::new(), pending_bytes: 0, buffer: Vec::new() };
        writer.note_room();
        writer
    }

    /// Whether another group should wait for a later batch.
    pub fn is_full(&self) -> bool {
        self.pending_bytes >= self.shared.config.batch_bytes_max
    }

    /// How many appends wait.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds a group to those that wait.
    pub fn offer(&mut self, group: Group) {
        if self.shared.is_poisoned() {
            let _ = group.reply.send(Err(self.shared.closed_error()));
            return;
        }
        self.pending_bytes += group.entries.len();
        self.pending.push_back(group);
    }

    /// Does the next thing. Returns whether there was one.
    pub fn step(&mut self) -> bool {
        let sizes = self.pending.iter().map(|group| group.entries.len());
        match decide(sizes, self.room(), self.shared.config.batch_bytes_max) {
            Step::Idle => return false,
            Step::Roll => self.roll(),
            Step::Flush { groups } => {
                if let Err(error) = self.flush(groups) {
                    self.poison("write or fsync of a batch", &error);
                }
            }
        }
        true
    }

    /// The last words: a marker, so that damage to the last batch is told from a torn tail. Reads end here.
    pub fn close_files(&mut self) {
        if !self.shared.is_poisoned()
            && let Err(error) = self.mark()
        {
            telemetry::close_failed(&self.shared.storage.place(), &error);
        }
        self.shared.release();
    }

    /// Bytes that entries may take in the active segment; a marker always fits behind them.
    fn room(&self) -> usize {
        let room = self.active.bytes.saturating_sub(self.at + entry::HEADER_BYTES as u64);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    fn note_room(&self) {
        self.shared.room_bytes.store(self.room() as u64, Ordering::Relaxed);
    }

    fn mark(&mut self) -> io::Result<()> {
        if self.active.bytes < self.at + entry::HEADER_BYTES as u64 {
            return Ok(());
        }
        self.active.file.write_at(self.at, &entry::marker(self.active.seed, self.next))?;
        self.sync()?;
        self.at += entry::HEADER_BYTES as u64;
        Ok(())
    }

    fn flush(&mut self, groups: usize) -> io::Result<()> {
        let started = self.shared.clock.monotonic_micros();
        let first = self.next;
        let mut next = first;
        self.buffer.clear();
        for group in self.pending.iter().take(groups) {
            let at = self.buffer.len();
            self.buffer.extend_from_slice(&group.entries);
            next = entry::seal(&mut self.buffer[at..], self.active.seed, next, first);
        }
        assert!(self.buffer.len() <= self.room(), "a batch fits into its segment");
        self.active.file.write_at(self.at, &self.buffer)?;
        #[cfg(feature = "faults")]
        fail::fail_point!("journal::written");
        let synced = self.sync()?;
        #[cfg(feature = "faults")]
        fail::fail_point!("journal::synced");
        self.acknowledge(synced, groups, next);
        let micros = self.shared.clock.monotonic_micros().saturating_sub(started).max(1);
        self.note_drain(micros);
        telemetry::batch_stored(next - first, self.buffer.len() as u64, micros);
        Ok(())
    }

    fn sync(&self) -> io::Result<Synced> {
        self.active.file.sync_data()?;
        self.shared.fsyncs.fetch_add(1, Ordering::Relaxed);
        Ok(Synced(()))
    }

    /// Q1: the only place where anybody is told that records are stored, and it needs the proof.
    fn acknowledge(&mut self, _: Synced, groups: usize, next: Offset) {
        let end_at = self.at + self.buffer.len() as u64;
        let places = self.pending.iter().take(groups).scan((self.next, self.at), |(offset, at), group| {
            let place = (*offset, *at);
            *offset += group.records;
            *at += group.entries.len() as u64;
            Some(place)
        });
        self.active.publish(places, end_at);
        self.at = end_at;
        self.note_room();
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        // Readers first, so that whoever is told of a position can read it.
        self.shared.advance(next);
        for group in self.pending.drain(..groups) {
            self.pending_bytes -= group.entries.len();
            let offset = self.next;
            self.next += group.records;
            // Nobody listens any more: the records stay stored.
            let _ = group.reply.send(Ok(offset));
        }
        assert_eq!(self.next, next, "the offsets told are the offsets written");
    }

    fn note_drain(&self, micros: u64) {
        let now = (self.buffer.len() as u64).saturating_mul(1_000_000) / micros;
        let drain = &self.shared.drain_bytes_per_second;
        let before = drain.load(Ordering::Relaxed);
        drain.store(if before == 0 { now } else { (before * 7 + now) / 8 }, Ordering::Relaxed);
    }

    fn roll(&mut self) {
        let spare = match self.shared.spares.take() {
            Ok(spare) => spare,
            // Nothing of these groups is written: they may come again.
            Err(error) if spares::passes(&error) => return self.refuse(&error),
            Err(error) => return self.poison("preparing a segment", &error),
        };
        match activate(&self.shared, spare, self.next) {
            Ok(segment) => {
                let mut segments = self.shared.segments_mut();
                // A segment without entries is replaced: the new file has its name.
                if self.active.base == segment.base {
                    segments.pop();
                }
                segments.push(Arc::clone(&segment));
                drop(segments);
                self.active = segment;
                self.at = ENTRIES_AT;
                self.note_room();
            }
            Err(error) => self.poison("beginning a segment", &error),
        }
    }

    fn refuse(&mut self, error: &io::Error) {
        telemetry::refused(&self.shared.storage.place(), error);
        self.answer_all(|| Error::unavailable("the journal cannot begin another segment now").with("reason", error));
    }

    /// Q2: an error of the disk stops everything; what was written may or may not be there, so nobody is told anything else.
    fn poison(&mut self, what: &str, error: &io::Error) {
        self.shared.poison(format!("{what}: {error}"));
        let shared = Arc::clone(&self.shared);
        self.answer_all(|| shared.closed_error());
    }

    fn answer_all(&mut self, error: impl Fn() -> Error) {
        self.pending_bytes = 0;
        for group in self.pending.drain(..) {
            let _ = group.reply.send(Err(error()));
        }
    }
}

/// Makes a segment of a spare: its header is durable before its name is, and its name before any entry.
pub(crate) fn activate(shared: &Shared, spare: Spare, base: Offset) -> io::Result<Arc<Segment>> {
    let header = SegmentHeader { queue_id: shared.queue_id, base, made_at: shared.clock.now() };
    let name = Segment::name_of(base);
    header.write(&*spare.file)?;
    #[cfg(feature = "faults")]
    fail::fail_point!("journal::header_written");
    spare.file.sync_data()?;
    shared.storage.rename(&spare.name, &name)?;
    #[cfg(feature = "faults")]
    fail::fail_point!("journal::segment_renamed");
    shared.storage.sync_dir()?;
    #[cfg(feature = "faults")]
    fail::fail_point!("journal::segment_named");
    let seed = SegmentHeader::seed(shared.queue_id, base);
    let bytes = spare.file.bytes()?;
    Ok(Arc::new(Segment::new(base, seed, name, spare.file, bytes)))
}
