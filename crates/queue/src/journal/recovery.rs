//! Opens a folder after whatever happened to it (promise Q3): whole records stay, a torn tail goes, damage is counted.
//! An empty folder becomes a new journal. [`super::Journal::open`] calls it, under the lock; `inspect` finds and judges segments by the same functions.

use std::{io, sync::Arc};

use record::{Clock, Error, Offset, RecordId, Result};

use super::{
    config::{Config, SEGMENT_BYTES_MAX},
    entry,
    segment::{self, ENTRIES_AT, Scan, Segment, SegmentHeader},
    shared::{Parts, Shared},
    spares::Spares,
    storage::{LOCK_NAME, Storage, StorageFile},
    telemetry,
    writer::{self, Writer},
};

/// A file that may be a segment.
pub(super) struct Candidate {
    pub name: String,
    pub base: Offset,
    pub file: Arc<dyn StorageFile>,
    pub bytes: u64,
    /// `None` when both copies of the header are damaged.
    pub queue_id: Option<RecordId>,
}

/// Opens or formats a folder.
pub(crate) fn recover(storage: Arc<dyn Storage>, config: Config, clock: Arc<dyn Clock>) -> Result<(Arc<Shared>, Writer)> {
    let names = storage.list().map_err(|error| failed(&*storage, "list", error))?;
    let candidates = candidates(&*storage, &names)?;
    let spares = Spares::adopt(Arc::clone(&storage), &config, &names).map_err(|error| failed(&*storage, "look through", error))?;
    let parts = |queue_id, spares| Parts { storage, clock, config, queue_id, spares, segments: vec![], end: 0, quarantined: 0 };
    if candidates.is_empty() { format(|queue_id| parts(queue_id, spares)) } else { reopen(candidates, |queue_id| parts(queue_id, spares)) }
}

pub(super) fn failed(storage: &dyn Storage, what: &str, error: io::Error) -> Error {
    Error::unavailable(format!("cannot {what} the journal's folder")).with("folder", storage.place()).because(error)
}

/// A new journal with one empty segment.
fn format(parts: impl FnOnce(RecordId) -> Parts) -> Result<(Arc<Shared>, Writer)> {
    let mut parts = parts(RecordId::from_bytes([0; 16]));
    let storage = Arc::clone(&parts.storage);
    let random = storage.random().map_err(|error| failed(&*storage, "draw an id for", error))?;
    parts.queue_id = RecordId::generate(parts.clock.now(), random);
    let shared = Arc::new(Shared::new(parts));
    let made = shared.spares.take().and_then(|spare| writer::activate(&shared, spare, 0));
    let segment = made.map_err(|error| failed(&*storage, "write the first segment into", error))?;
    shared.segments_mut().push(Arc::clone(&segment));
    Ok((Arc::clone(&shared), Writer::new(shared, segment, ENTRIES_AT)))
}

/// A journal that is there already.
fn reopen(candidates: Vec<Candidate>, parts: impl FnOnce(RecordId) -> Parts) -> Result<(Arc<Shared>, Writer)> {
    let queue_id = common_queue_id(&candidates)?;
    let mut parts = parts(queue_id);
    let storage = Arc::clone(&parts.storage);
    let mut at = ENTRIES_AT;
    for (number, candidate) in candidates.iter().enumerate() {
        let sealed_end = candidates.get(number + 1).map(|next| next.base);
        let seed = SegmentHeader::seed(queue_id, candidate.base);
        let image = image_of(candidate).map_err(|error| unreadable(&*storage, candidate, error))?;
        let scan = segment::scan(&image, candidate.base, seed, sealed_end);
        let segment = Segment::new(candidate.base, seed, candidate.name.clone(), Arc::clone(&candidate.file), candidate.bytes);
        segment.adopt(&scan);
        if sealed_end.is_none() {
            at = mend_tail(&segment, &image, &scan).map_err(|error| unreadable(&*storage, candidate, error))?;
        }
        if candidate.queue_id.is_none() {
            telemetry::header_lost(&storage.place(), &candidate.name);
        }
        parts.quarantined += scan.quarantined;
        parts.end = scan.end;
        parts.segments.push(Arc::new(segment));
    }
    // A name that was given before a crash may not be durable yet.
    storage.sync_dir().map_err(|error| failed(&*storage, "sync", error))?;
    let active = Arc::clone(parts.segments.last().expect("there is a segment"));
    let shared = Arc::new(Shared::new(parts));
    Ok((Arc::clone(&shared), Writer::new(shared, active, at)))
}

