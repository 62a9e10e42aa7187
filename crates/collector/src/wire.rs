//! A body → the records in it, and the outcomes → the response. No network here: every door that carries JSON calls it.
//!
//! body → [`split`] → one [`RawItem`] or [`Unreadable`] for each index → (`ingest`) → [`Response`]
//!
//! A body is never taken or refused as a whole: what is wrong with one record is said at its index, and the rest goes on.
//! The exception is an array with broken JSON in it. After a broken element nobody can say which quote opens and which
//! one closes, hence which later element has which index; so the broken element is the last index of the response, and its
//! message says that nothing from there on was stored. Senders of many records should prefer lines (NDJSON).

use bytes::Bytes;
use record::{Durability, Error, Outcome, Partition, Rejection, RejectionTag, Result};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Deserializer, StreamDeserializer, de::SliceRead};
use utoipa::ToSchema;

use crate::{
    cloudevents,
    limits::Caps,
    raw_item::{RawItem, Unreadable},
};

#[cfg(test)]
mod tests;

/// One index of a request: a record that can be read, or what is wrong with it.
pub type Item = Result<RawItem, Unreadable>;

/// How the records stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object, or a JSON array of objects.
    Json,
    /// One JSON object a line; blank lines are passed over.
    Lines,
    /// Not said. An array when it begins with `[`; else lines when the first line is a whole JSON value or plainly
    /// none; else one object.
    Unsaid,
    /// One CloudEvent in the JSON event format.
    Event,
    /// A JSON array of them.
    Events,
}

impl Form {
    /// The content types, as `Accept` has them.
    pub const TAKEN: &'static str =
        "application/json, application/x-ndjson, text/plain, application/cloudevents+json, application/cloudevents-batch+json";

    /// From a `Content-Type`.
    ///
    /// # Errors
    /// `Invalid` for a type that is not one of ours.
    pub fn of(content_type: Option<&str>) -> Result<Self> {
        let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" => Ok(Self::Lines),
            "" | "text/plain" => Ok(Self::Unsaid),
            "application/cloudevents+json" => Ok(Self::Event),
            "application/cloudevents-batch+json" => Ok(Self::Events),
            _ => Err(Error::invalid(
                "send application/json (object or array), application/x-ndjson (an object a line), text/plain, or CloudEvents",
            )
            .with("found", essence.chars().take(80).collect::<String>())),
        }
    }
}

/// Finds the records of a body. Each index is a record or a rejection; an empty list means that there was none.
///
/// # Errors
/// `Invalid` when there are more than the cap allows.
pub fn split(body: &Bytes, form: Form, caps: &Caps) -> Result<Vec<Item>> {
    // RFC 8259 section 8.1 allows a reader to pass over a byte order mark.
    let start = skip_blank(body, if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 });
    if start == body.len() {
        return Ok(Vec::new());
    }
    match form {
        Form::Event => Ok(vec![RawItem::parse(trim_end(body.slice(start..)), start, caps).and_then(cloudevents::check)]),
        Form::Events if body[start] == b'[' => {
            let items = array(body, start + 1, caps)?;
            Ok(items.into_iter().map(|item| item.and_then(cloudevents::check)).collect())
        }
        Form::Events => {
            let rejection = Rejection::new(RejectionTag::SchemaMismatch, "expected a JSON array of events").at("");
            Ok(vec![Err(Unreadable::new(rejection, body.clone()))])
        }
        Form::Lines => lines(body, start, caps),
        _ if body[start] == b'[' => array(body, start + 1, caps),
        Form::Unsaid if first_line_stands_alone(&body[start..]) => lines(body, start, caps),
        Form::Json | Form::Unsaid => Ok(vec![RawItem::parse(trim_end(body.slice(start..)), start, caps)]),
    }
}

fn lines(body: &Bytes, start: usize, caps: &Caps) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut at = start;
    while at < body.len() {
        let end = at + body[at..].iter().position(|byte| *byte == b'\n').unwrap_or(body.len() - at);
        let first = skip_blank(&body[..end], at);
        if first < end {
            push(&mut items, RawItem::parse(trim_end(body.slice(first..end)), first, caps), caps)?;
        }
        at = end + 1;
    }
    Ok(items)
}

/// The elements of an array whose `[` is just before `at`.
fn array(body: &Bytes, at: usize, caps: &Caps) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut at = skip_blank(body, at);
    if body.get(at) == Some(&b']') {
        return Ok(items);
    }
    loop {
        let length = match value_length(body, at) {
            Ok(length) => length,
            Err(what) => return broken(items, body, at, &what, caps),
        };
        push(&mut items, RawItem::parse(body.slice(at..at + length), at, caps), caps)?;
        at = skip_blank(body, at + length);
        match body.get(at) {
            Some(b',') => at = skip_blank(body, at + 1),
            Some(b']') => break,
            _ => return broken(items, body, at, "expected , or ] after an element", caps),
        }
    }
    match skip_blank(body, at + 1) {
        after if after == body.len() => Ok(items),
        after => broken(items, body, after, "expected nothing after the array's end", caps),
    }
}

/// Ends an array at an element that is not JSON.
fn broken(mut items: Vec<Item>, body: &Bytes, at: usize, what: &str, caps: &Caps) -> Result<Vec<Item>> {
    let message =
        format!("{what} (the element begins at byte {at}); nothing from this index on was stored: mend it and send the rest again");
    let rejection = Rejection::new(RejectionTag::NotJson, message);
    push(&mut items, Err(Unreadable::new(rejection, body.slice(at.min(body.len())..))), caps)?;
    Ok(items)
}

