//! kill -9: at random moments, and at every point where something is half done.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt, path::Path, thread, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{asked, clients::Mix, life::Life, seed};
use crate::{
    programs::{Crowd, crowdread, import_sample, python, sample, wait_until},
    table::{Table, acknowledged},
};

/// Kills of one data folder; then it is judged, and a new one begins.
const KILLS_A_FOLDER: u64 = 50;

/// The points, and the highest number of times that one is passed before the process kills itself there.
/// `spare_created` comes first in a folder: later the journal has trimmed segments to use again.
pub const POINTS: [(&str, u64); 18] = [
    ("journal::spare_created", 1),
    ("journal::written", 40),
    ("journal::synced", 40),
    ("journal::header_written", 0),
    ("journal::segment_renamed", 0),
    ("journal::segment_named", 0),
    ("journal::spare_recycled", 0),
    ("journal::tail_mended", 0),
    ("door::stored", 40),
    ("lake::write_file", 6),
    ("lake::sync_file", 6),
    ("lake::commit", 6),
    ("lake::sync_commit", 6),
    ("lake::reply", 6),
    ("loader::index", 4),
    ("index::written", 4),
    ("index::committed", 4),
    ("loader::trim", 4),
];

/// Q1, Q3, C1, C3, L1, L2. Each point is hit so often: `CROWDREAD_POINT_ROUNDS`, by default twice. Seen to fail when the queue is trimmed to
/// where it was read and not to where it is settled, when nothing is a repeat, and when the index of repeats does not catch up with the tables.
#[test]
fn every_acknowledged_record_is_in_the_table_once_after_kills_at_every_point() {
    let Some(python) = python() else { return };
    let (rounds, seed) = (asked("CROWDREAD_POINT_ROUNDS", 2), seed());
    let mut random = SmallRng::seed_from_u64(seed);
    let mut fired: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut issued, mut told) = (0, 0);
    for round in 0..rounds {
        let mut life = Life::begin("kills at points", Mix { large_every: 6, ..Mix::default() }, seed + round, None);
        for (point, highest) in POINTS {
            let at = format!("{point}={}", random.random_range(0..=highest));
            let mut server = life.start_as(crowdread(), &[("FAULT_KILL", &at)]);
            let status = server.ended();
            assert_eq!(status.signal(), Some(9), "at {at}: {status}\n{}", life.log());
            assert!(life.log().trim_end().ends_with(&format!("fault point {point}: killed")), "at {at}");
            *fired.entry(point).or_default() += 1;
        }
        let counts = life.judge(&python);
        (issued, told) = (issued + counts.issued, told + counts.acknowledged);
    }
    assert_eq!(fired.len(), POINTS.len(), "every point has fired");
    let points: Vec<String> = fired.iter().map(|(point, count)| format!("{point} {count}")).collect();
    println!("kills at points: seed {seed}, {} kills, {issued} records issued, {told} acknowledged", fired.values().sum::<u64>());
    println!("kills at points, fired: {}", points.join(", "));
}

/// Q1, Q3, C1, C3, L1, L2. How often: `CROWDREAD_KILLS`, by default 20. Seen to fail, beside the same, when the
/// writer acknowledges five milliseconds before it writes.
#[test]
fn every_acknowledged_record_is_in_the_table_once_after_kills_at_random_moments() {
    let Some(python) = python() else { return };
    let (kills, seed) = (asked("CROWDREAD_KILLS", 20), seed());
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut issued, mut told, mut lost) = (0, 0, 0);
    for first in (0..kills).step_by(KILLS_A_FOLDER as usize) {
        let mut life = Life::begin("kills at random moments", Mix::default(), seed + first, None);
        for kill in first..kills.min(first + KILLS_A_FOLDER) {
            let mut server = life.serve(&[]);
            match kill % 4 {
                0 => {} // while it begins
                1 => life.wait_for_commit(),
                _ => life.wait_for_answers(),
            }
            thread::sleep(Duration::from_millis(random.random_range(0..150))); // the random moment itself, not a wait
            server.kill();
        }
        let counts = life.judge(&python);
        (issued, told, lost) = (issued + counts.issued, told + counts.acknowledged, lost + counts.lost);
    }
    assert!(lost > 0, "the kills cut off requests");
    println!("kills at random moments: seed {seed}, {kills} kills, {issued} records issued, {told} acknowledged, {lost} requests cut off");
}

/// Q1, C3, L1, for the readers' answers, which are stamped, counted and read back at the start: a crowd that lives on through the
/// kills, as phones do. Is to fail when the loader commits its files without the cursor (rows stand twice), and when the door answers before
/// the journal has written (answers are missing).
#[test]
fn every_acknowledged_answer_is_in_the_table_exactly_once_after_kills() {
    const SETTINGS: [(&str, &str); 3] = [
        ("CROWDREAD_SELECTION__ANSWERS_MIN", "1000"),
        ("CROWDREAD_SELECTION__ANSWERS_MAX", "1000"),
        ("CROWDREAD_SELECTION__CENSUS_ANSWERS", "1000"),
    ];
    let Some(python) = python() else { return };
    let (kills, seed) = (asked("CROWDREAD_CROWD_KILLS", 6), seed());
    let mut random = SmallRng::seed_from_u64(seed);
    let mut life = Life::begin("kills under a crowd", Mix { clients: 1, ..Mix::default() }, seed, None);
    import_sample(&life.data());
    let (told, mut crowds, mut resent) = (life.beside("acknowledged"), 0, 0);
    let mut start_crowd = || {
        crowds += 1;
        let (seed, log) = ((seed * 1_000 + crowds).to_string(), told.display().to_string());
        let args = ["--phones", "40", "--pace", "0.03", "--resend", "0", "--seed", &seed, "--log", &log];
        Crowd::start(life.port, &sample().join("truth"), &args)
    };
    let mut server = life.serve(&SETTINGS);
    let mut crowd = start_crowd();
    for number in 0..=kills {
        // Every life acknowledges something, every other one commits something; then it is killed at a random moment, the last one excepted.
        let (before, committed) = (lines(&told), commits(&life.data()));
        wait_until("answers in this life", || {
            if !crowd.is_running() {
                resent += crowd.end()["total"]["resent"].as_u64().expect("a count");
                crowd = start_crowd(); // all of its people have read every word
            }
            lines(&told) > before && (number % 2 == 0 || commits(&life.data()) > committed)
        });
        thread::sleep(Duration::from_millis(random.random_range(0..600))); // the random moment itself, not a wait
        if number < kills {
            server.kill();
            server = life.serve(&SETTINGS);
        }
    }
    resent += crowd.end()["total"]["resent"].as_u64().expect("a count");
    server.end(); // lands what is stored
    life.judge(&python);
    let table = Table::read(&python, &life.data(), "answers");
    let counted = table.assert_holds_once(&acknowledged(&told));
    // The faults have fired: lives with acknowledgements and commits, and requests that were sent again.
    assert!(counted as u64 > kills);
    assert!(table.version >= kills / 2, "{} versions: commits were under way", table.version);
    assert!(resent > 0, "nothing was sent again after a kill");
    let repeats = table.repeated;
    println!(
        "kills under a crowd: seed {seed}, {kills} kills, {counted} acknowledged answers, {resent} sent again, {repeats} repeats dropped"
    );
}

fn commits(data: &Path) -> usize {
    std::fs::read_dir(data.join("lake/answers/_delta_log")).map_or(0, Iterator::count)
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}
