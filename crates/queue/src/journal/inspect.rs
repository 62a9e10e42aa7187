//! Looks at a journal without opening it, for people who want to know what is in it and whether it is whole (promise Q3).
//! `crowdread journal` calls it. It changes no byte and takes no lock, so it may look while a server writes:
//!
//! list ▸ headers ▸ each segment's entries, as recovery judges them ▸ list again, to tell what was trimmed meanwhile from what is lost

use std::{fmt::Write as _, path::Path};

use record::{Error, Offset, RecordId, Result, Timestamp};
use serde::Serialize;

use super::{
    recovery::{self, Candidate},
    segment::{self, FORMAT_VERSION, Scan, Segment, SegmentHeader},
    storage::{ReadOnlyStorage, Storage},
};

/// How often a folder is looked at anew because it changed under the look.
const LOOKS_MAX: usize = 10;
/// Where a data folder has its journal.
const WITHIN_DATA: &str = "journal";
/// How many copies of its header a segment has.
const HEADER_COPIES: usize = 2;

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The journal's folder.
    pub folder: String,
    /// The id that the journal was given when it was formatted.
    pub queue_id: RecordId,
    /// The version of the files.
    pub format_version: u32,
    /// The oldest offset that is kept.
    pub first: Offset,
    /// One past the newest.
    pub end: Offset,
    /// Whole records.
    pub records: u64,
    /// Offsets that are lost to damage.
    pub quarantined: u64,
    /// By rising offset.
    pub segments: Vec<SegmentInspection>,
    /// Files that wait to become segments.
    pub spares: u64,
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentInspection {
    /// The file.
    pub file: String,
    /// The offset of its first record.
    pub base: Offset,
    /// One past its last record.
    pub end: Offset,
    /// Whole records.
    pub records: u64,
    /// Where the entries end, from the start of the file.
    pub used_bytes: u64,
    /// The length of the file.
    pub file_bytes: u64,
    /// When its first whole record was received, in microseconds since 1970.
    pub first_received_at: Option<Timestamp>,
    /// When its last whole record was received, in microseconds since 1970.
    pub last_received_at: Option<Timestamp>,
    /// Whether it may still change.
    pub state: SegmentState,
    /// Bytes behind the end that were begun and are not whole: a write under way, or one that a crash tore. Nobody was told that they
    /// are stored; this is no damage.
    pub unfinished_bytes: u64,
    /// Copies of the header that are whole, of two. One is enough, and so is none while another segment has one.
    pub header_copies: usize,
    /// What is lost.
    pub damage: Vec<DamagedRange>,
}

/// Whether a segment may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// A later segment follows: nothing is written to it any more.
    Sealed,
    /// The last one, and a marker stands at its end: all in it is known to be durable, as after a clean close.
    Marked,
    /// The last one, and nothing proves its last batch yet: a server is at work, or ended without closing.
    Unmarked,
}

/// Records that are lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DamagedRange {
    /// The first offset that is lost.
    pub first: Offset,
    /// One past the last.
    pub end: Offset,
    /// How many: `end` less `first`.
    pub records: u64,
    /// Where they stood in the file: behind the whole entry before them.
    pub from_byte: u64,
    /// Up to the next whole entry; `from_byte` when the file has nothing of them.
    pub to_byte: u64,
}

/// Looks at every entry of the journal in a folder, or of the data folder that has it. Changes nothing and takes no lock.
///
/// # Errors
/// `Invalid` when there is no journal, or one of another format; `Corrupt` for a folder that could not be opened either; `Unavailable` when
/// it cannot be read, or changes faster than it can be looked at.
pub fn inspect(dir: &Path) -> Result<Inspection> {
    for folder in [dir.to_owned(), dir.join(WITHIN_DATA)] {
        let storage = ReadOnlyStorage(folder);
        let has_segments = match storage.list() {
            Ok(names) => names.iter().any(|name| Segment::base_of(name).is_some()),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => false,
            Err(error) => return Err(recovery::failed(&storage, "list", error)),
        };
        if has_segments {
            return inspect_on(&storage);
        }
    }
    Err(Error::invalid("there is no journal here: name a journal's folder, or a data folder that was served").with("folder", dir.display()))
}

