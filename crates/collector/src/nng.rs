//! The NNG door: a listener of its own for requests of the scalability protocols (Req/Rep), as NNG, nanomsg and pynng send them. `cli`
//! calls [`run`] where the settings name an address.
//!
//! greetings → message → `nng_message` (tags, fields, records) → `Ingest::submit` → the reply, behind the request's tags
//!
//! | file | what it holds |
//! |---|---|
//! | `nng` | connections: what comes, what is stored, what is told, how they end |
//! | `nng_address` | where the door listens |
//! | `nng_config` | its settings |
//! | `nng_message` | bytes → messages and what a request says; replies → bytes |
//!
//! Each request gets one reply, once each of its records is on stable storage or is not going to be (promises Q1, C1). A reply finds its
//! request by its tags: many may be in flight on a connection, and none waits for another. So there is no order among them, and who
//! wants one waits for the reply.
//!
//! | reply | when |
//! |---|---|
//! | `{"durability":"fsync","outcomes":[…]}` | every record of the request has an outcome: runs as in the HTTP door's response |
//! | `{"code":"…","detail":"…"}` | nothing of the request was stored (with `closed` it may have been), perhaps with `retry_after_ms` |
//!
//! A requester whose connection ends sends its request again as soon as it has another one. So what can be told is told, also of a
//! message that is too large, of which nothing is kept; closing would only bring it back. The connection ends where nobody can be told:
//! at what is no request, and at shutdown, after what is in flight has its replies.
//!
//! Spoken without NNG's library: `docs/adr/nng-without-its-library.md`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::http::StatusCode;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use queue::Headroom;
use record::{Error, Outcome, Result};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    buffered::{Buffered, Unread},
    http,
    ingest::{Ingest, Sender},
    limits::{BodyError, Budget},
    listener::{self, Bounds},
    nng_address::Socket,
    nng_message::{self, Framing, GREETING, GREETING_BYTES, Head, NoRequest, Request},
    problem::Problem,
    telemetry,
    wire::{self, Form, Item},
};
pub use crate::{
    nng_address::{Address, Listening},
    nng_config::Config,
};

/// The name of the door, in records and metrics.
const DOOR: &str = "nng";

/// What all connections share.
struct Door {
    ingest: Arc<Ingest>,
    config: Config,
    /// The largest payload.
    payload_bytes_max: usize,
    budget: Budget,
}

/// Whether the topic of requests that name none is taken here, so that a server need not be started to find out.
///
/// # Errors
/// `Invalid` when it is not.
pub fn check_topic(ingest: &Ingest, topic: &str) -> Result<()> {
    let known = || ingest.topics().collect::<Vec<_>>().join(", ");
    let unknown = || Error::invalid("doors.nng.topic is not taken here").with("topic", topic).with("there are", known());
    ingest.caps(topic).map(drop).ok_or_else(unknown)
}

/// Serves requests until `shutdown`; then takes no more connections, replies to what is in flight, and returns.
///
/// # Errors
/// `Invalid` for a topic that is not taken here, or for bounds that let nothing through.
pub async fn run(listening: Listening, ingest: Arc<Ingest>, config: Config, shutdown: CancellationToken) -> Result<()> {
    let Config { connections_max, listeners, shutdown_timeout_ms, .. } = config;
    if connections_max == Some(0) || listeners == 0 || config.in_flight_requests_max == 0 || config.in_flight_records_max == 0 {
        return Err(Error::invalid("connections, listeners, and requests and records in flight must be at least 1"));
    }
    check_topic(&ingest, &config.topic)?;
    let payload_bytes_max = ingest.caps(&config.topic).map_or(0, |caps| caps.body_bytes_max);
    let budget = Budget::new(config.messages_bytes_max);
    let door = Arc::new(Door { ingest, config, payload_bytes_max, budget });
    let bounds = Bounds { door: DOOR, connections_max, listeners, shutdown_timeout_ms };
    match listening.socket {
        Socket::Tcp(socket) => {
            listener::run(socket, bounds, shutdown, |stream, address, shutdown| {
                Arc::clone(&door).serve(stream, address, Framing::Tcp, shutdown)
            })
            .await
        }
        // The file goes when all have ended.
        Socket::Ipc(socket, _file) => {
            listener::run(socket, bounds, shutdown, |stream, address, shutdown| {
                Arc::clone(&door).serve(stream, address, Framing::Ipc, shutdown)
            })
            .await
        }
    }
    Ok(())
}

