//! The books at the binary (promise L2), under load, after kills, and in a backup that was taken meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;

use crate::{
    programs::{crowdread, fail, free_port, is_quick, python, serve, succeed, try_request, wait_until},
    table::Table,
};

/// So that commits, trims and segments are many.
const SETTINGS: [(&str, &str); 2] = [("CROWDREAD_LOADER__ROLL_AGE_MS", "100"), ("CROWDREAD_JOURNAL__SEGMENT_BYTES", "4194304")];
/// Records of one request; the last one is a repeat of the first.
const RECORDS: u64 = 40;

/// How long a sender waits between two requests.
const PAUSE: Duration = Duration::from_millis(20);

/// Senders who go on until they are told to stop, also through the death of the server.
struct Flood {
    stop: Arc<AtomicBool>,
    /// The records that were acknowledged.
    told: Arc<Mutex<Vec<String>>>,
    senders: Vec<JoinHandle<()>>,
}

impl Flood {
    fn start(port: u16) -> Self {
        let (stop, told) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<String>>>::default());
        let send = |sender: u64| {
            let (stop, told) = (Arc::clone(&stop), Arc::clone(&told));
            thread::spawn(move || {
                for request in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let id = |n: u64| format!("0192f0c4-8c5e-7{sender:03x}-8000-{:012x}", request * RECORDS + n % (RECORDS - 1));
                    let filling = "x".repeat(200);
                    let records: Vec<String> =
                        (0..RECORDS).map(|n| format!("{{\"record_id\":\"{}\",\"filling\":\"{filling}\"}}", id(n))).collect();
                    let stored = try_request(port, "POST", "/v1/records/events", None, &format!("[{}]", records.join(",")))
                        .is_ok_and(|reply| reply.status == 200 && reply.body.contains("\"from\":0,\"to\":39,\"outcome\":\"stored\""));
                    // The loader of a debug build is to keep up with them: an audit waits for what was stored before it.
                    thread::sleep(PAUSE);
                    if stored {
                        told.lock().expect("no panic").extend((0..RECORDS - 1).map(id));
                    }
                }
            })
        };
        let senders = (0..3).map(send).collect();
        Self { stop, told, senders }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().expect("no panic").clone()
    }

    fn wait_for(&self, more: usize) {
        let enough = self.told().len() + more;
        wait_until("acknowledgements", || self.told().len() > enough);
    }

    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.into_iter().for_each(|sender| sender.join().expect("no panic"));
        self.told.lock().expect("no panic").clone()
    }
}

fn audit(data: &Path) -> Command {
    let mut command = crowdread();
    command.args(["audit", "--data"]).arg(data);
    command
}

fn audited(data: &Path) -> Value {
    let audit: Value = serde_json::from_slice(&succeed(audit(data).arg("--json")).stdout).expect("JSON");
    assert_eq!(audit["balances"], true, "{audit}");
    audit
}

fn events(audit: &Value) -> &Value {
    audit["topics"].as_array().expect("topics").iter().find(|topic| topic["topic"] == "events").expect("events")
}

/// Takes the newest data file of a table away, as a program may that knows Delta.
fn remove_a_file(data: &Path) {
    let table = data.join("lake/events");
    let mut names: Vec<PathBuf> = fs::read_dir(table.join("_delta_log")).expect("log").map(|entry| entry.expect("name").path()).collect();
    names.retain(|name| name.extension().is_some_and(|end| end == "json"));
    names.sort();
    let added = names.iter().rev().flat_map(|name| {
        let text = fs::read_to_string(name).expect("entry");
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>()
    });
    let add = added.map(|action| action["add"].clone()).find(|add| !add.is_null()).expect("a data file");
    let remove = serde_json::json!({ "remove": {
        "path": add["path"], "deletionTimestamp": 1, "dataChange": true, "extendedFileMetadata": true,
        "partitionValues": add["partitionValues"], "size": add["size"],
    }});
    fs::write(table.join(format!("_delta_log/{:020}.json", names.len())), format!("{remove}\n")).expect("written");
}

