//! MQTT's packets, of both versions, as one vocabulary: bytes → [`Packet`], and a [`Peer`]'s answers → bytes. `mqtt` and
//! `mqtt_conversation` call it.
//!
//! The codec crate decodes whole packets that lie in memory already. Its own readers take memory for the length that a packet announces
//! (up to 256 MiB), so they are not used: [`Head`] tells the length, and who reads checks it against a cap first. Further traps of the
//! codec are guarded where they are: in [`whole`], [`Connect::decode`] and [`Peer::refuse_subscriptions`].

use std::sync::Arc;

use bytes::Bytes;
use mqtt_proto::{Error, Pid, PollHeader, Protocol, QosPid, TopicFilter, TopicName, v3, v5};

pub(crate) use mqtt_proto::v5::{ConnectReasonCode, DisconnectReasonCode, PubackReasonCode};

/// The longest reason that is told, in characters.
const REASON_CHARS_MAX: usize = 250;

/// What kind of packet a first byte begins, by its upper half.
pub(crate) const CONNECT: u8 = 1;
pub(crate) const PUBLISH: u8 = 3;

/// The versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.1.1, protocol level 4.
    V3,
    /// 5, protocol level 5.
    V5,
}

/// A packet's fixed header (MQTT 5 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    first: u8,
    head_bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// Reads the head of the packet that a buffer begins with; nothing while it is not whole.
    pub(crate) fn read(buffer: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((first, lengths)) = buffer.split_first() else { return Ok(None) };
        let mut body_bytes = 0;
        for (index, byte) in lengths.iter().take(4).enumerate() {
            body_bytes |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(Some(Self { first: *first, head_bytes: index + 2, body_bytes }));
            }
        }
        if lengths.len() < 4 { Ok(None) } else { Err(Fault::Malformed) }
    }

    /// The packet's kind.
    pub(crate) fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The length of the whole packet.
    pub(crate) fn bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }

    /// The packet without its head.
    fn body<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        &packet[self.head_bytes..]
    }

    fn lengths(&self) -> (u32, u32) {
        let length = |bytes| u32::try_from(bytes).expect("four groups of seven bits");
        (length(self.body_bytes), length(self.bytes()))
    }
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It cannot be read.
    Malformed,
    /// It may not come now, or not from a client.
    Protocol,
}

impl From<Error> for Fault {
    fn from(_: Error) -> Self {
        Self::Malformed
    }
}

impl From<v5::ErrorV5> for Fault {
    fn from(_: v5::ErrorV5) -> Self {
        Self::Malformed
    }
}

/// What a client says once it is connected.
#[derive(Debug)]
pub(crate) enum Packet {
    Publish(Publish),
    /// PUBREL.
    Release(Pid),
    Subscribe(Pid, Vec<Subscription>),
    /// With the number of filters.
    Unsubscribe(Pid, usize),
    Ping,
    Disconnect {
        drops_will: bool,
        session_expiry_s: Option<u32>,
    },
}

#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) qos_pid: QosPid,
    pub(crate) retain: bool,
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
    pub(crate) topic_alias: bool,
}

/// What kind of filter a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    Plain,
    Wildcard,
    Shared,
}

impl Subscription {
    fn of(filter: &TopicFilter) -> Self {
        match filter {
            filter if filter.is_shared() => Self::Shared,
            filter if filter.contains(['+', '#']) => Self::Wildcard,
            _ => Self::Plain,
        }
    }
}

/// What is stored when a client goes without a word.
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) topic: TopicName,
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
    pub(crate) is_delayed: bool,
}

/// A client's first packet.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) peer: Peer,
    pub(crate) clean_start: bool,
    /// In seconds; 0 for none.
    pub(crate) keep_alive_s: u16,
    /// Empty when the client leaves it to us.
    pub(crate) client_id: Arc<str>,
    pub(crate) will: Option<Will>,
    /// The password.
    pub(crate) credential: Option<Bytes>,
    /// How long its session is to outlive the connection, in seconds.
    pub(crate) session_expiry_s: u32,
    pub(crate) wants_authentication: bool,
}

