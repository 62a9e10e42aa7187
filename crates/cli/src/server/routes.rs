//! All addresses of the server in one router, and the document that describes them. A test holds the two together.

use std::sync::Arc;

use axum::Router;
use collector::{
    admin::{self, Admin},
    api::{self, Described},
    cors, http,
    ingest::Ingest,
    limits::Caps,
    newcomers,
    receipts::{self, Desk},
    status, websocket,
};
use metrics_exporter_prometheus::PrometheusHandle;
use ocr::web::{self, Web, openapi, reference};
use record::{Clock, Result};
use serde_json::{Value, json};

use super::books;

/// What answers.
pub struct Parts {
    pub ingest: Arc<Ingest>,
    pub records: http::Records,
    pub desk: Arc<Desk>,
    pub metrics: PrometheusHandle,
    pub admin: Admin,
    pub web: Arc<Web>,
    pub clock: Arc<dyn Clock>,
}

/// Everything that the server answers.
///
/// # Errors
/// `Invalid` for what is no origin.
pub fn routes(parts: Parts, cors_origins: &[String], document: &Value) -> Result<Router> {
    let doors = cors::open_to(parts.records.router(), cors_origins)?;
    Ok(doors
        .merge(websocket::router(parts.ingest.clone(), websocket::Config::default()))
        .merge(receipts::router(parts.desk))
        .merge(status::router(parts.ingest, parts.metrics))
        .merge(admin::router(parts.admin))
        .merge(newcomers::limited(web::router(parts.web), "/v1/workers", newcomers::Config::default(), parts.clock))
        .merge(reference::router(document)))
}

/// The document, for the topics and caps of this server. `base_url` is where people reach it.
pub fn document(topics: &[Described], caps: &Caps, base_url: &str) -> Value {
    let mut addresses = api::of(topics, caps);
    addresses.merge(openapi::of());
    addresses.merge(books::api());
    addresses.merge(reference::api());
    let tag = |name: &str, text: &str| json!({ "name": name, "description": text });
    let bearer = |text: &str| json!({ "type": "http", "scheme": "bearer", "description": text });
    addresses.document(json!({
        "info": {
            "title": "crowdread",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Records in, each acknowledged when it is on stable storage; words to judge, and what people's answers say of \
                            them. Errors are problem details (RFC 9457), with a stable word for programs in `code`.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
            "x-base-url": base_url,
        },
        "servers": [{ "url": "/" }],
        "tags": [
            tag(api::RECORDS, "The doors: records of the topics of this server, and what became of them."),
            tag(openapi::READING, "What a reader's page asks for."),
            tag(openapi::COLLECTIONS, "How collections of pages stand. A collection's report and corrections are its owner's."),
            tag(api::STATUS, "How the server is."),
            tag(api::OWNER, "For the owner of the data folder, as the commands use it."),
        ],
        "components": { "securitySchemes": {
            "write_token": bearer("A write token of the topic: `crowdread token create --topic NAME` makes one."),
            "worker_secret": bearer("A worker's secret, as `POST /v1/workers` gives it."),
            "owner": bearer("The owner's token, which stands in the data folder's lock file while the server runs; the commands show it by themselves."),
        } },
    }))
}

#[cfg(test)]
mod tests;
