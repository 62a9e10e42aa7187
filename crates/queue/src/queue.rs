//! The contract of a queue backend: what the collector appends to and the loader reads from.
//!
//! Reading by position is [`record::Tail`]; this adds appending, waiting and trimming.

use futures::future::BoxFuture;
use record::{Durability, Offset, Partition, Position, Record, Result, Tail};

/// How much more can be stored before records must be refused (promise C2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headroom {
    /// Take records.
    Enough,
    /// Refuse records, and tell the sender to come back after so many milliseconds.
    Low {
        /// How long to wait, in milliseconds.
        retry_after_ms: u64,
    },
}

/// A durable ordered log of records, for all topics together.
pub trait Queue: Tail {
    /// What the acknowledgement of an append means (promise Q1).
    fn durability(&self) -> Durability;

    /// Appends the records in their order. The future resolves when every one of them is as durable as
    /// [`durability`](Self::durability) says, and not before; it gives one position for each record.
    ///
    /// Dropping the future does not take the records back.
    ///
    /// # Errors
    /// `Unavailable` when nothing was stored and trying again may help; `Closed` when the queue takes no records any more,
    /// also after a failed fsync (promise Q2): whether these records are stored is then unknown.
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<Vec<Position>>>;

    /// Whether records can be taken now. Cheap: asked for every request.
    fn headroom(&self) -> Headroom;

    /// Resolves when there is a stored record at `offset` or beyond, or with `Closed` when there will be none.
    fn wait_for(&self, partition: &Partition, offset: Offset) -> BoxFuture<'static, Result<()>>;

    /// Allows the queue to forget records below an offset: their table's commit is durable (promise L1).
    ///
    /// # Errors
    /// As [`Tail::range`]. Trimming what is trimmed already is no error.
    fn trim(&self, partition: &Partition, below: Offset) -> Result<()>;

    /// Takes no more records, finishes those under way, and gives the files free.
    fn close(&self) -> BoxFuture<'static, Result<()>>;
}
