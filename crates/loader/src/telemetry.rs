//! How far the loader is, and whether the books balance (promise L2). `cli`, the report and `audit` ask the [`Handle`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lake::{Lake, Table};
use queue::Queue;
use record::{Error, Offset, Partition, Result, Topic};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::{
    audit::{self, Audit, View},
    batch::Lane,
    holds::Holds,
    index::Index,
    roll::Reason,
};

/// One topic's books, over all partitions of this queue and across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicProgress {
    /// Rows in its table.
    pub landed: u64,
    /// Records that came again.
    pub repeated: u64,
    /// Records in the dead letters.
    pub dead_lettered: u64,
    /// Records that were read and wait for a commit; dead letters that wait are counted in [`Progress::waiting_dead`].
    pub waiting: u64,
    /// The table's newest commit of this loader; `None` before its first.
    pub table_version: Option<lake::Version>,
}

/// Where the loader stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The topics of the settings.
    pub topics: BTreeMap<String, TopicProgress>,
    /// Dead letters of topics that are not in the settings.
    pub unknown_topic: u64,
    /// Records that doors rejected and kept: rows in the dead letters, and never stored as records of their topics.
    pub refused: u64,
    /// Damaged records that the queue passed over, and records that the queue does not have any more and no table has.
    pub quarantined: u64,
    /// Dead letters and quarantined records that wait for a commit.
    pub waiting_dead: u64,
    /// Records that are stored and not read yet.
    pub unread: u64,
    /// Records ever stored in the queue, those of the dead letters that doors kept included.
    pub stored: u64,
    /// For each partition the next offset to read.
    pub next: BTreeMap<String, Offset>,
}

impl Progress {
    /// Records that are stored and in no table yet.
    pub fn in_flight(&self) -> u64 {
        self.unread + self.waiting_dead + self.topics.values().map(|topic| topic.waiting).sum::<u64>()
    }

    /// Rows in the tables of all topics.
    pub fn landed(&self) -> u64 {
        self.topics.values().map(|topic| topic.landed).sum()
    }

    /// Records that came again, of all topics.
    pub fn repeated(&self) -> u64 {
        self.topics.values().map(|topic| topic.repeated).sum()
    }

    /// Dead letters of all topics, unknown ones included.
    pub fn dead_lettered(&self) -> u64 {
        self.unknown_topic + self.topics.values().map(|topic| topic.dead_lettered).sum::<u64>()
    }

    /// Promise L2: stored = landed + repeated + dead-lettered + kept by doors + quarantined + in flight. Exact whenever the loader has read past
    /// what an earlier process committed, which it has after a [`Handle::flush`].
    pub fn balances(&self) -> bool {
        self.stored == self.landed() + self.repeated() + self.dead_lettered() + self.refused + self.quarantined + self.in_flight()
    }
}

/// The counters behind [`Progress`].
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub topics: BTreeMap<Topic, TopicProgress>,
    pub unknown_topic: u64,
    pub refused: u64,
    pub quarantined: u64,
    pub waiting_dead: u64,
    pub next: BTreeMap<Partition, Offset>,
}

impl Books {
    /// Takes over what the lanes hold.
    pub(crate) fn note(&mut self, lanes: &[Lane]) {
        self.waiting_dead = lanes.iter().map(|lane| lane.dead.len() as u64 + lane.quarantined + lane.lost).sum();
        for (topic, books) in &mut self.topics {
            books.waiting = lanes.iter().filter_map(|lane| lane.waiting.get(topic)).map(|waiting| waiting.rows + waiting.repeated).sum();
        }
        self.next = lanes.iter().map(|lane| (lane.partition.clone(), lane.next)).collect();
        self.show();
    }

    /// The terms of the books as gauges; what is stored and not read yet is missing, as this is not told of each append.
    fn show(&self) {
        let show = |topic: &str, term: &'static str, count: u64| {
            metrics::gauge!("loader_books_records", "topic" => topic.to_owned(), "term" => term).set(count as f64);
        };
        for (topic, books) in &self.topics {
            show(topic.as_str(), "landed", books.landed);
            show(topic.as_str(), "repeated", books.repeated);
            show(topic.as_str(), "dead_lettered", books.dead_lettered);
            show(topic.as_str(), "waiting", books.waiting);
        }
        show("dead_letters", "refused", self.refused);
        show("", "unknown_topic", self.unknown_topic);
        show("", "quarantined", self.quarantined);
        show("", "waiting_dead", self.waiting_dead);
        show("", "read", self.next.values().sum());
    }
}

/// What the loader does between two rolls when it is asked; everything that was stored before is committed first.
pub(crate) enum Asked {
    /// Nothing more.
    Flush(oneshot::Sender<()>),
    /// Says where everything stands.
    View(oneshot::Sender<Result<View>>),
    /// Trims nothing for so many seconds.
    Hold(u64, oneshot::Sender<Result<u64>>),
}

/// A hold on the queue's trimming.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Held {
    /// Its number, by which it is renewed.
    pub hold: u64,
    /// For each partition one past its last stored record.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub ends: BTreeMap<String, Offset>,
}

/// Asks the loader. Cheap to clone; stays usable after the loader ended.
#[derive(Clone)]
pub struct Handle {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) index: Arc<Index>,
    pub(crate) books: Arc<Mutex<Books>>,
    pub(crate) asks: mpsc::Sender<Asked>,
    pub(crate) holds: Arc<Holds>,
    pub(crate) lake: Lake,
    pub(crate) tables: Arc<BTreeMap<Topic, Table>>,
    pub(crate) dead_letters: Table,
}

