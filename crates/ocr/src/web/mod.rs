//! The product's addresses: the pages that people open, and the API that the pages and the phones use.
//!
//! The door for records (`/v1/records/…`) is the collector's and is merged beside these by the binary.

mod api;
pub mod assets;
mod collections;
mod pictures;
mod problem;
mod upload;

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    routing::{get, post},
};
use record::Clock;

pub use problem::Problem;

use crate::{identity::Identity, live::Live, selection};

/// Where things are, and how a collection that is uploaded is read.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the collections, for uploads.
    pub collections: PathBuf,
    /// How words of an uploaded collection are chosen.
    pub selection: selection::Config,
    /// The address that a phone in the room opens.
    pub join_url: String,
    /// What an owner of the data folder shows to upload pages; see the lock file.
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
}

impl Web {
    /// With empty caches.
    pub fn new(live: Arc<Live>, identity: Identity, places: Places) -> Self {
        let clock = live.clock().clone();
        Self { live, identity, clock, places, pictures: pictures::Pictures::default(), uploads: std::sync::Mutex::default() }
    }
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