/// L2. Is to fail when the ledger begins anew at each start: then it says since when.
#[test]
fn an_audit_balances_under_load_and_after_kills_and_finds_a_damaged_table() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, log, port) = (folder.path().join("data"), folder.path().join("log"), free_port());
    let told = fail(2, &mut audit(&data));
    assert!(told.contains("no data folder"), "{told}");
    let mut server = serve(&data, port, &log, &SETTINGS);
    let flood = Flood::start(port);
    let mut repeated = 0;
    for _ in 0..3 {
        flood.wait_for(400);
        repeated = events(&audited(&data))["repeated"].as_u64().expect("a count");
        flood.wait_for(100);
        server.kill();
        server = serve(&data, port, &log, &SETTINGS);
        audited(&data);
    }
    assert!(repeated > 20, "repeats were among them: {repeated}");
    server.kill();
    let told = flood.end();
    // What was stored and not told counts too.
    let found = audited(&data);
    let landed = events(&found)["landed"].as_u64().expect("a count");
    assert!(landed >= told.len() as u64 && landed == events(&found)["rows_found"], "{} told, {found}", told.len());
    assert_eq!(found["partitions"][0]["minutes_since"], Value::Null, "the ledger outlived the kills");
    if let Some(python) = python() {
        Table::read(&python, &data, "events").assert_holds_once(&told);
    }

    remove_a_file(&data);
    let said = fail(4, &mut audit(&data));
    assert!(said.contains("the books do not balance") && said.contains("first: events 2"), "{said}");
    let mut server = serve(&data, port, &log, &SETTINGS);
    let said = fail(4, &mut audit(&data));
    assert!(said.contains("events 2"), "{said}");
    let output = audit(&data).output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("missing") && text.contains("1 differ"), "{text}");
    server.end();
}

/// L1, L2. Is to fail when the journal is copied before the tables: then a cursor is beyond its end; and when nothing holds the journal
/// and it is copied after a pause: then records are in neither.
#[test]
fn a_backup_under_load_has_every_record_that_was_acknowledged_before_it() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, log, port) = (folder.path().join("data"), folder.path().join("log"), free_port());
    let (backup, new) = (folder.path().join("backup"), folder.path().join("new"));
    let mut server = serve(&data, port, &log, &SETTINGS);
    let flood = Flood::start(port);
    // The journal is trimmed by whole segments: it has been, some times.
    wait_until("a journal that was trimmed", || !data.join("journal/00000000000000000000.journal").exists());
    let before = flood.told();
    let back_up = |to: &Path| {
        let mut command = crowdread();
        command.args(["backup", "--json", "--data"]).arg(&data).arg(to);
        command
    };
    let made: Value = serde_json::from_slice(&succeed(&mut back_up(&backup)).stdout).expect("JSON");
    let during = flood.told().len() - before.len();
    let said = fail(2, &mut back_up(&backup));
    assert!(said.contains("not empty"), "{said}");
    flood.wait_for(100);
    server.kill();
    flood.end();
    assert!(made["journal_end"].as_u64() >= Some(before.len() as u64) && made["tables"]["events"].is_u64(), "{made}");
    assert!(during > 0, "the load went on");
    println!("{} records before the backup, {during} during it", before.len());

    let restore = |to: &Path| {
        let mut command = crowdread();
        command.arg("restore").arg(&backup).arg("--data").arg(to);
        command
    };
    let said = fail(2, &mut restore(&data));
    assert!(said.contains("not empty"), "{said}");
    let said = String::from_utf8(succeed(&mut restore(&new)).stderr).expect("text");
    assert!(said.contains("crowdread serve") && said.contains("crowdread audit") && said.contains("never"), "{said}");
    succeed(crowdread().args(["journal", "verify"]).arg(&new));
    let mut server = serve(&new, port, &log, &SETTINGS);
    audited(&new);
    // It goes on: new records land, and repeats of old ones are known.
    let flood = Flood::start(port);
    flood.wait_for(200);
    let after = flood.end();
    audited(&new);
    server.end();
    let found = audited(&new);
    let landed = events(&found)["rows_found"].as_u64().expect("a count");
    assert!(landed >= before.len() as u64, "{landed} rows, {} acknowledged before the backup", before.len());
    if !is_quick() {
        let table = Table::read(&python().expect("installed"), &new, "events");
        table.assert_holds_once(&before);
        table.assert_holds_once(&after);
    }

    // One that nobody serves, and one that was damaged.
    let (second, third) = (folder.path().join("second"), folder.path().join("third"));
    let mut offline = crowdread();
    succeed(offline.arg("backup").arg(&second).arg("--data").arg(&new));
    succeed(crowdread().arg("restore").arg(&second).arg("--data").arg(&third));
    audited(&third);
    let segment = fs::read_dir(backup.join("journal")).expect("folder").next().expect("a segment").expect("a name").path();
    let mut image = fs::read(&segment).expect("segment");
    image[5_000] ^= 1;
    fs::write(&segment, image).expect("damaged");
    let said = fail(4, &mut restore(&folder.path().join("fourth")));
    assert!(said.contains("is not what was copied") && said.contains("journal/"), "{said}");
}
