//! A queue in memory that can be made to hold, fail or run low, and a conductor over it.

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use collector::{
    Ingest,
    ingest::{self, Entrance},
    json_schema::JsonSchema,
    rates,
    tokens::{self, Tokens},
};
use futures::{FutureExt, future::BoxFuture};
use queue::{Headroom, MemoryQueue, Queue};
use record::{
    AcceptAnyObject, Clock, Draft, Durability, Error, ErrorKind, Letter, Offset, Partition, Position, Record, Rejection, RejectionTag,
    Result, SystemClock, Tail, TailBatch, Topic, TopicSchema, Validator,
};
use tokio::sync::watch;

use crate::client::DEADLINE;

/// What the queue does next.
#[derive(Clone, Copy, Debug)]
pub struct Rig {
    pub headroom: Headroom,
    /// Appends fail with this kind.
    pub fails: Option<ErrorKind>,
    /// Appends wait until this is false again.
    pub holds: bool,
}

pub struct Rigged {
    inner: Arc<MemoryQueue>,
    rig: watch::Sender<Rig>,
    /// How many appends have begun.
    begun: watch::Sender<usize>,
    /// The first payload of each append, in the order of the calls; of one without a good record none.
    asked: Mutex<Vec<Bytes>>,
}

impl Rigged {
    pub fn new() -> Arc<Self> {
        let rig = Rig { headroom: Headroom::Enough, fails: None, holds: false };
        let inner = Arc::new(MemoryQueue::new("memory", 1_000_000));
        Arc::new(Self { inner, rig: watch::Sender::new(rig), begun: watch::Sender::new(0), asked: Mutex::default() })
    }

    pub fn set(&self, change: impl FnOnce(&mut Rig)) {
        self.rig.send_modify(change);
    }

    pub async fn wait_for_appends(&self, count: usize) {
        let mut begun = self.begun.subscribe();
        let begun = tokio::time::timeout(DEADLINE, begun.wait_for(|begun| *begun >= count)).await;
        begun.expect("appends begin in time").expect("the sender lives");
    }

    pub fn appends_begun(&self) -> usize {
        *self.begun.borrow()
    }

    /// The first payload of each append, in the order of the calls: appends that are held end in any order.
    pub fn asked(&self) -> Vec<Bytes> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many records are stored.
    pub async fn wait_for_stored(&self, count: usize) {
        let partition = self.inner.partitions().remove(0);
        while self.stored().len() < count {
            self.inner.wait_for(&partition, self.stored().len() as Offset).await.expect("open");
        }
    }

    /// Every stored record, in order; those of the topic `dead_letters` are left out.
    pub fn stored(&self) -> Vec<Record> {
        self.all().into_iter().filter(|record| record.topic != Topic::dead_letters()).collect()
    }

    /// What is kept of rejected records, in order: topic, tag, payload.
    pub fn letters(&self) -> Vec<(String, String, String)> {
        let letters = self.all().into_iter().filter(|record| record.topic == Topic::dead_letters());
        let read = |record: Record| {
            let letter = Letter::parse(&record.payload).expect("a letter");
            (letter.topic.into_owned(), letter.tag.into_owned(), letter.payload.into_owned())
        };
        letters.map(read).collect()
    }

    /// Every payload as text, those of dead letters too.
    pub fn all_payloads(&self) -> Vec<String> {
        self.all().iter().map(|record| String::from_utf8_lossy(&record.payload).into_owned()).collect()
    }

    fn all(&self) -> Vec<Record> {
        let partition = self.inner.partitions().remove(0);
        let range = self.inner.range(&partition).expect("open");
        let batch = self.inner.read(&partition, range.start, usize::MAX).expect("readable");
        assert_eq!(batch.next, range.end);
        batch.records.into_iter().map(|positioned| positioned.record).collect()
    }
}

impl Tail for Rigged {
    fn partitions(&self) -> Vec<Partition> {
        self.inner.partitions()
    }

    fn range(&self, partition: &Partition) -> Result<Range<Offset>> {
        self.inner.range(partition)
    }

    fn read(&self, partition: &Partition, from: Offset, records_max: usize) -> Result<TailBatch> {
        self.inner.read(partition, from, records_max)
    }
}

impl Queue for Rigged {
    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Vec<Position>>> {
        let payload = records.first().filter(|record| record.topic != Topic::dead_letters()).map(|record| record.payload.clone());
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(payload);
        self.begun.send_modify(|begun| *begun += 1);
        let (inner, mut rig) = (Arc::clone(&self.inner), self.rig.subscribe());
        async move {
            let rig = *rig.wait_for(|rig| !rig.holds).await.expect("the sender lives");
            match rig.fails {
                Some(kind) => Err(Error::new(kind, "rigged to fail")),
                None => inner.append(records).await,
            }
        }
        .boxed()
    }

