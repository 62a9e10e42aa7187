//! Senders who mean no good, or have a bad line.

use std::{sync::Arc, time::Duration};

use collector::{http, server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::{DEADLINE, Server, app, read_to_close},
    rigged::{Rigged, ingest},
};

const GOOD: &[u8] = b"POST /v1/records/events HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\nconnection: close\r\n\r\n{\"a\":1}";

async fn start(queue: &Arc<Rigged>, door: http::Config, config: server::Config) -> Server {
    Server::start(app(ingest(queue).0, door), config).await
}

async fn start_with(queue: &Arc<Rigged>, config: server::Config) -> Server {
    start(queue, http::Config::default(), config).await
}

fn head(fields: &str) -> Vec<u8> {
    format!("POST /v1/records/events HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n").into_bytes()
}

/// Writes what the server takes; a server that closes the connection in between is right to.
async fn push(stream: &mut TcpStream, bytes: &[u8]) {
    let _closed = stream.write_all(bytes).await;
}

fn assert_says(said: &str, status: u16) {
    assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "expected {status}: {said:?}");
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_off() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config { header_timeout_ms: 100, ..server::Config::default() }).await;
    for begun in [&b""[..], b"POST /v1/rec", b"POST / HTTP/1.1\r\nhost: a\r\n"] {
        let said = server.exchange(begun).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
    assert_says(&server.exchange(GOOD).await, 200);
}

#[tokio::test]
async fn a_connection_that_idles_after_an_answer_is_cut_off() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config { header_timeout_ms: 100, ..server::Config::default() }).await;
    let mut kept = head("content-length: 2");
    kept.extend_from_slice(b"{}");
    assert_says(&server.exchange(&kept).await, 200);
}

#[tokio::test]
async fn a_body_that_trickles_is_told_so_and_stores_nothing() {
    let queue = Rigged::new();
    let server = start(&queue, http::Config { body_timeout_ms: 100, ..http::Config::default() }, server::Config::default()).await;
    for fields in ["content-length: 100", "transfer-encoding: chunked"] {
        let mut slow = head(fields);
        slow.extend_from_slice(if fields.starts_with('c') { b"{\"a\":1}" } else { b"7\r\n{\"a\":1}\r\n" });
        assert_says(&server.exchange(&slow).await, 408);
    }
    assert_eq!(queue.appends_begun(), 0);
}

#[tokio::test]
async fn the_sender_of_a_large_body_can_read_why_it_is_refused() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config::default()).await;
    // Less than is drained, and more than the sockets' buffers hold at first.
    let size = 15 * 512 * 1024;
    let mut announced = head(&format!("connection: close\r\ncontent-length: {size}"));
    announced.resize(announced.len() + size, b' ');
    assert_says(&server.exchange(&announced).await, 413);
    // Whoever asks first is told before it sends.
    assert_says(&server.exchange(&head("connection: close\r\nexpect: 100-continue\r\ncontent-length: 99999999")).await, 413);
    // Who asks for an unknown topic has sent its body, too.
    let mut unknown = b"POST /v1/records/nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n".to_vec();
    unknown.resize(unknown.len() + 1_000_000, b' ');
    assert_says(&server.exchange(&unknown).await, 404);
    assert_eq!(queue.appends_begun(), 0);
}

#[tokio::test]
async fn chunks_without_end_are_cut_at_the_cap() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config::default()).await;
    let mut stream = server.connect().await;
    push(&mut stream, &head("transfer-encoding: chunked")).await;
    let chunk = [format!("{:x}\r\n", 65_536).into_bytes(), vec![b' '; 65_536], b"\r\n".to_vec()].concat();
    // Far more than the cap and the sockets' buffers: it can only end because the server ends it.
    let sending = async { while stream.write_all(&chunk).await.is_ok() {} };
    tokio::time::timeout(DEADLINE, sending).await.expect("the server stops reading and closes");
    assert_eq!(queue.appends_begun(), 0);
    assert_says(&server.exchange(GOOD).await, 200);
}

