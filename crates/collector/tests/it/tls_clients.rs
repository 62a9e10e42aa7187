//! Clients that people use, over TLS: curl, Python's requests and websockets, openssl, Mosquitto's and Paho.

use std::{fs, path::Path, process::Command, sync::Arc};

use axum::Router;
use collector::{http, mqtt, server, websocket};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::{
    client::Server,
    clients::{curl, is_quick, payloads, python_at, run},
    mqtt_client::Broker,
    rigged::{Rigged, ingest},
    tls_client::{Certified, write_key},
};

async fn start_with(queue: &Arc<Rigged>, certified: Certified) -> Server {
    let ingest = ingest(queue).0;
    let records = http::Records::new(ingest.clone(), http::Config::default());
    let routes: Router = records.router().merge(websocket::router(ingest, websocket::Config::default()));
    Server::start_over(server::App::new(records, routes), server::Config::default(), Some(certified)).await
}

async fn start(queue: &Arc<Rigged>) -> Server {
    start_with(queue, Certified::new()).await
}

fn authority(server: &Server) -> String {
    server.certified.as_ref().expect("TLS").authority_file().display().to_string()
}

async fn start_broker(queue: &Arc<Rigged>) -> Broker {
    Broker::start_over(ingest(queue).0, mqtt::Config::default(), Some(Certified::new())).await
}

#[tokio::test]
async fn curl_agrees_upon_http_2_or_http_1() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let server = start(&queue).await;
    let (url, authority) = (format!("https://localhost:{}/v1/records/events", server.address.port()), authority(&server));
    let ways = [(&["--http2"][..], "2"), (&["--http1.1"], "1.1"), (&["--no-alpn"], "1.1"), (&["--http2", "--tls-max", "1.2"], "2")];
    for (args, version) in ways {
        let common = ["--cacert", &authority, "--data", "{}", "--header", "content-type: application/json"];
        let args = [args, &common, &["--write-out", "%{http_version}\n%{http_code}"]].concat();
        let (status, said) = curl(&args, &url).await;
        assert_eq!(status, 200);
        assert!(said.ends_with(&format!("}}{version}")), "{args:?}: {said}");
    }
    assert_eq!(queue.stored().len(), 4);
}

#[tokio::test]
async fn requests_and_websockets_trust_the_certificate() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let server = start(&queue).await;
    let script = "
import asyncio, json, ssl, sys
import requests, websockets
address, authority = sys.argv[1].split('|')
session = requests.Session()
session.trust_env = False
answers = [session.post(f'https://{address}/v1/records/events', json={'n': n}, verify=authority) for n in range(2)]
try:
    session.post(f'https://{address}/v1/records/events', json={})
    untrusted = 'taken'
except requests.exceptions.SSLError:
    untrusted = 'refused'
async def stream():
    context = ssl.create_default_context(cafile=authority)
    async with websockets.connect(f'wss://{address}/v1/stream/events', ssl=context, proxy=None) as socket:
        for n in range(2, 5):
            await socket.send(json.dumps({'n': n}))
        return [json.loads(await socket.recv())['outcomes'][0]['outcome'] for _ in range(3)]
told = asyncio.run(stream())
print(json.dumps([[answer.status_code for answer in answers], untrusted, told]))
";
    let told = python_at(&format!("{}|{}", server.address, authority(&server)), script).await;
    assert_eq!(told, json!([[200, 200], "refused", ["stored", "stored", "stored"]]));
    assert_eq!(payloads(&queue), (0..5).map(|n| json!({"n": n})).collect::<Vec<_>>());
}

/// What openssl says of a handshake.
async fn s_client(server: &Server, args: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &server.address.to_string(), "-servername", "localhost", "-verify_return_error"]);
    command.args(["-CAfile", &authority(server)]).args(args);
    run(command).await
}

#[tokio::test]
async fn openssl_sees_the_protocols_and_keys_of_its_own_forms() {
    if is_quick() {
        return;
    }
    // (form, what openssl makes it with): SEC1, PKCS#1, PKCS#8.
    for (algorithm, form) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "BEGIN EC PRIVATE KEY"),
        (&rcgen::PKCS_RSA_SHA256, "BEGIN RSA PRIVATE KEY"),
        (&rcgen::PKCS_ED25519, "BEGIN PRIVATE KEY"),
    ] {
        let (queue, certified) = (Rigged::new(), Certified::new());
        certified.renew_with(&KeyPair::generate_for(algorithm).expect("a key"));
        let key = certified.files().key;
        if form != "BEGIN PRIVATE KEY" {
            write_key(&key, &traditional(&key).await);
        }
        assert!(fs::read_to_string(&key).expect("there").contains(form));
        let server = start_with(&queue, certified).await;
        for (args, protocol) in [(&["-alpn", "h2,http/1.1"][..], "h2"), (&["-alpn", "http/1.1", "-tls1_2"], "http/1.1")] {
            let told = s_client(&server, args).await;
            let agreed = format!("ALPN protocol: {protocol}");
            assert!(told.contains(&agreed) && told.contains("Verify return code: 0 (ok)"), "{form}: {told}");
        }
    }
}

async fn traditional(key: &Path) -> String {
    let mut command = Command::new("openssl");
    command.args(["pkey", "-traditional", "-in"]).arg(key);
    run(command).await
}

#[tokio::test]
async fn mosquitto_and_paho_publish_over_tls() {
    if is_quick() {
        return;
    }
    let queue = Rigged::new();
    let broker = start_broker(&queue).await;
    let authority = broker.certified.as_ref().expect("TLS").authority_file();
    let mut expected = Vec::new();
    for (version, qos) in [("311", "1"), ("5", "1"), ("5", "2")] {
        let payload = json!({"version": version, "qos": qos});
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "localhost", "-p", &broker.address.port().to_string(), "--cafile"]).arg(&authority);
        command.args(["-V", version, "-q", qos, "-t", "events", "-m", &payload.to_string()]);
        run(command).await;
        expected.push(payload);
    }
    let script = "
import json, sys
from paho.mqtt import client as mqtt
port, authority = sys.argv[1].split('|')
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id='paho', protocol=mqtt.MQTTv5)
client.tls_set(ca_certs=authority)
client.max_inflight_messages_set(200)
codes = []
client.on_publish = lambda client, data, mid, code, properties: codes.append(code.value)
client.connect('localhost', int(port), keepalive=30)
client.loop_start()
for one in [client.publish('events', json.dumps({'n': n}), qos=1) for n in range(500)]:
    one.wait_for_publish(30)
client.disconnect()
client.loop_stop()
print(json.dumps([sorted(set(codes)), len(codes)]))
";
    let told = python_at(&format!("{}|{}", broker.address.port(), authority.display()), script).await;
    assert_eq!(told, json!([[0], 500]));
    expected.extend((0..500).map(|n| json!({"n": n})));
    let found: Vec<Value> = payloads(&queue);
    assert_eq!(found, expected, "each once, in order");
}
