//! A sender: makes requests, loses replies, sends again what it was not told of, and tells the oracle what it was told. It waits for one request before it
//! begins the next, so that its records have an order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use collector::{
    Ingest,
    ingest::Sender,
    wire::{self, Form},
};
use queue::Headroom;
use rand::{Rng, rngs::SmallRng};
use record::{Clock, Error, Outcome, RecordId, Topic};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{TURNS, Turn, VirtualClock},
    oracle::{Key, Oracle},
    process::{EVENTS_BYTES_MAX, points},
    trace::{Class, Trace},
};

/// A client has had enough after so many requests.
const REQUESTS_MAX: u64 = 60;
/// How long a client waits for a reply, in milliseconds.
const PATIENCE_MS: u64 = 8_000;
/// The longest wait between two tries, in milliseconds.
const BACKOFF_MS_MAX: u64 = 60_000;

/// Where the server is reached, while there is one.
#[derive(Clone, Default)]
pub struct Address(Arc<Mutex<Option<Arc<Ingest>>>>);

impl Address {
    /// A server came, or went.
    pub fn set(&self, ingest: Option<Arc<Ingest>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ingest;
    }

    fn get(&self) -> Option<Arc<Ingest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What all clients of a run share.
#[derive(Clone)]
pub struct Parts {
    /// The server.
    pub address: Address,
    /// The books.
    pub oracle: Oracle,
    /// The time.
    pub clock: Arc<VirtualClock>,
    /// The notes.
    pub trace: Trace,
    /// Ends the clients, each after the request that it has begun.
    pub stop: CancellationToken,
}

/// One client.
pub struct Client {
    parts: Parts,
    number: usize,
    random: SmallRng,
    next: u64,
    /// What it knows to be stored: whose ids it may use again.
    stored: Vec<(Key, String)>,
}

/// One record of a request.
#[derive(Clone)]
struct Piece {
    text: String,
    what: What,
}

#[derive(Clone)]
enum What {
    Good(Key),
    /// With the mark by which it is known.
    Bad(String),
}

struct Request {
    topic: Topic,
    pieces: Vec<Piece>,
    is_told: bool,
    is_array: bool,
}

impl Client {
    /// A client that has sent nothing.
    pub fn new(parts: Parts, number: usize, random: SmallRng) -> Self {
        Self { parts, number, random, next: 0, stored: Vec::new() }
    }

    /// Sends until it is told to stop, or has had enough.
    pub async fn run(mut self) {
        for number in 0..REQUESTS_MAX {
            self.pause(20, 1_000).await;
            if self.parts.stop.is_cancelled() {
                return;
            }
            let request = self.make();
            self.deliver(number, request).await;
        }
    }

    /// Sends one plain record, and comes back once it is acknowledged.
    pub async fn send_one(&mut self) {
        let piece = self.good(&Topic::events(), 10);
        let request = Request { topic: Topic::events(), pieces: vec![piece], is_told: true, is_array: false };
        self.deliver(u64::MAX, request).await;
    }

    async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let wait = self.random.random_range(from_ms / TURNS..=to_ms / TURNS) * TURNS;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        self.parts.clock.until(Turn::World).await;
    }

    fn make(&mut self) -> Request {
        let topic = if self.random.random_range(0..3_u8) == 0 { points().topic } else { Topic::events() };
        let mut pieces = Vec::new();
        for _ in 0..self.random.random_range(1..8_u8) {
            let piece = match self.random.random_range(0..40_u8) {
                0..4 => self.bad(&topic),
                4 => self.big(&topic),
                5..7 => self.reused(&topic),
                _ => {
                    let pad = self.random.random_range(0..600);
                    self.good(&topic, pad)
                }
            };
            let is_twice = matches!(piece.what, What::Good(_)) && self.random.random_range(0..40_u8) == 0;
            pieces.push(piece.clone());
            if is_twice {
                self.parts.trace.fired(Class::SentTwiceInOneRequest);
                pieces.push(piece);
            }
        }
        // After a piece that is no JSON nobody knows where the next one of an array begins.
        let is_array = self.random.random_range(0..3_u8) == 0 && pieces.iter().all(|piece| matches!(piece.what, What::Good(_)));
        Request { topic, pieces, is_told: self.random.random_range(0..4_u8) > 0, is_array }
    }

    fn good(&mut self, topic: &Topic, pad: usize) -> Piece {
        let id = RecordId::generate(self.parts.clock.now(), self.random.random());
        self.piece((topic.clone(), id), pad)
    }