/// As [`inspect`], on any storage that has segments.
pub(super) fn inspect_on(storage: &dyn Storage) -> Result<Inspection> {
    for _ in 0..LOOKS_MAX {
        let before = names(storage)?;
        let looked = look(storage, &before);
        let after = names(storage)?;
        match looked {
            Ok((queue_id, mut segments)) => {
                // What was trimmed meanwhile may have been read in its next life, and is no part of the journal any more.
                segments.retain(|segment| after.contains(&segment.file));
                let is_whole = segments.iter().all(|segment| segment.damage.is_empty());
                if !segments.is_empty() && (is_whole || missed_none(&before, &after)) {
                    return Ok(Inspection::of(storage, queue_id, segments, &after));
                }
            }
            Err(error) if before == after => return Err(error),
            Err(_) => {}
        }
    }
    Err(Error::unavailable("the journal changes faster than it can be looked at: try again").with("folder", storage.place()))
}

fn names(storage: &dyn Storage) -> Result<Vec<String>> {
    let mut names = storage.list().map_err(|error| recovery::failed(storage, "list", error))?;
    names.sort();
    Ok(names)
}

/// Whether a list that was made while files got other names has every segment that it should have: those that it lacks came after its last.
fn missed_none(before: &[String], after: &[String]) -> bool {
    let last = before.iter().filter_map(|name| Segment::base_of(name)).max();
    after.iter().filter(|name| !before.contains(name)).filter_map(|name| Segment::base_of(name)).all(|base| Some(base) > last)
}

fn look(storage: &dyn Storage, names: &[String]) -> Result<(RecordId, Vec<SegmentInspection>)> {
    let candidates = recovery::candidates(storage, names)?;
    let queue_id = recovery::common_queue_id(&candidates)?;
    let sealed_ends = candidates.iter().skip(1).map(|next| Some(next.base)).chain([None]);
    let looked = candidates.iter().zip(sealed_ends).map(|(candidate, sealed_end)| {
        look_at(candidate, queue_id, sealed_end).map_err(|error| recovery::unreadable(storage, candidate, error))
    });
    Ok((queue_id, looked.collect::<Result<_>>()?))
}

fn look_at(candidate: &Candidate, queue_id: RecordId, sealed_end: Option<Offset>) -> std::io::Result<SegmentInspection> {
    let seed = SegmentHeader::seed(queue_id, candidate.base);
    let mut image = recovery::image_of(candidate)?;
    let mut scan = segment::scan(&image, candidate.base, seed, sealed_end);
    if sealed_end.is_none() && scan.quarantined > 0 {
        // While it is read from front to back, a batch may be written behind the reader and the next one before it, which looks like
        // damage. All but the last batch that was seen is durable by now, so that a second look up to there shows it.
        let again = recovery::image_of(candidate)?;
        if again != image {
            let seen = usize::try_from(scan.end_at).map_or(image.len(), |end_at| end_at.min(again.len()));
            image = again;
            image.truncate(seen);
            scan = segment::scan(&image, candidate.base, seed, None);
        }
    }
    Ok(SegmentInspection::of(candidate, &image, scan, sealed_end.is_some()))
}

impl SegmentInspection {
    fn of(candidate: &Candidate, image: &[u8], scan: Scan, is_sealed: bool) -> Self {
        let damage = scan.lost.iter().map(|lost| DamagedRange {
            first: lost.offsets.start,
            end: lost.offsets.end,
            records: lost.offsets.end - lost.offsets.start,
            from_byte: lost.bytes.start,
            to_byte: lost.bytes.end,
        });
        Self {
            file: candidate.name.clone(),
            base: candidate.base,
            end: scan.end,
            records: scan.records,
            used_bytes: scan.end_at,
            file_bytes: candidate.bytes,
            first_received_at: scan.received.map(|(first, _)| first),
            last_received_at: scan.received.map(|(_, last)| last),
            state: match (is_sealed, scan.is_marked) {
                (true, _) => SegmentState::Sealed,
                (false, true) => SegmentState::Marked,
                (false, false) => SegmentState::Unmarked,
            },
            unfinished_bytes: if is_sealed { 0 } else { scan.seen_to.saturating_sub(scan.end_at) },
            header_copies: SegmentHeader::whole_copies(image),
            damage: damage.collect(),
        }
    }

    fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.header_copies == HEADER_COPIES
    }
}