/// Why a CONNECT was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadConnect {
    /// It is closed without an answer, as nobody knows in which version.
    Silent,
    /// The protocol level is not spoken here; the answer is in the given version.
    Level(Version),
    /// It breaks the rules of its version.
    Broken(Version),
}

impl Connect {
    pub(crate) fn decode(head: Head, packet: &[u8]) -> Result<Self, BadConnect> {
        if head.first != CONNECT << 4 {
            return Err(BadConnect::Silent);
        }
        let body = head.body(packet);
        let mut offset = 0;
        let protocol = match Protocol::decode(body, &mut offset) {
            Ok(Protocol::V310) => return Err(BadConnect::Level(Version::V3)),
            Ok(protocol) => protocol,
            Err(Error::InvalidProtocol(name, level)) if &*name == "MQTT" && level > 5 => return Err(BadConnect::Level(Version::V5)),
            Err(Error::InvalidProtocol(name, _)) if &*name == "MQTT" || &*name == "MQIsdp" => return Err(BadConnect::Level(Version::V3)),
            Err(_) => return Err(BadConnect::Silent),
        };
        let version = if protocol == Protocol::V500 { Version::V5 } else { Version::V3 };
        let broken = BadConnect::Broken(version);
        // The codec does not look at the will's retain flag where there is no will (MQTT-3.1.2-13, -15 in 3.1.1).
        let flags = *body.get(offset).ok_or(broken)?;
        if flags & 0b100 == 0 && flags & 0b11_1000 != 0 {
            return Err(broken);
        }
        let connect = match version {
            Version::V3 => v3::Connect::decode_buffer_with_protocol(body, &mut offset, protocol).ok().and_then(Self::of_v3),
            Version::V5 => {
                let (remaining, total) = head.lengths();
                let header = v5::Header::new_with(head.first, remaining, total).map_err(|_| broken)?;
                v5::Connect::decode_buffer_with_protocol(body, &mut offset, header, protocol).ok().map(Self::of_v5)
            }
        };
        connect.filter(|connect| offset == body.len() && !connect.client_id.contains('\0')).ok_or(broken)
    }

    fn of_v3(connect: v3::Connect) -> Option<Self> {
        // MQTT-3.1.2-22.
        if connect.username.is_none() && connect.password.is_some() {
            return None;
        }
        let will = |will: v3::LastWill| Will { topic: will.topic_name, payload: will.message, retain: false, is_delayed: false };
        Some(Self {
            peer: Peer { version: Version::V3, packet_bytes_max: usize::MAX, tells: false },
            clean_start: connect.clean_session,
            keep_alive_s: connect.keep_alive,
            client_id: connect.client_id,
            will: connect.last_will.map(will),
            credential: connect.password,
            session_expiry_s: if connect.clean_session { 0 } else { u32::MAX },
            wants_authentication: false,
        })
    }

    fn of_v5(connect: v5::Connect) -> Self {
        let properties = connect.properties;
        let will = |will: v5::LastWill| Will {
            topic: will.topic_name,
            payload: will.payload,
            retain: will.retain,
            is_delayed: will.properties.delay_interval.is_some_and(|seconds| seconds > 0),
        };
        let packet_bytes_max = properties.max_packet_size.map_or(usize::MAX, |bytes| bytes as usize);
        Self {
            peer: Peer { version: Version::V5, packet_bytes_max, tells: properties.request_problem_info != Some(false) },
            clean_start: connect.clean_start,
            keep_alive_s: connect.keep_alive,
            client_id: connect.client_id,
            will: connect.last_will.map(will),
            credential: connect.password,
            session_expiry_s: properties.session_expiry_interval.unwrap_or(0),
            wants_authentication: properties.auth_method.is_some() || properties.auth_data.is_some(),
        }
    }
}

