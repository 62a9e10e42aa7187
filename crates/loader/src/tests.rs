//! What the loader promises: L1, L2, C3.

mod audit;
mod backup;
mod crash;
mod receipts;
mod rules;
mod trouble;

use std::{
    collections::BTreeMap,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use arrow::array::AsArray;
use futures::{TryStreamExt, future::BoxFuture};
use lake::{FaultHook, Fsync, Lake};
use queue::{Headroom, MemoryQueue, Queue};
use record::{
    Column, ColumnKind, Durability, Error, ErrorKind, Letter, Offset, Partition, Position, Record, RecordId, Rejection, RejectionTag,
    Result, SystemClock, Tail, TailBatch, Timestamp, Topic, TopicSchema,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Config, Handle, Limits, Loader, Parts};

/// A folder, a queue, and a loader that is started anew as often as a test likes.
struct World {
    folder: TempDir,
    queue: Arc<dyn Queue>,
    topics: Vec<TopicSchema>,
    fault: Option<FaultHook>,
    fsync: Fsync,
    config: Config,
}

struct Running {
    handle: Handle,
    shutdown: CancellationToken,
    task: JoinHandle<Result<()>>,
}

fn points() -> TopicSchema {
    let columns = vec![Column { name: "n".into(), kind: ColumnKind::Integer, required: true }];
    TopicSchema { topic: Topic::parse("points").expect("a topic"), columns, payload_bytes_max: 1_000 }
}

fn record(topic: &str, id: u64, payload: &str) -> Record {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&id.to_be_bytes());
    Record {
        topic: Topic::parse(topic).expect("a topic"),
        id: RecordId::from_bytes(bytes),
        received_at: Timestamp::from_micros(RECEIVED_AT_US),
        door: "http".into(),
        payload: payload.to_owned().into(),
    }
}

/// What a door keeps of a record that it rejected.
fn letter(topic: &str, payload: &str) -> String {
    let rejection = Rejection::new(RejectionTag::NotJson, "not JSON");
    let topic = Topic::parse(topic).expect("a topic");
    let letter = Letter::new(&topic, &rejection, payload.as_bytes(), 1_000).to_payload();
    String::from_utf8(letter.into()).expect("JSON")
}

/// All records of these tests come at one moment, in a future that no window has left.
const RECEIVED_AT_US: i64 = 4_000_000_000_000_000;

impl World {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut config = Config::new(&folder.path().join("index"));
        config.tick_ms = 5;
        // Rolls happen when a test asks.
        config.roll = Limits { age_us_max: u64::MAX, idle_us_max: u64::MAX, ..Limits::default() };
        Self {
            folder,
            queue: Arc::new(MemoryQueue::new("q", 100_000)),
            topics: vec![TopicSchema::events(), points()],
            fault: None,
            fsync: Arc::new(lake::fsync),
            config,
        }
    }

    async fn lake(&self) -> Lake {
        let config = lake::Config { fault: self.fault.clone(), fsync: Arc::clone(&self.fsync), ..lake::Config::default() };
        Lake::open(&self.folder.path().join("lake").display().to_string(), config, Arc::new(SystemClock::new())).await.expect("opens")
    }

    fn index(&self) -> PathBuf {
        self.config.index_folder.clone()
    }

    async fn start(&self) -> Result<Running> {
        let parts = Parts {
            queue: Arc::clone(&self.queue),
            lake: self.lake().await,
            topics: self.topics.clone(),
            clock: Arc::new(SystemClock::new()),
        };
        let (loader, handle) = Loader::open(parts, self.config.clone()).await?;
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(loader.run(shutdown.clone()));
        Ok(Running { handle, shutdown, task })
    }

    async fn append(&self, records: Vec<Record>) {
        self.queue.append(records).await.expect("stored");
    }

    /// Starts, loads everything, stops.
    async fn load(&self) -> crate::Progress {
        let running = self.start().await.expect("starts");
        running.handle.flush().await.expect("flushes");
        let progress = running.handle.progress().expect("the books");
        assert!(progress.balances() && progress.in_flight() == 0, "L2: {progress:?}");
        let audit = running.handle.audit().await.expect("reads the tables");
        assert!(audit.balances, "L2: {}", audit.to_text());
        running.stop().await.expect("ends well");
        progress
    }

    /// The ids in a table, each with how often it is there.
    async fn ids(&self, table: &str) -> BTreeMap<String, usize> {
        let path = self.folder.path().join("lake").display().to_string();
        let lake = Lake::open(&path, lake::Config::default(), Arc::new(SystemClock::new())).await.expect("opens");
        let table = lake.existing_table(table).await.expect("opens").expect("is there");
        let mut batches = table.scan(Some(&["record_id"])).await.expect("scans");
        let mut found = BTreeMap::new();
        while let Some(batch) = batches.try_next().await.expect("reads") {
            for id in batch.column(0).as_string::<i32>().iter().flatten() {
                *found.entry(id.to_owned()).or_default() += 1;
            }
        }
        found
    }

    async fn tags(&self) -> Vec<String> {
        let lake = self.lake().await;
        let table = lake.dead_letters().await.expect("opens");
        let batches: Vec<_> = table.scan(Some(&["tag"])).await.expect("scans").try_collect().await.expect("reads");
        let mut tags: Vec<String> = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        tags.sort();
        tags
    }
}

