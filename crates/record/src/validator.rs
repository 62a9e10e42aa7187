//! A record before it is accepted, and what may check it. `cli` plugs the checks in, so that the collector
//! knows nothing of OCR and `ocr` nothing of the collector.

use bytes::Bytes;

use crate::{Door, RecordId, Rejection, Timestamp, Topic};

/// A record that has arrived and is not yet accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The topic that it was sent to.
    pub topic: Topic,
    /// The sender's id, or the one given to it.
    pub id: RecordId,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The door.
    pub door: Door,
    /// A JSON object, of at most the topic's size, as it came. A validator may replace it.
    pub payload: Bytes,
    /// What the sender showed to say who it is: the bearer token or the worker's secret.
    pub credential: Option<Bytes>,
}

/// Checks a record of one topic and may fill the columns that are the server's. Does no I/O and never blocks for long:
/// it runs on the path of every acknowledgement.
pub trait Validator: Send + Sync {
    /// Accepts the record, possibly with another payload, or says what is wrong.
    ///
    /// The same draft with the same credential always gives the same payload, so that a repeat has the same bytes (promise C3).
    ///
    /// # Errors
    /// The rejection that the sender gets.
    fn check(&self, draft: &mut Draft) -> Result<(), Rejection>;
}

/// Takes any JSON object as it is: the validator of `events`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AcceptAnyObject;

impl Validator for AcceptAnyObject {
    fn check(&self, _: &mut Draft) -> Result<(), Rejection> {
        Ok(())
    }
}
