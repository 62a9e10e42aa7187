//! Reads durable records by offset, in chunks, without a lock that the writer waits for. The journal's `Tail` calls it.

use std::{io, sync::Arc};

use bytes::Bytes;
use record::{Error, Offset, Positioned, Result, TailBatch, Topic};

use super::{
    entry::{self, Parsed},
    segment::Segment,
    shared::Shared,
};
use crate::memory::check_from;

/// The smallest and largest read from the disk, in bytes. Payloads share the chunk's memory: it lives as long as one of them.
const CHUNK_BYTES_MIN: usize = 16 << 10;
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// What a record is taken to need when the first chunk is chosen.
const RECORD_BYTES_GUESS: usize = 512;

/// Reads records from `from` on; see [`record::Tail::read`].
pub(crate) fn read(shared: &Shared, from: Offset, records_max: usize) -> Result<TailBatch> {
    shared.check_readable()?;
    // In this order: what `end` covers is published in its segment.
    let end = shared.end();
    let segments = shared.segments().clone();
    let first = segments.first().map_or(end, |segment| segment.base);
    check_from(&(first..end), from)?;
    let mut reading =
        Reading { next: from, end, records_max, bytes_left: shared.config.read_bytes_max, batch: TailBatch::default(), topics: vec![] };
    let mut number = segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
    while reading.wants_more() && number < segments.len() {
        let segment_end = segments.get(number + 1).map_or(end, |next| next.base.min(end));
        reading.segment(&segments[number], segment_end)?;
        number += 1;
    }
    let mut batch = reading.batch;
    batch.next = reading.next;
    // Every offset is either read or lost.
    batch.quarantined = (batch.next - from) - batch.records.len() as u64;
    Ok(batch)
}

struct Reading {
    next: Offset,
    end: Offset,
    records_max: usize,
    bytes_left: usize,
    batch: TailBatch,
    topics: Vec<Topic>,
}

impl Reading {
    fn wants_more(&self) -> bool {
        self.next < self.end && self.batch.records.len() < self.records_max && (self.bytes_left > 0 || self.batch.records.is_empty())
    }

    /// Reads on in one segment, whose offsets end at `segment_end`.
    fn segment(&mut self, segment: &Arc<Segment>, segment_end: Offset) -> Result<()> {
        let end_at = segment.end_at();
        let (_, mut at) = segment.place_of(self.next);
        let guess = self.records_max.saturating_mul(RECORD_BYTES_GUESS).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let mut chunk_bytes = guess;
        while self.wants_more() && self.next < segment_end && at < end_at {
            let left = usize::try_from(end_at - at).unwrap_or(usize::MAX);
            let chunk = load(segment, at, chunk_bytes.min(left)).map_err(|error| {
                Error::unavailable("cannot read the journal").with("segment", &segment.name).with("byte", at).because(error)
            })?;
            let (used, needed) = self.chunk(&chunk, segment, at, segment_end, chunk.len() == left)?;
            at += used as u64;
            chunk_bytes = needed.max(guess);
        }
        if self.wants_more() && self.next < segment_end {
            // Damage up to the end of the segment.
            self.next = segment_end;
        }
        Ok(())
    }

    /// Takes the entries of a chunk. Returns how many bytes are done, and how many are needed for what comes next.
    fn chunk(&mut self, chunk: &Bytes, segment: &Segment, chunk_at: u64, segment_end: Offset, is_last: bool) -> Result<(usize, usize)> {
        let mut at = 0;
        while at < chunk.len() && self.wants_more() && self.next < segment_end {
            let found = entry::parse(&chunk[at..], segment.seed);
            match found {
                Parsed::Whole(header) if header.next() <= segment_end => {
                    if !header.is_marker && header.offset >= self.next {
                        let body = chunk.slice(at + entry::HEADER_BYTES..at + entry::HEADER_BYTES + header.body_bytes);
                        let record = entry::decode(&body, &mut self.topics)
                            .map_err(|error| error.with("segment", &segment.name).with("byte", chunk_at + at as u64))?;
                        self.batch.records.push(Positioned { offset: header.offset, record });
                        self.next = header.offset + 1;
                        self.bytes_left = self.bytes_left.saturating_sub(header.entry_bytes());
                    }
                    if header.is_marker {
                        // What stands behind it and belongs before it is a copy out of its place: the scan has counted it as lost.
                        self.next = self.next.max(header.offset);
                    }
                    at += header.entry_bytes();
                }
                Parsed::Damaged(header) => at += header.entry_bytes(),
                Parsed::Short(needed) if !is_last && at + needed > chunk.len() => return Ok((at, needed)),
                _ => match entry::find(chunk, at + 1) {
                    Some(place) => at = place,
                    // A header may begin in the last bytes of the chunk.
                    None if is_last => at = chunk.len(),
                    None => return Ok(((at + 1).next_multiple_of(8).max(chunk.len().saturating_sub(entry::HEADER_BYTES) / 8 * 8), 0)),
                },
            }
        }
        Ok((at, 0))
    }
}

fn load(segment: &Segment, at: u64, bytes: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; bytes];
    segment.file.read_exact_at(at, &mut buffer)?;
    Ok(buffer.into())
}
