//! `cargo xtask faults`: the fault tests at length, as long as one likes, with the figures for `docs/reliability.md`.
//!
//! model disk (`queue`, release) → all rooms on virtual time (`sim`) → kills at points and at random moments → power cuts and faults of the machine → network → pressure
//!
//! The tests are the ones that `cargo xtask test` runs, with larger numbers: their oracle stands in `crates/cli/tests/it/faults`, in another
//! process than the server that it judges. Here is only how often.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::processes::Guard;
use crate::{machine, workspace};

/// Power cuts on the model disk.
const CUTS: u64 = 1_000_000;
/// Seeds of the simulation of all rooms, in each turn.
const SIMULATIONS: u64 = 1_000;
/// The test that runs them. All features, as the other tests here: one build.
const SIMULATION: [&str; 8] = ["test", "--workspace", "--all-features", "--lib", "--", "--exact", SIMULATION_TEST, "--nocapture"];
const SIMULATION_TEST: &str = "tests::whatever_happens_each_acknowledged_record_lands_once";
/// The filter of the tests at the binary.
const FILTER: &str = "faults::";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    minutes: Option<u64>,
    seed: u64,
}

/// How often what, in a turn at the binary: the variables that the tests read.
const TURN: [(&str, u64); 10] = [
    // 18 points: 504 kills.
    ("CROWDREAD_POINT_ROUNDS", 28),
    ("CROWDREAD_KILLS", 500),
    ("CROWDREAD_CROWD_KILLS", 20),
    ("CROWDREAD_POWER_CUTS", 120),
    ("CROWDREAD_FAULT_ROUNDS", 3),
    ("CROWDREAD_NETWORK_FAULTS", 500),
    ("CROWDREAD_SLOW_SENDERS", 10_000),
    ("CROWDREAD_CLOCK_ROUNDS", 10),
    ("CROWDREAD_FULL_DISKS", 5),
    ("CROWDREAD_STUCK_LOADERS", 5),
];

/// Reads `[--minutes N] [--seed S]` and runs: the model disk once, then turns of simulations and at the binary, until the minutes are over and at
/// least one.
///
/// # Errors
/// Wrong arguments, a missing program, or a test that fails; its own words, with its seed, stand above.
pub fn run(args: &[&str]) -> Result<()> {
    let Asked { minutes, seed } = read(args)?;
    let start = now();
    let guard = Guard::start()?;
    machine::toolchain()?;
    machine::install(&machine::FAULT_NEEDS)?;
    let python = machine::python()?;
    println!("faults: seed {seed}; the same again: cargo xtask faults --seed {seed}");
    let cuts = CUTS.to_string();
    let model = ["test", "--release", "--package", "queue", "--lib", "--", "journal::tests::model", "--nocapture"];
    cargo(&guard, &model, &[("CROWDREAD_CUTS", cuts), ("CROWDREAD_SEED", seed.to_string())])?;
    let mut turns = 0;
    while turns == 0 || minutes.is_some_and(|minutes| start.elapsed() < Duration::from_secs(60 * minutes)) {
        let seed = seed + 100_000 * turns;
        println!("faults: turn {turns}, {SIMULATIONS} simulations from seed {seed}");
        let seeds = [("CROWDREAD_SIM_SEEDS", SIMULATIONS.to_string()), ("CROWDREAD_SEED", seed.to_string())];
        cargo(&guard, &SIMULATION, &seeds)?;
        println!("faults: turn {turns} at the binary, seed {seed}");
        let mut variables: Vec<(&str, String)> = TURN.iter().map(|(name, count)| (*name, count.to_string())).collect();
        variables.push(("CROWDREAD_SEED", seed.to_string()));
        variables.push(("CROWDREAD_PYTHON", python.display().to_string()));
        let tests = ["test", "--workspace", "--all-features", "--test", "it", "--", FILTER, "--nocapture", "--test-threads=2"];
        cargo(&guard, &tests, &variables)?;
        turns += 1;
    }
    println!("faults: green after {turns} turns, {} minutes", start.elapsed().as_secs() / 60);
    Ok(())
}

/// One seed of the simulation, told line by line.
///
/// # Errors
/// A seed that is no number, or one that is red.
pub fn simulate(seed: &str) -> Result<()> {
    let seed: u64 = seed.parse().with_context(|| format!("a seed is a number, and {seed} is none"))?;
    let guard = Guard::start()?;
    let shows = [("CROWDREAD_SIM_SEEDS", "1".to_owned()), ("CROWDREAD_SEED", seed.to_string()), ("CROWDREAD_SIM_SHOW", "1".to_owned())];
    cargo(&guard, &SIMULATION, &shows)
}

fn read(args: &[&str]) -> Result<Asked> {
    let mut asked = Asked { minutes: None, seed: 1 };
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let number = || -> Result<u64> {
            let text = words.clone().next().with_context(|| format!("{word} needs a number"))?;
            text.parse().with_context(|| format!("{word} needs a number, and {text} is none"))
        };
        match *word {
            "--minutes" => asked.minutes = Some(number()?),
            "--seed" => asked.seed = number()?,
            other => bail!("no argument `{other}` of `cargo xtask faults`"),
        }
        words.next();
    }
    Ok(asked)
}

/// One cargo call whose output is ours.
fn cargo(guard: &Guard, args: &[&str], variables: &[(&str, String)]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(args).envs(variables.iter().map(|(name, value)| (name, value)));
    command.env("CARGO_INCREMENTAL", "0").stdin(Stdio::null());
    guard.mark(&mut command);
    if !command.status().context("cargo does not start")?.success() {
        bail!("red: cargo {}", args.join(" "));
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "how long a person wants to wait is the machine's own time; no test decides by it")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
#[path = "faults_tests.rs"]
mod tests;