#[tokio::test]
async fn a_chunked_body_is_taken_up_to_the_cap_and_no_further() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config::default()).await;
    for (size, status) in [(1024 * 1024, 200), (1024 * 1024 + 1, 413), (7 * 1024 * 1024, 413)] {
        let mut request = head("connection: close\r\ntransfer-encoding: chunked");
        let body = [b"{}".to_vec(), vec![b' '; size - 2]].concat();
        for chunk in body.chunks(50_000) {
            request.extend_from_slice(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        request.extend_from_slice(b"0\r\n\r\n");
        assert_says(&server.exchange(&request).await, status);
    }
    assert_eq!(queue.stored().len(), 1);
}

#[tokio::test]
async fn bodies_under_way_share_one_bounded_room() {
    let queue = Rigged::new();
    let door = http::Config { bodies_bytes_max: 64 * 1024, ..http::Config::default() };
    let server = start(&queue, door, server::Config::default()).await;
    let mut first = server.connect().await;
    first.write_all(&head("connection: close\r\ncontent-length: 65000")).await.expect("written");
    first.write_all(&[b' '; 64_000]).await.expect("written");
    // The room is taken once the first body has been read: until then the other is answered with 200.
    let full = async {
        loop {
            let mut large = head("connection: close\r\ncontent-length: 8192");
            large.extend_from_slice(&[b' '; 8190]);
            large.extend_from_slice(b"{}");
            let said = server.exchange(&large).await;
            if said.starts_with("HTTP/1.1 503 ") {
                return said;
            }
            assert_says(&said, 200);
        }
    };
    let said = tokio::time::timeout(DEADLINE, full).await.expect("the room fills");
    assert!(said.contains("retry-after: 1"), "{said}");
    let mut rest = vec![b' '; 998];
    rest.extend_from_slice(b"{}");
    first.write_all(&rest).await.expect("written");
    assert_says(&read_to_close(&mut first).await, 200);
    // And the room is free again.
    let mut large = head("connection: close\r\ncontent-length: 60000");
    large.extend_from_slice(&[b' '; 59_998]);
    large.extend_from_slice(b"{}");
    assert_says(&server.exchange(&large).await, 200);
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config::default()).await;
    let long = format!("x: {}\r\nconnection: close\r\ncontent-length: 0", "y".repeat(20_000));
    assert_says(&server.exchange(&head(&long)).await, 431);
    let many: String = (0..200).map(|n| format!("x{n}: y\r\n")).collect();
    assert_says(&server.exchange(&head(&format!("{many}content-length: 0"))).await, 431);
    assert_says(&server.exchange(GOOD).await, 200);
}

/// Request smuggling needs two readers who disagree about where a body ends (RFC 9112 section 6.3): hyper lets the transfer
/// encoding win, and closes the connection afterwards, or refuses.
#[tokio::test]
async fn a_body_with_two_lengths_stores_at_most_one_record() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config::default()).await;
    let mut differing = head("content-length: 2\r\ncontent-length: 9\r\nconnection: close");
    differing.extend_from_slice(b"{\"a\":1}{}");
    assert_says(&server.exchange(&differing).await, 400);
    let mut both = head("content-length: 12\r\ntransfer-encoding: chunked");
    both.extend_from_slice(b"2\r\n{}\r\n0\r\n\r\n");
    both.extend_from_slice(GOOD);
    let said = server.exchange(&both).await;
    let payloads: Vec<_> = queue.stored().into_iter().map(|record| record.payload).collect();
    // One reading of the request, with one answer: the chunks, after which nothing on this connection counts; or none at all.
    assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
    if said.starts_with("HTTP/1.1 200 ") {
        assert_eq!(payloads, ["{}"], "the request that was hidden behind the chunks is not read");
    } else {
        assert_says(&said, 400);
        assert!(payloads.is_empty(), "{payloads:?}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config::default()).await;
    let mut requests = Vec::new();
    for n in 0..200 {
        let body = if n % 3 == 0 { "7".to_owned() } else { format!("{{\"n\":{n}}}") };
        let last = if n == 199 { "connection: close\r\n" } else { "" };
        requests.extend_from_slice(&head(&format!("{last}content-length: {}", body.len())));
        requests.extend_from_slice(body.as_bytes());
    }
    let said = server.exchange(&requests).await;
    let words: Vec<&str> = said.split("\"outcome\":\"").skip(1).map(|rest| rest.split('"').next().unwrap_or("")).collect();
    let expected: Vec<&str> = (0..200).map(|n| if n % 3 == 0 { "rejected" } else { "stored" }).collect();
    assert_eq!(words, expected);
    let numbers: Vec<String> = queue.stored().iter().map(|record| String::from_utf8_lossy(&record.payload).into_owned()).collect();
    let sent: Vec<String> = (0..200).filter(|n| n % 3 != 0).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(numbers, sent, "the order of a connection is kept");
}

/// To see it fail: serve the bare stream instead of the one in `WriteTimeout`.
#[tokio::test]
async fn a_sender_who_reads_no_answer_loses_its_place() {
    let queue = Rigged::new();
    let config = server::Config { connections_max: Some(1), write_timeout_ms: 100, ..server::Config::default() };
    let server = start_with(&queue, config).await;
    let mut deaf = server.connect().await;
    let mut request = head("content-length: 2");
    request.extend_from_slice(b"{}");
    let many = request.repeat(1_000);
    // Ends when the answers fill the sockets' buffers, the server stops reading, waits in vain, and closes.
    let sending = async { while deaf.write_all(&many).await.is_ok() {} };
    tokio::time::timeout(DEADLINE, sending).await.expect("the server closes");
    assert_says(&server.exchange(GOOD).await, 200);
}

#[tokio::test]
async fn a_sender_who_closed_its_half_gets_its_answer() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config::default()).await;
    let mut stream = server.connect().await;
    let mut request = head("content-length: 2");
    request.extend_from_slice(b"{}");
    stream.write_all(&request).await.expect("written");
    stream.shutdown().await.expect("closed");
    assert_says(&read_to_close(&mut stream).await, 200);
}

