//! How fast a journal is open again, beside reading its files.

use std::{fs, os::fd::AsFd, path::Path, sync::Arc};

use bytes::Bytes;
use queue::{
    Queue,
    journal::{Config, Journal},
};
use record::{Record, RecordId, SystemClock, Timestamp, Topic};
use rustix::fs::{Advice, fadvise};
use serde_json::{Value, json};

use crate::RECORD;

/// Records of an append.
const RECORDS: usize = 4_096;

/// Makes the journal, and opens it.
pub async fn measure(folder: &Path, gib: u64) -> Value {
    let clock = Arc::new(SystemClock::new());
    let journal = Journal::open(folder, Config::default(), clock.clone()).expect("opens");
    let mut number = 0_u64;
    while journal.status().bytes < gib << 30 {
        let record = |_| {
            number += 1;
            let id = RecordId::from_bytes(u128::from(number).to_be_bytes());
            let received_at = Timestamp::from_micros(1_764_000_000_000_000);
            Record { topic: Topic::events(), id, received_at, door: "http".into(), payload: Bytes::from_static(RECORD.as_bytes()) }
        };
        journal.append((0..RECORDS).map(record).collect()).await.expect("stored");
    }
    let end = journal.status().end;
    drop(journal);
    forget(folder);
    let began = crate::load::now();
    let journal = Journal::open(folder, Config::default(), clock).expect("opens");
    let opened = began.elapsed();
    let status = journal.status();
    assert_eq!((status.end, status.quarantined), (end, 0), "all of it is there");
    drop(journal);
    forget(folder);
    let began = crate::load::now();
    let mut bytes = 0;
    for file in files(folder) {
        let mut file = fs::File::open(file).expect("there");
        bytes += std::io::copy(&mut std::io::BufReader::with_capacity(1 << 20, &mut file), &mut std::io::sink()).expect("read");
    }
    let read = began.elapsed();
    fs::remove_dir_all(folder).expect("removed");
    let rate = |time: std::time::Duration| (bytes as f64 / 1e6 / time.as_secs_f64()).round();
    json!({ "bytes": bytes, "records": end, "opened": rate(opened), "read": rate(read) })
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.is_file()).collect()
}

/// The next read is of the disk.
fn forget(folder: &Path) {
    for file in files(folder) {
        let file = fs::File::open(file).expect("there");
        file.sync_all().expect("synced");
        fadvise(file.as_fd(), 0, None, Advice::DontNeed).expect("taken");
    }
}
