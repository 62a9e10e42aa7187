//! A record, its identity, and the place that a queue gives it.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Digest, Error, Result, Timestamp, Topic};

/// A record's place in its partition: 0 for the first, one more for each.
pub type Offset = u64;

/// The name of the door a record came through: `http`, `websocket`, `mqtt`, `nng`, `beacon`.
pub type Door = Cow<'static, str>;

/// The identity that the sender gave the record (a UUID, version 7 by preference).
///
/// Two records with the same topic and id are one record sent twice (promise C3). Nothing relies on the time inside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = "uuid")]
pub struct RecordId([u8; 16]);

impl RecordId {
    /// Reads a UUID in any of its usual spellings.
    ///
    /// # Errors
    /// `Invalid` when the text is not a UUID, or is the nil one.
    pub fn parse(text: &str) -> Result<Self> {
        match Uuid::try_parse(text) {
            Ok(uuid) if !uuid.is_nil() => Ok(Self(uuid.into_bytes())),
            _ => {
                let shown: String = text.chars().take(80).collect();
                Err(Error::invalid("record_id must be a UUID (version 7 by preference)").with("found", format_args!("{shown:?}")))
            }
        }
    }

    /// A UUIDv7 for a record that came without an id: the time it was received and 74 random bits.
    pub fn generate(received_at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(received_at.as_micros() / 1_000).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes())
    }

    /// A UUIDv8 (RFC 9562 section 5.8) for a record that has an identity of another kind: 122 bits of its hash.
    pub fn from_digest(digest: Digest) -> Self {
        Self(uuid::Builder::from_custom_bytes(*digest.as_bytes()).into_uuid().into_bytes())
    }

    /// From its 16 bytes, as stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(out)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for RecordId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// One record as the queue keeps it. The payload is a JSON object, already checked by the topic's validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic, hence the table.
    pub topic: Topic,
    /// The identity within the topic.
    pub id: RecordId,
    /// When the collector had the whole record, by its own clock.
    pub received_at: Timestamp,
    /// The door it came through.
    pub door: Door,
    /// A JSON object in UTF-8.
    pub payload: Bytes,
}

/// One ordered log: `<queue id>/<n>`. A queue that was deleted and made again has another id, so nothing is skipped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(Arc<str>);

impl Partition {
    /// The n-th partition of a queue.
    pub fn new(queue_id: impl fmt::Display, n: u32) -> Self {
        Self(format!("{queue_id}/{n}").into())
    }

    /// Reads `<queue id>/<n>`.
    ///
    /// # Errors
    /// `Corrupt` when the text has not that form: it is only ever read back from what was stored.
    pub fn parse(text: &str) -> Result<Self> {
        match text.rsplit_once('/') {
            Some((queue_id, n)) if !queue_id.is_empty() && n.parse::<u32>().is_ok() => Ok(Self(text.into())),
            _ => Err(Error::corrupt("not a partition of the form <queue id>/<n>").with("found", text)),
        }
    }

    /// `<queue id>/<n>`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The app id under which a topic's table keeps its cursor for this partition: `<topic>@<partition>`.
    pub fn cursor_id(&self, topic: &Topic) -> String {
        format!("{topic}@{self}")
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Where a stored record stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The ordered log.
    pub partition: Partition,
    /// The place in it.
    pub offset: Offset,
}

/// `<queue id>/<n>:<offset>`, the receipt that a sender gets.
impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.partition, self.offset)
    }
}

/// What *stored* means (promise Q1); named in every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// On stable storage: fdatasync has returned.
    Fsync,
    /// In the memory of as many machines as the queue's settings ask for.
    Replicated,
    /// In this process only: lost with it. For tests.
    Memory,
}
