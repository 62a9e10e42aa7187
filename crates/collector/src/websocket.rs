//! The WebSocket door: `GET /v1/stream/{topic}` (RFC 6455). `cli` merges its [`router`] with the other doors'.
//!
//! upgrade: topic known? credential? same origin? → message → `wire::split` → `Ingest::submit` → the message's answer
//!
//! A message, text or binary, is what a body is to the HTTP door: a JSON object, an array of objects, or an object a line. Messages are
//! counted from 0; each gets one answer, in their order, which names it (`seq`). Many may be on their way at a time.
//!
//! | answer | when |
//! |---|---|
//! | `{"seq":0,"durability":"fsync","outcomes":[…]}` | every record of the message has an outcome: runs as in the HTTP door's response |
//! | `{"seq":1,"code":"…","detail":"…"}` | nothing of the message was stored (`no_record`, `too_many_records`, `unavailable`) |
//!
//! | close code | when; nothing is known of a message that has no answer (promise C1) |
//! |---|---|
//! | 1001 | the server shuts down; what was on its way has its answers |
//! | 1002, 1007 | the sender breaks the protocol; text is not UTF-8 |
//! | 1008 | the sender is too slow with a message, with reading its answers, or does not answer a ping; its token does not let it write any more |
//! | 1009 | the message is over the cap |
//! | 1011 | the queue is closed (promise Q2) |
//! | 1013 | there is no room for the message now |
//!
//! Nothing that a browser sends by itself lets anybody in: a credential is an `Authorization: Bearer`, or, as browsers cannot set
//! that, an entry `bearer.<token>` in the list of subprotocols; never a cookie, never the address. All the same, a page of another
//! origin is refused.
//!
//! Memory: a buffer of [`BUFFER_BYTES`] each way, what a connection's largest message takes beyond it (all together bounded), and the
//! answers of a bounded number of messages. A sender who does not read is not read from either, and is cut off after a while.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use record::{ErrorKind, Outcome};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        handshake::server::create_response_with_body,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use crate::{
    handshake::{Offer, SUBPROTOCOL, same_origin},
    http,
    ingest::{Ingest, Sender},
    limits::{Budget, Caps},
    metered::{Metered, Room},
    problem::Problem,
    server::Connection,
    telemetry,
    wire::{self, Form, StreamOutcomes, StreamRefusal},
};

/// The name of the door, in records and metrics.
const DOOR: &str = "websocket";
/// Why a connection is closed whose token was revoked, or has expired.
const UNAUTHORIZED: &str = "unknown_token: the write token was revoked or has expired; nothing of this message was stored";

/// The size of a connection's buffer for reading, and of the pieces in which answers are written.
pub const BUFFER_BYTES: usize = 4 * 1024;

/// Settings of the door. Those of the connections are in [`server::Config`](crate::server::Config).
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The memory for the messages of all connections together, beyond the connections' buffers, in bytes.
    pub messages_bytes_max: usize,
    /// The time a message may take from its first byte to its last, in milliseconds.
    pub message_timeout_ms: u64,
    /// How many messages of a connection may wait for their answers; then it is not read from.
    pub in_flight_messages_max: usize,
    /// The same for their records. A message that has begun is read to its end.
    pub in_flight_records_max: usize,
    /// How long a peer may take to read its answers, in milliseconds; less than the connection's `write_timeout_ms`, to say why it is closed.
    pub answer_timeout_ms: u64,
    /// After how long a silence a peer is pinged, in milliseconds.
    pub ping_interval_ms: u64,
    /// How long it may take to answer, in milliseconds.
    pub pong_timeout_ms: u64,
    /// How long a peer may take to close its side, in milliseconds.
    pub close_timeout_ms: u64,
    /// How much of what it is still sending is read and dropped until then, so that it can read why it was closed, in bytes.
    pub drain_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            messages_bytes_max: 256 * 1024 * 1024,
            message_timeout_ms: 30_000,
            in_flight_messages_max: 64,
            in_flight_records_max: 10_000,
            answer_timeout_ms: 20_000,
            ping_interval_ms: 30_000,
            pong_timeout_ms: 30_000,
            close_timeout_ms: 5_000,
            drain_bytes_max: 8 * 1024 * 1024,
        }
    }
}

#[derive(Clone)]
struct Shared {
    ingest: Arc<Ingest>,
    budget: Budget,
    config: Config,
}

/// The door's route.
pub fn router(ingest: Arc<Ingest>, config: Config) -> Router {
    let shared = Shared { ingest, budget: Budget::new(config.messages_bytes_max), config };
    Router::new().route("/v1/stream/{topic}", get(stream)).with_state(shared)
}

