//! Writes the journal that `tests/compat` keeps for each format version, and the list of its records. Run by hand when the format
//! gets a new version, never by a test: `cargo run -p queue --example compat_journal crates/queue/tests/compat/journal-vN`.
//!
//! Clock, ids and the queue's id are fixed, so that the same code writes the same bytes. The folder has a sealed segment, and one in a
//! file that had an earlier life and was closed.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use futures::FutureExt;
use queue::{
    Journal, Queue,
    conformance::{partition, read_all},
    journal::{Config, FaultyStorage, Storage},
};
use record::{ManualClock, Record, RecordId, Tail, Timestamp, Topic};

const STARTED_AT: i64 = 1_764_000_000_000_000;

fn main() {
    let dir = std::env::args().nth(1).expect("usage: compat_journal FOLDER, which is made");
    let dir = Path::new(&dir);
    fs::create_dir(dir).expect("a folder that is not there yet");
    let disk = FaultyStorage::new(1);
    let config = Config {
        segment_bytes: 16 << 10,
        batch_bytes_max: 4 << 10,
        payload_bytes_max: 4 << 10,
        headroom_bytes_min: 0,
        ..Config::default()
    };
    let clock = ManualClock::new(Timestamp::from_micros(STARTED_AT));
    let (journal, mut stepper) = Journal::open_stepped(Arc::new(disk.clone()), config, Arc::new(clock)).expect("a new journal");
    let mut next = 0;
    let mut store = |count: u64| {
        let told = journal.append((next..next + count).map(record).collect());
        while stepper.step() {}
        told.now_or_never().expect("told").expect("stored");
        next += count;
    };
    while journal.status().segments < 2 {
        store(1);
    }
    let trimmed = journal.status().end - 1;
    journal.trim(&partition(&journal), trimmed).expect("trimmed");
    while journal.status().segments < 2 {
        store(2);
    }
    store(3);
    let mut list = String::new();
    for (offset, record) in read_all(&journal, journal.status().first, 100).0 {
        let Record { topic, id, received_at, door, payload } = record;
        let payload = std::str::from_utf8(&payload).expect("text");
        writeln!(list, "{offset}\t{topic}\t{id}\t{}\t{door}\t{payload}", received_at.as_micros()).expect("a string");
    }
    assert_eq!(journal.range(&partition(&journal)).expect("the range").end, next);
    stepper.finish();
    for name in disk.list().expect("a list").iter().filter(|name| name.ends_with(".journal")) {
        fs::write(dir.join(name), disk.contents(name)).expect("written");
    }
    fs::write(dir.join("records.tsv"), list).expect("written");
}

/// Of all topics, doors and lengths.
fn record(number: u64) -> Record {
    let mut id = [0x5A; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let payload = match number % 5 {
        0 => String::new(),
        1 => format!("{{\"word\":{number},\"text\":\"ſtraße, 年, 🖋\"}}"),
        rest => format!("{{\"number\":{number},\"filling\":\"{}\"}}", "x".repeat((number * 131 % 977 * rest) as usize)),
    };
    Record {
        topic: if number.is_multiple_of(3) { Topic::answers() } else { Topic::events() },
        id: RecordId::from_bytes(id),
        received_at: Timestamp::from_micros(STARTED_AT + 1_000 * number.cast_signed()),
        door: ["http", "mqtt", "a door of another name"][(number % 3) as usize].into(),
        payload: payload.into(),
    }
}
