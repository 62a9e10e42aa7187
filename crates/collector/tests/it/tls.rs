//! TLS before the doors: who is let in, who loses their place, what is renewed, and how connections end.

use std::{fs, sync::Arc, time::Duration};

use collector::{
    http, mqtt, server,
    tls::{Files, Sockets, Tls},
};
use rcgen::KeyPair;
use record::ErrorKind;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::rustls::{
    ProtocolVersion,
    version::{TLS12, TLS13},
};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{DEADLINE, Server, app, bytes_to_close},
    mqtt_client::Broker,
    rigged::{Rigged, ingest},
    tls_client::{BOTH, Certified, write_key},
};

const HEAD: &str = "POST /v1/records/events HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n";
const BODY: &str = "\r\n{\"a\":1}";

async fn start(queue: &Arc<Rigged>, config: server::Config) -> Server {
    Server::start_over(app(ingest(queue).0, http::Config::default()), config, Some(Certified::new())).await
}

fn certified(server: &Server) -> &Certified {
    server.certified.as_ref().expect("it speaks TLS")
}

/// Sends one record and reads the answer's head and body, as far as they come at once.
async fn send(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(format!("{HEAD}{BODY}").as_bytes()).await.expect("written");
    let mut said = vec![0; 4096];
    let count = timeout(DEADLINE, stream.read(&mut said)).await.expect("in time").expect("an answer");
    String::from_utf8(said[..count].to_vec()).expect("UTF-8")
}