impl Inspection {
    fn of(storage: &dyn Storage, queue_id: RecordId, segments: Vec<SegmentInspection>, names: &[String]) -> Self {
        Self {
            folder: storage.place(),
            queue_id,
            format_version: FORMAT_VERSION,
            first: segments[0].base,
            end: segments[segments.len() - 1].end,
            records: segments.iter().map(|segment| segment.records).sum(),
            quarantined: segments.iter().flat_map(|segment| &segment.damage).map(|range| range.records).sum(),
            segments,
            spares: names.iter().filter(|name| name.ends_with(".spare")).count() as u64,
        }
    }

    /// Whether every byte that was ever acknowledged, and every header, is whole.
    ///
    /// # Errors
    /// `Corrupt`, with how much is damaged and what to do, when it is not.
    pub fn check_whole(&self) -> Result<()> {
        if self.segments.iter().all(SegmentInspection::is_whole) {
            return Ok(());
        }
        let headers = self.segments.iter().map(|segment| HEADER_COPIES - segment.header_copies).sum::<usize>();
        Err(Error::corrupt("the journal is damaged")
            .with("folder", &self.folder)
            .with("damaged_ranges", self.segments.iter().map(|segment| segment.damage.len()).sum::<usize>())
            .with("lost_records", self.quarantined)
            .with("damaged_header_copies", headers)
            .with(
                "mend",
                "check the disk and copy the folder to another one; a server opens it as it is, serves all whole records and counts the lost \
                 ones as quarantined; only a backup can bring these back",
            ))
    }

    /// For people: the journal, and a line for each segment.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{}: journal {}, format {}\noffsets {} to {}: {} records, {} lost to damage; {} spare files\n\n",
            self.folder, self.queue_id, self.format_version, self.first, self.end, self.records, self.quarantined, self.spares
        );
        let mut line = |cells: [&str; 7]| {
            let [file, base, records, used, first, last, state] = cells;
            let _ = writeln!(text, "{file:<28}  {base:>12}  {records:>9}  {used:>10}  {first:<27}  {last:<27}  {state}");
        };
        line(["file", "base offset", "records", "bytes used", "first received", "last received", "state"]);
        for segment in &self.segments {
            let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
            let state = match (segment.state, segment.unfinished_bytes) {
                (SegmentState::Sealed, _) => "sealed".to_owned(),
                (SegmentState::Marked, _) => "last, complete".to_owned(),
                (SegmentState::Unmarked, 0) => "last, in use or not closed".to_owned(),
                (SegmentState::Unmarked, bytes) => format!("last, in use or not closed, {bytes} bytes unfinished"),
            };
            let (first, last) = (time(segment.first_received_at), time(segment.last_received_at));
            let (base, records, used) = (segment.base.to_string(), segment.records.to_string(), segment.used_bytes.to_string());
            line([&segment.file, &base, &records, &used, &first, &last, &state]);
        }
        text + &self.damage_text()
    }

    /// For people: what is damaged, and a line that sums up what was read.
    pub fn verdict_text(&self) -> String {
        let entries = format!("{} records in {} segments, offsets {} to {}", self.records, self.segments.len(), self.first, self.end);
        let unfinished: u64 = self.segments.iter().map(|segment| segment.unfinished_bytes).sum();
        let tail = match unfinished {
            0 => String::new(),
            bytes => format!("; {bytes} bytes at the end are unfinished, which is no damage: a write under way, or torn by a crash"),
        };
        let sum = if self.check_whole().is_ok() { "whole" } else { "damaged" };
        format!("{}{}: {sum}; {entries}, {} lost{tail}\n", self.damage_text(), self.folder, self.quarantined)
    }

    /// For people: a line for each thing that is damaged; empty when all is whole.
    fn damage_text(&self) -> String {
        let mut text = String::new();
        for segment in &self.segments {
            for DamagedRange { first, end, records, from_byte, to_byte } in &segment.damage {
                let _ = writeln!(
                    text,
                    "{}: damaged in bytes {from_byte} to {to_byte}: {records} records lost, offsets {first} to {}",
                    segment.file,
                    end - 1
                );
            }
            if segment.header_copies < HEADER_COPIES {
                let _ = writeln!(text, "{}: {} of {HEADER_COPIES} copies of the header are whole", segment.file, segment.header_copies);
            }
        }
        text
    }
}