fn push(items: &mut Vec<Item>, item: Item, caps: &Caps) -> Result<()> {
    if items.len() == caps.records_per_request_max {
        return Err(Error::invalid("too many records in one request: send fewer at a time").with("at most", caps.records_per_request_max));
    }
    items.push(item);
    Ok(())
}

/// How many bytes the JSON value at `at` takes, whatever is inside its strings: UTF-8 is checked for each record.
fn value_length(body: &[u8], at: usize) -> Result<usize, String> {
    let text = &body[at..];
    if matches!(text.first(), Some(b'{' | b'[' | b'"')) {
        // Skips without recursion, however deep the value is.
        let mut values: StreamDeserializer<'_, SliceRead<'_>, IgnoredAny> = Deserializer::from_slice(text).into_iter();
        return match values.next() {
            Some(Ok(_)) => Ok(values.byte_offset()),
            Some(Err(error)) => Err(crate::raw_item::describe(text, &error, at)),
            None => Err("expected a value".to_owned()),
        };
    }
    let length = text.iter().position(|byte| matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n')).unwrap_or(text.len());
    match serde_json::from_slice::<IgnoredAny>(&text[..length]) {
        Ok(_) => Ok(length),
        Err(_) => Err("expected a JSON object".to_owned()),
    }
}

fn first_line_stands_alone(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or(text);
    match IgnoredAny::deserialize(&mut Deserializer::from_slice(line)) {
        Ok(_) => true,
        Err(error) => !error.is_eof(),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_blank(body: &[u8], at: usize) -> usize {
    body.get(at..).and_then(|rest| rest.iter().position(|byte| !is_blank(*byte))).map_or(body.len(), |skipped| at + skipped)
}

fn trim_end(mut text: Bytes) -> Bytes {
    let length = text.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
    text.truncate(length);
    text
}

/// What a door answers when it can carry outcomes. Written as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordOutcomes)]
pub struct Response<'a> {
    /// What *stored* means (promise Q1).
    pub durability: Durability,
    /// Runs that cover every index (promise C1).
    pub outcomes: Vec<Run<'a>>,
}

/// Neighbouring indices with the same outcome.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OutcomeRun)]
pub struct Run<'a> {
    /// The first index.
    pub from: usize,
    /// The last index, inclusive.
    pub to: usize,
    /// What became of them.
    #[serde(flatten)]
    pub outcome: RunOutcome<'a>,
}

/// The outcome of a run.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[schema(as = Outcome)]
pub enum RunOutcome<'a> {
    /// Stored at consecutive offsets.
    Stored {
        /// `<queue id>/<n>:<offset>` of the first; each further record of the run has the next offset.
        receipt: String,
    },
    /// Not stored, and sending it again as it is will not help.
    Rejected {
        /// The reason in one word.
        tag: &'static str,
        /// What was found, where, and how to mend it.
        message: &'a str,
        /// The JSON pointer of the field at fault.
        #[serde(skip_serializing_if = "Option::is_none")]
        pointer: Option<&'a str>,
    },
    /// Not stored; send it again.
    Retry {
        /// Not before so many milliseconds.
        retry_after_ms: u64,
    },
}

impl<'a> Response<'a> {
    /// Merges the outcomes of a request into runs.
    pub fn new(durability: Durability, outcomes: &'a [Outcome]) -> Self {
        let mut runs: Vec<Run<'a>> = Vec::new();
        // Where the next stored record must stand to belong to the run under way.
        let mut next: Option<(&Partition, u64)> = None;
        for (index, outcome) in outcomes.iter().enumerate() {
            if let Outcome::Stored(position) = outcome {
                let continues = next == Some((&position.partition, position.offset));
                next = Some((&position.partition, position.offset + 1));
                match runs.last_mut() {
                    Some(run) if continues => run.to = index,
                    _ => runs.push(Run { from: index, to: index, outcome: RunOutcome::Stored { receipt: position.to_string() } }),
                }
                continue;
            }
            next = None;
            let outcome = match outcome {
                Outcome::Rejected(Rejection { tag, message, pointer }) => {
                    RunOutcome::Rejected { tag: tag.as_str(), message, pointer: pointer.as_deref() }
                }
                Outcome::Retry { after_ms } => RunOutcome::Retry { retry_after_ms: *after_ms },
                Outcome::Stored(_) => unreachable!("a stored record was dealt with above"),
            };
            match runs.last_mut() {
                Some(run) if run.outcome == outcome => run.to = index,
                _ => runs.push(Run { from: index, to: index, outcome }),
            }
        }
        Self { durability, outcomes: runs }
    }

    /// How long to wait when nothing but waiting helps: all are *retry*. In milliseconds.
    pub fn all_retry_after_ms(&self) -> Option<u64> {
        let waits = self.outcomes.iter().map(|run| match run.outcome {
            RunOutcome::Retry { retry_after_ms } => Some(retry_after_ms),
            _ => None,
        });
        waits.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// What a WebSocket answers when every record of a message has an outcome.
#[derive(Serialize, ToSchema)]
pub(crate) struct StreamOutcomes<'a> {
    /// The message's number on its connection, from 0.
    pub(crate) seq: u64,
    /// What *stored* means (promise Q1).
    pub(crate) durability: Durability,
    /// Runs that cover every index (promise C1).
    pub(crate) outcomes: &'a [Run<'a>],
}

/// What it answers when nothing of a message was stored; the next one may be.
#[derive(Serialize, ToSchema)]
pub(crate) struct StreamRefusal<'a> {
    /// The message's number on its connection, from 0.
    pub(crate) seq: u64,
    /// A stable word for programs.
    pub(crate) code: &'a str,
    /// A sentence for people.
    pub(crate) detail: &'a str,
    /// How long to wait before it is sent again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
}
