//! What happened in a run: every part notes here. One number tells whether two runs were the same; the lines are for people.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::clock::VirtualClock;

/// The notes of a run. Clones are the same.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Notes>>, Arc<VirtualClock>);

struct Notes {
    hasher: blake3::Hasher,
    shows: bool,
    fired: BTreeMap<Class, u64>,
}

/// A kind of fault, or of trouble that a client makes; each must be seen to happen over a set of seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "their names say it; `plan` and `client` say when they are drawn")]
pub enum Class {
    Kill,
    PowerCut,
    CleanEnd,
    PowerLostInTheJournal,
    PowerLostInTheLake,
    LoaderCrash,
    JournalSyncFails,
    JournalWriteFails,
    SlowSync,
    DiskFull,
    NoHandles,
    LoaderStuck,
    FullWhileStuck,
    LakeAway,
    LakeRefuses,
    LakeFileHalfWritten,
    LakeCommitNotSynced,
    LakeReplyLost,
    LakeSyncFails,
    IndexFails,
    IndexLost,
    ClockAhead,
    ClockBack,
    TwoLoaders,
    LoaderFenced,
    Trimmed,
    ToldToComeBack,
    ReplyLost,
    SentAgain,
    BadRecord,
    BigRecord,
    IdReused,
    SentTwiceInOneRequest,
    Unacknowledged,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::Kill,
        Self::PowerCut,
        Self::CleanEnd,
        Self::PowerLostInTheJournal,
        Self::PowerLostInTheLake,
        Self::LoaderCrash,
        Self::JournalSyncFails,
        Self::JournalWriteFails,
        Self::SlowSync,
        Self::DiskFull,
        Self::NoHandles,
        Self::LoaderStuck,
        Self::FullWhileStuck,
        Self::LakeAway,
        Self::LakeRefuses,
        Self::LakeFileHalfWritten,
        Self::LakeCommitNotSynced,
        Self::LakeReplyLost,
        Self::LakeSyncFails,
        Self::IndexFails,
        Self::IndexLost,
        Self::ClockAhead,
        Self::ClockBack,
        Self::TwoLoaders,
        Self::LoaderFenced,
        Self::Trimmed,
        Self::ToldToComeBack,
        Self::ReplyLost,
        Self::SentAgain,
        Self::BadRecord,
        Self::BigRecord,
        Self::IdReused,
        Self::SentTwiceInOneRequest,
        Self::Unacknowledged,
    ];
}

impl Trace {
    /// Empty notes; `shows` prints each line.
    pub fn new(clock: Arc<VirtualClock>, shows: bool) -> Self {
        Self(Arc::new(Mutex::new(Notes { hasher: blake3::Hasher::new(), shows, fired: BTreeMap::new() })), clock)
    }

    /// Notes a line. It may hold nothing that differs between two runs of a seed.
    pub fn note(&self, line: fmt::Arguments<'_>) {
        let line = format!("{:>10} {line}\n", self.1.millis());
        let mut notes = self.notes();
        notes.hasher.update(line.as_bytes());
        if notes.shows {
            print!("{line}");
        }
    }

    /// Notes that something of this kind has happened.
    pub fn fired(&self, class: Class) {
        *self.notes().fired.entry(class).or_default() += 1;
        self.note(format_args!("fired {class:?}"));
    }

    /// The number of all notes.
    pub fn digest(&self) -> String {
        self.notes().hasher.finalize().to_hex().chars().take(16).collect()
    }

    /// How often what has happened.
    pub fn tally(&self) -> BTreeMap<Class, u64> {
        self.notes().fired.clone()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
