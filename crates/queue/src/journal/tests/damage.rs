//! Rot, torn tails, foreign files and other formats (promise Q3).

use record::{Error, ErrorKind};

use super::{append, numbers, open, small, store};
use crate::journal::{
    Faults, FaultyStorage, Storage,
    segment::{ENTRIES_AT, Segment},
};

/// A closed journal of three segments or more, one record a batch; how many records.
fn three_segments(disk: &FaultyStorage) -> u64 {
    let (journal, mut stepper) = open(disk, small()).expect("a new journal");
    let mut next = 0;
    while journal.status().segments < 3 {
        store(&journal, &mut stepper, next..next + 1);
        next += 1;
    }
    for _ in 0..5 {
        store(&journal, &mut stepper, next..next + 1);
        next += 1;
    }
    stepper.finish();
    next
}

fn segments(disk: &FaultyStorage) -> Vec<String> {
    disk.list().expect("a list").into_iter().filter(|name| Segment::base_of(name).is_some()).collect()
}

fn open_error(disk: &FaultyStorage) -> Error {
    open(disk, small()).err().expect("does not open")
}

/// Q3. Seen to fail when `scan` counts no gaps, and when it stops at the first damage.
#[test]
fn damage_in_the_middle_is_quarantined_with_its_count() {
    for seed in 0..200_u64 {
        let disk = FaultyStorage::new(seed);
        let total = three_segments(&disk);
        let names = segments(&disk);
        let name = &names[(seed % 3) as usize];
        let image = disk.contents(name);
        let used = image.iter().rposition(|byte| *byte != 0).expect("entries") as u64 - 40;
        let at = ENTRIES_AT + (seed * 7919) % (used - ENTRIES_AT);
        disk.flip_bit(name, at, (seed % 8) as u8);
        let (journal, mut stepper) = open(&disk, small()).expect("opens by itself");
        let (read, quarantined) = numbers(&journal);
        // A bit in the padding harms nothing.
        assert!(quarantined <= 1, "seed {seed}: one flipped bit harms one record");
        assert_eq!(read.len() as u64 + quarantined, total, "seed {seed}");
        assert!(read.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(journal.status().quarantined, quarantined);
        assert_eq!(store(&journal, &mut stepper, total..total + 1), total);
        for from in 0..total {
            let batch = record::Tail::read(&journal, &crate::conformance::partition(&journal), from, 1).expect("a read");
            assert!(batch.records.len() == 1 && batch.records[0].offset >= from);
        }
    }
}

#[test]
fn a_lost_sector_loses_what_it_held_and_no_more() {
    let disk = FaultyStorage::new(3);
    let total = three_segments(&disk);
    let names = segments(&disk);
    let before = disk.contents(&names[1]);
    for (at, byte) in before.iter().enumerate().skip(6144).take(512) {
        for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
            disk.flip_bit(&names[1], at as u64, bit);
        }
    }
    let (journal, _stepper) = open(&disk, small()).expect("opens by itself");
    let (read, quarantined) = numbers(&journal);
    assert!((3..=12).contains(&quarantined), "{quarantined}");
    assert_eq!(read.len() as u64 + quarantined, total);
}

#[test]
fn a_missing_segment_is_counted() {
    let disk = FaultyStorage::new(1);
    let total = three_segments(&disk);
    let names = segments(&disk);
    let bases: Vec<u64> = names.iter().filter_map(|name| Segment::base_of(name)).collect();
    disk.remove(&names[1]).expect("removed");
    let (journal, _stepper) = open(&disk, small()).expect("opens by itself");
    let (read, quarantined) = numbers(&journal);
    assert_eq!(quarantined, bases[2] - bases[1]);
    assert_eq!(read.len() as u64 + quarantined, total);
}

/// Damage that appears while the journal is open.
#[test]
fn rot_under_a_reader_is_counted() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    store(&journal, &mut stepper, 0..20);
    disk.flip_bit(&segments(&disk)[0], ENTRIES_AT + 500, 3);
    let (read, quarantined) = numbers(&journal);
    assert_eq!((read.len(), quarantined), (19, 1));
}

