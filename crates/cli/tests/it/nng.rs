//! The NNG door of the real server, spoken to by pynng.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::programs::{Process, crowdread, fail, free_port, is_quick, python, request, serve, succeed, wait_until};

/// Lets pynng ask, a payload after another; gives the replies.
fn ask(address: &str, payloads: &[&str]) -> Vec<Value> {
    let script = "
import json, sys
import pynng
with pynng.Req0(dial=sys.argv[1], send_timeout=30_000, recv_timeout=30_000) as socket:
    told = []
    for payload in sys.argv[2:]:
        socket.send(payload.encode())
        told.append(json.loads(socket.recv()))
print(json.dumps(told))
";
    let told = succeed(Command::new(python().expect("not quick")).args(["-c", script, address]).args(payloads));
    serde_json::from_slice(&told.stdout).expect("JSON")
}

fn start(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Process {
    serve(&folder.join("data"), port, &folder.join("log"), settings)
}

/// The door is one of three, over TCP and a local socket, and a restart takes the socket's file that a kill has left.
#[test]
fn records_come_in_over_nng_and_are_counted() {
    if is_quick() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let (port, nng_port, log) = (free_port(), free_port(), folder.path().join("log"));
    let tcp = format!("tcp://127.0.0.1:{nng_port}");
    let ipc = format!("ipc://{}", folder.path().join("nng").display());
    let told = |word: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(word));
    let stored = "crowdread_collector_records_total{topic=\"events\",door=\"nng\",outcome=\"stored\"}";
    for (address, is_killed) in [(&tcp, false), (&ipc, true), (&ipc, false)] {
        let mut server = start(folder.path(), port, &[("CROWDREAD_DOORS__NNG__LISTEN", address)]);
        wait_until("the address of the door", || told(&format!("nng     {address}")));
        let answers = ask(address, &["{\"n\":1}", "{\"n\":2}\n{\"n\":3}", "topic: nowhere\n{}"]);
        assert_eq!(answers[0]["durability"], "fsync", "{answers:?}");
        assert_eq!((&answers[1]["outcomes"][0]["outcome"], &answers[1]["outcomes"][0]["to"]), (&json!("stored"), &json!(1)));
        assert_eq!(answers[2]["code"], "unknown_topic");
        let metrics = request(port, "GET", "/metrics", "").body;
        assert!(metrics.contains(&format!("{stored} 3")), "{metrics}");
        if is_killed {
            server.kill()
        } else {
            server.end()
        }
        fs::remove_file(&log).expect("removed");
    }
}

#[test]
fn a_topic_that_is_not_taken_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("folder");
    let mut command = crowdread();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
    command.env("CROWDREAD_DOORS__NNG__LISTEN", "tcp://127.0.0.1:0").env("CROWDREAD_DOORS__NNG__TOPIC", "nowhere");
    let told = fail(2, &mut command);
    assert!(told.contains("doors.nng.topic") && told.contains("nowhere"), "{told}");
}