async fn assert_serves(server: &Server) {
    let mut stream = server.wire(&["http/1.1"]).await;
    let said = send(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

/// Reads to the end, which must have been told of (close_notify), and not just have come.
async fn assert_told_of_its_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("in time").expect("close_notify");
    rest
}

/// Does what a peer of HTTP/2 has to (SETTINGS and PING are acknowledged), until it is told of the end.
async fn answer_frames(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut head = [0; 9];
    while stream.read(&mut head[..1]).await.expect("close_notify") > 0 {
        stream.read_exact(&mut head[1..]).await.expect("a frame");
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.expect("a frame");
        let answer = match (head[3], head[4]) {
            (4, 0) => [&[0, 0, 0, 4, 1, 0, 0, 0, 0][..], &[]].concat(),
            (6, 0) => [&[0, 0, 8, 6, 1, 0, 0, 0, 0], &payload[..]].concat(),
            _ => continue,
        };
        // The end may have begun.
        let _closed = stream.write_all(&answer).await;
    }
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let queue = Rigged::new();
    let server = start(&queue, server::Config::default()).await;
    for (asked, spoken) in
        [(&[&TLS12][..], ProtocolVersion::TLSv1_2), (&[&TLS13], ProtocolVersion::TLSv1_3), (BOTH, ProtocolVersion::TLSv1_3)]
    {
        let mut stream = certified(&server).try_connect(server.address, asked, &[]).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
        assert!(send(&mut stream).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(queue.stored().len(), 3);
}

/// To see it fail: in `Server::serve`, let the first bytes alone decide.
#[tokio::test]
async fn what_was_agreed_upon_is_spoken() {
    let queue = Rigged::new();
    let server = start(&queue, server::Config::default()).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // Who offers both gets HTTP/2.
    let both = certified(&server).connect(server.address, &["http/1.1", "h2"]).await;
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // HTTP/1.1 on a connection that is to be HTTP/2, and the other way round.
    let mut h2 = certified(&server).connect(server.address, &["h2"]).await;
    h2.write_all(format!("{HEAD}connection: close\r\n{BODY}").as_bytes()).await.expect("written");
    let said = bytes_to_close(&mut h2).await;
    assert!(!said.starts_with(b"HTTP/1.1 2"), "{said:?}");
    let mut http1 = certified(&server).connect(server.address, &["http/1.1"]).await;
    http1.write_all(preface).await.expect("written");
    assert_eq!(bytes_to_close(&mut http1).await, b"", "no frame of HTTP/2");
    assert_eq!(queue.appends_begun(), 0);
    // Who offers nothing begins as without TLS: the answer to a preface begins with SETTINGS.
    let mut none = certified(&server).connect(server.address, &[]).await;
    none.write_all(preface).await.expect("written");
    let mut frame = [0; 9];
    none.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(frame[3], 4);
    let refused = certified(&server).try_connect(server.address, BOTH, &["spdy/3"]).await.expect_err("no common protocol");
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    assert_serves(&server).await;
}

/// Whoever speaks no TLS, or stops in its middle, loses its place. To see it fail: in `Arrived::secured`, leave the time-out out.
#[tokio::test]
async fn half_a_handshake_loses_its_place() {
    let queue = Rigged::new();
    let config = server::Config { header_timeout_ms: 100, connections_max: Some(1), ..server::Config::default() };
    let server = start(&queue, config).await;
    // A record of a handshake (RFC 8446 section 5.1), of which there are 512 bytes to come.
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = server.connect().await;
        stream.write_all(begun).await.expect("written");
        assert_eq!(bytes_to_close(&mut stream).await, b"", "{begun:?}");
    }
    // With the handshake done, the time for a first byte.
    let mut mute = certified(&server).connect(server.address, &["http/1.1"]).await;
    assert_eq!(assert_told_of_its_end(&mut mute).await, b"");
    assert_serves(&server).await;
}

#[tokio::test]
async fn plain_text_is_turned_away_with_an_alert() {
    let queue = Rigged::new();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let counts = recorder.handle();
    // The tests of this file run on one thread each, the server's tasks too.
    let _counting = ::metrics::set_default_local_recorder(&recorder);
    let server = start(&queue, server::Config::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(format!("{HEAD}connection: close\r\n{BODY}").as_bytes()).await.expect("written");
    let said = bytes_to_close(&mut stream).await;
    assert_eq!(said.first(), Some(&0x15), "an alert: {said:?}");
    assert_eq!(queue.appends_begun(), 0);
    let failed = "crowdread_tls_handshakes_failed_total{door=\"http\",reason=\"no_tls\"} 1";
    assert!(counts.render().contains(failed), "{}", counts.render());
    assert_serves(&server).await;
}

/// To see it fail: give each socket places of its own.
#[tokio::test]
async fn both_sockets_share_their_places() {
    let (queue, certified) = (Rigged::new(), Certified::new());
    let (plain, tls) = (TcpListener::bind("127.0.0.1:0").await.expect("bound"), TcpListener::bind("127.0.0.1:0").await.expect("bound"));
    let (plain_address, tls_address) = (plain.local_addr().expect("bound"), tls.local_addr().expect("bound"));
    let sockets = Sockets { plain: Some(plain), tls: Some((tls, certified.tls())) };
    let (shutdown, config) = (CancellationToken::new(), server::Config { connections_max: Some(1), ..server::Config::default() });
    let running = tokio::spawn(server::run(sockets, app(ingest(&queue).0, http::Config::default()), config, shutdown.clone()));
    let mut first = TcpStream::connect(plain_address).await.expect("listens");
    assert!(send(&mut first).await.starts_with("HTTP/1.1 200 "));
    let mut second = Box::pin(certified.connect(tls_address, &[]));
    assert!(timeout(Duration::from_millis(50), &mut second).await.is_err(), "not served while the place is taken");
    drop(first);
    let mut second = timeout(DEADLINE, second).await.expect("in time");
    assert!(send(&mut second).await.starts_with("HTTP/1.1 200 "));
    shutdown.cancel();
    timeout(DEADLINE, running).await.expect("in time").expect("no panic").expect("no error");
}

/// To see it fail: in `Tls::look_again`, keep what is in force (renewal), or put in force what cannot be used (the rest).
#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_a_bad_one_to_none() {
    let (queue, certified) = (Rigged::new(), Certified::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let (address, tls, shutdown) = (listener.local_addr().expect("bound"), certified.tls(), CancellationToken::new());
    let sockets = Sockets { plain: None, tls: Some((listener, tls.clone())) };
    let app = app(ingest(&queue).0, http::Config::default());
    let running = tokio::spawn(server::run(sockets, app, server::Config::default(), shutdown.clone()));
    let shown = async || {
        let stream = certified.connect(address, &[]).await;
        let shown = stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec();
        (stream, shown)
    };
    let (mut open, old) = shown().await;
    assert!(!tls.look_again(), "nothing has changed");
    let new = certified.renew();
    assert_ne!(old, new);
    assert!(tls.look_again());
    assert!(send(&mut open).await.starts_with("HTTP/1.1 200 "), "an open connection goes on");
    assert_eq!(shown().await.1, new);
    // Between the writing of the certificate and that of its key; half a file; none.
    let files = certified.files();
    let other = KeyPair::generate().expect("a key").serialize_pem();
    let (certificate, key) = (fs::read_to_string(&files.certificate).expect("there"), fs::read_to_string(&files.key).expect("there"));
    let newest = certified.renew();
    let newest_pem = fs::read_to_string(&files.certificate).expect("there");
    let newest_key = fs::read_to_string(&files.key).expect("there");
    for (certificate, key) in
        [(&newest_pem, &key), (&certificate, &other), (&newest_pem[..80].to_owned(), &newest_key), (&String::new(), &key)]
    {
        fs::write(&files.certificate, certificate).expect("written");
        write_key(&files.key, key);
        assert!(!tls.look_again());
        assert_eq!(shown().await.1, new);
    }
    fs::write(&files.certificate, &newest_pem).expect("written");
    fs::remove_file(&files.key).expect("removed");
    assert!(!tls.look_again());
    write_key(&files.key, &newest_key);
    assert!(tls.look_again());
    assert_eq!(shown().await.1, newest);
    drop(open);
    shutdown.cancel();
    timeout(DEADLINE, running).await.expect("in time").expect("no panic").expect("no error");
}

#[test]
fn files_that_cannot_be_used_are_named_and_what_to_do() {
    let certified = Certified::new();
    let (files, folder) = (certified.files(), certified.folder.path());
    let written = |name: &str, text: &str| {
        let path = folder.join(name);
        write_key(&path, text);
        path
    };
    let other = written("other.pem", &KeyPair::generate().expect("a key").serialize_pem());
    let locked = written("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let broken = written("broken.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let no_certificate = written("certificate.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let nowhere = folder.join("nowhere.pem");
    let cases = [
        (&nowhere, &files.key, "nowhere.pem", "doors.tls.certificate"),
        (&files.certificate, &nowhere, "nowhere.pem", "doors.tls.key"),
        (&files.key, &files.key, "privkey.pem", "no certificate in the file"),
        (&no_certificate, &files.key, "certificate.pem", "the certificate cannot be used"),
        (&files.certificate, &files.certificate, "fullchain.pem", "no private key in the file"),
        (&files.certificate, &locked, "locked.pem", "without a passphrase"),
        (&files.certificate, &broken, "broken.pem", "RSA, ECDSA"),
        (&files.certificate, &other, "other.pem", "does not belong to the certificate"),
    ];
    for (certificate, key, file, word) in cases {
        let error = Tls::open(Files { certificate: certificate.clone(), key: key.clone() }).expect_err(word);
        let told = error.to_string();
        assert!(told.contains(file) && told.contains(word), "{file}, {word}: {told}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn keys_of_each_kind_are_taken() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        let (queue, certified) = (Rigged::new(), Certified::new());
        certified.renew_with(&KeyPair::generate_for(algorithm).expect("a key"));
        let app = app(ingest(&queue).0, http::Config::default());
        assert_serves(&Server::start_over(app, server::Config::default(), Some(certified)).await).await;
    }
}

/// To see it fail: in `Server::serve`, return without `stream.shutdown`.
#[tokio::test]
async fn shutdown_tells_each_peer_of_its_end() {
    let queue = Rigged::new();
    let server = start(&queue, server::Config::default()).await;
    let mut idle = server.wire(&["http/1.1"]).await;
    assert!(send(&mut idle).await.starts_with("HTTP/1.1 200 "));
    let mut mute = server.wire(&["http/1.1"]).await;
    let mut http2 = server.wire(&["h2"]).await;
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("written");
    let broker = Broker::start_over(ingest(&queue).0, mqtt::Config::default(), Some(Certified::new())).await;
    let mut client = broker.v5("it").await;
    server.shutdown.cancel();
    broker.shutdown.cancel();
    for stream in [&mut idle, &mut mute, &mut client.stream] {
        assert_told_of_its_end(stream).await;
    }
    timeout(DEADLINE, answer_frames(&mut http2)).await.expect("in time");
    server.ended().await;
    broker.ended().await;
}

/// As the one of `hostile`, through TLS. To see it fail: serve the bare stream instead of the one in `WriteTimeout`.
#[tokio::test]
async fn a_sender_who_reads_no_answer_loses_its_place() {
    let queue = Rigged::new();
    let server = start(&queue, server::Config { connections_max: Some(1), write_timeout_ms: 100, ..server::Config::default() }).await;
    let mut deaf = server.wire(&["http/1.1"]).await;
    let many = format!("{HEAD}{BODY}").repeat(1_000);
    let sending = async { while deaf.write_all(many.as_bytes()).await.is_ok() {} };
    timeout(DEADLINE, sending).await.expect("the server closes");
    assert_serves(&server).await;
}

/// To see it fail: in `Arrived::secured`, leave the time-out out.
#[tokio::test]
async fn mqtt_waits_for_no_handshake_either() {
    let queue = Rigged::new();
    let config = mqtt::Config { connect_timeout_ms: 100, connections_max: Some(1), ..mqtt::Config::default() };
    let broker = Broker::start_over(ingest(&queue).0, config, Some(Certified::new())).await;
    for begun in [&b"\x16"[..], b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"] {
        let mut stream = TcpStream::connect(broker.address).await.expect("listens");
        stream.write_all(begun).await.expect("written");
        let said = bytes_to_close(&mut stream).await;
        assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
    }
    broker.v5("it").await;
}
