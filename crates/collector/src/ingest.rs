//! The conductor that every door calls: items → checked → stamped → appended → exactly one [`Outcome`] for each index.
//!
//! A door decodes its protocol into [`Item`]s, calls [`Ingest::submit`], and writes the outcomes in its own way. Nothing
//! here knows a protocol.
//!
//! Seam for the dead letters: what is rejected at the door is counted and told to its sender, and is not kept. The place to
//! keep it is where `submit` turns a check's `Err` into an outcome: topic, door, time, tag and message are at hand there.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use queue::{Headroom, Queue};
use record::{
    Clock, Door, Draft, Durability, Error, ErrorKind, Outcome, Position, Record, RecordId, Rejection, RejectionTag, Result, Timestamp,
    Topic, TopicSchema, Validator,
};

use crate::{
    columns,
    limits::Caps,
    status::{Counters, Handle},
    telemetry,
    wire::Item,
};

/// Settings of the conductor.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What one request may bring. `payload_bytes_max` is an upper bound over all topics.
    pub caps: Caps,
    /// How long a sender is told to wait when the queue could not store, in milliseconds.
    pub retry_after_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { caps: Caps { payload_bytes_max: usize::MAX, ..Caps::default() }, retry_after_ms: 1_000 }
    }
}

/// A topic that is taken here.
struct Entrance {
    schema: TopicSchema,
    validator: Arc<dyn Validator>,
}

/// The conductor. One for all doors.
pub struct Ingest {
    queue: Arc<dyn Queue>,
    topics: BTreeMap<String, Entrance>,
    clock: Arc<dyn Clock>,
    config: Config,
    counters: Arc<Counters>,
    /// The queue has said that it takes nothing any more (promise Q2).
    closed: AtomicBool,
}

impl Ingest {
    /// A conductor for some topics, each with its validator.
    ///
    /// # Errors
    /// `Invalid` when a topic stands there twice.
    pub fn new(
        queue: Arc<dyn Queue>,
        topics: Vec<(TopicSchema, Arc<dyn Validator>)>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Result<Self> {
        let mut entrances = BTreeMap::new();
        for (schema, validator) in topics {
            let name = schema.topic.to_string();
            if entrances.insert(name.clone(), Entrance { schema, validator }).is_some() {
                return Err(Error::invalid("a topic is declared twice").with("topic", name));
            }
        }
        let counters = Arc::new(Counters::new(entrances.keys().cloned(), Arc::clone(&clock)));
        Ok(Self { queue, topics: entrances, clock, config, counters, closed: AtomicBool::new(false) })
    }

    /// The caps for a topic's requests, or nothing when the topic is unknown.
    pub fn caps(&self, topic: &str) -> Option<Caps> {
        let payload_bytes_max = self.topics.get(topic)?.schema.payload_bytes_max.min(self.config.caps.payload_bytes_max);
        Some(Caps { payload_bytes_max, ..self.config.caps })
    }

    /// Whether a topic takes any JSON object, and keeps it whole.
    pub fn takes_any_object(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|entrance| entrance.schema.is_json_text())
    }

    /// The names of the topics that are taken here.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// Whether records can be stored now. A door asks before it reads a body (promise C2).
    ///
    /// # Errors
    /// `Closed` when the queue takes nothing any more.
    pub fn headroom(&self) -> Result<Headroom> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::closed("the queue takes no records any more; the server has to be restarted"));
        }
        Ok(self.queue.headroom())
    }

    /// What *stored* means here (promise Q1).
    pub fn durability(&self) -> Durability {
        self.queue.durability()
    }

    /// What was counted so far.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.counters))
    }

    /// Checks the records of one request, appends the good ones in one go, and says what became of each: the outcome at
    /// an index belongs to the item at that index (promise C1). A record with an id that came before is stored again
    /// (promise C3); the loader counts it once.
    ///
    /// If the future is dropped while the queue is at work, the records may be stored without anybody having been told.
    ///
    /// # Errors
    /// `Invalid` for a topic that is not taken here; `Closed` when the queue takes nothing any more: whether the good
    /// records are stored is then unknown (promise Q2).
    pub async fn submit(&self, topic: &str, items: Vec<Item>, door: Door, credential: Option<Bytes>) -> Result<Vec<Outcome>> {
        let entrance = self.topics.get(topic).ok_or_else(|| unknown_topic(topic))?;
        let topic = &entrance.schema.topic;
        let count = items.len();
        self.counters.received(topic, count);
        if let Headroom::Low { retry_after_ms } = self.headroom()? {
            return Ok(self.tell(topic, &door, vec![Outcome::Retry { after_ms: retry_after_ms }; count]));
        }
        let arrival = Arrival { received_at: self.clock.now(), door, credential };
        let checked = entrance.check_all(items, &arrival)?;
        let (records, verdicts) = part(checked);
        let told = Told { counters: &self.counters, topic, door: &arrival.door, records: records.len(), answered: false };
        let positions = self.append(topic, records).await?;
        let outcomes = join(verdicts, positions);
        // C1: a forgotten index would look like a success to nobody, because it stops here.
        assert_eq!(outcomes.len(), count, "each index has exactly one outcome");
        told.answered();
        Ok(self.tell(topic, &arrival.door, outcomes))
    }

    /// One append for the whole request. The outer error ends the request; the inner one says that all may try again.
    async fn append(&self, topic: &Topic, records: Vec<Record>) -> Result<Result<Vec<Position>, Outcome>> {
        if records.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let count = records.len();
        match self.queue.append(records).await {
            Ok(positions) => {
                assert_eq!(positions.len(), count, "the queue gives one position for each record");
                Ok(Ok(positions))
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                telemetry::queue_unavailable(topic, &error);
                Ok(Err(Outcome::Retry { after_ms: self.config.retry_after_ms }))
            }
            Err(error) => {
                if error.kind() == ErrorKind::Closed && !self.closed.swap(true, Ordering::Relaxed) {
                    telemetry::queue_closed(topic, &error);
                }
                Err(error)
            }
        }
    }

    fn tell(&self, topic: &Topic, door: &Door, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        self.counters.outcomes(topic, &telemetry::count(topic, door, &outcomes));
        outcomes
    }
}

