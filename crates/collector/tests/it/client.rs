//! What a door must offer to be put through the conformance suite, and the ways of the HTTP and the WebSocket door.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use collector::{Ingest, http, server, websocket};
use futures::{SinkExt, StreamExt};
use record::Result;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, protocol::Role},
};
use tokio_util::sync::CancellationToken;

use crate::tls_client::{Certified, Wire, wire};

/// No test waits longer for anything: a failure, not a measure.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What a sender was told.
#[derive(Debug)]
pub enum Answer {
    /// Of each index: `stored`, `retry`, or the rejection's tag, and the receipt or pointer.
    Outcomes(Vec<(String, Option<String>)>),
    /// Nothing of the request was stored, for this reason in one word.
    Refused(String),
}

impl Answer {
    pub fn words(self) -> Vec<String> {
        match self {
            Self::Outcomes(outcomes) => outcomes.into_iter().map(|(word, _)| word).collect(),
            Self::Refused(code) => panic!("outcomes were expected, found {code}"),
        }
    }

    pub fn refusal(self) -> String {
        match self {
            Self::Refused(code) => code,
            Self::Outcomes(outcomes) => panic!("a refusal was expected, found {outcomes:?}"),
        }
    }
}

/// A door with one client. Everything in the suite goes through here.
pub trait Door: Sized + Send + Sync + 'static {
    /// The door's name, as it stands in the records.
    const NAME: &'static str;

    fn open(ingest: Arc<Ingest>) -> impl Future<Output = Self> + Send;

    /// Sends records in one request; each is bytes, which may be nonsense.
    fn send(&self, topic: &str, records: &[Vec<u8>], credential: Option<&str>) -> impl Future<Output = Answer> + Send;

    /// Sends the first half of a request with this record, goes away, and waits until the door has noticed.
    fn send_half(&self, topic: &str, record: &[u8]) -> impl Future<Output = ()> + Send;

    /// Begins to shut down. The future resolves when the door has closed.
    fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static;
}

/// The HTTP door as the server has it: asked before its routes.
pub fn app(ingest: Arc<Ingest>, config: http::Config) -> server::App {
    let records = http::Records::new(ingest, config);
    server::App::new(records.clone(), records.router())
}

/// A server on a free port of the loopback.
pub struct Server {
    pub address: SocketAddr,
    /// What it shows, where it speaks TLS.
    pub certified: Option<Certified>,
    pub shutdown: CancellationToken,
    pub running: tokio::sync::Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Server {
    pub async fn start(app: impl Into<server::App> + Send + 'static, config: server::Config) -> Self {
        Self::start_over(app, config, None).await
    }

    /// With TLS, where there is a certificate.
    pub async fn start_over(app: impl Into<server::App> + Send + 'static, config: server::Config, certified: Option<Certified>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let running = match &certified {
            None => tokio::spawn(server::run(listener, app, config, shutdown.clone())),
            Some(certified) => tokio::spawn(server::run(certified.sockets(listener), app, config, shutdown.clone())),
        };
        Self { address, certified, shutdown, running: tokio::sync::Mutex::new(Some(running)) }
    }

    pub async fn ended(&self) {
        let running = self.running.lock().await.take().expect("waited for once");
        tokio::time::timeout(DEADLINE, running).await.expect("in time").expect("no panic").expect("no error");
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the server listens")
    }

    /// A connection in the way that the server is spoken to.
    pub async fn wire(&self, protocols: &[&str]) -> Wire {
        wire(self.address, self.certified.as_ref(), protocols).await
    }

    /// Writes bytes on a connection of its own and reads until the server closes it.
    pub async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.expect("written");
        read_to_close(&mut stream).await
    }
}

/// All that the server still says on a connection, as text.
pub async fn read_to_close(stream: &mut (impl AsyncRead + Unpin)) -> String {
    String::from_utf8(bytes_to_close(stream).await).expect("UTF-8")
}

/// All that the server still says on a connection. A reset counts as its end.
pub async fn bytes_to_close(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(count) = stream.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("the server closes the connection");
    all
}

/// The HTTP door.
pub struct Http {
    server: Arc<Server>,
    client: reqwest::Client,
}

