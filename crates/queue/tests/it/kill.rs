//! A process that is killed with -9 while it appends to real files. This test binary runs itself as that process.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
};

use queue::{Journal, Queue, conformance, journal::Config};
use record::SystemClock;

/// Names the journal's folder to the process that is to be killed.
const DIR_VARIABLE: &str = "CROWDREAD_QUEUE_KILL_TEST_DIR";
const KILLS: u64 = 12;

fn open(dir: &std::path::Path) -> Journal {
    let config = Config { segment_bytes: 256 << 10, headroom_bytes_min: 0, payload_bytes_max: 4 << 10, ..Config::default() };
    Journal::open(dir, config, Arc::new(SystemClock::new())).expect("opens by itself")
}

/// Q1, Q3. Record n stands at offset n; the process prints n when it has been told that n is stored.
#[test]
fn acknowledged_records_survive_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["kill::appends_until_killed", "--exact", "--nocapture"])
            .env(DIR_VARIABLE, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child process");
        let told_at_least = 20 + kill * 37;
        let mut told = 0;
        let mut killed = false;
        // What it had printed before it died counts too, so the pipe is read to its end.
        for line in BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok) {
            let Some(number) = line.strip_prefix("stored ").and_then(|number| number.parse::<u64>().ok()) else { continue };
            acknowledged = number + 1;
            told += 1;
            if told >= told_at_least && !killed {
                child.kill().expect("kill -9");
                killed = true;
            }
        }
        assert!(killed && !child.wait().expect("it ended").success(), "the process was killed");
        let journal = open(dir.path());
        let (read, quarantined) = conformance::read_all(&journal, 0, 1000);
        assert_eq!(quarantined, 0);
        assert!(read.len() as u64 >= acknowledged, "kill {kill}: {} of {acknowledged} are there", read.len());
        for (number, (offset, record)) in read.into_iter().enumerate() {
            assert_eq!((offset, record), (number as u64, conformance::record(number as u64)));
        }
    }
    assert!(acknowledged > 20 * KILLS);
}

/// The process of the test above; does nothing when run as a test of its own.
#[tokio::test]
async fn appends_until_killed() {
    let Some(dir) = std::env::var_os(DIR_VARIABLE) else { return };
    let journal = open(std::path::Path::new(&dir));
    let mut next = journal.status().end;
    // Ends by itself if nobody kills it.
    for _ in 0..100_000 {
        let count = 1 + next % 5;
        let positions = journal.append((next..next + count).map(conformance::record).collect()).await.expect("stored");
        assert_eq!(positions[0].offset, next);
        next += count;
        println!("stored {}", next - 1);
    }
}
