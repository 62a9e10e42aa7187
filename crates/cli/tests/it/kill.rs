//! Done to the server what machines do to it: killed at random moments while answers come in and commits go out.

use std::{env, fs, path::Path, thread, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    programs::{Crowd, free_port, import_sample, python, sample, serve, wait_until},
    table::{Table, acknowledged},
};

/// So that a commit is always under way, words never run out, and recovery reads little.
const SETTINGS: [(&str, &str); 5] = [
    ("CROWDREAD_LOADER__ROLL_AGE_MS", "50"),
    ("CROWDREAD_SELECTION__ANSWERS_MIN", "1000"),
    ("CROWDREAD_SELECTION__ANSWERS_MAX", "1000"),
    ("CROWDREAD_SELECTION__CENSUS_ANSWERS", "1000"),
    ("CROWDREAD_JOURNAL__SEGMENT_BYTES", "4194304"),
];

/// Q1, C3, L1. How often the server is killed: `CROWDREAD_KILLS`, by default 6. The crowd lives on through the kills, as phones do: what
/// was on its way is sent again to the next life. Is to fail when the loader commits its files without the cursor (rows stand twice),
/// and when the door answers before the journal has written (answers are missing).
#[test]
fn every_acknowledged_answer_is_in_the_table_exactly_once_after_kills() {
    let Some(python) = python() else { return };
    let kills: u64 = env::var("CROWDREAD_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6);
    let seed: u64 = env::var("CROWDREAD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("{kills} kills, seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("folder");
    let (data, told, log) = (folder.path().join("data"), folder.path().join("acknowledged"), folder.path().join("log"));
    import_sample(&data);

    let port = free_port();
    let (mut resent, mut crowds) = (0, 0);
    let mut server = serve(&data, port, &log, &SETTINGS);
    let mut start_crowd = || {
        crowds += 1;
        let seed = (seed * 1_000 + crowds).to_string();
        Crowd::start(
            port,
            &sample().join("truth"),
            &["--phones", "40", "--pace", "0.03", "--resend", "0", "--seed", &seed, "--log", &told.display().to_string()],
        )
    };
    let mut crowd = start_crowd();
    for life in 0..=kills {
        // Every life acknowledges something, every other one commits something; then it is killed at a random moment, the last one excepted.
        let (before, committed) = (lines(&told), commits(&data));
        wait_until("answers in this life", || {
            if !crowd.is_running() {
                resent += crowd.end()["total"]["resent"].as_u64().expect("a count");
                crowd = start_crowd(); // all of its people have read every word
            }
            lines(&told) > before && (life % 2 == 0 || commits(&data) > committed)
        });
        thread::sleep(Duration::from_millis(random.random_range(0..600))); // the random moment itself, not a wait
        if life < kills {
            server.kill();
            server = serve(&data, port, &log, &SETTINGS);
        }
    }
    resent += crowd.end()["total"]["resent"].as_u64().expect("a count");
    server.end(); // lands what is stored

    let table = Table::read(&python, &data, "answers");
    let counted = table.assert_holds_once(&acknowledged(&told));
    // The faults have fired: lives with acknowledgements and commits, and requests that were sent again.
    assert!(counted as u64 > kills);
    assert!(table.version >= kills / 2, "{} versions: commits were under way", table.version);
    assert!(resent > 0, "nothing was sent again after a kill");
    println!(
        "{kills} kills, {counted} acknowledged answers, {} rows, table version {}, {resent} sent again, {} repeats dropped",
        table.rows.len(),
        table.version,
        table.repeated
    );
}

fn commits(data: &Path) -> usize {
    fs::read_dir(data.join("lake/answers/_delta_log")).map_or(0, Iterator::count)
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}