impl Door for Http {
    const NAME: &'static str = "http";

    async fn open(ingest: Arc<Ingest>) -> Self {
        let app = app(ingest, http::Config::default());
        let server = Arc::new(Server::start(app, server::Config::default()).await);
        Self { server, client: reqwest::Client::new() }
    }

    async fn send(&self, topic: &str, records: &[Vec<u8>], credential: Option<&str>) -> Answer {
        let url = format!("http://{}/v1/records/{topic}", self.server.address);
        let mut request = self.client.post(url).header("content-type", "application/x-ndjson").body(records.join(&b'\n'));
        if let Some(token) = credential {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        let success = response.status().is_success();
        let body: Value = response.json().await.expect("JSON");
        answer_of(success, &body)
    }

    async fn send_half(&self, topic: &str, record: &[u8]) {
        let mut stream = self.server.connect().await;
        let head = format!("POST /v1/records/{topic} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 2 * record.len());
        stream.write_all(head.as_bytes()).await.expect("written");
        stream.write_all(record).await.expect("written");
        stream.shutdown().await.expect("closed");
        let said = read_to_close(&mut stream).await;
        assert!(!said.starts_with("HTTP/1.1 2"), "half a body is no success: {said}");
    }

    fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        self.server.shutdown.cancel();
        let server = Arc::clone(&self.server);
        async move { server.ended().await }
    }
}

/// The client's side of a WebSocket.
pub struct Socket(pub WebSocketStream<Wire>);

/// What a WebSocket says next.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// An answer to a message.
    Answer(Value),
    /// The server closes: the code, and the first word of the reason.
    Closed(u16, String),
    /// The connection is gone without a word.
    Gone,
}

impl Socket {
    /// Asks for an upgrade, with further fields of the head; gives the head of the answer with the socket, or status and problem.
    pub async fn open(server: &Server, topic: &str, fields: &[(&str, &str)]) -> Result<(Self, String), (u16, Value)> {
        let mut stream = server.wire(&["http/1.1"]).await;
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "GET /v1/stream/{topic} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n",
            server.address
        );
        stream.write_all(head.as_bytes()).await.expect("written");
        let mut head = Vec::new();
        // The server says nothing beyond the head before it is spoken to, so that no byte of a frame is lost.
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8(head).expect("UTF-8").to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        if status == 101 {
            return Ok((Self(WebSocketStream::from_raw_socket(stream, Role::Client, None).await), head));
        }
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok()).expect("a length");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.expect("the whole body");
        Err((status, serde_json::from_slice(&body).expect("JSON")))
    }

    /// Opens a socket that must open.
    pub async fn events(server: &Server) -> Self {
        Self::open(server, "events", &[]).await.unwrap_or_else(|refused| panic!("{refused:?}")).0
    }

    pub async fn say(&mut self, message: &str) {
        self.0.send(Message::text(message)).await.expect("sent");
    }

    /// The next answer, or the end. Pings are answered on the way.
    pub async fn hear(&mut self) -> Said {
        let hearing = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return Said::Answer(serde_json::from_str(&text).expect("JSON")),
                    Some(Ok(Message::Close(Some(frame)))) => {
                        let word = frame.reason.split(':').next().unwrap_or_default();
                        return Said::Closed(frame.code.into(), word.to_owned());
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(other)) => panic!("not expected: {other:?}"),
                    Some(Err(Error::Io(_) | Error::Protocol(_))) | None => return Said::Gone,
                    Some(Err(error)) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(DEADLINE, hearing).await.expect("in time")
    }

    /// The outcome of each index of the next answer, which must be that of this message.
    pub async fn words(&mut self, seq: u64) -> Vec<String> {
        match self.hear().await {
            Said::Answer(answer) => {
                assert_eq!(answer["seq"], seq, "{answer}");
                spread(answer["outcomes"].as_array().expect("outcomes")).into_iter().map(|(word, _)| word).collect()
            }
            other => panic!("an answer was expected, found {other:?}"),
        }
    }
}

/// The WebSocket door, over TLS or not; each request is a connection's first message.
pub struct WebSocket<const TLS: bool = false> {
    server: Arc<Server>,
}

