//! Who waits before a new worker is made.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Request, header},
    routing::post,
};
use record::{ManualClock, Timestamp};
use tower::ServiceExt;

use super::{Config, limited};
use crate::server::SentFrom;

/// Status and `Retry-After`.
async fn ask(routes: &Router, method: &str, path: &str, address: &str) -> (u16, Option<String>) {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
    request.extensions_mut().insert(SentFrom(address.parse().expect("an address")));
    let answer = routes.clone().oneshot(request).await.expect("an answer");
    let wait = answer.headers().get(header::RETRY_AFTER).map(|value| value.to_str().expect("ASCII").to_owned());
    (answer.status().as_u16(), wait)
}

/// To see it fail: in `limited`, do not count.
#[tokio::test]
async fn a_room_comes_in_at_once_and_a_program_waits() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let made = || post(async || "made").get(async || "none");
    let routes = Router::new().route("/v1/workers", made()).route("/v1/answers", made());
    let routes = limited(routes, "/v1/workers", Config::default(), Arc::clone(&clock) as _);
    let join = async |address| ask(&routes, "POST", "/v1/workers", address).await;
    for n in 0..500 {
        assert_eq!(join("192.0.2.7").await, (200, None), "{n}");
    }
    assert_eq!(join("192.0.2.7").await, (429, Some("1".to_owned())));
    assert_eq!(join("192.0.2.8").await.0, 200, "another address");
    assert_eq!(ask(&routes, "GET", "/v1/workers", "192.0.2.7").await.0, 200);
    assert_eq!(ask(&routes, "POST", "/v1/answers", "192.0.2.7").await.0, 200);
    clock.advance_micros(500_000);
    assert_eq!(join("192.0.2.7").await.0, 200, "two a second");
    assert_eq!(join("192.0.2.7").await.0, 429);
    for _ in 0..1_000 {
        assert_eq!(join("127.0.0.1").await.0, 200, "this machine");
    }
}
