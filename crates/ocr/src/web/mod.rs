//! The product's addresses: the pages that people open, and the API that the pages and the phones use.
//!
//! The door for records (`/v1/records/…`) is the collector's and is merged beside these by the binary.

mod api;
pub mod assets;
mod collections;
pub mod openapi;
mod pictures;
mod problem;
pub mod reference;
mod upload;

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    routing::{get, post},
};
use record::{Clock, Digest, Error};
use tokio_util::sync::CancellationToken;

pub use problem::Problem;

use crate::{
    identity::Identity,
    live::{self, Live, LiveCollection},
    selection,
};

/// Where things are, and how a collection that is uploaded is read.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the collections, for uploads.
    pub collections: PathBuf,
    /// How words of an uploaded collection are chosen.
    pub selection: selection::Config,
    /// The address that a phone in the room opens.
    pub join_url: String,
    /// What an owner of the data folder shows to upload pages and to see corrections and reports; see the lock file.
    pub owner_token: String,
}

/// What the addresses need.
#[derive(Debug)]
pub struct Web {
    /// The state of all collections.
    pub live: Arc<Live>,
    /// Makes workers and leases.
    pub identity: Identity,
    /// The time.
    pub clock: Arc<dyn Clock>,
    places: Places,
    /// Pictures that were cut out already.
    pub pictures: pictures::Pictures,
    /// Held by the upload under way.
    pub uploads: std::sync::Mutex<()>,
    /// What boards were told last.
    statuses: collections::Statuses,
    /// Ends what would go on for ever: the live streams.
    shutdown: CancellationToken,
}

impl Web {
    /// With empty caches.
    pub fn new(live: Arc<Live>, identity: Identity, places: Places) -> Self {
        let clock = live.clock().clone();
        Self {
            live,
            identity,
            clock,
            places,
            pictures: pictures::Pictures::default(),
            uploads: std::sync::Mutex::default(),
            statuses: collections::Statuses::default(),
            shutdown: CancellationToken::new(),
        }
    }

    /// Ends its live streams at the doors' shutdown, which else waits for them in vain.
    #[must_use]
    pub fn ending_with(self, shutdown: CancellationToken) -> Self {
        Self { shutdown, ..self }
    }

    /// Looks at a collection.
    async fn look<T: Send + 'static>(
        &self,
        collection: &str,
        look: impl FnOnce(&mut LiveCollection) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let live = self.live.get(collection).map_err(|error| Problem::not_found(error.to_string()))?;
        aside(move || look(&mut live::lock(&live))).await
    }

    /// Refuses who does not show the owner's token.
    fn check_owner(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let detail = "only the owner of the data folder may do this: `crowdread import`, `report` and `export` with --data DIR on the server's machine can";
        match bearer(headers) {
            // Of hashes, so that the time it takes says nothing of the token.
            Some(shown) if Digest::of(&[shown]) == Digest::of(&[self.places.owner_token.as_bytes()]) => Ok(()),
            Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, "not_the_owner", detail)),
            None => Err(Problem::new(StatusCode::UNAUTHORIZED, "not_the_owner", detail)),
        }
    }
}

/// The request's bearer token.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    record::bearer_token(headers.get(header::AUTHORIZATION)?.as_bytes())
}

/// Does what may wait or take long away from the threads that serve connections.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("a request failed half-way").because(error))?
}

/// The routes of pages and API.
pub fn router(web: Arc<Web>) -> Router {
    Router::new()
        .route("/v1/workers", post(api::new_worker))
        .route("/v1/tasks", get(api::tasks))
        .route("/v1/crops/{task}", get(pictures::word))
        .route("/v1/lines/{task}", get(pictures::line))
        .route("/v1/join.svg", get(api::join_code))
        .route("/v1/collections", get(collections::list))
        .route("/v1/collections/{name}/status", get(collections::status))
        .route("/v1/collections/{name}/live", get(collections::live))
        .route("/v1/collections/{name}/report", get(collections::report))
        .route("/v1/collections/{name}/corrections", get(collections::corrections))
        .route("/v1/collections/{name}/pages", get(collections::pages).merge(post(upload::page).layer(upload::body_limit())))
        .route("/v1/collections/{name}/pages/{page}", get(collections::page))
        .route("/v1/collections/{name}/pages/{page}/map", get(collections::map))
        .with_state(web)
        .merge(assets::router())
}

#[cfg(test)]
mod tests;
