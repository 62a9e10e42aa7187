//! When a silent peer is pinged and when it is closed.

use std::time::Duration;

use tokio::time::Instant;

use super::{Config, Due, Silence};

/// What is due with these times, in seconds before now.
fn due(heard: u64, began: Option<u64>, pinged: Option<u64>) -> Due {
    let now = Instant::now() + Duration::from_secs(1_000);
    let ago = |seconds| now - Duration::from_secs(seconds);
    let config = Config { message_timeout_ms: 30_000, ping_interval_ms: 20_000, pong_timeout_ms: 10_000, ..Config::default() };
    Silence { heard: ago(heard), began: began.map(ago), pinged: pinged.map(ago), now }.due(&config)
}

#[test]
fn a_silent_peer_is_pinged_once_and_then_closed() {
    assert_eq!(due(19, None, None), Due::Nothing);
    assert_eq!(due(20, None, None), Due::Ping);
    assert_eq!(due(29, None, Some(9)), Due::Nothing, "it has time to answer");
    assert!(matches!(due(30, None, Some(10)), Due::Close(reason) if reason.starts_with("silent: ")));
    assert_eq!(due(5, None, Some(10)), Due::Nothing, "it has answered");
    assert_eq!(due(20, None, Some(25)), Due::Ping, "it has answered, and is silent again");
}

#[test]
fn a_message_has_its_time_whatever_else_comes() {
    assert_eq!(due(0, Some(29), None), Due::Nothing);
    assert!(matches!(due(0, Some(30), None), Due::Close(reason) if reason.starts_with("body_too_slow: ")));
}