    fn piece(&mut self, key: Key, pad: usize) -> Piece {
        let (client, seq) = (self.number, self.next);
        self.next += 1;
        let n = client as u64 * 1_000_000 + seq;
        let text = match key.0 == Topic::events() {
            true => format!(r#"{{"record_id":"{}","n":{n},"pad":"{}"}}"#, key.1, "x".repeat(pad)),
            false => format!(r#"{{"record_id":"{}","n":{n}}}"#, key.1),
        };
        self.parts.oracle.issue(&key, &text, (client, seq));
        Piece { text, what: What::Good(key) }
    }

    fn reused(&mut self, topic: &Topic) -> Piece {
        let of_topic: Vec<&(Key, String)> = self.stored.iter().filter(|(key, _)| key.0 == *topic).collect();
        if of_topic.is_empty() {
            return self.good(topic, 50);
        }
        let key = of_topic[self.random.random_range(0..of_topic.len())].0.clone();
        self.parts.trace.fired(Class::IdReused);
        self.piece(key, 20)
    }

    fn bad(&mut self, topic: &Topic) -> Piece {
        let mark = self.mark();
        self.parts.trace.fired(Class::BadRecord);
        let text = match self.random.random_range(0..4_u8) {
            0 => format!(r#"{{"mark":"{mark}","n":"#),
            1 => format!(r#"{{"record_id":"no id","mark":"{mark}"}}"#),
            2 => format!(r#""{mark}""#),
            _ if *topic == Topic::events() => format!(r#"{{"mark":"{mark}","n":1,}}"#),
            _ => format!(r#"{{"mark":"{mark}","n":"many"}}"#),
        };
        Piece { text, what: What::Bad(mark) }
    }

    /// As large as its topic takes, or larger.
    fn big(&mut self, topic: &Topic) -> Piece {
        self.parts.trace.fired(Class::BigRecord);
        if *topic == Topic::events() && self.random.random_range(0..2_u8) == 0 {
            return self.good(topic, EVENTS_BYTES_MAX - 200);
        }
        let mark = self.mark();
        let text = format!(r#"{{"mark":"{mark}","n":1,"pad":"{}"}}"#, "y".repeat(EVENTS_BYTES_MAX));
        Piece { text, what: What::Bad(mark) }
    }

    fn mark(&mut self) -> String {
        self.next += 1;
        let mark = format!("mark-{}-{}.", self.number, self.next);
        self.parts.oracle.issue_bad(&mark);
        mark
    }

    /// Sends a request until each of its records is stored or refused.
    async fn deliver(&mut self, number: u64, mut request: Request) {
        let mut attempt = 0_u32;
        while !request.pieces.is_empty() {
            if attempt > 0 {
                let longest = (100_u64 << attempt.min(10)).min(BACKOFF_MS_MAX);
                self.pause(longest / 2, longest).await;
            }
            attempt += 1;
            let Some(ingest) = self.parts.address.get() else { continue };
            if attempt > 1 {
                self.parts.trace.fired(Class::SentAgain);
            }
            let reply = self.ask(&ingest, &request).await;
            drop(ingest);
            let client = self.number;
            match reply {
                None => self.parts.trace.fired(Class::Unacknowledged),
                Some(Err(error)) => {
                    self.parts.trace.note(format_args!("client {client}: request {number}: {:?}", error.kind()));
                    self.parts.trace.fired(Class::Unacknowledged);
                }
                Some(Ok(_)) if self.random.random_range(0..12_u8) == 0 => self.parts.trace.fired(Class::ReplyLost),
                Some(Ok(outcomes)) => {
                    let left = self.hear(number, &request, &outcomes);
                    let is_patient = self.random.random_range(0..2_u8) == 0;
                    if left.is_empty() || is_patient {
                        request.pieces = left;
                        // An array of what was refused would be another request.
                    }
                }
            }
        }
    }

    async fn ask(&mut self, ingest: &Ingest, request: &Request) -> Option<Result<Vec<Outcome>, Error>> {
        let texts: Vec<&str> = request.pieces.iter().map(|piece| piece.text.as_str()).collect();
        let (body, form) = match request.is_array {
            true => (format!("[{}]", texts.join(", ")), Form::Json),
            false => (texts.join("\n"), Form::Lines),
        };
        let caps = ingest.caps(request.topic.as_str()).expect("the topic is one of ours");
        let items = match wire::split(&Bytes::from(body), form, &caps) {
            Ok(items) => items,
            Err(error) => return Some(Err(error)),
        };
        let door = if request.is_told { "http" } else { "beacon" };
        let sender = Sender { door: door.into(), credential: None, address: None, is_told: request.is_told };
        let is_low = matches!(ingest.headroom(), Ok(Headroom::Low { .. }));
        let told = tokio::select! {
            biased;
            told = ingest.submit(request.topic.as_str(), items, sender) => Some(told),
            () = tokio::time::sleep(Duration::from_millis(PATIENCE_MS)) => None,
        };
        if is_low && matches!(&told, Some(Ok(outcomes)) if outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Retry { .. }))) {
            self.parts.oracle.wrong("C2: records were taken while the queue had no room".to_owned());
        }
        told
    }

    /// Tells the oracle; what is to be sent again.
    fn hear(&mut self, number: u64, request: &Request, outcomes: &[Outcome]) -> Vec<Piece> {
        let (client, oracle, trace) = (self.number, &self.parts.oracle, &self.parts.trace);
        if outcomes.len() != request.pieces.len() {
            oracle.wrong(format!("C1: {} outcomes for {} records", outcomes.len(), request.pieces.len()));
            return Vec::new();
        }
        let any_stored = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stored(_)));
        let mut left = Vec::new();
        let (mut stored, mut refused) = (0, 0);
        for (piece, outcome) in request.pieces.iter().zip(outcomes) {
            match (&piece.what, outcome) {
                (_, Outcome::Retry { .. }) => left.push(piece.clone()),
                (What::Good(key), Outcome::Stored(position)) => {
                    stored += 1;
                    oracle.acknowledge(key, &piece.text, position.clone());
                    self.stored.push((key.clone(), piece.text.clone()));
                }
                (What::Good(key), Outcome::Rejected(rejection)) => {
                    oracle.wrong(format!("C1: {} is well and was refused: {}", key.1, rejection.message));
                }
                (What::Bad(mark), Outcome::Stored(_)) => oracle.wrong(format!("C1: {mark} is bad and was stored")),
                (What::Bad(mark), Outcome::Rejected(_)) => {
                    refused += 1;
                    // Who is told has the rejection; that it is kept as well is known when the append went through, or is what was said.
                    if !request.is_told || any_stored {
                        oracle.refuse(mark);
                    }
                }
            }
        }
        if !left.is_empty() {
            trace.fired(Class::ToldToComeBack);
        }
        trace.note(format_args!("client {client}: request {number}: {stored} stored, {refused} refused, {} to come again", left.len()));
        left
    }
}
