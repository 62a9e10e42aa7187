//! A segment: one file of the journal, its header, its sparse index, and the scan that tells whole entries from damage.
//! Recovery scans, the writer fills, the reader looks places up.
//!
//! The first 4,096 bytes hold the header twice, at 0 and at 2,048, so that one damaged sector does not lose it:
//! magic `crjournl` (8), format version (4), zero (4), queue id (16), base offset (8), made at (8), zeros, and at 60 the
//! CRC-32 of bytes 0 to 59. Magic, version and CRC stay where they are in every version. Entries follow from 4,096.

use std::{
    io,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crc32fast::Hasher;
use record::{Error, Offset, RecordId, Result, Timestamp};

use super::{
    entry::{self, Parsed},
    storage::StorageFile,
};

/// The format that this code writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Where entries begin.
pub(crate) const ENTRIES_AT: u64 = 4096;

const HEADER_BYTES: usize = 64;
const HEADER_COPY_AT: u64 = 2048;
const MAGIC: [u8; 8] = *b"crjournl";
/// One place is kept for so many bytes of entries.
const INDEX_EVERY_BYTES: u64 = 64 * 1024;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub queue_id: RecordId,
    pub base: Offset,
    pub made_at: Timestamp,
}

impl SegmentHeader {
    /// Where every entry's header CRC begins: other for each queue and each base offset.
    pub fn seed(queue_id: RecordId, base: Offset) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(queue_id.as_bytes());
        hasher.update(&base.to_le_bytes());
        hasher.finalize()
    }

    /// Writes both copies. Not yet durable.
    pub fn write(&self, file: &dyn StorageFile) -> io::Result<()> {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(self.queue_id.as_bytes());
        bytes[32..40].copy_from_slice(&self.base.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.made_at.as_micros().to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        file.write_at(0, &bytes)?;
        file.write_at(HEADER_COPY_AT, &bytes)
    }

    /// How many of the two copies are whole, and alike.
    pub fn whole_copies(image: &[u8]) -> usize {
        let copy = |at: usize| image.get(at..at + HEADER_BYTES).filter(|bytes| matches!(Self::parse(bytes), Ok(Some(_))));
        [0, HEADER_COPY_AT as usize].into_iter().filter_map(copy).count()
    }

    /// Reads the header from the image of a segment; `None` when both copies are damaged.
    ///
    /// # Errors
    /// `Invalid` when a newer version wrote it.
    pub fn parse(image: &[u8]) -> Result<Option<Self>> {
        for at in [0, HEADER_COPY_AT as usize] {
            let Some(bytes) = image.get(at..at + HEADER_BYTES) else { continue };
            let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
            let crc = u32::from_le_bytes(bytes[60..].try_into().expect("four bytes"));
            if bytes[..8] != MAGIC || crc != crc32fast::hash(&bytes[..60]) {
                continue;
            }
            let version = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
            if version != FORMAT_VERSION {
                return Err(Error::invalid("another version of crowdread wrote this journal: open it with that version, or a later one")
                    .with("format_found", version)
                    .with("format_supported", FORMAT_VERSION));
            }
            let queue_id = RecordId::from_bytes(bytes[16..32].try_into().expect("sixteen bytes"));
            return Ok(Some(Self { queue_id, base: number(32), made_at: Timestamp::from_micros(number(40).cast_signed()) }));
        }
        Ok(None)
    }
}

/// A segment that can be read, and, if it is the last one, written.
pub(crate) struct Segment {
    pub base: Offset,
    pub seed: u32,
    pub name: String,
    pub file: Arc<dyn StorageFile>,
    /// The length of the file.
    pub bytes: u64,
    /// Where the durable entries end.
    end_at: AtomicU64,
    /// Offsets and places of entries, rising, about one for each 64 KiB.
    index: Mutex<Vec<(Offset, u64)>>,
}

impl Segment {
    pub fn new(base: Offset, seed: u32, name: String, file: Arc<dyn StorageFile>, bytes: u64) -> Self {
        Self { base, seed, name, file, bytes, end_at: AtomicU64::new(ENTRIES_AT), index: Mutex::default() }
    }

    /// The name of the file of the segment with this base offset.
    pub fn name_of(base: Offset) -> String {
        format!("{base:020}.journal")
    }

    /// The base offset in a name; `None` when it is no segment's.
    pub fn base_of(name: &str) -> Option<Offset> {
        let digits = name.strip_suffix(".journal")?;
        let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    }

    /// Makes entries up to a place visible: they are durable. `places` are the offsets and places of some of them, rising.
    pub fn publish(&self, places: impl Iterator<Item = (Offset, u64)>, end_at: u64) {
        let mut index = self.index();
        for (offset, at) in places {
            if index.last().is_none_or(|(_, last)| at >= last + INDEX_EVERY_BYTES) {
                index.push((offset, at));
            }
        }
        self.end_at.store(end_at, Ordering::Release);
    }

