//! The conductor that every door calls: items → checked → stamped → appended → exactly one [`Outcome`] for each index.
//!
//! A door decodes its protocol into [`Item`]s, calls [`Ingest::submit`], and writes the outcomes in its own way. Nothing
//! here knows a protocol.
//!
//! What is rejected is told to its sender and, as far as `letters` allows, kept: it goes to the queue beside the good records, as a
//! record of the topic `dead_letters`. A door that cannot tell its sender acknowledges nothing whose rejection is not kept.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use queue::{Headroom, Queue};
use record::{
    Clock, Door, Draft, Durability, Error, ErrorKind, Letter, Outcome, Position, RETRIED, Record, RecordId, Rejection, RejectionTag,
    Result, Timestamp, Topic, TopicSchema, Validator,
};

use crate::{
    columns,
    json_schema::JsonSchema,
    letters::{self, Letters, Rejected},
    limits::Caps,
    random,
    rates::{self, Rates, Who},
    raw_item::RawItem,
    status::{Counters, Handle},
    telemetry::{self, OutcomeCounters},
    tokens::{self, Refusal, Tokens},
    wire::Item,
};

/// Settings of the conductor.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What one request may bring. `payload_bytes_max` is an upper bound over all topics.
    pub caps: Caps,
    /// How long a sender is told to wait when the queue could not store, in milliseconds.
    pub retry_after_ms: u64,
    /// How much is kept of what is rejected.
    pub letters: letters::Config,
    /// How many records a second one sender may bring.
    pub rates: rates::Config,
}

impl Default for Config {
    fn default() -> Self {
        let caps = Caps { payload_bytes_max: usize::MAX, ..Caps::default() };
        Self { caps, retry_after_ms: 1_000, letters: letters::Config::default(), rates: rates::Config::default() }
    }
}

/// A topic that is taken here, and what its records have to pass.
pub struct Entrance {
    schema: TopicSchema,
    validator: Arc<dyn Validator>,
    json_schema: Option<JsonSchema>,
    needs_token: bool,
    counters: OutcomeCounters,
}

impl Entrance {
    /// A topic that anybody may write to, with its validator.
    pub fn open(schema: TopicSchema, validator: Arc<dyn Validator>) -> Self {
        let counters = OutcomeCounters::new(schema.topic.clone());
        Self { schema, validator, json_schema: None, needs_token: false, counters }
    }

    /// Its records have to keep to a JSON Schema as well.
    #[must_use]
    pub fn with_json_schema(self, json_schema: JsonSchema) -> Self {
        Self { json_schema: Some(json_schema), ..self }
    }

    /// Only senders with a write token of this topic may write to it.
    #[must_use]
    pub fn with_tokens_only(self) -> Self {
        Self { needs_token: true, ..self }
    }
}

/// Who sends the records of a request, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The door.
    pub door: Door,
    /// What the sender showed to say who it is.
    pub credential: Option<Bytes>,
    /// Where it sends from, for limits alone: it is not kept (promise S1).
    pub address: Option<IpAddr>,
    /// Whether the door's answer carries the outcomes. Where it does not, nothing is acknowledged whose rejection is not kept (C1).
    pub is_told: bool,
}

/// The conductor. One for all doors.
pub struct Ingest {
    queue: Arc<dyn Queue>,
    topics: BTreeMap<String, Entrance>,
    tokens: Arc<Tokens>,
    letters: Letters,
    rates: Rates,
    clock: Arc<dyn Clock>,
    config: Config,
    counters: Arc<Counters>,
    /// The queue has said that it takes nothing any more (promise Q2).
    closed: AtomicBool,
}

impl Ingest {
    /// A conductor for some topics. Without [`with_tokens`](Self::with_tokens) nobody may write to those that need one.
    ///
    /// # Errors
    /// `Invalid` when a topic stands there twice, or has a name that is ours.
    pub fn new(queue: Arc<dyn Queue>, topics: Vec<Entrance>, clock: Arc<dyn Clock>, config: Config) -> Result<Self> {
        let mut entrances = BTreeMap::new();
        for entrance in topics {
            let topic = entrance.schema.topic.clone();
            if topic.is_reserved() {
                return Err(Error::invalid("a topic cannot have the name of a table of ours").with("topic", topic));
            }
            if entrances.insert(topic.to_string(), entrance).is_some() {
                return Err(Error::invalid("a topic is declared twice").with("topic", topic));
            }
        }
        let counters = Arc::new(Counters::new(entrances.keys().cloned(), Arc::clone(&clock)));
        let letters = Letters::new(entrances.keys().cloned(), Arc::clone(&clock), config.letters);
        let rates = Rates::new(Arc::clone(&clock), config.rates);
        let tokens = Arc::new(Tokens::none());
        Ok(Self { queue, topics: entrances, tokens, letters, rates, clock, config, counters, closed: AtomicBool::new(false) })
    }

