//! The tables as others read them.

use std::{collections::HashMap, fs, path::Path, process::Command};

use crate::programs::succeed;

/// Reads a table with a library that is not ours: each record id and in how many rows it stands; the newest version; how many repeats
/// the loader has dropped. Ends without taking the interpreter down in order: Arrow's threads may still be running then, and C++ aborts
/// a process that drops one.
const READ: &str = "
import collections, glob, json, os, sys
from deltalake import DeltaTable
table = DeltaTable(sys.argv[1])
rows = collections.Counter(table.to_pyarrow_table(columns=['record_id'])['record_id'].to_pylist())
entries = [json.loads(line) for name in glob.glob(sys.argv[1] + '/_delta_log/*.json') for line in open(name)]
repeated = [entry['txn']['version'] for entry in entries if entry.get('txn', {}).get('appId', '').endswith('#repeated')]
print(json.dumps({'rows': rows, 'version': table.version(), 'repeated': max(repeated, default=0)}), flush=True)
os._exit(0)
";

/// What a table holds.
#[derive(serde::Deserialize)]
pub struct Table {
    /// Each record id, and in how many rows it stands.
    pub rows: HashMap<String, u32>,
    /// The newest version.
    pub version: u64,
    /// Repeats that were dropped.
    pub repeated: u64,
}

impl Table {
    /// Reads a table of a data folder.
    pub fn read(python: &Path, data: &Path, name: &str) -> Self {
        let output = succeed(Command::new(python).args(["-c", READ]).arg(data.join("lake").join(name)));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// L1: each of the records stands in one row, and so does every other. Gives how many records there were.
    pub fn assert_holds_once(&self, records: &[String]) -> usize {
        for id in records {
            assert_eq!(self.rows.get(id), Some(&1), "{id} was acknowledged");
        }
        assert!(self.rows.values().all(|rows| *rows == 1), "a row stands twice");
        records.len()
    }
}

/// The records in a crowd's log; it must be whole.
pub fn acknowledged(log: &Path) -> Vec<String> {
    let id = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("the crowd ended in order, so that its log is whole");
        line["record_id"].as_str().expect("an id").to_owned()
    };
    fs::read_to_string(log).expect("log").lines().map(id).collect()
}