/// Decodes a whole packet of a connected client.
pub(crate) fn decode(version: Version, head: Head, packet: &[u8]) -> Result<Packet, Fault> {
    let (remaining, total) = head.lengths();
    match version {
        Version::V3 => of_v3(whole(v3::Header::new_with(head.first, remaining, total)?, head.body(packet))?),
        Version::V5 => of_v5(whole(v5::Header::new_with(head.first, remaining, total)?, head.body(packet))?),
    }
}

/// A packet that fills its body. The codec takes packets without a body whatever length they announce, and does not mind what is left over.
fn whole<H: PollHeader>(header: H, body: &[u8]) -> Result<H::Packet, H::Error> {
    let mut offset = 0;
    let packet = match header.build_empty_packet() {
        Some(packet) => packet,
        None => header.decode_buffer(body, &mut offset)?,
    };
    if offset == body.len() { Ok(packet) } else { Err(Error::InvalidRemainingLength.into()) }
}

fn of_v3(packet: v3::Packet) -> Result<Packet, Fault> {
    Ok(match packet {
        v3::Packet::Publish(v3::Publish { qos_pid, retain, topic_name, payload, .. }) => {
            Packet::Publish(Publish { qos_pid, retain, topic: topic_name, payload, topic_alias: false })
        }
        v3::Packet::Pubrel(pid) => Packet::Release(pid),
        v3::Packet::Subscribe(asked) => {
            Packet::Subscribe(asked.pid, asked.topics.iter().map(|(filter, _)| Subscription::of(filter)).collect())
        }
        v3::Packet::Unsubscribe(asked) => Packet::Unsubscribe(asked.pid, asked.topics.len()),
        v3::Packet::Pingreq => Packet::Ping,
        v3::Packet::Disconnect => Packet::Disconnect { drops_will: true, session_expiry_s: None },
        _ => return Err(Fault::Protocol),
    })
}

fn of_v5(packet: v5::Packet) -> Result<Packet, Fault> {
    Ok(match packet {
        v5::Packet::Publish(v5::Publish { qos_pid, retain, topic_name, payload, properties, .. }) => {
            let topic_alias = properties.topic_alias.is_some();
            Packet::Publish(Publish { qos_pid, retain, topic: topic_name, payload, topic_alias })
        }
        v5::Packet::Pubrel(release) => Packet::Release(release.pid),
        v5::Packet::Subscribe(asked) => {
            Packet::Subscribe(asked.pid, asked.topics.iter().map(|(filter, _)| Subscription::of(filter)).collect())
        }
        v5::Packet::Unsubscribe(asked) => Packet::Unsubscribe(asked.pid, asked.topics.len()),
        v5::Packet::Pingreq => Packet::Ping,
        v5::Packet::Disconnect(left) => Packet::Disconnect {
            drops_will: left.reason_code == DisconnectReasonCode::NormalDisconnect,
            session_expiry_s: left.properties.session_expiry_interval,
        },
        _ => return Err(Fault::Protocol),
    })
}

/// What is told of a PUBLISH beyond its code.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    /// A word for programs, a colon, a sentence for people.
    pub(crate) reason: String,
    /// The outcome of each index, as JSON.
    pub(crate) outcomes: Option<String>,
}

/// What a CONNACK grants.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) session_present: bool,
    pub(crate) session_expiry_s: u32,
    pub(crate) receive_max: u16,
    pub(crate) packet_bytes_max: u32,
    pub(crate) assigned_client_id: Option<Arc<str>>,
    pub(crate) keep_alive_s: Option<u16>,
}

/// To whom answers are written: the version, and what the client takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) version: Version,
    packet_bytes_max: usize,
    /// It wants reasons with its acknowledgements.
    tells: bool,
}

fn reason_of(text: &str) -> Option<Arc<str>> {
    let short: String = text.chars().filter(|letter| !letter.is_control()).take(REASON_CHARS_MAX).collect();
    Some(short.into())
}

