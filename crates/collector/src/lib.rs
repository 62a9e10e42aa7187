//! The doors through which records arrive, and the conductor that gives each of them exactly one outcome.
//!
//! door → `wire` (bytes → items) → `ingest` (check, stamp, append) → outcomes → door
//!
//! What it is *not*: it knows no lake (an acknowledgement never waits for the table) and no OCR (a topic's checks come in
//! as a [`record::Validator`]).
//!
//! | file | what it holds |
//! |---|---|
//! | `http` | the HTTP door, `POST /v1/records/{topic}` |
//! | `beacon` | its address for pages that are being left, `POST /v1/beacon/{topic}` |
//! | `cors` | which pages of other origins may use a door |
//! | `websocket` | the WebSocket door, `/v1/stream/{topic}` |
//! | `mqtt` | the MQTT door, a listener of its own: who is let in |
//! | `mqtt_conversation` | its connections: what is stored, told, and how they end |
//! | `mqtt_flight` | their PUBLISHes in flight, and which go together |
//! | `mqtt_topics` | MQTT's topics → ours |
//! | `mqtt_session` | who has which client id; what outlives a connection |
//! | `mqtt_packet` | packets of both versions ↔ one vocabulary |
//! | `mqtt_stream` | bytes → packets, under the caps |
//! | `nng` | the NNG door, a listener of its own: connections, what is stored and told |
//! | `nng_address` | `tcp://` and `ipc://`, and listening there |
//! | `nng_config` | the NNG door's settings |
//! | `nng_message` | bytes → messages, their tags, fields and records |
//! | `ingest` | [`ingest::Ingest`], the conductor that all doors call |
//! | `wire` | a body → its records; outcomes → the response |
//! | `random` | random bytes by the page, for ids |
//! | `raw_item` | one record's bytes → a well-formed object with its id |
//! | `cloudevents` | an event's fields and body, or its JSON → a record |
//! | `columns` | whether a payload fits its topic's columns |
//! | `json_schema` | a topic's JSON Schema: its columns, and checking a record |
//! | `letters` | which rejected records are kept, and how much of them |
//! | `tokens` | write tokens |
//! | `admin` | what the owner of the data folder asks of a running server |
//! | `api` | what the addresses take and answer, in OpenAPI |
//! | `handles` | open files: how many connections may take |
//! | `handshake` | whose page a WebSocket is of, and its credential |
//! | `receipts` | what became of a record, `GET /v1/records/{topic}/{id}` |
//! | `tail_ids` | which ids stand in the queue |
//! | `newcomers` | how many new workers one address may ask for |
//! | `rates` | how many records a second one sender may bring |
//! | `limits` | caps, and reading a body under them |
//! | `unpack` | a packed body → its bytes |
//! | `metered` | a stream that counts what comes in, by message |
//! | `problem` | refusals as problem details |
//! | `server` | HTTP's connections: time-outs, bounds, shutdown |
//! | `listener` | the listeners of other doors: the same |
//! | `tls` | TLS for both: the certificate, its renewal, and sockets with it |
//! | `places` | how many connections there may be, and from one address |
//! | `buffered` | their connections' bytes, in and out |
//! | `http2` | telling HTTP/2 from HTTP/1; ending its idle connections |
//! | `write_timeout` | a stream whose writes give up |
//! | `status` | health, readiness, metrics, counters |
//! | `telemetry` | what is counted and logged |
//!
//! A door is one file: it decodes its protocol into [`wire::Item`]s, calls [`ingest::Ingest::submit`], and writes the
//! outcomes in its own way.
//!
//! ```no_run
//! # async fn example(queue: std::sync::Arc<dyn queue::Queue>) -> record::Result<()> {
//! use std::sync::Arc;
//! use collector::{http, ingest, server};
//! use record::{AcceptAnyObject, SystemClock, TopicSchema};
//!
//! let topics = vec![ingest::Entrance::open(TopicSchema::events(), Arc::new(AcceptAnyObject))];
//! let ingest = ingest::Ingest::new(queue, topics, Arc::new(SystemClock::new()), ingest::Config::default())?;
//! let app = http::router(Arc::new(ingest), http::Config::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:7878").await.expect("a free port");
//! server::run(listener, app, server::Config::default(), tokio_util::sync::CancellationToken::new()).await
//! # }
//! ```

pub mod admin;
pub mod api;
mod beacon;
mod buffered;
mod cloudevents;
mod columns;
pub mod cors;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod handles;
mod handshake;
pub mod http;
mod http2;
pub mod ingest;
pub mod json_schema;
pub mod letters;
pub mod limits;
mod listener;
mod metered;
pub mod mqtt;
mod mqtt_conversation;
mod mqtt_flight;
mod mqtt_packet;
mod mqtt_session;
mod mqtt_stream;
mod mqtt_topics;
pub mod newcomers;
pub mod nng;
mod nng_address;
mod nng_config;
mod nng_message;
mod places;
pub mod problem;
mod random;
pub mod rates;
mod raw_item;
pub mod receipts;
pub mod server;
pub mod status;
mod tail_ids;
mod telemetry;
pub mod tls;
pub mod tokens;
pub mod unpack;
pub mod websocket;
pub mod wire;
mod write_timeout;

pub use crate::{
    ingest::Ingest,
    raw_item::{RawItem, Unreadable},
    status::{Handle, TopicCounts},
};
