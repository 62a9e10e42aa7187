//! What the codec lets through, and heads of packets.

use super::*;

#[test]
fn a_head_is_read_when_it_is_whole() {
    let head = |bytes: &[u8]| Head::read(bytes);
    assert_eq!(head(&[]), Ok(None));
    assert_eq!(head(&[0x30]), Ok(None));
    assert_eq!(head(&[0x30, 0x80, 0x80, 0x80]), Ok(None));
    assert_eq!(head(&[0x30, 0xff, 0xff, 0xff, 0x7f]).expect("whole").expect("whole").bytes(), 268_435_455 + 5);
    assert_eq!(head(&[0x30, 0x05]).expect("whole").expect("whole").bytes(), 7);
    assert_eq!(head(&[0x30, 0x80, 0x80, 0x80, 0x80]), Err(Fault::Malformed));
}

fn read(version: Version, packet: &[u8]) -> Result<Packet, Fault> {
    decode(version, Head::read(packet)?.expect("a whole head"), packet)
}

/// Seen to fail when the codec alone decides: it takes a PINGREQ with a body, a PUBREL with more bytes than it has fields, and a PUBLISH
/// whose properties are longer than they say.
#[test]
fn a_packet_fills_its_length() {
    let cases: [(&[u8], bool); 12] = [
        (&[0xc0, 0], true),
        (&[0xc0, 1, 0], false),
        (&[0xe0, 0], true),
        (&[0x62, 2, 0, 1], true),
        (&[0x62, 2, 0, 0], false),
        (&[0x60, 2, 0, 1], false),
        (&[0x62, 6, 0, 1, 0, 0, 9, 9], false),
        (&[0x36, 6, 0, 1, b'a', 0, 1, 0], false),
        (&[0x32, 6, 0, 1, b'a', 0, 1, 0], true),
        (&[0x32, 4, 0, 9, b'a', 0], false),
        (&[0x30, 4, 0, 1, b'#', 0], false),
        (&[0x30, 4, 0, 1, 0xff, 0], false),
    ];
    for (packet, is_good) in cases {
        assert_eq!(read(Version::V5, packet).is_ok(), is_good, "{packet:02x?}");
        assert!(read(Version::V3, packet).is_err() || is_good, "{packet:02x?}");
    }
    assert_eq!(read(Version::V3, &[0xe0, 1, 0]).expect_err("a body"), Fault::Malformed);
    assert_eq!(read(Version::V5, &[0xd0, 0]).expect_err("not from a client"), Fault::Protocol);
    assert_eq!(read(Version::V3, &[0x20, 2, 0, 0]).expect_err("not from a client"), Fault::Protocol);
}

fn connect(name: &[u8], level: u8, flags: u8, rest: &[u8]) -> Result<Connect, BadConnect> {
    let body = [&[0, u8::try_from(name.len()).expect("short")], name, &[level, flags, 0, 60], rest].concat();
    let packet = [&[0x10, u8::try_from(body.len()).expect("short")], &body[..]].concat();
    Connect::decode(Head::read(&packet).expect("a head").expect("whole"), &packet)
}

#[test]
fn a_connect_that_cannot_be_is_told_in_its_version() {
    let id = [0, 1, b'a'];
    assert_eq!(connect(b"MQTT", 4, 2, &id).expect("good").keep_alive_s, 60);
    assert_eq!(connect(b"MQTT", 5, 2, &[0, 0, 1, b'a']).expect("good").peer.version, Version::V5);
    let bad = |name, level, flags, rest: &[u8]| connect(name, level, flags, rest).expect_err("bad");
    assert_eq!(bad(b"MQIsdp", 3, 2, &id), BadConnect::Level(Version::V3));
    assert_eq!(bad(b"MQTT", 3, 2, &id), BadConnect::Level(Version::V3));
    assert_eq!(bad(b"MQTT", 6, 2, &id), BadConnect::Level(Version::V5));
    assert_eq!(bad(b"HTTP", 4, 2, &id), BadConnect::Silent);
    for flags in [3, 0b10_0010, 0b1_1010, 0b100_0010] {
        // A password without a user name has its bytes.
        let rest = [&id[..], if flags == 0b100_0010 { &[0, 1, b'p'] } else { &[] }].concat();
        assert_eq!(bad(b"MQTT", 4, flags, &rest), BadConnect::Broken(Version::V3), "{flags:b}");
    }
    assert_eq!(bad(b"MQTT", 4, 2, &[0, 1, 0]), BadConnect::Broken(Version::V3));
    assert_eq!(bad(b"MQTT", 4, 2, &[0, 1, b'a', 9]), BadConnect::Broken(Version::V3));
    assert_eq!(bad(b"MQTT", 4, 2, &[0, 9, b'a']), BadConnect::Broken(Version::V3));
}

/// Seen to fail when `push` writes the first form whatever the client takes (MQTT-3.4.2-2).
#[test]
fn reasons_are_left_out_where_the_client_does_not_take_them() {
    let pid = QosPid::Level1(Pid::try_from(1).expect("a packet id"));
    let written = |peer: Peer| {
        let mut out = Vec::new();
        let detail = Detail { reason: "not_json: x".to_owned(), outcomes: Some("y".repeat(40)) };
        peer.acknowledge(&mut out, pid, PubackReasonCode::PayloadFormatInvalid, Some(detail));
        out
    };
    let full = Peer::unknown(Version::V5);
    let long = written(full);
    assert!(long.len() > 60);
    let bare = [0x40, 3, 0, 1, 0x99];
    assert_eq!(written(Peer { tells: false, ..full }), bare);
    assert_eq!(written(Peer { packet_bytes_max: 10, ..full }), bare);
    let short = written(Peer { packet_bytes_max: long.len() - 1, ..full });
    assert!(short.len() > bare.len() && short.len() < long.len(), "the reason without the outcomes");
    assert_eq!(written(Peer::unknown(Version::V3)), [0x40, 2, 0, 1]);
}
