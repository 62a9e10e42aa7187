//! A durable ordered log of records: what the collector appends to and the loader reads from.
//!
//! What it is *not*: it knows no HTTP and no Parquet, and it does not interpret payloads.
//!
//! | file | what it holds |
//! |---|---|
//! | `queue` | [`Queue`], the contract of a backend |
//! | `journal` | [`Journal`], the embedded backend: segments in a folder, group commit |
//! | `memory` | [`MemoryQueue`], for tests |
//! | `conformance` | what every backend must do, as a suite of tests |
//! | `tip` | how far a queue has come, for those who wait |
//!
//! ```
//! use queue::{MemoryQueue, Queue, conformance::record};
//! use record::Tail;
//!
//! # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
//! let queue = MemoryQueue::new("memory", 1_000);
//! let positions = queue.append(vec![record(0), record(1)]).await?;
//! let batch = queue.read(&positions[0].partition, 0, 100)?;
//! assert_eq!((batch.records.len(), batch.next), (2, 2));
//! # Ok::<(), record::Error>(()) }).expect("stored and read");
//! ```

pub mod conformance;
pub mod journal;
mod memory;
mod queue;
mod tip;

#[cfg(any(test, feature = "fuzz"))]
pub use crate::journal::fuzz;
pub use crate::{
    journal::Journal,
    memory::MemoryQueue,
    queue::{Headroom, Queue},
};
