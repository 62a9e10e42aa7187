//! Packed bodies, good ones and bad ones.

use std::{io::Write, sync::Arc};

use collector::{http, server};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{
    client::{DEADLINE, Server, app, read_to_close},
    rigged::{Rigged, ingest},
};

const LINES: &[u8] = b"{\"a\":1}\n7\n{\"a\":2}\n";

async fn start(queue: &Arc<Rigged>, door: http::Config) -> Server {
    Server::start(app(ingest(queue).0, door), server::Config::default()).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("in memory")
}

/// A frame that asks for a window of 2^`log` bytes.
fn zstd_with_window(bytes: &[u8], log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("in memory");
    encoder.window_log(log).expect("allowed");
    encoder.include_contentsize(false).expect("allowed");
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Posts to `events`: the status, the answer, and what would be taken instead.
async fn post(server: &Server, coding: &str, body: Vec<u8>) -> (u16, Value, Option<String>) {
    let url = format!("http://{}/v1/records/events", server.address);
    let response = reqwest::Client::new().post(url).header("content-encoding", coding).body(body).send().await.expect("an answer");
    let taken = response.headers().get("accept-encoding").map(|value| value.to_str().expect("text").to_owned());
    (response.status().as_u16(), response.json().await.expect("JSON"), taken)
}

#[tokio::test]
async fn a_packed_body_has_the_outcomes_of_the_plain_one() {
    let parts = LINES.split_at(10);
    let bodies = [
        ("gzip", gzip(LINES)),
        ("X-GZip", [gzip(parts.0), gzip(b""), gzip(parts.1)].concat()),
        ("identity, gzip", gzip(LINES)),
        ("identity", LINES.to_vec()),
        ("zstd", zstd(LINES)),
        ("zstd", [zstd(parts.0), zstd(parts.1)].concat()),
        ("zstd", zstd_with_window(LINES, 23)),
    ];
    for (coding, body) in bodies {
        let queue = Rigged::new();
        let server = start(&queue, http::Config::default()).await;
        let (status, answer, _) = post(&server, coding, body).await;
        let outcomes: Vec<_> = answer["outcomes"].as_array().expect("outcomes").iter().map(|run| run["outcome"].clone()).collect();
        assert_eq!((status, outcomes), (200, vec!["stored".into(), "rejected".into(), "stored".into()]), "{coding}: {answer}");
        let payloads: Vec<_> = queue.stored().into_iter().map(|record| record.payload).collect();
        assert_eq!(payloads, ["{\"a\":1}", "{\"a\":2}"]);
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_taken_is_refused_with_those_that_are() {
    let queue = Rigged::new();
    let server = start(&queue, http::Config::default()).await;
    for coding in ["br", "deflate", "gzip, zstd", "gzip,gzip", "gzip;q=1", "ÿ"] {
        let (status, problem, taken) = post(&server, coding, gzip(LINES)).await;
        assert_eq!((status, problem["code"].as_str(), taken.as_deref()), (415, Some("unsupported_media_type"), Some("gzip, zstd")));
    }
    assert_eq!(queue.appends_begun(), 0);
}

/// The bytes after the end are part of the body: taking the front of it would lose what its sender thinks it sent. Seen to fail
/// without `multiple_members`: the decoder then stops at the first end.
#[tokio::test]
async fn a_body_that_does_not_unpack_stores_nothing() {
    let queue = Rigged::new();
    let server = start(&queue, http::Config::default()).await;
    let damaged = |mut body: Vec<u8>, from_end: usize| {
        let at = body.len() - from_end;
        body[at] ^= 0x55;
        body
    };
    let cut = |body: Vec<u8>, length: usize| body[..body.len() - length].to_vec();
    let bodies = [
        ("gzip", LINES.to_vec()),
        ("zstd", LINES.to_vec()),
        ("gzip", zstd(LINES)),
        ("zstd", gzip(LINES)),
        ("gzip", damaged(gzip(LINES), 8)),
        ("gzip", damaged(gzip(LINES), 2)),
        ("gzip", [gzip(LINES), b"{}".to_vec()].concat()),
        ("zstd", [zstd(LINES), b"{}".to_vec()].concat()),
        ("gzip", b"\x1f\x8b".to_vec()),
        ("zstd", zstd_with_window(LINES, 24)),
    ];
    let whole = [("gzip", gzip(LINES)), ("zstd", zstd(LINES)), ("gzip", [gzip(LINES), gzip(LINES)].concat())];
    let cuts = whole.into_iter().flat_map(|(coding, body)| [1, 4, 9].map(|length| (coding, cut(body.clone(), length))));
    for (coding, body) in bodies.into_iter().chain(cuts) {
        let (status, problem, _) = post(&server, coding, body.clone()).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("body_not_unpacked")), "{coding} {body:x?}: {problem}");
    }
    let (status, problem, _) = post(&server, "gzip", Vec::new()).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("no_record")));
    assert_eq!(queue.appends_begun(), 0);
    assert_eq!(post(&server, "gzip", gzip(LINES)).await.0, 200);
}

