//! Servers that do less than ours, on the same parts.

use std::{path::Path, sync::Arc};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use collector::{
    http,
    ingest::{self, Entrance, Ingest},
    json_schema::JsonSchema,
    server, websocket,
};
use queue::journal::{self, Journal};
use record::{AcceptAnyObject, SystemClock, Topic, TopicSchema};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::Address;

/// What a record is parsed into.
#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed, and dropped")]
struct Reading {
    device: String,
    celsius: f64,
    at: Option<String>,
}

/// Reads the body, stores nothing.
pub async fn noop(address: Address) -> Value {
    serve(address, Router::new().route("/{*any}", post(async |_: Bytes| StatusCode::OK))).await
}

/// Parses each line, stores nothing.
pub async fn parse(address: Address) -> Value {
    serve(address, Router::new().route("/{*any}", post(lines))).await
}

async fn lines(body: Bytes) -> (StatusCode, String) {
    let readings: Result<Vec<Reading>, _> =
        body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice).collect();
    match readings {
        Ok(readings) => (StatusCode::OK, format!("{{\"records\":{}}}", readings.len())),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// The doors over a journal.
pub async fn door(address: Address, folder: &Path) -> Value {
    let clock = Arc::new(SystemClock::new());
    let queue = Arc::new(Journal::open(folder, journal::Config::default(), clock.clone()).expect("opens"));
    let json_schema = JsonSchema::parse(crate::SCHEMA).expect("a schema");
    let topic = Topic::parse("sensors").expect("a topic");
    let schema = TopicSchema { topic, columns: json_schema.columns().to_vec(), payload_bytes_max: 4_096 };
    let entrances = vec![
        Entrance::open(TopicSchema::events(), Arc::new(AcceptAnyObject)),
        Entrance::open(schema, Arc::new(AcceptAnyObject)).with_json_schema(json_schema),
    ];
    let ingest = Arc::new(Ingest::new(queue, entrances, clock, ingest::Config::default()).expect("two topics"));
    let records = http::Records::new(ingest.clone(), http::Config::default());
    let routes = records.router().merge(websocket::router(ingest, websocket::Config::default()));
    let app = server::App::new(records, routes);
    let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
    server::run(listener, app, server::Config::default(), CancellationToken::new()).await.expect("serves");
    Value::Null
}

async fn serve(address: Address, app: Router) -> Value {
    let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
    axum::serve(listener, app).await.expect("serves");
    Value::Null
}
