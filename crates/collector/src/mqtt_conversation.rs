//! A connection of MQTT once it is let in: what comes, what is stored, what is told, and how it ends. `mqtt` runs one for each client.
//!
//! packets → taken, in order → submitted together while topic and caps allow → answered, in the same order (MQTT-4.6.0-2)
//!
//! One submission is under way at a time; what comes meanwhile waits and goes together in the next. So the records of a client are stored in
//! the order in which they were sent, and a failed submission is followed by none. Nobody waits for a timer: the journal puts the
//! submissions of many connections into one write.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use mqtt_proto::{Pid, QoS, QosPid};
use record::{Error, ErrorKind, Outcome, Rejection, RejectionTag};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    buffered::Unread,
    http,
    ingest::Sender,
    mqtt::{Client, DOOR, Door},
    mqtt_flight::{Batch, Done, Flight, Taken, Task},
    mqtt_packet::{self, Detail, DisconnectReasonCode as Code, Fault, Packet, PubackReasonCode, Publish, Version},
    mqtt_stream::{Packets, Untaken},
    mqtt_topics::Refusal,
    problem::Problem,
    telemetry, wire,
};

/// How many PUBLISHes of QoS 2 a session remembers until they are released. MQTT 5's Receive Maximum is less; 3.1.1 has none.
const UNRELEASED_MAX: usize = 4_096;

/// How a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer is gone, or has said that it goes.
    Gone,
    Shutdown,
    /// The client has another connection.
    TakenOver,
    /// We close it: a code, and a word for programs with a sentence for people. 3.1.1 has no words for it.
    Close(Code, &'static str),
}

impl End {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Unavailable => NOT_STORED_NOW,
            // Q2
            ErrorKind::Closed => Self::Close(
                Code::ServerShuttingDown,
                "closed: the queue takes no records any more; what has no acknowledgement may be stored or not",
            ),
            // The token was good when the PUBLISH came.
            ErrorKind::Invalid => UNAUTHORIZED,
            _ => Self::Close(Code::UnspecifiedError, "internal: what has no acknowledgement may be stored or not"),
        }
    }
}

// C2
const NOT_STORED_NOW: End =
    End::Close(Code::ServerBusy, "unavailable: nothing can be stored now; come back later and send again what has no acknowledgement");

const UNKNOWN_TOPIC: End = End::Close(Code::TopicNameInvalid, "unknown_topic: this topic is not taken here");
const UNAUTHORIZED: End = End::Close(Code::NotAuthorized, "unauthorized: the password does not let this client write to this topic");

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed => Self::Close(Code::MalformedPacket, "malformed: a packet cannot be read"),
            Fault::Protocol => Self::Close(Code::ProtocolError, "protocol: this packet may not come now"),
        }
    }
}

impl From<Unread> for End {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Gone => Self::Gone,
            Unread::NoRoom => Self::Close(Code::QuotaExceeded, "no_room: no room for large packets now; come back later"),
        }
    }
}

pub(crate) struct Conversation<S> {
    door: Arc<Door>,
    client: Client,
    packets: Packets<S>,
    flight: Flight,
    /// When a whole packet came last.
    heard: Instant,
    /// Since when a packet has been on its way.
    began: Option<Instant>,
    /// The peer did not take an answer.
    is_deaf: bool,
}

