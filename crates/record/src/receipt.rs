//! What became of a stored record, for who asks by its id.

use std::borrow::Cow;

use crate::{Position, RecordId, Result, Topic};

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// On stable storage, on its way to its table.
    Stored(Position),
    /// A row of its table.
    Landed {
        /// Where it stood in the queue, where that is still known.
        position: Option<Position>,
        /// A version of the table that has it: the one that landed it, or the first of which that is known.
        table_version: Option<u64>,
    },
    /// In the dead letters.
    DeadLetter {
        /// The reason in one word.
        tag: Cow<'static, str>,
        /// The reason for people.
        message: String,
    },
    /// It landed longer ago than receipts are kept.
    Expired,
}

/// What the tables have. The loader knows it; calls may block on a disk.
pub trait Receipts: Send + Sync {
    /// The receipt of a record that is in a table; nothing for one that is in none that is known.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be said now.
    fn receipt(&self, topic: &Topic, id: &RecordId) -> Result<Option<Receipt>>;
}
