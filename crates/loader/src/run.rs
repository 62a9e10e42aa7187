//! The loop: reads the queue from the cursors in the tables' last commits, rolls, trims. Started by `cli`, one for a queue.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::select_all};
use lake::{Lake, Table};
use queue::Queue;
use record::{Clock, Error, ErrorKind, Offset, Partition, Result, TailBatch, Topic, TopicSchema};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{PartitionView, View},
    batch::{Lane, unknown_topic},
    commit::{Counters, Destination, Patience, counter_id, dead_cursor_id, in_place},
    dedup::Fresh,
    holds::Holds,
    index::Index,
    known::{check_strictly, retired},
    roll::{Facts, Limits, decide},
    telemetry::{self, Asked, Books, Handle},
};

/// The most callers that wait for an answer at one time.
const ASKED_MAX: usize = 64;
/// Old ids are forgotten this often, in microseconds.
const FORGET_INTERVAL_US: u64 = 60_000_000;
/// Orphan files are looked for this often, in microseconds.
const SWEEP_INTERVAL_US: u64 = 3_600_000_000;

/// The lowest offset of a partition that a consumer of its own still needs, such as task selection.
pub type KeepBelow = Arc<dyn Fn(&Partition) -> Offset + Send + Sync>;

/// Settings.
#[derive(Clone)]
pub struct Config {
    /// The folder of the index of repeats.
    pub index_folder: PathBuf,
    /// Records read at one time.
    pub read_records_max: usize,
    /// When to commit.
    pub roll: Limits,
    /// How long a record is known at least, for repeats, in microseconds during which a loader runs.
    pub dedup_window_us: i64,
    /// How long to wait at most before looking again whether a roll is due, in milliseconds.
    pub tick_ms: u64,
    /// Holds the queue's trimming back; `None` when nobody else reads.
    pub keep_below: Option<KeepBelow>,
    /// Go on with what is there alone: `Corrupt` where a table that the index knows is gone, `Invalid` where it is another one, or the queue
    /// or the lake has records of a topic that the loader is not told of. For a look by somebody who may have named the wrong tables or
    /// settings.
    pub is_strict: bool,
}

