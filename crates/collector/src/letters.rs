//! Which rejected records are kept, so that garbage cannot fill the disk. `ingest` asks for each request; what is kept goes to the
//! queue as records of the topic `dead_letters`, together with the request's good records, and from there to the table of that name.
//!
//! rejected records of a request → room in the topic's allowance? → [`Letter`]s → (`ingest` → queue → loader → `LAKE/dead_letters`)

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use record::{Clock, Door, Letter, Record, RecordId, Rejection, Timestamp, Topic};

/// What a letter takes beside its payload in queue and table, in bytes: its names and its message.
const LETTER_BYTES: usize = 512;
const DAY_US: u64 = 86_400_000_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Of one record; the rest is cut off, in bytes.
    pub payload_bytes_max: usize,
    /// Of one topic, in bytes a day.
    pub bytes_per_day_max: u64,
    /// Of one topic at once after a time without rejections, in bytes; a restart allows it again.
    pub burst_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { payload_bytes_max: 64 * 1024, bytes_per_day_max: 256 << 20, burst_bytes_max: 16 << 20 }
    }
}

/// A record that was rejected.
pub(crate) struct Rejected {
    pub(crate) id: RecordId,
    pub(crate) rejection: Rejection,
    pub(crate) sent: Bytes,
}

/// The allowances of all topics.
pub(crate) struct Letters {
    topics: BTreeMap<String, Mutex<Allowance>>,
    clock: Arc<dyn Clock>,
    config: Config,
}

/// A bucket that time fills, and letters empty.
struct Allowance {
    bytes: f64,
    at_us: u64,
}

impl Letters {
    pub(crate) fn new(topics: impl Iterator<Item = String>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let at_us = clock.monotonic_micros();
        let full = || Mutex::new(Allowance { bytes: config.burst_bytes_max as f64, at_us });
        Self { topics: topics.map(|topic| (topic, full())).collect(), clock, config }
    }

    /// The letters of a request's rejected records, in their order, as far as there is room: the rest is in no table.
    pub(crate) fn write(&self, topic: &Topic, received_at: Timestamp, door: &Door, rejected: &[Rejected]) -> Vec<Record> {
        let count = self.allow(topic, rejected.iter().map(|one| self.bytes_of(one)));
        let write = |one: &Rejected| Record {
            topic: Topic::dead_letters(),
            id: one.id,
            received_at,
            door: door.clone(),
            payload: Letter::new(topic, &one.rejection, &one.sent, self.config.payload_bytes_max).to_payload(),
        };
        rejected[..count].iter().map(write).collect()
    }

    fn bytes_of(&self, one: &Rejected) -> usize {
        LETTER_BYTES + one.sent.len().min(self.config.payload_bytes_max)
    }

    /// How long until there is room for so many more bytes of a topic, in milliseconds.
    pub(crate) fn wait_ms(&self, topic: &Topic, rejected: &[Rejected]) -> u64 {
        let wanted: usize = rejected.iter().map(|one| self.bytes_of(one)).sum();
        let missing = (wanted as f64).min(self.config.burst_bytes_max as f64) - self.allowance(topic).bytes;
        let per_ms = self.config.bytes_per_day_max as f64 / (DAY_US / 1_000) as f64;
        (missing.max(0.0) / per_ms.max(f64::MIN_POSITIVE)).ceil().clamp(1_000.0, 3_600_000.0) as u64
    }

    /// Takes room for the first letters that fit; says how many those are.
    fn allow(&self, topic: &Topic, sizes: impl Iterator<Item = usize>) -> usize {
        let mut allowance = self.allowance(topic);
        let now = self.clock.monotonic_micros();
        let since = now.saturating_sub(allowance.at_us);
        let earned = since as f64 / DAY_US as f64 * self.config.bytes_per_day_max as f64;
        allowance.bytes = (allowance.bytes + earned).min(self.config.burst_bytes_max as f64);
        allowance.at_us = now;
        let fits = |size: &usize| {
            let left = allowance.bytes - *size as f64;
            if left >= 0.0 {
                allowance.bytes = left;
            }
            left >= 0.0
        };
        sizes.take_while(fits).count()
    }

    fn allowance(&self, topic: &Topic) -> MutexGuard<'_, Allowance> {
        let allowance = self.topics.get(topic.as_str()).expect("only topics that are taken here have letters");
        allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
