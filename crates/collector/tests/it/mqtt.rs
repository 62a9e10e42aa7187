//! The MQTT door beyond the suite: what is acknowledged and when, sessions, wills, bounds and ends, in both versions.

use std::{sync::Arc, time::Duration};

use collector::mqtt::{self, Mapping};
use mqtt_proto::{
    Protocol, QoS,
    v3::{self, ConnectReturnCode},
    v5,
};
use queue::Headroom;
use record::ErrorKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    client::{DEADLINE, bytes_to_close},
    mqtt_client::{Broker, Client, Heard, first_word, name, pid, publish, publish_v3},
    rigged::{Rigged, ingest},
};

const SUCCESS: (u8, String) = (0, String::new());

async fn start(queue: &Arc<Rigged>) -> Broker {
    start_with(queue, mqtt::Config::default()).await
}

async fn start_with(queue: &Arc<Rigged>, config: mqtt::Config) -> Broker {
    Broker::start(ingest(queue).0, config).await
}

fn numbers(queue: &Rigged) -> Vec<u64> {
    let number = |payload: &[u8]| serde_json::from_slice::<serde_json::Value>(payload).expect("JSON")["n"].as_u64().expect("n");
    queue.stored().iter().map(|record| number(&record.payload)).collect()
}

fn record(n: u16) -> String {
    format!("{{\"n\":{n}}}")
}

async fn says_nothing(client: &mut Client) {
    let heard = timeout(Duration::from_millis(50), client.stream.read_u8()).await;
    assert!(heard.is_err(), "too early: {heard:?}");
}

fn clean_v3(client_id: &str) -> v3::Connect {
    v3::Connect::new(client_id.into(), 60)
}

fn kept_v5(client_id: &str, clean_start: bool) -> v5::Packet {
    let mut connect = v5::Connect::new(client_id.into(), 60);
    connect.clean_start = clean_start;
    connect.properties.session_expiry_interval = Some(3_600);
    connect.into()
}

/// Q1, C1. Seen to fail when `Conversation::publish` acknowledges.
#[tokio::test]
async fn an_acknowledgement_waits_until_the_record_is_stored() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let (mut v5, (mut v3, _)) = (broker.v5("a").await, broker.v3(clean_v3("b")).await);
    queue.set(|rig| rig.holds = true);
    for (n, qos) in [(1, QoS::Level1), (2, QoS::Level2)] {
        v5.publish("events", qos, n, record(n)).await;
        v3.say_v3(&publish_v3("events", qos, n, record(n))).await;
    }
    queue.wait_for_appends(2).await;
    says_nothing(&mut v5).await;
    says_nothing(&mut v3).await;
    queue.set(|rig| rig.holds = false);
    for n in [1, 2] {
        assert_eq!(v5.acknowledged(n).await, SUCCESS);
        assert_eq!(v3.acknowledged(n).await, SUCCESS);
    }
    assert_eq!(queue.stored().len(), 4);
    assert_eq!((v5.release(2).await, v3.release(2).await), (0, 0));
}

/// MQTT-4.6.0-2. What came while an append was at work goes together. Seen to fail when each PUBLISH is a batch of its own.
#[tokio::test]
async fn publishes_in_flight_keep_their_order_and_go_together() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let mut client = broker.v5("a").await;
    queue.set(|rig| rig.holds = true);
    client.publish("events", QoS::Level1, 1, record(1)).await;
    queue.wait_for_appends(1).await;
    let mut rest = Vec::new();
    for n in 2..=100 {
        let qos = if n % 3 == 0 { QoS::Level2 } else { QoS::Level1 };
        rest.extend_from_slice(v5::Packet::from(publish("crowdread/events", qos, n, record(n))).encode().expect("a packet").as_ref());
    }
    client.write(&rest).await;
    // The answer to a ping, which waits for nothing, tells that all were read.
    client.say(&v5::Packet::Pingreq).await;
    assert_eq!(client.hear().await, Heard::V5(v5::Packet::Pingresp));
    queue.set(|rig| rig.holds = false);
    for n in 1..=100 {
        assert_eq!(client.acknowledged(n).await, SUCCESS);
    }
    assert_eq!(numbers(&queue), (1..=100).collect::<Vec<_>>());
    assert_eq!(queue.appends_begun(), 2);
}

/// Different topics are different submissions, in the order of the PUBLISHes.
#[tokio::test]
async fn publishes_of_two_topics_keep_their_order() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let mut client = broker.v5("a").await;
    for n in 1..=20 {
        let (topic, payload) = if n % 2 == 0 { ("answers", crate::rigged::answer().to_string()) } else { ("events", record(n)) };
        client.publish(topic, QoS::Level1, n, payload).await;
    }
    for n in 1..=20 {
        assert_eq!(client.acknowledged(n).await, SUCCESS);
    }
    let topics: Vec<_> = queue.stored().iter().map(|record| record.topic.to_string()).collect();
    assert_eq!(topics, ["events", "answers"].repeat(10));
}

