//! The shared words of crowdread: what a record is, where it stands, and what can become of it.
//!
//! Every other room speaks these types, so that a record means the same thing at the door, in the
//! journal, in the loader and in the table.
//!
//! What it is *not*: it does no input or output, starts no task, and knows no queue, table, HTTP or OCR.
//!
//! | file | what it holds |
//! |---|---|
//! | `record` | [`Record`], its [`RecordId`], the [`Position`] it gets in a queue |
//! | `topic` | [`Topic`], a checked name |
//! | `schema` | [`TopicSchema`]: the columns of a topic's table |
//! | `validator` | [`Validator`] and [`Draft`]: a record before it is accepted |
//! | `outcome` | [`Outcome`]: exactly one for each record of a request (promise C1) |
//! | `rejection` | [`Rejection`] and its [`RejectionTag`]: why a record cannot be stored as it is |
//! | `letter` | [`Letter`]: a rejected record, as the queue keeps it |
//! | `receipt` | [`Receipt`]: what became of a stored record; [`Receipts`]: who knows it |
//! | `tail` | [`Tail`]: reading stored records by position |
//! | `error` | [`Error`] and [`ErrorKind`]: named by what to do next |
//! | `problem` | [`ProblemDetails`] and [`bearer_token`]: how all rooms refuse over HTTP, as pure data |
//! | `api` | [`Api`]: describing addresses in OpenAPI, as pure data |
//! | `clock` | [`Clock`] and [`Timestamp`] |
//! | `digest` | short keyed and unkeyed hashes, printed as hexadecimal |
//!
//! ```
//! use record::{Record, RecordId, Timestamp, Topic};
//!
//! let record = Record {
//!     topic: Topic::parse("events")?,
//!     id: RecordId::parse("0192f0c4-8c5e-7000-8000-000000000001")?,
//!     received_at: Timestamp::from_micros(1_764_000_000_000_000),
//!     door: "http".into(),
//!     payload: br#"{"temperature":21.5}"#.as_slice().into(),
//! };
//! assert_eq!(record.topic.as_str(), "events");
//! # Ok::<(), record::Error>(())
//! ```

mod api;
mod clock;
mod digest;
mod error;
mod letter;
mod outcome;
mod problem;
mod receipt;
#[allow(clippy::module_inception)]
mod record;
mod rejection;
mod schema;
mod tail;
mod topic;
mod validator;

pub use api::{Api, Credential, Operation};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use digest::{Digest, Key};
pub use error::{Error, ErrorKind, Result};
pub use letter::{Letter, RETRIED};
pub use outcome::Outcome;
pub use problem::{ProblemDetails, bearer_token};
pub use receipt::{Receipt, Receipts};
pub use record::{Door, Durability, Offset, Partition, Position, Record, RecordId};
pub use rejection::{Rejection, RejectionTag};
pub use schema::{Column, ColumnKind, TopicSchema};
pub use tail::{Positioned, Tail, TailBatch};
pub use topic::Topic;
pub use validator::{AcceptAnyObject, Draft, Validator};

#[cfg(test)]
mod tests;
