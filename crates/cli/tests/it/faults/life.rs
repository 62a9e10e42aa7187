//! One data folder, its oracle and its clients, through all the servers that it has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tempfile::TempDir;

use super::{
    clients::{Load, Mix},
    ledger::{Counts, Ledger},
};
use crate::programs::{Process, crowdread, free_port, serve_as, start, wait_until};

/// So that a commit is always under way, and recovery and rolls have little to do.
pub const SETTINGS: [(&str, &str); 3] = [
    ("CROWDREAD_LOADER__ROLL_AGE_MS", "50"),
    ("CROWDREAD_JOURNAL__SEGMENT_BYTES", "4194304"),
    ("CROWDREAD_JOURNAL__HEADROOM_BYTES_MIN", "1048576"),
];

/// A data folder with clients that live through what happens to its servers.
pub struct Life {
    folder: TempDir,
    pub ledger: Arc<Ledger>,
    pub port: u16,
    load: Option<Load>,
    context: String,
}

impl Life {
    /// A new folder; clients that send to the port `to`, or to the server itself.
    pub fn begin(context: &str, mix: Mix, seed: u64, to: Option<u16>) -> Self {
        Self::begin_at(free_port(), context, mix, seed, to)
    }

    /// As [`begin`](Self::begin), with servers at a port.
    pub fn begin_at(port: u16, context: &str, mix: Mix, seed: u64, to: Option<u16>) -> Self {
        let (folder, ledger) = (tempfile::tempdir().expect("folder"), Arc::new(Ledger::default()));
        fs::create_dir(folder.path().join("disk")).expect("folder");
        let load = Some(Load::start(to.unwrap_or(port), &ledger, mix, seed));
        Self { folder, ledger, port, load, context: format!("{context}, seed {seed}") }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.disk().join("data")
    }

    /// The folder that the data folder is in, and nothing else.
    pub fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// A path beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What all its servers have said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.beside("log")).unwrap_or_default()
    }

    /// A server that answers.
    pub fn serve(&self, settings: &[(&str, &str)]) -> Process {
        self.serve_as(crowdread(), settings)
    }

    /// A server that answers, run by another program.
    pub fn serve_as(&self, command: Command, settings: &[(&str, &str)]) -> Process {
        serve_as(command, &self.data(), self.port, &self.beside("log"), &[&SETTINGS, settings].concat())
    }

    /// A server that may end before it answers.
    pub fn start_as(&self, command: Command, settings: &[(&str, &str)]) -> Process {
        start(command, &self.data(), self.port, &self.beside("log"), &[&SETTINGS, settings].concat())
    }

    /// Waits until each client was turned away so often.
    pub fn wait_for_refusals(&self, count: u64) {
        wait_until("a refusal for each client", || self.load().turned_away() >= count);
    }

    fn load(&self) -> &Load {
        self.load.as_ref().expect("clients until the end")
    }

    /// Waits until more records are acknowledged than now.
    pub fn wait_for_answers(&self) {
        let before = self.load().acknowledged();
        wait_until("an acknowledged record", || self.load().acknowledged() > before);
    }

    /// Waits until there is another commit of the events' table.
    pub fn wait_for_commit(&self) {
        let before = self.commits();
        wait_until("a commit", || self.commits() > before);
    }

    fn commits(&self) -> usize {
        let entries = fs::read_dir(self.data().join("lake/events/_delta_log"));
        entries.map_or(0, |entries| entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "json")).count())
    }

    /// The last server, without faults: every client has an answer from it, the clients end, then it does, and the oracle judges.
    pub fn judge(&mut self, python: &Path) -> Counts {
        let mut server = self.serve(&[]);
        let before = self.load().rounds();
        wait_until("an answer to each client", || self.load().rounds() > before);
        self.end_clients();
        server.end();
        self.judge_as_it_is(python)
    }

    /// Ends the clients while a server answers them.
    pub fn end_clients(&mut self) {
        self.load.take().expect("not ended yet").end();
    }

    /// Judges the folder, which no server has.
    pub fn judge_as_it_is(&self, python: &Path) -> Counts {
        self.ledger.judge(python, &self.data(), &self.context)
    }
}
