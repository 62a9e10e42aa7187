//! A phone's own HTTP connection to the server, kept alive, and what its replies mean. `phone`, `events` and `printed` ask here.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use record::{Error, Result};
use reqwest::{Client, RequestBuilder, Response, header};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

/// The longest wait for a connection, and for a whole reply.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest reply that is read; a page of 100,000 words is smaller.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// One phone's connection.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    server: Url,
}

/// A reply whose body was read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    /// The server's `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<u64>,
    pub body: Bytes,
}

/// What has become of one record of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is stored; the receipt is that of its run.
    Stored { receipt: String },
    /// It never will be.
    Rejected { tag: String },
    /// Send it again, after this many milliseconds where the server says so.
    Retry { after_ms: Option<u64> },
}

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    from: usize,
    to: usize,
    outcome: String,
    #[serde(default)]
    receipt: Option<String>,
    #[serde(default)]
    tag: Option<String>,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

/// Reads a server's address, such as `http://127.0.0.1:8080`.
///
/// # Errors
/// `Invalid` when it is none, or not of plain HTTP.
pub(super) fn server_address(text: &str) -> Result<Url> {
    let wrong = || Error::invalid("expected a server's address such as http://127.0.0.1:8080").with("found", text);
    let url = Url::parse(text).map_err(|error| wrong().because(error))?;
    if url.scheme() == "https" {
        return Err(Error::invalid("the simulated crowd speaks plain HTTP only: give the server's http:// address").with("found", text));
    }
    if url.scheme() == "http" && url.has_host() { Ok(url) } else { Err(wrong()) }
}

impl Connection {
    /// A connection of its own: nothing is shared with other phones.
    ///
    /// # Errors
    /// `Internal` when the client cannot be made.
    pub fn new(server: &Url) -> Result<Self> {
        let client = Client::builder().no_proxy().pool_max_idle_per_host(1).connect_timeout(CONNECT_TIMEOUT).timeout(REPLY_TIMEOUT).build();
        let client = client.map_err(|error| Error::internal("cannot make an HTTP client").because(error))?;
        Ok(Self { client, server: server.clone() })
    }

    /// The address of a path given as segments, which may hold any character.
    pub fn address(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut address = self.server.clone();
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query);
        }
        address
    }

    /// An address that the server gave, if it is on the same server.
    pub fn address_within(&self, given: &str) -> Option<Url> {
        self.server.join(given).ok().filter(|address| address.origin() == self.server.origin())
    }

    /// Gets.
    ///
    /// # Errors
    /// `Unavailable` when no whole reply came.
    pub async fn get(&self, address: Url, secret: Option<&str>) -> Result<Reply> {
        Self::send(self.client.get(address), secret).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// `Unavailable` when no whole reply came; the server may have done what was asked.
    pub async fn post(&self, address: Url, secret: Option<&str>, body: Bytes) -> Result<Reply> {
        Self::send(self.client.post(address).header(header::CONTENT_TYPE, "application/json").body(body), secret).await
    }

    async fn send(request: RequestBuilder, secret: Option<&str>) -> Result<Reply> {
        let request = if let Some(secret) = secret { request.bearer_auth(secret) } else { request };
        let failed = |error: reqwest::Error| Error::unavailable("no reply from the server").because(error);
        let mut response = request.send().await.map_err(failed)?;
        let retry_after_ms = retry_after_ms(&response);
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > REPLY_BYTES_MAX {
                return Err(Error::unavailable("the server's reply is too large").with("reply_bytes_max", REPLY_BYTES_MAX));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status().as_u16(), retry_after_ms, body: body.freeze() })
    }
}

fn retry_after_ms(response: &Response) -> Option<u64> {
    let seconds: u64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000))
}

impl Reply {
    /// Whether the request was done.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500..)
    }

    /// The body of a successful reply.
    ///
    /// # Errors
    /// `Unavailable` when the server may do it later, `Invalid` when it refused, `Internal` when it sent another shape.
    pub fn json<T: DeserializeOwned>(&self, asked: &'static str) -> Result<T> {
        let beginning: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        let because = |error: Error| error.with("asked", asked).with("status", self.status).with("reply", &beginning);
        if self.is_temporary() {
            return Err(because(Error::unavailable("the server cannot do this now")));
        }
        if !self.is_success() {
            return Err(because(Error::invalid("the server refused")));
        }
        serde_json::from_slice(&self.body).map_err(|error| because(Error::internal("the server's reply has another shape")).because(error))
    }

    /// What has become of each of `count` records.
    ///
    /// Absence is never success: a record that no outcome covers is to be sent again, and *stored* counts only in a success.
    pub fn settled(&self, count: usize) -> Vec<Settled> {
        let again = Settled::Retry { after_ms: self.retry_after_ms };
        let Ok(Outcomes { outcomes }) = serde_json::from_slice(&self.body) else {
            let refused = !self.is_success() && !self.is_temporary();
            let all = if refused { Settled::Rejected { tag: format!("http_{}", self.status) } } else { again };
            return vec![all; count];
        };
        let mut settled = vec![again; count];
        for run in outcomes {
            let outcome = match run.outcome.as_str() {
                "stored" if self.is_success() => Settled::Stored { receipt: run.receipt.unwrap_or_default() },
                "rejected" => Settled::Rejected { tag: run.tag.unwrap_or_else(|| "untold".to_owned()) },
                _ => Settled::Retry { after_ms: run.retry_after_ms.or(self.retry_after_ms) },
            };
            if let Some(covered) = settled.get_mut(run.from..=run.to.min(count.saturating_sub(1))) {
                covered.fill(outcome);
            }
        }
        settled
    }
}
