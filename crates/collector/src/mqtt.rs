//! The MQTT door: a listener of its own for MQTT 3.1.1 and 5, with TLS too. `cli` calls [`run`] where the settings name an address.
//!
//! CONNECT → session claimed → PUBLISH → `mqtt_topics` (name → topic, payload → items) → `Ingest::submit` → PUBACK or PUBREC
//!
//! | file | what it holds |
//! |---|---|
//! | `mqtt` | the listener, and who is let in |
//! | `mqtt_conversation` | a connection once it is let in: what comes, what is stored, what is told, how it ends |
//! | `mqtt_flight` | what it has in flight, and which of it is submitted together |
//! | `mqtt_topics` | which of MQTT's topics is which of ours |
//! | `mqtt_session` | who has which client id, and what outlives a connection |
//! | `mqtt_packet` | both versions' packets as one vocabulary |
//! | `mqtt_stream` | bytes → packets, under the caps |
//!
//! What an acknowledgement means (promises Q1, C1): every record of the PUBLISH is stored, or its rejection is told. MQTT 5 tells it by
//! code, reason and the outcome of each; 3.1.1 has no words for it, so there the rejection is stored in the dead letters first. What
//! could not be stored now is never acknowledged: the connection ends, and the client sends it again after it has come back.
//!
//! Records are taken and never handed out: subscriptions are refused, retained messages too.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use queue::Headroom;
use record::{Error, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub use crate::mqtt_topics::Mapping;
use crate::{
    ingest::Ingest,
    limits::Budget,
    listener::{self, Bounds},
    mqtt_conversation::Conversation,
    mqtt_packet::{BadConnect, CONNECT, Connect, ConnectReasonCode, Granted, Peer, Version, Will},
    mqtt_session::{Session, Sessions},
    mqtt_stream::{CONTROL_BYTES_MAX, Packets},
    mqtt_topics::Topics,
    telemetry,
    tls::{Arrived, Sockets},
};

/// The name of the door, in records and metrics.
pub(crate) const DOOR: &str = "mqtt";

/// The longest client id, in bytes. The standard asks for 23 (MQTT-3.1.3-5).
const CLIENT_ID_BYTES_MAX: usize = 256;

/// Settings of the door.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which of MQTT's topics are ours, beside those that have our topics' names.
    pub mappings: Vec<Mapping>,
    /// The most connections at a time; as [`server::Config::connections_max`](crate::server::Config::connections_max).
    pub connections_max: Option<usize>,
    /// How many listeners share the limit of open files, this one among them; as [`server::Config::listeners`](crate::server::Config::listeners).
    pub listeners: usize,
    /// The time for a connection's handshake (TLS), and again for its CONNECT, in milliseconds.
    pub connect_timeout_ms: u64,
    /// The time that a packet may take from its first byte to its last, in milliseconds.
    pub packet_timeout_ms: u64,
    /// How long a client may take to read the answers that are there, in milliseconds. A second connection of a client waits as long for
    /// the first one's end.
    pub answer_timeout_ms: u64,
    /// The longest keep-alive, in seconds.
    pub keep_alive_s_max: u16,
    /// How many PUBLISHes of a connection may wait for their answers; then it is not read from. In MQTT 5 a client is told, and is
    /// closed when it sends more.
    pub in_flight_publishes_max: u16,
    /// The same for their records. A PUBLISH that has begun is read to its end.
    pub in_flight_records_max: usize,
    /// The memory for the packets of all connections together, under way and in flight, beyond 4 KiB each, in bytes.
    pub packets_bytes_max: usize,
    /// How long a session outlives its connection at most, in seconds.
    pub session_expiry_s_max: u32,
    /// The most sessions without a connection. The one that ends first goes first.
    pub sessions_max: usize,
    /// The memory for them, in bytes.
    pub sessions_bytes_max: usize,
    /// How long a client may take to close its side, in milliseconds.
    pub close_timeout_ms: u64,
    /// How much of what it is still sending is read and dropped until then, so that it can read why it was closed, in bytes.
    pub drain_bytes_max: u64,
    /// How long what is in flight may take once shutdown has begun, in milliseconds.
    pub shutdown_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mappings: Vec::new(),
            connections_max: None,
            listeners: 1,
            connect_timeout_ms: 10_000,
            packet_timeout_ms: 30_000,
            answer_timeout_ms: 20_000,
            keep_alive_s_max: 3_600,
            in_flight_publishes_max: 256,
            in_flight_records_max: 10_000,
            packets_bytes_max: 256 * 1024 * 1024,
            session_expiry_s_max: 86_400,
            sessions_max: 65_536,
            sessions_bytes_max: 64 * 1024 * 1024,
            close_timeout_ms: 5_000,
            drain_bytes_max: 8 * 1024 * 1024,
            shutdown_timeout_ms: 10_000,
        }
    }
}

/// What all connections share.
pub(crate) struct Door {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) topics: Topics,
    pub(crate) config: Config,
    /// The largest packet.
    pub(crate) packet_bytes_max: usize,
    budget: Budget,
    sessions: Arc<Sessions>,
}

