//! Bytes as other implementations write them, whole and in pieces.

use bytes::Bytes;

use super::{Framing, Head, NoRequest, Request, greeted, reply};

fn message(tags: &[u32], payload: &[u8]) -> Vec<u8> {
    let tags: Vec<u8> = tags.iter().flat_map(|tag| tag.to_be_bytes()).collect();
    let mut bytes = Vec::new();
    reply(&mut bytes, Framing::Tcp, &tags, payload);
    bytes
}

#[test]
fn a_greeting_is_that_of_a_requester() {
    assert_eq!(greeted(b""), Some(false));
    assert_eq!(greeted(b"\0SP\0\0"), Some(false));
    assert_eq!(greeted(b"\0SP\0\0\x30\0\0"), Some(true));
    assert_eq!(greeted(b"\0SP\0\0\x30\0\0and more"), Some(true));
    for other in [&b"GET / HTTP/1.1"[..], b"\0SP\x01", b"\0SP\0\0\x31\0\0", b"\0SP\0\0\x30\0\x01"] {
        assert_eq!(greeted(other), None, "{other:?}");
    }
}

/// To see it fail: look for the last tag beyond the message's length.
#[test]
fn a_message_is_read_in_pieces_of_any_length() {
    for tags in [&[0x8000_0001][..], &[5, 6, 0xffff_ffff]] {
        let bytes = message(tags, b"{}");
        let head_bytes = 8 + 4 * tags.len();
        for length in 0..head_bytes {
            assert_eq!(Head::read(&bytes[..length], Framing::Tcp), Ok(None), "{length} bytes");
        }
        for length in head_bytes..=bytes.len() {
            let head = Head::read(&bytes[..length], Framing::Tcp).expect("a request").expect("a whole head");
            assert_eq!((head.head_bytes, head.payload_bytes, head.message_bytes()), (head_bytes, 2, bytes.len() as u64));
            assert_eq!(head.tags.as_deref(), Some(&bytes[8..head_bytes]));
        }
    }
}

#[test]
fn what_has_no_request_id_is_no_request() {
    for bytes in [message(&[], b""), message(&[], b"\x80\0\0"), message(&[1], b""), message(&[1, 2], b"abc")] {
        assert_eq!(Head::read(&bytes, Framing::Tcp), Err(NoRequest), "{bytes:?}");
    }
    let hops: Vec<u32> = (1..=15).collect();
    let head = Head::read(&message(&hops, b"{}"), Framing::Tcp).expect("a message").expect("whole");
    assert_eq!((head.message_bytes(), head.tags), (8 + 60 + 2, None));
    let huge = [&[0xff; 8][..], &[0x80, 0, 0, 1]].concat();
    let head = Head::read(&huge, Framing::Tcp).expect("a message").expect("whole");
    assert_eq!(head.message_bytes(), u64::MAX);
}

#[test]
fn over_ipc_each_message_has_its_kind_before_it() {
    let mut bytes = Vec::new();
    reply(&mut bytes, Framing::Ipc, &[0x80, 0, 0, 1], b"{}");
    assert_eq!(bytes, b"\x01\0\0\0\0\0\0\0\x06\x80\0\0\x01{}");
    let head = Head::read(&bytes, Framing::Ipc).expect("a request").expect("whole");
    assert_eq!((head.head_bytes, head.payload_bytes), (13, 2));
    assert_eq!(Head::read(&bytes[..9], Framing::Ipc), Ok(None));
    assert_eq!(Head::read(b"", Framing::Ipc), Ok(None));
    assert_eq!(Head::read(b"\0", Framing::Ipc), Err(NoRequest));
}

#[test]
fn fields_stand_before_the_records() {
    let read = |text: &'static str| Request::read(&Bytes::from_static(text.as_bytes()));
    let asked = |topic: Option<&str>, credential: Option<&'static str>, body: &'static str| {
        Ok(Request { topic: topic.map(str::to_owned), credential: credential.map(Bytes::from), body: body.into() })
    };
    assert_eq!(read("{\"a:\":1}\n{}"), asked(None, None, "{\"a:\":1}\n{}"));
    assert_eq!(read("topic: sensors\n[{}]"), asked(Some("sensors"), None, "[{}]"));
    let both = "Topic:sensors\r\nAUTHORIZATION:  Bearer cr_abc \r\n\r\n{}";
    assert_eq!(read(both), asked(Some("sensors"), Some("cr_abc"), "\r\n{}"));
    assert_eq!(read("topic: sensors"), asked(Some("sensors"), None, ""));
    assert_eq!(read("topic:\n{}"), asked(Some(""), None, "{}"));
    assert_eq!(read(""), asked(None, None, ""));
    // What is no field is a record, if not a good one.
    for body in ["true\n{}", ": 1", " topic: sensors\n{}", "topic\n{}"] {
        assert_eq!(read(body), asked(None, None, body));
    }
    for wrong in ["topic: a\ntopic: b\n{}", "authorization: Basic abc\n{}", "authorization: Bearer \n{}", "content-type: a\n{}"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
