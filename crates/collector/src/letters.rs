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

/// What a record takes beside its payload in the queue, in bytes.
const ENTRY_BYTES: usize = 100;
/// The most letters that are appended at a time, in bytes: an append fits into any segment of a journal, and the good records with it.
const APPEND_BYTES_MAX: usize = 512 * 1024;
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
    /// Letters that then are not stored are to be [given back](Self::give_back).
    pub(crate) fn write(&self, topic: &Topic, received_at: Timestamp, door: &Door, rejected: &[Rejected]) -> Vec<Record> {
        if rejected.is_empty() {
            return Vec::new();
        }
        let mut allowance = self.allowance(topic);
        let now = self.clock.monotonic_micros();
        let since = now.saturating_sub(allowance.at_us);
        let earned = since as f64 / DAY_US as f64 * self.config.bytes_per_day_max as f64;
        allowance.bytes = (allowance.bytes + earned).min(self.config.burst_bytes_max as f64);
        allowance.at_us = now;
        let mut letters = Vec::new();
        for one in rejected {
            let payload = self.letter(topic, one);
            let left = allowance.bytes - bytes_of(&payload) as f64;
            if left < 0.0 {
                break;
            }
            allowance.bytes = left;
            letters.push(Record { topic: Topic::dead_letters(), id: one.id, received_at, door: door.clone(), payload });
        }
        letters
    }

    /// Gives the room of letters back that are not stored.
    pub(crate) fn give_back(&self, topic: &Topic, bytes: usize) {
        let mut allowance = self.allowance(topic);
        allowance.bytes = (allowance.bytes + bytes as f64).min(self.config.burst_bytes_max as f64);
    }

    /// How long until there is room for the letters of these records, in milliseconds.
    pub(crate) fn wait_ms(&self, topic: &Topic, rejected: &[Rejected]) -> u64 {
        let wanted: usize = rejected.iter().map(|one| bytes_of(&self.letter(topic, one))).sum();
        let missing = (wanted as f64).min(self.config.burst_bytes_max as f64) - self.allowance(topic).bytes;
        let per_ms = self.config.bytes_per_day_max as f64 / (DAY_US / 1_000) as f64;
        (missing.max(0.0) / per_ms.max(f64::MIN_POSITIVE)).ceil().clamp(1_000.0, 3_600_000.0) as u64
    }

    fn letter(&self, topic: &Topic, one: &Rejected) -> Bytes {
        Letter::new(topic, &one.rejection, &one.sent, self.config.payload_bytes_max).to_payload()
    }

    fn allowance(&self, topic: &Topic) -> MutexGuard<'_, Allowance> {
        let allowance = self.topics.get(topic.as_str()).expect("only topics that are taken here have letters");
        allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room that letters take.
pub(crate) fn room_of(letters: &[Record]) -> usize {
    letters.iter().map(|letter| bytes_of(&letter.payload)).sum()
}

fn bytes_of(payload: &Bytes) -> usize {
    ENTRY_BYTES + payload.len()
}

/// The letters of a request in as many appends as they need; the last goes with the good records. There is always a last one.
pub(crate) fn appends(letters: Vec<Record>) -> (Vec<Vec<Record>>, Vec<Record>) {
    let (mut full, mut last, mut bytes) = (Vec::new(), Vec::new(), 0);
    for letter in letters {
        bytes += bytes_of(&letter.payload);
        if bytes > APPEND_BYTES_MAX && !last.is_empty() {
            full.push(std::mem::take(&mut last));
            bytes = bytes_of(&letter.payload);
        }
        last.push(letter);
    }
    (full, last)
}