impl Door {
    /// One connection, over whatever carries its bytes.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(
        self: Arc<Self>,
        stream: S,
        address: Option<IpAddr>,
        framing: Framing,
        shutdown: CancellationToken,
    ) {
        let _open = telemetry::Open::new("crowdread_nng_connections");
        let mut stream = Buffered::new(stream, self.budget.clone());
        let in_time = Duration::from_millis(self.config.greeting_timeout_ms);
        let greeting = timeout(in_time, greet(&mut stream, in_time));
        let greeted = tokio::select! {
            greeted = greeting => greeted.unwrap_or(Err(End::Close("silent", "no greeting came in time"))),
            () = shutdown.cancelled() => return,
        };
        match greeted {
            Ok(()) => Conversation::new(self, stream, address, framing).run(&shutdown).await,
            Err(end) => end.count(),
        }
    }

    /// What a request asks for: the topic, who asks, and the records.
    fn read(&self, payload: &Bytes, address: Option<IpAddr>) -> Result<(String, Vec<Item>, Sender), Problem> {
        let Request { topic, credential, body } =
            Request::read(payload).map_err(|what| Problem::new(StatusCode::BAD_REQUEST, "bad_field", what))?;
        let topic = topic.unwrap_or_else(|| self.config.topic.clone());
        let caps = self.ingest.caps(&topic).ok_or_else(|| http::unknown_topic(&self.ingest, &topic))?;
        self.ingest.authorize(&topic, credential.as_deref()).map_err(http::unauthorized)?;
        // Before anything is made of its records (promise C2).
        if let Some(wait_ms) = self.ingest.wait_ms(&topic, credential.as_deref(), address) {
            return Err(http::too_many_records_a_second(wait_ms));
        }
        if let Headroom::Low { retry_after_ms } = self.ingest.headroom().map_err(|error| Problem::from(&error))? {
            return Err(http::headroom_low(retry_after_ms));
        }
        let items = http::items(&body, Form::Unsaid, &caps)?;
        Ok((topic, items, Sender { door: DOOR.into(), credential, address, is_told: true }))
    }
}

/// Both sides greet at once (TCP mapping, section 2); whoever speaks another protocol is not listened to.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Buffered<S>, in_time: Duration) -> Result<(), End> {
    stream.out.extend_from_slice(&GREETING);
    stream.flush(in_time).await.map_err(|_| End::Gone)?;
    loop {
        match nng_message::greeted(stream.bytes()) {
            Some(true) => {
                stream.taken(GREETING_BYTES);
                return Ok(());
            }
            Some(false) => stream.read().await?,
            None => return Err(End::Close("greeting", "the peer is no requester of the scalability protocols")),
        }
    }
}

/// How a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer is gone, or has said all.
    Gone,
    Shutdown,
    /// We close it: a word for programs, and a sentence for people. The protocol has no words for it.
    Close(&'static str, &'static str),
}

impl End {
    fn count(self) {
        match self {
            Self::Gone => {}
            Self::Shutdown => telemetry::closed(DOOR, "shutdown", "every request that was taken has its reply"),
            Self::Close(code, reason) => telemetry::closed(DOOR, code, reason),
        }
    }
}

impl From<Unread> for End {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Gone => Self::Gone,
            Unread::NoRoom => Self::Close("no_room", "no room for what it sends"),
        }
    }
}

impl From<NoRequest> for End {
    fn from(_: NoRequest) -> Self {
        Self::Close("malformed", "a message is no request")
    }
}

/// A request and what became of it.
struct Answered {
    tags: Box<[u8]>,
    bytes: usize,
    records: usize,
    outcomes: Result<Vec<Outcome>, Problem>,
}

/// A reply to a request of which nothing was stored.
#[derive(Serialize)]
struct Refused<'a> {
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

struct Conversation<S> {
    door: Arc<Door>,
    stream: Buffered<S>,
    address: Option<IpAddr>,
    framing: Framing,
    flight: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// How many records are in flight.
    records: usize,
    /// How much of a message that is not kept is still to come, in bytes.
    dropping_bytes: u64,
    /// When a whole message came last.
    heard: Instant,
    /// Since when a message has been on its way.
    began: Option<Instant>,
    /// Whole messages may be here that were not taken, as too many replies waited.
    has_more: bool,
}