impl Config {
    /// The defaults, with the index of repeats in a folder.
    pub fn new(index_folder: &Path) -> Self {
        Self {
            index_folder: index_folder.to_path_buf(),
            read_records_max: 8_192,
            roll: Limits::default(),
            dedup_window_us: 7 * 86_400_000_000,
            tick_ms: 200,
            keep_below: None,
            is_strict: false,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Config")
            .field("index_folder", &self.index_folder)
            .field("read_records_max", &self.read_records_max)
            .field("roll", &self.roll)
            .field("dedup_window_us", &self.dedup_window_us)
            .finish_non_exhaustive()
    }
}

/// What the loader is plugged into.
#[derive(Clone)]
pub struct Parts {
    /// Read from and trimmed.
    pub queue: Arc<dyn Queue>,
    /// Committed to.
    pub lake: Lake,
    /// The topics; records of others become dead letters.
    pub topics: Vec<TopicSchema>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A loader that stands at its cursors and has not begun to read.
pub struct Loader {
    parts: Parts,
    config: Config,
    topics: Arc<HashMap<Topic, TopicSchema>>,
    to: Destination,
    lanes: Vec<Lane>,
    counters: Vec<Counters>,
    fresh: Fresh,
    books: Arc<Mutex<Books>>,
    asks: mpsc::Receiver<Asked>,
    holds: Arc<Holds>,
    oldest_at: u64,
    newest_at: u64,
    forgot_at: u64,
}

impl Loader {
    /// Opens the tables, finds the cursors, and reads back what the index of repeats lacks.
    ///
    /// # Errors
    /// `Corrupt` when a cursor is beyond the queue's end: the queue has lost records, nothing is skipped. `Invalid` when a table
    /// has another schema. `Unavailable` when the lake cannot be reached or another loader uses the index.
    pub async fn open(parts: Parts, config: Config) -> Result<(Self, Handle)> {
        let (sender, asks) = mpsc::channel(ASKED_MAX);
        let index = Arc::new(Index::open(&config.index_folder, config.dedup_window_us, Arc::clone(&parts.clock))?);
        let topics: HashMap<Topic, TopicSchema> = parts.topics.iter().map(|schema| (schema.topic.clone(), schema.clone())).collect();
        if config.is_strict {
            check_strictly(&parts, &index).await?;
        }
        // In order, so that the same run meets the same fault again.
        let mut tables = BTreeMap::new();
        for schema in &parts.topics {
            tables.insert(schema.topic.clone(), parts.lake.table(schema).await?);
        }
        let dead_letters = parts.lake.dead_letters().await?;
        let retired = retired(&parts.lake, &topics).await?;
        let to = Destination { lake: parts.lake.clone(), tables, retired, dead_letters, index, shutdown: CancellationToken::new() };
        // First, as the ledger of other tables is none of these.
        to.index.belong_to(&to.tables)?;
        let (mut lanes, mut counters) = (Vec::new(), Vec::new());
        for partition in parts.queue.partitions() {
            let (lane, count) = open_lane(&*parts.queue, &to, partition, config.is_strict).await?;
            lanes.push(lane);
            counters.push(count);
        }
        if lanes.is_empty() {
            return Err(Error::invalid("the queue has no partition to read"));
        }
        for (topic, table) in &to.tables {
            let cursor = |lane: &Lane| (lane.partition.clone(), lane.cursors[topic]);
            to.index.catch_up(topic, table, &lanes.iter().map(cursor).collect::<Vec<_>>()).await?;
        }
        let books = Arc::new(Mutex::new(opening_books(&to.tables, &lanes, &counters)));
        let dead = lanes.iter().map(|lane| (lane.partition.clone(), lane.dead_cursor)).collect::<Vec<_>>();
        to.index.catch_up_letters(&to.dead_letters, &dead).await?;
        let holds = Arc::new(Holds::new(Arc::clone(&parts.clock)));
        let handle = Handle {
            queue: Arc::clone(&parts.queue),
            index: Arc::clone(&to.index),
            books: Arc::clone(&books),
            asks: sender,
            holds: Arc::clone(&holds),
            lake: to.lake.clone(),
            tables: Arc::new(to.tables.clone()),
            dead_letters: to.dead_letters.clone(),
        };
        let loader = Self {
            topics: Arc::new(topics),
            to,
            lanes,
            counters,
            fresh: Fresh::new(),
            books,
            asks,
            holds,
            oldest_at: 0,
            newest_at: 0,
            forgot_at: parts.clock.monotonic_micros(),
            parts,
            config,
        };
        Ok((loader, handle))
    }

    /// Runs until the shutdown, and commits what waits before it returns.
    ///
    /// # Errors
    /// `Conflict` when another loader moved a cursor; `Corrupt`, `Closed` from the queue; the lake being away is waited out.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<()> {
        self.to.shutdown = shutdown.clone();
        let mut swept_at = None;
        loop {
            if let Ok(asked) = self.asks.try_recv() {
                self.answer(asked).await?;
            }
            let brought = self.read().await?;
            self.roll_if_due(false).await?;
            if shutdown.is_cancelled() {
                self.roll_if_due(true).await?;
                return Ok(());
            }
            let now = self.parts.clock.monotonic_micros();
            if swept_at.is_none_or(|at| now.saturating_sub(at) > SWEEP_INTERVAL_US) {
                swept_at = Some(now);
                self.sweep().await;
            }
            if !brought {
                self.wait(&shutdown).await?;
            }
        }
    }