    /// Takes over what a scan has found.
    pub fn adopt(&self, scan: &Scan) {
        *self.index() = scan.index.clone();
        self.end_at.store(scan.end_at, Ordering::Release);
    }

    /// Where the durable entries end.
    pub fn end_at(&self) -> u64 {
        self.end_at.load(Ordering::Acquire)
    }

    /// The nearest known place at or before an offset, with the offset that is expected there.
    pub fn place_of(&self, offset: Offset) -> (Offset, u64) {
        let index = self.index();
        match index.partition_point(|(known, _)| *known <= offset) {
            0 => (self.base, ENTRIES_AT),
            n => index[n - 1],
        }
    }

    fn index(&self) -> MutexGuard<'_, Vec<(Offset, u64)>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a scan of a whole segment has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// One past the last offset.
    pub end: Offset,
    /// Where the next entry goes.
    pub end_at: u64,
    /// Where the last batch begins.
    pub batch_at: u64,
    /// Whether a marker stands last.
    pub is_marked: bool,
    /// Offsets below `end` that are lost to damage.
    pub quarantined: u64,
    /// The same, one by one.
    pub lost: Vec<Lost>,
    /// Records that are whole.
    pub records: u64,
    /// When the first and the last of them were received.
    pub received: Option<(Timestamp, Timestamp)>,
    /// Where the last thing ends that was written into this segment, whole or not: beyond `end_at` where a tail is torn.
    pub seen_to: u64,
    /// Offsets and places, as in [`Segment`].
    pub index: Vec<(Offset, u64)>,
}

/// Offsets that are lost to damage, and the bytes where they stood: none when the file does not have them any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub offsets: Range<Offset>,
    pub bytes: Range<u64>,
}

/// Offsets that are missing, and what the scan had found before them.
struct Gap {
    lost: Lost,
    before: Scan,
}

/// Finds the entries of a segment's image (promise Q3). `sealed_end` is the base of the next segment, if there is one.
///
/// What is missing before something that was written only after it was durable is damage, and is counted. What is missing in the
/// last batch is a torn tail: nobody was told that it is stored; the segment ends before it.
pub(crate) fn scan(image: &[u8], base: Offset, seed: u32, sealed_end: Option<Offset>) -> Scan {
    let mut found = Scan { end: base, end_at: ENTRIES_AT, batch_at: ENTRIES_AT, seen_to: ENTRIES_AT, ..Scan::default() };
    let mut gaps: Vec<Gap> = Vec::new();
    let mut proven = sealed_end.unwrap_or(base);
    let mut batch_first = None;
    let mut at = ENTRIES_AT as usize;
    while at < image.len() {
        match entry::parse(&image[at..], seed) {
            Parsed::Whole(header) if header.offset >= found.end && sealed_end.is_none_or(|end| header.next() <= end) => {
                if header.offset > found.end {
                    gaps.push(found.gap(header.offset, at as u64));
                }
                proven = proven.max(header.batch_first);
                if batch_first.replace(header.batch_first) != Some(header.batch_first) || header.is_marker {
                    found.batch_at = at as u64;
                }
                if !header.is_marker && found.index.last().is_none_or(|(_, last)| at as u64 >= last + INDEX_EVERY_BYTES) {
                    found.index.push((header.offset, at as u64));
                }
                if !header.is_marker {
                    let received_at = entry::received_at(&image[at..]);
                    found.received = Some((found.received.map_or(received_at, |(first, _)| first), received_at));
                    found.records += 1;
                }
                at += header.entry_bytes();
                found.end = header.next();
                found.end_at = at as u64;
                found.seen_to = at as u64;
                found.is_marked = header.is_marker;
            }
            // The header's CRC holds, so its length does too.
            Parsed::Damaged(header) => {
                at += header.entry_bytes();
                found.seen_to = at as u64;
            }
            _ => match entry::find(image, at + 1) {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    if let Some(end) = sealed_end.filter(|end| *end > found.end) {
        gaps.push(found.gap(end, found.seen_to));
        found.end = end;
    }
    // Only one batch is ever under way: a gap at or after `proven` is in the last one.
    if let Some(torn) = gaps.iter().position(|gap| gap.lost.offsets.start >= proven) {
        let (index, seen_to) = (std::mem::take(&mut found.index), found.seen_to);
        found = gaps.swap_remove(torn).before;
        found.index = index.into_iter().filter(|(offset, _)| *offset < found.end).collect();
        found.seen_to = seen_to;
        gaps.truncate(torn);
    }
    found.lost = gaps.into_iter().map(|gap| gap.lost).collect();
    found.quarantined = found.lost.iter().map(|lost| lost.offsets.end - lost.offsets.start).sum();
    found
}

impl Scan {
    /// What is missing from here up to an offset, whose place is `at`.
    fn gap(&self, to: Offset, at: u64) -> Gap {
        let lost = Lost { offsets: self.end..to, bytes: self.end_at..at.max(self.end_at) };
        Gap { lost, before: Self { index: Vec::new(), lost: Vec::new(), ..*self } }
    }
}