/// A client that was let in.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) credential: Option<Bytes>,
    /// Where it sends from.
    pub(crate) address: Option<IpAddr>,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) session: Session,
    /// How long the session outlives the connection, in seconds.
    pub(crate) session_expiry_s: u32,
    /// How long it may say nothing.
    pub(crate) silence_max: Duration,
}

/// Whether mappings can be used, so that a server need not be started to find out.
///
/// # Errors
/// `Invalid` for a mapping that is wrong by itself, or to a topic that is not taken here.
pub fn check_mappings(ingest: &Ingest, mappings: &[Mapping]) -> Result<()> {
    Topics::new(ingest, mappings).map(drop)
}

/// Serves MQTT until `shutdown`; then takes no more connections, answers what is in flight, and returns.
///
/// # Errors
/// `Invalid` for a mapping that cannot be used, or for bounds that let nothing through.
pub async fn run(sockets: impl Into<Sockets>, ingest: Arc<Ingest>, config: Config, shutdown: CancellationToken) -> Result<()> {
    let door = Arc::new(Door::new(ingest, config)?);
    let Config { connections_max, listeners, shutdown_timeout_ms, .. } = door.config;
    let bounds = Bounds { door: DOOR, connections_max, listeners, shutdown_timeout_ms };
    let converse = |arrived, address, shutdown| {
        let door = Arc::clone(&door);
        async move { door.serve(arrived, address, &shutdown).await }
    };
    // Whatever protocol a client offers (ALPN), it is MQTT that is spoken.
    listener::run(sockets.into().speaking(&[]), bounds, shutdown, converse).await;
    Ok(())
}

impl Door {
    fn new(ingest: Arc<Ingest>, config: Config) -> Result<Self> {
        if config.connections_max == Some(0) || config.listeners == 0 || config.in_flight_publishes_max == 0 || config.keep_alive_s_max == 0
        {
            return Err(Error::invalid("connections, listeners, PUBLISHes in flight and the keep-alive must be at least 1"));
        }
        let body_bytes_max = |topic| ingest.caps(topic).map(|caps| caps.body_bytes_max);
        let packet_bytes_max = ingest.topics().filter_map(body_bytes_max).max().unwrap_or(CONTROL_BYTES_MAX);
        let topics = Topics::new(&ingest, &config.mappings)?;
        let budget = Budget::new(config.packets_bytes_max);
        let sessions = Sessions::new(config.sessions_max, config.sessions_bytes_max);
        Ok(Self { ingest, topics, config, packet_bytes_max, budget, sessions })
    }

    /// One connection, whatever carries its bytes.
    async fn serve(self: Arc<Self>, arrived: Arrived, address: Option<IpAddr>, shutdown: &CancellationToken) {
        let _open = telemetry::Open::new("crowdread_mqtt_connections");
        let stream = tokio::select! {
            stream = arrived.secured(DOOR, Duration::from_millis(self.config.connect_timeout_ms)) => stream,
            () = shutdown.cancelled() => None,
        };
        let Some(stream) = stream else { return };
        let mut packets = Packets::new(stream, self.budget.clone());
        // In a box of its own: what letting in needs is not kept for the rest of the connection.
        let greeted = tokio::select! {
            greeted = Box::pin(self.greet(&mut packets)) => greeted,
            () = shutdown.cancelled() => None,
        };
        match greeted {
            Some(client) => Conversation::new(self, Client { address, ..client }, packets).run(shutdown).await,
            // Who said nothing that can be answered gets nothing.
            None if packets.out.is_empty() => {}
            None => packets.close(Duration::from_millis(self.config.close_timeout_ms), self.config.drain_bytes_max).await,
        }
    }

    /// Lets a client in, or writes why not.
    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(&self, packets: &mut Packets<S>) -> Option<Client> {
        let in_time = Duration::from_millis(self.config.connect_timeout_ms);
        let connect = match timeout(in_time, connect(packets)).await.ok()?? {
            Ok(connect) => connect,
            Err(BadConnect::Silent) => return None,
            Err(BadConnect::Level(version)) => {
                let reason = "unsupported_version: MQTT 3.1.1 (level 4) and 5 (level 5) are spoken here";
                return refuse(packets, Peer::unknown(version), ConnectReasonCode::UnsupportedProtocolVersion, reason);
            }
            Err(BadConnect::Broken(version)) => {
                let reason = "malformed: the CONNECT packet cannot be read";
                return refuse(packets, Peer::unknown(version), ConnectReasonCode::MalformedPacket, reason);
            }
        };
        let peer = connect.peer;
        match self.let_in(packets, connect).await {
            Ok(client) => Some(client),
            Err((code, reason)) => refuse(packets, peer, code, &reason),
        }
    }