/// C1. In MQTT 5 a rejection is told with its code; 3.1.1 has none, and the client would send for ever what is not acknowledged.
#[tokio::test]
async fn a_rejection_is_told_in_version_5_and_taken_in_3_1_1() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let (mut v5, (mut v3, _)) = (broker.v5("a").await, broker.v3(clean_v3("b")).await);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024));
    let many = "{}\n".repeat(10_001);
    let cases = [("{", 0x99, "not_json"), ("", 0x99, "no_record"), (&large, 0x97, "too_large"), (&many, 0x97, "too_many_records")];
    for (qos, n) in [(QoS::Level1, 1), (QoS::Level2, 2)] {
        for (payload, code, word) in cases {
            v5.publish("events", qos, n, payload).await;
            assert_eq!(v5.acknowledged(n).await, (code, word.to_owned()), "{qos:?}");
            v3.say_v3(&publish_v3("events", qos, n, payload)).await;
            assert_eq!(v3.acknowledged(n).await, SUCCESS);
            if qos == QoS::Level2 {
                assert_eq!((v5.release(n).await, v3.release(n).await), (0x92, 0), "a refused exchange of MQTT 5 is over");
            }
        }
    }
    assert_eq!((queue.stored().len(), queue.letters().len()), (0, 16), "what is rejected is kept");
    v5.publish("events", QoS::Level1, 3, "{}").await;
    assert_eq!(v5.acknowledged(3).await, SUCCESS);
}

/// Without an acknowledgement nobody would ever know, so the connection ends.
#[tokio::test]
async fn an_unknown_topic_is_told_or_ends_the_connection() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let mut client = broker.v5("a").await;
    for (n, qos) in [(1, QoS::Level1), (2, QoS::Level2), (2, QoS::Level2)] {
        client.publish("nowhere/x", qos, n, "{}").await;
        assert_eq!(client.acknowledged(n).await, (0x90, "unknown_topic".to_owned()));
    }
    client.publish("nowhere", QoS::Level0, 0, "{}").await;
    assert_eq!(client.closed().await, (0x90, "unknown_topic".to_owned()));
    for qos in [QoS::Level0, QoS::Level1, QoS::Level2] {
        let (mut client, _) = broker.v3(clean_v3("b")).await;
        client.say_v3(&publish_v3("nowhere", qos, 1, "{}")).await;
        assert_eq!(client.hear().await, Heard::Gone);
    }
    assert_eq!(queue.appends_begun(), 0);
}

#[tokio::test]
async fn a_mapped_topic_stands_in_each_record() {
    let queue = Rigged::new();
    let mapping = |filter: &str, topic_field: Option<&str>| Mapping {
        filter: filter.to_owned(),
        topic: "events".to_owned(),
        topic_field: topic_field.map(str::to_owned),
    };
    let mappings = vec![mapping("zigbee2mqtt/+/state", Some("mqtt_topic")), mapping("plain/#", None)];
    let broker = start_with(&queue, mqtt::Config { mappings, ..mqtt::Config::default() }).await;
    let mut client = broker.v5("a").await;
    let id = "0192f0c4-8c5e-7000-8000-000000000001";
    client.publish("zigbee2mqtt/lamp 7/state", QoS::Level1, 1, format!("[{{\"record_id\":\"{id}\"}},{{}}]")).await;
    assert_eq!(client.acknowledged(1).await, SUCCESS);
    client.publish("plain/a/b", QoS::Level1, 2, "{\"n\":1}").await;
    assert_eq!(client.acknowledged(2).await, SUCCESS);
    client.publish("zigbee2mqtt/lamp/state", QoS::Level1, 3, "{\"mqtt_topic\":\"zigbee2mqtt/door/state\"}").await;
    assert_eq!(client.acknowledged(3).await, (0x99, "forged_field".to_owned()));
    let stored: Vec<_> = queue.stored().iter().map(|record| String::from_utf8(record.payload.to_vec()).expect("UTF-8")).collect();
    let head = "{\"mqtt_topic\":\"zigbee2mqtt/lamp 7/state\"";
    assert_eq!(stored, [format!("{head},\"record_id\":\"{id}\"}}"), format!("{head}}}"), "{\"n\":1}".to_owned()]);
    assert_eq!(queue.stored()[0].id.to_string(), id);
}

