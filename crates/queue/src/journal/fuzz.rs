//! What the fuzz targets of the journal call, and the tests with the inputs that were kept: bytes of any kind → a panic where a promise is broken.
//!
//! The targets stand in `fuzz/fuzz_targets`; `cargo xtask fuzz` runs them.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use record::{ErrorKind, ManualClock, Record, RecordId, Tail, Timestamp, Topic};

use super::{
    Config, FaultyStorage, Journal, Stepper, Storage,
    entry::{self, HEADER_BYTES, Parsed},
    inspect::inspect_on,
    segment::{self, ENTRIES_AT, Segment},
};
use crate::{Queue, conformance};

/// The bytes of an input, taken from the front; zeros once there are no more.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// Bytes as an entry: whatever parses can be written again, and has then the same header and body; a record goes into an entry and
/// comes out as it was.
pub fn journal_entry(data: &[u8]) {
    let mut input = Input(data);
    let seed = u32::from(input.byte());
    parses_or_not(input.0, seed);
    // The same bytes as a body whose checksums hold: nobody but a decoder stands between them and a reader.
    let body = Bytes::copy_from_slice(input.0);
    let mut topics = Vec::new();
    if let Ok(record) = entry::decode(&body, &mut topics) {
        let mut buffer = Vec::new();
        entry::encode(&record, &mut buffer).expect("what was decoded can be encoded");
        assert_eq!(buffer.len(), entry::record_bytes(&record), "a record takes the bytes that it is counted with");
        assert_eq!(&buffer[HEADER_BYTES..HEADER_BYTES + body.len()], &body[..], "the body is the same again");
        assert_eq!(entry::seal(&mut buffer, seed, 7, 7), 8);
        parses_or_not(&buffer, seed);
    }
    goes_in_and_out(&mut input, seed);
}

fn parses_or_not(bytes: &[u8], seed: u32) {
    match entry::parse(bytes, seed) {
        Parsed::Whole(header) => {
            assert!(header.entry_bytes() <= bytes.len() && header.batch_first <= header.offset);
            let mut again = bytes[..header.entry_bytes()].to_vec();
            if !header.is_marker {
                entry::seal(&mut again, seed, header.offset, header.batch_first);
                assert_eq!(again, bytes[..again.len()], "an entry that is sealed again is the same");
            } else if header.offset == header.batch_first {
                assert_eq!(entry::marker(seed, header.offset), again[..], "a marker that is written again is the same");
            }
        }
        Parsed::Short(needed) => assert!(needed > bytes.len(), "so many bytes are there"),
        Parsed::Damaged(header) => assert!(header.entry_bytes() <= bytes.len()),
        Parsed::Nothing => {}
    }
    if let Some(at) = entry::find(bytes, 0) {
        assert!(at % 8 == 0 && at + HEADER_BYTES <= bytes.len());
    }
}

fn goes_in_and_out(input: &mut Input<'_>, seed: u32) {
    let length = 1 + usize::from(input.byte() % 64);
    let name: String = input.take(length).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    let Ok(topic) = Topic::parse(if name.is_empty() { "t" } else { &name }) else { return };
    let door_length = input.byte();
    let door = String::from_utf8_lossy(input.take(usize::from(door_length / 3))).into_owned();
    let mut id = [1; 16];
    id[..8].copy_from_slice(&input.number().to_le_bytes());
    let received_at = Timestamp::from_micros(i64::from(input.byte()) << 50);
    let record = Record { topic, id: RecordId::from_bytes(id), received_at, door: door.into(), payload: Bytes::copy_from_slice(input.0) };
    let mut buffer = Vec::new();
    match entry::encode(&record, &mut buffer) {
        Err(error) => assert_eq!((error.kind(), record.door.len() > 255), (ErrorKind::Invalid, true)),
        Ok(()) => {
            entry::seal(&mut buffer, seed, 3, 1);
            let Parsed::Whole(header) = entry::parse(&buffer, seed) else { panic!("an entry that was written is whole") };
            let body = Bytes::from(buffer).slice(HEADER_BYTES..HEADER_BYTES + header.body_bytes);
            let mut topics = Vec::new();
            assert_eq!(entry::decode(&body, &mut topics).expect("decodes"), record);
            assert!(matches!(entry::parse(&body, seed.wrapping_add(1)), Parsed::Nothing | Parsed::Short(_)), "of another life of the file");
        }
    }
}

