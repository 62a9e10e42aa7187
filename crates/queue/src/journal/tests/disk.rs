//! The fake disk itself: a model that is kinder than real disks would prove nothing.

use std::{collections::BTreeSet, sync::Arc};

use crate::journal::{FaultyStorage, Storage};

const SEEDS: u64 = 400;

/// What is left of a file of three sectors after a power cut: which sectors, and how long it is.
fn left(disk: &FaultyStorage, name: &str) -> String {
    if !disk.list().expect("a list").contains(&name.to_owned()) {
        return "no name".to_owned();
    }
    let bytes = disk.contents(name);
    let sectors: String = bytes.chunks(512).map(|sector| if sector[0] == 0 { '0' } else { 'x' }).collect();
    format!("{sectors}{}", if bytes.len().is_multiple_of(512) { "" } else { "." })
}

/// Q1, Q3: every outcome that a real disk may bring comes. Seen to fail when `power_cut` keeps a first part of the changes of names
/// alone, and when it never lets a length grow without its bytes.
#[test]
fn a_power_cut_is_as_nasty_as_on_real_disks() {
    let (mut data, mut names) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let disk = FaultyStorage::new(seed);
        for name in ["old", "goes"] {
            disk.create(name).expect("created");
        }
        disk.sync_dir().expect("synced");
        let file = disk.open("old").expect("opened");
        file.write_at(0, &[1; 1_300]).expect("written");
        disk.rename("old", "new").expect("renamed");
        disk.create("made").expect("created");
        disk.remove("goes").expect("removed");
        disk.power_cut();
        let there: BTreeSet<String> = disk.list().expect("a list").into_iter().collect();
        assert!(there.contains("old") != there.contains("new"), "a rename is atomic: {there:?}");
        data.insert(left(&disk, if there.contains("new") { "new" } else { "old" }));
        names.insert((there.contains("new"), there.contains("made"), there.contains("goes")));
    }
    let all: BTreeSet<_> = (0..8).map(|bits| (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0)).collect();
    assert_eq!(names, all, "any of the changes of names");
    // Nothing, the first, a later one behind a hole, all; the length of before, of a sector's end, and the new one over zeros.
    for expected in ["", "x", "0x", "xx", "00x.", "x0x.", "0xx.", "xxx.", "000.", "x00.", "0x0.", "xx0."] {
        assert!(data.contains(expected), "{expected:?} is not among {data:?}");
    }
}

#[test]
fn what_was_synced_stays() {
    for seed in 0..40 {
        let disk = FaultyStorage::new(seed);
        let file = disk.create("kept").expect("created");
        file.write_at(0, &[1; 1_300]).expect("written");
        file.sync_data().expect("synced");
        disk.sync_dir().expect("synced");
        disk.power_cut();
        assert_eq!(disk.contents("kept"), [1; 1_300], "seed {seed}");
        assert!(Arc::clone(&file).bytes().is_err(), "handles of an earlier life are dead");
    }
}