/// C3, exactly once between client and server. Seen to fail when `stored` is not asked, and when a session is not kept.
#[tokio::test]
async fn a_publish_of_qos_2_is_stored_once_until_it_is_released() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let (mut client, connack) = broker.let_in(&kept_v5("a", true)).await;
    assert!(!connack.session_present);
    for _ in 0..2 {
        client.publish("events", QoS::Level2, 7, record(1)).await;
        assert_eq!(client.acknowledged(7).await, SUCCESS);
    }
    drop(client);
    // The client did not get its PUBREC, as far as it knows.
    let (mut client, connack) = broker.let_in(&kept_v5("a", false)).await;
    assert!(connack.session_present);
    let again = v5::Publish { dup: true, ..publish("events", QoS::Level2, 7, record(1)) };
    client.say(&again.into()).await;
    assert_eq!(client.acknowledged(7).await, SUCCESS);
    assert_eq!(client.release(7).await, 0);
    assert_eq!(client.release(7).await, 0x92);
    client.publish("events", QoS::Level2, 7, record(2)).await;
    assert_eq!(client.acknowledged(7).await, SUCCESS);
    assert_eq!(numbers(&queue), [1, 2]);
    drop(client);
    let (_client, connack) = broker.let_in(&kept_v5("a", true)).await;
    assert!(!connack.session_present, "a clean start forgets");
}

#[tokio::test]
async fn a_session_of_3_1_1_outlives_its_connection_unless_it_is_clean() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let kept = || v3::Connect { clean_session: false, ..clean_v3("a") };
    let (mut client, present) = broker.v3(kept()).await;
    assert!(!present);
    client.say_v3(&publish_v3("events", QoS::Level2, 3, record(1))).await;
    assert_eq!(client.acknowledged(3).await, SUCCESS);
    drop(client);
    let (mut client, present) = broker.v3(kept()).await;
    assert!(present);
    client.say_v3(&publish_v3("events", QoS::Level2, 3, record(1))).await;
    assert_eq!(client.acknowledged(3).await, SUCCESS);
    assert_eq!(client.release(3).await, 0);
    assert_eq!(numbers(&queue), [1]);
    drop(client);
    drop(broker.v3(clean_v3("a")).await);
    assert!(!broker.v3(kept()).await.1, "a clean session is neither taken over nor kept");
}

/// MQTT-3.1.4-3; what the first connection has in flight is known to the second. Seen to fail when a claim does not wait: the PUBLISH is
/// stored twice.
#[tokio::test]
async fn a_second_connection_of_a_client_takes_over_from_the_first() {
    let queue = Rigged::new();
    let broker = Arc::new(start(&queue).await);
    let (mut first, _) = broker.let_in(&kept_v5("a", true)).await;
    queue.set(|rig| rig.holds = true);
    first.publish("events", QoS::Level2, 1, record(1)).await;
    queue.wait_for_appends(1).await;
    let connecting = Arc::clone(&broker);
    let second = tokio::spawn(async move { connecting.let_in(&kept_v5("a", false)).await });
    says_nothing(&mut first).await;
    assert!(!second.is_finished(), "what is in flight is waited for");
    queue.set(|rig| rig.holds = false);
    assert_eq!(first.acknowledged(1).await, SUCCESS);
    assert_eq!(first.closed().await, (0x8e, "taken_over".to_owned()));
    let (mut second, connack) = second.await.expect("no panic");
    assert!(connack.session_present);
    second.publish("events", QoS::Level2, 1, record(1)).await;
    assert_eq!(second.acknowledged(1).await, SUCCESS);
    assert_eq!(numbers(&queue), [1]);
}

fn with_will(client_id: &str, topic: &str, delay: Option<u32>) -> v5::Packet {
    let mut connect = v5::Connect::new(client_id.into(), 60);
    let mut will = v5::LastWill::new(QoS::Level1, name(topic), format!("{{\"gone\":\"{client_id}\"}}").into());
    will.properties.delay_interval = delay;
    connect.last_will = Some(will);
    connect.into()
}

