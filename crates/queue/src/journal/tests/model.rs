//! The journal against a model: random appends, trims, closings, crashes and power cuts at random moments, hundreds of seeds.

use std::{
    env,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use futures::FutureExt;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use record::Tail;

use super::{Append, append, numbers, open, small};
use crate::{
    Queue, conformance,
    journal::{Faults, FaultyStorage, Journal, Stepper},
};

/// So many power cuts there are at least, where `CROWDREAD_CUTS` says no other number.
const CUTS: u64 = 3_000;
const LIVES: u64 = 6;

/// What happened in a run.
#[derive(Default)]
struct Tally {
    power_cuts: u64,
    kills: u64,
    fired: u64,
}

/// What must be so, whatever happened: records below `acknowledged` are served; from there on the journal may hold
/// what was sent and not told, whole and in order, and nothing else.
#[derive(Default)]
struct Model {
    acknowledged: u64,
    sent: u64,
    trimmed: u64,
    waiting: Vec<(Range<u64>, Append)>,
}

impl Model {
    fn send(&mut self, journal: &Journal, count: u64) {
        let range = self.sent..self.sent + count;
        self.waiting.push((range.clone(), append(journal, range.clone())));
        self.sent = range.end;
    }

    /// Takes the answers. Record n stands at offset n: nothing is sent again.
    fn hear(&mut self) {
        self.waiting.retain_mut(|(range, told)| match told.now_or_never() {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(positions)) => {
                assert_eq!(range.start, self.acknowledged, "acknowledged in order");
                assert!(positions.iter().map(|position| position.offset).eq(range.clone()));
                self.acknowledged = range.end;
                false
            }
        });
    }

    /// Opens after a crash and compares.
    fn reopen(&mut self, disk: &FaultyStorage, seed: u64) -> (Journal, Stepper) {
        self.waiting.clear();
        let (journal, stepper) = open(disk, small()).unwrap_or_else(|error| panic!("seed {seed}: does not open by itself: {error}"));
        let range = journal.range(&conformance::partition(&journal)).expect("the range");
        assert!(range.start <= self.trimmed, "seed {seed}: begins at {} though trimmed at {}", range.start, self.trimmed);
        assert!((self.acknowledged..=self.sent).contains(&range.end), "seed {seed}: {range:?}, acknowledged {}", self.acknowledged);
        assert_eq!(numbers(&journal), (range.clone().collect(), 0), "seed {seed}");
        // What is served is stored, whether or not it was told.
        self.acknowledged = range.end;
        self.sent = range.end;
        (journal, stepper)
    }
}

/// Some operations on an open journal. Every one may meet a dead disk.
fn live(random: &mut SmallRng, model: &mut Model, journal: &Journal, stepper: &mut Stepper) {
    let partition = conformance::partition(journal);
    for _ in 0..random.random_range(1..60) {
        match random.random_range(0..10) {
            0..5 => model.send(journal, random.random_range(1..30)),
            5..8 => {
                stepper.step();
                model.hear();
            }
            8 => stepper.keep_house(),
            _ => {
                let below = random.random_range(0..=model.acknowledged);
                if journal.trim(&partition, below).is_ok() || below > model.trimmed {
                    model.trimmed = model.trimmed.max(below);
                }
            }
        }
    }
}

fn crash(random: &mut SmallRng, disk: &FaultyStorage, tally: &mut Tally) {
    if random.random_bool(0.5) {
        disk.power_cut();
        tally.power_cuts += 1;
    } else {
        disk.kill();
        tally.kills += 1;
    }
}

fn run(seed: u64) -> Tally {
    let mut tally = Tally::default();
    let mut random = SmallRng::seed_from_u64(seed);
    let disk = FaultyStorage::new(seed);
    let mut model = Model::default();
    let (mut journal, mut stepper) = model.reopen(&disk, seed);
    for _ in 0..LIVES {
        let power_off_after = random.random_bool(0.7).then(|| random.random_range(0..80));
        let sync_fails_after = random.random_bool(0.2).then(|| random.random_range(0..10));
        disk.set_faults(Faults { power_off_after, sync_fails_after, ..Faults::default() });
        live(&mut random, &mut model, &journal, &mut stepper);
        if random.random_bool(0.2) {
            stepper.finish();
        } else {
            drop(stepper);
        }
        model.hear();
        drop(journal);
        crash(&mut random, &disk, &mut tally);
        // Recovery itself may lose its power or be killed, more than once.
        while random.random_bool(0.4) {
            disk.set_faults(Faults { power_off_after: Some(random.random_range(0..25)), ..Faults::default() });
            drop(open(&disk, small()));
            crash(&mut random, &disk, &mut tally);
        }
        (journal, stepper) = model.reopen(&disk, seed);
    }
    tally.fired = disk.fired();
    tally
}

fn number_in(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// Q1, Q3. Seen to fail when `sync` does not call `sync_data`; when `mend_tail` does not write the last batch again;
/// when `activate` syncs the header or the folder not at all; when recovery does not sync the folder, or writes its marker with the tail.
/// `cargo xtask faults` runs it a million times; a seed that fails is in the message, and `CROWDREAD_SEED` begins there.
#[test]
fn whatever_happens_acknowledged_records_are_served_once_and_in_order() {
    let (cuts, first) = (number_in("CROWDREAD_CUTS", CUTS), number_in("CROWDREAD_SEED", 0));
    let next = AtomicU64::new(first);
    let [power_cuts, kills, fired] = [const { AtomicU64::new(0) }; 3];
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while power_cuts.load(Ordering::Relaxed) < cuts {
                    let tally = run(next.fetch_add(1, Ordering::Relaxed));
                    power_cuts.fetch_add(tally.power_cuts, Ordering::Relaxed);
                    kills.fetch_add(tally.kills, Ordering::Relaxed);
                    fired.fetch_add(tally.fired, Ordering::Relaxed);
                }
            });
        }
    });
    let (seeds, fired) = (next.into_inner() - first, fired.into_inner());
    let (power_cuts, kills) = (power_cuts.into_inner(), kills.into_inner());
    println!("model disk: seeds {first} to {}: {power_cuts} power cuts, {kills} kills, {fired} faults fired", first + seeds - 1);
    assert!(fired > seeds, "faults fired: {fired}");
}