    /// With the write tokens of this server.
    #[must_use]
    pub fn with_tokens(self, tokens: Arc<Tokens>) -> Self {
        Self { tokens, ..self }
    }

    /// Whether somebody who shows this may write to a topic. A door asks before it reads a body; [`submit`](Self::submit) asks again.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize(&self, topic: &str, credential: Option<&[u8]>) -> Result<(), Refusal> {
        let entrance = self.topics.get(topic).ok_or(Refusal::UnknownTopic)?;
        match credential {
            _ if !entrance.needs_token => Ok(()),
            None => Err(Refusal::NoToken),
            Some(token) => self.tokens.check(token, &entrance.schema.topic, self.clock.now()),
        }
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

    /// How long a sender has to wait before it may bring records to a topic, in milliseconds; nothing when it may now. A door asks before
    /// it reads a body; [`submit`](Self::submit) asks again.
    pub fn wait_ms(&self, topic: &str, credential: Option<&[u8]>, address: Option<IpAddr>) -> Option<u64> {
        self.rates.wait_ms(self.topics.get(topic)?.who(credential, address)?)
    }

    /// A topic that is taken here, by its name.
    ///
    /// # Errors
    /// `Invalid` for another name.
    pub(crate) fn topic(&self, name: &str) -> Result<Topic> {
        self.topics.get(name).map(|entrance| entrance.schema.topic.clone()).ok_or_else(|| refused(name, Refusal::UnknownTopic))
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

    /// Checks the records of one request, appends the good ones in one go, with the letters of the others or after them, and says what became of each: the outcome at
    /// an index belongs to the item at that index (promise C1). A record with an id that came before is stored again
    /// (promise C3); the loader counts it once.
    ///
    /// If the future is dropped while the queue is at work, the records may be stored without anybody having been told.
    ///
    /// # Errors
    /// `Invalid` for a topic that is not taken here, or not from this sender; `Closed` when the queue takes nothing any more: whether
    /// the good records are stored is then unknown (promise Q2).
    pub async fn submit(&self, topic: &str, items: Vec<Item>, sender: Sender) -> Result<Vec<Outcome>> {
        self.authorize(topic, sender.credential.as_deref()).map_err(|refusal| refused(topic, refusal))?;
        self.take(topic, items, sender, true).await
    }

    /// As [`submit`](Self::submit), from somebody who needs no token; what is rejected may be kept already.
    pub(crate) async fn take(&self, topic: &str, items: Vec<Item>, sender: Sender, keeps_rejected: bool) -> Result<Vec<Outcome>> {
        let entrance = self.topics.get(topic).ok_or_else(|| refused(topic, Refusal::UnknownTopic))?;
        let topic = &entrance.schema.topic;
        let count = items.len();
        self.counters.received(topic, count);
        let who = entrance.who(sender.credential.as_deref(), sender.address);
        let limited = who.and_then(|who| self.rates.wait_ms(who));
        let low = match self.headroom()? {
            Headroom::Low { retry_after_ms } => Some(retry_after_ms),
            Headroom::Enough => None,
        };
        if let Some(after_ms) = limited.max(low) {
            return Ok(self.tell(entrance, &sender.door, vec![Outcome::Retry { after_ms }; count]));
        }
        who.inspect(|who| self.rates.count(*who, count));
        let arrival = Arrival { received_at: self.clock.now(), sender };
        let checked = entrance.check_all(items, &arrival)?;
        let door = &arrival.sender.door;
        let (mut records, verdicts, rejected) = part(checked);
        let good = records.len();
        let rejected = if keeps_rejected { rejected } else { Vec::new() };
        let letters = self.letters.write(topic, arrival.received_at, door, &rejected);
        telemetry::letters(topic, door, letters.len(), rejected.len());
        if letters.len() < rejected.len() && !arrival.sender.is_told {
            self.letters.give_back(topic, letters::room_of(&letters));
            let after_ms = self.letters.wait_ms(topic, &rejected);
            return Ok(self.tell(entrance, door, vec![Outcome::Retry { after_ms }; count]));
        }
        let told = Told { counters: &self.counters, topic, door, records: good, answered: false };
        let room = letters::room_of(&letters);
        let (full, last) = letters::appends(letters);
        records.extend(last);
        let appended = self.append_all(topic, full, records).await?;
        if appended.is_err() {
            self.letters.give_back(topic, room);
        }
        let outcomes = match appended {
            // Nothing is stored, the rejections neither.
            Err(retry) if !arrival.sender.is_told => vec![retry; count],
            positions => join(verdicts, positions.map(|positions| first(positions, good))),
        };
        #[cfg(feature = "faults")]
        fail::fail_point!("door::stored");
        // C1: a forgotten index would look like a success to nobody, because it stops here.
        assert_eq!(outcomes.len(), count, "each index has exactly one outcome");
        told.answered();
        Ok(self.tell(entrance, door, outcomes))
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

    /// The good records come last: where a letter could not be appended, none of them is.
    async fn append_all(&self, topic: &Topic, letters: Vec<Vec<Record>>, records: Vec<Record>) -> Result<Result<Vec<Position>, Outcome>> {
        for letters in letters {
            if let Err(retry) = self.append(topic, letters).await? {
                return Ok(Err(retry));
            }
        }
        self.append(topic, records).await
    }

    /// Notes in the dead letters that rejected records of these ids were sent again and are stored.
    ///
    /// # Errors
    /// As [`submit`](Self::submit); they may be noted or not.
    pub(crate) async fn settle(&self, topic: &Topic, ids: &[(RecordId, String)]) -> Result<()> {
        let received_at = self.clock.now();
        let settled = |(id, message): &(RecordId, String)| {
            let letter = Letter { topic: topic.as_str().into(), tag: RETRIED.into(), message: message.as_str().into(), payload: "".into() };
            Record { topic: Topic::dead_letters(), id: *id, received_at, door: "retry".into(), payload: letter.to_payload() }
        };
        let (mut all, last) = letters::appends(ids.iter().map(settled).collect());
        all.push(last);
        for letters in all {
            if let Err(retry) = self.append(topic, letters).await? {
                return Err(Error::unavailable("the queue could not store").with("outcome", format_args!("{retry:?}")));
            }
        }
        Ok(())
    }

    fn tell(&self, entrance: &Entrance, door: &Door, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        self.counters.outcomes(&entrance.schema.topic, &entrance.counters.count(door, &outcomes));
        outcomes
    }
}

/// What all records of a request share.
struct Arrival {
    received_at: Timestamp,
    sender: Sender,
}

impl Entrance {
    /// Whose records count together: those with one token where one is needed, else those from one address.
    fn who(&self, credential: Option<&[u8]>, address: Option<IpAddr>) -> Option<Who> {
        match credential {
            Some(token) if self.needs_token => Some(Who::Token(tokens::hash(token))),
            _ => Who::of_address(address?),
        }
    }

    fn check_all(&self, items: Vec<Item>, arrival: &Arrival) -> Result<Vec<Result<Record, Rejected>>> {
        let mut ids = GivenIds::new(&items, arrival.received_at)?;
        Ok(items.into_iter().map(|item| self.check(item, arrival, &mut ids)).collect())
    }

    fn check(&self, item: Item, arrival: &Arrival, ids: &mut GivenIds) -> Result<Record, Rejected> {
        let item = item.map_err(|unreadable| Rejected { id: ids.next(), rejection: unreadable.rejection, sent: unreadable.sent })?;
        let (sent, id) = item.into_parts();
        let id = id.unwrap_or_else(|| ids.next());
        let mut draft = Draft {
            topic: self.schema.topic.clone(),
            id,
            received_at: arrival.received_at,
            door: arrival.sender.door.clone(),
            payload: sent.clone(),
            credential: arrival.sender.credential.clone(),
        };
        let checked = self.check_size(&sent).and_then(|()| self.validator.check(&mut draft));
        let checked = checked.and_then(|()| columns::check(&self.schema, self.json_schema.as_ref(), &draft.payload));
        checked.map_err(|rejection| Rejected { id, rejection, sent })?;
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

/// Ids for the records that came without one, or cannot be read: the time and 74 bits from the operating system.
struct GivenIds {
    received_at: Timestamp,
    random: Vec<[u8; 10]>,
}

impl GivenIds {
    fn new(items: &[Item], received_at: Timestamp) -> Result<Self> {
        let wanted = items.iter().filter(|item| item.as_ref().map_or(None, RawItem::id).is_none()).count();
        let mut random = vec![[0_u8; 10]; wanted];
        random::fill(random.as_flattened_mut())?;
        Ok(Self { received_at, random })
    }

    fn next(&mut self) -> RecordId {
        let random = self.random.pop().expect("there are as many as there are records without an id");
        RecordId::generate(self.received_at, random)
    }
}

/// Parts what goes to the queue from what is said of each index and from what is rejected; all keep the order.
fn part(checked: Vec<Result<Record, Rejected>>) -> (Vec<Record>, Vec<Result<(), Rejection>>, Vec<Rejected>) {
    let (mut records, mut rejected) = (Vec::with_capacity(checked.len()), Vec::new());
    let verdicts = checked.into_iter().map(|one| match one {
        Ok(record) => {
            records.push(record);
            Ok(())
        }
        Err(one) => {
            let rejection = one.rejection.clone();
            rejected.push(one);
            Err(rejection)
        }
    });
    let verdicts = verdicts.collect();
    (records, verdicts, rejected)
}

/// The letters stand behind the records, and nobody asks where.
fn first(mut positions: Vec<Position>, count: usize) -> Vec<Position> {
    positions.truncate(count);
    positions
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

fn refused(topic: &str, refusal: Refusal) -> Error {
    let shown: String = topic.chars().take(80).collect();
    Error::invalid(refusal.detail()).with("topic", format_args!("{shown:?}"))
}