/// Seen to fail when a will is stored however the connection ends, and when it never is.
#[tokio::test]
async fn a_will_is_stored_when_its_client_goes_without_a_word() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let (mut left, _) = broker.let_in(&with_will("left", "events", None)).await;
    left.say(&v5::Disconnect::new_normal().into()).await;
    assert_eq!(left.hear().await, Heard::Gone);
    drop(broker.let_in(&with_will("dropped", "events", None)).await);
    queue.wait_for_appends(1).await;
    let (mut asked, _) = broker.let_in(&with_will("asked", "events", None)).await;
    asked.say(&v5::Disconnect::new(v5::DisconnectReasonCode::DisconnectWithWillMessage).into()).await;
    queue.wait_for_appends(2).await;
    let (mut broke, _) = broker.let_in(&with_will("broke", "events", None)).await;
    broke.write(&[0x00, 0]).await;
    queue.wait_for_appends(3).await;
    let (_back, _) = broker.let_in(&with_will("back", "events", Some(5))).await;
    let (_back, _) = broker.let_in(&with_will("back", "events", None)).await;
    let (mut v3, _) = broker
        .v3(v3::Connect { last_will: Some(v3::LastWill::new(QoS::Level0, name("events"), "{\"gone\":\"v3\"}".into())), ..clean_v3("v3") })
        .await;
    v3.stream.shutdown().await.expect("closed");
    assert_eq!(v3.hear().await, Heard::Gone);
    let (mut stays, _) = broker.let_in(&with_will("stays", "events", None)).await;
    broker.shutdown.cancel();
    assert_eq!(stays.closed().await, (0x8b, "shutdown".to_owned()));
    broker.ended().await;
    let stored: Vec<_> = queue.stored().iter().map(|record| String::from_utf8(record.payload.to_vec()).expect("UTF-8")).collect();
    assert_eq!(stored, ["dropped", "asked", "broke", "v3"].map(|client| format!("{{\"gone\":\"{client}\"}}")));
}

async fn refused_v5(broker: &Broker, connect: impl Into<v5::Packet>) -> (u8, String) {
    let mut client = Client { stream: broker.connect().await, version: Protocol::V500 };
    client.say(&connect.into()).await;
    let told = match client.hear().await {
        Heard::V5(v5::Packet::Connack(connack)) => (connack.reason_code as u8, first_word(connack.properties.reason_string.as_deref())),
        other => panic!("no CONNACK: {other:?}"),
    };
    assert_eq!(client.hear().await, Heard::Gone);
    told
}

async fn refused_v3(broker: &Broker, connect: impl Into<v3::Packet>) -> ConnectReturnCode {
    let mut client = Client { stream: broker.connect().await, version: Protocol::V311 };
    client.say_v3(&connect.into()).await;
    let Heard::V3(v3::Packet::Connack(connack)) = client.hear().await else { panic!("no CONNACK") };
    assert_eq!(client.hear().await, Heard::Gone);
    connack.code
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let told = |code, word: &str| (code, word.to_owned());
    assert_eq!(refused_v5(&broker, with_will("a", "nowhere", None)).await, told(0x90, "unknown_topic"));
    let mut retained = v5::Connect::new("a".into(), 60);
    retained.last_will = Some(v5::LastWill { retain: true, ..v5::LastWill::new(QoS::Level0, name("events"), "{}".into()) });
    assert_eq!(refused_v5(&broker, retained).await, told(0x9a, "retain"));
    let mut authentication = v5::Connect::new("a".into(), 60);
    authentication.properties.auth_method = Some("SCRAM-SHA-1".into());
    assert_eq!(refused_v5(&broker, authentication).await, told(0x8c, "bad_auth_method"));
    assert_eq!(refused_v5(&broker, v5::Connect::new("a".repeat(257).into(), 60)).await, told(0x85, "bad_client_id"));
    let anonymous = v3::Connect { clean_session: false, ..clean_v3("") };
    assert_eq!(refused_v3(&broker, anonymous).await, ConnectReturnCode::IdentifierRejected);
    let old = v3::Connect { protocol: Protocol::V310, ..clean_v3("a") };
    assert_eq!(refused_v3(&broker, old).await, ConnectReturnCode::UnacceptableProtocolVersion);
    // C2, Q2
    queue.set(|rig| rig.headroom = Headroom::Low { retry_after_ms: 1_000 });
    assert_eq!(refused_v5(&broker, v5::Connect::new("a".into(), 60)).await, told(0x89, "unavailable"));
    assert_eq!(refused_v3(&broker, clean_v3("a")).await, ConnectReturnCode::ServerUnavailable);
    // What is no MQTT has no answer.
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xc0, 0], &[0x30, 4, 0, 1, b'a', b'b'], &[0x10, 0xff, 0xff, 0xff, 0xff]] {
        let mut stream = broker.connect().await;
        stream.write_all(bytes).await.expect("written");
        assert_eq!(bytes_to_close(&mut stream).await, b"");
    }
}

#[tokio::test]
async fn a_client_is_told_what_is_granted() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let mut connect = v5::Connect::new("".into(), 0);
    connect.properties.session_expiry_interval = Some(u32::MAX);
    let (_, connack) = broker.let_in(&connect.into()).await;
    let granted = connack.properties;
    let assigned = granted.assigned_client_id.expect("an id");
    assert!(assigned.starts_with("crowdread-") && assigned.len() == 26);
    assert_eq!((granted.server_keep_alive, granted.session_expiry_interval), (Some(3_600), Some(86_400)));
    assert_eq!((granted.receive_max, granted.max_packet_size, granted.max_qos), (Some(256), Some(1 << 20), None));
    let unavailable = [
        granted.retain_available,
        granted.wildcard_subscription_available,
        granted.subscription_id_available,
        granted.shared_subscription_available,
    ];
    assert_eq!(unavailable, [Some(false); 4]);
    let (_, connack) = broker.let_in(&v5::Connect::new("b".into(), 60).into()).await;
    assert_eq!((connack.properties.server_keep_alive, connack.properties.assigned_client_id), (None, None));
}