async fn stream(State(shared): State<Shared>, topic: Result<Path<String>, PathRejection>, request: Request) -> Response {
    shared.upgrade(&http::topic_of(topic), request).unwrap_or_else(|problem| {
        telemetry::refused(DOOR, problem.status().as_u16(), problem.detail());
        let mut response = problem.response(&[]);
        if problem.status() == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110 section 15.5.22, RFC 6455 section 4.4.
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    })
}

impl Shared {
    /// Everything that can refuse a connection before its first message. Low headroom does not: it passes, and each message is told.
    fn upgrade(self, topic: &str, mut request: Request) -> Result<Response, Problem> {
        let caps = self.ingest.caps(topic).ok_or_else(|| http::unknown_topic(&self.ingest, topic))?;
        let accepted = create_response_with_body(&request, Body::empty);
        let mut response = accepted.map_err(|error| Problem::new(StatusCode::UPGRADE_REQUIRED, "not_websocket", error.to_string()))?;
        same_origin(request.headers())?;
        let offer = Offer::of(request.headers())?;
        self.ingest.authorize(topic, offer.credential.as_deref()).map_err(http::unauthorized)?;
        self.ingest.headroom().map_err(|error| Problem::from(&error))?;
        if offer.ours {
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        let none = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server does not pass its connections on");
        let connection = request.extensions_mut().remove::<Connection>().ok_or_else(none)?;
        let sender = Sender { door: DOOR.into(), credential: offer.credential, address: connection.address(), is_told: true };
        let topic = Topic { name: topic.into(), caps, sender };
        tokio::spawn(self.serve(topic, hyper::upgrade::on(request), connection));
        Ok(response)
    }

    async fn serve(self, topic: Topic, upgrade: OnUpgrade, connection: Connection) {
        // Without an upgrade the peer is gone.
        let Ok(upgraded) = upgrade.await else { return };
        let budget = self.budget.clone();
        let stream = Metered::new(TokioIo::new(upgraded), budget, BUFFER_BYTES);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(protocol(&topic.caps))).await;
        let _open = telemetry::Open::new("crowdread_websocket_connections");
        let mut conversation =
            Conversation { shared: self, topic, socket, flight: FuturesOrdered::new(), records: 0, next_seq: 0, pinged: None };
        let all = async {
            let end = conversation.run(&connection).await;
            conversation.close(end).await;
        };
        tokio::select! {
            () = all => {}
            () = connection.overdue() => connection.cut_off(),
        }
    }
}

fn protocol(caps: &Caps) -> WebSocketConfig {
    let max = Some(caps.body_bytes_max);
    WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES).max_message_size(max).max_frame_size(max)
}

/// What a connection is for.
#[derive(Clone)]
struct Topic {
    name: Arc<str>,
    caps: Caps,
    sender: Sender,
}

/// A message and what became of it.
struct Answered {
    seq: u64,
    records: usize,
    told: Told,
    /// Free again once the answer is under way.
    _room: Option<Room>,
}

/// What is told of a message.
enum Told {
    Outcomes(Vec<Outcome>),
    /// Nothing of it was stored; the next one may be.
    Refused {
        code: &'static str,
        detail: String,
        retry_after_ms: Option<u64>,
    },
    /// Nothing is known of it, and nothing will be of what follows.
    Ended(End),
}

impl Told {
    fn of(submitted: record::Result<Vec<Outcome>>) -> Self {
        match submitted {
            Ok(outcomes) => Self::Outcomes(outcomes),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                Self::Refused { code: error.kind().as_str(), detail: error.public_detail(), retry_after_ms: Some(1_000) }
            }
            // Q2
            Err(error) if error.kind() == ErrorKind::Closed => Self::Ended(End::Close(
                CloseCode::Error,
                "closed: the queue takes no records any more; a message without an answer may be stored or not",
            )),
            Err(_) => Self::Ended(End::Close(CloseCode::Error, "internal: a message without an answer may be stored or not")),
        }
    }
}

