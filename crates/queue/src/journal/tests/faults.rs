//! A disk that fails or is full, and trimmed segments that live again.

use futures::FutureExt;
use record::{ErrorKind, Tail};

use super::{append, numbers, open, small, store};
use crate::{
    Headroom, Queue, conformance,
    journal::{Config, Faults, FaultyStorage},
};

/// Q2. Seen to fail when `step` ignores the error of `flush`.
#[test]
fn a_failed_fsync_poisons_and_nothing_is_pretended() {
    for seed in 0..20 {
        let disk = FaultyStorage::new(seed);
        let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
        store(&journal, &mut stepper, 0..5);
        let waiting = journal.wait_for(&conformance::partition(&journal), 5);
        disk.set_faults(Faults { sync_fails_after: Some(0), ..Faults::default() });
        let told = [append(&journal, 5..6), append(&journal, 6..9)];
        while stepper.step() {}
        assert_eq!(disk.fired(), 1, "the sync failed");
        for told in told {
            assert_eq!(told.now_or_never().expect("told").expect_err("not stored").kind(), ErrorKind::Closed);
        }
        assert_eq!(waiting.now_or_never().expect("told").expect_err("never").kind(), ErrorKind::Closed);
        // The next sync would succeed: nothing is tried again.
        let later = append(&journal, 9..10).now_or_never().expect("told at once");
        assert_eq!(later.expect_err("poisoned").kind(), ErrorKind::Closed);
        assert!(journal.status().is_poisoned);
        assert_eq!(numbers(&journal), ((0..5).collect(), 0), "what was stored can still be read");
        stepper.finish();
        assert_eq!(journal.close().now_or_never().expect("closed").expect_err("not in order").kind(), ErrorKind::Closed);

        // Opened again without a power cut, the pages look clean and are not on the disk: what is served then must be.
        let (journal, stepper) = open(&disk, small()).expect("opens by itself");
        let (served, quarantined) = numbers(&journal);
        assert_eq!((&served[..5], quarantined), (&[0, 1, 2, 3, 4][..], 0));
        drop((journal, stepper));
        disk.power_cut();
        let (journal, _stepper) = open(&disk, small()).expect("opens by itself");
        assert_eq!(numbers(&journal), (served, 0), "seed {seed}: what was served once stays");
    }
}

#[test]
fn a_failed_write_poisons() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    disk.set_faults(Faults { write_fails_after: Some(0), ..Faults::default() });
    let told = append(&journal, 0..1);
    while stepper.step() {}
    assert_eq!(disk.fired(), 1, "the write failed");
    assert_eq!(told.now_or_never().expect("told").expect_err("not stored").kind(), ErrorKind::Closed);
}

