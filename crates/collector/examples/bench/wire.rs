//! The bytes of a client's conversation: made once, so that the client takes as little of the machine as it can.

use crate::RECORD;

/// How a client speaks.
#[derive(Clone)]
pub struct Protocol {
    /// What opens the conversation.
    pub hello: Vec<u8>,
    /// Whether these bytes are the whole answer to it; how many they are.
    pub welcome: fn(&[u8]) -> Option<usize>,
    /// A record, as its n-th message.
    pub message: fn(&Self, u16) -> Vec<u8>,
    /// Whether an answer begins these bytes: its length, and whether it says *stored*.
    pub answer: fn(&[u8]) -> Option<(usize, bool)>,
    topic: String,
}

impl Protocol {
    pub fn websocket(topic: &str) -> Self {
        let hello = format!(
            "GET /v1/stream/{topic} HTTP/1.1\r\nhost: bench\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        Self { hello: hello.into(), welcome: head, message: text_frame, answer: server_frame, topic: topic.to_owned() }
    }

    pub fn mqtt(topic: &str) -> Self {
        // CONNECT of 3.1.1: clean session, keep-alive 60 s, a client id that the server gives.
        let hello = [&[0x10, 12, 0, 4][..], b"MQTT", &[4, 2, 0, 60, 0, 0]].concat();
        let connack = |bytes: &[u8]| (bytes.len() >= 4).then(|| assert_eq!(bytes[..4], [0x20, 2, 0, 0], "connected")).map(|()| 4);
        Self { hello, welcome: connack, message: publish, answer: puback, topic: topic.to_owned() }
    }
}

fn head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    assert!(bytes.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(bytes));
    Some(end)
}

/// A text frame of RFC 6455 section 5.2, masked with zeros: the mask changes nothing, and the server takes it off all the same.
fn text_frame(_: &Protocol, _: u16) -> Vec<u8> {
    assert!(RECORD.len() < 126, "a short frame");
    [&[0x81, 0x80 | RECORD.len() as u8, 0, 0, 0, 0][..], RECORD.as_bytes()].concat()
}

fn server_frame(bytes: &[u8]) -> Option<(usize, bool)> {
    let [_, short, ..] = bytes else { return None };
    let (head, length) = match short & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        127 => panic!("no answer is so long"),
        short => (2, usize::from(short)),
    };
    let body = bytes.get(head..head + length)?;
    let is_stored = body.windows(8).any(|window| window == b"\"stored\"");
    Some((head + length, is_stored))
}

/// PUBLISH of QoS 1, MQTT 3.1.1 section 3.3.
fn publish(protocol: &Protocol, number: u16) -> Vec<u8> {
    let topic = protocol.topic.as_bytes();
    let length = 2 + topic.len() + 2 + RECORD.len();
    assert!(length < 128, "a short packet");
    let id = number.wrapping_rem(u16::MAX) + 1;
    [&[0x32, length as u8, 0, topic.len() as u8][..], topic, &id.to_be_bytes(), RECORD.as_bytes()].concat()
}

fn puback(bytes: &[u8]) -> Option<(usize, bool)> {
    (bytes.len() >= 4).then(|| (4, bytes[..2] == [0x40, 2]))
}