pub(super) fn unreadable(storage: &dyn Storage, candidate: &Candidate, error: io::Error) -> Error {
    Error::unavailable("cannot read or mend a segment of the journal")
        .with("folder", storage.place())
        .with("segment", &candidate.name)
        .because(error)
}

/// The segments in the folder, by rising base offset.
pub(super) fn candidates(storage: &dyn Storage, names: &[String]) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for name in names {
        let Some(base) = Segment::base_of(name) else {
            if name != LOCK_NAME && !name.ends_with(".spare") {
                telemetry::foreign_file(&storage.place(), name);
            }
            continue;
        };
        let opened = storage.open(name).and_then(|file| {
            let bytes = file.bytes()?;
            let mut head = vec![0; usize::try_from(bytes.min(ENTRIES_AT)).expect("at most 4,096")];
            file.read_exact_at(0, &mut head)?;
            Ok((file, bytes, head))
        });
        let (file, bytes, head) = opened.map_err(|error| failed(storage, "open a segment in", error).with("segment", name))?;
        if bytes > SEGMENT_BYTES_MAX {
            return Err(Error::corrupt("a segment is larger than any that is written")
                .with("segment", name)
                .with("bytes", bytes)
                .with("bytes_max", SEGMENT_BYTES_MAX));
        }
        let header = SegmentHeader::parse(&head).map_err(|error| error.with("folder", storage.place()).with("segment", name))?;
        if let Some(header) = header.filter(|header| header.base != base) {
            return Err(Error::corrupt("a segment's name and header differ: was the file renamed?")
                .with("segment", name)
                .with("base_offset_in_header", header.base));
        }
        found.push(Candidate { name: name.clone(), base, file, bytes, queue_id: header.map(|header| header.queue_id) });
    }
    found.sort_by_key(|candidate| candidate.base);
    Ok(found)
}

pub(super) fn common_queue_id(candidates: &[Candidate]) -> Result<RecordId> {
    let mut ids = candidates.iter().filter_map(|candidate| Some((candidate.queue_id?, &candidate.name)));
    let Some((queue_id, name)) = ids.next() else {
        return Err(Error::corrupt("no segment of the journal has a readable header, so the queue's id is lost: restore one from a copy")
            .with("segments", candidates.len()));
    };
    match ids.find(|(other, _)| *other != queue_id) {
        None => Ok(queue_id),
        Some((other, other_name)) => Err(Error::corrupt("the folder holds segments of two journals: take those of one away")
            .with("queue_id", queue_id)
            .with("segment", name)
            .with("other_queue_id", other)
            .with("other_segment", other_name)),
    }
}

pub(super) fn image_of(candidate: &Candidate) -> io::Result<Vec<u8>> {
    let mut image = vec![0; usize::try_from(candidate.bytes).expect("at most 1 GiB")];
    candidate.file.read_exact_at(0, &mut image)?;
    Ok(image)
}

/// Makes the end of the last segment fit to be continued; returns where.
///
/// - The last batch is written again and synced: it may be in the page cache only, and after a failed fsync the kernel holds such
///   pages for clean, so that syncing alone would prove nothing.
/// - What follows is wiped: otherwise an entry of the torn batch could come to stand right behind one that is written later.
/// - A marker then says that all before it is durable. It is written only after that is so.
fn mend_tail(segment: &Segment, image: &[u8], scan: &Scan) -> io::Result<u64> {
    let (batch_at, end_at) = (scan.batch_at as usize, scan.end_at as usize);
    if end_at > image.len() {
        // No room for a single entry: the writer begins another segment.
        return Ok(scan.end_at);
    }
    segment.file.write_at(scan.batch_at, &image[batch_at..end_at])?;
    if let Some(last) = image[end_at..].iter().rposition(|byte| *byte != 0) {
        segment.file.zero(scan.end_at, (end_at + last + 1) as u64)?;
    }
    #[cfg(feature = "faults")]
    fail::fail_point!("journal::tail_mended");
    segment.file.sync_data()?;
    let marked_at = scan.end_at + entry::HEADER_BYTES as u64;
    if scan.is_marked || marked_at > segment.bytes {
        return Ok(scan.end_at);
    }
    segment.file.write_at(scan.end_at, &entry::marker(segment.seed, scan.end))?;
    segment.file.sync_data()?;
    Ok(marked_at)
}
