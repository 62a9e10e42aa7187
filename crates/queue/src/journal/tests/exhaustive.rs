//! Every small damage there is, to every byte of a small journal (promise Q3): it opens, serves no wrong byte, and loses no whole record
//! without a count. The looker (`inspect`) must see just what the opening counts.

use std::ops::Range;

use super::{numbers, open, small, store};
use crate::journal::{
    FaultyStorage, Storage,
    entry::{self, Parsed},
    inspect::inspect_on,
    segment::{ENTRIES_AT, Segment, SegmentHeader},
};

/// Records 0 to 4 are in a sealed segment, 5 to 10 in the last one.
const SEALED: u64 = 5;
const TOTAL: u64 = 11;
/// The last batch: 8, 9 and 10. Nothing but a marker proves it.
const LAST_BATCH: u64 = 8;
const SECTOR_BYTES: usize = 512;
/// The length that the last segment is cut to, so that looking through it is quick.
const LAST_BYTES: usize = 6 << 10;

type Files = Vec<(String, Vec<u8>)>;

/// A small journal as it lies on a disk.
struct Small {
    files: Files,
    /// Of each record: the file, and the bytes of header and body.
    places: Vec<(usize, Range<usize>)>,
    is_closed: bool,
}

fn disk_of(files: &Files) -> FaultyStorage {
    let disk = FaultyStorage::new(1);
    for (name, image) in files {
        disk.create(name).expect("created").write_at(0, image).expect("written");
    }
    disk
}

fn files_of(disk: &FaultyStorage) -> Files {
    let names = disk.list().expect("a list").into_iter().filter(|name| Segment::base_of(name).is_some());
    names.map(|name| (name.clone(), disk.contents(&name))).collect()
}

fn used(image: &[u8]) -> usize {
    (image.iter().rposition(|byte| *byte != 0).expect("entries") + 1).next_multiple_of(8)
}

impl Small {
    fn make(is_closed: bool) -> Self {
        let disk = FaultyStorage::new(1);
        let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
        for batch in [0..2, 2..3, 3..SEALED] {
            store(&journal, &mut stepper, batch);
        }
        stepper.finish();
        drop(journal);
        let mut files = files_of(&disk);
        // Full, so that the next append begins a segment.
        let bytes = used(&files[0].1);
        files[0].1.truncate(bytes);
        let disk = disk_of(&files);
        let (journal, mut stepper) = open(&disk, small()).expect("opens");
        for batch in [SEALED..7, 7..LAST_BATCH, LAST_BATCH..TOTAL] {
            store(&journal, &mut stepper, batch);
        }
        if is_closed {
            stepper.finish();
        }
        let mut files = files_of(&disk);
        assert_eq!(files.len(), 2);
        assert!(used(&files[1].1) + 256 < LAST_BYTES);
        files[1].1.truncate(LAST_BYTES);
        let places = files.iter().enumerate().flat_map(|(number, (name, image))| places(number, name, image)).collect::<Vec<_>>();
        assert_eq!(places.len() as u64, TOTAL);
        Self { files, places, is_closed }
    }

    /// The journal with one file changed.
    fn with(&self, number: usize, change: impl FnOnce(&mut Vec<u8>)) -> Files {
        let mut files = self.files.clone();
        change(&mut files[number].1);
        files
    }

    /// Opens a damaged copy and judges what it serves. Returns the end and how many are lost.
    fn check(&self, files: &Files, what: impl Fn() -> String) -> (u64, u64) {
        let is_whole: Vec<bool> = self.places.iter().map(|place| self.is_there(place, files)).collect();
        let disk = disk_of(files);
        let looked = inspect_on(&disk);
        let opened = open(&disk, small());
        let (journal, _stepper) = match opened {
            Ok(opened) => opened,
            Err(error) => panic!("{} does not open: {error}", what()),
        };
        // Whatever is served is compared, byte for byte, with what was appended.
        let (read, quarantined) = numbers(&journal);
        let status = journal.status();
        let told = || format!("{}: read {read:?}, {quarantined} lost, whole {is_whole:?}, {status:?}", what());
        assert!(read.windows(2).all(|pair| pair[0] < pair[1]) && read.iter().all(|number| *number < status.end), "{}", told());
        assert_eq!(status.first, 0, "{}", told());
        assert_eq!(read.len() as u64 + quarantined, status.end, "{}", told());
        assert_eq!(status.quarantined, quarantined, "{}", told());
        for (number, is_there) in (0..).zip(&is_whole) {
            let is_torn_off =
                number >= status.end && number > LAST_BATCH && is_whole[LAST_BATCH as usize..number as usize].contains(&false);
            assert!(!is_there || read.contains(&number) || is_torn_off, "{number} is whole and was lost; {}", told());
        }
        if is_whole.iter().all(|is_whole| *is_whole) {
            assert_eq!((status.end, quarantined), (TOTAL, 0), "{}", told());
        }
        let looked = looked.unwrap_or_else(|error| panic!("{error}; {}", told()));
        assert_eq!((looked.records, looked.quarantined, looked.end), (read.len() as u64, quarantined, status.end), "{}", told());
        (status.end, quarantined)
    }

