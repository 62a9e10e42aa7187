//! Delta tables of Parquet: what the loader commits to and everything downstream reads.
//!
//! What it is *not*: it knows no queue and no HTTP, and it shows nothing of the crate that keeps the Delta log,
//! so that another commit path can replace it.
//!
//! | file | what it holds |
//! |---|---|
//! | `store` | [`Lake`]: a folder of tables; fault points |
//! | `durable` | where fsync happens, and what is done after one that failed |
//! | `staged` | the store under a local table: an entry of the log has its bytes on disk before its name |
//! | `schema` | columns ↔ Arrow ↔ Delta |
//! | `rows` | JSON payloads → record batch, with a reason for each row that cannot be one |
//! | `table` | [`Table`]: open or create, evolve, cursors, [`Snapshot`] |
//! | `writer` | record batch → Parquet file, its name never used before |
//! | `commit` | one Delta commit carries the files and the cursor together |
//! | `scan` | the active files as a stream of record batches, in bounded memory |
//! | `at_rest` | which files a table on local disk consists of, for a copy |
//! | `maintenance` | sweeping orphan files |
//! | `dead_letters` | the table of records that cannot be rows |
//! | `faulty` | a disk that fails and loses power, for tests |
//! | `conformance` | what every store must keep, run by the tests |
//!
//! ```
//! # async fn example(folder: &std::path::Path) -> record::Result<()> {
//! use std::sync::Arc;
//! use record::{RecordId, SystemClock, Timestamp, TopicSchema};
//!
//! let lake = lake::Lake::open(&folder.display().to_string(), lake::Config::default(), Arc::new(SystemClock::new())).await?;
//! let schema = TopicSchema::events();
//! let table = lake.table(&schema).await?;
//! let row = lake::Row { id: RecordId::from_bytes([1; 16]), received_at: Timestamp::from_micros(0), door: "http", payload: b"{}" };
//! let built = lake::build_batch(&schema, &[row])?;
//! table.append(&[built.batch], "import-1").await?;
//! assert_eq!(table.rows().await?, 1);
//! # Ok(())
//! # }
//! ```

mod at_rest;
mod commit;
pub mod conformance;
mod dead_letters;
mod durable;
pub mod faulty;
mod maintenance;
mod rows;
mod scan;
mod schema;
mod staged;
mod store;
mod table;
mod writer;

pub use at_rest::AtRest;
pub use commit::CursorMove;
pub use dead_letters::{DeadLetter, Stage, dead_letters_batch, dead_letters_of, each_dead_letter};
pub use durable::{Fsync, fsync};
pub use maintenance::Swept;
pub use rows::{BadRow, Built, Row, RowHash, build_batch, row_hashes};
pub use scan::BatchStream;
pub use store::{Config, FaultHook, FaultPoint, Lake};
pub use table::{Snapshot, Table, Version};
pub use writer::{DataFile, FileName};

#[cfg(test)]
mod tests;