#[tokio::test]
async fn nothing_is_handed_out_and_pings_are_answered() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let filter = |text: &str| mqtt_proto::TopicFilter::try_from(text).expect("a filter");
    let mut client = broker.v5("a").await;
    let asked = ["events", "a/#", "$share/g/a"].map(|text| (filter(text), v5::SubscriptionOptions::new(QoS::Level1)));
    client.say(&v5::Subscribe::new(pid(5), asked.to_vec()).into()).await;
    let Heard::V5(v5::Packet::Suback(suback)) = client.hear().await else { panic!("no SUBACK") };
    assert_eq!((suback.pid, suback.topics.iter().map(|code| *code as u8).collect::<Vec<_>>()), (pid(5), vec![0x87, 0xa2, 0x9e]));
    client.say(&v5::Unsubscribe::new(pid(6), vec![filter("events"), filter("a")]).into()).await;
    let Heard::V5(v5::Packet::Unsuback(unsuback)) = client.hear().await else { panic!("no UNSUBACK") };
    assert_eq!(unsuback.topics.iter().map(|code| *code as u8).collect::<Vec<_>>(), [0x11, 0x11]);
    client.say(&v5::Packet::Pingreq).await;
    assert_eq!(client.hear().await, Heard::V5(v5::Packet::Pingresp));
    let (mut client, _) = broker.v3(clean_v3("b")).await;
    client.say_v3(&v3::Subscribe::new(pid(5), vec![(filter("events"), QoS::Level0), (filter("#"), QoS::Level0)]).into()).await;
    let Heard::V3(v3::Packet::Suback(suback)) = client.hear().await else { panic!("no SUBACK") };
    assert_eq!(suback.topics, [v3::SubscribeReturnCode::Failure; 2]);
    client.say_v3(&v3::Packet::Unsubscribe(v3::Unsubscribe::new(pid(6), vec![filter("events")]))).await;
    assert_eq!(client.hear().await, Heard::V3(v3::Packet::Unsuback(pid(6))));
    client.say_v3(&v3::Packet::Pingreq).await;
    assert_eq!(client.hear().await, Heard::V3(v3::Packet::Pingresp));
}

/// What was taken before has its answer all the same.
#[tokio::test]
async fn packets_that_may_not_be_end_the_connection() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let packet = |packet: v5::Packet| packet.encode().expect("a packet").as_ref().to_vec();
    let mut alias = publish("", QoS::Level1, 2, "{}");
    alias.properties.topic_alias = Some(1);
    let retained = v5::Publish { retain: true, ..publish("events", QoS::Level1, 2, "{}") };
    let too_large = [0x32, 0x81, 0x80, 0x40];
    let cases: [(Vec<u8>, u8); 9] = [
        (vec![0x00, 0], 0x81),
        (vec![0x36, 6, 0, 1, b'a', 0, 1, 0], 0x81),
        (vec![0x32, 4, 0, 9, b'a', 0], 0x81),
        (packet(v5::Connect::new("a".into(), 60).into()), 0x82),
        (packet(v5::Packet::Pingresp), 0x82),
        (packet(v5::Auth::new_success().into()), 0x82),
        (packet(alias.into()), 0x94),
        (packet(retained.into()), 0x9a),
        (too_large.to_vec(), 0x95),
    ];
    let count = cases.len();
    for (bytes, code) in cases {
        let mut client = broker.v5("a").await;
        client.write(&[&packet(publish("events", QoS::Level1, 1, "{}").into())[..], &bytes].concat()).await;
        assert_eq!(client.acknowledged(1).await, SUCCESS);
        assert_eq!(client.closed().await.0, code, "{bytes:02x?}");
        let (mut client, _) = broker.v3(clean_v3("a")).await;
        client.write(&[0x00, 0]).await;
        assert_eq!(client.hear().await, Heard::Gone);
    }
    assert_eq!(queue.stored().len(), count);
}

