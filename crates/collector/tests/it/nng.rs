//! What is the NNG door's alone: greetings, tags, fields, many in flight, what is no request, the ends.

use std::sync::Arc;

use collector::nng;
use queue::Headroom;
use record::ErrorKind;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{Duration, timeout},
};

use crate::{
    client::{DEADLINE, bytes_to_close},
    nng_client::{GREETING, Replier, Requester, answer_of, message, tag},
    rigged::{Rigged, ingest, ingest_with_tokens, token},
};

async fn start(queue: &Arc<Rigged>) -> Replier {
    start_with(queue, nng::Config::default()).await
}

async fn start_with(queue: &Arc<Rigged>, config: nng::Config) -> Replier {
    Replier::start(ingest(queue).0, config).await
}

/// Asks and hears that one record is stored.
async fn stores(requester: &mut Requester, id: u32) {
    requester.ask(id, "{}").await;
    assert_eq!(requester.answer(id).await.words(), ["stored"]);
}

#[tokio::test]
async fn each_request_has_a_reply_of_fixed_form() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    let mut requester = replier.requester().await;
    requester.ask(1, "[{\"a\":1},{\"a\":2},3]").await;
    let stored = json!({"durability": "memory", "outcomes": [
        {"from": 0, "to": 1, "outcome": "stored", "receipt": "memory/0:0"},
        {"from": 2, "to": 2, "outcome": "rejected", "tag": "not_an_object",
         "message": "expected a JSON object, found a number (byte 17 of the body)"},
    ]});
    assert_eq!(requester.hear().await, Some((1, stored)));
    for (payload, code) in [(" ", "no_record"), ("", "no_record"), ("topic: events", "no_record"), ("colour: red\n{}", "bad_field")] {
        requester.ask(2, payload).await;
        let (id, reply) = requester.hear().await.expect("a reply");
        assert_eq!((id, &reply["code"]), (2, &json!(code)));
        assert!(reply["detail"].as_str().is_some_and(|detail| !detail.is_empty()) && reply.get("outcomes").is_none());
    }
    stores(&mut requester, 3).await;
}

/// C2: replies that wait are bounded, and none is forgotten.
#[tokio::test]
async fn many_refusals_at_once_are_all_told() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    let mut requester = replier.requester().await;
    for n in 0..2_000 {
        requester.ask(n, "topic: nowhere\n{}").await;
    }
    for _ in 0..2_000 {
        let (_, reply) = timeout(DEADLINE, requester.hear()).await.expect("in time").expect("a reply");
        assert_eq!(reply["code"], "unknown_topic");
    }
}

/// C1: a reply finds its request, whichever is stored first. Seen to fail when a reply waits for those to earlier requests
/// (`FuturesOrdered`).
#[tokio::test]
async fn many_requests_are_in_flight_and_none_waits_for_another() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    let mut requester = replier.requester().await;
    queue.set(|rig| rig.holds = true);
    for n in 0..100 {
        requester.ask(n, format!("{{\"n\":{n}}}")).await;
    }
    queue.wait_for_appends(100).await;
    // What is not to be stored now overtakes them all.
    queue.set(|rig| rig.headroom = Headroom::Low { retry_after_ms: 1_500 });
    requester.ask(100, "{}").await;
    assert_eq!(requester.answer(100).await.refusal(), "unavailable");
    queue.set(|rig| rig.holds = false);
    let mut told = Vec::new();
    while told.len() < 100 {
        let (id, reply) = requester.hear().await.expect("a reply");
        let receipt = reply["outcomes"][0]["receipt"].as_str().expect("stored").to_owned();
        let offset: usize = receipt.strip_prefix("memory/0:").expect("a receipt").parse().expect("an offset");
        assert_eq!(queue.stored()[offset].payload, format!("{{\"n\":{id}}}"), "the receipt is that of the request's record");
        told.push(id);
    }
    told.sort_unstable();
    assert_eq!(told, (0..100).collect::<Vec<_>>());
}

