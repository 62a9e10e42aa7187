//! Looking at a journal: it changes nothing, needs nobody to stop, and says what is damaged (promise Q3).

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use queue::{
    Journal, Queue,
    conformance::{partition, record},
    journal::{Config, Inspection, SegmentState, inspect},
};
use record::{ErrorKind, SystemClock, Tail};

fn config() -> Config {
    Config { headroom_bytes_min: 0, segment_bytes: 16 << 10, payload_bytes_max: 4 << 10, ..Config::default() }
}

fn open(folder: &Path) -> Journal {
    Journal::open(folder, config(), Arc::new(SystemClock::new())).expect("opens")
}

/// Names, bytes and times of all files, and the time of the folder.
fn snapshot(folder: &Path) -> (SystemTime, Vec<(String, Vec<u8>, SystemTime)>) {
    let modified = |path: &Path| fs::metadata(path).expect("metadata").modified().expect("a time");
    let paths = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths.map(|path| (path.display().to_string(), fs::read(&path).expect("the file"), modified(&path))).collect();
    files.sort();
    (modified(folder), files)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(from).expect("the folder") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, folder.path().join(path.file_name().expect("a name"))).expect("copied");
    }
    folder
}

fn kept() -> tempfile::TempDir {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/journal-v1"))
}

fn look(folder: &Path) -> Inspection {
    inspect(folder).expect("can be looked at")
}

fn flip(folder: &Path, file: &str, at: u64) {
    let mut image = fs::read(folder.join(file)).expect("the segment");
    image[at as usize] ^= 1;
    fs::write(folder.join(file), image).expect("written");
}

/// Seen to fail when `inspect` takes the lock.
#[tokio::test]
async fn looking_changes_no_byte_and_takes_no_lock() {
    let folder = kept();
    let before = snapshot(folder.path());
    let found = look(folder.path());
    found.check_whole().expect("whole");
    assert_eq!(snapshot(folder.path()), before);
    let journal = open(folder.path());
    let held = snapshot(folder.path());
    assert_eq!(look(folder.path()).records, found.records, "also while somebody holds the lock");
    assert_eq!(snapshot(folder.path()), held);
    journal.close().await.expect("closed");
}

#[test]
fn the_segments_are_told_in_numbers_and_in_text() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::rename(kept().keep(), folder.path().join("journal")).expect("moved into a data folder");
    let found = look(folder.path());
    assert_eq!((found.first, found.end, found.records, found.quarantined, found.format_version), (14, 32, 18, 0, 1));
    let [sealed, last] = &found.segments[..] else { panic!("two segments") };
    assert_eq!((sealed.base, sealed.end, sealed.records, sealed.state), (14, 27, 13, SegmentState::Sealed));
    assert_eq!((last.base, last.end, last.records, last.state), (27, 32, 5, SegmentState::Marked));
    let time = |micros: Option<record::Timestamp>| micros.expect("a time").as_micros() - 1_764_000_000_000_000;
    assert_eq!((time(sealed.first_received_at), time(sealed.last_received_at)), (14_000, 26_000));
    assert_eq!((time(last.first_received_at), time(last.last_received_at)), (27_000, 31_000));
    let text = found.to_text();
    assert!(text.contains("18 records, 0 lost") && text.contains("sealed") && text.contains("last, complete"), "{text}");
    assert!(found.verdict_text().contains("whole; 18 records in 2 segments, offsets 14 to 32"), "{}", found.verdict_text());
}

#[test]
fn damage_is_told_with_its_place_and_count() {
    let folder = kept();
    let name = look(folder.path()).segments[0].file.clone();
    flip(folder.path(), &name, 4096 + 32 + 20);
    let found = look(folder.path());
    let error = found.check_whole().expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("lost_records: 1") && error.to_string().contains("mend"), "{error}");
    let [damage] = &found.segments[0].damage[..] else { panic!("one range") };
    assert_eq!((damage.first, damage.end, damage.records, damage.from_byte), (14, 15, 1, 4096));
    assert_eq!(found.records + found.quarantined, found.end - found.first);
    assert!(found.verdict_text().starts_with(&format!("{name}: damaged in bytes 4096 to {}", damage.to_byte)), "{}", found.verdict_text());
    assert_eq!(open(folder.path()).status().quarantined, 1, "as the journal counts it");

    let folder = kept();
    flip(folder.path(), &name, 2048 + 20);
    let found = look(folder.path());
    assert_eq!((found.quarantined, found.segments[0].header_copies), (0, 1));
    assert!(found.check_whole().expect_err("damaged").to_string().contains("damaged_header_copies: 1"));
}

#[test]
fn where_there_is_no_journal_that_is_said_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("notes.txt"), "none").expect("written");
    for dir in [folder.path().to_owned(), folder.path().join("away"), folder.path().join("notes.txt")] {
        assert_eq!(inspect(&dir).expect_err("none").kind(), ErrorKind::Invalid);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
}

/// What a crash leaves: nobody was told that the last batch is stored.
#[tokio::test]
async fn an_unfinished_tail_is_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path());
    journal.append(vec![record(0)]).await.expect("stored");
    journal.append(vec![record(1)]).await.expect("stored");
    let crashed = copy(folder.path());
    let found = look(crashed.path());
    assert_eq!((found.records, found.segments[0].state, found.segments[0].unfinished_bytes), (2, SegmentState::Unmarked, 0));
    flip(crashed.path(), &found.segments[0].file, found.segments[0].used_bytes - 16);
    let torn = look(crashed.path());
    torn.check_whole().expect("no damage");
    assert_eq!(torn.records, 1);
    assert_eq!(torn.segments[0].used_bytes + torn.segments[0].unfinished_bytes, found.segments[0].used_bytes);
    journal.close().await.expect("closed");
}

/// A server that appends, rolls and trims all the time is never told to be damaged.
#[test]
fn beside_a_busy_journal_nothing_is_taken_for_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = open(folder.path());
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let mut next = 0;
            while !ends.load(Ordering::Relaxed) {
                let told = journal.append((next..next + 10).map(record).collect());
                next = runtime.block_on(told).expect("stored")[9].offset + 1;
                journal.trim(&partition(&journal), next.saturating_sub(300)).expect("trimmed");
            }
        });
        let (mut looks, mut refused, mut first) = (0, 0, 0);
        while looks < 100 || first < 500 {
            match inspect(folder.path()) {
                Ok(found) => {
                    found.check_whole().unwrap_or_else(|error| panic!("{error}\n{}", found.to_text()));
                    assert_eq!(found.records, found.end - found.first);
                    first = found.first;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                    refused += 1;
                }
            }
            looks += 1;
            assert!(looks < 20_000, "the journal is trimmed while it is looked at; it stands at {first}");
        }
        ends.store(true, Ordering::Relaxed);
        assert!(refused * 2 < looks, "{refused} of {looks} looks came to nothing");
    });
    assert!(journal.range(&partition(&journal)).expect("the range").start > 0);
}
