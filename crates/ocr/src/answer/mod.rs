//! An answer: what a worker says of a reading, from the record that the page sends to the row in the table.
//!
//! record → [`AnswerValidator`] checks it and stamps `worker_id` and `late` → payload → [`Answer::from_payload`] wherever it is read

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use record::{Digest, Draft, Error, Rejection, RejectionTag, Result, Timestamp, Validator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{identity::Identity, task::Label};

/// The longest text that a worker can type, in characters.
pub const TEXT_CHARS_MAX: usize = 200;

/// An answer as it is stored: the payload of a record of the topic `answers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The collection's name.
    pub collection: String,
    /// The place, 32 hexadecimal digits.
    pub task_id: String,
    /// The text that was shown, likewise.
    pub reading_id: String,
    /// The worker, stamped by the server.
    pub worker_id: String,
    /// The lease under which the word was shown.
    pub lease_id: String,
    /// What the worker says.
    pub label: Label,
    /// What the worker typed; only with `wrong`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When the word appeared, by the phone's clock, in microseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_at: Option<i64>,
    /// When the worker answered, by the phone's clock, likewise. Of two answers of a worker to a reading the later one counts.
    pub answered_at: i64,
    /// Whether the answer was given after the end of the lease. Late answers are used.
    pub late: bool,
}

impl Answer {
    /// Reads a stored payload.
    ///
    /// # Errors
    /// `Corrupt`: only validated payloads are stored.
    pub fn from_payload(payload: &[u8]) -> Result<Self> {
        serde_json::from_slice(payload).map_err(|error| Error::corrupt("a stored answer is not one").because(error))
    }
}

/// Which readings there are: what the validator asks of the live state.
pub trait KnownReadings: Send + Sync {
    /// The task that a reading belongs to, or which of collection and reading is not known.
    ///
    /// # Errors
    /// The tag to reject with: `UnknownCollection` or `UnknownTask`.
    fn task_of(&self, collection: &str, reading: &Digest) -> Result<Digest, RejectionTag>;
}

/// Checks answers at the door and fills the columns that are the server's.
pub struct AnswerValidator {
    identity: Identity,
    readings: Arc<dyn KnownReadings>,
}

impl AnswerValidator {
    /// With the server's identity and what it knows.
    pub fn new(identity: Identity, readings: Arc<dyn KnownReadings>) -> Self {
        Self { identity, readings }
    }
}

/// Fields that a sender may give.
const FIELDS: [&str; 9] = ["record_id", "collection", "task_id", "reading_id", "lease_id", "label", "text", "shown_at", "answered_at"];

/// Fields that only the server fills.
const SERVER_FIELDS: [&str; 4] = ["worker_id", "received_at", "door", "late"];

/// What a sender gives, as JSON Schema, for people and programs: what is wrong with an answer says [`AnswerValidator`].
pub fn json_schema() -> Value {
    let (text, id) = (json!({ "type": "string", "maxLength": 64 }), json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }));
    let time = "RFC 3339, or microseconds since 1970 UTC, by the phone's clock.";
    json!({
        "type": "object",
        "description": "What a worker says of a reading.",
        "required": ["collection", "task_id", "reading_id", "lease_id", "label", "answered_at"],
        "properties": {
            "record_id": { "type": "string", "format": "uuid", "description": "The answer's own id: sent again, it counts once." },
            "collection": text,
            "task_id": id,
            "reading_id": id,
            "lease_id": { "type": "string", "maxLength": 64, "description": "As `GET /v1/tasks` gave it with the task." },
            "label": { "enum": ["right", "wrong", "unreadable", "not_one_word"] },
            "text": { "type": ["string", "null"], "maxLength": TEXT_CHARS_MAX, "description": "What is printed; with the label wrong alone." },
            "shown_at": { "oneOf": [{ "type": "string", "format": "date-time" }, { "type": ["integer", "null"] }], "description": time },
            "answered_at": { "oneOf": [{ "type": "string", "format": "date-time" }, { "type": "integer" }], "description": time },
        },
        "examples": [{
            "record_id": "0192f0c4-8c5e-7000-8000-000000000001",
            "collection": "press",
            "task_id": "5d41402abc4b2a76b9719d911017c592",
            "reading_id": "7d793037a0760186574b0282f2f435e7",
            "lease_id": "the task's",
            "label": "wrong",
            "text": "insuperable.",
            "answered_at": "2026-11-24T11:15:24.5Z",
        }],
    })
}

