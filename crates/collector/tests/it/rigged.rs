//! A queue in memory that can be made to hold, fail or run low, and a conductor over it.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use collector::{Ingest, ingest};
use futures::{FutureExt, future::BoxFuture};
use queue::{Headroom, MemoryQueue, Queue};
use record::{
    AcceptAnyObject, Draft, Durability, Error, ErrorKind, Offset, Partition, Position, Record, Rejection, RejectionTag, Result,
    SystemClock, Tail, TailBatch, TopicSchema, Validator,
};
use tokio::sync::watch;

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
    /// The first payload of each append, in the order of the calls.
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
        self.begun.subscribe().wait_for(|begun| *begun >= count).await.expect("the sender lives");
    }

    pub fn appends_begun(&self) -> usize {
        *self.begun.borrow()
    }

    /// The first payload of each append, in the order of the calls: appends that are held end in any order.
    pub fn asked(&self) -> Vec<Bytes> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every stored record, in order.
    pub fn stored(&self) -> Vec<Record> {
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
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(records.first().map(|record| record.payload.clone()));
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
    let topics: Vec<(TopicSchema, Arc<dyn Validator>)> =
        vec![(TopicSchema::events(), Arc::new(AcceptAnyObject)), (TopicSchema::answers(), Arc::clone(&witness) as Arc<dyn Validator>)];
    let queue = Arc::clone(queue) as Arc<dyn Queue>;
    let ingest = Ingest::new(queue, topics, Arc::new(SystemClock::new()), ingest::Config::default()).expect("two topics");
    (Arc::new(ingest), witness)
}

/// An answer that fits its topic.
pub fn answer() -> serde_json::Value {
    serde_json::json!({
        "record_id": "0192f0c4-8c5e-7000-8000-000000000001", "collection": "c", "task_id": "t", "reading_id": "r", "worker_id": "w",
        "lease_id": "l", "label": "right", "text": null, "answered_at": "2026-11-24T11:15:24.5Z", "late": false,
    })
}