// What is read.
impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    pub(crate) fn new(door: Arc<Door>, client: Client, packets: Packets<S>) -> Self {
        Self { door, client, packets, flight: Flight::default(), heard: Instant::now(), began: None, is_deaf: false }
    }

    pub(crate) async fn run(mut self, shutdown: &CancellationToken) {
        let end = self.converse(shutdown).await;
        self.part(end).await;
    }

    async fn converse(&mut self, shutdown: &CancellationToken) -> End {
        let mut shutdown = std::pin::pin!(shutdown.cancelled());
        let mut taken_over = std::pin::pin!(self.client.session.taken_over().clone().cancelled_owned());
        let mut look = std::pin::pin!(sleep_until(self.next_look()));
        // Nothing is taken any more, and what is in flight is still stored and answered.
        let mut ending: Option<End> = None;
        loop {
            if ending.is_none() {
                ending = self.take().err();
            }
            self.submit();
            if !self.flush().await {
                ending = Some(End::Gone);
            }
            if let Some(end) = ending.filter(|_| self.flight.running.is_none()) {
                return end;
            }
            let reads = ending.is_none() && !self.is_full();
            let step = tokio::select! {
                biased;
                done = self.flight.done() => match self.answer(done) {
                    Ok(()) => Ok(()),
                    // Nothing is submitted after what could not be stored.
                    Err(end) => return end,
                },
                () = shutdown.as_mut(), if ending.is_none() => Err(End::Shutdown),
                () = taken_over.as_mut(), if ending.is_none() => Err(End::TakenOver),
                read = self.packets.read(), if reads => read.map_err(End::from),
                () = look.as_mut() => {
                    let looked = self.look(reads);
                    look.as_mut().reset(self.next_look());
                    looked
                }
            };
            ending = ending.or(step.err());
        }
    }

    /// Whether the peer takes what it is told. Where it does not, what was taken is stored all the same: who publishes with QoS 0 is
    /// told nothing anyway.
    async fn flush(&mut self) -> bool {
        if self.is_deaf {
            self.packets.out.clear();
        } else {
            self.is_deaf = self.packets.flush(Duration::from_millis(self.door.config.answer_timeout_ms)).await.is_err();
        }
        !self.is_deaf
    }

    fn is_full(&self) -> bool {
        let config = &self.door.config;
        self.flight.publishes >= usize::from(config.in_flight_publishes_max) || self.flight.records >= config.in_flight_records_max
    }

    /// Takes the whole packets that were read.
    fn take(&mut self) -> Result<(), End> {
        let now = Instant::now();
        while !self.is_full() {
            let (bytes, packet) = match self.packets.next(self.door.packet_bytes_max) {
                Ok(Some((head, packet))) => (head.bytes(), mqtt_packet::decode(self.client.peer.version, head, packet)),
                Ok(None) => break,
                Err(Untaken::TooLarge) => return Err(End::Close(Code::PacketTooLarge, "body_too_large: send fewer records at a time")),
                Err(Untaken::Fault(fault)) => return Err(fault.into()),
            };
            self.packets.taken(bytes);
            (self.heard, self.began) = (now, None);
            self.handle(packet?, bytes)?;
        }
        self.began = self.packets.has_part().then(|| self.began.unwrap_or(now));
        Ok(self.packets.take_room()?)
    }

    fn handle(&mut self, packet: Packet, bytes: usize) -> Result<(), End> {
        let (peer, out) = (self.client.peer, &mut self.packets.out);
        match packet {
            Packet::Publish(publish) => return self.publish(publish, bytes),
            Packet::Release(pid) => {
                let found = self.client.session.state.stored.remove(&pid.value());
                self.flight.open = self.flight.open.saturating_sub(usize::from(found));
                peer.complete(out, pid, found);
            }
            Packet::Subscribe(pid, asked) => {
                telemetry::message_refused(DOOR, "subscription", "this server hands no records out");
                peer.refuse_subscriptions(out, pid, &asked);
            }
            Packet::Unsubscribe(pid, asked) => peer.unsubscribe(out, pid, asked),
            Packet::Ping => peer.pong(out),
            Packet::Disconnect { drops_will, session_expiry_s } => {
                // MQTT-3.14.2-2 of MQTT 5: a session that was to end with its connection cannot be kept after all.
                if self.client.session_expiry_s == 0 && session_expiry_s.is_some_and(|seconds| seconds > 0) {
                    return Err(Fault::Protocol.into());
                }
                if drops_will {
                    self.client.will = None;
                }
                if let Some(seconds) = session_expiry_s {
                    self.client.session_expiry_s = seconds.min(self.door.config.session_expiry_s_max);
                }
                return Err(End::Gone);
            }
        }
        Ok(())
    }

    fn publish(&mut self, publish: Publish, bytes: usize) -> Result<(), End> {
        let Publish { qos_pid, retain, topic: name, payload, topic_alias } = publish;
        if topic_alias {
            return Err(End::Close(Code::TopicAliasInvalid, "topic_alias: the server takes none"));
        }
        if retain && self.client.peer.version == Version::V5 {
            return Err(End::Close(Code::RetainNotSupported, "retain: nothing is handed out here"));
        }
        let opened = self.open(qos_pid)?;
        let target = self.door.topics.find(&name);
        let is_allowed = target.map(|target| self.door.ingest.authorize(&target.topic, self.client.credential.as_deref()));
        let task = match (opened, target, is_allowed) {
            (Some(task), ..) => task,
            (None, Some(_), Some(Err(refusal))) => {
                self.refuse(qos_pid, PubackReasonCode::NotAuthorized, &http::unauthorized(refusal), UNAUTHORIZED)?
            }
            (None, Some(target), _) => {
                let caps = self.door.ingest.caps(&target.topic).expect("a target is one of the conductor's topics");
                let (items, refusal) = target.items(&name, &payload, &caps);
                if let Some(Refusal { code, detail }) = &refusal {
                    telemetry::message_refused(DOOR, code, detail);
                }
                Task::Store { topic: Arc::clone(&target.topic), items, refusal }
            }
            (None, None, _) => {
                let problem = http::unknown_topic(&self.door.ingest, &name);
                self.refuse(qos_pid, PubackReasonCode::TopicNameInvalid, &problem, UNKNOWN_TOPIC)?
            }
        };
        // A mapping's field may have made the records larger than the packet was.
        let (records, grown_bytes) = match &task {
            Task::Store { items, .. } => (items.len(), items.iter().flatten().map(|item| item.payload().len()).sum()),
            Task::Again | Task::Tell(..) => (0, 0),
        };
        let is_told = self.client.peer.version == Version::V5 && qos_pid != QosPid::Level0;
        let taken = Taken { qos_pid, bytes: bytes.max(grown_bytes), records, is_told, task };
        self.flight.publishes += 1;
        self.flight.records += records;
        self.packets.in_flight_bytes += taken.bytes;
        self.flight.waiting.push_back(taken);
        Ok(())
    }

    /// Begins an exchange; gives what is to be done where it is not to be stored.
    fn open(&mut self, qos_pid: QosPid) -> Result<Option<Task>, End> {
        let (version, flight, stored) = (self.client.peer.version, &mut self.flight, &self.client.session.state.stored);
        if qos_pid.qos() == QoS::Level0 {
            return Ok(None);
        }
        flight.open += 1;
        if version == Version::V5 && flight.open > usize::from(self.door.config.in_flight_publishes_max) {
            return Err(End::Close(Code::ReceiveMaximumExceeded, "receive_maximum: more PUBLISHes in flight than were granted"));
        }
        let QosPid::Level2(pid) = qos_pid else { return Ok(None) };
        if stored.contains(&pid.value()) {
            return Ok(Some(Task::Again));
        }
        if flight.storing.contains(&pid.value()) {
            return Ok(Some(match version {
                // Whatever is still told of the first one in 3.1.1 holds for this one.
                Version::V3 => Task::Again,
                Version::V5 => {
                    let reason = "packet_id: a PUBLISH with this packet identifier is in flight".to_owned();
                    Task::Tell(PubackReasonCode::PacketIdentifierInUse, Detail { reason, outcomes: None })
                }
            }));
        }
        if stored.len() + flight.storing.len() >= UNRELEASED_MAX {
            return Err(End::Close(Code::QuotaExceeded, "unreleased: too many PUBLISHes of QoS 2 without their PUBREL"));
        }
        flight.storing.insert(pid.value());
        Ok(None)
    }

    /// MQTT 5 tells it where there is an answer; else the connection ends, as nobody would ever know.
    fn refuse(&mut self, qos_pid: QosPid, code: PubackReasonCode, problem: &Problem, end: End) -> Result<Task, End> {
        telemetry::message_refused(DOOR, problem.code(), problem.detail());
        if let QosPid::Level2(pid) = qos_pid {
            self.flight.storing.remove(&pid.value());
        }
        if self.client.peer.version == Version::V3 || qos_pid.qos() == QoS::Level0 {
            return Err(end);
        }
        let reason = format!("{}: {}", problem.code(), problem.detail());
        Ok(Task::Tell(code, Detail { reason, outcomes: None }))
    }
}