/// Request/reply, section 3: what devices have put before the request's own tag comes back as it was. Seen to fail when the request's own
/// tag alone comes back.
#[tokio::test]
async fn a_request_through_devices_is_answered_through_them() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    let mut requester = replier.requester().await;
    let tags = [&446_u32.to_be_bytes()[..], &299_u32.to_be_bytes(), &tag(823)].concat();
    requester.write(&message(&tags, b"{}")).await;
    let length = requester.0.read_u64().await.expect("a reply");
    let mut reply = vec![0; usize::try_from(length).expect("short")];
    requester.0.read_exact(&mut reply).await.expect("whole");
    assert_eq!(&reply[..12], tags);
    assert_eq!(answer_of(&serde_json::from_slice(&reply[12..]).expect("JSON")).words(), ["stored"]);
    // One that has been round in circles is passed over, and the connection goes on.
    let hops: Vec<u8> = (1..=20_u32).flat_map(u32::to_be_bytes).chain(tag(1)).collect();
    requester.write(&message(&hops, b"{}")).await;
    stores(&mut requester, 2).await;
    assert_eq!(queue.stored().len(), 2);
}

/// Seen to fail when the greeting is not compared, and when a message may have no id.
#[tokio::test]
async fn what_is_no_request_ends_the_connection() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    for greeting in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0SP\x01\0\x30\0\0", b"\0SP\0\0\x31\0\0", b"\0SP\0\0\x30\0\x01", b"\x10"] {
        let mut stream = replier.connect().await;
        stream.write_all(greeting).await.expect("written");
        assert_eq!(bytes_to_close(&mut stream).await, b"\0SP\0\0\x31\0\0", "{greeting:?}");
    }
    for bytes in [message(b"", b""), message(b"\x80\0\0", b""), message(&[0, 0, 0, 1], b""), message(&[0, 0, 0, 1], b"{}")] {
        let mut requester = replier.requester().await;
        requester.write(&bytes).await;
        requester.closed().await;
    }
    stores(&mut replier.requester().await, 1).await;
    assert_eq!(queue.stored().len(), 1);
}

/// Whoever is closed sends again; so what is too large is told, and the connection goes on. Seen to fail when the rest of the message
/// is not dropped.
#[tokio::test]
async fn a_message_that_is_too_large_is_told_and_dropped() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    let mut requester = replier.requester().await;
    let large = message(&tag(1), &vec![b' '; (1 << 20) + 1]);
    // Told before it is read to its end.
    requester.write(&large[..100]).await;
    assert_eq!(requester.answer(1).await.refusal(), "body_too_large");
    requester.write(&large[100..]).await;
    stores(&mut requester, 2).await;
    requester.ask(3, format!("{{}}{}", " ".repeat((1 << 20) - 2))).await;
    assert_eq!(requester.answer(3).await.words(), ["stored"]);
}

/// C2. Seen to fail when any message is read and dropped to its end.
#[tokio::test]
async fn a_huge_length_takes_no_memory_and_ends_the_connection() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    for length in [u64::MAX, u64::MAX >> 1, 1 << 40, (8 << 20) + 1] {
        let mut requester = replier.requester().await;
        requester.write(&length.to_be_bytes()).await;
        requester.write(&tag(1)).await;
        requester.write(b"{}").await;
        assert_eq!(requester.answer(1).await.refusal(), "body_too_large");
        requester.closed().await;
    }
    assert_eq!(queue.appends_begun(), 0);
}

/// C2. Seen to fail when no room is taken.
#[tokio::test]
async fn messages_under_way_share_one_bounded_room() {
    let queue = Rigged::new();
    let replier = start_with(&queue, nng::Config { messages_bytes_max: 64 * 1024, ..nng::Config::default() }).await;
    let large = format!("{{}}{}", " ".repeat(40_000));
    let bytes = message(&tag(1), large.as_bytes());
    let mut first = replier.requester().await;
    first.write(&bytes[..39_000]).await;
    let mut other = replier.requester().await;
    // The room is taken once the first piece has been read: until then the other is stored.
    let full = async {
        loop {
            other.ask(2, &large).await;
            let (_, reply) = other.hear().await.expect("a reply");
            if reply.get("outcomes").is_none() {
                return reply;
            }
        }
    };
    let refused = timeout(DEADLINE, full).await.expect("the room fills");
    assert_eq!((&refused["code"], refused["retry_after_ms"].as_u64()), (&json!("unavailable"), Some(1_000)));
    // The same connection goes on, with what needs no room.
    stores(&mut other, 3).await;
    first.write(&bytes[39_000..]).await;
    assert_eq!(first.answer(1).await.words(), ["stored"]);
    // Nothing is held for a connection that is idle.
    other.ask(4, &large).await;
    assert_eq!(other.answer(4).await.words(), ["stored"]);
}

