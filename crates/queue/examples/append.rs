//! How fast the journal takes records, beside the least that any journal must do: writing the same bytes in as many batches, each with
//! one fdatasync, into a file that is there already. The two take turns in one run.
//!
//! `cargo run --release -p queue --example append -- [APPENDERS] [RECORDS] [TURNS] [FOLDER]`

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use queue::{Journal, Queue, journal::Config};
use record::{Clock, Record, RecordId, Result, SystemClock, Timestamp, Topic};

const PAYLOAD_BYTES: usize = 300;
/// What an entry takes beside its payload: 32 bytes of header, 26 of fixed fields, the names of topic and door, padding.
const ENTRY_OVERHEAD_BYTES: usize = 76;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (appenders, records, turns) = (number(0, 1_000), number(1, 400_000), number(2, 7));
    let root = arguments.get(3).map_or_else(|| std::env::temp_dir().join("queue-append"), |folder| Path::new(folder).join("queue-append"));
    let runtime = tokio::runtime::Runtime::new().map_err(|error| record::Error::internal("no runtime").because(error))?;
    let mut ratios = Vec::new();
    for turn in 0..turns {
        let dir = root.join(turn.to_string());
        let (journal_rate, batches) = runtime.block_on(journal_turn(&dir, appenders, records))?;
        let raw_rate = raw_turn(&dir, records, batches).map_err(|error| record::Error::unavailable("raw writing failed").because(error))?;
        let _ = fs::remove_dir_all(&dir);
        let per_batch = records / batches.max(1);
        println!("turn {turn}: journal {journal_rate:.0} records/s, raw {raw_rate:.0} records/s, {per_batch} records a batch");
        ratios.push(journal_rate / raw_rate);
    }
    let _ = fs::remove_dir_all(&root);
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
    println!("journal / raw: median {median:.3} of n = {turns}, {appenders} appenders, {records} records of {PAYLOAD_BYTES} bytes a turn");
    Ok(())
}

/// Each appender sends one record, waits until it is stored, and sends the next. Records a second, and batches.
async fn journal_turn(dir: &Path, appenders: u64, records: u64) -> Result<(f64, u64)> {
    let clock = SystemClock::new();
    let journal = Arc::new(Journal::open(dir, Config::default(), Arc::new(clock))?);
    let payload: bytes::Bytes = format!("{{\"x\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES - 8)).into();
    let topic = Topic::events();
    let started = clock.monotonic_micros();
    let tasks: Vec<_> = (0..appenders)
        .map(|_| {
            let (journal, payload, topic) = (Arc::clone(&journal), payload.clone(), topic.clone());
            tokio::spawn(async move {
                for n in 0..records / appenders {
                    let record = Record {
                        topic: topic.clone(),
                        id: RecordId::from_bytes([n as u8 | 1; 16]),
                        received_at: Timestamp::from_micros(0),
                        door: "http".into(),
                        payload: payload.clone(),
                    };
                    journal.append(vec![record]).await?;
                }
                Ok::<(), record::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.map_err(|error| record::Error::internal("an appender panicked").because(error))??;
    }
    let micros = clock.monotonic_micros() - started;
    let status = journal.status();
    journal.close().await?;
    Ok((status.end as f64 * 1e6 / micros as f64, status.batches))
}

fn raw_turn(dir: &Path, records: u64, batches: u64) -> std::io::Result<f64> {
    let clock = SystemClock::new();
    let total = records * (PAYLOAD_BYTES + ENTRY_OVERHEAD_BYTES) as u64;
    let batch = vec![7; usize::try_from(total / batches.max(1)).unwrap_or(1)];
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(dir.join("raw"))?;
    for n in 0..batches {
        file.write_all_at(&vec![0; batch.len()], n * batch.len() as u64)?;
    }
    file.sync_all()?;
    let started = clock.monotonic_micros();
    for n in 0..batches {
        file.write_all_at(&batch, n * batch.len() as u64)?;
        file.sync_data()?;
    }
    Ok(records as f64 * 1e6 / (clock.monotonic_micros() - started).max(1) as f64)
}
