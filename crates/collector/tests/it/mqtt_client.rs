//! An MQTT client that says what a test says, byte by byte if need be, and the MQTT door's part in the suite.

use std::{net::SocketAddr, sync::Arc};

use collector::{Ingest, mqtt};
use mqtt_proto::{Pid, Protocol, QoS, QosPid, TopicName, v3, v5};
use record::Result;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Answer, DEADLINE, Door, bytes_to_close, spread},
    tls_client::{Certified, Wire, wire},
};

/// The door on a free port of the loopback.
pub struct Broker {
    pub address: SocketAddr,
    /// What it shows, where it speaks TLS.
    pub certified: Option<Certified>,
    pub shutdown: CancellationToken,
    running: tokio::sync::Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Broker {
    pub async fn start(ingest: Arc<Ingest>, config: mqtt::Config) -> Self {
        Self::start_over(ingest, config, None).await
    }

    /// With TLS, where there is a certificate.
    pub async fn start_over(ingest: Arc<Ingest>, config: mqtt::Config, certified: Option<Certified>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let running = match &certified {
            None => tokio::spawn(mqtt::run(listener, ingest, config, shutdown.clone())),
            Some(certified) => tokio::spawn(mqtt::run(certified.sockets(listener), ingest, config, shutdown.clone())),
        };
        Self { address, certified, shutdown, running: tokio::sync::Mutex::new(Some(running)) }
    }

    pub async fn ended(&self) {
        let running = self.running.lock().await.take().expect("waited for once");
        tokio::time::timeout(DEADLINE, running).await.expect("in time").expect("no panic").expect("no error");
    }

    /// A connection in the way that the door is spoken to.
    pub async fn connect(&self) -> Wire {
        wire(self.address, self.certified.as_ref(), &["mqtt"]).await
    }

    /// A client of MQTT 5 with a clean start.
    pub async fn v5(&self, client_id: &str) -> Client {
        self.let_in(&v5::Connect::new(client_id.into(), 60).into()).await.0
    }

    /// Connects with a CONNECT of MQTT 5; it must be let in. Gives the CONNACK too.
    pub async fn let_in(&self, connect: &v5::Packet) -> (Client, v5::Connack) {
        let mut client = Client { stream: self.connect().await, version: Protocol::V500 };
        client.say(connect).await;
        match client.hear().await {
            Heard::V5(v5::Packet::Connack(connack)) if connack.reason_code == v5::ConnectReasonCode::Success => (client, connack),
            other => panic!("not let in: {other:?}"),
        }
    }

    /// Connects with MQTT 3.1.1; gives whether a session was present too.
    pub async fn v3(&self, connect: v3::Connect) -> (Client, bool) {
        let mut client = Client { stream: self.connect().await, version: Protocol::V311 };
        client.say_v3(&connect.into()).await;
        match client.hear().await {
            Heard::V3(v3::Packet::Connack(connack)) => {
                assert_eq!(connack.code, v3::ConnectReturnCode::Accepted);
                (client, connack.session_present)
            }
            other => panic!("not let in: {other:?}"),
        }
    }
}

/// What the server says next.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
#[derive(Debug, PartialEq)]
pub enum Heard {
    V3(v3::Packet),
    V5(v5::Packet),
    /// The connection is closed.
    Gone,
}

pub struct Client {
    pub stream: Wire,
    pub version: Protocol,
}

pub fn pid(n: u16) -> Pid {
    Pid::try_from(n).expect("not 0")
}

pub fn name(topic: &str) -> TopicName {
    TopicName::try_from(topic).expect("a topic name")
}

pub fn qos_pid(qos: QoS, n: u16) -> QosPid {
    match qos {
        QoS::Level0 => QosPid::Level0,
        QoS::Level1 => QosPid::Level1(pid(n)),
        QoS::Level2 => QosPid::Level2(pid(n)),
    }
}

pub fn publish(topic: &str, qos: QoS, n: u16, payload: impl AsRef<[u8]>) -> v5::Publish {
    v5::Publish::new(qos_pid(qos, n), name(topic), payload.as_ref().to_vec().into())
}

pub fn publish_v3(topic: &str, qos: QoS, n: u16, payload: impl AsRef<[u8]>) -> v3::Packet {
    v3::Publish::new(qos_pid(qos, n), name(topic), payload.as_ref().to_vec().into()).into()
}

impl Client {
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("written");
    }

    pub async fn say(&mut self, packet: &v5::Packet) {
        self.write(packet.encode().expect("a packet").as_ref()).await;
    }

    pub async fn say_v3(&mut self, packet: &v3::Packet) {
        self.write(packet.encode().expect("a packet").as_ref()).await;
    }

    pub async fn publish(&mut self, topic: &str, qos: QoS, n: u16, payload: impl AsRef<[u8]>) {
        self.say(&publish(topic, qos, n, payload).into()).await;
    }

    /// The next packet, or the end.
    pub async fn hear(&mut self) -> Heard {
        let hearing = async {
            let mut packet = vec![0; 2];
            if self.stream.read_exact(&mut packet).await.is_err() {
                return Heard::Gone;
            }
            while packet.last().is_some_and(|byte| byte & 0x80 != 0) {
                packet.push(self.stream.read_u8().await.expect("a whole head"));
            }
            let length = packet[1..].iter().enumerate().map(|(index, byte)| usize::from(byte & 0x7f) << (7 * index)).sum::<usize>();
            let head = packet.len();
            packet.resize(head + length, 0);
            self.stream.read_exact(&mut packet[head..]).await.expect("a whole packet");
            match self.version {
                Protocol::V500 => Heard::V5(v5::Packet::decode(&packet).expect("MQTT 5").expect("whole")),
                _ => Heard::V3(v3::Packet::decode(&packet).expect("MQTT 3.1.1").expect("whole")),
            }
        };
        tokio::time::timeout(DEADLINE, hearing).await.expect("in time")
    }