#[tokio::test]
async fn connections_over_the_bound_wait_their_turn() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config { connections_max: Some(2), ..server::Config::default() }).await;
    let mut first = server.connect().await;
    let second = server.connect().await;
    // Both places are taken for certain once the second is answered and kept open.
    let mut kept = second;
    for stream in [&mut first, &mut kept] {
        let mut request = head("content-length: 2");
        request.extend_from_slice(b"{}");
        stream.write_all(&request).await.expect("written");
        let mut buffer = [0; 1024];
        assert!(stream.read(&mut buffer).await.expect("an answer") > 0);
    }
    let mut third = server.connect().await;
    third.write_all(GOOD).await.expect("written");
    let mut buffer = [0; 1024];
    let waited = tokio::time::timeout(Duration::from_millis(50), third.read(&mut buffer)).await;
    assert!(waited.is_err(), "the third is not served while both places are taken");
    assert_eq!(queue.stored().len(), 2);
    drop(first);
    assert_says(&read_to_close(&mut third).await, 200);
}

#[tokio::test]
async fn a_thousand_slow_connections_do_not_stop_a_good_one() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config::default()).await;
    let mut slow = Vec::new();
    for n in 0..1_000 {
        let mut stream = server.connect().await;
        let part: &[u8] =
            if n % 2 == 0 { b"POST /v1/records/ev" } else { b"POST /v1/records/events HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n{" };
        stream.write_all(part).await.expect("written");
        slow.push(stream);
    }
    for _ in 0..20 {
        assert_says(&server.exchange(GOOD).await, 200);
    }
    assert_eq!(queue.stored().len(), 20);
    // Shutdown does not wait for heads and idlers, and ends even though the bodies never come.
    drop(slow);
    server.shutdown.cancel();
    server.ended().await;
}

#[tokio::test]
async fn shutdown_ends_in_its_time_though_a_body_never_comes() {
    let queue = Rigged::new();
    let server = start_with(&queue, server::Config { shutdown_timeout_ms: 100, ..server::Config::default() }).await;
    let mut stuck = server.connect().await;
    stuck.write_all(&head("expect: 100-continue\r\ncontent-length: 100")).await.expect("written");
    // The door reads the body once it has asked for it.
    let mut buffer = [0; 1024];
    let count = stuck.read(&mut buffer).await.expect("asked to go on");
    assert!(buffer[..count].starts_with(b"HTTP/1.1 100"));
    server.shutdown.cancel();
    server.ended().await;
    assert_eq!(read_to_close(&mut stuck).await, "");
}