/// How a conversation ends.
#[derive(Clone, Copy)]
enum End {
    /// The peer is gone, or has said that it goes: nothing can be told any more.
    Gone,
    /// We close it: a code, and a word for programs with a sentence for people, at most 123 bytes (RFC 6455 section 5.5).
    Close(CloseCode, &'static str),
}

struct Conversation {
    shared: Shared,
    topic: Topic,
    socket: WebSocketStream<Metered<TokioIo<Upgraded>>>,
    /// In the messages' order, which is also that of their appends: each is begun before the next message is read.
    flight: FuturesOrdered<BoxFuture<'static, Answered>>,
    /// How many records are in flight.
    records: usize,
    next_seq: u64,
    pinged: Option<Instant>,
}

// What is read.
impl Conversation {
    async fn run(&mut self, connection: &Connection) -> End {
        let mut shutdown = std::pin::pin!(connection.shutdown().cancelled());
        let mut look = std::pin::pin!(sleep(self.look_interval()));
        // Nothing is read any more, and what is in flight still gets its answers.
        let mut ending: Option<End> = None;
        loop {
            if let Some(end) = ending.filter(|_| self.flight.is_empty()) {
                return end;
            }
            let reads = ending.is_none() && !self.is_full();
            let done = tokio::select! {
                biased;
                Some(answered) = self.flight.next(), if !self.flight.is_empty() => match self.tell_ready(answered).await {
                    Ok(()) => Ok(()),
                    Err(end) => return end,
                },
                () = shutdown.as_mut(), if ending.is_none() => {
                    Err(End::Close(CloseCode::Away, "shutdown: every message that was taken has its answer; send the others again"))
                }
                message = self.socket.next(), if reads => self.take(message),
                () = look.as_mut() => {
                    look.as_mut().reset(Instant::now() + self.look_interval());
                    self.look(reads).await
                }
            };
            match done {
                Ok(()) => {}
                Err(End::Gone) => return End::Gone,
                Err(end) => ending = ending.or(Some(end)),
            }
        }
    }

    fn is_full(&self) -> bool {
        let config = &self.shared.config;
        self.flight.len() >= config.in_flight_messages_max || self.records >= config.in_flight_records_max
    }

    fn take(&mut self, message: Option<tungstenite::Result<Message>>) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => self.submit(&text.into()),
            Some(Ok(Message::Binary(bytes))) => self.submit(&bytes),
            // The head of a client's short frame has six bytes. The pong goes out by itself.
            Some(Ok(Message::Ping(bytes) | Message::Pong(bytes))) => self.socket.get_mut().control_ended(6 + bytes.len()),
            Some(Ok(Message::Close(_) | Message::Frame(_))) | None => return Err(End::Gone),
            Some(Err(error)) => return Err(self.broken(&error)),
        }
        Ok(())
    }

    fn submit(&mut self, message: &Bytes) {
        let room = self.socket.get_mut().message_ended();
        let seq = self.next_seq;
        self.next_seq += 1;
        let items = http::items(message, Form::Unsaid, &self.topic.caps);
        let records = items.as_ref().map_or(0, Vec::len);
        self.records += records;
        let (ingest, Topic { name, sender, .. }) = (Arc::clone(&self.shared.ingest), self.topic.clone());
        let answering = async move {
            let told = match items {
                // The token may have been revoked since.
                Ok(_) if ingest.authorize(&name, sender.credential.as_deref()).is_err() => {
                    Told::Ended(End::Close(CloseCode::Policy, UNAUTHORIZED))
                }
                Ok(items) => Told::of(ingest.submit(&name, items, sender).await),
                Err(problem) => Told::Refused { code: problem.code(), detail: problem.detail().to_owned(), retry_after_ms: None },
            };
            Answered { seq, records, told, _room: room }
        };
        self.flight.push_back(answering.boxed());
    }

    fn broken(&self, error: &tungstenite::Error) -> End {
        use tungstenite::error::{Error, ProtocolError};
        match error {
            _ if self.socket.get_ref().is_overdrawn() => {
                End::Close(CloseCode::Again, "unavailable: no room for a large message now; nothing of it was stored")
            }
            Error::Capacity(_) => End::Close(CloseCode::Size, "body_too_large: send fewer records at a time"),
            Error::Utf8(_) => End::Close(CloseCode::Invalid, "not_utf8: a text message is not UTF-8"),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
            Error::Protocol(_) => End::Close(CloseCode::Protocol, "protocol: the frames are not those of RFC 6455"),
            _ => End::Gone,
        }
    }
}

// What is written.
impl Conversation {
    /// Writes an answer, and those that are ready behind it, in one go.
    async fn tell_ready(&mut self, first: Answered) -> Result<(), End> {
        let in_time = Duration::from_millis(self.shared.config.answer_timeout_ms);
        let telling = async {
            let mut next = Some(first);
            while let Some(answered) = next {
                self.records -= answered.records;
                let text = self.text(&answered)?;
                self.write(text).await.map_err(|_| End::Gone)?;
                next = self.flight.next().now_or_never().flatten();
            }
            self.socket.flush().await.map_err(|_| End::Gone)
        };
        timeout(in_time, telling).await.unwrap_or(Err(End::Close(CloseCode::Policy, "too_slow: the answers were not read in time")))
    }