fn push_v3(out: &mut Vec<u8>, packet: &v3::Packet) {
    out.extend_from_slice(packet.encode().expect("short packets can be written").as_ref());
}

impl Peer {
    /// For a client of which nothing but its version is known.
    pub(crate) fn unknown(version: Version) -> Self {
        Self { version, packet_bytes_max: usize::MAX, tells: true }
    }

    /// Writes the first of the forms that the client takes; the last must be without anything that can be left out.
    fn push(&self, out: &mut Vec<u8>, forms: impl IntoIterator<Item = v5::Packet>) {
        for packet in forms {
            // What is too long to be written at all is too long for the client as well.
            if let Ok(bytes) = packet.encode()
                && bytes.as_ref().len() <= self.packet_bytes_max
            {
                return out.extend_from_slice(bytes.as_ref());
            }
        }
    }

    /// PUBACK or PUBREC. In 3.1.1 there is no code: what is told then is that it was taken.
    pub(crate) fn acknowledge(&self, out: &mut Vec<u8>, qos_pid: QosPid, code: PubackReasonCode, detail: Option<Detail>) {
        if self.version == Version::V3 {
            return match qos_pid {
                QosPid::Level0 => {}
                QosPid::Level1(pid) => push_v3(out, &v3::Packet::Puback(pid)),
                QosPid::Level2(pid) => push_v3(out, &v3::Packet::Pubrec(pid)),
            };
        }
        let packet = |reason_string: Option<Arc<str>>, outcomes: Option<&String>| {
            let name_value = |value: &String| v5::UserProperty { name: "outcomes".into(), value: value.as_str().into() };
            let user_properties = outcomes.map(name_value).into_iter().collect();
            match qos_pid {
                QosPid::Level2(pid) => {
                    let reason_code = v5::PubrecReasonCode::from_u8(code as u8).expect("PUBREC has the codes of PUBACK");
                    v5::Pubrec { pid, reason_code, properties: v5::PubrecProperties { reason_string, user_properties } }.into()
                }
                _ => {
                    let pid = qos_pid.pid().expect("PUBLISHes of QoS 0 have no answer");
                    v5::Puback { pid, reason_code: code, properties: v5::PubackProperties { reason_string, user_properties } }.into()
                }
            }
        };
        let forms = detail.filter(|_| self.tells).map(|Detail { reason, outcomes }| {
            // A string of MQTT has at most 65,535 bytes.
            let fitting = outcomes.filter(|outcomes| outcomes.len() <= usize::from(u16::MAX));
            [packet(reason_of(&reason), fitting.as_ref()), packet(reason_of(&reason), None)]
        });
        self.push(out, forms.into_iter().flatten().chain([packet(None, None)]));
    }

    /// PUBCOMP.
    pub(crate) fn complete(&self, out: &mut Vec<u8>, pid: Pid, found: bool) {
        match self.version {
            Version::V3 => push_v3(out, &v3::Packet::Pubcomp(pid)),
            Version::V5 => {
                let code = if found { v5::PubcompReasonCode::Success } else { v5::PubcompReasonCode::PacketIdentifierNotFound };
                self.push(out, [v5::Pubcomp::new(pid, code).into()]);
            }
        }
    }

    /// SUBACK: this server hands nothing out.
    pub(crate) fn refuse_subscriptions(&self, out: &mut Vec<u8>, pid: Pid, asked: &[Subscription]) {
        use v5::SubscribeReasonCode as Code;
        if self.version == Version::V3 {
            push_v3(out, &v3::Suback::new(pid, vec![v3::SubscribeReturnCode::MaxLevel0; asked.len()]).into());
            // The codec would write 3 for a failure, which is 0x80 (3.1.1 section 3.9.3).
            let codes_at = out.len() - asked.len();
            return out[codes_at..].fill(0x80);
        }
        let code = |asked: &Subscription| match asked {
            Subscription::Plain => Code::NotAuthorized,
            Subscription::Wildcard => Code::WildcardSubscriptionsNotSupported,
            Subscription::Shared => Code::SharedSubscriptionNotSupported,
        };
        self.push(out, [v5::Suback::new(pid, asked.iter().map(code).collect()).into()]);
    }

