//! What a request for a WebSocket says of its sender: whose page it is, and its credential. `websocket` asks.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority};
use bytes::Bytes;

use crate::{http, problem::Problem};

/// The one subprotocol: the messages as `websocket` describes them.
pub(crate) const SUBPROTOCOL: &str = "crowdread.v1";

/// What the peer offers by its list of subprotocols, and its credential from there or from `Authorization`.
pub(crate) struct Offer {
    /// The list has our subprotocol, which is to be chosen.
    pub(crate) ours: bool,
    pub(crate) credential: Option<Bytes>,
}

impl Offer {
    /// # Errors
    /// The list is there without ours, or there is more than one credential.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let wrong = |detail| Problem::new(StatusCode::BAD_REQUEST, "bad_subprotocols", detail);
        let (mut ours, mut credential) = (false, http::credential(headers)?);
        for list in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
            let list = list.to_str().map_err(|_| wrong("the list of subprotocols is not ASCII"))?;
            for name in list.split(',').map(str::trim) {
                match name.strip_prefix("bearer.") {
                    Some("") => return Err(wrong("expected bearer.<token>")),
                    Some(token) if credential.is_none() => credential = Some(Bytes::copy_from_slice(token.as_bytes())),
                    Some(_) => return Err(wrong("there is more than one credential")),
                    None => ours |= name == SUBPROTOCOL,
                }
            }
        }
        // A browser closes the connection when none of its list is chosen: it gets to know why here, if only in its log.
        if !ours && headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
            return Err(wrong("the list of subprotocols must have crowdread.v1"));
        }
        Ok(Self { ours, credential })
    }
}

/// Browsers let any page open a connection here, and say whose page it is. Other senders say nothing.
///
/// # Errors
/// It is a page of another origin.
pub(crate) fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let here = headers.get(header::HOST).and_then(text).and_then(|host| host.parse::<Authority>().ok());
    // Before a proxy that ends TLS the scheme is another one; a scheme's own port is never written.
    let there = text(origin).and_then(|origin| origin.split_once("://")?.1.parse::<Authority>().ok());
    if here.is_some() && here == there {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", "pages of other origins may not connect"))
}

#[cfg(test)]
mod tests;
