//! What the fuzz targets of the doors' decoders call, and the tests with the inputs that were kept: bytes of any kind → a panic where two ways of
//! reading the same bytes differ, or what was written is read as something else.
//!
//! The targets stand in `fuzz/fuzz_targets`; `cargo xtask fuzz` runs them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use record::{Durability, Outcome, Partition, Position};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use crate::{
    cloudevents::Attributes,
    limits::{BodyError, Budget, Caps},
    metered::Metered,
    mqtt_packet::{self, BadConnect, CONNECT, Connect, Detail, Packet, Peer, PubackReasonCode, Version, again},
    mqtt_stream::{Packets, Untaken},
    unpack::Coding,
    websocket::BUFFER_BYTES,
    wire::{self, Form, Item, Response},
};

const CAPS: Caps = Caps { body_bytes_max: 64 * 1024, records_per_request_max: 100, nesting_depth_max: 20, payload_bytes_max: 4 * 1024 };

fn budget() -> Budget {
    Budget::new(16 << 20)
}

/// The lengths in which bytes arrive: each is drawn from one before it, and none is 0.
struct Pieces {
    state: u8,
}

impl Pieces {
    fn next(&mut self) -> usize {
        self.state = self.state.wrapping_mul(29).wrapping_add(17);
        1 + usize::from(self.state >> 2) * usize::from(self.state & 3)
    }

    fn of(mut self, data: &[u8]) -> Vec<Bytes> {
        let (mut rest, mut pieces) = (Bytes::copy_from_slice(data), Vec::new());
        while !rest.is_empty() {
            let length = self.next().min(rest.len());
            pieces.push(rest.split_to(length));
        }
        pieces
    }
}

fn split_first(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// A body of the HTTP door, packed or not: the same in one piece and in many; its records are pieces of it, are JSON objects to another reader
/// too, and are the same records again when each is sent alone.
pub fn http_body(data: &[u8]) {
    let (choice, rest) = split_first(data);
    let (state, sent) = split_first(rest);
    let coding = [Coding::Plain, Coding::Gzip, Coding::Zstd, Coding::Plain][usize::from(choice & 3)];
    let form = [Form::Json, Form::Lines, Form::Unsaid, Form::Event, Form::Events][usize::from(choice >> 2) % 5];
    let whole = read_body(vec![Bytes::copy_from_slice(sent)], coding);
    let pieces = read_body(Pieces { state }.of(sent), coding);
    match (&whole, &pieces) {
        (Ok(one), Ok(other)) => assert_eq!(one, other, "the same in one piece and in many"),
        (Err(_), Err(_)) => {}
        other => panic!("{coding:?}: one way it is read, the other way it is not: {other:?}"),
    }
    // Also as it is: a packed body is seldom whole.
    for body in [whole.ok(), Some(Bytes::copy_from_slice(sent))].into_iter().flatten() {
        assert!(body.len() <= CAPS.body_bytes_max.max(sent.len()));
        if let Ok(items) = wire::split(&body, form, &CAPS) {
            records(&body, form, &items);
        }
    }
}

fn read_body(pieces: Vec<Bytes>, coding: Coding) -> Result<Bytes, BodyError> {
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, io::Error>)));
    let budget = budget();
    let read = async { budget.read(&mut body.into_data_stream(), coding, CAPS.body_bytes_max, Duration::ZERO).await };
    read.now_or_never().expect("all of it is there").map(|held| held.bytes)
}

fn records(body: &Bytes, form: Form, items: &[Item]) {
    assert!(items.len() <= CAPS.records_per_request_max);
    let text = body.as_ptr() as usize;
    for item in items {
        match item {
            Ok(item) => {
                let payload = item.payload();
                assert!(payload.len() <= CAPS.payload_bytes_max);
                let at = payload.as_ptr() as usize;
                assert!(at >= text && at + payload.len() <= text + body.len(), "a record is a piece of the body");
                let value: serde_json::Value = serde_json::from_slice(payload).expect("JSON to another reader");
                assert!(value.is_object());
                let alone = if matches!(form, Form::Event | Form::Events) { Form::Event } else { Form::Json };
                let again = wire::split(payload, alone, &CAPS).expect("one record");
                assert!(matches!(&again[..], [Ok(one)] if one == item), "alone it is the same record");
            }
            Err(unreadable) => {
                assert!(!unreadable.rejection.message.is_empty() && unreadable.rejection.message.chars().count() <= 301);
                assert!(unreadable.sent.len() <= body.len());
            }
        }
    }
    answers(items);
}

