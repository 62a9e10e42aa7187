//! What a reply means for each record of the request: absence is never success.

use bytes::Bytes;

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
        {"from":3,"to":3,"outcome":"retry","after_ms":5}]}"#;
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