impl<const TLS: bool> Door for WebSocket<TLS> {
    const NAME: &'static str = "websocket";

    async fn open(ingest: Arc<Ingest>) -> Self {
        let app = websocket::router(ingest, websocket::Config::default());
        Self { server: Arc::new(Server::start_over(app, server::Config::default(), TLS.then(Certified::new)).await) }
    }

    async fn send(&self, topic: &str, records: &[Vec<u8>], credential: Option<&str>) -> Answer {
        let bearer = credential.map(|token| format!("Bearer {token}"));
        let fields: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let mut socket = match Socket::open(&self.server, topic, &fields).await {
            Ok((socket, _)) => socket,
            Err((_, problem)) => return Answer::Refused(problem["code"].as_str().expect("a code").to_owned()),
        };
        let message = match String::from_utf8(records.join(&b'\n')) {
            Ok(text) => Message::text(text),
            Err(error) => Message::binary(error.into_bytes()),
        };
        // A server that closes before it has read all is right to: what it says is still there to be read.
        let _closed = socket.0.send(message).await;
        match socket.hear().await {
            Said::Answer(answer) => {
                assert_eq!(answer["seq"], 0);
                match answer["outcomes"].as_array() {
                    Some(runs) => Answer::Outcomes(spread(runs)),
                    None => Answer::Refused(answer["code"].as_str().expect("a code").to_owned()),
                }
            }
            Said::Closed(code, word) => {
                assert_ne!(code, 1000, "no success without an answer");
                Answer::Refused(word)
            }
            Said::Gone => panic!("neither an answer nor a reason"),
        }
    }

    async fn send_half(&self, topic: &str, record: &[u8]) {
        let (socket, _) = Socket::open(&self.server, topic, &[]).await.expect("an upgrade");
        let mut stream = socket.0.into_inner();
        // The head of a text frame of twice the length, with a mask that changes nothing.
        let length = u16::try_from(2 * record.len()).expect("short").to_be_bytes();
        let head = [0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
        stream.write_all(&[&head[..], record].concat()).await.expect("written");
        stream.shutdown().await.expect("closed");
        assert_eq!(bytes_to_close(&mut stream).await, b"", "half a message has no answer");
    }

    fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        self.server.shutdown.cancel();
        let server = Arc::clone(&self.server);
        async move { server.ended().await }
    }
}

/// What the HTTP door answered: outcomes, or a problem, which is no success.
pub fn answer_of(is_success: bool, body: &Value) -> Answer {
    match body["outcomes"].as_array() {
        Some(runs) => Answer::Outcomes(spread(runs)),
        None => {
            assert!(!is_success, "{body}");
            Answer::Refused(body["code"].as_str().expect("a code").to_owned())
        }
    }
}

/// Runs → one outcome for each index. Fails when an index is missing or there twice (promise C1).
pub fn spread(runs: &[Value]) -> Vec<(String, Option<String>)> {
    let mut outcomes = Vec::new();
    for run in runs {
        let (from, to) = (run["from"].as_u64().expect("from"), run["to"].as_u64().expect("to"));
        assert_eq!(from, outcomes.len() as u64, "a run begins where the one before ended: {runs:?}");
        assert!(from <= to, "{run}");
        for index in from..=to {
            outcomes.push(match run["outcome"].as_str().expect("outcome") {
                "stored" => {
                    let (partition, offset) = run["receipt"].as_str().expect("a receipt").rsplit_once(':').expect("<partition>:<offset>");
                    let offset: u64 = offset.parse().expect("an offset");
                    ("stored".to_owned(), Some(format!("{partition}:{}", offset + index - from)))
                }
                "rejected" => {
                    assert!(!run["message"].as_str().expect("a message").is_empty());
                    (run["tag"].as_str().expect("a tag").to_owned(), run["pointer"].as_str().map(str::to_owned))
                }
                "retry" => {
                    assert!(run["retry_after_ms"].as_u64().expect("a time") > 0);
                    ("retry".to_owned(), None)
                }
                other => panic!("no such outcome: {other}"),
            });
        }
    }
    outcomes
}