/// C2: many messages that come at once find room for some of them, and each is told. Seen to fail when room is looked for only after
/// all of them were taken.
#[tokio::test]
async fn each_of_many_messages_is_told_whether_there_was_room() {
    let queue = Rigged::new();
    let replier = start_with(&queue, nng::Config { messages_bytes_max: 16 * 1024, ..nng::Config::default() }).await;
    queue.set(|rig| rig.holds = true);
    let mut requester = replier.requester().await;
    let records: Vec<u8> = (0..40).flat_map(|id| message(&tag(id), format!("{{}}{}", " ".repeat(998)).as_bytes())).collect();
    requester.write(&records).await;
    let mut refused = 0;
    // Those that found no room are told at once; the queue holds the others.
    let all_known = async {
        while refused + queue.appends_begun() < 40 {
            if timeout(Duration::from_millis(20), requester.0.readable()).await.is_ok() {
                let (_, reply) = requester.hear().await.expect("a reply");
                assert_eq!(reply["code"], "unavailable");
                refused += 1;
            }
        }
    };
    timeout(DEADLINE, all_known).await.expect("each is stored or told");
    assert!((20..40).contains(&refused), "{refused} of 40 found no room");
    queue.set(|rig| rig.holds = false);
    for _ in refused..40 {
        let (_, reply) = requester.hear().await.expect("a reply");
        assert_eq!(answer_of(&reply).words(), ["stored"]);
    }
    assert_eq!(queue.stored().len(), 40 - refused);
}

/// C2. Seen to fail when `is_full` is never true.
#[tokio::test]
async fn who_has_enough_in_flight_is_not_read_from() {
    let queue = Rigged::new();
    let replier = start_with(&queue, nng::Config { in_flight_requests_max: 2, ..nng::Config::default() }).await;
    let mut requester = replier.requester().await;
    queue.set(|rig| rig.holds = true);
    for id in 0..5 {
        requester.ask(id, "{}").await;
    }
    queue.wait_for_appends(2).await;
    assert!(timeout(Duration::from_millis(50), requester.0.read_u8()).await.is_err(), "nothing is told while the queue holds");
    assert_eq!(queue.appends_begun(), 2);
    queue.set(|rig| rig.holds = false);
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(requester.hear().await.expect("a reply").0);
    }
    told.sort_unstable();
    assert_eq!(told, [0, 1, 2, 3, 4]);
}

/// Seen to fail when a part of a message has no time, when an idle connection has none, when a greeting has none, and when who waits for a
/// reply counts as idle.
#[tokio::test]
async fn the_silent_are_closed() {
    let queue = Rigged::new();
    let config = nng::Config { greeting_timeout_ms: 100, message_timeout_ms: 100, idle_timeout_ms: 100, ..nng::Config::default() };
    let replier = start_with(&queue, config).await;
    let mut mute = replier.connect().await;
    mute.write_all(&GREETING[..4]).await.expect("written");
    assert_eq!(bytes_to_close(&mut mute).await, b"\0SP\0\0\x31\0\0");
    replier.requester().await.closed().await;
    let mut slow = replier.requester().await;
    slow.write(&message(&tag(1), b"{}")[..13]).await;
    slow.closed().await;
    // Who waits for a reply is not silent.
    queue.set(|rig| rig.holds = true);
    let mut waiting = replier.requester().await;
    waiting.ask(2, "{}").await;
    assert!(timeout(Duration::from_millis(400), waiting.0.read_u8()).await.is_err(), "it is neither closed nor told");
    waiting.ask(3, "{}").await;
    queue.wait_for_appends(2).await;
    queue.set(|rig| rig.holds = false);
    let mut told = [waiting.hear().await, waiting.hear().await].map(|reply| reply.expect("a reply").0);
    told.sort_unstable();
    assert_eq!(told, [2, 3]);
}

/// Seen to fail when writes have no time-out.
#[tokio::test]
async fn a_requester_that_does_not_read_is_cut_off() {
    let queue = Rigged::new();
    let config = nng::Config { answer_timeout_ms: 100, close_timeout_ms: 100, ..nng::Config::default() };
    let replier = start_with(&queue, config).await;
    let mut requester = replier.requester().await;
    let empty = message(&tag(1), b"").repeat(1_000);
    let flooding = async { while requester.0.write_all(&empty).await.is_ok() {} };
    timeout(DEADLINE, flooding).await.expect("the door closes the connection");
}