/// C1, C2. Seen to fail when a *retry* is acknowledged.
#[tokio::test]
async fn what_cannot_be_stored_now_has_no_acknowledgement() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    for low in [true, false] {
        let (mut v5, (mut v3, _)) = (broker.v5("a").await, broker.v3(clean_v3("b")).await);
        let begun = queue.appends_begun();
        queue.set(|rig| match low {
            true => rig.headroom = Headroom::Low { retry_after_ms: 1_000 },
            false => rig.fails = Some(ErrorKind::Unavailable),
        });
        for (qos, n) in [(QoS::Level1, 1), (QoS::Level0, 1), (QoS::Level2, 2)] {
            v5.publish("events", qos, n, record(n)).await;
            v3.say_v3(&publish_v3("events", qos, n, record(n))).await;
        }
        assert_eq!(v5.closed().await, (0x89, "unavailable".to_owned()));
        assert_eq!(v3.hear().await, Heard::Gone);
        assert_eq!(low, queue.appends_begun() == begun, "the fault was met");
        queue.set(|rig| (rig.headroom, rig.fails) = (Headroom::Enough, None));
    }
    let mut client = broker.v5("a").await;
    client.publish("events", QoS::Level1, 1, record(1)).await;
    assert_eq!(client.acknowledged(1).await, SUCCESS);
    assert_eq!(numbers(&queue), [1]);
}

/// C1. Seen to fail when the loop goes on after an append that failed: what waits would overtake what is sent again.
#[tokio::test]
async fn nothing_is_stored_after_what_could_not_be_stored() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let mut client = broker.v5("a").await;
    queue.set(|rig| (rig.holds, rig.fails) = (true, Some(ErrorKind::Unavailable)));
    client.publish("events", QoS::Level1, 1, record(1)).await;
    queue.wait_for_appends(1).await;
    client.publish("events", QoS::Level1, 2, record(2)).await;
    client.say(&v5::Packet::Pingreq).await;
    assert_eq!(client.hear().await, Heard::V5(v5::Packet::Pingresp));
    queue.set(|rig| rig.holds = false);
    assert_eq!(client.closed().await, (0x89, "unavailable".to_owned()));
    drop(client);
    broker.shutdown.cancel();
    broker.ended().await;
    assert_eq!(queue.appends_begun(), 1);
}

/// C1, Q2. Seen to fail when a failed submission is acknowledged.
#[tokio::test]
async fn a_queue_that_closes_ends_the_connection_after_what_was_stored() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let mut client = broker.v5("a").await;
    client.publish("events", QoS::Level1, 1, record(1)).await;
    assert_eq!(client.acknowledged(1).await, SUCCESS);
    queue.set(|rig| (rig.holds, rig.fails) = (true, Some(ErrorKind::Closed)));
    for n in 2..5 {
        client.publish("events", QoS::Level1, n, record(n)).await;
        queue.wait_for_appends(2).await;
    }
    queue.set(|rig| rig.holds = false);
    assert_eq!(client.closed().await, (0x8b, "closed".to_owned()));
    assert_eq!(refused_v5(&broker, v5::Connect::new("a".into(), 60)).await, (0x88, "closed".to_owned()));
    assert_eq!((queue.appends_begun(), numbers(&queue)), (2, vec![1]));
}

/// C1, Q2. Seen to fail when the conversation ends as soon as shutdown begins: the held PUBLISHes have no answer.
#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_closes_the_others_at_once() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let (mut idle, mut busy, (mut busy_v3, _)) = (broker.v5("a").await, broker.v5("b").await, broker.v3(clean_v3("c")).await);
    queue.set(|rig| rig.holds = true);
    busy.publish("events", QoS::Level1, 1, record(1)).await;
    busy_v3.say_v3(&publish_v3("events", QoS::Level1, 1, record(1))).await;
    queue.wait_for_appends(2).await;
    broker.shutdown.cancel();
    assert_eq!(idle.closed().await, (0x8b, "shutdown".to_owned()));
    // Too late: not taken, and not answered.
    busy.publish("events", QoS::Level1, 2, record(2)).await;
    queue.set(|rig| rig.holds = false);
    assert_eq!(busy.acknowledged(1).await, SUCCESS);
    assert_eq!(busy.closed().await, (0x8b, "shutdown".to_owned()));
    assert_eq!(busy_v3.acknowledged(1).await, SUCCESS);
    assert_eq!(busy_v3.hear().await, Heard::Gone);
    drop((idle, busy, busy_v3));
    broker.ended().await;
    assert_eq!(numbers(&queue), [1, 1]);
}

/// Seen to fail without `overdue` in `mqtt::run`.
#[tokio::test]
async fn shutdown_ends_in_its_time_though_the_queue_does_not_answer() {
    let queue = Rigged::new();
    let broker = start_with(&queue, mqtt::Config { shutdown_timeout_ms: 100, ..mqtt::Config::default() }).await;
    let mut client = broker.v5("a").await;
    queue.set(|rig| rig.holds = true);
    client.publish("events", QoS::Level1, 1, record(1)).await;
    queue.wait_for_appends(1).await;
    broker.shutdown.cancel();
    broker.ended().await;
    assert_eq!(client.hear().await, Heard::Gone);
}

