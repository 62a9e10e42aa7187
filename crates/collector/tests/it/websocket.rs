//! What is the WebSocket door's alone: upgrades, answers in order, back-pressure, silence, the ends.

use std::sync::Arc;

use bytes::Bytes;
use collector::{server, websocket};
use futures::SinkExt;
use record::ErrorKind;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Duration, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::{
    client::{DEADLINE, Said, Server, Socket, bytes_to_close},
    rigged::{Rigged, answer, ingest, ingest_with_tokens, token},
};

async fn start(queue: &Arc<Rigged>, door: websocket::Config, config: server::Config) -> Server {
    Server::start(websocket::router(ingest(queue).0, door), config).await
}

async fn start_plain(queue: &Arc<Rigged>) -> Server {
    start(queue, websocket::Config::default(), server::Config::default()).await
}

/// The number in a record.
fn number(payload: &Bytes) -> i64 {
    serde_json::from_slice::<Value>(payload).expect("JSON")["n"].as_i64().expect("a number")
}

/// Numbers in the stored records, in order.
fn numbers(queue: &Rigged) -> Vec<i64> {
    queue.stored().iter().map(|record| number(&record.payload)).collect()
}

/// A frame of a client, with a mask that changes nothing.
fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("short");
    [&[first_byte, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn each_message_has_an_answer_of_fixed_form() {
    let queue = Rigged::new();
    let server = start_plain(&queue).await;
    let mut socket = Socket::events(&server).await;
    socket.say("[{\"a\":1},{\"a\":2},3]").await;
    let stored = json!({"seq": 0, "durability": "memory", "outcomes": [
        {"from": 0, "to": 1, "outcome": "stored", "receipt": "memory/0:0"},
        {"from": 2, "to": 2, "outcome": "rejected", "tag": "not_an_object",
         "message": "expected a JSON object, found a number (byte 17 of the body)"},
    ]});
    assert_eq!(socket.hear().await, Said::Answer(stored));
    socket.say(" ").await;
    let Said::Answer(refused) = socket.hear().await else { panic!("an answer was expected") };
    assert_eq!((&refused["seq"], &refused["code"]), (&json!(1), &json!("no_record")));
    assert!(refused["detail"].as_str().is_some_and(|detail| !detail.is_empty()) && refused.get("outcomes").is_none());
    // The connection goes on, and counts that one.
    socket.say("{}").await;
    assert_eq!(socket.words(2).await, ["stored"]);
}

/// Seen to fail when answers come as they are ready (`FuturesUnordered`).
#[tokio::test]
async fn many_messages_in_flight_keep_their_order() {
    let queue = Rigged::new();
    let server = start_plain(&queue).await;
    let mut socket = Socket::events(&server).await;
    queue.set(|rig| rig.holds = true);
    for n in 0..50 {
        socket.say(&if n % 7 == 3 { "7".to_owned() } else { format!("{{\"n\":{n}}}") }).await;
    }
    let good: Vec<i64> = (0..50).filter(|n| n % 7 != 3).collect();
    queue.wait_for_appends(50).await;
    queue.set(|rig| rig.holds = false);
    for n in 0..50 {
        assert_eq!(socket.words(n).await, [if n % 7 == 3 { "not_an_object" } else { "stored" }]);
    }
    assert_eq!(queue.asked().iter().map(number).collect::<Vec<_>>(), good, "what is kept of the others left out");
    assert_eq!(queue.stored().len(), good.len());
}

#[tokio::test]
async fn a_message_in_pieces_is_one_message() {
    let queue = Rigged::new();
    let server = start_plain(&queue).await;
    let mut socket = Socket::events(&server).await;
    let text = "{\"a\":\"ſ\"}".as_bytes();
    // The first piece ends within a letter, and a ping comes in between.
    for (at, kind) in [(0, Data::Text), (7, Data::Continue)] {
        let piece = if at == 0 { &text[..7] } else { &text[7..] };
        let piece = Frame::message(piece.to_vec(), OpCode::Data(kind), at > 0);
        socket.0.send(Message::Frame(piece)).await.expect("sent");
        socket.0.send(Message::Ping("there?".into())).await.expect("sent");
    }
    assert_eq!(socket.words(0).await, ["stored"]);
    socket.0.send(Message::binary(text.to_vec())).await.expect("sent");
    assert_eq!(socket.words(1).await, ["stored"]);
    assert!(queue.stored().iter().all(|record| record.payload == text));
}

#[tokio::test]
async fn whoever_may_not_connect_is_told_why() {
    let queue = Rigged::new();
    let server = start_plain(&queue).await;
    for (field, value, status, code) in [
        ("authorization", "Basic YTpi", 401, "not_bearer"),
        ("origin", "http://evil.example", 403, "foreign_origin"),
        ("origin", "null", 403, "foreign_origin"),
        ("sec-websocket-protocol", "mqtt", 400, "bad_subprotocols"),
    ] {
        let refused = Socket::open(&server, "events", &[(field, value)]).await.err().expect("a refusal");
        assert_eq!((refused.0, refused.1["code"].as_str()), (status, Some(code)));
    }
    let plain = reqwest::get(format!("http://{}/v1/stream/events", server.address)).await.expect("an answer");
    assert_eq!((plain.status().as_u16(), plain.headers()["upgrade"].to_str().ok()), (426, Some("websocket")));
    assert_eq!(plain.headers()["content-type"], "application/problem+json");
    let own = format!("http://{}", server.address);
    assert!(Socket::open(&server, "events", &[("origin", &own)]).await.is_ok());
}

#[tokio::test]
async fn a_browsers_credential_comes_with_the_subprotocols() {
    let queue = Rigged::new();
    let (ingest, witness) = ingest(&queue);
    let server = Server::start(websocket::router(ingest, websocket::Config::default()), server::Config::default()).await;
    let fields = [("sec-websocket-protocol", "crowdread.v1, bearer.secret")];
    let (mut socket, head) = Socket::open(&server, "answers", &fields).await.expect("an upgrade");
    assert!(head.contains("sec-websocket-protocol: crowdread.v1\r\n") && !head.contains("secret"), "{head}");
    socket.say(&answer().to_string()).await;
    assert_eq!(socket.words(0).await, ["stored"]);
    assert_eq!(*witness.0.lock().expect("no panic"), [Some("secret".into())]);
}

/// Seen to fail without the bounds in `is_full`: all messages are appended at once.
#[tokio::test]
async fn a_bounded_number_of_messages_and_records_is_in_flight() {
    for (messages, records, each) in [(2, 1_000, 1), (1_000, 6, 3)] {
        let queue = Rigged::new();
        let door = websocket::Config { in_flight_messages_max: messages, in_flight_records_max: records, ..websocket::Config::default() };
        let server = start(&queue, door, server::Config::default()).await;
        let mut socket = Socket::events(&server).await;
        queue.set(|rig| rig.holds = true);
        for _ in 0..10 {
            socket.say(&"{}\n".repeat(each)).await;
        }
        queue.wait_for_appends(2).await;
        // A sender whose message is not read yet cannot be told from one whose message is about to be.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(queue.appends_begun(), 2);
        queue.set(|rig| rig.holds = false);
        for seq in 0..10 {
            assert_eq!(socket.words(seq).await.len(), each);
        }
    }
}

/// Seen to fail when answers are written without a time-out: the place stays taken until the server's own one, half a minute later.
#[tokio::test]
async fn a_sender_who_reads_no_answers_is_not_read_from_and_then_closed() {
    let queue = Rigged::new();
    let door = websocket::Config { answer_timeout_ms: 200, close_timeout_ms: 60_000, ..websocket::Config::default() };
    let server = start(&queue, door, server::Config::default()).await;
    let mut socket = Socket::events(&server).await;
    // Each index has its own message, so that the answers are much larger than what they answer.
    let message = "7\n".repeat(5_000);
    let mut sent = 0;
    while timeout(Duration::from_secs(2), socket.0.send(Message::text(message.as_str()))).await.is_ok_and(|sent| sent.is_ok()) {
        sent += 1;
    }
    let mut seq = 0;
    loop {
        match socket.hear().await {
            Said::Answer(answer) => assert_eq!(answer["seq"], seq),
            said => break assert_eq!(said, Said::Closed(1008, "too_slow".to_owned())),
        }
        seq += 1;
    }
    assert!(seq < sent, "{seq} of {sent} messages have an answer");
    assert_eq!(queue.stored().len(), 0, "there was nothing to store");
}

#[tokio::test]
async fn the_longest_answer_comes_whole() {
    let queue = Rigged::new();
    let server = start_plain(&queue).await;
    let mut socket = Socket::events(&server).await;
    socket.say(&"\"ſ\"\n".repeat(10_000)).await;
    assert_eq!(socket.words(0).await, vec!["not_an_object"; 10_000]);
}

#[tokio::test]
async fn a_message_that_trickles_is_closed_and_stores_nothing() {
    let queue = Rigged::new();
    let door = websocket::Config { message_timeout_ms: 100, close_timeout_ms: 100, ..websocket::Config::default() };
    let server = start(&queue, door, server::Config::default()).await;
    let mut socket = Socket::events(&server).await;
    let piece = Frame::message("{\"a\":".to_owned(), OpCode::Data(Data::Text), false);
    socket.0.send(Message::Frame(piece)).await.expect("sent");
    let pinging = async {
        // Pings in between do not buy time.
        while socket.0.send(Message::Ping("".into())).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, pinging).await.expect("the server closes");
    let mut socket = Socket::events(&server).await;
    socket.0.send(Message::Frame(Frame::message("{".to_owned(), OpCode::Data(Data::Text), false))).await.expect("sent");
    assert_eq!(socket.hear().await, Said::Closed(1008, "body_too_slow".to_owned()));
    assert_eq!(queue.appends_begun(), 0);
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays_and_a_silent_one_goes() {
    let queue = Rigged::new();
    let door = websocket::Config { ping_interval_ms: 20, pong_timeout_ms: 2_000, ..websocket::Config::default() };
    let server = start(&queue, door, server::Config::default()).await;
    let mut silent = Socket::events(&server).await.0.into_inner();
    let mut alive = Socket::events(&server).await;
    let said = bytes_to_close(&mut silent);
    tokio::pin!(said);
    let said = tokio::select! {
        said = &mut said => said,
        said = alive.hear() => panic!("{said:?}"),
    };
    assert_eq!(&said[..4], [0x89, 0, 0x88, said[3]], "one ping, and a close frame");
    assert_eq!(u16::from_be_bytes([said[4], said[5]]), 1008);
    alive.say("{}").await;
    assert_eq!(alive.words(0).await, ["stored"]);
}

/// Seen to fail when the stream is not metered: every message is taken.
#[tokio::test]
async fn messages_under_way_share_one_bounded_room() {
    let queue = Rigged::new();
    let door = websocket::Config { messages_bytes_max: 64 * 1024, ..websocket::Config::default() };
    let server = start(&queue, door, server::Config::default()).await;
    let mut first = Socket::events(&server).await;
    first.0.send(Message::Frame(Frame::message(" ".repeat(60_000), OpCode::Data(Data::Text), false))).await.expect("sent");
    let large = || format!("{{}}{}", " ".repeat(10_000));
    // The room is taken once the first piece has been read: until then the other is answered.
    let full = async {
        loop {
            let mut other = Socket::events(&server).await;
            other.say(&large()).await;
            match other.hear().await {
                Said::Answer(_) => {}
                said => return said,
            }
        }
    };
    assert_eq!(timeout(DEADLINE, full).await.expect("the room fills"), Said::Closed(1013, "unavailable".to_owned()));
    // Small messages need no room.
    let mut small = Socket::events(&server).await;
    small.say("{}").await;
    assert_eq!(small.words(0).await, ["stored"]);
    first.0.send(Message::Frame(Frame::message("{}".to_owned(), OpCode::Data(Data::Continue), true))).await.expect("sent");
    assert_eq!(first.words(0).await, ["stored"]);
    drop(first);
    let free = async {
        loop {
            let mut other = Socket::events(&server).await;
            other.say(&large()).await;
            if matches!(other.hear().await, Said::Answer(_)) {
                return;
            }
        }
    };
    timeout(DEADLINE, free).await.expect("the room is free again");
}

/// Seen to fail when an upgraded connection does not take its place along: the second one is served while the first is open.
#[tokio::test]
async fn sockets_count_as_connections() {
    let queue = Rigged::new();
    let server =
        start(&queue, websocket::Config::default(), server::Config { connections_max: Some(1), ..server::Config::default() }).await;
    let mut first = Socket::events(&server).await;
    first.say("{}").await;
    assert_eq!(first.words(0).await, ["stored"]);
    let second = Socket::events(&server);
    tokio::pin!(second);
    assert!(timeout(Duration::from_millis(50), &mut second).await.is_err(), "the only place is taken");
    first.0.close(None).await.expect("closed");
    let mut second = timeout(DEADLINE, second).await.expect("the place is free");
    second.say("{}").await;
    assert_eq!(second.words(0).await, ["stored"]);
}

/// C1, Q2. Seen to fail when the conversation ends as soon as shutdown begins: the held message has no answer.
#[tokio::test]
async fn shutdown_closes_idle_sockets_at_once_and_others_after_their_answers() {
    let queue = Rigged::new();
    let server = start_plain(&queue).await;
    let (mut idle, mut busy) = (Socket::events(&server).await, Socket::events(&server).await);
    queue.set(|rig| rig.holds = true);
    busy.say("{\"n\":1}").await;
    queue.wait_for_appends(1).await;
    server.shutdown.cancel();
    let away = || Said::Closed(1001, "shutdown".to_owned());
    assert_eq!(idle.hear().await, away());
    // Too late: not taken, and not answered.
    busy.say("{\"n\":2}").await;
    queue.set(|rig| rig.holds = false);
    assert_eq!(busy.words(0).await, ["stored"]);
    assert_eq!(busy.hear().await, away());
    server.ended().await;
    assert_eq!(numbers(&queue), [1]);
}

/// Seen to fail without `Connection::overdue`.
#[tokio::test]
async fn shutdown_ends_in_its_time_though_the_queue_does_not_answer() {
    let queue = Rigged::new();
    let server =
        start(&queue, websocket::Config::default(), server::Config { shutdown_timeout_ms: 100, ..server::Config::default() }).await;
    let mut socket = Socket::events(&server).await;
    queue.set(|rig| rig.holds = true);
    socket.say("{}").await;
    queue.wait_for_appends(1).await;
    server.shutdown.cancel();
    server.ended().await;
    assert_eq!(socket.hear().await, Said::Gone);
}

/// C1, Q2. Seen to fail when a failed submission is told as *retry*.
#[tokio::test]
async fn a_queue_that_closes_ends_the_conversation_after_what_was_stored() {
    let queue = Rigged::new();
    let server = start_plain(&queue).await;
    let mut socket = Socket::events(&server).await;
    socket.say("{\"n\":1}").await;
    assert_eq!(socket.words(0).await, ["stored"]);
    queue.set(|rig| (rig.holds, rig.fails) = (true, Some(ErrorKind::Closed)));
    for n in 2..5 {
        socket.say(&format!("{{\"n\":{n}}}")).await;
    }
    queue.wait_for_appends(4).await;
    queue.set(|rig| rig.holds = false);
    assert_eq!(socket.hear().await, Said::Closed(1011, "closed".to_owned()));
    assert_eq!(numbers(&queue), [1]);
}

/// What was taken before has its answer all the same.
#[tokio::test]
async fn frames_that_are_none_close_the_connection() {
    let queue = Rigged::new();
    let server = start_plain(&queue).await;
    let cases: [(&[u8], u16); 6] = [
        (&[0x81, 2, b'{', b'}'], 1002),
        (&frame(0x83, b"{}"), 1002),
        (&frame(0xc1, b"{}"), 1002),
        (&frame(0x80, b"{}"), 1002),
        (&frame(0x81, b"\xff"), 1007),
        (&[0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0], 1009),
    ];
    for (bytes, code) in cases {
        let mut stream = Socket::events(&server).await.0.into_inner();
        stream.write_all(&[&frame(0x81, b"{}"), bytes].concat()).await.expect("written");
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.expect("an answer");
        let mut answer = vec![0; usize::from(head[1])];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert!(head[0] == 0x81 && answer.starts_with(b"{\"seq\":0,"), "{answer:?}");
        stream.shutdown().await.expect("closed");
        let said = bytes_to_close(&mut stream).await;
        assert_eq!((said[0], u16::from_be_bytes([said[2], said[3]])), (0x88, code), "{bytes:?}");
    }
    assert_eq!(queue.stored().len(), cases.len());
}

/// Seen to fail when the token is looked at only as the connection opens.
#[tokio::test]
async fn a_token_that_is_revoked_ends_its_conversations() {
    let (queue, folder) = (Rigged::new(), tempfile::tempdir().expect("a folder"));
    let (ingest, tokens) = ingest_with_tokens(&queue, folder.path());
    let server = Server::start(websocket::router(ingest, websocket::Config::default()), server::Config::default()).await;
    let made = token(&tokens, "sensors");
    let bearer = format!("Bearer {}", made.secret);
    let (mut socket, _) = Socket::open(&server, "sensors", &[("authorization", &bearer)]).await.expect("an upgrade");
    let record = "{\"device\":\"attic-7\",\"celsius\":21.5}";
    socket.say(record).await;
    assert_eq!(socket.words(0).await, ["stored"]);
    tokens.revoke(&made.token.id).expect("known");
    socket.say(record).await;
    assert_eq!(socket.hear().await, Said::Closed(1008, "unknown_token".to_owned()));
    assert_eq!(queue.stored().len(), 1);
}