/// What all records of a request share.
struct Arrival {
    received_at: Timestamp,
    door: Door,
    credential: Option<Bytes>,
}

impl Entrance {
    fn check_all(&self, items: Vec<Item>, arrival: &Arrival) -> Result<Vec<Result<Record, Rejection>>> {
        let mut ids = GivenIds::new(&items, arrival.received_at)?;
        Ok(items.into_iter().map(|item| self.check(item, arrival, &mut ids)).collect())
    }

    fn check(&self, item: Item, arrival: &Arrival, ids: &mut GivenIds) -> Result<Record, Rejection> {
        let (payload, id) = item?.into_parts();
        self.check_size(&payload)?;
        let id = id.unwrap_or_else(|| ids.next());
        let mut draft = Draft {
            topic: self.schema.topic.clone(),
            id,
            received_at: arrival.received_at,
            door: arrival.door.clone(),
            payload,
            credential: arrival.credential.clone(),
        };
        self.validator.check(&mut draft)?;
        columns::check(&self.schema, &draft.payload)?;
        Ok(Record { topic: draft.topic, id: draft.id, received_at: draft.received_at, door: draft.door, payload: draft.payload })
    }

    /// Also here, and not only where bytes are read: not every door knows the topic's cap while it reads.
    fn check_size(&self, payload: &Bytes) -> Result<(), Rejection> {
        let max = self.schema.payload_bytes_max;
        if payload.len() <= max {
            return Ok(());
        }
        Err(Rejection::new(RejectionTag::TooLarge, format!("the record has {} bytes; its topic takes {max}", payload.len())))
    }
}

/// Ids for the records that came without one: the time and 74 bits from the operating system, asked for once a request.
struct GivenIds {
    received_at: Timestamp,
    random: Vec<[u8; 10]>,
}

impl GivenIds {
    fn new(items: &[Item], received_at: Timestamp) -> Result<Self> {
        let wanted = items.iter().flatten().filter(|item| item.id().is_none()).count();
        let mut random = vec![[0_u8; 10]; wanted];
        getrandom::fill(random.as_flattened_mut())
            .map_err(|error| Error::unavailable("the operating system gives no random bytes").because(error))?;
        Ok(Self { received_at, random })
    }

    fn next(&mut self) -> RecordId {
        let random = self.random.pop().expect("there are as many as there are records without an id");
        RecordId::generate(self.received_at, random)
    }
}

/// Parts what goes to the queue from what is said of each index; both keep the order.
fn part(checked: Vec<Result<Record, Rejection>>) -> (Vec<Record>, Vec<Result<(), Rejection>>) {
    let mut records = Vec::with_capacity(checked.len());
    let verdicts = checked.into_iter().map(|one| one.map(|record| records.push(record))).collect();
    (records, verdicts)
}

/// Joins them again: a position, or the queue's *retry*, for each index that was accepted.
fn join(verdicts: Vec<Result<(), Rejection>>, appended: Result<Vec<Position>, Outcome>) -> Vec<Outcome> {
    let mut stored = appended.map(Vec::into_iter);
    let outcomes = verdicts.into_iter().map(|verdict| match (verdict, &mut stored) {
        (Err(rejection), _) => Outcome::Rejected(rejection),
        (Ok(()), Ok(positions)) => Outcome::Stored(positions.next().expect("a position for each accepted record")),
        (Ok(()), Err(retry)) => retry.clone(),
    });
    let outcomes = outcomes.collect();
    assert!(stored.is_err() || stored.is_ok_and(|rest| rest.len() == 0), "no position is left over");
    outcomes
}

/// Counts the records of a request whose sender left before the answer: the books must not lose sight of them.
struct Told<'a> {
    counters: &'a Counters,
    topic: &'a Topic,
    door: &'a Door,
    records: usize,
    answered: bool,
}

impl Told<'_> {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if !self.answered && self.records > 0 {
            telemetry::unanswered(self.topic, self.door, self.records);
            self.counters.unanswered(self.topic, self.records);
        }
    }
}

fn unknown_topic(topic: &str) -> Error {
    let shown: String = topic.chars().take(80).collect();
    Error::invalid("this topic is not taken here").with("topic", format_args!("{shown:?}"))
}