/// Seen to fail when `Budget::collect` counts the packed bytes, or nothing.
#[tokio::test]
async fn a_bomb_is_refused_at_the_cap() {
    let queue = Rigged::new();
    let server = start(&queue, http::Config::default()).await;
    let at_cap = [b"{}".to_vec(), vec![b' '; 1024 * 1024 - 2]].concat();
    let over_cap = [at_cap.clone(), b" ".to_vec()].concat();
    let hundredfold = vec![b' '; 100 * 1024 * 1024];
    for (coding, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        assert_eq!(post(&server, coding, pack(&at_cap)).await.0, 200, "{coding}");
        for bomb in [&over_cap, &hundredfold] {
            let packed = pack(bomb);
            assert!(packed.len() < 200_000, "the bomb is packed");
            let (status, problem, _) = post(&server, coding, packed).await;
            assert_eq!((status, problem["code"].as_str()), (413, Some("body_too_large")), "{coding}");
        }
    }
    assert_eq!(queue.stored().len(), 2);
}

/// Packed bytes without end, which unpack to far too much or to nothing at all, end as plain ones do. Seen to fail (for the empty
/// ones) when `unpack` does not count what was sent: the server then reads on until the time-out.
#[tokio::test]
async fn packed_bytes_without_end_are_cut() {
    let bomb = vec![b' '; 1024 * 1024];
    let skipped = [b"\x50\x2a\x4d\x18".as_slice(), &60_000_u32.to_le_bytes(), &[0; 60_000]].concat();
    let pieces = [("gzip", gzip(&bomb)), ("zstd", zstd(&bomb)), ("gzip", gzip(b"").repeat(3_000)), ("zstd", skipped)];
    for (coding, piece) in pieces {
        let queue = Rigged::new();
        let server = start(&queue, http::Config { body_timeout_ms: 600_000, ..http::Config::default() }).await;
        let mut stream = server.connect().await;
        let head =
            format!("POST /v1/records/events HTTP/1.1\r\nhost: a\r\ncontent-encoding: {coding}\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("written");
        let chunk = [format!("{:x}\r\n", piece.len()).into_bytes(), piece, b"\r\n".to_vec()].concat();
        let sending = async { while stream.write_all(&chunk).await.is_ok() {} };
        tokio::time::timeout(DEADLINE, sending).await.expect("the server stops reading and closes");
        assert_eq!(queue.appends_begun(), 0);
    }
}

/// Seen to fail when `Budget::collect` takes room for the packed bytes, or keeps the decoder's room.
#[tokio::test]
async fn room_is_taken_for_what_is_unpacked_and_given_back() {
    let queue = Rigged::new();
    let server = start(&queue, http::Config { bodies_bytes_max: 512 * 1024, ..http::Config::default() }).await;
    let body = |size: usize| [b"{}".to_vec(), vec![b' '; size - 2]].concat();
    let (status, problem, _) = post(&server, "gzip", gzip(&body(500 * 1024))).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("unavailable")));
    assert_eq!(post(&server, "zstd", zstd(&body(200 * 1024))).await.0, 503, "a window holds a copy");
    for _ in 0..3 {
        assert_eq!(post(&server, "gzip", gzip(&body(400 * 1024))).await.0, 200);
        assert_eq!(post(&server, "zstd", zstd(&body(100 * 1024))).await.0, 200);
    }
    // While its record is being stored, a packed body keeps room for its own bytes alone.
    queue.set(|rig| rig.holds = true);
    let server = Arc::new(server);
    let mut waiting = Vec::new();
    for appends in 7..10 {
        let server = Arc::clone(&server);
        waiting.push(tokio::spawn(async move { post(&server, "zstd", zstd(b"{}")).await.0 }));
        tokio::time::timeout(DEADLINE, queue.wait_for_appends(appends)).await.expect("there is room for it");
    }
    queue.set(|rig| rig.holds = false);
    for one in waiting {
        assert_eq!(one.await.expect("no panic"), 200);
    }
}

#[tokio::test]
async fn half_a_packed_body_stores_nothing() {
    for (coding, body) in [("gzip", [gzip(LINES), gzip(LINES)].concat()), ("zstd", [zstd(LINES), zstd(LINES)].concat())] {
        let queue = Rigged::new();
        let server = start(&queue, http::Config::default()).await;
        // Cut between two members, too, where what has come is whole by itself.
        for sent in [body.len() / 4, body.len() / 2] {
            let mut stream = server.connect().await;
            let length = body.len();
            let head =
                format!("POST /v1/records/events HTTP/1.1\r\nhost: a\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &body[..sent]].concat()).await.expect("written");
            stream.shutdown().await.expect("closed");
            let said = read_to_close(&mut stream).await;
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
        }
        assert_eq!(queue.appends_begun(), 0);
    }
}