/// C2.
#[test]
fn a_full_disk_is_unavailable_until_there_is_room() {
    let disk = FaultyStorage::new(1);
    disk.set_faults(Faults { capacity_bytes: Some(3 * small().segment_bytes), ..Faults::default() });
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    let mut stored = 0;
    let refused = loop {
        let told = append(&journal, stored..stored + 10);
        let was_low = journal.headroom() != Headroom::Enough;
        while stepper.step() {}
        stepper.keep_house();
        match told.now_or_never().expect("told") {
            Ok(_) => stored += 10,
            Err(error) => {
                assert!(was_low, "headroom says it first");
                break error;
            }
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(!journal.status().is_poisoned && journal.status().segments == 3);
    journal.trim(&conformance::partition(&journal), stored).expect("a trim");
    assert_eq!(store(&journal, &mut stepper, stored..stored + 10), stored, "nothing of what was refused is stored");
    assert_eq!(numbers(&journal).0.last(), Some(&(stored + 9)));
}

/// C2. Seen to fail when `take` opens the spare by its name instead of keeping it open, and when `passes` knows full disks alone:
/// then the journal is poisoned by nothing worse than too many connections.
#[test]
fn without_file_handles_the_spare_is_used_and_then_records_are_refused() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    stepper.keep_house();
    let mut stored = 0;
    while journal.shared.room_bytes.load(std::sync::atomic::Ordering::Relaxed) > small().segment_bytes / 2 {
        stored += 10;
        store(&journal, &mut stepper, stored - 10..stored);
    }
    stepper.keep_house();
    disk.set_faults(Faults { handles_are_gone: true, ..Faults::default() });
    let refused = loop {
        let told = append(&journal, stored..stored + 10);
        while stepper.step() {}
        stepper.keep_house();
        match told.now_or_never().expect("told") {
            Ok(_) => stored += 10,
            Err(error) => break error,
        }
    };
    assert_eq!((refused.kind(), journal.status().segments), (ErrorKind::Unavailable, 2), "the spare was taken without a handle");
    assert!(disk.fired() > 0 && !journal.status().is_poisoned);
    disk.set_faults(Faults::default());
    assert_eq!(store(&journal, &mut stepper, stored..stored + 10), stored, "nothing of what was refused is stored");
    assert_eq!(numbers(&journal), ((0..stored + 10).collect(), 0));
}

#[test]
fn some_of_the_disk_is_left_free() {
    let disk = FaultyStorage::new(1);
    disk.set_faults(Faults { capacity_bytes: Some(100_000), ..Faults::default() });
    let config = Config { headroom_bytes_min: 90_000, ..small() };
    assert_eq!(open(&disk, config).err().expect("no room for a segment").kind(), ErrorKind::Unavailable);
}

/// Seen to fail when entries are neither seeded nor refused below their segment's base (`SegmentHeader::seed` a constant, and
/// `>= found.end` left out of `scan`).
#[test]
fn a_recycled_segment_never_serves_what_it_held() {
    for seed in 0..20 {
        let disk = FaultyStorage::new(seed);
        let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
        let partition = conformance::partition(&journal);
        let mut next = 0;
        for round in 0..30 {
            // All records of one size: old entries begin where new ones end.
            store(&journal, &mut stepper, next * 97..next * 97 + 1);
            for _ in 0..20 {
                next += 1;
                store(&journal, &mut stepper, next * 97..next * 97 + 1);
            }
            next += 1;
            journal.trim(&partition, next.saturating_sub(30 + round % 7)).expect("a trim");
        }
        let segments = journal.status();
        assert!(segments.first > 0 && disk.contents(&format!("{:020}.journal", segments.first)).len() == 16 << 10);
        let expected: Vec<u64> = (segments.first..next).map(|n| n * 97).collect();
        assert_eq!(numbers(&journal), (expected.clone(), 0));
        // A crash with an unsynced append: recovery reads the rest of the reused file too.
        let _lost = append(&journal, next * 97..next * 97 + 1);
        drop((journal, stepper));
        disk.power_cut();
        let (journal, mut stepper) = open(&disk, small()).expect("opens by itself");
        assert_eq!(numbers(&journal), (expected, 0), "seed {seed}");
        assert_eq!(store(&journal, &mut stepper, 0..1), next);
    }
}

#[test]
fn a_reader_keeps_its_trimmed_segment() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    for n in 0..30 {
        store(&journal, &mut stepper, n * 10..n * 10 + 10);
    }
    let partition = conformance::partition(&journal);
    let held = journal.shared.segments().clone();
    let before = held[0].file.bytes().expect("a length");
    journal.trim(&partition, journal.range(&partition).expect("the range").end).expect("a trim");
    let names = crate::journal::Storage::list(&disk).expect("a list");
    assert!(!names.iter().any(|name| name.ends_with(".spare")), "a file that somebody reads is not reused: {names:?}");
    assert!(before > 0 && journal.status().segments == 1);
}

#[test]
fn two_processes_cannot_have_one_journal() {
    let disk = FaultyStorage::new(1);
    let (_journal, _stepper) = open(&disk, small()).expect("a new journal");
    let error = open(&disk, small()).err().expect("locked");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("another process"), "{error}");
}