// What is stored and told.
impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// Submits what waits, as much of it as goes together.
    fn submit(&mut self) {
        if self.flight.running.is_some() || self.flight.waiting.is_empty() {
            return;
        }
        let ingest = Arc::clone(&self.door.ingest);
        let (Batch { topic, is_told, taken, .. }, items) = self.flight.next_batch(&ingest);
        let sender = Sender { door: DOOR.into(), credential: self.client.credential.clone(), address: self.client.address, is_told };
        let submitting = async move {
            let outcomes = match topic {
                Some(topic) => ingest.submit(&topic, items, sender).await,
                None => Ok(Vec::new()),
            };
            Done { taken, outcomes }
        };
        self.flight.running = Some(submitting.boxed());
    }

    fn answer(&mut self, done: Done) -> Result<(), End> {
        let outcomes = done.outcomes.map_err(|error| End::of(&error))?;
        let mut rest = &outcomes[..];
        for taken in done.taken {
            let (own, after) = rest.split_at(taken.records);
            rest = after;
            self.flight.publishes -= 1;
            self.flight.records -= taken.records;
            self.packets.in_flight_bytes -= taken.bytes;
            self.tell(taken, own)?;
        }
        // C1
        assert!(rest.is_empty(), "each outcome is that of a PUBLISH");
        Ok(())
    }

    fn tell(&mut self, taken: Taken, outcomes: &[Outcome]) -> Result<(), End> {
        let (code, detail) = match taken.task {
            Task::Again => (PubackReasonCode::Success, None),
            Task::Tell(code, detail) => (code, Some(detail)),
            Task::Store { topic, refusal, .. } => {
                // C1, C2: never an acknowledgement for what is not stored and can be sent again.
                if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Retry { .. })) {
                    return Err(NOT_STORED_NOW);
                }
                if taken.qos_pid == QosPid::Level0 {
                    telemetry::mqtt_unacknowledged(&topic, outcomes);
                    return Ok(());
                }
                if let QosPid::Level2(pid) = taken.qos_pid {
                    self.flight.storing.remove(&pid.value());
                }
                self.verdict(outcomes, refusal)
            }
        };
        match taken.qos_pid {
            QosPid::Level0 => return Ok(()),
            // In 3.1.1 a rejection is taken too, and in MQTT 5 it ends the exchange (section 4.3.3).
            QosPid::Level2(pid) if code == PubackReasonCode::Success || self.client.peer.version == Version::V3 => self.remember(pid),
            QosPid::Level1(_) | QosPid::Level2(_) => self.flight.open = self.flight.open.saturating_sub(1),
        }
        self.client.peer.acknowledge(&mut self.packets.out, taken.qos_pid, code, detail);
        Ok(())
    }

    fn remember(&mut self, pid: Pid) {
        self.client.session.state.stored.insert(pid.value());
    }

    /// The code and the words for what became of a PUBLISH's records.
    fn verdict(&self, outcomes: &[Outcome], refusal: Option<Refusal>) -> (PubackReasonCode, Option<Detail>) {
        let rejections = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Rejected(rejection) => Some(rejection),
            _ => None,
        });
        let Some(Rejection { tag, message, pointer }) = rejections.into_iter().next() else { return (PubackReasonCode::Success, None) };
        if let Some(Refusal { code, detail }) = refusal {
            return (code_of(*tag), Some(Detail { reason: format!("{code}: {detail}"), outcomes: None }));
        }
        let at = pointer.as_ref().map_or_else(String::new, |pointer| format!(" ({pointer})"));
        let all = wire::Response::new(self.door.ingest.durability(), outcomes).outcomes;
        let all = serde_json::to_string(&all).expect("strings and numbers can be written as JSON");
        (code_of(*tag), Some(Detail { reason: format!("{tag}: {message}{at}"), outcomes: Some(all) }))
    }
}

