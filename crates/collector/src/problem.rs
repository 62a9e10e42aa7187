//! Errors as HTTP: problem details (RFC 9457), also for what the routes of others refuse without a form.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use record::{Error, ErrorKind, ProblemDetails};
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::Run;

/// An answer that is not a success, as `application/problem+json`.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after_ms: Option<u64>,
    field: Option<(HeaderName, &'static str)>,
}

/// The body: the common members, and the outcomes where there are some.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemWithOutcomes)]
pub(crate) struct Details<'a> {
    #[serde(flatten)]
    common: ProblemDetails<'a>,
    /// What became of each record, where that is known.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    outcomes: &'a [Run<'a>],
}

impl Problem {
    /// A problem with a stable one-word code for programs and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_ms: None, field: None }
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after_ms(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// Sets a field that says what would be taken instead, such as `Accept-Encoding` (RFC 9110 section 15.5.16).
    #[must_use]
    pub(crate) fn field(mut self, name: HeaderName, value: &'static str) -> Self {
        self.field = Some((name, value));
        self
    }

    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// How long a sender should wait, in milliseconds, if that is known.
    pub(crate) fn wait_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// The answer, with the outcome of each index where that is known.
    pub(crate) fn response(&self, outcomes: &[Run<'_>]) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let details = Details { common: ProblemDetails::new(self.status.as_u16(), title, self.code, &self.detail), outcomes };
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, ProblemDetails::MEDIA_TYPE)], body).into_response();
        if let Some(millis) = self.retry_after_ms {
            // Whole seconds, rounded up: at least one, or senders would come back at once (RFC 9110 section 10.2.3).
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1_000).max(1)));
        }
        if let Some((name, value)) = &self.field {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The status of an error.
pub fn status(kind: ErrorKind) -> StatusCode {
    StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// How long a sender should wait when nobody has computed it, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let kind = error.kind();
        let problem = Self::new(status(kind), kind.as_str(), error.public_detail());
        if kind == ErrorKind::Unavailable { problem.retry_after_ms(RETRY_AFTER_MS) } else { problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response(&[])
    }
}

/// The longest text of a refusal that is taken over as its detail, in bytes.
const DETAIL_BYTES_MAX: usize = 4 * 1024;

/// Gives a refusal that has no form the one form: an unknown address, a wrong method, parameters that do not parse, a panic.
pub(crate) async fn formed(response: Response) -> Response {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let formless = content_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !formless {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Such a text is one piece.
    let piece = body.into_data_stream().next().await.and_then(Result::ok);
    let text = piece.filter(|text| text.len() <= DETAIL_BYTES_MAX).unwrap_or_default();
    let detail = match (status, std::str::from_utf8(&text)) {
        (StatusCode::NOT_FOUND, Ok("")) => "nothing is at this address",
        (StatusCode::METHOD_NOT_ALLOWED, Ok("")) => "this address does not take this method; the field Allow names those that it takes",
        (StatusCode::INTERNAL_SERVER_ERROR, _) => "the request failed; the server's log says why",
        (_, Ok(text)) if !text.is_empty() => text,
        _ => "the request was refused",
    };
    let problem = Problem::new(status, code(status), detail).response(&[]);
    let (formed, body) = problem.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(formed.headers);
    Response::from_parts(parts, Body::new(body))
}

fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        status if status.is_client_error() => ErrorKind::Invalid.as_str(),
        StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable.as_str(),
        _ => ErrorKind::Internal.as_str(),
    }
}
