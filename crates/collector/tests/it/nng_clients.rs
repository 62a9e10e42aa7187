//! The NNG client that people use from Python: pynng, with threads and with Trio. What it needs, `cargo xtask test` installs.

use std::sync::Arc;

use collector::nng;
use serde_json::{Value, json};

use crate::{
    clients::{is_quick, payloads, python_at},
    nng_client::Replier,
    rigged::{Rigged, ingest, ingest_with_tokens, token},
};

async fn start(queue: &Arc<Rigged>) -> Replier {
    start_with(queue, nng::Config::default()).await
}

async fn start_with(queue: &Arc<Rigged>, config: nng::Config) -> Replier {
    Replier::start(ingest(queue).0, config).await
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_key(Value::to_string);
    values
}

/// Each thread with a context of its own, on one connection.
#[tokio::test]
async fn pynng_sends_from_many_threads() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let replier = start(&queue).await;
    let script = "
import json, sys
from concurrent.futures import ThreadPoolExecutor
import pynng
with pynng.Req0(dial=sys.argv[1], block_on_dial=True, send_timeout=30_000, recv_timeout=30_000) as socket:
    def ask(thread):
        told = []
        with socket.new_context() as context:
            for n in range(50):
                lines = '\\n'.join(json.dumps({'thread': thread, 'n': n, 'line': line}) for line in range(3))
                context.send(lines.encode())
                told.append(json.loads(context.recv()))
        return told
    with ThreadPoolExecutor(16) as threads:
        answers = [answer for told in threads.map(ask, range(16)) for answer in told]
print(json.dumps(answers))
";
    let answers = python_at(&replier.address.to_string(), script).await;
    let answers = answers.as_array().expect("a list");
    assert_eq!(answers.len(), 16 * 50);
    for answer in answers {
        let runs: Vec<Value> = answer["outcomes"].as_array().expect("outcomes").clone();
        assert_eq!((runs.len(), &runs[0]["outcome"], &runs[0]["to"]), (1, &json!("stored"), &json!(2)), "{answer}");
    }
    let expected =
        (0..16).flat_map(|thread| (0..50).flat_map(move |n| (0..3).map(move |line| json!({"thread": thread, "n": n, "line": line}))));
    assert_eq!(sorted(payloads(&queue)), sorted(expected.collect()), "each once");
}

/// Two hundred contexts of one socket, all in flight at a time: the queue holds until each has sent.
#[tokio::test]
async fn pynng_keeps_many_in_flight_with_trio() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let replier = start(&queue).await;
    queue.set(|rig| rig.holds = true);
    let script = "
import json, sys
import pynng, trio
async def main():
    told = {}
    async def ask(socket, n):
        with socket.new_context() as context:
            await context.asend(json.dumps({'n': n} if n % 10 else 7).encode())
            told[n] = json.loads(await context.arecv())
    with pynng.Req0(dial=sys.argv[1], block_on_dial=True) as socket:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for n in range(200):
                    nursery.start_soon(ask, socket, n)
    print(json.dumps(told))
trio.run(main)
";
    let address = replier.address.to_string();
    let asking = tokio::spawn(async move { python_at(&address, script).await });
    queue.wait_for_appends(200).await;
    queue.set(|rig| rig.holds = false);
    let told = asking.await.expect("no panic");
    let told = told.as_object().expect("an object");
    assert_eq!(told.len(), 200);
    let stored = queue.stored();
    for (n, answer) in told {
        let n: u64 = n.parse().expect("a number");
        let run = &answer["outcomes"][0];
        if n.is_multiple_of(10) {
            assert_eq!(run["tag"], "not_an_object", "{answer}");
            continue;
        }
        assert_eq!(run["outcome"], "stored", "{answer}");
        assert!(stored.iter().any(|record| record.payload == format!("{{\"n\": {n}}}")), "{n}");
    }
    assert_eq!(stored.len(), 180);
}

