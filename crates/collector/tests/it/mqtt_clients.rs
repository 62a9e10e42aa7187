//! MQTT clients that people use: Mosquitto's, and Paho for Python. What they need, `cargo xtask test` installs.

use std::{process::Command, sync::Arc};

use collector::mqtt;
use serde_json::{Value, json};

use crate::{
    clients::{is_quick, payloads, python_at, run},
    mqtt_client::Broker,
    rigged::{Rigged, ingest},
};

async fn start(queue: &Arc<Rigged>) -> Broker {
    Broker::start(ingest(queue).0, mqtt::Config::default()).await
}

fn mosquitto(broker: &Broker, args: &[&str]) -> Command {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &broker.address.port().to_string()]).args(args);
    command
}

#[tokio::test]
async fn mosquitto_publishes_in_every_quality_and_version() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let mut expected = Vec::new();
    for version in ["311", "5"] {
        for qos in ["0", "1", "2"] {
            let payload = json!({"version": version, "qos": qos});
            run(mosquitto(&broker, &["-V", version, "-q", qos, "-t", "events", "-m", &payload.to_string()])).await;
            expected.push(payload);
        }
    }
    // QoS 0 is told nothing: its client may have gone before its record is stored.
    queue.wait_for_stored(expected.len()).await;
    let mut found = payloads(&queue);
    found.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    assert_eq!(found, expected);
}

/// A line a PUBLISH, twenty in flight.
#[tokio::test]
async fn mosquitto_publishes_lines_in_their_order() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let file = std::env::temp_dir().join(format!("crowdread-mqtt-{}", std::process::id()));
    std::fs::write(&file, (0..1_000).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>()).expect("written");
    for (version, qos) in [("311", "1"), ("5", "1"), ("5", "2")] {
        let mut shell = Command::new("sh");
        let client = "mosquitto_pub -h 127.0.0.1 -p \"$1\" -V \"$2\" -q \"$3\" -i lines -c -t events -l < \"$4\"";
        shell.args(["-c", client, "sh", &broker.address.port().to_string(), version, qos]).arg(&file);
        run(shell).await;
    }
    std::fs::remove_file(&file).expect("removed");
    let numbers: Vec<_> = payloads(&queue).iter().map(|payload| payload["n"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (0..1_000).chain(0..1_000).chain(0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn mosquitto_is_told_of_rejections_and_refused_subscriptions() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let told = run(mosquitto(&broker, &["-V", "5", "-q", "1", "-d", "-t", "events", "-m", "no JSON"])).await;
    assert!(told.contains("RC:153"), "{told}");
    let told = run(mosquitto(&broker, &["-V", "5", "-q", "1", "-d", "-t", "nowhere", "-m", "{}"])).await;
    assert!(told.contains("RC:144"), "{told}");
    let mut subscribe = Command::new("sh");
    let client = "mosquitto_sub -h 127.0.0.1 -p \"$1\" -V 5 -t 'events' -W 20 2>&1 || true";
    subscribe.args(["-c", client, "sh", &broker.address.port().to_string()]);
    let told = run(subscribe).await;
    assert!(told.contains("denied"), "{told}");
}

#[tokio::test]
async fn paho_keeps_many_in_flight_in_both_versions() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let broker = start(&queue).await;
    let script = "
import json, sys, time
from paho.mqtt import client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes
host, port = sys.argv[1].split(':')
told = []
for name, version in [('3.1.1', mqtt.MQTTv311), ('5', mqtt.MQTTv5)]:
    for qos in [1, 2]:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f'paho-{name}-{qos}', protocol=version)
        client.max_inflight_messages_set(200)
        codes = []
        client.on_publish = lambda client, data, mid, code, properties: codes.append((mid, getattr(code, 'value', 0)))
        client.connect(host, int(port), keepalive=30)
        client.loop_start()
        sent = [client.publish('events', json.dumps({'version': name, 'qos': qos, 'n': n}), qos=qos) for n in range(500)]
        bad = client.publish('events', 'no JSON', qos=qos)
        for one in sent + [bad]:
            one.wait_for_publish(30)
        client.disconnect()
        client.loop_stop()
        values = dict(codes)
        told.append([sorted(set(values[one.mid] for one in sent)), values[bad.mid], len(values)])
print(json.dumps(told))
";
    let told = python_at(&broker.address.to_string(), script).await;
    assert_eq!(told[0], json!([[0], 0, 501]));
    assert_eq!(told[1], json!([[0], 0, 501]));
    assert_eq!(told[2], json!([[0], 153, 501]));
    // Paho gives no code for QoS 2.
    assert_eq!((&told[3][0], &told[3][2]), (&json!([0]), &json!(501)));
    let expected: Vec<Value> = ["3.1.1", "5"]
        .iter()
        .flat_map(|version| [1, 2].map(|qos| (version, qos)))
        .flat_map(|(version, qos)| (0..500).map(move |n| json!({"version": version, "qos": qos, "n": n})))
        .collect();
    assert_eq!(payloads(&queue), expected, "each once, in order");
}