    /// The code of the next acknowledgement, which must be that of this PUBLISH, and the first word of its reason.
    pub async fn acknowledged(&mut self, n: u16) -> (u8, String) {
        let (found, code, reason) = match self.hear().await {
            Heard::V5(v5::Packet::Puback(ack)) => (ack.pid, ack.reason_code as u8, ack.properties.reason_string),
            Heard::V5(v5::Packet::Pubrec(ack)) => (ack.pid, ack.reason_code as u8, ack.properties.reason_string),
            Heard::V3(v3::Packet::Puback(pid) | v3::Packet::Pubrec(pid)) => (pid, 0, None),
            other => panic!("no acknowledgement: {other:?}"),
        };
        assert_eq!(found.value(), n, "acknowledgements come in the order of the PUBLISHes");
        (code, first_word(reason.as_deref()))
    }

    /// Releases a PUBLISH of QoS 2; gives the code of its PUBCOMP.
    pub async fn release(&mut self, n: u16) -> u8 {
        if self.version == Protocol::V500 {
            self.say(&v5::Pubrel::new_success(pid(n)).into()).await;
        } else {
            self.say_v3(&v3::Packet::Pubrel(pid(n))).await;
        }
        match self.hear().await {
            Heard::V5(v5::Packet::Pubcomp(done)) if done.pid == pid(n) => done.reason_code as u8,
            Heard::V3(v3::Packet::Pubcomp(done)) if done == pid(n) => 0,
            other => panic!("no PUBCOMP: {other:?}"),
        }
    }

    /// The server ends the connection: the code of its DISCONNECT and the first word of its reason; in 3.1.1 it says nothing.
    pub async fn closed(&mut self) -> (u8, String) {
        let told = match self.hear().await {
            Heard::V5(v5::Packet::Disconnect(left)) => (left.reason_code as u8, first_word(left.properties.reason_string.as_deref())),
            Heard::Gone => return (0, String::new()),
            other => panic!("the connection goes on: {other:?}"),
        };
        assert_eq!(self.hear().await, Heard::Gone, "nothing comes after a DISCONNECT");
        told
    }
}

pub fn first_word(reason: Option<&str>) -> String {
    reason.unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
}

/// The MQTT door, over TLS or not, in version 5, which can say what becomes of each record. Each request is one PUBLISH of QoS 1 on a connection of its own.
pub struct Mqtt<const TLS: bool = false> {
    broker: Arc<Broker>,
}

impl<const TLS: bool> Door for Mqtt<TLS> {
    const NAME: &'static str = "mqtt";

    async fn open(ingest: Arc<Ingest>) -> Self {
        Self { broker: Arc::new(Broker::start_over(ingest, mqtt::Config::default(), TLS.then(Certified::new)).await) }
    }

    async fn send(&self, topic: &str, records: &[Vec<u8>], credential: Option<&str>) -> Answer {
        let mut connect = v5::Connect::new("".into(), 60);
        connect.password = credential.map(|token| token.as_bytes().to_vec().into());
        let mut client = Client { stream: self.broker.connect().await, version: Protocol::V500 };
        client.say(&connect.into()).await;
        match client.hear().await {
            Heard::V5(v5::Packet::Connack(connack)) if connack.reason_code == v5::ConnectReasonCode::Success => {}
            Heard::V5(v5::Packet::Connack(connack)) => return Answer::Refused(first_word(connack.properties.reason_string.as_deref())),
            other => panic!("no CONNACK: {other:?}"),
        }
        let packet: v5::Packet = publish(topic, QoS::Level1, 1, records.join(&b'\n')).into();
        // A server that closes before it has read all is right to: what it says is still there to be read.
        let _closed = client.stream.write_all(packet.encode().expect("a packet").as_ref()).await;
        match client.hear().await {
            Heard::V5(v5::Packet::Puback(ack)) => {
                let word = first_word(ack.properties.reason_string.as_deref());
                let outcomes = ack.properties.user_properties.iter().find(|property| &*property.name == "outcomes");
                match (outcomes, ack.reason_code) {
                    (None, v5::PubackReasonCode::Success) => Answer::Outcomes(vec![("stored".to_owned(), None); records.len()]),
                    (Some(outcomes), code) => {
                        assert!(code as u8 >= 0x80, "what is not all stored is no success");
                        let runs: Vec<Value> = serde_json::from_str(&outcomes.value).expect("JSON");
                        Answer::Outcomes(spread(&runs))
                    }
                    (None, _) => Answer::Refused(word),
                }
            }
            Heard::V5(v5::Packet::Disconnect(left)) => {
                assert!(left.reason_code as u8 >= 0x80);
                Answer::Refused(first_word(left.properties.reason_string.as_deref()))
            }
            other => panic!("neither an answer nor a reason: {other:?}"),
        }
    }

    async fn send_half(&self, topic: &str, record: &[u8]) {
        let mut client = self.broker.v5("").await;
        let packet: v5::Packet = publish(topic, QoS::Level1, 1, [record, record].concat()).into();
        let bytes = packet.encode().expect("a packet").as_ref().to_vec();
        client.write(&bytes[..bytes.len() - record.len()]).await;
        client.stream.shutdown().await.expect("closed");
        assert_eq!(bytes_to_close(&mut client.stream).await, b"", "half a packet has no answer");
    }

    fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        self.broker.shutdown.cancel();
        let broker = Arc::clone(&self.broker);
        async move { broker.ended().await }
    }
}
