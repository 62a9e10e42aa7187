//! One roll of one partition. The order makes a crash between any two steps harmless (promise L1):
//!
//! 1. dead letters, 2. each topic's table, 3. the index of repeats and the ledger, 4. the queue is trimmed.
//!
//! Each table has its own cursor and skips what is below it, so a replay repeats exactly the steps that are missing. Dead letters
//! come first: a topic whose cursor moved never has to be judged again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use arrow::array::RecordBatch;
use lake::{CursorMove, DataFile, FaultPoint, FileName, Lake, Stage, Table, dead_letters_batch};
use record::{Error, ErrorKind, Partition, Result, Topic};
use tokio_util::sync::CancellationToken;

use crate::{
    batch::Lane,
    dedup::Fresh,
    index::{Index, Marks},
    receipts::{Landing, Letter},
    telemetry::{self, Books},
};

/// The shortest and the longest wait between two tries, in milliseconds.
const WAIT_MS_MIN: u64 = 100;
const WAIT_MS_MAX: u64 = 10_000;

/// The cursor of the dead letters of a partition.
pub(crate) fn dead_cursor_id(partition: &Partition) -> String {
    format!("dead_letters@{partition}")
}

/// The app id of a counter beside a cursor.
pub(crate) fn counter_id(cursor_id: &str, counter: &str) -> String {
    format!("{cursor_id}#{counter}")
}

/// Cumulative numbers of one partition, as its commits keep them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    pub landed: HashMap<Topic, u64>,
    pub repeated: HashMap<Topic, u64>,
    pub dead_lettered: HashMap<Topic, u64>,
    /// Rows that doors kept: they were never stored as records of their topics.
    pub refused: u64,
    /// Rows in the dead letters, those included.
    pub dead_total: u64,
    pub quarantined: u64,
}

impl Counters {
    /// Records of the partition that are counted in a commit.
    pub(crate) fn total(&self) -> u64 {
        self.landed.values().chain(self.repeated.values()).sum::<u64>() + self.dead_total + self.quarantined
    }
}

/// What a roll commits to.
pub(crate) struct Destination {
    pub lake: Lake,
    pub tables: BTreeMap<Topic, Table>,
    /// Tables of topics that are not in the settings.
    pub retired: BTreeMap<Topic, Table>,
    pub dead_letters: Table,
    pub index: Arc<Index>,
    pub shutdown: CancellationToken,
}

impl Destination {
    /// Commits what a lane holds. When it returns, the lane is settled up to where it was read, or where the ledger stands.
    ///
    /// # Errors
    /// `Conflict` when another loader moved a cursor: this one is fenced. `Closed` at shutdown while the lake is away.
    pub(crate) async fn roll(
        &self,
        lane: &mut Lane,
        counters: &mut Counters,
        fresh: &mut Fresh,
        books: &std::sync::Mutex<Books>,
    ) -> Result<()> {
        let letters = lane.dead.iter().map(Letter::of).collect();
        self.commit_dead(lane, counters, books).await?;
        let mut marks = Marks { letters, ..Marks::default() };
        if lane.dead_cursor > 0 {
            marks.known.push((dead_cursor_id(&lane.partition), lane.dead_cursor));
        }
        let partition = crate::dedup::partition_digest(&lane.partition);
        let next = lane.next;
        for (topic, waiting) in &mut lane.waiting {
            if waiting.rows + waiting.repeated == 0 {
                continue;
            }
            let app_id = lane.partition.cursor_id(topic);
            let name = FileName { topic: topic.to_string(), partition: lane.partition.clone(), first: waiting.first, last: waiting.last };
            let landed = counters.landed.get(topic).copied().unwrap_or(0) + waiting.rows;
            let repeated = counters.repeated.get(topic).copied().unwrap_or(0) + waiting.repeated;
            let moved = CursorMove {
                expected: lane.cursors.get(topic).copied().unwrap_or(0),
                next,
                counters: vec![(counter_id(&app_id, "landed"), landed), (counter_id(&app_id, "repeated"), repeated)],
                app_id: app_id.clone(),
            };
            let version = self.commit(&self.tables[topic], &waiting.batches, &name, &moved).await?;
            lane.cursors.insert(topic.clone(), next);
            counters.landed.insert(topic.clone(), landed);
            counters.repeated.insert(topic.clone(), repeated);
            marks.known.push((app_id, next));
            marks.landings.push(Landing { topic: topic.clone(), partition, next, version });
            telemetry::committed(topic, waiting.rows, waiting.repeated, version);
            let mut books = telemetry::lock(books);
            if let Some(topic) = books.topics.get_mut(topic) {
                topic.landed += waiting.rows;
                topic.repeated += waiting.repeated;
                topic.waiting = topic.waiting.saturating_sub(waiting.rows + waiting.repeated);
                topic.table_version = Some(version);
            }
            *waiting = crate::batch::Waiting::default();
        }
        lane.waiting.clear();
        let mine: Fresh = fresh.extract_if(|_, seen| seen.partition == partition).collect();
        marks.ledger = lane.page.addition(&lane.partition, next, lane.committed_to);
        self.note_in_index(&mine, &marks).await?;
        if marks.ledger.is_some() {
            lane.page.turn(next);
        }
        self.lake.fault(FaultPoint::Trim)?;
        // L2: what the ledger does not know stays in the queue.
        lane.settled = next.min(lane.page.next);
        Ok(())
    }