    fn text(&self, answered: &Answered) -> Result<Vec<u8>, End> {
        let seq = answered.seq;
        let text = match &answered.told {
            Told::Outcomes(outcomes) => {
                let wire::Response { durability, outcomes } = wire::Response::new(self.shared.ingest.durability(), outcomes);
                serde_json::to_vec(&StreamOutcomes { seq, durability, outcomes: &outcomes })
            }
            Told::Refused { code, detail, retry_after_ms } => {
                telemetry::message_refused(DOOR, code, detail);
                serde_json::to_vec(&StreamRefusal { seq, code, detail, retry_after_ms: *retry_after_ms })
            }
            Told::Ended(end) => return Err(*end),
        };
        Ok(text.expect("strings and numbers can be written as JSON"))
    }

    /// In pieces, so that the longest answer needs no larger buffer than a short one.
    async fn write(&mut self, text: Vec<u8>) -> tungstenite::Result<()> {
        let mut rest = Bytes::from(text);
        let mut opcode = Data::Text;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(BUFFER_BYTES));
            self.socket.feed(Message::Frame(Frame::message(piece, OpCode::Data(opcode), rest.is_empty()))).await?;
            opcode = Data::Continue;
        }
        Ok(())
    }

    /// Says goodbye, and reads on for a while without looking: closing a socket with unread bytes resets it, and the goodbye is lost.
    async fn close(&mut self, end: End) {
        let Config { close_timeout_ms, drain_bytes_max, .. } = self.shared.config;
        let closing = async {
            match end {
                // If the peer has said goodbye, the reply is waiting.
                End::Gone => self.socket.flush().await.ok()?,
                End::Close(code, reason) => {
                    telemetry::closed(DOOR, u16::from(code), reason);
                    self.socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await.ok()?;
                }
            }
            let stream = self.socket.get_mut().stream();
            stream.shutdown().await.ok()?;
            let mut rest = BufReader::with_capacity(1024, stream.take(drain_bytes_max));
            tokio::io::copy_buf(&mut rest, &mut tokio::io::sink()).await.ok()
        };
        // However it went, the connection is dropped now.
        let _closed = timeout(Duration::from_millis(close_timeout_ms), closing).await;
    }
}

/// What is to be done about a peer's silence.
#[derive(Debug, PartialEq)]
enum Due {
    Nothing,
    Ping,
    Close(&'static str),
}

/// When something came last, since when a message is on its way, when a ping went out, and what time it is.
#[derive(Clone, Copy)]
struct Silence {
    heard: Instant,
    began: Option<Instant>,
    pinged: Option<Instant>,
    now: Instant,
}

impl Silence {
    fn due(self, config: &Config) -> Due {
        let reached = |since: Instant, ms| self.now.duration_since(since) >= Duration::from_millis(ms);
        let unanswered = self.pinged.filter(|pinged| *pinged > self.heard);
        if self.began.is_some_and(|began| reached(began, config.message_timeout_ms)) {
            return Due::Close("body_too_slow: the message did not arrive in time; nothing of it was stored");
        }
        match unanswered {
            Some(pinged) if reached(pinged, config.pong_timeout_ms) => Due::Close("silent: no answer to a ping"),
            None if reached(self.heard, config.ping_interval_ms) => Due::Ping,
            _ => Due::Nothing,
        }
    }
}

// Looking after a peer that says nothing.
impl Conversation {
    /// One timer for all, which is not set anew with every message: a time-out is noticed late by at most its own length.
    fn look_interval(&self) -> Duration {
        let config = &self.shared.config;
        Duration::from_millis(config.ping_interval_ms.min(config.pong_timeout_ms).min(config.message_timeout_ms).max(1))
    }

    async fn look(&mut self, reads: bool) -> Result<(), End> {
        let stream = self.socket.get_mut();
        if !reads {
            stream.excuse();
            return Ok(());
        }
        let now = Instant::now();
        let silence = Silence { heard: stream.heard(), began: stream.began(), pinged: self.pinged, now };
        match silence.due(&self.shared.config) {
            Due::Nothing => Ok(()),
            Due::Close(reason) => Err(End::Close(CloseCode::Policy, reason)),
            Due::Ping => {
                self.pinged = Some(now);
                let in_time = Duration::from_millis(self.shared.config.answer_timeout_ms);
                let sent = timeout(in_time, self.socket.send(Message::Ping(Bytes::new()))).await;
                if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(End::Gone) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
