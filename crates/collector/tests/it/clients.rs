//! Clients that people use: curl, and Python's requests. What they need, `cargo xtask test` installs.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use collector::{http, server};
use serde_json::Value;

use crate::{
    client::{Server, app},
    rigged::{Rigged, ingest},
};

/// Whether programs that are no part of a Rust toolchain are left out.
pub fn is_quick() -> bool {
    let quick = std::env::var_os("CROWDREAD_QUICK").is_some();
    if quick {
        println!("skipped: --quick leaves out what needs more than a Rust toolchain");
    }
    quick
}

async fn start(queue: &Arc<Rigged>) -> Server {
    Server::start(app(ingest(queue).0, http::Config::default()), server::Config::default()).await
}

/// Runs a program to its end while the server goes on; it must succeed. Gives what it wrote.
pub async fn run(mut command: Command) -> String {
    let running = tokio::task::spawn_blocking(move || {
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    });
    running.await.expect("no panic")
}

/// Runs a Python script with the server's address as its argument; it prints JSON.
async fn python(server: &Server, script: &str) -> Value {
    python_at(&format!("http://{}", server.address), script).await
}

pub async fn python_at(address: &str, script: &str) -> Value {
    let python = std::env::var_os("CROWDREAD_PYTHON").map(PathBuf::from).expect("CROWDREAD_PYTHON: run the tests with `cargo xtask test`");
    let mut command = Command::new(python);
    command.args(["-c", script]).arg(address);
    serde_json::from_str(&run(command).await).expect("JSON")
}

/// Runs curl; what it prints ends with the status in a line of its own.
pub async fn curl(args: &[&str], url: &str) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--write-out", "\n%{http_code}"]).args(args).arg(url);
    let said = run(command).await;
    let (body, status) = said.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

pub fn payloads(queue: &Rigged) -> Vec<Value> {
    queue.stored().iter().map(|record| serde_json::from_slice(&record.payload).expect("JSON")).collect()
}

#[tokio::test]
async fn curl_sends_plain_and_packed_lines() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let server = start(&queue).await;
    let folder = std::env::temp_dir().join(format!("crowdread-curl-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let url = format!("http://{}/v1/records/events", server.address);
    for (name, coding) in [("plain", None), ("packed", Some("gzip"))] {
        let file = folder.join(name);
        let lines: String = (0..500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        std::fs::write(&file, lines).expect("written");
        if coding.is_some() {
            let mut gzip = Command::new("gzip");
            gzip.args(["--force", "--suffix", ".packed"]).arg(&file);
            run(gzip).await;
            std::fs::rename(folder.join("packed.packed"), &file).expect("packed");
        }
        let encoding = coding.map(|coding| format!("content-encoding: {coding}"));
        let data = format!("@{}", file.display());
        let mut args = vec!["--header", "content-type: application/x-ndjson", "--data-binary", &data];
        args.extend(encoding.iter().flat_map(|field| ["--header", field.as_str()]));
        let (status, body) = curl(&args, &url).await;
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((status, &answer["outcomes"][0]["to"]), (200, &Value::from(499)), "{name}: {answer}");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
    let numbers: Vec<_> = payloads(&queue).iter().map(|payload| payload["n"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (0..500).chain(0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn curl_speaks_http_2_from_the_first_byte() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let server = start(&queue).await;
    let url = format!("http://{}/v1/records/events", server.address);
    for (args, version) in [(&["--http2-prior-knowledge"][..], "2"), (&["--http1.1"], "1.1")] {
        let args = [args, &["--data", "{}", "--header", "content-type: application/json", "--write-out", "%{http_version}\n%{http_code}"]]
            .concat();
        let (status, said) = curl(&args, &url).await;
        assert_eq!(status, 200);
        assert!(said.ends_with(&format!("}}{version}")), "{said}");
    }
    assert_eq!(queue.stored().len(), 2);
}

#[tokio::test]
async fn requests_sends_gzip_and_zstd() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let server = start(&queue).await;
    let script = "
import gzip, json, sys
import pyarrow, requests
body = b''.join(json.dumps({'n': n}).encode() + b'\\n' for n in range(3))
def parts():
    yield gzip.compress(body[:10])
    yield gzip.compress(body[10:])
session = requests.Session()
packed = [
    ('gzip', gzip.compress(body)),
    ('gzip', parts()),
    ('zstd', pyarrow.compress(body, codec='zstd', asbytes=True)),
    ('br', body),
]
answers = []
for coding, data in packed:
    answer = session.post(sys.argv[1] + '/v1/records/events', data=data, headers={'Content-Encoding': coding})
    answers.append([answer.status_code, answer.headers.get('Accept-Encoding'), answer.json().get('outcomes')])
print(json.dumps(answers))
";
    let answers = python(&server, script).await;
    for answer in &answers.as_array().expect("a list")[..3] {
        assert_eq!((&answer[0], &answer[2][0]["to"]), (&Value::from(200), &Value::from(2)), "{answers}");
    }
    assert_eq!(answers[3], serde_json::json!([415, "gzip, zstd", null]));
    assert_eq!(payloads(&queue).len(), 9);
}

#[tokio::test]
async fn the_python_sdk_sends_cloudevents_in_every_mode() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let server = start(&queue).await;
    let script = "
import json, sys
import requests
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
url = sys.argv[1] + '/v1/records/events'
def event(id, data, **more):
    return CloudEvent({'id': id, 'source': '/shelf/7', 'type': 'page.turned', **more}, data)
events = [
    event('1', {'page': 3}, datacontenttype='application/json', subject='Größe 20 %'),
    event('2', b'\\x00\\xff', datacontenttype='image/png'),
    event('3', 'plain', datacontenttype='text/plain'),
    event('4', None),
]
answers, sent = [], []
for one in events:
    structured = to_structured_event(one)
    sent.append(json.loads(structured.body))
    for message in [to_binary_event(one), structured]:
        answers.append(requests.post(url, headers=message.headers, data=message.body))
batch = {'Content-Type': 'application/cloudevents-batch+json'}
answers.append(requests.post(url, headers=batch, data=json.dumps(sent)))
for answer in answers:
    assert answer.status_code == 200, answer.text
print(json.dumps({'sent': sent, 'outcomes': [answer.json()['outcomes'] for answer in answers]}))
";
    let told = python(&server, script).await;
    let sent = told["sent"].as_array().expect("a list");
    let by_mode: Vec<&Value> = sent.iter().flat_map(|event| [event, event]).chain(sent).collect();
    let payloads = payloads(&queue);
    assert_eq!(payloads.iter().collect::<Vec<_>>(), by_mode, "{}", told["outcomes"]);
    let ids: Vec<_> = queue.stored().iter().map(|record| record.id).collect();
    for n in 0..4 {
        assert!(ids[2 * n] == ids[2 * n + 1] && ids[2 * n] == ids[8 + n], "one event is one record");
    }
}
