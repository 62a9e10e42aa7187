//! What is the HTTP door's alone: statuses, problem details, forms of bodies, status routes.

use std::sync::Arc;

use axum::{Router, routing::get};
use collector::{http, rates, server, status};
use metrics_exporter_prometheus::PrometheusBuilder;
use queue::Headroom;
use record::ErrorKind;
use serde_json::Value;

use crate::{
    client::{Server, app},
    rigged::{Rigged, ingest, ingest_with_rates, token},
};

async fn start(queue: &Arc<Rigged>) -> Server {
    Server::start(app(ingest(queue).0, http::Config::default()), server::Config::default()).await
}

/// Posts to `events` and gives the status and the body.
async fn post(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(format!("http://{}/v1/records/events", server.address)).body(body.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let expected = if status == 200 { "application/json" } else { "application/problem+json" };
    assert_eq!(response.headers()["content-type"], expected);
    (status, response.json().await.expect("JSON"))
}

#[tokio::test]
async fn the_response_has_its_fixed_form() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    let (status, body) = post(&server, &[("content-type", "application/json")], br#"[{"a":1},{"a":2},3]"#).await;
    let expected = serde_json::json!({"durability": "memory", "outcomes": [
        {"from": 0, "to": 1, "outcome": "stored", "receipt": "memory/0:0"},
        {"from": 2, "to": 2, "outcome": "rejected", "tag": "not_an_object",
         "message": "expected a JSON object, found a number (byte 17 of the body)"},
    ]});
    assert_eq!((status, body), (200, expected));
}

#[tokio::test]
async fn a_body_without_a_record_is_a_bad_request() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    for body in ["", " \n ", "[]"] {
        let (status, problem) = post(&server, &[], body.as_bytes()).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("no_record")), "{body:?}");
    }
    // One record was found, though it is a bad one: it has its outcome.
    let (status, body) = post(&server, &[], b"oops").await;
    assert_eq!((status, body["outcomes"][0]["tag"].as_str()), (200, Some("not_json")));
}

#[tokio::test]
async fn a_request_that_is_not_ours_is_refused_with_its_reason() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    let cases: [(&[(&str, &str)], u16); 5] = [
        (&[("content-type", "application/x-www-form-urlencoded")], 415),
        (&[("content-encoding", "br")], 415),
        (&[("authorization", "Basic YTpi")], 401),
        (&[("authorization", "Bearer ")], 401),
        (&[("authorization", "bearer x"), ("content-type", "text/plain")], 200),
    ];
    for (headers, expected) in cases {
        let (status, body) = post(&server, headers, b"{}").await;
        assert_eq!(status, expected, "{headers:?}: {body}");
    }
    assert_eq!(queue.stored().len(), 1);
    let unknown = format!("http://{}/v1/records/%ff", server.address);
    let response = reqwest::Client::new().post(unknown).body("{}").send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 404);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn all_retry_is_unavailable_with_the_time_and_every_outcome() {
    let queue = Rigged::new();
    let server = start(&queue).await;
    queue.set(|rig| rig.fails = Some(ErrorKind::Unavailable));
    let request = reqwest::Client::new().post(format!("http://{}/v1/records/events", server.address)).body("{}\n{}");
    let response = request.send().await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().ok()), (503, Some("1")));
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["outcomes"], serde_json::json!([{"from": 0, "to": 1, "outcome": "retry", "retry_after_ms": 1000}]));
    queue.set(|rig| rig.headroom = Headroom::Low { retry_after_ms: 4_200 });
    let request = reqwest::Client::new().post(format!("http://{}/v1/records/events", server.address)).body("{}");
    assert_eq!(request.send().await.expect("an answer").headers()["retry-after"], "5");
}

