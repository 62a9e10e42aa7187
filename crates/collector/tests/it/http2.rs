//! HTTP/2 by prior knowledge, and with TLS by agreement: the suite of all doors over it, and peers that mean no good.

use std::{sync::Arc, time::Duration};

use axum::http::Request;
use bytes::Bytes;
use collector::{Ingest, http, server};
use h2::client::SendRequest;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

use crate::{
    client::{Answer, DEADLINE, Door, Server, answer_of, app},
    rigged::{Rigged, ingest},
    tls_client::Certified,
};

/// The HTTP door over HTTP/2, with TLS or not.
pub struct Http2<const TLS: bool = false> {
    server: Arc<Server>,
}

type Running = JoinHandle<Result<(), h2::Error>>;

async fn connect(server: &Server, builder: &h2::client::Builder) -> (SendRequest<Bytes>, Running) {
    let (client, connection) = builder.handshake(server.wire(&["h2"]).await).await.expect("HTTP/2");
    (client, tokio::spawn(connection))
}

fn request(topic: &str) -> axum::http::request::Builder {
    Request::post(format!("http://a/v1/records/{topic}")).header("content-type", "application/x-ndjson")
}

/// Sends one request and reads its answer.
async fn post(client: SendRequest<Bytes>, request: Request<()>, body: Vec<u8>) -> Result<(u16, Value), h2::Error> {
    let (response, mut sending) = client.ready().await?.send_request(request, false)?;
    // Refused before it was read: the answer says why.
    let _refused = sending.send_data(body.into(), true);
    let response = response.await?;
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let mut whole = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        whole.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok((status, serde_json::from_slice(&whole).unwrap_or_default()))
}

impl<const TLS: bool> Door for Http2<TLS> {
    const NAME: &'static str = "http";

    async fn open(ingest: Arc<Ingest>) -> Self {
        let app = app(ingest, http::Config::default());
        Self { server: Arc::new(Server::start_over(app, server::Config::default(), TLS.then(Certified::new)).await) }
    }

    async fn send(&self, topic: &str, records: &[Vec<u8>], credential: Option<&str>) -> Answer {
        let mut request = request(topic);
        if let Some(token) = credential {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (client, _running) = connect(&self.server, &h2::client::Builder::new()).await;
        let (status, body) = post(client, request.body(()).expect("a request"), records.join(&b'\n')).await.expect("an answer");
        answer_of(status < 400, &body)
    }

    async fn send_half(&self, topic: &str, record: &[u8]) {
        let (client, running) = connect(&self.server, &h2::client::Builder::new()).await;
        let (response, mut sending) =
            client.ready().await.expect("open").send_request(request(topic).body(()).expect("a request"), false).expect("sent");
        sending.send_data(Bytes::copy_from_slice(record), false).expect("sent");
        sending.send_reset(h2::Reason::CANCEL);
        assert!(response.await.is_err(), "half a body is no success");
        running.abort();
    }

    fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        self.server.shutdown.cancel();
        let server = Arc::clone(&self.server);
        async move { server.ended().await }
    }
}

async fn start(queue: &Arc<Rigged>, config: server::Config) -> Server {
    Server::start(app(ingest(queue).0, http::Config { body_timeout_ms: 200, ..http::Config::default() }), config).await
}

fn good() -> (Request<()>, Vec<u8>) {
    (request("events").body(()).expect("a request"), b"{}".to_vec())
}

async fn assert_serves(server: &Server) {
    let (client, _running) = connect(server, &h2::client::Builder::new()).await;
    let (request, body) = good();
    assert_eq!(post(client, request, body).await.expect("an answer").0, 200);
}

/// Whoever sends nothing, or stops in mid-word, loses its place. Seen to fail when `Server::serve_http2` does not ask
/// `Activity::idle`, and (for the first two) without a time-out around `first_bytes`.
#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_cut_off() {
    let queue = Rigged::new();
    let config = server::Config { header_timeout_ms: 100, shutdown_timeout_ms: 100, ..server::Config::default() };
    let server = start(&queue, config).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The head of a request whose end (END_HEADERS) does not come.
    let half_a_head = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x83];
    let begun = [b"P".to_vec(), b"PRI".to_vec(), preface[..10].to_vec(), preface.to_vec()];
    let later = [[&preface[..], &settings].concat(), [&preface[..], &settings, &half_a_head].concat()];
    for bytes in begun.into_iter().chain(later) {
        let mut stream = server.connect().await;
        stream.write_all(&bytes).await.expect("written");
        let mut said = Vec::new();
        // A reset is as good an end as any.
        let _ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said)).await.expect("the server closes");
    }
    assert_serves(&server).await;
}

