//! The journal against a model: random appends, trims, closings, crashes and power cuts at random moments, hundreds of seeds.

use std::ops::Range;

use futures::FutureExt;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use record::Tail;

use super::{Append, append, numbers, open, small};
use crate::{
    Queue, conformance,
    journal::{Faults, FaultyStorage, Journal, Stepper},
};

const SEEDS: u64 = 600;
const LIVES: u64 = 6;

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

fn crash(random: &mut SmallRng, disk: &FaultyStorage) {
    if random.random_bool(0.5) { disk.power_cut() } else { disk.kill() }
}

fn run(seed: u64) -> u64 {
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
        crash(&mut random, &disk);
        // Recovery itself may lose its power or be killed, more than once.
        while random.random_bool(0.4) {
            disk.set_faults(Faults { power_off_after: Some(random.random_range(0..25)), ..Faults::default() });
            drop(open(&disk, small()));
            crash(&mut random, &disk);
        }
        (journal, stepper) = model.reopen(&disk, seed);
    }
    disk.fired()
}

/// Q1, Q3. Seen to fail when `sync` does not call `sync_data`; when `mend_tail` does not write the last batch again;
/// when `activate` syncs the header or the folder not at all; when recovery does not sync the folder, or writes its marker with the tail.
#[test]
fn whatever_happens_acknowledged_records_are_served_once_and_in_order() {
    let mut fired = 0;
    for seed in 0..SEEDS {
        fired += run(seed);
    }
    assert!(fired > SEEDS, "faults fired: {fired}");
}
