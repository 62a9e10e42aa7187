//! Why a record cannot be stored as it is.

use std::{borrow::Cow, fmt};

/// The reason in one word, stable for programs; the message beside it is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectionTag {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text is not JSON.
    NotJson,
    /// The JSON value is not an object.
    NotAnObject,
    /// The record is larger than its topic allows.
    TooLarge,
    /// `record_id` is there, and is not a UUID.
    BadRecordId,
    /// A field is missing, unknown or of the wrong type; the pointer names it.
    SchemaMismatch,
    /// A field that only the server may fill came from outside.
    ForgedField,
    /// The sender is not known here: the worker's secret is missing or was not given out by this server.
    UnknownWorker,
    /// The collection is not one of this server's.
    UnknownCollection,
    /// The task or reading is not one of the collection's.
    UnknownTask,
    /// The lease was not given out by this server to this worker for this task.
    UnknownLease,
    /// The same id came before with other bytes; the first one stands.
    IdReused,
    /// The topic is not taken here.
    UnknownTopic,
}

impl RejectionTag {
    /// The tag as it stands in responses and in the dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::TooLarge => "too_large",
            Self::BadRecordId => "bad_record_id",
            Self::SchemaMismatch => "schema_mismatch",
            Self::ForgedField => "forged_field",
            Self::UnknownWorker => "unknown_worker",
            Self::UnknownCollection => "unknown_collection",
            Self::UnknownTask => "unknown_task",
            Self::UnknownLease => "unknown_lease",
            Self::IdReused => "id_reused",
            Self::UnknownTopic => "unknown_topic",
        }
    }
}

impl fmt::Display for RejectionTag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The longest message and the longest pointer, in characters: they may quote what came from outside, once for each record of a request.
const CHARS_MAX: usize = 300;

fn cut(text: Cow<'static, str>) -> Cow<'static, str> {
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => text,
    }
}

/// A record that was not accepted: what is wrong, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason in one word.
    pub tag: RejectionTag,
    /// What was found and what was expected.
    pub message: Cow<'static, str>,
    /// The JSON pointer (RFC 6901) of the field, where one field is at fault.
    pub pointer: Option<String>,
}

impl Rejection {
    /// A rejection of the whole record.
    pub fn new(tag: RejectionTag, message: impl Into<Cow<'static, str>>) -> Self {
        Self { tag, message: cut(message.into()), pointer: None }
    }

    /// Names the field at fault by its JSON pointer, such as `/label`.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(cut(Cow::Owned(pointer.into())).into_owned());
        self
    }
}
