//! One record's bytes → a well-formed JSON object with its id, or what is wrong with it. `wire` calls it for each record.
//!
//! Strict where a later reader may not agree on what the bytes mean: lone surrogates, numbers beyond a double and a
//! second `record_id` are refused here (RFC 7493, I-JSON), so that the table never meets them.

use std::fmt;

use bytes::Bytes;
use record::{RecordId, Rejection, RejectionTag};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::limits::Caps;

/// Bytes that cannot be a record: what is wrong with them, and themselves, for the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What the sender is told.
    pub rejection: Rejection,
    /// What it sent.
    pub sent: Bytes,
}

impl Unreadable {
    /// Keeps what was sent beside what is wrong with it.
    pub(crate) fn new(rejection: Rejection, sent: Bytes) -> Self {
        Self { rejection, sent }
    }
}

/// A JSON object in UTF-8, within the caps, with the id that its sender gave it. There is no other way to make one than
/// [`parse`](Self::parse), so that no door can pass on what nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawItem {
    payload: Bytes,
    id: Option<RecordId>,
}

impl RawItem {
    /// Checks one record. `at` is where it begins in the body, for messages.
    ///
    /// # Errors
    /// The rejection that the sender gets: what was found, at which byte, and what was expected.
    pub fn parse(payload: Bytes, at: usize, caps: &Caps) -> Result<Self, Unreadable> {
        match check(&payload, at, caps) {
            Ok(id) => Ok(Self { payload, id }),
            Err(rejection) => Err(Unreadable::new(rejection, payload)),
        }
    }

    /// The object, as it came.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The sender's `record_id`, if it gave one.
    pub fn id(&self) -> Option<RecordId> {
        self.id
    }

    /// The same record with an id that its door made.
    pub(crate) fn with_id(self, id: RecordId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Its parts: the object and the sender's id.
    pub(crate) fn into_parts(self) -> (Bytes, Option<RecordId>) {
        (self.payload, self.id)
    }
}

/// Whether bytes are a record, and the id that stands in it.
fn check(payload: &[u8], at: usize, caps: &Caps) -> Result<Option<RecordId>, Rejection> {
    if payload.len() > caps.payload_bytes_max {
        let message = format!("the record has {} bytes (byte {at} of the body); its topic takes {}", payload.len(), caps.payload_bytes_max);
        return Err(Rejection::new(RejectionTag::TooLarge, message));
    }
    let text = std::str::from_utf8(payload).map_err(|error| {
        let byte = at + error.valid_up_to();
        Rejection::new(RejectionTag::NotUtf8, format!("byte {byte} of the body begins no UTF-8 character: send JSON in UTF-8"))
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let outline = Outline { nested: Nested { depth: 1, depth_max: caps.nesting_depth_max } }.deserialize(&mut reader);
    let found = outline.and_then(|found| reader.end().map(|()| found)).map_err(|error| {
        // serde_json calls what a visitor refused *data*: here that is only the depth.
        if error.is_data() {
            let message = format!("the record (byte {at} of the body) nests deeper than {} levels", caps.nesting_depth_max);
            return Rejection::new(RejectionTag::TooLarge, message);
        }
        Rejection::new(RejectionTag::NotJson, describe(text.as_bytes(), &error, at))
    })?;
    match found {
        Found::Object(IdField::Absent) => Ok(None),
        Found::Object(IdField::Given(id)) => Ok(Some(id)),
        Found::Object(IdField::Wrong(message)) => Err(Rejection::new(RejectionTag::BadRecordId, message).at("/record_id")),
        Found::Other(what) => {
            let message = format!("expected a JSON object, found {what} (byte {at} of the body)");
            Err(Rejection::new(RejectionTag::NotAnObject, message))
        }
    }
}

/// A syntax error with its place in the body instead of a line and column in the record.
pub(crate) fn describe(text: &[u8], error: &serde_json::Error, at: usize) -> String {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(line - 2).map_or(0, |(index, _)| index + 1),
    };
    let byte = at + (line_start + error.column().saturating_sub(1)).min(text.len());
    let full = error.to_string();
    let what = full.rsplit_once(" at line ").map_or(full.as_str(), |(what, _)| what);
    format!("not JSON: {what} at byte {byte} of the body")
}

enum Found {
    Object(IdField),
    Other(&'static str),
}

enum IdField {
    Absent,
    Given(RecordId),
    Wrong(String),
}

/// Reads any value and keeps nothing; refuses to go deeper than `depth_max`.
#[derive(Clone, Copy)]
struct Nested {
    depth: usize,
    depth_max: usize,
}

impl Nested {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth > self.depth_max {
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

macro_rules! scalars {
    ($value:ty, $make:expr) => {
        fn visit_unit<E>(self) -> Result<$value, E> {
            Ok($make("null"))
        }
        fn visit_bool<E>(self, _: bool) -> Result<$value, E> {
            Ok($make("true or false"))
        }
        fn visit_i64<E>(self, _: i64) -> Result<$value, E> {
            Ok($make("a number"))
        }
        fn visit_u64<E>(self, _: u64) -> Result<$value, E> {
            Ok($make("a number"))
        }
        fn visit_f64<E>(self, _: f64) -> Result<$value, E> {
            Ok($make("a number"))
        }
    };
}

impl<'de> Visitor<'de> for Nested {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    scalars!((), |_| ());

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while elements.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while fields.next_key_seed(Name)?.is_some() {
            fields.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A field's name: whether it is `record_id`.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == "record_id")
    }
}

/// The record itself: an object, whose `record_id` is wanted, or something else.
struct Outline {
    nested: Nested,
}

impl<'de> DeserializeSeed<'de> for Outline {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Found, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Outline {
    type Value = Found;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object")
    }

    scalars!(Found, Found::Other);

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found::Other("a text"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Found, A::Error> {
        self.nested.visit_seq(elements)?;
        Ok(Found::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Found, A::Error> {
        let inner = self.nested.inner()?;
        let mut id = None;
        while let Some(is_id) = fields.next_key_seed(Name)? {
            if !is_id {
                fields.next_value_seed(inner)?;
            } else if id.is_none() {
                id = Some(fields.next_value_seed(Id { nested: inner })?);
            } else {
                fields.next_value_seed(inner)?;
                id = Some(IdField::Wrong("record_id stands in the record more than once".to_owned()));
            }
        }
        Ok(Found::Object(id.unwrap_or(IdField::Absent)))
    }
}

struct Id {
    nested: Nested,
}

impl<'de> DeserializeSeed<'de> for Id {
    type Value = IdField;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<IdField, D::Error> {
        reader.deserialize_any(self)
    }
}

fn not_a_uuid(found: &str) -> IdField {
    IdField::Wrong(format!("record_id must be a UUID as text (version 7 by preference), found {found}"))
}

impl<'de> Visitor<'de> for Id {
    type Value = IdField;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a UUID")
    }

    scalars!(IdField, not_a_uuid);

    fn visit_str<E>(self, text: &str) -> Result<IdField, E> {
        Ok(RecordId::parse(text).map_or_else(|error| IdField::Wrong(error.to_string()), IdField::Given))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<IdField, A::Error> {
        self.nested.visit_seq(elements)?;
        Ok(not_a_uuid("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<IdField, A::Error> {
        self.nested.visit_map(fields)?;
        Ok(not_a_uuid("an object"))
    }
}
