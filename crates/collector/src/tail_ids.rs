//! Which ids stand in the queue, for `receipts`: records that are stored and not in their table yet. In memory, made from the queue alone,
//! eight bytes a record, and forgotten where the queue is trimmed, that is once the tables have them.
//!
//! A record is found by a hash of topic and id; the queue itself then says whether it is the one.

use std::collections::VecDeque;

use record::{Digest, ErrorKind, Letter, Offset, Partition, Record, RecordId, Result, Tail, Topic};

#[cfg(test)]
mod tests;

/// Records of a sealed chunk.
const CHUNK_RECORDS: usize = 64 * 1024;
/// The bit of a hash that says: a letter of the record, and not the record itself.
const LETTER: u32 = 1;
/// The most places of a record, and of its letters, that are looked at.
const CANDIDATES_MAX: usize = 16;
/// Records read at a time.
const READ_RECORDS: usize = 8_192;

/// The ids of one partition.
pub(crate) struct TailIds {
    partition: Partition,
    chunks: VecDeque<Chunk>,
    /// Below this, ids were given up for want of room.
    complete_from: Offset,
    next: Offset,
    records_max: usize,
}

struct Chunk {
    first: Offset,
    next: Offset,
    /// Hash and offset above `first`; sorted in a sealed chunk.
    ids: Vec<(u32, u32)>,
    is_sealed: bool,
}

impl TailIds {
    /// Begins where the queue does; holds at most so many ids.
    pub(crate) fn new(tail: &dyn Tail, partition: Partition, records_max: usize) -> Result<Self> {
        let start = tail.range(&partition)?.start;
        Ok(Self { partition, chunks: VecDeque::new(), complete_from: start, next: start, records_max })
    }

    /// Reads on to the queue's end as it is now, and forgets what was trimmed.
    ///
    /// # Errors
    /// As [`Tail::read`].
    pub(crate) fn catch_up(&mut self, tail: &dyn Tail) -> Result<()> {
        let range = tail.range(&self.partition)?;
        while self.chunks.front().is_some_and(|chunk| chunk.next <= range.start) {
            self.chunks.pop_front();
        }
        // What was trimmed before it was read here is in the tables.
        self.next = self.next.max(range.start);
        self.complete_from = self.complete_from.max(range.start);
        while self.next < range.end {
            let batch = match tail.read(&self.partition, self.next, READ_RECORDS) {
                // Trimmed since it was asked: the tables have it.
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    self.next = self.next.max(tail.range(&self.partition)?.start);
                    self.complete_from = self.complete_from.max(self.next);
                    continue;
                }
                batch => batch?,
            };
            for found in &batch.records {
                self.push(hash_of(&found.record), found.offset);
            }
            self.next = batch.next;
        }
        Ok(())
    }

    fn push(&mut self, hash: u32, offset: Offset) {
        let fits = |chunk: &Chunk| !chunk.is_sealed && u32::try_from(offset - chunk.first).is_ok();
        if !self.chunks.back().is_some_and(fits) {
            self.seal();
            self.chunks.push_back(Chunk { first: offset, next: offset, ids: Vec::new(), is_sealed: false });
        }
        let chunk = self.chunks.back_mut().expect("there is one now");
        chunk.ids.push((hash, u32::try_from(offset - chunk.first).expect("it fits")));
        chunk.next = offset + 1;
        if chunk.ids.len() >= CHUNK_RECORDS {
            self.seal();
        }
        while self.chunks.len() > 1 && self.chunks.len() * CHUNK_RECORDS > self.records_max {
            let given_up = self.chunks.pop_front().expect("more than one");
            self.complete_from = given_up.next;
        }
    }

    fn seal(&mut self) {
        if let Some(chunk) = self.chunks.back_mut().filter(|chunk| !chunk.is_sealed) {
            chunk.ids.sort_unstable();
            chunk.ids.shrink_to_fit();
            chunk.is_sealed = true;
        }
    }

    /// Where records with this topic and id may stand, the earliest first, and where letters of it, the latest first; a few of each, since
    /// anybody may send one id as often as he likes.
    pub(crate) fn candidates(&self, topic: &Topic, id: &RecordId) -> Vec<Offset> {
        let hash = hash(topic.as_str(), id);
        let records = self.same(hash).take(CANDIDATES_MAX);
        let mut letters = self.same(hash | LETTER).collect::<VecDeque<_>>();
        letters.drain(..letters.len().saturating_sub(CANDIDATES_MAX));
        records.chain(letters.into_iter().rev()).collect()
    }

    /// The places with a hash, in order.
    fn same(&self, wanted: u32) -> impl Iterator<Item = Offset> {
        self.chunks.iter().flat_map(move |chunk| {
            let from = if chunk.is_sealed { chunk.ids.partition_point(|(hash, _)| *hash < wanted) } else { 0 };
            let is_over = move |hash: u32| chunk.is_sealed && hash != wanted;
            let near = chunk.ids[from..].iter().take_while(move |(hash, _)| !is_over(*hash));
            near.filter(move |(hash, _)| *hash == wanted).map(|(_, above)| chunk.first + Offset::from(*above))
        })
    }

    /// Whether every record of the queue, which begins at `start`, is known here.
    pub(crate) fn is_complete(&self, start: Offset) -> bool {
        self.complete_from <= start
    }

    pub(crate) fn partition(&self) -> &Partition {
        &self.partition
    }
}

/// A letter is found under the topic and the id of the record that was rejected.
fn hash_of(record: &Record) -> u32 {
    if record.topic == Topic::dead_letters()
        && let Ok(letter) = Letter::parse(&record.payload)
    {
        return hash(&letter.topic, &record.id) | LETTER;
    }
    hash(record.topic.as_str(), &record.id)
}

fn hash(topic: &str, id: &RecordId) -> u32 {
    Digest::of(&[topic.as_bytes(), id.as_bytes()]).short() & !LETTER
}