    /// Reads once from each partition; whether anything came.
    async fn read(&mut self) -> Result<bool> {
        let mut brought = false;
        for (lane, counters) in self.lanes.iter_mut().zip(&self.counters) {
            let mut patience = Patience::new();
            let (read, earlier) = loop {
                match read_and_look_up(&self.parts.queue, lane, self.config.read_records_max, &self.to).await {
                    Ok(found) => break found,
                    // Nothing of it is taken yet.
                    Err(error) => patience.wait_out(error, &self.to.shutdown).await?,
                }
            };
            if read.next == lane.next {
                continue;
            }
            brought = true;
            let was_empty = self.fresh.is_empty() && lane.records() == 0;
            let (topics, fresh) = (&self.topics, &mut self.fresh);
            in_place(|| lane.take(read, topics, &earlier, fresh))?;
            note_lost(lane, counters);
            self.newest_at = self.parts.clock.monotonic_micros();
            if was_empty {
                self.oldest_at = self.newest_at;
            }
        }
        if brought {
            telemetry::lock(&self.books).note(&self.lanes);
        }
        Ok(brought)
    }

    async fn roll_if_due(&mut self, asked: bool) -> Result<()> {
        let now = self.parts.clock.monotonic_micros();
        let records: u64 = self.lanes.iter().map(Lane::due).sum();
        let facts = Facts {
            rows: usize::try_from(records).unwrap_or(usize::MAX),
            bytes: self.lanes.iter().map(Lane::bytes).sum(),
            age_us: now.saturating_sub(self.oldest_at),
            idle_us: now.saturating_sub(self.newest_at),
            asked,
        };
        if let Some(reason) = decide(&facts, &self.config.roll) {
            telemetry::rolled(reason, records);
            for (lane, counters) in self.lanes.iter_mut().zip(&mut self.counters) {
                self.to.roll(lane, counters, &mut self.fresh, &self.books).await?;
            }
            telemetry::lock(&self.books).note(&self.lanes);
            self.forget_if_due(now);
        } else if records == 0 {
            // Nothing waits: what was read is in the tables since before, or in no topic's way.
            self.lanes.iter_mut().for_each(|lane| lane.settled = lane.next.min(lane.page.next));
        }
        if self.holds.any() {
            return Ok(());
        }
        for lane in &self.lanes {
            let keep = self.config.keep_below.as_ref().map_or(Offset::MAX, |keep| keep(&lane.partition));
            let below = lane.settled.min(keep);
            if below > self.parts.queue.range(&lane.partition)?.start {
                // L1: after the commits are durable
                match self.parts.queue.trim(&lane.partition, below) {
                    Err(error) if error.kind() == ErrorKind::Unavailable => telemetry::trim_failed(&error),
                    trimmed => trimmed?,
                }
            }
        }
        Ok(())
    }

    /// Right after a roll, when nothing that was judged by the index waits any more.
    fn forget_if_due(&mut self, now: u64) {
        if now.saturating_sub(self.forgot_at) < FORGET_INTERVAL_US {
            return;
        }
        self.forgot_at = now;
        if let Err(error) = in_place(|| self.to.index.forget()) {
            tracing::warn!(%error, "old ids were not forgotten; tried again later");
        }
    }