// What is read.
impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    fn new(door: Arc<Door>, stream: Buffered<S>, address: Option<IpAddr>, framing: Framing) -> Self {
        let flight = FuturesUnordered::new();
        Self { door, stream, address, framing, flight, records: 0, dropping_bytes: 0, heard: Instant::now(), began: None, has_more: false }
    }

    async fn run(mut self, shutdown: &CancellationToken) {
        let end = self.converse(shutdown).await;
        end.count();
        let Config { close_timeout_ms, drain_bytes_max, .. } = self.door.config;
        self.stream.close(Duration::from_millis(close_timeout_ms), drain_bytes_max).await;
    }

    async fn converse(&mut self, shutdown: &CancellationToken) -> End {
        let mut shutdown = std::pin::pin!(shutdown.cancelled());
        let mut look = std::pin::pin!(sleep(self.look_interval()));
        // Nothing is taken any more, and what is in flight is still stored and told.
        let mut ending: Option<End> = None;
        loop {
            if ending.is_none() {
                ending = self.take().err();
            }
            if let Err(end) = self.flush().await {
                return end;
            }
            if ending.is_none() && std::mem::take(&mut self.has_more) {
                continue;
            }
            if let Some(end) = ending.filter(|_| self.flight.is_empty()) {
                return end;
            }
            let reads = ending.is_none() && !self.is_full();
            let step = tokio::select! {
                biased;
                Some(answered) = self.flight.next(), if !self.flight.is_empty() => {
                    self.tell_ready(answered);
                    Ok(())
                }
                () = shutdown.as_mut(), if ending.is_none() => Err(End::Shutdown),
                read = self.stream.read(), if reads => match read {
                    Err(Unread::NoRoom) => self.make_room(),
                    read => read.map_err(End::from),
                },
                () = look.as_mut() => {
                    look.as_mut().reset(Instant::now() + self.look_interval());
                    self.look(reads)
                }
            };
            ending = ending.or(step.err());
        }
    }

    fn is_full(&self) -> bool {
        let config = &self.door.config;
        self.flight.len() >= config.in_flight_requests_max || self.records >= config.in_flight_records_max
    }

    /// Takes the whole messages that were read.
    fn take(&mut self) -> Result<(), End> {
        let now = Instant::now();
        while !self.is_full() && self.drop_rest() {
            if self.stream.out.len() >= REPLIES_BYTES {
                self.has_more = true;
                break;
            }
            let Some(head) = Head::read(self.stream.bytes(), self.framing)? else { break };
            if head.payload_bytes > self.door.payload_bytes_max as u64 || head.tags.is_none() {
                self.refuse_large(&head)?;
            } else {
                let whole = head.head_bytes + usize::try_from(head.payload_bytes).map_err(|_| NoRequest)?;
                let Some(message) = self.stream.bytes().get(..whole) else { break };
                // A copy, or a short record would hold the buffer of a long one.
                let payload = Bytes::copy_from_slice(&message[head.head_bytes..]);
                self.stream.taken(whole);
                self.submit(head.tags.unwrap_or_default(), payload);
            }
            (self.heard, self.began) = (now, None);
        }
        let is_under_way = self.stream.has_part() || self.dropping_bytes > 0;
        self.began = is_under_way.then(|| self.began.unwrap_or(now));
        Ok(self.stream.take_room()?)
    }

    /// Drops what is there of a message that is not kept; whether nothing of it is to come any more.
    fn drop_rest(&mut self) -> bool {
        if self.dropping_bytes == 0 {
            return true;
        }
        let here = self.stream.bytes().len();
        let dropped = usize::try_from(self.dropping_bytes).map_or(here, |rest| rest.min(here));
        self.stream.taken(dropped);
        self.dropping_bytes -= dropped as u64;
        if self.dropping_bytes == 0 {
            (self.heard, self.began) = (Instant::now(), None);
        }
        self.dropping_bytes == 0
    }

    fn refuse_large(&mut self, head: &Head) -> Result<(), End> {
        self.dropping_bytes = head.message_bytes();
        match &head.tags {
            Some(tags) => {
                let problem = http::body_problem(BodyError::TooLarge, self.door.payload_bytes_max);
                self.tell(tags, &Err(problem));
            }
            // It may have gone through too many devices by their fault, and the next one may not (as NNG has it).
            None => telemetry::message_refused(DOOR, "hops", "the request has gone through too many devices; nobody is told"),
        }
        if self.dropping_bytes <= self.door.config.drain_bytes_max {
            return Ok(());
        }
        Err(End::Close("body_too_large", "a message is longer than what is read and dropped"))
    }

    /// There is no room for what was read: of the messages that it belongs to, nothing is kept (promise C2).
    fn make_room(&mut self) -> Result<(), End> {
        while let Err(unread) = self.stream.take_room() {
            if self.stream.bytes().is_empty() {
                return Err(unread.into());
            }
            if self.drop_rest() {
                let head = Head::read(self.stream.bytes(), self.framing)?.ok_or(unread)?;
                self.dropping_bytes = head.message_bytes();
                if let Some(tags) = &head.tags {
                    self.tell(tags, &Err(http::headroom_low(NO_ROOM_RETRY_MS)));
                }
            }
        }
        Ok(())
    }

    fn submit(&mut self, tags: Box<[u8]>, payload: Bytes) {
        let (topic, items, sender) = match self.door.read(&payload, self.address) {
            Ok(asked) => asked,
            Err(problem) => return self.tell(&tags, &Err(problem)),
        };
        let (bytes, records, ingest) = (payload.len(), items.len(), Arc::clone(&self.door.ingest));
        self.records += records;
        self.stream.in_flight_bytes += bytes;
        let answering = async move {
            let outcomes = ingest.submit(&topic, items, sender).await.map_err(|error| Problem::from(&error));
            Answered { tags, bytes, records, outcomes }
        };
        self.flight.push(answering.boxed());
    }
}