    async fn let_in<S>(&self, packets: &mut Packets<S>, connect: Connect) -> Result<Client, (ConnectReasonCode, String)> {
        self.check(&connect)?;
        let Connect { peer, clean_start, keep_alive_s, client_id, will, credential, session_expiry_s, .. } = connect;
        let assigned_client_id = if client_id.is_empty() { Some(assigned()?) } else { None };
        let claiming = self.sessions.claim(assigned_client_id.clone().unwrap_or(client_id), clean_start);
        let busy = |reason: &str| (ConnectReasonCode::ServerUnavailable, reason.to_owned());
        let claimed = timeout(Duration::from_millis(self.config.answer_timeout_ms), claiming).await;
        let claimed = claimed.map_err(|_| busy("unavailable: the client's other connection has not ended yet"))?;
        let session = claimed.ok_or_else(|| busy("taken_over: the client has connected anew meanwhile"))?;
        let keep_alive_s_max = self.config.keep_alive_s_max;
        let is_granted = (1..=keep_alive_s_max).contains(&keep_alive_s);
        // 3.1.1 cannot tell the client of another keep-alive: there only none is taken for the longest.
        let keeps = is_granted || (peer.version == Version::V3 && keep_alive_s > 0);
        let in_force_s = if keeps { keep_alive_s } else { keep_alive_s_max };
        let session_expiry_s = session_expiry_s.min(self.config.session_expiry_s_max);
        let granted = Granted {
            session_present: session.is_present(),
            session_expiry_s,
            receive_max: self.config.in_flight_publishes_max,
            packet_bytes_max: u32::try_from(self.packet_bytes_max).unwrap_or(u32::MAX),
            assigned_client_id,
            keep_alive_s: (!is_granted).then_some(keep_alive_s_max),
        };
        peer.let_in(&mut packets.out, granted);
        // MQTT-3.1.2-22: one and a half times the keep-alive.
        let silence_max = Duration::from_millis(u64::from(in_force_s) * 1_500);
        Ok(Client { peer, credential, address: None, will: will.map(Box::new), session, session_expiry_s, silence_max })
    }

    /// Everything that can refuse a client without looking at others.
    fn check(&self, connect: &Connect) -> Result<(), (ConnectReasonCode, String)> {
        let refused = |code, reason: &str| Err((code, reason.to_owned()));
        if connect.wants_authentication {
            return refused(ConnectReasonCode::BadAuthMethod, "bad_auth_method: there is no extended authentication here");
        }
        // MQTT-3.1.3-8 of 3.1.1: without an id there is no session to keep.
        let needs_id = connect.peer.version == Version::V3 && !connect.clean_start;
        if connect.client_id.len() > CLIENT_ID_BYTES_MAX || (connect.client_id.is_empty() && needs_id) {
            return refused(ConnectReasonCode::ClientIdentifierNotValid, "bad_client_id: 1 to 256 bytes, or none with a clean start");
        }
        if let Some(will) = &connect.will {
            if will.retain {
                return refused(ConnectReasonCode::RetainNotSupported, "retain: nothing is handed out here");
            }
            let Some(target) = self.topics.find(&will.topic) else {
                return refused(ConnectReasonCode::TopicNameInvalid, "unknown_topic: the will's topic is not taken here");
            };
            if let Err(refusal) = self.ingest.authorize(&target.topic, connect.credential.as_deref()) {
                let reason = format!("{}: the will's topic: {}", refusal.code(), refusal.detail());
                return Err((ConnectReasonCode::NotAuthorized, reason));
            }
        }
        match self.ingest.headroom() {
            Ok(Headroom::Enough) => Ok(()),
            // C2
            Ok(Headroom::Low { .. }) => refused(ConnectReasonCode::ServerBusy, "unavailable: nothing can be stored now; come back later"),
            // Q2
            Err(_) => refused(ConnectReasonCode::ServerUnavailable, "closed: the queue takes no records any more"),
        }
    }
}

/// The first packet; nothing when the peer goes or sends something else.
async fn connect<S: AsyncRead + AsyncWrite + Unpin>(packets: &mut Packets<S>) -> Option<Result<Connect, BadConnect>> {
    loop {
        if let Some((head, packet)) = packets.next(CONTROL_BYTES_MAX).ok()? {
            let connect = Connect::decode(head, packet);
            packets.taken(head.bytes());
            return Some(connect);
        }
        // Whoever speaks another protocol is not listened to.
        if packets.kind().is_some_and(|kind| kind != CONNECT) {
            return None;
        }
        packets.read().await.ok()?;
    }
}

fn refuse<S>(packets: &mut Packets<S>, peer: Peer, code: ConnectReasonCode, reason: &str) -> Option<Client> {
    telemetry::refused(DOOR, code as u16, reason);
    peer.refuse(&mut packets.out, code, reason);
    None
}

/// A client id for a client that has none.
fn assigned() -> Result<Arc<str>, (ConnectReasonCode, String)> {
    let mut random = [0; 8];
    match getrandom::fill(&mut random) {
        Ok(()) => Ok(format!("crowdread-{:016x}", u64::from_be_bytes(random)).into()),
        Err(_) => Err((ConnectReasonCode::ServerUnavailable, "unavailable: the operating system gives no random bytes".to_owned())),
    }
}
