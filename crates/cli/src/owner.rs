//! Asking the server that owns a data folder.

use anyhow::{Context, Result};
use record::Error;
use serde::de::DeserializeOwned;

use crate::folder::Owner;

/// Reads a JSON answer of the owner.
///
/// # Errors
/// What the server says is wrong, or `Unavailable` when it cannot be asked.
pub async fn ask<T: DeserializeOwned>(owner: &Owner, path: &str) -> Result<T> {
    let url = format!("{}{path}", owner.url);
    let response = reqwest::Client::new().get(&url).bearer_auth(&owner.token).send().await;
    read(response.map_err(|error| Error::unavailable("the server that owns the folder does not answer").with("url", &url).because(error))?)
        .await
}

/// Takes a response apart: its JSON, or what is wrong.
///
/// # Errors
/// The problem's detail, as `Invalid` for a 4xx status and `Unavailable` else.
pub async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T> {
    let status = response.status();
    let body = response.bytes().await.context("the server's answer broke off")?;
    if status.is_success() {
        return serde_json::from_slice(&body).context("the server's answer is not what was expected");
    }
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let detail = problem["detail"].as_str().map_or_else(|| format!("the server said {status}"), str::to_owned);
    Err(if status.is_client_error() { Error::invalid(detail).into() } else { Error::unavailable(detail).into() })
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