const SEED: u32 = 77;

/// A segment of entries, markers, holes and garbage in any order: what the scan says of it holds together.
pub fn journal_scan(data: &[u8]) {
    let mut input = Input(data);
    let base = u64::from(input.byte());
    let sealed = input.byte();
    let mut image = vec![0; ENTRIES_AT as usize];
    let mut offset = base;
    while !input.is_over() && image.len() < 64 << 10 {
        let kind = input.byte();
        match kind % 8 {
            0 => image.extend_from_slice(&entry::marker(SEED, offset)),
            1 => {
                let length = usize::from(input.byte());
                image.extend_from_slice(input.take(length));
                image.resize(image.len().next_multiple_of(8), 0);
            }
            2 => image.resize(image.len() + usize::from(input.byte()) * 8, 0),
            3 => offset = offset.wrapping_add(u64::from(input.byte())),
            4 => offset = offset.saturating_sub(u64::from(input.byte())),
            _ => {
                let at = image.len();
                entry::encode(&conformance::record(offset), &mut image).expect("a record");
                entry::seal(&mut image[at..], SEED, offset, offset.saturating_sub(u64::from(kind >> 4)));
                if kind & 8 != 0 {
                    let place = at + input.number() % (image.len() - at);
                    image[place] ^= 1 << (kind >> 5);
                }
                offset += 1;
            }
        }
    }
    let sealed_end = (sealed & 1 == 1).then(|| base + u64::from(sealed >> 1));
    let scan = segment::scan(&image, base, SEED, sealed_end);
    assert!(scan.end >= base && sealed_end.is_none_or(|end| scan.end == end || scan.end == base.max(scan.end)));
    assert!(scan.end_at >= ENTRIES_AT && scan.end_at <= image.len().max(ENTRIES_AT as usize) as u64, "it ends within the file");
    assert!(scan.batch_at >= ENTRIES_AT && scan.batch_at <= scan.end_at, "the last batch is in it");
    assert!(scan.index.is_sorted() && scan.index.iter().all(|(offset, at)| *offset < scan.end && *at < scan.end_at));
    let lost: u64 = scan.lost.iter().map(|lost| lost.offsets.end - lost.offsets.start).sum();
    assert_eq!(lost, scan.quarantined, "each range is counted");
    assert!(scan.lost.windows(2).all(|pair| pair[0].offsets.end <= pair[1].offsets.start), "ranges rise and do not meet");
    assert!(scan.quarantined <= scan.end - base, "no more is lost than there was");
}

fn config() -> Config {
    Config { segment_bytes: 16 << 10, batch_bytes_max: 4 << 10, payload_bytes_max: 2 << 10, headroom_bytes_min: 0, ..Config::default() }
}

fn open(disk: &FaultyStorage) -> record::Result<(Journal, Stepper)> {
    let clock = ManualClock::new(Timestamp::from_micros(1_764_000_000_000_000));
    Journal::open_stepped(Arc::new(disk.clone()), config(), Arc::new(clock))
}

/// Appends records, each with its own offset for its number.
fn store(journal: &Journal, stepper: &mut Stepper, from: u64, count: u64) {
    let told = journal.append((from..from + count).map(conformance::record).collect());
    while stepper.step() {}
    assert_eq!(told.now_or_never().expect("the writer has told").expect("stored")[0].offset, from);
}

/// A journal of some batches.
fn disk_with(input: &mut Input<'_>) -> (FaultyStorage, u64) {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk).expect("a new journal");
    let mut next = 0;
    for _ in 0..1 + input.byte() % 6 {
        let count = 1 + u64::from(input.byte() % 24);
        store(&journal, &mut stepper, next, count);
        next += count;
    }
    if input.byte().is_multiple_of(2) {
        stepper.finish();
    }
    (disk, next)
}

