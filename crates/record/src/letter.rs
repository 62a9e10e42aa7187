//! A record that a door rejected, as the queue keeps it until the loader puts it into the dead letters.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Error, Rejection, Result, Topic};

/// The tag of a letter that says: the rejected record of this topic and id was sent again, and is stored.
pub const RETRIED: &str = "retried";

/// The payload of a record of the topic [`Topic::dead_letters`]; id, time and door are the record's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter<'a> {
    /// The topic that the record was sent to.
    pub topic: Cow<'a, str>,
    /// The reason in one word: a [`RejectionTag`](crate::RejectionTag), or [`RETRIED`].
    pub tag: Cow<'a, str>,
    /// What was found and what was expected, with the JSON pointer of the field where one is at fault.
    pub message: Cow<'a, str>,
    /// What was sent; bytes that are not UTF-8 are replaced, and what is too long is cut, which the message says.
    pub payload: Cow<'a, str>,
}

impl<'a> Letter<'a> {
    /// A letter of a rejected record; of its bytes the first `payload_bytes_max` are kept.
    pub fn new(topic: &'a Topic, rejection: &'a Rejection, sent: &'a [u8], payload_bytes_max: usize) -> Self {
        let kept = &sent[..sent.len().min(payload_bytes_max)];
        // A character that the cut went through is not the sender's fault.
        let (kept, is_text) = match std::str::from_utf8(kept) {
            Ok(_) => (kept, true),
            Err(error) if error.error_len().is_none() && kept.len() < sent.len() => (&kept[..error.valid_up_to()], true),
            Err(_) => (kept, false),
        };
        let mut message = rejection.message.clone().into_owned();
        if let Some(pointer) = rejection.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            message.push_str(" at ");
            message.push_str(pointer);
        }
        if !is_text {
            message.push_str(" (the payload is not UTF-8; wrong bytes are shown as U+FFFD)");
        }
        if kept.len() < sent.len() {
            message.push_str(&format!(" (of {} bytes the first {} are kept)", sent.len(), kept.len()));
        }
        Self {
            topic: topic.as_str().into(),
            tag: rejection.tag.as_str().into(),
            message: message.into(),
            payload: String::from_utf8_lossy(kept),
        }
    }

    /// As the queue keeps it.
    pub fn to_payload(&self) -> Bytes {
        serde_json::to_vec(self).expect("text is JSON").into()
    }

    /// Reads what [`to_payload`](Self::to_payload) wrote.
    ///
    /// # Errors
    /// `Corrupt` when the payload is something else.
    pub fn parse(payload: &'a [u8]) -> Result<Self> {
        serde_json::from_slice(payload).map_err(|error| Error::corrupt("not a letter of a rejected record").because(error))
    }
}
