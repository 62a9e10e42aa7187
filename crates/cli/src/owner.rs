//! Asking the server that owns a data folder.

use anyhow::Result;
use record::{Error, ErrorKind};
use reqwest::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use crate::folder::Owner;

/// The owner is on this machine: a proxy that the environment names is not asked, and never sees the token.
fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// Reads a JSON answer of the owner.
///
/// # Errors
/// What the server says is wrong, or `Unavailable` when it cannot be asked.
pub async fn ask<T: DeserializeOwned>(owner: &Owner, path: &str) -> Result<T> {
    let url = format!("{}{path}", owner.url);
    let response = client()?.get(&url).bearer_auth(&owner.token).send().await;
    read(response.map_err(|error| away(&url, error))?).await
}

/// Asks the owner for a change.
///
/// # Errors
/// As [`ask`].
pub async fn send<T: DeserializeOwned>(owner: &Owner, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<T> {
    let url = format!("{}{path}", owner.url);
    let request = client()?.request(method, &url).bearer_auth(&owner.token);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    read(request.send().await.map_err(|error| away(&url, error))?).await
}

/// The error for a server that does not answer.
pub fn away(url: &str, error: reqwest::Error) -> Error {
    Error::unavailable("the server does not answer").with("url", url).because(error)
}

/// Takes a response apart: its JSON, or what is wrong.
///
/// # Errors
/// The problem's detail, with the kind that the server names; `Unavailable` when the answer breaks off.
pub async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T> {
    let status = response.status();
    let body = response.bytes().await.map_err(|error| Error::unavailable("the server's answer broke off").because(error))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| {
            Error::internal("the server's answer is not what was expected: is it another version?").because(error).into()
        });
    }
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let detail = problem["detail"].as_str().map_or_else(|| format!("the server said {status}"), str::to_owned);
    Err(Error::new(kind_of(status, &problem), detail).into())
}

/// The kind of a problem: the one that it names, else what its status says.
fn kind_of(status: StatusCode, problem: &serde_json::Value) -> ErrorKind {
    const KINDS: [ErrorKind; 6] =
        [ErrorKind::Invalid, ErrorKind::Unavailable, ErrorKind::Conflict, ErrorKind::Corrupt, ErrorKind::Closed, ErrorKind::Internal];
    let named = [&problem["code"], &problem["title"]].into_iter().filter_map(|name| name.as_str());
    let known = |name: &str| KINDS.into_iter().find(|kind| kind.as_str() == name);
    named.filter_map(known).next().unwrap_or(match status {
        StatusCode::CONFLICT => ErrorKind::Conflict,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => ErrorKind::Unavailable,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => ErrorKind::Unavailable,
        status if status.is_client_error() => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    })
}

/// The names of the owner's collections.
///
/// # Errors
/// As [`ask`].
pub async fn collections(owner: &Owner) -> Result<Vec<String>> {
    let list: serde_json::Value = ask(owner, "/v1/collections").await?;
    let names = list["collections"].as_array().into_iter().flatten().filter_map(|line| line["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
