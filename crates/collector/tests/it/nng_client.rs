//! A requester of the scalability protocols that says what a test says, byte by byte if need be, and the NNG door's part in the suite.

use std::sync::Arc;

use collector::{
    Ingest,
    nng::{self, Address, Listening},
};
use record::Result;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, DEADLINE, Door, bytes_to_close, spread};

/// The door on a free port of the loopback.
pub struct Replier {
    pub address: Address,
    pub shutdown: CancellationToken,
    running: tokio::sync::Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Replier {
    pub async fn start(ingest: Arc<Ingest>, config: nng::Config) -> Self {
        Self::start_at("tcp://127.0.0.1:0", ingest, config).await
    }

    pub async fn start_at(address: &str, ingest: Arc<Ingest>, config: nng::Config) -> Self {
        let listening = Listening::at(&address.parse().expect("an address")).await.expect("free");
        let address = listening.address().clone();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(nng::run(listening, ingest, config, shutdown.clone()));
        Self { address, shutdown, running: tokio::sync::Mutex::new(Some(running)) }
    }

    pub async fn ended(&self) {
        let running = self.running.lock().await.take().expect("waited for once");
        tokio::time::timeout(DEADLINE, running).await.expect("in time").expect("no panic").expect("no error");
    }

    pub async fn connect(&self) -> TcpStream {
        let Address::Tcp(address) = &self.address else { panic!("no TCP: {}", self.address) };
        TcpStream::connect(address).await.expect("the door listens")
    }

    /// A requester that has greeted.
    pub async fn requester(&self) -> Requester {
        let mut stream = self.connect().await;
        stream.write_all(GREETING).await.expect("written");
        let mut greeting = [0; 8];
        stream.read_exact(&mut greeting).await.expect("a greeting");
        assert_eq!(&greeting, b"\0SP\0\0\x31\0\0");
        Requester(stream)
    }
}

/// A requester's greeting.
pub const GREETING: &[u8; 8] = b"\0SP\0\0\x30\0\0";

pub struct Requester(pub TcpStream);

/// The tag of a request.
pub fn tag(id: u32) -> [u8; 4] {
    (id | 0x8000_0000).to_be_bytes()
}

/// A message: its length, tags and payload.
pub fn message(tags: &[u8], payload: &[u8]) -> Vec<u8> {
    [&((tags.len() + payload.len()) as u64).to_be_bytes()[..], tags, payload].concat()
}

/// A request's outcomes or its refusal.
pub fn answer_of(reply: &Value) -> Answer {
    match reply["outcomes"].as_array() {
        Some(runs) => Answer::Outcomes(spread(runs)),
        None => Answer::Refused(reply["code"].as_str().expect("a code").to_owned()),
    }
}

impl Requester {
    pub async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("written");
    }

    pub async fn ask(&mut self, id: u32, payload: impl AsRef<[u8]>) {
        self.write(&message(&tag(id), payload.as_ref())).await;
    }

    /// The next reply with the request's id; nothing when the connection is closed.
    pub async fn hear(&mut self) -> Option<(u32, Value)> {
        let hearing = async {
            let length = self.0.read_u64().await.ok()?;
            let id = self.0.read_u32().await.expect("a tag");
            assert!(id & 0x8000_0000 != 0, "the request's own tag is the last");
            let mut payload = vec![0; usize::try_from(length).expect("short") - 4];
            self.0.read_exact(&mut payload).await.expect("a whole reply");
            Some((id & 0x7fff_ffff, serde_json::from_slice(&payload).expect("JSON")))
        };
        tokio::time::timeout(DEADLINE, hearing).await.expect("in time")
    }

    /// What the next reply says, which must be that to this request.
    pub async fn answer(&mut self, id: u32) -> Answer {
        let (found, reply) = self.hear().await.expect("a reply");
        assert_eq!(found, id, "{reply}");
        answer_of(&reply)
    }

    pub async fn closed(&mut self) {
        assert_eq!(bytes_to_close(&mut self.0).await, b"", "the door says nothing more");
    }
}

/// The NNG door; each request has a connection of its own.
pub struct Nng {
    replier: Arc<Replier>,
    /// The topic of requests that name none.
    topic: String,
}

impl Door for Nng {
    const NAME: &'static str = "nng";

    async fn open(ingest: Arc<Ingest>) -> Self {
        let topic = ingest.topics().find(|topic| *topic == "events").or(ingest.topics().next()).expect("a topic").to_owned();
        let config = nng::Config { topic: topic.clone(), ..nng::Config::default() };
        Self { replier: Arc::new(Replier::start(ingest, config).await), topic }
    }

    async fn send(&self, topic: &str, records: &[Vec<u8>], credential: Option<&str>) -> Answer {
        let mut payload = Vec::new();
        if topic != self.topic {
            payload.extend_from_slice(format!("topic: {topic}\n").as_bytes());
        }
        if let Some(token) = credential {
            payload.extend_from_slice(format!("authorization: Bearer {token}\n").as_bytes());
        }
        payload.extend_from_slice(&records.join(&b'\n'));
        let mut requester = self.replier.requester().await;
        requester.ask(7, payload).await;
        requester.answer(7).await
    }

    async fn send_half(&self, _topic: &str, record: &[u8]) {
        let mut requester = self.replier.requester().await;
        let bytes = message(&tag(7), &[record, record].concat());
        requester.write(&bytes[..bytes.len() - record.len()]).await;
        requester.0.shutdown().await.expect("closed");
        requester.closed().await;
    }

    fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        self.replier.shutdown.cancel();
        let replier = Arc::clone(&self.replier);
        async move { replier.ended().await }
    }
}
