//! Errors as HTTP: problem details (RFC 9457). The one place where an [`ErrorKind`] becomes a status.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use record::{Error, ErrorKind};
use serde::Serialize;

use crate::wire::Run;

/// An answer that is not a success, as `application/problem+json`.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after_ms: Option<u64>,
}

/// The members of RFC 9457 section 3.1, and two of ours: `code`, and the outcomes where there are some.
#[derive(Serialize)]
struct Details<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    outcomes: &'a [Run<'a>],
}

impl Problem {
    /// A problem with a stable one-word code for programs and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_ms: None }
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after_ms(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer, with the outcome of each index where that is known.
    pub(crate) fn response(&self, outcomes: &[Run<'_>]) -> Response {
        let details = Details {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            outcomes,
        };
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(millis) = self.retry_after_ms {
            // Whole seconds, rounded up: at least one, or senders would come back at once (RFC 9110 section 10.2.3).
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1_000).max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The status of an error.
pub fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unavailable | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Corrupt | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// How long a sender should wait when nobody has computed it, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let kind = error.kind();
        // What broke inside is for the log, not for senders: it may name files.
        let detail = match kind {
            ErrorKind::Corrupt | ErrorKind::Internal | ErrorKind::Closed => error.message().to_owned(),
            _ => error.to_string(),
        };
        let problem = Self::new(status(kind), kind.as_str(), detail);
        if kind == ErrorKind::Unavailable { problem.retry_after_ms(RETRY_AFTER_MS) } else { problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response(&[])
    }
}
