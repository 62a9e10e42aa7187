//! Collector, queue, loader and tables in one process on virtual time, under faults that a seed draws, judged by books of its own.
//!
//! What it is *not*: it has no sockets and no threads of ours, and nothing in it measures how long anything takes.
//!
//! ```text
//! clients ─ bodies ─▶ wire, ingest ─▶ journal on the model disk ─▶ loader ─▶ tables on a disk that fails
//!    └────────── oracle: issued, acknowledged, refused, read ──────── judge: what is in the tables? ◀──┘
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `run` | [`run`]: one seed, from an empty disk to the verdict |
//! | `plan` | what a seed draws: lives, and the faults of each |
//! | `process` | one life of the server: the rooms, wired; how it ends |
//! | `disks` | the two disks, the index, and what is left of them after a crash |
//! | `faults` | when the lake fails, and how |
//! | `tap` | the journal as the rooms see it: each read is noted, and everybody has their turn |
//! | `client` | a sender: batches, bad records, lost replies, repeats |
//! | `oracle` | the books |
//! | `judge` | the tables against the books |
//! | `clock` | the time of day, and whose turn it is |
//! | `trace` | what happened, as one number and, on demand, as lines |
//!
//! **The same seed gives the same run**: everything runs on one thread of a runtime whose time is virtual, what blocks is waited for before time goes on,
//! and the parts that share something act at different milliseconds ([`clock::Turn`]). [`Ran::trace`] is equal for two
//! runs of a seed. Not drawn from the seed are the ids that a door gives to records without one, and the random ends of the names of data files: nothing
//! that happens depends on either.

pub mod client;
pub mod clock;
pub mod disks;
pub mod faults;
pub mod judge;
pub mod oracle;
pub mod plan;
pub mod process;
mod run;
pub mod tap;
pub mod trace;

pub use run::{Failure, Ran, run};

#[cfg(test)]
mod tests;
