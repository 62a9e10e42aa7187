//! Copies a journal beside whoever has it open, for a backup. It changes nothing and takes no lock; whoever calls keeps the journal from
//! being trimmed meanwhile.
//!
//! headers ▸ sealed segments, byte for byte ▸ the segment with the end, up to there and with a marker: what is written meanwhile is left out

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use record::{Error, Offset, Result};

use super::{
    entry, recovery,
    segment::{self, SegmentHeader},
    storage::{ReadOnlyStorage, Storage},
};

/// Copies the records below `end` of the journal in a folder into another folder, which has none. Gives the names of the files; they are
/// not durable yet. The last segment is as long as what is in it: a journal that is opened on the copy begins another one.
///
/// # Errors
/// `Invalid` when there is no journal; `Corrupt` when the last records before `end` cannot be read; `Unavailable` when the disk fails, or
/// a segment was trimmed meanwhile.
pub fn copy(from: &Path, to: &Path, end: Offset) -> Result<Vec<String>> {
    let storage = ReadOnlyStorage(from.to_owned());
    let names = storage.list().map_err(|error| recovery::failed(&storage, "list", error))?;
    let mut candidates = recovery::candidates(&storage, &names)?;
    // Those that begin behind the end; one that begins at the end has nothing yet, and is taken where it is the only one.
    while candidates.len() > 1 && candidates.last().is_some_and(|last| last.base >= end) {
        candidates.pop();
    }
    let queue_id = match candidates.is_empty() {
        true => return Err(Error::invalid("there is no journal here").with("folder", from.display())),
        false => recovery::common_queue_id(&candidates)?,
    };
    let (last, sealed) = candidates.split_last().expect("there is a segment");
    let failed = |name: &str, error: std::io::Error| {
        Error::unavailable("cannot copy a segment of the journal").with("folder", from.display()).with("segment", name).because(error)
    };
    for segment in sealed {
        fs::copy(from.join(&segment.name), to.join(&segment.name)).map_err(|error| failed(&segment.name, error))?;
    }
    let image = recovery::image_of(last).map_err(|error| failed(&last.name, error))?;
    let seed = SegmentHeader::seed(queue_id, last.base);
    // All below the end was durable before the copying began, so that whatever is missing there is damage.
    let found = segment::scan(&image, last.base, seed, Some(end.max(last.base)));
    if found.lost.last().is_some_and(|lost| lost.offsets.end == end) {
        return Err(Error::corrupt("the last records of the journal cannot be read")
            .with("folder", from.display())
            .with("segment", &last.name)
            .with("offset", found.lost.last().map_or(end, |lost| lost.offsets.start))
            .with("mend", "`crowdread journal verify` tells more"));
    }
    let used = usize::try_from(found.end_at).map_or(image.len(), |used| used.min(image.len()));
    let written = File::create_new(to.join(&last.name)).and_then(|mut file| {
        file.write_all(&image[..used])?;
        file.write_all(&entry::marker(seed, end.max(last.base)))
    });
    written.map_err(|error| failed(&last.name, error))?;
    Ok(candidates.into_iter().map(|segment| segment.name).collect())
}
