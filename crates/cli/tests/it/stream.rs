//! Clients that people use at the WebSocket door of the real server: Python's websockets and a real Chromium.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    browser_driver::with_browser,
    programs::{free_port, import_sample, python, serve, succeed},
};

/// Sends in every way that the library has, reads behind, and says what came back.
const SEND: &str = r#"
import asyncio, json, sys
import websockets

async def main(url):
    options = dict(subprotocols=['crowdread.v1'], additional_headers={'Authorization': 'Bearer anything'}, max_size=None)
    async with websockets.connect(url + 'events', **options) as socket:
        async def send():
            for n in range(500):
                await socket.send(json.dumps({'n': n}))
            await socket.send(b'{"n":500}')
            await socket.send(['{"n"', ':501}\n', '{"n":502}'])
            await socket.send('no JSON')
        sending = asyncio.create_task(send())
        answers = [json.loads(await socket.recv()) for _ in range(503)]
        await sending
        await (await socket.ping())
        assert socket.subprotocol == 'crowdread.v1'
    async with websockets.connect(url + 'events') as socket:
        try:
            await socket.send('[' + '{},' * 700_000)
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            large = closed.rcvd.code
    try:
        await websockets.connect(url + 'events', origin='http://evil.example')
    except websockets.InvalidStatus as refused:
        foreign = refused.response.status_code
    print(json.dumps({'answers': answers, 'large': large, 'foreign': foreign}))

asyncio.run(main(sys.argv[1]))
"#;

/// C1, Q1.
#[test]
fn pythons_websockets_gets_an_answer_to_each_message() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let (data, port) = (folder.path().join("data"), free_port());
    let mut server = serve(&data, port, &folder.path().join("log"), &[]);
    let output = succeed(Command::new(python).args(["-c", SEND]).arg(format!("ws://127.0.0.1:{port}/v1/stream/")));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&said["large"], &said["foreign"]), (&json!(1009), &json!(403)));
    let answers = said["answers"].as_array().expect("answers");
    for (seq, answer) in answers.iter().enumerate() {
        assert_eq!((&answer["seq"], &answer["durability"]), (&json!(seq), &json!("fsync")), "{answer}");
        let run = &answer["outcomes"][0];
        let expected = match seq {
            501 => (json!(1), json!("stored")),
            502 => (json!(0), json!("rejected")),
            _ => (json!(0), json!("stored")),
        };
        assert_eq!((run["to"].clone(), run["outcome"].clone()), expected, "{answer}");
    }
    server.end();
}

/// Asks for a word, answers it over a socket, then over one with a secret that was given out nowhere.
const ANSWER: &str = r#"(async () => {
    const { secret } = await (await fetch("/v1/workers", { method: "POST" })).json();
    const headers = { Authorization: `Bearer ${secret}` };
    const { tasks } = await (await fetch("/v1/tasks?collection=sample&n=1", { headers })).json();
    const { task_id, reading_id, lease_id } = tasks[0];
    const answer = { collection: "sample", task_id, reading_id, lease_id, label: "right", answered_at: new Date().toISOString() };
    const talk = (secret) => new Promise((done) => {
        const socket = new WebSocket(`ws://${location.host}/v1/stream/answers`, ["crowdread.v1", `bearer.${secret}`]);
        const said = [];
        socket.onopen = () => [answer, answer].forEach((record) => socket.send(JSON.stringify(record)));
        socket.onmessage = (event) => { if (said.push(JSON.parse(event.data)) === 2) socket.close(); };
        socket.onclose = (event) => done([socket.protocol, event.code, ...said.map(({ seq, outcomes: [run] }) => [seq, run.tag ?? run.outcome])]);
    });
    return [await talk(secret), await talk("nobody")];
})()"#;

/// Whether a page may connect.
const CONNECTS: &str = "new Promise((done) => {
    const socket = new WebSocket('ws://127.0.0.1:PORT/v1/stream/events');
    socket.onopen = () => done(true);
    socket.onerror = () => done(false);
})";

/// Seen to fail without `same_origin`: the foreign page connects.
#[tokio::test]
async fn a_browser_answers_over_a_socket_and_a_foreign_page_does_not() {
    with_browser((360, 740), |browser| async move {
        let folder = tempfile::tempdir().expect("folder");
        let (data, port) = (folder.path().join("data"), free_port());
        import_sample(&data);
        let _server = serve(&data, port, &folder.path().join("log"), &[]);
        browser.open(&format!("http://127.0.0.1:{port}/board")).await;
        let told = |word: &str| json!(["crowdread.v1", 1005, [0, word], [1, word]]);
        assert_eq!(browser.value(ANSWER).await, json!([told("stored"), told("unknown_worker")]));
        let connects = CONNECTS.replace("PORT", &port.to_string());
        assert_eq!(browser.value(&connects).await, true);
        // Another name of the same machine is another origin. Our own pages may not connect elsewhere (Content-Security-Policy); this one may.
        browser.open(&format!("http://localhost:{port}/healthz")).await;
        assert_eq!(browser.value(&connects).await, false);
    })
    .await;
}