/// Q3. Nobody was told that the records of the last batch are stored, so its damage is a torn tail.
/// Seen to fail when `scan` truncates nothing, and when `mend_tail` does not wipe what follows.
#[test]
fn a_torn_tail_is_dropped() {
    let mut torn = 0;
    for seed in 0..200 {
        let disk = FaultyStorage::new(seed);
        let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
        store(&journal, &mut stepper, 75..80);
        disk.set_faults(Faults { sync_fails_after: Some(0), ..Faults::default() });
        let _unknown = append(&journal, 80..96);
        while stepper.step() {}
        drop((journal, stepper));
        disk.power_cut();
        let (journal, mut stepper) = open(&disk, small()).expect("opens by itself");
        let (mut read, quarantined) = numbers(&journal);
        let next = read.len() as u64;
        assert_eq!(quarantined, 0, "seed {seed}: a torn tail is no damage");
        assert!(next >= 5 && read == (75..75 + next).collect::<Vec<_>>());
        torn += u64::from(next < 21);
        // Shorter than the one that was torn, so that the torn batch's next entry still stands behind it, with the very offset that follows.
        assert_eq!(store(&journal, &mut stepper, 0..1), next);
        stepper.finish();
        let (journal, _stepper) = open(&disk, small()).expect("opens by itself");
        read.push(0);
        assert_eq!(numbers(&journal), (read, 0), "seed {seed}: what was torn does not come back");
    }
    assert!(torn > 100, "the cut tore {torn} of 200 tails");
}

#[test]
fn after_a_close_damage_to_the_last_batch_is_no_torn_tail() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    store(&journal, &mut stepper, 0..1);
    stepper.finish();
    disk.flip_bit(&segments(&disk)[0], ENTRIES_AT + 40, 0);
    let (journal, mut stepper) = open(&disk, small()).expect("opens by itself");
    assert_eq!((journal.status().quarantined, journal.status().end), (1, 1));
    assert_eq!(numbers(&journal), (vec![], 1));
    assert_eq!(store(&journal, &mut stepper, 1..2), 1);
}

#[test]
fn a_damaged_header_harms_no_record() {
    let disk = FaultyStorage::new(1);
    let total = three_segments(&disk);
    let names = segments(&disk);
    disk.flip_bit(&names[0], 20, 0);
    for at in [20, 2048 + 20] {
        disk.flip_bit(&names[1], at, 0);
    }
    let (journal, stepper) = open(&disk, small()).expect("opens by itself");
    assert_eq!(numbers(&journal), ((0..total).collect(), 0));
    drop((journal, stepper));
    disk.flip_bit(&names[0], 2048 + 20, 0);
    for at in [20, 2048 + 20] {
        disk.flip_bit(&names[2], at, 0);
    }
    assert_eq!(open_error(&disk).kind(), ErrorKind::Corrupt);
}

#[test]
fn a_newer_format_is_named_and_not_touched() {
    let disk = FaultyStorage::new(1);
    three_segments(&disk);
    let name = segments(&disk)[0].clone();
    let file = disk.open(&name).expect("opened");
    let mut header = disk.contents(&name)[..64].to_vec();
    header[8] = 2;
    let crc = crc32fast::hash(&header[..60]);
    header[60..].copy_from_slice(&crc.to_le_bytes());
    file.write_at(0, &header).expect("written");
    let before = disk.contents(&name);
    let error = open_error(&disk);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("format_found: 2") && error.to_string().contains("format_supported: 1"), "{error}");
    assert_eq!(disk.contents(&name), before);
}

#[test]
fn segments_of_two_journals_are_refused() {
    let (disk, other) = (FaultyStorage::new(1), FaultyStorage::new(2));
    three_segments(&disk);
    three_segments(&other);
    let foreign = segments(&other)[1].clone();
    let image = other.contents(&foreign);
    disk.remove(&foreign).expect("the same name");
    disk.create(&foreign).expect("created").write_at(0, &image).expect("written");
    assert_eq!(open_error(&disk).kind(), ErrorKind::Corrupt);
}

#[test]
fn a_renamed_segment_is_refused_and_other_files_are_left_alone() {
    let disk = FaultyStorage::new(1);
    three_segments(&disk);
    disk.create("notes.txt").expect("created");
    open(&disk, small()).expect("opens");
    assert!(disk.list().expect("a list").iter().any(|name| name == "notes.txt"));
    disk.rename(&segments(&disk)[1], &Segment::name_of(999_999)).expect("renamed");
    assert_eq!(open_error(&disk).kind(), ErrorKind::Corrupt);
}

#[test]
fn other_segment_sizes_are_read_on() {
    let disk = FaultyStorage::new(1);
    let total = three_segments(&disk);
    let larger = crate::journal::Config { segment_bytes: 64 << 10, ..small() };
    let (journal, mut stepper) = open(&disk, larger).expect("opens");
    for n in total..total + 300 {
        store(&journal, &mut stepper, n..n + 1);
    }
    assert_eq!(numbers(&journal), ((0..total + 300).collect(), 0));
    stepper.finish();
    drop(journal);
    let (journal, mut stepper) = open(&disk, small()).expect("opens");
    store(&journal, &mut stepper, total + 300..total + 330);
    assert_eq!(numbers(&journal).0.len() as u64, total + 330);
}
