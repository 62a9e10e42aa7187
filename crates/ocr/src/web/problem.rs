//! An error as an HTTP response: problem details in the form that all rooms share, the status by the error's kind.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use record::{Error, ErrorKind, ProblemDetails};

/// An error on its way out.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

/// How long to wait before the same request may succeed, in seconds.
const RETRY_AFTER_SECONDS: u16 = 1;

impl Problem {
    /// A problem with a status of its own, a stable word for programs and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }

    /// Nothing under this address.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        let status = StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(%error, "a request failed");
        }
        Self::new(status, kind.as_str(), error.public_detail())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let details = ProblemDetails::new(self.status.as_u16(), title, self.code, &self.detail);
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, ProblemDetails::MEDIA_TYPE)], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == ErrorKind::Unavailable.as_str() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response
    }
}
