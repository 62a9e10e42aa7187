//! Which kind, and so which exit code, a server's problem has.

use record::ErrorKind;
use reqwest::StatusCode;
use serde_json::json;

use super::kind_of;

/// Is to fail when every 5xx is taken for `Unavailable`.
#[test]
fn a_problem_keeps_the_kind_that_the_server_names() {
    let check = |status: u16, problem: serde_json::Value, kind| {
        assert_eq!(kind_of(StatusCode::from_u16(status).expect("a status"), &problem), kind, "{status} {problem}");
    };
    check(500, json!({"title": "corrupt"}), ErrorKind::Corrupt);
    check(500, json!({"title": "Internal Server Error", "code": "internal"}), ErrorKind::Internal);
    check(503, json!({"title": "Service Unavailable", "code": "closed"}), ErrorKind::Closed);
    check(409, json!({"title": "conflict"}), ErrorKind::Conflict);
    check(404, json!({"title": "not found"}), ErrorKind::Invalid);
    check(429, json!(null), ErrorKind::Unavailable);
    check(502, json!(null), ErrorKind::Unavailable);
    check(500, json!(null), ErrorKind::Internal);
}
