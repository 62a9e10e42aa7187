//! Pages of other origins: which may send records and read the answers (CORS, Fetch standard section 3.3). `cli` puts
//! [`open_to`] around the doors' routes, and round nothing else.

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderValue, Method, header},
};
use fluent_uri::Uri;
use record::{Error, Result};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Stands for every origin.
const ANY: &str = "*";
/// How long a browser need not ask again: the longest that Chromium takes.
const MAX_AGE: Duration = Duration::from_secs(7_200);

/// Lets pages of these origins use the routes; with none, routes stay as they are. Cookies are never asked for, so every
/// field may be sent.
///
/// # Errors
/// `Invalid` for what is no origin.
pub fn open_to(routes: Router, origins: &[String]) -> Result<Router> {
    if let Some(wrong) = origins.iter().find(|origin| !is_origin(origin)) {
        return Err(Error::invalid("not an origin such as https://pages.example").with("found", wrong));
    }
    if origins.is_empty() {
        return Ok(routes);
    }
    let allowed = if origins.iter().any(|origin| origin == ANY) {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::RETRY_AFTER, header::ACCEPT, header::ACCEPT_ENCODING])
        .max_age(MAX_AGE);
    Ok(routes.layer(layer))
}

/// Whether a text is an origin as browsers write it (RFC 6454 section 6.2), `scheme://host` or `scheme://host:port`, or `*`.
/// They leave the usual port out and write small letters; what they never send would never match.
pub fn is_origin(text: &str) -> bool {
    let Ok(uri) = Uri::parse(text) else { return text == ANY };
    let usual_port = match uri.scheme().as_str() {
        "http" => "80",
        "https" => "443",
        _ => return false,
    };
    let Some(authority) = uri.authority() else { return false };
    let is_bare = uri.path().is_empty() && uri.query().is_none() && uri.fragment().is_none() && authority.userinfo().is_none();
    let has_port_of_its_own = authority.port().is_none_or(|port| port.as_str() != usual_port && !port.is_empty());
    // A pattern would match nothing.
    let is_host = !authority.host().is_empty() && !authority.host().contains('*');
    is_bare && is_host && has_port_of_its_own && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}
