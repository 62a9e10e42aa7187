//! What a reply means for each record of the request: absence is never success.

use bytes::Bytes;
use collector::wire::Response;
use record::{Durability, Outcome, Partition, Position, Rejection, RejectionTag};

use crate::crowd::connection::{Reply, Settled};

fn reply(status: u16, body: &'static str) -> Reply {
    Reply { status, retry_after_ms: Some(3_000), body: Bytes::from_static(body.as_bytes()) }
}

fn stored() -> Settled {
    Settled::Stored { receipt: "q/0:7".into() }
}

fn later() -> Settled {
    Settled::Retry { after_ms: Some(3_000) }
}

#[test]
fn runs_cover_the_records_that_they_name() {
    let body = r#"{"outcomes":[{"from":0,"to":1,"outcome":"stored","receipt":"q/0:7"},{"from":2,"to":2,"outcome":"rejected","tag":"not_json"},
        {"from":3,"to":3,"outcome":"retry","retry_after_ms":5}]}"#;
    let rejected = Settled::Rejected { tag: "not_json".into() };
    assert_eq!(reply(200, body).settled(4), [stored(), stored(), rejected, Settled::Retry { after_ms: Some(5) }]);
}

/// Seen to fail when `settled` starts from stored instead of from retry.
#[test]
fn a_record_without_an_outcome_is_sent_again() {
    let body = r#"{"outcomes":[{"from":1,"to":1,"outcome":"stored","receipt":"q/0:7"}]}"#;
    assert_eq!(reply(200, body).settled(3), [later(), stored(), later()]);
    assert_eq!(reply(200, r#"{"outcomes":[]}"#).settled(1), [later()]);
    assert_eq!(reply(200, "").settled(2), [later(), later()]);
    assert_eq!(reply(200, r#"{"outcomes":[{"from":0,"to":0,"outcome":"fine"}]}"#).settled(1), [later()]);
}

#[test]
fn stored_in_a_failed_reply_is_not_believed() {
    let body = r#"{"outcomes":[{"from":0,"to":0,"outcome":"stored","receipt":"q/0:7"}]}"#;
    assert_eq!(reply(503, body).settled(1), [later()]);
}

#[test]
fn a_refused_request_is_final_and_a_busy_server_is_not() {
    assert_eq!(reply(413, "too large").settled(1), [Settled::Rejected { tag: "http_413".into() }]);
    assert_eq!(reply(429, "").settled(1), [later()]);
    assert_eq!(reply(500, "").settled(1), [later()]);
}

#[test]
fn runs_beyond_the_request_do_no_harm() {
    for body in [
        r#"{"outcomes":[{"from":0,"to":99999999999,"outcome":"stored","receipt":"q/0:7"}]}"#,
        r#"{"outcomes":[{"from":5,"to":9,"outcome":"rejected","tag":"x"},{"from":0,"to":1,"outcome":"stored","receipt":"q/0:7"}]}"#,
        r#"{"outcomes":[{"from":1,"to":0,"outcome":"rejected","tag":"x"},{"from":0,"to":1,"outcome":"stored","receipt":"q/0:7"}]}"#,
    ] {
        assert_eq!(reply(200, body).settled(2), [stored(), stored()], "{body}");
    }
    assert!(reply(200, r#"{"outcomes":[]}"#).settled(0).is_empty());
}

/// What the door writes, the crowd and the page read: no field is passed over by one and written by the other. Seen to fail when the
/// run's waiting time has another name on one of the sides.
#[test]
fn what_the_door_writes_is_what_is_read() {
    let position = |offset| Outcome::Stored(Position { partition: Partition::new("q", 0), offset });
    let rejected = Outcome::Rejected(Rejection::new(RejectionTag::NotJson, "broken"));
    let outcomes = [position(7), position(8), rejected, Outcome::Retry { after_ms: 4_321 }];
    let body = serde_json::to_vec(&Response::new(Durability::Fsync, &outcomes)).expect("JSON");
    let settled = Reply { status: 200, retry_after_ms: None, body: body.clone().into() }.settled(4);
    let rejected = Settled::Rejected { tag: "not_json".into() };
    assert_eq!(settled, [stored(), stored(), rejected, Settled::Retry { after_ms: Some(4_321) }]);

    let written: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let page = include_str!("../../../web/shared/outbox.js");
    for name in written["outcomes"].as_array().into_iter().flatten().flat_map(|run| run.as_object().into_iter().flatten()) {
        let name = name.0.as_str();
        assert!(name == "receipt" || page.contains(&format!("run.{name}")), "the page does not read {name}");
    }
}
