//! Decisions, group commit, back-pressure and settings.

use futures::FutureExt;
use record::{Durability, ErrorKind, Tail};

use super::{Append, append, numbers, open, small, store};
use crate::{
    Headroom, Queue, conformance,
    journal::{
        Config, FaultyStorage,
        writer::{Step, decide},
    },
};

#[test]
fn a_batch_takes_what_fits_and_never_splits_a_group() {
    let check = |groups: &[usize], room, batch_max, expected| {
        assert_eq!(decide(groups.iter().copied(), room, batch_max), expected, "{groups:?} in {room}, at most {batch_max}");
    };
    check(&[], 100, 10, Step::Idle);
    check(&[10], 100, 10, Step::Flush { groups: 1 });
    check(&[10, 10, 10], 100, 20, Step::Flush { groups: 2 });
    check(&[50, 10], 100, 20, Step::Flush { groups: 1 });
    check(&[60, 60], 100, 200, Step::Flush { groups: 1 });
    check(&[101], 100, 200, Step::Roll);
}

/// Q1. Seen to fail when `sync` returns its proof without calling `sync_data`: all records are lost then.
#[test]
fn stored_is_not_told_before_fdatasync_has_returned() {
    for seed in 0..20 {
        let disk = FaultyStorage::new(seed);
        let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
        let told = append(&journal, 0..20);
        assert!(stepper.step());
        told.now_or_never().expect("told").expect("stored");
        assert_eq!(journal.status().fsyncs, 1);
        disk.power_cut();
        drop((journal, stepper));
        let (journal, _stepper) = open(&disk, small()).expect("opens by itself");
        assert_eq!(numbers(&journal), ((0..20).collect(), 0), "seed {seed}");
        assert_eq!(journal.durability(), Durability::Fsync);
    }
}

#[test]
fn one_fsync_serves_many_appends() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    let mut told: Vec<Append> = (0..10).map(|n| append(&journal, n..n + 1)).collect();
    assert!(told.iter_mut().all(|told| told.now_or_never().is_none()), "nothing is told before the writer has written");
    assert!(stepper.step() && !stepper.step());
    assert_eq!((journal.status().fsyncs, journal.status().batches), (1, 1));
    for (number, told) in told.into_iter().enumerate() {
        assert_eq!(told.now_or_never().expect("told").expect("stored")[0].offset, number as u64);
    }
}

#[test]
fn readers_see_nothing_that_is_not_durable() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    store(&journal, &mut stepper, 0..3);
    let _waiting = append(&journal, 3..5);
    assert_eq!(journal.range(&conformance::partition(&journal)).expect("the range"), 0..3);
    assert_eq!(numbers(&journal).0, [0, 1, 2]);
}

#[test]
fn a_dropped_append_is_stored_all_the_same() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    drop(append(&journal, 0..2));
    while stepper.step() {}
    assert_eq!(numbers(&journal).0, [0, 1]);
}

/// C2.
#[test]
fn too_much_in_flight_is_unavailable_and_headroom_says_so_before() {
    let config = Config { in_flight_bytes_max: 8 << 10, ..small() };
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, config).expect("a new journal");
    let mut accepted = Vec::new();
    let refused = loop {
        let was_low = journal.headroom() != Headroom::Enough;
        let mut told = append(&journal, accepted.len() as u64..accepted.len() as u64 + 1);
        match (&mut told).now_or_never() {
            Some(refused) => {
                assert!(was_low, "headroom says it first");
                break refused;
            }
            None => accepted.push(told),
        }
    };
    assert_eq!(refused.expect_err("too much").kind(), ErrorKind::Unavailable);
    while stepper.step() {}
    assert_eq!(journal.headroom(), Headroom::Enough);
    assert_eq!(journal.status().in_flight_bytes, 0);
    assert_eq!(numbers(&journal).0.len(), accepted.len());
}

#[test]
fn too_many_appends_in_flight_are_unavailable() {
    let config = Config { in_flight_appends_max: 2, ..small() };
    let disk = FaultyStorage::new(1);
    let (journal, _stepper) = open(&disk, config).expect("a new journal");
    let _accepted = [append(&journal, 0..1), append(&journal, 1..2)];
    let refused = append(&journal, 2..3).now_or_never().expect("told at once");
    assert_eq!(refused.expect_err("too many").kind(), ErrorKind::Unavailable);
}

#[test]
fn what_never_fits_is_invalid_and_harms_nobody() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    let mut large = conformance::record(0);
    large.payload = vec![b' '; small().payload_bytes_max + 1].into();
    let mut strange = conformance::record(0);
    strange.door = "d".repeat(256).into();
    let refusals =
        [journal.append(vec![large]), journal.append(vec![strange]), journal.append((0..1000).map(conformance::record).collect())];
    for refused in refusals {
        assert_eq!(refused.now_or_never().expect("told at once").expect_err("too large").kind(), ErrorKind::Invalid);
    }
    assert_eq!(store(&journal, &mut stepper, 0..1), 0);
    assert_eq!(journal.status().in_flight_bytes, 0);
}

#[test]
fn the_largest_append_and_the_largest_record_fit() {
    let disk = FaultyStorage::new(1);
    let (journal, mut stepper) = open(&disk, small()).expect("a new journal");
    let mut record = conformance::record(0);
    record.payload = vec![b' '; small().payload_bytes_max].into();
    let each = crate::journal::entry::record_bytes(&record);
    let most = small().append_bytes_max() / each;
    for count in [1, most] {
        let told = journal.append(vec![record.clone(); count]);
        while stepper.step() {}
        assert_eq!(told.now_or_never().expect("told").expect("stored").len(), count);
    }
    assert_eq!(conformance::read_all(&journal, 0, 100).0.len(), 1 + most);
}

#[test]
fn settings_out_of_bounds_are_named() {
    let wrong = [
        Config { segment_bytes: 1, ..small() },
        Config { segment_bytes: (16 << 10) + 1, ..small() },
        Config { segment_bytes: 2 << 30, ..small() },
        Config { batch_bytes_max: 0, ..small() },
        Config { payload_bytes_max: 16 << 10, ..small() },
        Config { in_flight_bytes_max: 0, ..small() },
        Config { in_flight_appends_max: 0, ..small() },
        Config { read_bytes_max: 0, ..small() },
    ];
    Config::default().check().expect("the default settings");
    for config in wrong {
        let error = config.check().expect_err("out of bounds");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.context().is_empty(), "{error}");
    }
}