/// Seen to fail when the peer's end ends the conversation at once.
#[tokio::test]
async fn what_was_sent_before_a_client_left_is_stored() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    queue.set(|rig| rig.holds = true);
    let mut client = broker.v5("a").await;
    client.publish("events", QoS::Level0, 0, record(1)).await;
    queue.wait_for_appends(1).await;
    for n in 2..=600 {
        client.publish("events", QoS::Level0, 0, record(n)).await;
    }
    client.say(&v5::Disconnect::new_normal().into()).await;
    drop(client);
    queue.set(|rig| rig.holds = false);
    // The client's next connection is let in after the first one's end.
    drop(broker.let_in(&kept_v5("a", true)).await);
    assert_eq!(numbers(&queue), (1..=600).collect::<Vec<_>>());
}

/// MQTT-3.1.2-24. Seen to fail without `look`.
#[tokio::test]
async fn a_silent_client_is_closed_and_one_that_pings_stays() {
    let queue = Rigged::new();
    let broker = start_with(&queue, mqtt::Config { keep_alive_s_max: 1, ..mqtt::Config::default() }).await;
    let mut silent = broker.v5("silent").await;
    let (mut silent_v3, _) = broker.v3(v3::Connect { keep_alive: 0, ..clean_v3("silent3") }).await;
    let (mut alive, connack) = broker.let_in(&v5::Connect::new("alive".into(), 600).into()).await;
    assert_eq!(connack.properties.server_keep_alive, Some(1));
    let pinging = async {
        loop {
            alive.say(&v5::Packet::Pingreq).await;
            assert_eq!(alive.hear().await, Heard::V5(v5::Packet::Pingresp));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let silence = async {
        assert_eq!(silent.closed().await, (0x8d, "silent".to_owned()));
        assert_eq!(silent_v3.hear().await, Heard::Gone);
    };
    tokio::select! {
        () = silence => {}
        () = pinging => unreachable!("it goes on for ever"),
    }
    alive.publish("events", QoS::Level1, 1, record(1)).await;
    assert_eq!(alive.acknowledged(1).await, SUCCESS);
}

/// Whoever is slow with a CONNECT or with a packet has no place for long. Seen to fail without the two time-outs.
#[tokio::test]
async fn half_a_packet_is_not_waited_for_long() {
    let queue = Rigged::new();
    let config = mqtt::Config { connect_timeout_ms: 100, packet_timeout_ms: 100, ..mqtt::Config::default() };
    let broker = start_with(&queue, config).await;
    for bytes in [&b""[..], &[0x10], &[0x10, 30, 0, 4, b'M']] {
        let mut stream = broker.connect().await;
        stream.write_all(bytes).await.expect("written");
        assert_eq!(bytes_to_close(&mut stream).await, b"");
    }
    let mut client = broker.v5("a").await;
    client.write(&[0x32, 100, 0, 6]).await;
    assert_eq!(client.closed().await, (0x8d, "body_too_slow".to_owned()));
}

/// Seen to fail when writes have no time-out.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let queue = Rigged::new();
    let config = mqtt::Config { answer_timeout_ms: 100, close_timeout_ms: 100, ..mqtt::Config::default() };
    let broker = start_with(&queue, config).await;
    let mut client = broker.v5("a").await;
    let pings = [0xc0, 0].repeat(32 * 1024);
    let flooding = async { while client.stream.write_all(&pings).await.is_ok() {} };
    timeout(DEADLINE, flooding).await.expect("the door closes the connection");
}

/// C2. Seen to fail without the count in `open`.
#[tokio::test]
async fn more_in_flight_than_was_granted_ends_the_connection() {
    let queue = Rigged::new();
    let broker = start_with(&queue, mqtt::Config { in_flight_publishes_max: 3, ..mqtt::Config::default() }).await;
    let mut client = broker.v5("a").await;
    for n in 1..=3 {
        client.publish("events", QoS::Level2, n, record(n)).await;
        assert_eq!(client.acknowledged(n).await, SUCCESS);
    }
    assert_eq!(client.release(1).await, 0);
    client.publish("events", QoS::Level1, 4, record(4)).await;
    assert_eq!(client.acknowledged(4).await, SUCCESS);
    client.publish("events", QoS::Level2, 5, record(5)).await;
    assert_eq!(client.acknowledged(5).await, SUCCESS);
    client.publish("events", QoS::Level1, 6, record(6)).await;
    assert_eq!(client.closed().await, (0x93, "receive_maximum".to_owned()));
    assert_eq!(numbers(&queue), [1, 2, 3, 4, 5]);
}

/// C2: what a session remembers is bounded in 3.1.1 too. Seen to fail without `UNRELEASED_MAX`.
#[tokio::test]
async fn a_client_that_releases_nothing_is_closed() {
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let (mut client, _) = broker.v3(clean_v3("a")).await;
    for n in 1..=4_096 {
        client.say_v3(&publish_v3("events", QoS::Level2, n, "{}")).await;
        assert_eq!(client.acknowledged(n).await, SUCCESS);
    }
    client.say_v3(&publish_v3("events", QoS::Level2, 4_097, "{}")).await;
    assert_eq!(client.hear().await, Heard::Gone);
}

/// C2: a client of 3.1.1, which knows no such limit, is not read from meanwhile. Seen to fail when `is_full` is never true: the ping is
/// answered while the queue holds.
#[tokio::test]
async fn who_has_enough_in_flight_is_not_read_from() {
    let queue = Rigged::new();
    let broker = start_with(&queue, mqtt::Config { in_flight_publishes_max: 2, ..mqtt::Config::default() }).await;
    let (mut client, _) = broker.v3(clean_v3("a")).await;
    queue.set(|rig| rig.holds = true);
    for n in 1..=5 {
        client.say_v3(&publish_v3("events", QoS::Level1, n, record(n))).await;
    }
    client.say_v3(&v3::Packet::Pingreq).await;
    queue.wait_for_appends(1).await;
    says_nothing(&mut client).await;
    queue.set(|rig| rig.holds = false);
    let mut heard = Vec::new();
    while heard.len() < 6 {
        heard.push(client.hear().await);
    }
    // The answer to the ping may come before those that wait for the queue.
    heard.retain(|packet| *packet != Heard::V3(v3::Packet::Pingresp));
    assert_eq!(heard, (1..=5).map(|n| Heard::V3(v3::Packet::Puback(pid(n)))).collect::<Vec<_>>());
    assert_eq!(numbers(&queue), [1, 2, 3, 4, 5]);
}

/// C2. Seen to fail when no room is taken.
#[tokio::test]
async fn packets_under_way_share_one_bounded_room() {
    let queue = Rigged::new();
    let broker = start_with(&queue, mqtt::Config { packets_bytes_max: 64 * 1024, ..mqtt::Config::default() }).await;
    let large = |n| publish("events", QoS::Level1, n, format!("{{}}{}", " ".repeat(40_000)));
    let bytes = v5::Packet::from(large(1)).encode().expect("a packet").as_ref().to_vec();
    let mut first = broker.v5("first").await;
    first.write(&bytes[..39_000]).await;
    // The room is taken once the first piece has been read: until then the other is answered.
    let full = async {
        loop {
            let mut other = broker.v5("other").await;
            other.say(&large(1).into()).await;
            match other.hear().await {
                Heard::V5(v5::Packet::Puback(_)) => {}
                Heard::V5(v5::Packet::Disconnect(left)) => return left.reason_code as u8,
                said => panic!("{said:?}"),
            }
        }
    };
    assert_eq!(timeout(DEADLINE, full).await.expect("the room fills"), 0x97);
    let mut small = broker.v5("small").await;
    small.publish("events", QoS::Level1, 1, "{}").await;
    assert_eq!(small.acknowledged(1).await, SUCCESS);
    first.write(&bytes[39_000..]).await;
    assert_eq!(first.acknowledged(1).await, SUCCESS);
    // Nothing is held for a client that is idle.
    let mut other = broker.v5("other").await;
    other.say(&large(1).into()).await;
    assert_eq!(other.acknowledged(1).await, SUCCESS);
}

#[tokio::test]
async fn connections_are_bounded() {
    let queue = Rigged::new();
    let broker = start_with(&queue, mqtt::Config { connections_max: Some(1), ..mqtt::Config::default() }).await;
    let first = broker.v5("a").await;
    let second = broker.v5("b");
    tokio::pin!(second);
    assert!(timeout(Duration::from_millis(50), &mut second).await.is_err(), "the only place is taken");
    drop(first);
    let mut second = timeout(DEADLINE, second).await.expect("the place is free");
    second.publish("events", QoS::Level1, 1, record(1)).await;
    assert_eq!(second.acknowledged(1).await, SUCCESS);
}

#[tokio::test]
async fn a_mapping_to_no_topic_is_refused_at_the_start() {
    let queue = Rigged::new();
    let mapping = Mapping { filter: "a/#".to_owned(), topic: "nowhere".to_owned(), topic_field: None };
    let error = mqtt::check_mappings(&ingest(&queue).0, &[mapping]).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("nowhere"), "{error}");
}