    /// Does what is asked, when all that was stored before is committed.
    async fn answer(&mut self, asked: Asked) -> Result<()> {
        self.flush().await?;
        // Whoever asked may have gone.
        match asked {
            Asked::Flush(done) => drop(done.send(())),
            Asked::View(done) => drop(done.send(in_place(|| self.view()))),
            Asked::Hold(seconds, done) => drop(done.send(self.holds.take(seconds))),
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let partitions = self.lanes.iter().map(|lane| lane.partition.clone());
        let ends = partitions.map(|partition| Ok(self.parts.queue.range(&partition)?.end)).collect::<Result<Vec<_>>>()?;
        while self.lanes.iter().zip(&ends).any(|(lane, end)| lane.next < *end) {
            self.read().await?;
            self.roll_if_due(false).await?;
        }
        self.roll_if_due(true).await
    }

    fn view(&self) -> Result<View> {
        let look = |(lane, counters)| PartitionView::of(&*self.parts.queue, &self.to.index, lane, counters);
        let partitions = self.lanes.iter().zip(&self.counters).map(look).collect::<Result<_>>()?;
        Ok(View { at: self.parts.clock.now(), partitions })
    }

    async fn wait(&mut self, shutdown: &CancellationToken) -> Result<()> {
        let stored = self.lanes.iter().map(|lane| self.parts.queue.wait_for(&lane.partition, lane.next));
        let mut stored = select_all(stored.collect::<Vec<_>>()).fuse();
        let asked = tokio::select! {
            () = shutdown.cancelled() => None,
            asked = self.asks.recv(), if !self.asks.is_closed() => asked,
            (woken, ..) = &mut stored => match woken {
                // The queue ends before the loader; what it stored is still read.
                Err(error) if error.kind() == ErrorKind::Closed => {
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = tokio::time::sleep(Duration::from_millis(self.config.tick_ms)) => {}
                    }
                    None
                }
                other => { other?; None }
            },
            () = tokio::time::sleep(Duration::from_millis(self.config.tick_ms)) => None,
        };
        match asked {
            Some(asked) => self.answer(asked).await,
            None => Ok(()),
        }
    }