impl Validator for AnswerValidator {
    fn check(&self, draft: &mut Draft) -> Result<(), Rejection> {
        let fields: Map<String, Value> = serde_json::from_slice(&draft.payload)
            .map_err(|error| Rejection::new(RejectionTag::NotAnObject, format!("an answer is a JSON object: {error}")))?;
        check_names(&fields)?;
        let worker = self.worker(draft.credential.as_deref())?;
        let collection = text_field(&fields, "collection", 64)?;
        let reading = id_field(&fields, "reading_id")?;
        let task = id_field(&fields, "task_id")?;
        self.check_place(collection, &task, &reading)?;
        let label = label_field(&fields)?;
        let lease_id = text_field(&fields, "lease_id", 64)?;
        let until = self.identity.lease_until(lease_id, &reading, &worker).ok_or_else(|| {
            Rejection::new(RejectionTag::UnknownLease, "this lease was not given to this worker for this reading: ask for tasks again")
                .at("/lease_id")
        })?;
        let answered_at = time_field(&fields, "answered_at")?.ok_or_else(|| missing("answered_at"))?;
        let answer = Answer {
            collection: collection.to_owned(),
            task_id: task.to_string(),
            reading_id: reading.to_string(),
            worker_id: worker.to_string(),
            lease_id: lease_id.to_owned(),
            label,
            text: typed_text(&fields, label)?,
            shown_at: time_field(&fields, "shown_at")?,
            answered_at,
            // By the phone's own clock, so that a repeat has the same bytes whenever it arrives (C3).
            late: answered_at > until.as_micros(),
        };
        let payload = serde_json::to_vec(&answer).map_err(|error| Rejection::new(RejectionTag::SchemaMismatch, error.to_string()))?;
        draft.payload = Bytes::from(payload);
        Ok(())
    }
}

impl AnswerValidator {
    fn worker(&self, credential: Option<&[u8]>) -> Result<Digest, Rejection> {
        credential.and_then(|secret| self.identity.worker_of(secret)).ok_or_else(|| {
            Rejection::new(
                RejectionTag::UnknownWorker,
                "the worker's secret is missing or was not given out here: POST /v1/workers gives one, sent as Authorization: Bearer",
            )
        })
    }

    fn check_place(&self, collection: &str, task: &Digest, reading: &Digest) -> Result<(), Rejection> {
        match self.readings.task_of(collection, reading) {
            Ok(known) if known == *task => Ok(()),
            Ok(_) => Err(Rejection::new(RejectionTag::UnknownTask, "the reading belongs to another task").at("/task_id")),
            Err(tag @ RejectionTag::UnknownCollection) => {
                Err(Rejection::new(tag, "no such collection here: GET /v1/collections names them").at("/collection"))
            }
            Err(tag) => Err(Rejection::new(tag, "no such reading in this collection: ask for tasks again").at("/reading_id")),
        }
    }
}

fn check_names(fields: &Map<String, Value>) -> Result<(), Rejection> {
    for name in fields.keys().map(String::as_str) {
        if SERVER_FIELDS.contains(&name) {
            return Err(
                Rejection::new(RejectionTag::ForgedField, "this field is filled by the server: leave it out").at(format!("/{name}"))
            );
        }
        if !FIELDS.contains(&name) {
            let shown: String = name.chars().take(80).collect();
            let message = format!("an answer has no field {shown:?}; its fields are {}", FIELDS.join(", "));
            return Err(
                Rejection::new(RejectionTag::SchemaMismatch, message).at(format!("/{}", shown.replace('~', "~0").replace('/', "~1")))
            );
        }
    }
    Ok(())
}

fn missing(name: &str) -> Rejection {
    Rejection::new(RejectionTag::SchemaMismatch, "this field is missing").at(format!("/{name}"))
}

fn wrong_type(name: &str, expected: impl Into<Cow<'static, str>>) -> Rejection {
    Rejection::new(RejectionTag::SchemaMismatch, expected).at(format!("/{name}"))
}

fn text_field<'a>(fields: &'a Map<String, Value>, name: &str, bytes_max: usize) -> Result<&'a str, Rejection> {
    let text = fields.get(name).ok_or_else(|| missing(name))?.as_str();
    text.filter(|text| text.len() <= bytes_max).ok_or_else(|| wrong_type(name, format!("expected text of at most {bytes_max} bytes")))
}

fn id_field(fields: &Map<String, Value>, name: &str) -> Result<Digest, Rejection> {
    let text = text_field(fields, name, 32)?;
    Digest::parse(text).map_err(|_| wrong_type(name, "expected an id of 32 hexadecimal digits"))
}

fn label_field(fields: &Map<String, Value>) -> Result<Label, Rejection> {
    let value = fields.get("label").ok_or_else(|| missing("label"))?;
    serde_json::from_value(value.clone()).map_err(|_| wrong_type("label", "expected right, wrong, unreadable or not_one_word"))
}

/// RFC 3339 text, or integer microseconds since 1970 UTC; of the years that a table's readers can show.
fn time_field(fields: &Map<String, Value>, name: &str) -> Result<Option<i64>, Rejection> {
    let expected = || wrong_type(name, "expected an RFC 3339 time such as 2026-11-24T11:15:24.5Z, or integer microseconds since 1970 UTC");
    let time = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Timestamp::parse(text).map_err(|_| expected())?,
        Some(value) => Timestamp::from_micros(value.as_i64().ok_or_else(expected)?),
    };
    if !time.is_sendable() {
        return Err(wrong_type(name, "expected a time of the years 1970 to 9999: is the clock set, and are these microseconds?"));
    }
    Ok(Some(time.as_micros()))
}

fn typed_text(fields: &Map<String, Value>, label: Label) -> Result<Option<String>, Rejection> {
    let text = match fields.get("text") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim(),
        Some(_) => return Err(wrong_type("text", "expected text")),
    };
    if text.is_empty() {
        return Ok(None);
    }
    if label != Label::Wrong {
        return Err(wrong_type("text", "only an answer with the label wrong has a text"));
    }
    if text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(wrong_type("text", format!("expected at most {TEXT_CHARS_MAX} characters, and no control characters")));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests;
