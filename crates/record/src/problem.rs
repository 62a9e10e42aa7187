//! A refusal over HTTP as pure data, so that doors and product refuse in one form: RFC 9457 problem details, and the bearer token.
//!
//! Called by the collector's and the product's `problem`, which make responses of it.

use serde::Serialize;
use utoipa::ToSchema;

/// The members of RFC 9457 section 3.1 and one of ours, `code`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDetails<'a> {
    /// Always `about:blank`: the status and `code` say what kind of problem it is.
    r#type: &'static str,
    /// The status' own phrase.
    title: &'a str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The kind of problem, a stable word for programs.
    code: &'a str,
    /// What is wrong, a sentence for people.
    detail: &'a str,
}

impl<'a> ProblemDetails<'a> {
    /// The media type of the body.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// `title` is the status' own phrase, `code` a stable word for programs (lowercase, `_` between words), `detail` a sentence for people.
    pub fn new(status: u16, title: &'a str, code: &'a str, detail: &'a str) -> Self {
        Self { r#type: "about:blank", title, status, code, detail }
    }
}

/// The token of an `Authorization` field's value, if it is a bearer token and not empty (RFC 6750 section 2.1; the scheme's letters may be
/// of either case, RFC 9110 section 11.1).
pub fn bearer_token(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    Some(token.trim_ascii()).filter(|token| scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty())
}