    fn is_there(&self, (number, place): &(usize, Range<usize>), files: &Files) -> bool {
        let (entry, image) = (&self.files[*number].1[place.clone()], &files[*number].1);
        // An entry goes to the end of its padding, whose bytes do not matter.
        let stands_at = |at: usize| image.len() >= (at + entry.len()).next_multiple_of(8) && image[at..at + entry.len()] == *entry;
        // Where a block was put in, it may have moved.
        stands_at(place.start) || stands_at(place.start + SECTOR_BYTES)
    }
}

fn places(number: usize, name: &str, image: &[u8]) -> Vec<(usize, Range<usize>)> {
    let header = SegmentHeader::parse(image).expect("this version").expect("whole");
    let seed = SegmentHeader::seed(header.queue_id, Segment::base_of(name).expect("a base"));
    let (mut at, mut found) = (ENTRIES_AT as usize, vec![]);
    while let Parsed::Whole(header) = entry::parse(&image[at..], seed) {
        if !header.is_marker {
            found.push((number, at..at + entry::HEADER_BYTES + header.body_bytes));
        }
        at += header.entry_bytes();
    }
    found
}

fn both() -> [Small; 2] {
    [Small::make(false), Small::make(true)]
}

/// Bytes of header, both copies, and entries, with some behind them.
fn interesting(image: &[u8]) -> impl Iterator<Item = usize> + use<> {
    let entries = ENTRIES_AT as usize..(used(image) + 64).min(image.len());
    (0..64).chain(2048..2048 + 64).chain(entries)
}

/// Q3. Seen to fail when `scan` counts no gaps, when it ends at a damaged body, and when `parse` does not check the body's CRC.
#[test]
fn every_flipped_bit_harms_one_record_at_most_and_is_counted() {
    for journal in both() {
        let mut flips = 0;
        for number in 0..2 {
            for at in interesting(&journal.files[number].1) {
                for bit in 0..8 {
                    let files = journal.with(number, |image| image[at] ^= 1 << bit);
                    let what = || format!("bit {bit} of byte {at} of file {number}, closed {}", journal.is_closed);
                    let (end, quarantined) = journal.check(&files, what);
                    assert!(quarantined <= 1 && (end == TOTAL || !journal.is_closed && end >= LAST_BATCH), "{}: {end}", what());
                    flips += 1;
                }
            }
        }
        assert!(flips > 8_000, "{flips} bits were flipped");
    }
}

/// Q3. Seen to fail when `image_of` reads a length that the file does not have.
#[test]
fn every_truncation_keeps_what_is_left() {
    for journal in both() {
        for number in 0..2 {
            for bytes in 0..journal.files[number].1.len() {
                let files = journal.with(number, |image| image.truncate(bytes));
                journal.check(&files, || format!("file {number} cut to {bytes} bytes, closed {}", journal.is_closed));
            }
        }
    }
}

/// Q3. Seen to fail when `scan` takes a sealed segment's end for a torn tail.
#[test]
fn every_zeroed_tail_keeps_what_is_left() {
    for journal in both() {
        for number in 0..2 {
            for from in interesting(&journal.files[number].1) {
                let files = journal.with(number, |image| image[from..].fill(0));
                journal.check(&files, || format!("file {number} zeroed from byte {from}, closed {}", journal.is_closed));
            }
        }
    }
}

/// Q3: a block that was written over the next one too, and one that was put in before it. Seen to fail when `scan` takes an entry whose
/// offset was there already.
#[test]
fn every_doubled_block_doubles_no_record() {
    for journal in both() {
        for number in 0..2 {
            let blocks = journal.files[number].1.len() / SECTOR_BYTES;
            for block in 0..blocks {
                let (from, to) = (block * SECTOR_BYTES, (block + 1) * SECTOR_BYTES);
                let over = journal.with(number, |image| {
                    let bytes = (image.len() - to).min(SECTOR_BYTES);
                    image.copy_within(from..from + bytes, to);
                });
                journal.check(&over, || format!("block {block} of file {number} written twice, closed {}", journal.is_closed));
                // Before the entries it would move them to where none begins, and the headers with them: no disk does that.
                if from >= ENTRIES_AT as usize {
                    let put_in = journal.with(number, |image| {
                        let copy = image[from..to].to_vec();
                        image.splice(to..to, copy);
                    });
                    journal.check(&put_in, || format!("block {block} of file {number} put in twice, closed {}", journal.is_closed));
                }
            }
        }
    }
}