#[tokio::test]
async fn ready_says_whether_it_can_store() {
    let queue = Rigged::new();
    let (ingest, _) = ingest(&queue);
    let recorder = PrometheusBuilder::new().build_recorder();
    let app = status::router(Arc::clone(&ingest), recorder.handle()).merge(http::router(ingest, http::Config::default()));
    let server = Server::start(app, server::Config::default()).await;
    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{}{path}", server.address)).await.expect("an answer");
        response.status().as_u16()
    };
    assert_eq!((get("/healthz").await, get("/readyz").await, get("/metrics").await), (200, 200, 200));
    queue.set(|rig| rig.headroom = Headroom::Low { retry_after_ms: 1 });
    assert_eq!((get("/healthz").await, get("/readyz").await), (200, 503));
    queue.set(|rig| rig.headroom = Headroom::Enough);
    assert_eq!(get("/readyz").await, 200);
    queue.set(|rig| rig.fails = Some(ErrorKind::Closed));
    assert_eq!(post(&server, &[], b"{}").await.0, 503);
    assert_eq!(get("/readyz").await, 503);
}

#[tokio::test]
async fn a_route_that_panics_takes_only_its_request_along() {
    let app = Router::new().route("/panic", get(async || -> &'static str { panic!("on purpose") })).route("/fine", get(async || "fine"));
    let server = Server::start(app, server::Config::default()).await;
    let client = reqwest::Client::new();
    for (path, status) in [("panic", 500), ("fine", 200), ("panic", 500)] {
        let response = client.get(format!("http://{}/{path}", server.address)).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), status);
    }
}

/// Seen to fail without `problem::formed`: the body is text or nothing.
#[tokio::test]
async fn every_refusal_is_problem_details_whoever_refuses() {
    let app = Router::new()
        .route("/panic", get(async || -> &'static str { panic!("on purpose") }))
        .route("/number/{n}", get(async |axum::extract::Path(n): axum::extract::Path<u32>| n.to_string()));
    let server = Server::start(app, server::Config::default()).await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("http://{}/{path}", server.address);
    let cases = [
        (client.get(url("nowhere")), 404, "not_found"),
        (client.delete(url("panic")), 405, "method_not_allowed"),
        (client.get(url("number/x")), 400, "invalid"),
        (client.get(url("panic")), 500, "internal"),
    ];
    for (request, status, code) in cases {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{code}");
        assert_eq!(response.headers().contains_key("allow"), status == 405);
        let problem: Value = response.json().await.expect("JSON");
        assert_eq!((problem["status"].as_u64(), problem["code"].as_str()), (Some(status), Some(code)));
        assert!(
            !problem["detail"].as_str().unwrap_or_default().is_empty() && !problem["detail"].to_string().contains("purpose"),
            "{problem}"
        );
    }
    assert_eq!(client.get(url("number/7")).send().await.expect("an answer").text().await.expect("text"), "7");
}

/// C2. Seen to fail when `plan` does not ask: 503 for the second request, and its body is read.
#[tokio::test]
async fn a_token_that_brings_more_than_its_rate_is_told_when_to_come_back() {
    let (queue, folder) = (Rigged::new(), tempfile::tempdir().expect("a folder"));
    let rates = rates::Config { address_records_per_second_max: 0, token_records_per_second_max: 1 };
    let (ingest, tokens) = ingest_with_rates(&queue, folder.path(), rates);
    let server = Server::start(app(ingest, http::Config::default()), server::Config::default()).await;
    let [fast, other] = [token(&tokens, "sensors"), token(&tokens, "sensors")];
    let lines = "{\"device\":\"attic-7\",\"celsius\":21.5}\n".repeat(100);
    let send = async |secret: &str| {
        let url = format!("http://{}/v1/records/sensors", server.address);
        let response = reqwest::Client::new().post(url).bearer_auth(secret).body(lines.clone()).send().await.expect("an answer");
        let wait = response.headers().get("retry-after").map(|value| value.to_str().expect("text").parse::<u64>().expect("seconds"));
        (response.status().as_u16(), wait)
    };
    assert_eq!(send(&fast.secret).await, (200, None), "what came with the burst");
    let (status, wait) = send(&fast.secret).await;
    assert!(status == 429 && wait.is_some_and(|wait| (80..=90).contains(&wait)), "{status} {wait:?}");
    assert_eq!(send(&other.secret).await, (200, None));
    assert_eq!(queue.stored().len(), 200);
}