    async fn note_in_index(&self, fresh: &Fresh, marks: &Marks) -> Result<()> {
        let mut patience = Patience::new();
        loop {
            let noted = self.lake.fault(FaultPoint::Index).and_then(|()| match fresh.is_empty() && marks.is_empty() {
                true => Ok(()),
                false => in_place(|| self.index.add(fresh, marks)),
            });
            match noted {
                Ok(()) => return Ok(()),
                // A full disk, such as: the tables have it, the queue waits.
                Err(error) => patience.wait_out(error, &self.shutdown).await?,
            }
        }
    }

    async fn commit_dead(&self, lane: &mut Lane, counters: &mut Counters, books: &std::sync::Mutex<Books>) -> Result<()> {
        if lane.dead.is_empty() && lane.quarantined == 0 {
            return Ok(());
        }
        let app_id = dead_cursor_id(&lane.partition);
        let mut after = counters.clone();
        for letter in &lane.dead {
            match letter.stage {
                Stage::Door => after.refused += 1,
                Stage::Loader => *after.dead_lettered.entry(letter.topic.clone()).or_default() += 1,
            }
        }
        after.dead_total += lane.dead.len() as u64;
        after.quarantined += lane.quarantined;
        let mut kept = vec![
            (counter_id(&app_id, "total"), after.dead_total),
            (counter_id(&app_id, "refused"), after.refused),
            (counter_id(&app_id, "quarantined"), after.quarantined),
        ];
        let known = after.dead_lettered.iter().filter(|(topic, _)| self.tables.contains_key(topic));
        kept.extend(known.map(|(topic, count)| (counter_id(&lane.partition.cursor_id(topic), "dead_lettered"), *count)));
        let offsets = || lane.dead.iter().map(|letter| letter.position.offset);
        let name = FileName {
            topic: "dead_letters".to_owned(),
            partition: lane.partition.clone(),
            first: offsets().min().unwrap_or(0),
            last: offsets().max().unwrap_or(0),
        };
        let moved = CursorMove { app_id, expected: lane.dead_cursor, next: lane.next, counters: kept };
        let batches = if lane.dead.is_empty() { Vec::new() } else { vec![dead_letters_batch(&lane.dead)?] };
        self.commit(&self.dead_letters, &batches, &name, &moved).await?;
        telemetry::buried(lane.dead.len() as u64, lane.quarantined);
        let mut books = telemetry::lock(books);
        for letter in &lane.dead {
            match (letter.stage, books.topics.get_mut(&letter.topic)) {
                (Stage::Door, _) => books.refused += 1,
                (Stage::Loader, Some(topic)) => topic.dead_lettered += 1,
                (Stage::Loader, None) => books.unknown_topic += 1,
            }
        }
        books.quarantined += lane.quarantined;
        books.waiting_dead = books.waiting_dead.saturating_sub(lane.dead.len() as u64 + lane.quarantined);
        *counters = after;
        lane.dead_cursor = lane.next;
        lane.dead.clear();
        lane.quarantined = 0;
        Ok(())
    }

    /// Writes and commits, again and again while the lake is away; a file that is written is not written again.
    async fn commit(&self, table: &Table, batches: &[RecordBatch], name: &FileName, moved: &CursorMove) -> Result<lake::Version> {
        let mut files: Option<Vec<DataFile>> = None;
        let mut patience = Patience::new();
        loop {
            let tried = async {
                if let Some(held) = &files
                    && table.outdated(held, moved).await?
                {
                    files = None; // another loader's sweep may have them
                }
                if files.is_none() {
                    files = Some(table.write(batches, name).await?);
                }
                table.commit(files.as_deref().unwrap_or_default(), moved).await
            };
            match tried.await {
                Ok(version) => return Ok(version),
                Err(error) => patience.wait_out(error, &self.shutdown).await?,
            }
        }
    }
}

/// Waits longer after each error that passes.
pub(crate) struct Patience {
    wait_ms: u64,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { wait_ms: WAIT_MS_MIN }
    }

    /// Waits for what may pass.
    ///
    /// # Errors
    /// The error itself when waiting does not help; `Closed` at shutdown.
    pub(crate) async fn wait_out(&mut self, error: Error, shutdown: &CancellationToken) -> Result<()> {
        if error.kind() != ErrorKind::Unavailable {
            return Err(error);
        }
        telemetry::waits(&error, self.wait_ms);
        tokio::select! {
            () = shutdown.cancelled() => {
                return Err(Error::closed("ended while waiting for a disk or a store; the queue keeps the records").because(error));
            }
            () = tokio::time::sleep(Duration::from_millis(self.wait_ms)) => {}
        }
        self.wait_ms = (self.wait_ms * 2).min(WAIT_MS_MAX);
        Ok(())
    }
}

/// Runs what blocks for some milliseconds, giving other tasks of this thread to other threads where there are any.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}