/// C1: Seen to fail when a connection ends at shutdown without its replies, and when shutdown waits for the idle.
#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_closes_the_others_at_once() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    let mut idle = replier.requester().await;
    stores(&mut idle, 1).await;
    let mut half = replier.requester().await;
    half.write(&message(&tag(1), b"{}")[..13]).await;
    let mut busy = replier.requester().await;
    queue.set(|rig| rig.holds = true);
    for id in 0..3 {
        busy.ask(id, "{}").await;
    }
    queue.wait_for_appends(4).await;
    replier.shutdown.cancel();
    idle.closed().await;
    half.closed().await;
    queue.set(|rig| rig.holds = false);
    for _ in 0..3 {
        assert_eq!(answer_of(&busy.hear().await.expect("a reply").1).words(), ["stored"]);
    }
    busy.closed().await;
    replier.ended().await;
    assert_eq!(queue.stored().len(), 4);
}

/// Q2: it is told instead of closing, as a requester that is closed sends again and again.
#[tokio::test]
async fn a_closed_queue_is_told() {
    let queue = Rigged::new();
    let replier = start(&queue).await;
    let mut requester = replier.requester().await;
    queue.set(|rig| rig.fails = Some(ErrorKind::Closed));
    for id in 0..3 {
        requester.ask(id, "{}").await;
        assert_eq!(requester.answer(id).await.refusal(), "closed");
    }
    assert_eq!(queue.appends_begun(), 1);
}

/// The token comes with each request: the connection has none. Seen to fail when the door does not ask before it submits.
#[tokio::test]
async fn a_token_is_for_its_request_alone() {
    let (queue, folder) = (Rigged::new(), tempfile::tempdir().expect("a folder"));
    let (ingest, tokens) = ingest_with_tokens(&queue, folder.path());
    let replier = Replier::start(ingest, nng::Config { topic: "sensors".to_owned(), ..nng::Config::default() }).await;
    let secret = token(&tokens, "sensors").secret;
    let record = r#"{"device":"attic-7","celsius":21.5}"#;
    let mut requester = replier.requester().await;
    requester.ask(1, format!("authorization: Bearer {secret}\n{record}\n{record}")).await;
    assert_eq!(requester.answer(1).await.words(), ["stored", "stored"]);
    requester.ask(2, record).await;
    assert_eq!(requester.answer(2).await.refusal(), "token_needed");
    requester.ask(3, format!("topic: doors\nauthorization: Bearer {secret}\n{record}")).await;
    assert_eq!(requester.answer(3).await.refusal(), "token_for_other_topic");
    assert_eq!(queue.stored().len(), 2);
    assert!(queue.all_payloads().iter().all(|payload| !payload.contains(&secret)), "a token is stored nowhere");
}

#[tokio::test]
async fn connections_are_bounded() {
    let queue = Rigged::new();
    let replier = start_with(&queue, nng::Config { connections_max: Some(1), ..nng::Config::default() }).await;
    let first = replier.requester().await;
    let second = replier.requester();
    tokio::pin!(second);
    assert!(timeout(Duration::from_millis(50), &mut second).await.is_err(), "the only place is taken");
    drop(first);
    let mut second = timeout(DEADLINE, second).await.expect("the place is free");
    stores(&mut second, 1).await;
}

#[tokio::test]
async fn a_topic_that_is_not_taken_is_refused_at_the_start() {
    let queue = Rigged::new();
    let error = nng::check_topic(&ingest(&queue).0, "nowhere").expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("nowhere"), "{error}");
}

/// Seen to fail when messages over IPC are framed as over TCP.
#[tokio::test]
async fn programs_on_this_machine_may_use_a_local_socket() {
    let (queue, folder) = (Rigged::new(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("nng");
    let replier = Replier::start_at(&format!("ipc://{}", path.display()), ingest(&queue).0, nng::Config::default()).await;
    let mut stream = UnixStream::connect(&path).await.expect("the door listens");
    let request = [&GREETING[..], b"\x01", &message(&tag(9), b"{}")].concat();
    stream.write_all(&request).await.expect("written");
    let mut head = [0; 8 + 1 + 8 + 4];
    stream.read_exact(&mut head).await.expect("a reply");
    assert_eq!((&head[..9], &head[17..]), (&b"\0SP\0\0\x31\0\0\x01"[..], &tag(9)[..]));
    drop(stream);
    replier.shutdown.cancel();
    replier.ended().await;
    assert!(!path.exists(), "the socket's file is gone");
}
