//! What appenders, the writer, readers and the housekeeper share.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

use record::{Clock, Error, Offset, Partition, RecordId, Result};

use super::{Status, config::Config, segment::Segment, spares::Spares, storage::Storage, telemetry};
use crate::{
    Headroom,
    tip::{TipReceiver, TipSender},
};

/// Takes records.
const OPEN: u8 = 0;
/// Takes no more, and may be read.
const POISONED: u8 = 1;
/// The files are given free.
const CLOSED: u8 = 2;

/// How long a sender waits when the disk is full, in milliseconds: trimming frees segments every few seconds.
const DISK_RETRY_AFTER_MS: u64 = 5_000;
/// The bounds of the time computed from the drain rate, in milliseconds.
const DRAIN_RETRY_AFTER_MS: std::ops::RangeInclusive<u64> = 50..=30_000;

/// The common state of a journal.
pub(crate) struct Shared {
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<dyn Clock>,
    pub config: Config,
    pub queue_id: RecordId,
    pub partition: Partition,
    pub spares: Spares,
    pub tip: TipSender,
    pub tip_receiver: TipReceiver,
    segments: RwLock<Vec<Arc<Segment>>>,
    end: AtomicU64,
    state: AtomicU8,
    poison: OnceLock<String>,
    pub in_flight_bytes: AtomicU64,
    /// Bytes that fit into the last segment.
    pub room_bytes: AtomicU64,
    /// What the disk took lately, in bytes a second.
    pub drain_bytes_per_second: AtomicU64,
    pub quarantined: AtomicU64,
    pub batches: AtomicU64,
    pub fsyncs: AtomicU64,
}

/// The parts that a journal is made of.
pub(crate) struct Parts {
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<dyn Clock>,
    pub config: Config,
    pub queue_id: RecordId,
    pub spares: Spares,
    pub segments: Vec<Arc<Segment>>,
    pub end: Offset,
    pub quarantined: u64,
}

impl Shared {
    pub fn new(parts: Parts) -> Self {
        let (tip, tip_receiver) = crate::tip::Tip::channel(parts.end);
        Self {
            partition: Partition::new(parts.queue_id, 0),
            storage: parts.storage,
            clock: parts.clock,
            config: parts.config,
            queue_id: parts.queue_id,
            spares: parts.spares,
            tip,
            tip_receiver,
            segments: RwLock::new(parts.segments),
            end: AtomicU64::new(parts.end),
            state: AtomicU8::new(OPEN),
            poison: OnceLock::new(),
            in_flight_bytes: AtomicU64::new(0),
            room_bytes: AtomicU64::new(0),
            drain_bytes_per_second: AtomicU64::new(0),
            quarantined: AtomicU64::new(parts.quarantined),
            batches: AtomicU64::new(0),
            fsyncs: AtomicU64::new(0),
        }
    }

    pub fn segments(&self) -> RwLockReadGuard<'_, Vec<Arc<Segment>>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn segments_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Segment>>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// One past the last durable record.
    pub fn end(&self) -> Offset {
        self.end.load(Ordering::Acquire)
    }

    /// Records below `end` are durable and can be read.
    pub fn advance(&self, end: Offset) {
        self.end.store(end, Ordering::Release);
        self.tip.advance(end);
    }

    /// Takes no more records (promise Q2).
    pub fn poison(&self, reason: String) {
        let reason = self.poison.get_or_init(|| reason);
        if self.state.compare_exchange(OPEN, POISONED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            telemetry::poisoned(&self.storage.place(), reason);
        }
        self.tip.close();
    }

    /// Gives the files free: reads end.
    pub fn release(&self) {
        self.state.store(CLOSED, Ordering::SeqCst);
        self.segments_mut().clear();
    }

    /// Why no records are taken, if none are.
    pub fn refusal(&self) -> Option<Error> {
        match self.state.load(Ordering::Acquire) {
            OPEN => None,
            _ => Some(self.closed_error()),
        }
    }

    /// The error for all that cannot be stored any more.
    pub fn closed_error(&self) -> Error {
        match self.poison.get() {
            Some(reason) => {
                Error::closed("the journal has stopped after a failure and takes no records any more: restart it once the cause is mended")
                    .with("reason", reason)
            }
            None => Error::closed("the journal is closed"),
        }
    }

    pub fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    /// # Errors
    /// `Closed` when the files are given free.
    pub fn check_readable(&self) -> Result<()> {
        if self.state.load(Ordering::Acquire) == CLOSED { Err(self.closed_error()) } else { Ok(()) }
    }

    /// Whether records can be taken (promise C2). Reads a few numbers.
    pub fn headroom(&self) -> Headroom {
        let in_flight = self.in_flight_bytes.load(Ordering::Relaxed);
        let writable = self.room_bytes.load(Ordering::Relaxed) + self.spares.writable_bytes();
        if writable < in_flight + self.config.batch_bytes_max as u64 {
            return Headroom::Low { retry_after_ms: DISK_RETRY_AFTER_MS };
        }
        if in_flight > self.config.in_flight_bytes_max / 4 * 3 {
            let rate = self.drain_bytes_per_second.load(Ordering::Relaxed).max(1);
            let millis = (in_flight.saturating_mul(1_000) / rate).clamp(*DRAIN_RETRY_AFTER_MS.start(), *DRAIN_RETRY_AFTER_MS.end());
            return Headroom::Low { retry_after_ms: millis };
        }
        Headroom::Enough
    }

    pub fn status(&self) -> Status {
        let segments = self.segments();
        Status {
            first: segments.first().map_or(self.end(), |segment| segment.base),
            end: self.end(),
            segments: segments.len() as u64,
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            quarantined: self.quarantined.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            fsyncs: self.fsyncs.load(Ordering::Relaxed),
            in_flight_bytes: self.in_flight_bytes.load(Ordering::Relaxed),
            is_poisoned: self.is_poisoned(),
        }
    }
}