impl Handle {
    /// Where the loader stands now.
    ///
    /// # Errors
    /// When the queue cannot say how far it is.
    pub fn progress(&self) -> Result<Progress> {
        let books = lock(&self.books);
        let (mut unread, mut stored) = (0, 0);
        for (partition, next) in &books.next {
            let end = self.queue.range(partition)?.end;
            stored += end;
            unread += end.saturating_sub(*next);
        }
        Ok(Progress {
            topics: books.topics.iter().map(|(topic, books)| (topic.to_string(), books.clone())).collect(),
            unknown_topic: books.unknown_topic,
            refused: books.refused,
            quarantined: books.quarantined,
            waiting_dead: books.waiting_dead,
            unread,
            stored,
            next: books.next.iter().map(|(partition, next)| (partition.to_string(), *next)).collect(),
        })
    }

    /// Commits what waits, and resolves when everything that was stored before the call is in its table or in the dead letters.
    ///
    /// # Errors
    /// `Closed` when the loader ended before.
    pub async fn flush(&self) -> Result<()> {
        self.ask(Asked::Flush).await
    }

    /// Compares what was stored with what the tables have, by topic and minute (promise L2). Commits what waits first; the tables are
    /// read while the loader goes on.
    ///
    /// # Errors
    /// `Closed` when the loader ended before; what reading the queue and the tables gives.
    pub async fn audit(&self) -> Result<Audit> {
        let view = self.ask(Asked::View).await??;
        let audit = audit::compare(view, &self.lake, &self.tables, &self.dead_letters).await?;
        audited(&audit);
        Ok(audit)
    }

    /// Keeps the queue from being trimmed for so many seconds, so that it can be copied after the tables: it has then every record that
    /// the copies of the tables lack.
    ///
    /// # Errors
    /// `Closed` when the loader ended before; `Unavailable` when there are too many holds; `Invalid` for more than ten minutes.
    pub async fn hold(&self, seconds: u64) -> Result<Held> {
        let hold = self.ask(|done| Asked::Hold(seconds, done)).await??;
        self.held(hold)
    }

    /// Lets a hold last for so many seconds from now; none ends it.
    ///
    /// # Errors
    /// `Conflict` when it has lapsed; `Invalid` for more than ten minutes.
    pub fn renew(&self, hold: u64, seconds: u64) -> Result<Held> {
        self.holds.renew(hold, seconds)?;
        self.held(hold)
    }

    fn held(&self, hold: u64) -> Result<Held> {
        let end = |partition: Partition| Ok((partition.to_string(), self.queue.range(&partition)?.end));
        Ok(Held { hold, ends: self.queue.partitions().into_iter().map(end).collect::<Result<_>>()? })
    }

    async fn ask<T>(&self, asked: impl FnOnce(oneshot::Sender<T>) -> Asked) -> Result<T> {
        let (done, wait) = oneshot::channel();
        let ended = || Error::closed("the loader has ended");
        self.asks.send(asked(done)).await.map_err(|_| ended())?;
        tokio::select! {
            biased;
            told = wait => told.map_err(|_| ended()),
            // What is sent while the loader ends may stay in the channel for ever, as this handle keeps it.
            () = self.asks.closed() => Err(ended()),
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Handle").finish_non_exhaustive()
    }
}

pub(crate) fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn committed(topic: &Topic, rows: u64, repeated: u64, version: lake::Version) {
    metrics::counter!("loader_records_total", "topic" => topic.to_string(), "outcome" => "landed").increment(rows);
    metrics::counter!("loader_records_total", "topic" => topic.to_string(), "outcome" => "repeated").increment(repeated);
    tracing::debug!(%topic, rows, repeated, version, "committed");
}

pub(crate) fn buried(letters: u64, quarantined: u64) {
    metrics::counter!("loader_dead_letters_total").increment(letters);
    metrics::counter!("loader_quarantined_total").increment(quarantined);
    tracing::info!(letters, quarantined, "records put into the dead letters or quarantined");
}

pub(crate) fn rolled(reason: Reason, records: u64) {
    metrics::counter!("loader_rolls_total", "reason" => reason.as_str()).increment(1);
    tracing::debug!(reason = reason.as_str(), records, "roll");
}

pub(crate) fn waits(error: &Error, wait_ms: u64) {
    metrics::counter!("loader_retries_total").increment(1);
    tracing::warn!(%error, wait_ms, "a disk or the lake cannot be used now; the queue keeps the records");
}

/// The queue was trimmed of records that these tables do not have: they were in a table that is gone, or in another lake.
pub(crate) fn lost(partition: &Partition, records: u64) {
    metrics::counter!("loader_lost_records_total").increment(records);
    tracing::error!(
        %partition,
        records,
        "records that were stored are in none of these tables and not in the queue any more: they are counted as quarantined. \
         Is this another lake than before, or was a table deleted?"
    );
}

/// What an audit found, by topic.
fn audited(audit: &Audit) {
    metrics::counter!("loader_audits_total", "outcome" => if audit.balances { "balances" } else { "differs" }).increment(1);
    for topic in &audit.topics {
        metrics::gauge!("loader_audit_minutes_differing", "topic" => topic.topic.clone()).set(topic.minutes_differing as f64);
    }
    if let Err(error) = audit.check() {
        tracing::error!(%error, "an audit found a difference");
    }
}

/// The queue could not be trimmed; tried again later.
pub(crate) fn trim_failed(error: &Error) {
    metrics::counter!("loader_trim_errors_total").increment(1);
    tracing::warn!(%error, "the queue was not trimmed; tried again later");
}
