//! The beacon's address: what 204 means, and when it is not said.

use std::sync::Arc;

use collector::{http, server};
use metrics_exporter_prometheus::PrometheusBuilder;
use queue::Headroom;
use record::ErrorKind;

use crate::{
    client::{Server, app},
    rigged::{Rigged, ingest},
};

async fn start(queue: &Arc<Rigged>) -> Server {
    Server::start(app(ingest(queue).0, http::Config::default()), server::Config::default()).await
}

/// Sends a beacon: the status, `Retry-After`, and the body.
async fn send(server: &Server, topic: &str, content_type: &str, body: Vec<u8>) -> (u16, Option<String>, String) {
    let mut request = reqwest::Client::new().post(format!("http://{}/v1/beacon/{topic}", server.address)).body(body);
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    let response = request.send().await.expect("an answer");
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
    (response.status().as_u16(), retry_after, response.text().await.expect("text"))
}

#[tokio::test]
async fn no_content_means_that_each_record_is_stored_or_its_rejection_kept() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    // The test's runtime has one thread, so that all of the server counts here.
    let _counting = ::metrics::set_default_local_recorder(&recorder);
    let queue = Rigged::new();
    let server = start(&queue).await;
    for (content_type, body) in [("text/plain;charset=UTF-8", "{\"a\":1}\n7\n{\"a\":2}"), ("", "[{\"a\":3}]"), ("text/plain", "oops")] {
        assert_eq!(send(&server, "events", content_type, body.into()).await, (204, None, String::new()), "{body}");
    }
    let stored = queue.stored();
    assert!(stored.iter().all(|record| record.door == "beacon") && stored.len() == 3);
    let counted = metrics.render();
    for (outcome, count) in [("stored", 3), ("not_an_object", 1), ("not_json", 1)] {
        let line = format!("crowdread_collector_records_total{{topic=\"events\",door=\"beacon\",outcome=\"{outcome}\"}} {count}");
        assert!(counted.contains(&line), "{line}\n{counted}");
    }
}

/// C1. Seen to fail when `beacon` answers 204 whatever the outcomes are.
#[tokio::test]
async fn a_beacon_that_cannot_be_stored_is_not_acknowledged() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    queue.set(|rig| rig.fails = Some(ErrorKind::Unavailable));
    for body in ["{}", "{}\n7", "7\n{}"] {
        let (status, retry_after, _) = send(&server, "events", "text/plain", body.into()).await;
        assert_eq!((status, retry_after.as_deref()), (503, Some("1")), "{body:?}");
    }
    assert_eq!(queue.appends_begun(), 3, "the fault was met");
    queue.set(|rig| rig.headroom = Headroom::Low { retry_after_ms: 3_000 });
    assert_eq!(send(&server, "events", "text/plain", b"{}".to_vec()).await.1.as_deref(), Some("3"));
    queue.set(|rig| (rig.headroom, rig.fails) = (Headroom::Enough, Some(ErrorKind::Closed)));
    assert_eq!(send(&server, "events", "text/plain", b"{}".to_vec()).await.0, 503);
    assert!(queue.stored().is_empty());
}

#[tokio::test]
async fn what_is_no_beacon_is_refused() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    let largest = [b"{}".to_vec(), vec![b' '; 64 * 1024 - 2]].concat();
    let over = [largest.clone(), b" ".to_vec()].concat();
    let cases = [
        ("nowhere", "text/plain", b"{}".to_vec(), 404),
        ("events", "application/json", b"{}".to_vec(), 415),
        ("events", "application/x-www-form-urlencoded", b"a=1".to_vec(), 415),
        ("events", "text/plain", Vec::new(), 400),
        ("events", "text/plain", over, 413),
        ("events", "text/plain", largest, 204),
    ];
    for (topic, content_type, body, status) in cases {
        assert_eq!(send(&server, topic, content_type, body).await.0, status, "{topic} {content_type}");
    }
    assert_eq!(queue.stored().len(), 1);
}