/// The code for a rejection (MQTT 5 section 3.4.2.1).
fn code_of(tag: RejectionTag) -> PubackReasonCode {
    match tag {
        RejectionTag::TooLarge => PubackReasonCode::QuotaExceeded,
        RejectionTag::UnknownWorker | RejectionTag::UnknownLease => PubackReasonCode::NotAuthorized,
        _ => PubackReasonCode::PayloadFormatInvalid,
    }
}

// Looking after a peer that says nothing, and the end.
impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// One timer for all: a silence is noticed in time, a packet that takes too long late by at most its own time.
    fn next_look(&self) -> Instant {
        let in_any_case = Instant::now() + Duration::from_millis(self.door.config.packet_timeout_ms.max(1));
        in_any_case.min(self.heard + self.client.silence_max)
    }

    fn look(&mut self, reads: bool) -> Result<(), End> {
        let now = Instant::now();
        if !reads {
            // Nobody was reading: the client is not to blame for the time that went by.
            (self.heard, self.began) = (now, self.began.map(|_| now));
            return Ok(());
        }
        let packet_timeout = Duration::from_millis(self.door.config.packet_timeout_ms);
        match self.began {
            Some(began) if now >= began + packet_timeout => {
                Err(End::Close(Code::KeepAliveTimeout, "body_too_slow: the packet did not arrive in time"))
            }
            // A packet under way has its own time.
            Some(_) => {
                self.heard = now;
                Ok(())
            }
            None if now >= self.heard + self.client.silence_max => {
                Err(End::Close(Code::KeepAliveTimeout, "silent: nothing came within one and a half times the keep-alive"))
            }
            None => Ok(()),
        }
    }

    async fn part(mut self, end: End) {
        let (code, reason) = match end {
            End::Gone => (Code::NormalDisconnect, ""),
            End::Shutdown => (Code::ServerShuttingDown, "shutdown: what was acknowledged is stored; send the rest again"),
            End::TakenOver => (Code::SessionTakenOver, "taken_over: the client has another connection"),
            End::Close(code, reason) => (code, reason),
        };
        if end != End::Gone {
            telemetry::closed(DOOR, code as u16, reason);
            self.client.peer.disconnect(&mut self.packets.out, code, reason);
        }
        self.store_will(end).await;
        let Self { door, client, mut packets, .. } = self;
        client.session.give_back(Duration::from_secs(client.session_expiry_s.into()));
        packets.close(Duration::from_millis(door.config.close_timeout_ms), door.config.drain_bytes_max).await;
    }

    /// A client that went without a word may have left one. Shutdown says nothing about the client (MQTT 5 section 3.1.2.5 lets it wait), and
    /// who comes back before a delay is over has not gone.
    async fn store_will(&mut self, end: End) {
        let Some(will) = self.client.will.take() else { return };
        if end == End::Shutdown || (end == End::TakenOver && will.is_delayed) {
            return;
        }
        let Some(target) = self.door.topics.find(&will.topic) else { return };
        let Some(caps) = self.door.ingest.caps(&target.topic) else { return };
        let (items, _) = target.items(&will.topic, &will.payload, &caps);
        let sender = Sender { door: DOOR.into(), credential: self.client.credential.clone(), address: self.client.address, is_told: false };
        let stored = self.door.ingest.submit(&target.topic, items, sender).await;
        let is_lost = stored.map_or(true, |outcomes| outcomes.iter().any(|outcome| matches!(outcome, Outcome::Retry { .. })));
        if is_lost {
            telemetry::mqtt_will_lost(&target.topic);
        }
    }
}