/// What pynng is told of what cannot be stored, and that it goes on with the same socket.
#[tokio::test]
async fn pynng_is_told_of_what_is_refused() {
    if is_quick() {
        return;
    }
    let (queue, folder) = (Rigged::new(), tempfile::tempdir().expect("a folder"));
    let (ingest, tokens) = ingest_with_tokens(&queue, folder.path());
    let replier = Replier::start(ingest, nng::Config { topic: "sensors".to_owned(), ..nng::Config::default() }).await;
    let script = format!(
        "
import json, sys
import pynng
record = b'{{\"device\":\"attic-7\",\"celsius\":21.5}}'
fields = b'authorization: Bearer {}\\n'
requests = [record, fields + record, b'topic: nowhere\\n' + record, fields + b'x' * (2 << 20), fields + record + b'\\n7']
with pynng.Req0(dial=sys.argv[1], send_timeout=30_000, recv_timeout=30_000) as socket:
    told = []
    for request in requests:
        socket.send(request)
        answer = json.loads(socket.recv())
        told.append(answer.get('code') or [run.get('tag', run['outcome']) for run in answer['outcomes']])
print(json.dumps(told))
",
        token(&tokens, "sensors").secret
    );
    let told = python_at(&replier.address.to_string(), &script).await;
    assert_eq!(told, json!(["token_needed", ["stored"], "unknown_topic", "body_too_large", ["stored", "not_an_object"]]));
    assert_eq!(queue.stored().len(), 2);
}

/// A requester that lost its replier before the reply sends again as soon as there is one. Seen to fail when what is in flight is told
/// as refused at shutdown.
#[tokio::test]
async fn pynng_sends_again_what_a_restart_cut_off() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let first = start_with(&queue, nng::Config { shutdown_timeout_ms: 100, ..nng::Config::default() }).await;
    let script = "
import sys
import pynng
with pynng.Req0(dial=sys.argv[1], block_on_dial=True, recv_timeout=60_000) as socket:
    socket.send(b'{\"record_id\":\"0192f0c4-8c5e-7000-8000-000000000001\"}')
    print(socket.recv().decode())
";
    let address = first.address.to_string();
    queue.set(|rig| rig.holds = true);
    let asking = tokio::spawn({
        let address = address.clone();
        async move { python_at(&address, script).await }
    });
    queue.wait_for_appends(1).await;
    first.shutdown.cancel();
    first.ended().await;
    queue.set(|rig| rig.holds = false);
    assert_eq!(queue.stored().len(), 0);
    let _second = Replier::start_at(&address, ingest(&queue).0, nng::Config::default()).await;
    let answer = asking.await.expect("no panic");
    assert_eq!(answer["outcomes"][0]["outcome"], "stored", "{answer}");
    assert_eq!(queue.stored().len(), 1);
}

/// Over a local socket.
#[tokio::test]
async fn pynng_sends_over_a_local_socket() {
    if is_quick() {
        return;
    }
    let (queue, folder) = (Rigged::new(), tempfile::tempdir().expect("a folder"));
    let address = format!("ipc://{}", folder.path().join("nng").display());
    let replier = Replier::start_at(&address, ingest(&queue).0, nng::Config::default()).await;
    let script = "
import json, sys
import pynng
with pynng.Req0(dial=sys.argv[1], send_timeout=30_000, recv_timeout=30_000) as socket:
    told = []
    for n in range(3):
        socket.send(json.dumps([{'n': n}] * 2).encode())
        told.append(json.loads(socket.recv()))
print(json.dumps(told))
";
    let told = python_at(&replier.address.to_string(), script).await;
    assert!(told.as_array().expect("a list").iter().all(|answer| answer["outcomes"][0]["to"] == 1), "{told}");
    assert_eq!(payloads(&queue), [0, 0, 1, 1, 2, 2].map(|n| json!({"n": n})));
}