    /// UNSUBACK: there was none.
    pub(crate) fn unsubscribe(&self, out: &mut Vec<u8>, pid: Pid, asked: usize) {
        match self.version {
            Version::V3 => push_v3(out, &v3::Packet::Unsuback(pid)),
            Version::V5 => {
                let codes = vec![v5::UnsubscribeReasonCode::NoSubscriptionExisted; asked];
                self.push(out, [v5::Unsuback::new(pid, codes).into()]);
            }
        }
    }

    /// PINGRESP.
    pub(crate) fn pong(&self, out: &mut Vec<u8>) {
        push_v3(out, &v3::Packet::Pingresp);
    }

    /// CONNACK for a client that is let in.
    pub(crate) fn let_in(&self, out: &mut Vec<u8>, granted: Granted) {
        if self.version == Version::V3 {
            return push_v3(out, &v3::Connack::new(granted.session_present, v3::ConnectReturnCode::Accepted).into());
        }
        let properties = v5::ConnackProperties {
            session_expiry_interval: Some(granted.session_expiry_s),
            receive_max: Some(granted.receive_max),
            retain_available: Some(false),
            max_packet_size: Some(granted.packet_bytes_max),
            assigned_client_id: granted.assigned_client_id,
            wildcard_subscription_available: Some(false),
            subscription_id_available: Some(false),
            shared_subscription_available: Some(false),
            server_keep_alive: granted.keep_alive_s,
            ..v5::ConnackProperties::default()
        };
        let connack = v5::Connack { session_present: granted.session_present, reason_code: ConnectReasonCode::Success, properties };
        self.push(out, [connack.into()]);
    }

    /// CONNACK for a client that is not let in. The reason begins with a word for programs.
    pub(crate) fn refuse(&self, out: &mut Vec<u8>, code: ConnectReasonCode, reason: &str) {
        if self.version == Version::V3 {
            let code = match code {
                ConnectReasonCode::UnsupportedProtocolVersion => v3::ConnectReturnCode::UnacceptableProtocolVersion,
                ConnectReasonCode::ClientIdentifierNotValid => v3::ConnectReturnCode::IdentifierRejected,
                ConnectReasonCode::BadUserNameOrPassword => v3::ConnectReturnCode::BadUserNameOrPassword,
                ConnectReasonCode::TopicNameInvalid | ConnectReasonCode::NotAuthorized => v3::ConnectReturnCode::NotAuthorized,
                ConnectReasonCode::ServerUnavailable | ConnectReasonCode::ServerBusy => v3::ConnectReturnCode::ServerUnavailable,
                // There is no code for the rest: the connection is closed without an answer (3.1.1 section 4.8).
                _ => return,
            };
            return push_v3(out, &v3::Connack::new(false, code).into());
        }
        let connack = |reason_string| {
            let properties = v5::ConnackProperties { reason_string, ..v5::ConnackProperties::default() };
            v5::Connack { session_present: false, reason_code: code, properties }.into()
        };
        self.push(out, [connack(reason_of(reason)), connack(None)]);
    }

    /// DISCONNECT, which only MQTT 5 has. The reason begins with a word for programs.
    pub(crate) fn disconnect(&self, out: &mut Vec<u8>, code: DisconnectReasonCode, reason: &str) {
        if self.version == Version::V3 {
            return;
        }
        let disconnect = |reason_string| {
            let properties = v5::DisconnectProperties { reason_string, ..v5::DisconnectProperties::default() };
            v5::Disconnect { reason_code: code, properties }.into()
        };
        self.push(out, [disconnect(reason_of(reason)), disconnect(None)]);
    }
}

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod again;
#[cfg(test)]
mod tests;