/// C1: the runs of the response cover every index once, in order.
fn answers(items: &[Item]) {
    let partition = Partition::new("fuzz", 0);
    let outcomes: Vec<Outcome> = (0..)
        .zip(items)
        .map(|(offset, item)| match item {
            Ok(_) => Outcome::Stored(Position { partition: partition.clone(), offset }),
            Err(unreadable) => Outcome::Rejected(unreadable.rejection.clone()),
        })
        .collect();
    let response = Response::new(Durability::Fsync, &outcomes);
    let mut next = 0;
    for run in &response.outcomes {
        assert!(run.from == next && run.to >= run.from, "runs follow each other");
        next = run.to + 1;
    }
    assert_eq!(next, outcomes.len(), "every index has an outcome");
    serde_json::to_vec(&response).expect("a response is JSON");
}

/// A CloudEvent in binary mode, fields and then a body: what is taken is the same event, with the same id, when it comes in JSON.
pub fn cloud_event(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..])) {
            headers.append(name, value);
        }
    }
    let Some(attributes) = Attributes::of(&headers) else { return };
    if let Ok(event) = attributes.with_data(&Bytes::copy_from_slice(rest), &CAPS) {
        let structured = wire::split(event.payload(), Form::Event, &CAPS).expect("one event");
        assert!(matches!(&structured[..], [Ok(one)] if *one == event), "the same event in JSON: {structured:?}");
        let batch = Bytes::from([b"[", &event.payload()[..], b",", &event.payload()[..], b"]"].concat());
        let batched = wire::split(&batch, Form::Events, &CAPS).expect("two events");
        assert!(batched.iter().all(|one| one.as_ref() == Ok(&event)) && batched.len() == 2, "and in a batch");
    }
}

/// Bytes that come in pieces, and then the end; what is written goes nowhere.
struct Sending {
    data: Vec<u8>,
    at: usize,
    pieces: Option<Pieces>,
}

