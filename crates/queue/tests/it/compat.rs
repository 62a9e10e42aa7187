//! Journals that earlier versions wrote still open, and those of later versions are refused. `tests/compat` has one folder for each
//! format version, written once by `examples/compat_journal.rs` and not touched since.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use queue::{Journal, Queue, conformance::read_all, journal::Config};
use record::{ErrorKind, Record, SystemClock};

/// A copy of the journal that a format version wrote, and the list of its records.
fn copy(version: &str) -> (tempfile::TempDir, String) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat").join(version);
    let folder = tempfile::tempdir().expect("a folder");
    for name in segments(&kept) {
        fs::copy(kept.join(&name), folder.path().join(&name)).expect("copied");
    }
    (folder, fs::read_to_string(kept.join("records.tsv")).expect("the list"))
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).expect("the folder").map(|entry| PathBuf::from(entry.expect("an entry").file_name()));
    let mut names: Vec<PathBuf> = names.filter(|name| name.extension().is_some_and(|end| end == "journal")).collect();
    names.sort();
    names
}

fn open(folder: &Path) -> record::Result<Journal> {
    let config = Config { headroom_bytes_min: 0, segment_bytes: 16 << 10, payload_bytes_max: 4 << 10, ..Config::default() };
    Journal::open(folder, config, Arc::new(SystemClock::new()))
}

fn line((offset, record): &(u64, Record)) -> String {
    let Record { topic, id, received_at, door, payload } = record;
    let payload = std::str::from_utf8(payload).expect("text");
    format!("{offset}\t{topic}\t{id}\t{}\t{door}\t{payload}\n", received_at.as_micros())
}

/// Seen to fail when a field of the entry's body changes places, and when the entry's CRC is begun with another seed.
#[tokio::test]
async fn a_journal_of_format_1_is_read_as_it_was_written_and_goes_on() {
    let (folder, list) = copy("journal-v1");
    let journal = open(folder.path()).expect("opens");
    let status = journal.status();
    assert_eq!((status.segments, status.quarantined), (2, 0));
    let read: String = read_all(&journal, status.first, 7).0.iter().map(line).collect();
    assert_eq!(read, list);
    let appended = queue::conformance::record(1);
    let positions = journal.append(vec![appended.clone()]).await.expect("stored");
    assert_eq!(positions[0].offset, status.end);
    journal.close().await.expect("closed");
    let journal = open(folder.path()).expect("opens");
    assert_eq!(read_all(&journal, status.end, 1).0, [(status.end, appended)]);
}

/// A header of another version, whole in its own eyes, in the first copy or, that one being damaged, in the second.
/// Seen to fail when `SegmentHeader::parse` does not look at the version.
#[test]
fn a_segment_of_another_format_is_refused_and_not_touched() {
    for version in [0_u32, 2, 3, u32::MAX] {
        for (at, damaged) in [(0, None), (2048, Some(0))] {
            let (folder, _) = copy("journal-v1");
            let path = folder.path().join(segments(folder.path()).last().expect("a segment"));
            let mut image = fs::read(&path).expect("the segment");
            image[at + 8..at + 12].copy_from_slice(&version.to_le_bytes());
            let crc = crc32fast::hash(&image[at..at + 60]);
            image[at + 60..at + 64].copy_from_slice(&crc.to_le_bytes());
            if let Some(damaged) = damaged {
                image[damaged] ^= 1;
            }
            fs::write(&path, &image).expect("written");
            let error = open(folder.path()).err().expect("is refused");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(&format!("format_found: {version}")), "{error}");
            assert_eq!(fs::read(&path).expect("the segment"), image);
        }
    }
}
