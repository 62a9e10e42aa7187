//! `POST /v1/beacon/{topic}`: for pages that send while they are being left. `http` routes to it.
//!
//! `navigator.sendBeacon` sends text without asking first (no preflight: Fetch standard, section 4.9) and looks at no answer.
//! So the answer carries no outcomes: 204 means that each record is stored, or its rejection is. Nothing is stored where it
//! says 503.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use record::Outcome;

use crate::{
    http::{self, Entry, Layout, Shared},
    problem::Problem,
    wire::Form,
};

/// 64 KiB: what browsers let all beacons under way have together (Fetch standard, section 4.5, *keepalive*).
const BODY_BYTES_MAX: usize = 64 * 1024;

const BEACON: Entry = Entry { door: "beacon", is_told: false, body_bytes_max: BODY_BYTES_MAX, layout };

pub(crate) async fn records(State(shared): State<Arc<Shared>>, topic: Result<Path<String>, PathRejection>, request: Request) -> Response {
    let address = http::address_of(&request);
    match shared.receive(&BEACON, &http::topic_of(topic), request, address).await {
        Ok(outcomes) => match unavailable(&outcomes) {
            None => StatusCode::NO_CONTENT.into_response(),
            Some(problem) => http::refused(&BEACON, &problem),
        },
        Err(problem) => http::refused(&BEACON, &problem),
    }
}

/// The records of a request are stored together or not at all, so one *retry* means that none of them is.
fn unavailable(outcomes: &[Outcome]) -> Option<Problem> {
    let waits = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Retry { after_ms } => Some(*after_ms),
        Outcome::Stored(_) | Outcome::Rejected(_) => None,
    });
    let retry_after_ms = waits.max()?;
    assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stored(_))), "one append: none is stored beside a retry");
    Some(http::headroom_low(retry_after_ms))
}

/// Text, or no type at all.
fn layout(headers: &HeaderMap) -> Result<Layout, Problem> {
    match http::form(headers)? {
        Form::Unsaid => Ok(Layout::Body(Form::Unsaid)),
        _ => Err(http::unsupported("a beacon is text/plain; send other types to /v1/records".to_owned())),
    }
}