    fn headroom(&self) -> Headroom {
        self.rig.borrow().headroom
    }

    fn wait_for(&self, partition: &Partition, offset: Offset) -> BoxFuture<'static, Result<()>> {
        self.inner.wait_for(partition, offset)
    }

    fn trim(&self, partition: &Partition, below: Offset) -> Result<()> {
        self.inner.trim(partition, below)
    }

    fn close(&self) -> BoxFuture<'static, Result<()>> {
        self.inner.close()
    }
}

/// A validator of `answers` that remembers the credentials it saw and refuses one of them.
#[derive(Default)]
pub struct Witness(pub Mutex<Vec<Option<Bytes>>>);

impl Validator for Witness {
    fn check(&self, draft: &mut Draft) -> Result<(), Rejection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(draft.credential.clone());
        if draft.credential.as_deref() == Some(b"stranger") {
            return Err(Rejection::new(RejectionTag::UnknownWorker, "the worker is not known here"));
        }
        Ok(())
    }
}

/// A conductor for `events` and `answers`.
pub fn ingest(queue: &Arc<Rigged>) -> (Arc<Ingest>, Arc<Witness>) {
    let witness = Arc::new(Witness::default());
    let answers = Arc::clone(&witness) as Arc<dyn Validator>;
    let topics = vec![Entrance::open(TopicSchema::events(), Arc::new(AcceptAnyObject)), Entrance::open(TopicSchema::answers(), answers)];
    let queue = Arc::clone(queue) as Arc<dyn Queue>;
    let ingest = Ingest::new(queue, topics, Arc::new(SystemClock::new()), ingest::Config::default()).expect("two topics");
    (Arc::new(ingest), witness)
}

/// What a record of `sensors` keeps to.
const SENSORS: &str = r#"{
    "type": "object",
    "required": ["device", "celsius"],
    "properties": {
        "record_id": { "type": "string" },
        "device": { "type": "string", "pattern": "^[a-z]+-[0-9]+$" },
        "celsius": { "type": "number", "minimum": -90, "maximum": 60 },
        "at": { "type": "string", "format": "date-time" },
        "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 2 }
    }
}"#;

/// A conductor for `sensors` and `doors`, which take records only with a token, and the tokens in a file of their own.
pub fn ingest_with_tokens(queue: &Arc<Rigged>, folder: &Path) -> (Arc<Ingest>, Arc<Tokens>) {
    ingest_with_rates(queue, folder, rates::Config::default())
}

/// The same, with other limits.
pub fn ingest_with_rates(queue: &Arc<Rigged>, folder: &Path, rates: rates::Config) -> (Arc<Ingest>, Arc<Tokens>) {
    let tokens = Arc::new(Tokens::open(&folder.join("tokens.json")).expect("none yet"));
    let topics = ["sensors", "doors"].map(|name| {
        let json_schema = JsonSchema::parse(SENSORS).expect("a schema");
        let topic = Topic::parse(name).expect("a topic");
        let schema = TopicSchema { topic, columns: json_schema.columns().to_vec(), payload_bytes_max: 4_096 };
        Entrance::open(schema, Arc::new(AcceptAnyObject)).with_json_schema(json_schema).with_tokens_only()
    });
    let queue = Arc::clone(queue) as Arc<dyn Queue>;
    let config = ingest::Config { rates, ..ingest::Config::default() };
    let ingest = Ingest::new(queue, topics.into(), Arc::new(SystemClock::new()), config).expect("two topics");
    (Arc::new(ingest.with_tokens(Arc::clone(&tokens))), tokens)
}

/// A token for a topic.
pub fn token(tokens: &Tokens, topic: &str) -> tokens::Made {
    let topic = Topic::parse(topic).expect("a topic");
    tokens.create("a test's", &[topic], SystemClock::new().now(), None).expect("kept")
}

/// An answer that fits its topic.
pub fn answer() -> serde_json::Value {
    serde_json::json!({
        "record_id": "0192f0c4-8c5e-7000-8000-000000000001", "collection": "c", "task_id": "t", "reading_id": "r", "worker_id": "w",
        "lease_id": "l", "label": "right", "text": null, "answered_at": "2026-11-24T11:15:24.5Z", "late": false,
    })
}