#[tokio::test]
async fn a_connection_that_works_is_not_cut_off() {
    let queue = Rigged::new();
    let server = start(&queue, server::Config { header_timeout_ms: 100, ..server::Config::default() }).await;
    let (client, _running) = connect(&server, &h2::client::Builder::new()).await;
    queue.set(|rig| rig.holds = true);
    let (request, body) = good();
    let waiting = tokio::spawn(post(client.clone(), request, body));
    queue.wait_for_appends(1).await;
    // Far longer than a connection may idle: the server has not done its part.
    tokio::time::sleep(Duration::from_millis(500)).await;
    queue.set(|rig| rig.holds = false);
    assert_eq!(waiting.await.expect("no panic").expect("an answer").0, 200);
}

/// The write time-out sees no such peer: its socket takes everything. Seen to fail when `Activity` counts an answer as ours until
/// it is gone.
#[tokio::test]
async fn a_peer_that_lets_no_answer_flow_loses_its_place() {
    let queue = Rigged::new();
    let config = server::Config { header_timeout_ms: 100, shutdown_timeout_ms: 100, connections_max: Some(1), ..server::Config::default() };
    let server = start(&queue, config).await;
    let (client, running) = connect(&server, h2::client::Builder::new().initial_window_size(0)).await;
    let (request, body) = good();
    let stuck = tokio::spawn(post(client, request, body));
    tokio::time::timeout(DEADLINE, running).await.expect("the server closes").expect("no panic").ok();
    assert!(stuck.await.expect("no panic").is_err());
    assert_serves(&server).await;
}

#[tokio::test]
async fn a_body_that_trickles_is_told_so() {
    let queue = Rigged::new();
    let server = start(&queue, server::Config::default()).await;
    let (client, _running) = connect(&server, &h2::client::Builder::new()).await;
    let (response, mut sending) = client.clone().ready().await.expect("open").send_request(good().0, false).expect("sent");
    sending.send_data(Bytes::from_static(b"{}"), false).expect("sent");
    assert_eq!(response.await.expect("an answer").status().as_u16(), 408);
    assert_eq!(queue.appends_begun(), 0);
    // The connection goes on.
    let (request, body) = good();
    assert_eq!(post(client, request, body).await.expect("an answer").0, 200);
}

#[tokio::test]
async fn heads_and_streams_are_bounded() {
    let queue = Rigged::new();
    let server = start(&queue, server::Config { streams_max: 3, ..server::Config::default() }).await;
    let (client, _running) = connect(&server, &h2::client::Builder::new()).await;
    let (request, body) = good();
    assert_eq!(post(client.clone(), request, body).await.expect("an answer").0, 200);
    assert_eq!(client.current_max_send_streams(), 3);
    let huge = request_with_field(20_000);
    let refused = post(client, huge, b"{}".to_vec()).await;
    assert!(refused.as_ref().map_or(true, |(status, _)| *status == 431), "{refused:?}");
    assert_eq!(queue.stored().len(), 1);
    assert_serves(&server).await;
}

fn request_with_field(length: usize) -> Request<()> {
    request("events").header("x", "y".repeat(length)).body(()).expect("a request")
}

/// Requests that are taken back at once cost their sender the connection, or nothing but themselves.
#[tokio::test]
async fn rapid_resets_do_not_stop_the_others() {
    let queue = Rigged::new();
    let server = start(&queue, server::Config::default()).await;
    let (mut client, _running) = connect(&server, &h2::client::Builder::new()).await;
    for _ in 0..20_000 {
        let Ok(ready) = client.ready().await else { break };
        client = ready;
        let Ok((_, mut sending)) = client.send_request(good().0, false) else { break };
        sending.send_reset(h2::Reason::CANCEL);
    }
    assert_serves(&server).await;
    assert_eq!(queue.stored().len(), 1);
}
