//! Queue in, committed tables out, each stored record exactly once (promise L1).
//!
//! What it is *not*: it knows no HTTP and no OCR, and it acknowledges nothing.
//!
//! ```text
//! queue → run → batch (rows, dead letters) → dedup → roll? → lake: dead letters, then each topic's table → dedup index → trim
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `run` | [`Loader`]: the loop, from the cursors in the tables' last commits |
//! | `commit` | one roll: the order of commits that makes a crash harmless |
//! | `batch` | what was read and is not committed |
//! | `dedup` | the rule what a repeat is |
//! | `index` | which ids landed, on disk; made again from the tables when it is lost |
//! | `known` | tables beside those of the settings, and whether they are those that the index knows |
//! | `receipts` | which commit landed a record, or why it is a dead letter, for who asks |
//! | `ledger` | what was read, by topic and minute, beside the index of repeats |
//! | `audit` | the ledger against the tables (promise L2) |
//! | `backup` | a data folder as a backup, and back |
//! | `holds` | keeps the queue from being trimmed while it is copied |
//! | `roll` | when to commit, as a pure function |
//! | `telemetry` | [`Handle`], [`Progress`], the books (promise L2), metrics and log lines |
//!
//! The books survive a restart: cumulative counters stand in the same Delta commit as the cursor, as further `txn` app ids
//! `<cursor>#landed` and `<cursor>#repeated` in a topic's table, `…#dead_lettered` and `…#quarantined` in `dead_letters`.
//! By topic and minute they stand in the ledger, and [`Handle::audit`] compares them with the rows.
//!
//! ```
//! # async fn example(queue: std::sync::Arc<dyn queue::Queue>, lake: lake::Lake, folder: &std::path::Path) -> record::Result<()> {
//! use std::sync::Arc;
//! use record::{SystemClock, TopicSchema};
//! use tokio_util::sync::CancellationToken;
//!
//! let parts = loader::Parts { queue, lake, topics: vec![TopicSchema::events()], clock: Arc::new(SystemClock::new()) };
//! let (loader, handle) = loader::Loader::open(parts, loader::Config::new(folder)).await?;
//! let shutdown = CancellationToken::new();
//! let running = tokio::spawn(loader.run(shutdown.clone()));
//! handle.flush().await?; // everything stored before is in its table now
//! assert!(handle.progress()?.balances());
//! shutdown.cancel();
//! # running.await.expect("no panic")
//! # }
//! ```

mod audit;
pub mod backup;
mod batch;
mod commit;
mod dedup;
mod holds;
mod index;
mod known;
mod ledger;
mod receipts;
mod roll;
mod run;
mod telemetry;

pub use audit::{Audit, MinuteAudit, PartitionAudit, Terms, TopicAudit};
pub use roll::{Facts, Limits, Reason, decide};
pub use run::{Config, KeepBelow, Loader, Parts};
pub use telemetry::{Handle, Held, Progress, TopicProgress};

#[cfg(test)]
mod tests;
