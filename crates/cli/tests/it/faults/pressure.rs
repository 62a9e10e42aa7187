//! A loader that is stuck, a disk that is full, a clock that jumps.

use std::{fs, os::unix::process::ExitStatusExt, path::Path};

use super::{asked, clients::Mix, life::Life, resident_bytes, seed, shim::Shim};
use crate::{
    disk::SmallDisk,
    programs::{crowdread, python, wait_until},
};

/// What a server may take in memory while nothing lands: the bounds of bodies (64 MiB) and of what waits for the disk (64 MiB), and what it
/// takes at rest, with room to spare for a debug build.
const RESIDENT_BYTES_MAX: u64 = 400 << 20;

/// C2, L1: while the loader waits for ever in its commit, records are taken as long as there is room, and then refused with the time after
/// which to come again; memory stays within its bound, and nothing that was acknowledged is lost. Needs a small disk of its own. How often:
/// `CROWDREAD_STUCK_LOADERS`, by default once.
#[test]
fn a_stuck_loader_refuses_before_memory_or_disk_are_in_danger() {
    let Some(python) = python() else { return };
    for number in 0..asked("CROWDREAD_STUCK_LOADERS", 1) {
        stuck_loader(&python, seed() + number);
    }
}

fn stuck_loader(python: &Path, seed: u64) {
    let mut life = Life::begin("a stuck loader", Mix { large_every: 2, ..Mix::default() }, seed, None);
    let Some(disk) = SmallDisk::mount(&life.disk(), "64m") else { return };
    // The tables are made; from here on a commit is one of records.
    let mut server = life.serve(&[]);
    life.wait_for_answers();
    server.end();
    let headroom = ("CROWDREAD_JOURNAL__HEADROOM_BYTES_MIN", "16777216");
    let mut server = life.serve(&[headroom, ("FAILPOINTS", "lake::commit=pause")]);
    let mut resident = 0;
    let before = life.ledger.counts();
    wait_until("refusals", || {
        resident = resident.max(resident_bytes(server.0.id()));
        life.ledger.counts().put_off > before.put_off + 200
    });
    let counts = life.ledger.counts();
    assert!(resident < RESIDENT_BYTES_MAX, "{} MB resident", resident >> 20);
    server.kill();
    // There is room for the tables again, as the loader lands and trims.
    disk.grow("256m");
    life.judge(python);
    println!(
        "stuck loader: {} records acknowledged meanwhile, {} requests put off, {} MB resident at most",
        counts.acknowledged - before.acknowledged,
        counts.put_off - before.put_off,
        resident >> 20
    );
}

/// C2, L1: a disk of 16 MB of which the journal leaves nothing free, so that the kernel itself says that it is full, to whoever writes next.
/// How often: `CROWDREAD_FULL_DISKS`, by default once.
#[test]
fn a_disk_that_is_full_to_the_last_byte_loses_nothing() {
    let Some(python) = python() else { return };
    for number in 0..asked("CROWDREAD_FULL_DISKS", 1) {
        full_disk(&python, seed() + number);
    }
}

fn full_disk(python: &Path, seed: u64) {
    let mut life = Life::begin("a full disk", Mix { large_every: 3, ..Mix::default() }, seed, None);
    let Some(disk) = SmallDisk::mount(&life.disk(), "16m") else { return };
    let nothing_free = ("CROWDREAD_JOURNAL__HEADROOM_BYTES_MIN", "0");
    let mut server = life.serve(&[nothing_free]);
    life.wait_for_commit();
    disk.fill();
    wait_until("refusals", || life.ledger.counts().put_off > 100 && life.log().contains("os error 28"));
    let counts = life.ledger.counts();
    server.kill();
    disk.grow("256m");
    life.judge(python);
    let (put_off, said) = (counts.put_off, life.log().matches("os error 28").count());
    println!("full disk of 16 MB: {put_off} put off before there was room again; the kernel said {said} times that it is full");
}

/// C3, L1, L2: the time of day jumps a day ahead and back and stands still, while the same ids come twice. How often: `CROWDREAD_CLOCK_ROUNDS`,
/// by default once.
#[test]
fn a_clock_that_jumps_makes_no_repeat_a_first_one() {
    let Some(python) = python() else { return };
    let mut life = Life::begin("a clock that jumps", Mix { large_every: 0, ..Mix::default() }, seed(), None);
    let shim = Shim::compile(&life);
    let clock = life.beside("clock");
    let path = clock.display().to_string();
    let mut jumps = 0;
    let start = |time: &str| {
        fs::write(&clock, time).expect("file");
        life.serve_as(shim.command(&[("SHIM_CLOCK", &path)]), &[])
    };
    let mut server = start("+0");
    for _ in 0..asked("CROWDREAD_CLOCK_ROUNDS", 1) {
        for time in ["+86400", "-86400", "=1764000000", "+0", "=1764086399"] {
            // Written beside and renamed: the shim reads it at any moment.
            fs::write(life.beside("clock.new"), time).and_then(|()| fs::rename(life.beside("clock.new"), &clock)).expect("file");
            jumps += 1;
            life.wait_for_answers();
            life.wait_for_commit();
            if jumps % 2 == 0 {
                server.kill();
                server = start(time);
                life.wait_for_answers();
            }
        }
    }
    assert!(shim.told().fired.contains_key("clock"), "the server asked for the time");
    server.end();
    let counts = life.judge(&python);
    assert!(counts.repeats > 0);
    println!("clock: {jumps} jumps, {} records acknowledged, {} repeats", counts.acknowledged, counts.repeats);
}

/// The fault points do nothing unless asked for, and what is asked for wrongly is said.
#[test]
fn a_fault_that_is_asked_for_wrongly_is_said() {
    let life = Life::begin("no fault", Mix { clients: 0, ..Mix::default() }, seed(), None);
    let status = life.start_as(crowdread(), &[("FAULT_KILL", "no count")]).ended();
    assert_eq!((status.code(), status.signal()), (Some(2), None), "{}", life.log());
}