impl AsyncRead for Sending {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = self.pieces.as_mut().map_or(usize::MAX, Pieces::next);
        let length = length.min(self.data.len() - self.at).min(buffer.remaining());
        buffer.put_slice(&self.data[self.at..self.at + length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sending {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What MQTT's PUBLISHes may have here.
const PUBLISH_BYTES_MAX: usize = 8 * 1024;

/// A connection of MQTT: the same packets in one piece and in many; each packet that is taken is the same once it was written again; each answer can
/// be read by a client and is no longer than it takes.
pub fn mqtt_stream(data: &[u8]) {
    let (state, sent) = split_first(data);
    let whole = conversation(sent, None);
    let pieces = conversation(sent, Some(Pieces { state }));
    assert_eq!(whole, pieces, "the same in one piece and in many");
}

/// What is understood of a connection, in words.
fn conversation(sent: &[u8], pieces: Option<Pieces>) -> Vec<String> {
    let mut packets = Packets::new(Sending { data: sent.to_vec(), at: 0, pieces }, budget());
    let mut version = None;
    let mut understood = Vec::new();
    loop {
        let length = match packets.next(PUBLISH_BYTES_MAX) {
            Ok(None) => match packets.read().now_or_never().expect("all of it is there") {
                Ok(()) => continue,
                Err(unread) => {
                    understood.push(format!("{unread:?}"));
                    return understood;
                }
            },
            Err(untaken @ (Untaken::TooLarge | Untaken::Fault(_))) => {
                understood.push(format!("{untaken:?}"));
                return understood;
            }
            Ok(Some((head, packet))) => {
                assert!(packet.len() == head.bytes() && packet.len() <= mqtt_bytes_max(head.kind()));
                match version {
                    None => match Connect::decode(head, packet) {
                        Ok(connect) => {
                            assert_eq!(head.kind(), CONNECT);
                            version = Some(connect.peer.version);
                            understood.push(format!("{connect:?}"));
                        }
                        Err(bad @ (BadConnect::Silent | BadConnect::Level(_) | BadConnect::Broken(_))) => {
                            understood.push(format!("{bad:?}"));
                            return understood;
                        }
                    },
                    Some(version) => match mqtt_packet::decode(version, head, packet) {
                        Ok(said) => {
                            let said_again = again::written_again(version, head, packet).map(|again| {
                                let head = mqtt_packet::Head::read(&again).expect("a head").expect("whole");
                                format!("{:?}", mqtt_packet::decode(version, head, &again).expect("what was written is read"))
                            });
                            let words = format!("{said:?}");
                            assert!(said_again.is_none_or(|again| again == words), "written again it is the same: {words}");
                            answer(version, &said);
                            understood.push(words);
                        }
                        Err(fault) => {
                            understood.push(format!("{fault:?}"));
                            return understood;
                        }
                    },
                }
                packet.len()
            }
        };
        packets.taken(length);
    }
}

fn mqtt_bytes_max(kind: u8) -> usize {
    if kind == mqtt_packet::PUBLISH { PUBLISH_BYTES_MAX } else { crate::mqtt_stream::CONTROL_BYTES_MAX.min(PUBLISH_BYTES_MAX) }
}

/// Every answer to a packet is one that the codec reads.
fn answer(version: Version, said: &Packet) {
    let peer = Peer::unknown(version);
    let mut out = Vec::new();
    match said {
        Packet::Publish(publish) if publish.qos_pid.pid().is_some() => {
            let reason = String::from_utf8_lossy(&publish.payload).into_owned();
            let outcomes = Some(publish.topic.to_string());
            peer.acknowledge(&mut out, publish.qos_pid, PubackReasonCode::PayloadFormatInvalid, Some(Detail { reason, outcomes }));
        }
        Packet::Release(pid) => peer.complete(&mut out, *pid, true),
        Packet::Subscribe(pid, asked) => peer.refuse_subscriptions(&mut out, *pid, asked),
        Packet::Unsubscribe(pid, asked) => peer.unsubscribe(&mut out, *pid, *asked),
        Packet::Ping => peer.pong(&mut out),
        Packet::Publish(_) | Packet::Disconnect { .. } => return,
    }
    assert!(again::is_answer(version, &out), "a client can read it: {out:02x?}");
}

/// Frames of a WebSocket: the same messages in one piece and in many, none over the cap; each is a body to `wire`.
pub fn websocket_stream(data: &[u8]) {
    let (state, sent) = split_first(data);
    let whole = messages(sent, None);
    assert_eq!(whole, messages(sent, Some(Pieces { state })), "the same in one piece and in many");
    for message in &whole {
        if let Ok(items) = wire::split(message, Form::Unsaid, &CAPS) {
            records(message, Form::Unsaid, &items);
        }
    }
}

fn messages(sent: &[u8], pieces: Option<Pieces>) -> Vec<Bytes> {
    let stream = Metered::new(Sending { data: sent.to_vec(), at: 0, pieces }, budget(), BUFFER_BYTES);
    let max = Some(4 * 1024);
    let config =
        WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES).max_message_size(max).max_frame_size(max);
    let opening = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config));
    let mut socket = opening.now_or_never().expect("nothing is waited for");
    let mut messages = Vec::new();
    while let Some(Ok(message)) = socket.next().now_or_never().expect("all of it is there") {
        assert!(message.len() <= 4 * 1024);
        if message.is_text() || message.is_binary() {
            let _room = socket.get_mut().message_ended();
            messages.push(message.into_data());
        }
    }
    messages
}

#[cfg(test)]
mod tests;
