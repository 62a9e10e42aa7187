//! What became of one record of a request.

use crate::{Position, Rejection};

/// Exactly one for each record of a request (promise C1). There is no default: absence never means success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// On stable storage at this position (promise Q1).
    Stored(Position),
    /// Not stored, and sending it again as it is will not help.
    Rejected(Rejection),
    /// Not stored; send it again, not before so many milliseconds.
    Retry {
        /// How long to wait, in milliseconds.
        after_ms: u64,
    },
}