/// Once so many bytes of replies wait, they are written before more is taken.
const REPLIES_BYTES: usize = 64 * 1024;

/// How long a requester is told to wait when its message found no room in memory, in milliseconds.
const NO_ROOM_RETRY_MS: u64 = 1_000;

// What is told.
impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// Writes a reply, and those that are ready behind it.
    fn tell_ready(&mut self, first: Answered) {
        let mut next = Some(first);
        while let Some(Answered { tags, bytes, records, outcomes }) = next {
            self.records -= records;
            self.stream.in_flight_bytes -= bytes;
            self.tell(&tags, &outcomes);
            if self.stream.out.len() >= REPLIES_BYTES {
                break;
            }
            next = self.flight.next().now_or_never().flatten();
        }
    }

    fn tell(&mut self, tags: &[u8], outcomes: &Result<Vec<Outcome>, Problem>) {
        let text = match outcomes {
            Ok(outcomes) => serde_json::to_vec(&wire::Response::new(self.door.ingest.durability(), outcomes)),
            Err(problem) => {
                telemetry::message_refused(DOOR, problem.code(), problem.detail());
                let (code, detail) = (problem.code(), problem.detail());
                serde_json::to_vec(&Refused { code, detail, retry_after_ms: problem.wait_ms() })
            }
        };
        let text = text.expect("strings and numbers can be written as JSON");
        nng_message::reply(&mut self.stream.out, self.framing, tags, &text);
    }

    /// Writes the replies. Where the peer does not take them, what is in flight may be stored or not, and is counted as unanswered.
    async fn flush(&mut self) -> Result<(), End> {
        let in_time = Duration::from_millis(self.door.config.answer_timeout_ms);
        let too_slow = End::Close("too_slow", "the replies were not read in time");
        self.stream.flush(in_time).await.map_err(|error| if error.kind() == std::io::ErrorKind::TimedOut { too_slow } else { End::Gone })
    }
}

// Looking after a peer that says nothing.
impl<S> Conversation<S> {
    /// One timer for all, which is not set anew with every message: a time-out is noticed late by at most its own length.
    fn look_interval(&self) -> Duration {
        let config = &self.door.config;
        Duration::from_millis(config.message_timeout_ms.min(config.idle_timeout_ms).max(1))
    }

    fn look(&mut self, reads: bool) -> Result<(), End> {
        let (config, now) = (&self.door.config, Instant::now());
        let reached = |since: Instant, ms| now.duration_since(since) >= Duration::from_millis(ms);
        // Nobody was reading, or it is for us to say something: the peer is not to blame for the time that went by.
        if !reads {
            self.began = self.began.map(|_| now);
        }
        if !reads || !self.flight.is_empty() {
            self.heard = now;
        }
        match self.began {
            Some(began) if reached(began, config.message_timeout_ms) => {
                Err(End::Close("body_too_slow", "a message did not arrive in time"))
            }
            None if reached(self.heard, config.idle_timeout_ms) => Err(End::Close("silent", "no message came for a long time")),
            _ => Ok(()),
        }
    }
}
