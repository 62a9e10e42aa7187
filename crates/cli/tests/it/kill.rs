//! Done to the server what machines do to it: killed at random moments while answers come in.

use std::{
    collections::HashMap,
    env, fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::programs::{Process, crowdread, free_port, python, sample, serve, succeed, wait_until};

/// Reads the table with a library that is not ours: each record id, and in how many rows it stands. Ends without taking the interpreter
/// down in order: Arrow's threads may still be running then, and C++ aborts a process that drops one.
const COUNT_ROWS: &str = "
import collections, json, os, sys
from deltalake import DeltaTable
rows = DeltaTable(sys.argv[1]).to_pyarrow_table(columns=['record_id'])
print(json.dumps(collections.Counter(rows['record_id'].to_pylist())), flush=True)
os._exit(0)
";

/// Q1, C3, L1. How often the server is killed: `CROWDREAD_KILLS`, by default 5. Seen to fail when the loader commits its files without
/// the cursor (rows stand twice), and when the door answers before the journal has (answers are missing).
#[test]
fn every_acknowledged_answer_is_in_the_table_exactly_once_after_kills() {
    let Some(python) = python() else { return };
    let kills: u64 = env::var("CROWDREAD_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    let seed: u64 = env::var("CROWDREAD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("{kills} kills, seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("folder");
    let (data, acknowledged, log) = (folder.path().join("data"), folder.path().join("acknowledged"), folder.path().join("log"));
    succeed(crowdread().arg("import").arg(sample().join("pages")).arg("--data").arg(&data).args(["--collection", "sample"]));

    let port = free_port();
    let mut server = serve(&data, port, &log);
    let lines = || fs::read_to_string(&acknowledged).unwrap_or_default().lines().count();
    for kill in 0..kills {
        let before = lines();
        let crowd = crowdread()
            .args(["crowd", "--url", &format!("http://127.0.0.1:{port}"), "--phones", "20", "--seed", &(seed * 1_000 + kill).to_string()])
            .arg("--truth")
            .arg(sample().join("truth"))
            .arg("--log")
            .arg(&acknowledged)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let _crowd = Process(crowd.expect("starts"));
        wait_until("answers", || lines() > before);
        thread::sleep(Duration::from_millis(random.random_range(0..400))); // the random moment itself, not a wait
        server.kill();
        server = serve(&data, port, &log);
    }
    server.end(); // lands what is stored

    let output = succeed(Command::new(python).args(["-c", COUNT_ROWS]).arg(data.join("lake/answers")));
    let rows: HashMap<String, u32> = serde_json::from_slice(&output.stdout).expect("JSON");
    let told = fs::read_to_string(&acknowledged).expect("log");
    let mut counted = 0;
    for line in told.lines() {
        // The crowd itself may have been ended within its last line.
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let id = line["record_id"].as_str().expect("an id");
        assert_eq!(rows.get(id), Some(&1), "{id} was acknowledged");
        counted += 1;
    }
    assert!(counted > 0);
    assert!(rows.values().all(|rows| *rows == 1), "a row stands twice");
    println!("{counted} acknowledged answers, {} rows, {kills} kills", rows.len());
}
