//! What a seed draws: how many lives the server has, and the faults of each. Pure; `run` does what it says.

use lake::FaultPoint;
use rand::{Rng, rngs::SmallRng};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process is killed.
    Kill,
    /// The power goes.
    PowerCut,
    /// It is told to end, and ends well.
    Clean,
}

/// A fault, and for how long where it lasts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// After so many calls of the journal's disk the power is gone.
    JournalPower(u64),
    /// Which fdatasync of the journal fails.
    JournalSync(u64),
    /// Which write of the journal fails.
    JournalWrite(u64),
    /// Each fdatasync takes 50 to 500 ms.
    SlowSync(u64),
    /// The journal's disk takes nothing more.
    DiskFull(u64),
    /// There are no handles for open files.
    NoHandles(u64),
    /// The loader stands still, wherever it is, and goes on as if nothing had been.
    LoaderStuck(u64),
    /// The store of the tables is away.
    LakeAway(u64),
    /// The pass of a fault point after so many fails.
    LakePoint(FaultPoint, u64),
    /// The next fsync of a file of a table fails: of a data file, or of the log.
    LakeSync(&'static str),
    /// The loader dies at the fault point after so many.
    LoaderCrash(u64),
    /// The power goes at the lake's fsync after so many.
    LakePower(u64),
    /// The clock is set by so many days.
    Clock(i64),
    /// A second loader comes, and with the first one stuck where `true`.
    Rival(bool),
}

/// One life.
#[derive(Clone, Debug)]
pub struct Life {
    /// How long it lasts at most, in milliseconds.
    pub millis: u64,
    /// What happens at which millisecond, rising.
    pub faults: Vec<(u64, Fault)>,
    /// How it ends.
    pub end: End,
    /// Whether the index of repeats is lost with it.
    pub loses_index: bool,
    /// Records of one roll.
    pub rows_max: usize,
    /// Records of one read.
    pub read_max: usize,
}

const HOUR_MS: u64 = 3_600_000;
/// Kinds of faults; every kind comes first in one seed of so many.
const KINDS: u64 = 20;

/// The lives of a seed.
pub fn draw(seed: u64, random: &mut SmallRng) -> Vec<Life> {
    let lives = random.random_range(2..4_u64);
    (0..lives)
        .map(|number| {
            let first = if number == 0 { seed % KINDS } else { random.random_range(0..KINDS) };
            life(first, random)
        })
        .collect()
}

fn life(first: u64, random: &mut SmallRng) -> Life {
    let mut millis = random.random_range(4_000..12_000);
    let mut faults = Vec::new();
    for number in 0..random.random_range(1..4_u64) {
        let at = random.random_range(200..millis / 2);
        let kind = if number == 0 { first } else { random.random_range(0..KINDS) };
        let fault = fault(kind, random);
        if let Fault::LoaderStuck(lasts) | Fault::LakeAway(lasts) | Fault::DiskFull(lasts) | Fault::NoHandles(lasts) = fault {
            millis = millis.max(at + lasts + 6_000);
        }
        if let Fault::Rival(_) = fault {
            millis = millis.max(at + 14_000);
        }
        faults.push((at, fault));
    }
    // A sweep takes another loader's files for orphans when the clock jumps ahead by more than an hour: a known gap.
    if faults.iter().any(|(_, fault)| matches!(fault, Fault::Rival(_))) {
        faults.retain(|(_, fault)| !matches!(fault, Fault::Clock(days) if *days > 0));
    }
    faults.sort_by_key(|(at, _)| *at);
    let end = [End::Kill, End::PowerCut, End::PowerCut, End::Clean][random.random_range(0..4_usize)];
    let loses_index = random.random_range(0..4_u8) == 0;
    let rows_max = random.random_range(15..120);
    Life { millis, faults, end, loses_index, rows_max, read_max: random.random_range(5..200) }
}

fn fault(kind: u64, random: &mut SmallRng) -> Fault {
    let mut passes = |most: u64| random.random_range(0..most);
    match kind {
        0 => Fault::JournalPower(passes(60)),
        1 => Fault::JournalSync(passes(12)),
        2 => Fault::JournalWrite(passes(12)),
        3 => Fault::SlowSync(2_000 + passes(8_000)),
        4 => Fault::DiskFull(1_000 + passes(20_000)),
        5 => Fault::NoHandles(1_000 + passes(8_000)),
        6 => Fault::LoaderStuck(HOUR_MS + passes(4 * HOUR_MS)),
        7 => Fault::LakeAway(HOUR_MS / 4 + passes(HOUR_MS / 2)),
        8 => Fault::LakePoint(FaultPoint::WriteFile, passes(4)),
        9 => Fault::LakePoint(FaultPoint::SyncFile, passes(4)),
        10 => Fault::LakePoint(FaultPoint::Commit, passes(4)),
        11 => Fault::LakePoint(FaultPoint::SyncCommit, passes(4)),
        12 => Fault::LakePoint(FaultPoint::Reply, passes(4)),
        13 => Fault::LakePoint(FaultPoint::Index, passes(3)),
        14 => Fault::LakeSync(if passes(2) == 0 { "_delta_log" } else { ".parquet" }),
        15 => Fault::LoaderCrash(passes(30)),
        16 => Fault::LakePower(passes(30)),
        17 => Fault::Clock(1),
        18 => Fault::Clock(-1),
        _ => Fault::Rival(passes(3) > 0),
    }
}
