//! What a crowd has done: live counters for a progress display, and the report at the end. Filled by `delivery` and `phone`.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

use super::mix::WorkerKind;
use crate::task::Label;

/// Counters that anybody may read while the crowd is at work.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) phones: AtomicU64,
    pub(super) stored: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) network_errors: AtomicU64,
    pub(super) words: AtomicU64,
    pub(super) words_decided: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProgressSnapshot {
    /// Phones that are at work.
    pub phones: u64,
    /// Records that the server has said are stored, each counted once.
    pub stored: u64,
    /// Records sent again, whether or not the server had them.
    pub resent: u64,
    /// Records that the server rejected.
    pub rejected: u64,
    /// Records that the server asked to send later, counted each time.
    pub retried: u64,
    /// Requests without a whole reply.
    pub network_errors: u64,
    /// Words of the collection, as the server last said.
    pub words: u64,
    /// Words decided, likewise.
    pub words_decided: u64,
}

impl Progress {
    /// The counters now.
    pub fn snapshot(&self) -> ProgressSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProgressSnapshot {
            phones: read(&self.phones),
            stored: read(&self.stored),
            resent: read(&self.resent),
            rejected: read(&self.rejected),
            retried: read(&self.retried),
            network_errors: read(&self.network_errors),
            words: read(&self.words),
            words_decided: read(&self.words_decided),
        }
    }
}

/// Answers by label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LabelCounts {
    /// Said *right*.
    pub right: u64,
    /// Said *wrong*.
    pub wrong: u64,
    /// Said *can't read*.
    pub unreadable: u64,
    /// Said *not one word*.
    pub not_one_word: u64,
}

/// What phones have sent and got back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Records acknowledged as stored, each counted once.
    pub stored: u64,
    /// Of them, answers by label.
    pub labels: LabelCounts,
    /// Records sent again: on purpose, after a request without a reply, or because the server asked for it.
    pub resent: u64,
    /// Records that were stored and then sent again on purpose.
    pub resent_on_purpose: u64,
    /// Records rejected, by the server's tag, or `http_<status>` where a whole request was refused.
    pub rejected: BTreeMap<String, u64>,
    /// Records that the server asked to send later, counted each time.
    pub retried: u64,
    /// Requests without a whole reply.
    pub network_errors: u64,
    /// Records without an outcome when the crowd ended: they may or may not be stored.
    pub unsettled: u64,
    /// Pictures of words fetched.
    pub pictures: u64,
    /// Pictures that the server did not give.
    pub pictures_failed: u64,
    /// Words that were offered and not answered because their true text is not known here.
    pub words_without_truth: u64,
}

/// One simulated worker's part.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerReport {
    /// Its number in the crowd.
    pub number: u64,
    /// The ids that the server gave it: one, unless the server forgot it; none if it never got through. Empty with events.
    pub worker_ids: Vec<String>,
    /// How it behaved.
    pub kind: WorkerKind,
    /// What it sent.
    pub tally: Tally,
    /// Why it gave up before the end, if it did.
    pub gave_up: Option<String>,
}

/// Why a crowd ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The server says that every word is decided.
    WordsDecided,
    /// The answers or events asked for have been sent.
    RecordsMax,
    /// The time is over.
    TimeOver,
    /// No phone was offered a word any more, or all gave up.
    NothingOffered,
    /// The caller ended it.
    ShutDown,
}

/// What a crowd has done.
#[derive(Clone, Debug, Serialize)]
pub struct CrowdReport {
    /// All phones together.
    pub total: Tally,
    /// By kind of worker.
    pub kinds: BTreeMap<WorkerKind, Tally>,
    /// Each worker; this says which of the server's workers are bots.
    pub workers: Vec<WorkerReport>,
    /// Words of the collection and how many are decided, as the server last said.
    pub words: u64,
    /// See `words`.
    pub words_decided: u64,
    /// Why it ended.
    pub ended: EndReason,
    /// From the first request to the last reply, in microseconds.
    pub elapsed_micros: u64,
}

impl LabelCounts {
    pub(super) fn count(&mut self, label: Label) {
        *match label {
            Label::Right => &mut self.right,
            Label::Wrong => &mut self.wrong,
            Label::Unreadable => &mut self.unreadable,
            Label::NotOneWord => &mut self.not_one_word,
        } += 1;
    }
}

impl Tally {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.labels.right += other.labels.right;
        self.labels.wrong += other.labels.wrong;
        self.labels.unreadable += other.labels.unreadable;
        self.labels.not_one_word += other.labels.not_one_word;
        for (tag, count) in &other.rejected {
            *self.rejected.entry(tag.clone()).or_default() += count;
        }
        self.stored += other.stored;
        self.resent += other.resent;
        self.resent_on_purpose += other.resent_on_purpose;
        self.retried += other.retried;
        self.network_errors += other.network_errors;
        self.unsettled += other.unsettled;
        self.pictures += other.pictures;
        self.pictures_failed += other.pictures_failed;
        self.words_without_truth += other.words_without_truth;
    }

    /// Records rejected, of all tags.
    pub fn rejected_count(&self) -> u64 {
        self.rejected.values().sum()
    }
}
