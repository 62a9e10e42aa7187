//! The MQTT door of the real server, spoken to by Mosquitto's client.

use std::{fs, process::Command};

use crate::programs::{Process, crowdread, fail, free_port, is_quick, request, serve, succeed, wait_until};

const MAPPING: &str = r#"[{filter = "zigbee2mqtt/+/state", topic = "events", topic_field = "mqtt_topic"}]"#;

fn publish(port: u16, args: &[&str]) {
    succeed(Command::new("mosquitto_pub").args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(args));
}

/// What `/metrics` says under a name with its labels.
fn counted(port: u16, name: &str) -> Option<String> {
    let metrics = request(port, "GET", "/metrics", "").body;
    metrics.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

#[test]
fn records_come_in_over_mqtt_and_are_counted() {
    if is_quick() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let (port, mqtt_port, log) = (free_port(), free_port(), folder.path().join("log"));
    let listen = format!("127.0.0.1:{mqtt_port}");
    let settings = [("CROWDREAD_DOORS__MQTT__LISTEN", listen.as_str()), ("CROWDREAD_DOORS__MQTT__TOPICS", MAPPING)];
    let mut server: Process = serve(&folder.path().join("data"), port, &log, &settings);
    let told = |word: &str| fs::read_to_string(&log).expect("log").contains(word);
    wait_until("the address of the door", || told(&format!("mqtt    {listen}")));
    publish(mqtt_port, &["-q", "1", "-t", "zigbee2mqtt/lamp/state", "-m", r#"{"state": "ON"}"#]);
    publish(mqtt_port, &["-q", "2", "-V", "5", "-t", "events", "-m", r#"{"n": 1}"#]);
    publish(mqtt_port, &["-q", "0", "-t", "crowdread/events", "-m", r#"{"n": 2}"#]);
    let unacknowledged = "crowdread_mqtt_unacknowledged_records_total{topic=\"events\",outcome=\"stored\"}";
    wait_until("the record of QoS 0", || counted(port, unacknowledged).as_deref() == Some("1"));
    let stored = "crowdread_collector_records_total{topic=\"events\",door=\"mqtt\",outcome=\"stored\"}";
    assert_eq!(counted(port, stored).as_deref(), Some("3"));
    server.end();
}

#[test]
fn a_mapping_that_cannot_be_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("folder");
    let start = |topics: &str| {
        let mut command = crowdread();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
        fail(2, command.env("CROWDREAD_DOORS__MQTT__LISTEN", "127.0.0.1:0").env("CROWDREAD_DOORS__MQTT__TOPICS", topics))
    };
    let told = start(r#"[{filter = "a/#/b", topic = "events"}]"#);
    assert!(told.contains("doors.mqtt.topics") && told.contains("a/#/b"), "{told}");
    let told = start(r#"[{filter = "a/#", topic = "nowhere"}]"#);
    assert!(told.contains("nowhere"), "{told}");
}
