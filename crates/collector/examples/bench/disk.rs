//! How long fdatasync takes on this disk in this minute.

use std::{fs::OpenOptions, os::unix::fs::FileExt, path::Path, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Room for the writes, zeroed before: a write within it changes no metadata, as in a journal's segment.
const FILE_BYTES: u64 = 64 << 20;
const WRITE_BYTES: u64 = 4096;

pub fn measure(folder: &Path, time: Duration) -> Value {
    let path = folder.join("fdatasync.probe");
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path).expect("made");
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).expect("written");
    }
    file.sync_all().expect("synced");
    let mut micros = Histogram::<u64>::new(3).expect("a histogram");
    let block = vec![7; WRITE_BYTES as usize];
    let began = crate::load::now();
    let mut at = 0;
    while began.elapsed() < time {
        let before = crate::load::now();
        file.write_all_at(&block, at % FILE_BYTES).expect("written");
        file.sync_data().expect("synced");
        micros.record(before.elapsed().as_micros() as u64).expect("it grows");
        at += WRITE_BYTES;
    }
    std::fs::remove_file(&path).expect("removed");
    json!({
        "count": micros.len(), "p50_us": micros.value_at_quantile(0.5), "p99_us": micros.value_at_quantile(0.99), "max_us": micros.max(),
    })
}