impl Running {
    async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        self.task.await.expect("no panic")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_a_row_a_repeat_or_a_dead_letter() {
    let world = World::new();
    world
        .append(vec![
            record("points", 1, r#"{"n":1}"#),
            record("points", 1, r#"{"n":1,"ignored":2}"#),
            record("points", 1, r#"{"n":2}"#),
            record("points", 2, r#"{"n":"two"}"#),
            record("events", 1, r#"{"n":1}"#),
            record("nowhere", 1, r#"{"n":1}"#),
            record("dead_letters", 4, &letter("points", "oops")),
            record("dead_letters", 5, "{}"),
        ])
        .await;
    let progress = world.load().await;
    let points = &progress.topics["points"];
    assert_eq!((points.landed, points.repeated, points.dead_lettered), (1, 1, 2));
    assert_eq!((progress.topics["events"].landed, progress.unknown_topic, progress.refused, progress.stored), (1, 2, 1, 8));
    assert_eq!(world.tags().await, ["id_reused", "no_letter", "not_json", "schema_mismatch", "unknown_topic"]);
    let partition = &world.queue.partitions()[0];
    assert_eq!(world.queue.range(partition).expect("a range"), 8..8, "trimmed after the commits");
    // A later process has the same books, and knows the repeats of an earlier one.
    world.append(vec![record("points", 1, r#"{"n":1}"#), record("points", 3, r#"{"n":3}"#)]).await;
    let progress = world.load().await;
    let points = &progress.topics["points"];
    assert_eq!((points.landed, points.repeated, points.dead_lettered, progress.unknown_topic), (2, 2, 2, 2));
    assert_eq!(progress.refused, 1);
}

#[tokio::test]
async fn a_lost_index_is_made_again_from_the_tables() {
    let world = World::new();
    world.append((0..50).map(|n| record("points", n, &format!("{{\"n\":{n}}}"))).collect()).await;
    world.load().await;
    std::fs::remove_dir_all(world.index()).expect("deleted");
    world.append(vec![record("points", 7, r#"{"n":7}"#), record("points", 8, r#"{"n":9}"#)]).await;
    let progress = world.load().await;
    let points = &progress.topics["points"];
    assert_eq!((points.landed, points.repeated, points.dead_lettered), (50, 1, 1));
    std::fs::write(world.index().join("repeats.redb"), "no index at all").expect("damaged");
    world.append(vec![record("points", 7, r#"{"n":7}"#)]).await;
    assert_eq!(world.load().await.topics["points"].repeated, 2);
}

#[tokio::test]
async fn a_cursor_beyond_the_end_is_corrupt_and_a_new_queue_is_read_whole() {
    let mut world = World::new();
    world.append((0..5).map(|n| record("events", n, "{}")).collect()).await;
    world.load().await;
    world.queue = Arc::new(MemoryQueue::new("q", 100));
    let error = world.start().await.err().expect("the queue has lost records");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    world.queue = Arc::new(MemoryQueue::new("made anew", 100));
    world.append((5..8).map(|n| record("events", n, "{}")).collect()).await;
    assert_eq!(world.load().await.landed(), 3);
    assert_eq!(world.ids("events").await.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_loaders_one_is_fenced_and_nothing_doubles() {
    let mut world = World::new();
    // A hold keeps the queue from being trimmed under the other.
    world.config.keep_below = Some(Arc::new(|_| 0));
    let first = world.start().await.expect("starts");
    let mut other = World { config: world.config.clone(), ..World::new() };
    other.config.index_folder = world.folder.path().join("other-index");
    other.queue = Arc::clone(&world.queue);
    let parts = Parts {
        queue: Arc::clone(&world.queue),
        lake: world.lake().await,
        topics: world.topics.clone(),
        clock: Arc::new(SystemClock::new()),
    };
    let (second, second_handle) = Loader::open(parts, other.config.clone()).await.expect("opens");
    world.append((0..20).map(|n| record("events", n, "{}")).collect()).await;
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(second.run(shutdown.clone()));
    let (one, two) = futures::join!(first.handle.flush(), second_handle.flush());
    shutdown.cancel();
    let results = [first.stop().await, task.await.expect("no panic")];
    assert!(one.is_ok() || two.is_ok(), "one of them loads");
    let fenced = results.iter().filter(|result| result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict)).count();
    assert_eq!(fenced, 1, "both read all of it, and only one commits: {results:?}");
    let ids = world.ids("events").await;
    assert_eq!((ids.len(), ids.values().max()), (20, Some(&1)), "L1: nothing doubles");
}

#[tokio::test]
async fn an_unreachable_lake_is_waited_out() {
    let mut world = World::new();
    let strikes = Arc::new(AtomicU32::new(0));
    let struck = Arc::clone(&strikes);
    world.fault = Some(Arc::new(move |point| match point == lake::FaultPoint::WriteFile && struck.fetch_add(1, Ordering::SeqCst) < 2 {
        true => Err(Error::unavailable("the store is away")),
        false => Ok(()),
    }));
    world.append((0..3).map(|n| record("events", n, "{}")).collect()).await;
    assert_eq!(world.load().await.landed(), 3);
    assert!(strikes.load(Ordering::SeqCst) >= 3, "the fault fired");
}

#[tokio::test]
async fn the_queue_keeps_what_a_consumer_still_needs() {
    let mut world = World::new();
    world.config.keep_below = Some(Arc::new(|_| 2));
    world.append((0..5).map(|n| record("events", n, "{}")).collect()).await;
    world.load().await;
    assert_eq!(world.queue.range(&world.queue.partitions()[0]).expect("a range"), 2..5);
    // What was kept for the other is not loaded again.
    assert_eq!(world.load().await.landed(), 5);
    assert_eq!(world.ids("events").await.values().sum::<usize>(), 5);
}

#[tokio::test]
async fn a_topic_new_in_the_settings_counts_nothing_twice() {
    let mut world = World::new();
    world.topics = vec![TopicSchema::events()];
    world.config.keep_below = Some(Arc::new(|_| 0)); // the records stay readable
    world.append(vec![record("points", 1, r#"{"n":1}"#), record("events", 1, "{}")]).await;
    assert_eq!(world.load().await.unknown_topic, 1);
    world.topics.push(points());
    world.append(vec![record("points", 2, r#"{"n":2}"#)]).await;
    let progress = world.load().await;
    assert_eq!((progress.topics["points"].landed, progress.dead_lettered()), (1, 1));
}

/// What a test makes of a batch that is read.
type OnRead = Box<dyn Fn(TailBatch) -> TailBatch + Send + Sync>;
/// What a test does when the queue is asked to forget records below an offset.
type OnTrim = Box<dyn Fn(Offset) -> Result<()> + Send + Sync>;

/// A queue whose batches a test may change, and whose trims it may watch or refuse.
struct Watched {
    queue: MemoryQueue,
    on_read: OnRead,
    on_trim: OnTrim,
}

impl Watched {
    fn new() -> Self {
        Self { queue: MemoryQueue::new("watched", 1_000), on_read: Box::new(|batch| batch), on_trim: Box::new(|_| Ok(())) }
    }
}

impl Tail for Watched {
    fn partitions(&self) -> Vec<Partition> {
        self.queue.partitions()
    }
    fn range(&self, partition: &Partition) -> Result<Range<Offset>> {
        self.queue.range(partition)
    }
    fn read(&self, partition: &Partition, from: Offset, records_max: usize) -> Result<TailBatch> {
        self.queue.read(partition, from, records_max).map(&self.on_read)
    }
}

impl Queue for Watched {
    fn durability(&self) -> Durability {
        self.queue.durability()
    }
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Vec<Position>>> {
        self.queue.append(records)
    }
    fn headroom(&self) -> Headroom {
        self.queue.headroom()
    }
    fn wait_for(&self, partition: &Partition, offset: Offset) -> BoxFuture<'static, Result<()>> {
        self.queue.wait_for(partition, offset)
    }
    fn trim(&self, partition: &Partition, below: Offset) -> Result<()> {
        (self.on_trim)(below)?;
        self.queue.trim(partition, below)
    }
    fn close(&self) -> BoxFuture<'static, Result<()>> {
        self.queue.close()
    }
}

/// Every tenth record is damaged.
fn with_holes(mut batch: TailBatch) -> TailBatch {
    let all = batch.records.len();
    batch.records.retain(|found| found.offset % 10 != 3);
    batch.quarantined += (all - batch.records.len()) as u64;
    batch
}

#[tokio::test]
async fn damaged_records_are_counted_once_and_in_the_books() {
    let mut world = World::new();
    world.queue = Arc::new(Watched { on_read: Box::new(with_holes), ..Watched::new() });
    world.config.keep_below = Some(Arc::new(|_| 0)); // they are read again by a later process
    world.append((0..25).map(|n| record("events", n, "{}")).collect()).await;
    assert_eq!(world.load().await.quarantined, 3);
    world.append((25..27).map(|n| record("events", n, "{}")).collect()).await;
    let progress = world.load().await;
    assert_eq!((progress.quarantined, progress.landed()), (3, 24));
}
