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

/// Reads a table's rows in the order of its commits, by the log itself and pyarrow; the set of files that this finds must be the one that
/// the library `deltalake` finds. One row a line: version, number of the file, record id, payload. After each table a line has its counters.
const READ_ROWS: &str = "
import glob, json, os, sys
import pyarrow.parquet as parquet
from deltalake import DeltaTable
out = sys.stdout
def read(root):
    files, counters = {}, {}
    for name in sorted(glob.glob(root + '/_delta_log/*.json')):
        version = int(os.path.basename(name)[:20])
        for line in open(name):
            entry = json.loads(line)
            if 'add' in entry:
                files[entry['add']['path']] = version
            if 'remove' in entry:
                files.pop(entry['remove']['path'], None)
            if 'txn' in entry:
                counters[entry['txn']['appId']] = entry['txn']['version']
    found = {uri.split(root.rstrip('/') + '/')[-1] for uri in DeltaTable(root).file_uris()}
    assert found == set(files), sorted(found ^ set(files))[:4]
    for number, (path, version) in enumerate(sorted(files.items(), key=lambda file: (file[1], file[0]))):
        table = parquet.ParquetFile(os.path.join(root, path)).read(columns=['record_id', 'payload'])
        for id, payload in zip(table['record_id'].to_pylist(), table['payload'].to_pylist()):
            out.write(f'{version}\\t{number}\\t{id}\\t{payload}\\n')
    total = lambda counter: sum(count for name, count in counters.items() if name.endswith('#' + counter))
    out.write(json.dumps({'landed': total('landed'), 'quarantined': total('quarantined')}) + '\\n')
for root in sys.argv[1:]:
    read(root)
out.flush()
os._exit(0)
";

/// A row of a table.
pub struct Row {
    /// The commit that brought it.
    pub version: u64,
    /// Its file, by number.
    pub file: u32,
    /// The record's id.
    pub id: String,
    /// The record.
    pub payload: String,
}

/// The rows of a table with a column `payload`, and what its commits say of themselves.
pub struct Rows {
    /// In the order of the commits; within a file in its order.
    pub rows: Vec<Row>,
    /// Rows, by the loader's books.
    pub landed: u64,
    /// Records lost to damage, by the loader's books.
    pub quarantined: u64,
}

impl Rows {
    /// Reads tables of a data folder.
    pub fn read<const N: usize>(python: &Path, data: &Path, names: [&str; N]) -> [Self; N] {
        let output = succeed(Command::new(python).args(["-c", READ_ROWS]).args(names.map(|name| data.join("lake").join(name))));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let row = |line: &str| {
            let mut cells = line.splitn(4, '\t');
            let mut cell = || cells.next().expect("four cells");
            let (version, file) = (cell().parse().expect("a version"), cell().parse().expect("a number"));
            Row { version, file, id: cell().to_owned(), payload: cell().to_owned() }
        };
        let mut lines = text.lines();
        names.map(|_| {
            let mut rows = Vec::new();
            let counters = loop {
                match lines.next().expect("counters after each table") {
                    counters if counters.starts_with('{') => break counters,
                    line => rows.push(row(line)),
                }
            };
            let counters: HashMap<String, u64> = serde_json::from_str(counters).expect("JSON");
            Self { rows, landed: counters["landed"], quarantined: counters["quarantined"] }
        })
    }
}