    async fn sweep(&self) {
        for table in self.to.tables.values().chain([&self.to.dead_letters]) {
            if let Err(error) = table.sweep().await {
                tracing::warn!(table = table.name(), %error, "orphan files were not swept; tried again later");
            }
        }
    }
}

/// A partition's cursors and counters, from the tables.
async fn open_lane(queue: &dyn Queue, to: &Destination, partition: Partition, is_strict: bool) -> Result<(Lane, Counters)> {
    let range = queue.range(&partition)?;
    let dead_id = dead_cursor_id(&partition);
    let count =
        async |table: &Table, cursor: &str, name: &str| Ok::<u64, Error>(table.cursor(&counter_id(cursor, name)).await?.unwrap_or(0));
    let dead_cursor = to.dead_letters.cursor(&dead_id).await?.unwrap_or(0);
    let mut counters = Counters {
        dead_total: count(&to.dead_letters, &dead_id, "total").await?,
        refused: count(&to.dead_letters, &dead_id, "refused").await?,
        quarantined: count(&to.dead_letters, &dead_id, "quarantined").await?,
        ..Counters::default()
    };
    let mut cursors = HashMap::new();
    for (topic, table) in &to.tables {
        let app_id = partition.cursor_id(topic);
        cursors.insert(topic.clone(), known_since(table, &app_id, dead_cursor).await?);
        counters.landed.insert(topic.clone(), count(table, &app_id, "landed").await?);
        counters.repeated.insert(topic.clone(), count(table, &app_id, "repeated").await?);
        counters.dead_lettered.insert(topic.clone(), count(&to.dead_letters, &app_id, "dead_lettered").await?);
    }
    let mut retired = HashMap::new();
    for (topic, table) in &to.retired {
        let app_id = partition.cursor_id(topic);
        let Some(cursor) = table.cursor(&app_id).await? else { continue };
        if is_strict {
            return Err(unknown_topic(topic));
        }
        retired.insert(topic.clone(), cursor);
        counters.landed.insert(topic.clone(), count(table, &app_id, "landed").await?);
        counters.repeated.insert(topic.clone(), count(table, &app_id, "repeated").await?);
    }
    for (id, cursor) in cursors.iter().map(|(topic, cursor)| (partition.cursor_id(topic), *cursor)).chain([(dead_id, dead_cursor)]) {
        if cursor > range.end {
            return Err(Error::corrupt("a table's cursor is beyond the end of the queue: the queue has lost records; nothing is skipped")
                .with("cursor", id)
                .with("found", cursor)
                .with("end", range.end));
        }
    }
    let page = to.index.open_page(&partition, &range, &cursors, dead_cursor)?;
    // The queue was trimmed only below what every table had then; a topic without records since has an older cursor. Whether the
    // tables that are here now have what was trimmed, `find_lost` tells. What the ledger does not know is read again, too.
    let start = cursors.values().copied().min().unwrap_or(dead_cursor).max(range.start).min(page.next);
    let committed_to = cursors.values().chain(retired.values()).copied().max().unwrap_or(0).max(dead_cursor);
    let mut lane = Lane {
        partition,
        next: start,
        settled: start,
        cursors,
        retired,
        is_strict,
        dead_cursor,
        waiting: BTreeMap::new(),
        dead: Vec::new(),
        quarantined: 0,
        committed_to,
        lost: 0,
        is_balanced: false,
        page,
    };
    note_lost(&mut lane, &counters);
    Ok((lane, counters))
}

fn note_lost(lane: &mut Lane, counters: &Counters) {
    let lost = lane.find_lost(counters.total());
    if lost > 0 {
        telemetry::lost(&lane.partition, lost);
    }
}

/// Reads on, and asks the index for the ids that came.
async fn read_and_look_up(queue: &Arc<dyn Queue>, lane: &Lane, records_max: usize, to: &Destination) -> Result<(TailBatch, Fresh)> {
    let (queue, partition, from) = (Arc::clone(queue), lane.partition.clone(), lane.next);
    let read = tokio::task::spawn_blocking(move || queue.read(&partition, from, records_max))
        .await
        .map_err(|error| Error::closed("the runtime is shutting down").because(error))??;
    let known = read.records.iter().filter(|found| to.tables.contains_key(&found.record.topic));
    let ids = known.map(|found| (found.record.topic.clone(), found.record.id));
    let earlier = in_place(|| to.index.lookup(ids))?;
    Ok((read, earlier))
}

/// A topic's cursor. A topic that is new in the settings begins where the dead letters stand: before, its records were
/// dead letters of an unknown topic, and each record counts once (promise L1).
async fn known_since(table: &Table, app_id: &str, dead_cursor: Offset) -> Result<Offset> {
    if let Some(cursor) = table.cursor(app_id).await? {
        return Ok(cursor);
    }
    let opened = counter_id(app_id, "opened");
    if table.cursor(&opened).await?.is_none() {
        if dead_cursor > 0 {
            let moved = lake::CursorMove { app_id: app_id.to_owned(), expected: 0, next: dead_cursor, counters: vec![(opened, 1)] };
            table.commit(&[], &moved).await?;
            return Ok(dead_cursor);
        }
        table.append(&[], &opened).await?;
    }
    Ok(0)
}

fn opening_books(tables: &BTreeMap<Topic, Table>, lanes: &[Lane], counters: &[Counters]) -> Books {
    let mut books = Books::default();
    for topic in tables.keys() {
        let sum = |of: &dyn Fn(&Counters) -> Option<u64>| counters.iter().filter_map(of).sum::<u64>();
        let topic_books = books.topics.entry(topic.clone()).or_default();
        topic_books.landed = sum(&|counters| counters.landed.get(topic).copied());
        topic_books.repeated = sum(&|counters| counters.repeated.get(topic).copied());
        topic_books.dead_lettered = sum(&|counters| counters.dead_lettered.get(topic).copied());
    }
    let known: u64 = books.topics.values().map(|topic| topic.dead_lettered).sum();
    books.refused = counters.iter().map(|counters| counters.refused).sum();
    books.unknown_topic = counters.iter().map(|counters| counters.dead_total).sum::<u64>().saturating_sub(known + books.refused);
    books.quarantined = counters.iter().map(|counters| counters.quarantined).sum();
    books.note(lanes);
    books
}