/// Q3: a journal whose files were changed in any way. It opens, or says that a person has to look, and then changes nothing; what it serves was written at
/// that offset, byte for byte; what it does not serve is counted; opened again it serves the same; it goes on.
pub fn journal_recovery(data: &[u8]) {
    let mut input = Input(data);
    let (disk, written) = disk_with(&mut input);
    let files = damaged(&disk, &mut input);
    let copy = disk_of(&files);
    let looked = inspect_on(&copy);
    let (journal, mut stepper) = match open(&copy) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid), "a person has to look: {error}");
            return;
        }
    };
    let (first, end) = serves_what_was_written(&journal, written);
    if files.is_empty() {
        return; // a new journal
    }
    let looked = looked.expect("what opens can be looked at");
    assert_eq!(
        (looked.first, looked.end, looked.quarantined),
        (first, end, journal.status().quarantined),
        "the looker sees what opening counts"
    );
    store(&journal, &mut stepper, end, 3);
    drop((journal, stepper));
    copy.power_cut();
    let (journal, _stepper) = open(&copy).expect("what was mended opens");
    let (first_again, end_again) = serves_what_was_written(&journal, written.max(end + 3));
    assert_eq!((first_again, end_again), (first, end + 3), "what was acknowledged after mending is there after a power cut");
}

fn serves_what_was_written(journal: &Journal, written: u64) -> (u64, u64) {
    let partition = conformance::partition(journal);
    let range = journal.range(&partition).expect("the range");
    let (read, quarantined) = conformance::read_all(journal, range.start, 50);
    for (offset, record) in &read {
        assert!(*offset < written, "offset {offset} was never written");
        assert_eq!(*record, conformance::record(*offset), "what is served was written");
    }
    assert_eq!(read.len() as u64 + quarantined, range.end - range.start, "what is not served is counted");
    assert_eq!(journal.status().quarantined, quarantined, "what opening counts is what reading misses of {range:?}");
    (range.start, range.end)
}

type Files = Vec<(String, Vec<u8>)>;

fn disk_of(files: &Files) -> FaultyStorage {
    let disk = FaultyStorage::new(2);
    for (name, image) in files {
        let file = disk.create(name).expect("created");
        file.write_at(0, image).expect("written");
        file.sync_data().expect("synced");
    }
    disk.sync_dir().expect("synced");
    disk
}

/// The segments, after as many changes as the input has.
fn damaged(disk: &FaultyStorage, input: &mut Input<'_>) -> Files {
    let names = disk.list().expect("a list").into_iter().filter(|name| Segment::base_of(name).is_some());
    let mut files: Files = names.map(|name| (name.clone(), disk.contents(&name))).collect();
    for _ in 0..16 {
        if input.is_over() || files.is_empty() {
            break;
        }
        let kind = input.byte();
        let number = usize::from(input.byte()) % files.len();
        let (at, length) = (input.number(), input.number());
        let image = &mut files[number].1;
        if image.is_empty() {
            continue;
        }
        // Mostly where entries are.
        let at = if kind & 0x80 == 0 { ENTRIES_AT as usize + at } else { at } % image.len();
        let to = (at + length % 2_048).min(image.len());
        match kind % 8 {
            0 => image[at] ^= 1 << (length % 8),
            1 => image[at..to].fill(0),
            2 => image.truncate(at),
            3 => image.resize(image.len() + length % 8_192, 0),
            4 => {
                let bytes = input.take(to - at);
                image[at..at + bytes.len()].copy_from_slice(bytes);
            }
            5 => {
                // A block that stands in two places, of the same file or another.
                let block = image[at..to].to_vec();
                let other = usize::from(input.byte()) % files.len();
                let (other, place) = (&mut files[other].1, input.number());
                if !other.is_empty() {
                    let place = place / 512 * 512 % other.len();
                    let fits = block.len().min(other.len() - place);
                    other[place..place + fits].copy_from_slice(&block[..fits]);
                }
            }
            6 => drop(files.remove(number)),
            _ => {
                let name = Segment::name_of(u64::from(input.byte()));
                if files.iter().all(|(taken, _)| *taken != name) {
                    files[number].0 = name;
                }
            }
        }
    }
    files
}

#[cfg(test)]
mod tests;
