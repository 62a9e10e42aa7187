//! CloudEvents 1.0.2 → records. `wire` calls [`check`] for events that stand in a body as JSON (structured mode, batch);
//! `http` makes an event of fields and body ([`Attributes`], binary mode).
//!
//! event in JSON → its members → each attribute checked → the record, with the id made of source and id
//! `ce-` fields + body → the same event in JSON → as above
//!
//! What is stored is the event in the JSON event format (cloudevents/formats/json-format.md section 3.2), whatever mode it
//! came in; `docs/formats.md` shows it. The SDK for Rust takes or refuses a batch as a whole and does not say which attribute
//! is at fault; here each event has an outcome of its own, with the pointer.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use fluent_uri::{Uri, UriRef};
use percent_encoding::percent_decode;
use record::{Digest, RecordId, Rejection, RejectionTag, Timestamp};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    columns::{Fields, pointer},
    limits::Caps,
    raw_item::{RawItem, Unreadable, describe},
    wire::Item,
};

#[cfg(test)]
mod tests;

/// The version of the specification that is taken: 1.0, which all of 1.0.x write.
const SPECVERSION: &str = "1.0";
/// The attributes that every event has (section 3.1).
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];
/// The same as fields of a request.
const REQUIRED_FIELDS: [&str; 4] = ["ce-id", "ce-source", "ce-specversion", "ce-type"];
/// How the fields of binary mode begin (HTTP binding section 3.1.3.1).
const FIELD_PREFIX: &str = "ce-";

/// Checks an event in the JSON event format and gives it its id: the hash of source and id, which name an event (section 3.1.1).
///
/// # Errors
/// The first attribute at fault, by its pointer.
pub(crate) fn check(event: RawItem) -> Item {
    match id_of(event.payload()) {
        Ok(id) => Ok(event.with_id(id)),
        Err(rejection) => Err(Unreadable::new(rejection, event.payload().clone())),
    }
}

fn id_of(event: &[u8]) -> Result<RecordId, Rejection> {
    let Fields(members) = serde_json::from_slice::<Fields<&RawValue>>(event)
        .map_err(|error| Rejection::new(RejectionTag::NotAnObject, format!("expected a JSON object: {error}")))?;
    let mut seen = BTreeSet::new();
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    for (name, raw) in &members {
        if !seen.insert(name.as_str()) {
            return Err(wrong(name, "it stands in the event more than once".to_owned()));
        }
        match name.as_str() {
            "data" => {}
            "data_base64" => check_base64(raw)?,
            name => {
                if let Some(text) = check_attribute(name, raw)? {
                    found.insert(name, text);
                }
            }
        }
    }
    if seen.contains("data") && seen.contains("data_base64") {
        return Err(wrong("data_base64", "the event has data, too: one of both".to_owned()));
    }
    for name in REQUIRED {
        if !found.contains_key(name) {
            return Err(wrong(name, "every event has this attribute; it is missing".to_owned()));
        }
    }
    let id = Digest::of(&[b"cloudevents", found["source"].as_bytes(), found["id"].as_bytes()]);
    Ok(RecordId::from_digest(id))
}

/// Checks one attribute; gives the text of one that is text, nothing for one that is not set.
fn check_attribute(name: &str, raw: &RawValue) -> Result<Option<String>, Rejection> {
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) || name.is_empty() {
        return Err(wrong(name, "the name of an attribute is made of a to z and 0 to 9".to_owned()));
    }
    let expected = match name {
        "specversion" => "\"1.0\"",
        "id" | "type" | "subject" => "text that is not empty",
        "source" => "a URI reference that is not empty (RFC 3986)",
        "dataschema" => "a URI with its scheme (RFC 3986)",
        "datacontenttype" => "a media type such as application/json",
        "time" => "an RFC 3339 time such as 2026-11-24T11:15:24.5Z",
        _ => "text, true, false or an integer of 32 bits",
    };
    let value: Value = match raw.get().as_bytes()[0] {
        // Neither is an attribute: not read into memory.
        b'{' => return Err(wrong(name, format!("expected {expected}; found an object"))),
        b'[' => return Err(wrong(name, format!("expected {expected}; found an array"))),
        _ => serde_json::from_str(raw.get()).map_err(|error| wrong(name, error.to_string()))?,
    };
    let fits = match (&value, name) {
        // Not set (JSON format section 2.2).
        (Value::Null, _) => return Ok(None),
        (Value::String(text), _) if !text.chars().all(is_allowed) => {
            return Err(wrong(name, "control characters and noncharacters are not allowed".to_owned()));
        }
        (Value::String(text), "specversion") => text == SPECVERSION,
        (Value::String(text), "id" | "type" | "subject") => !text.is_empty(),
        (Value::String(text), "source") => !text.is_empty() && UriRef::parse(text.as_str()).is_ok(),
        (Value::String(text), "dataschema") => Uri::parse(text.as_str()).is_ok(),
        (Value::String(text), "datacontenttype") => is_media_type(text),
        (Value::String(text), "time") => Timestamp::parse(text).is_ok(),
        (_, "specversion" | "id" | "type" | "subject" | "source" | "dataschema" | "datacontenttype" | "time") => false,
        (Value::String(_) | Value::Bool(_), _) => true,
        (value, _) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
    };
    if !fits {
        let shown: String = raw.get().chars().take(80).collect();
        return Err(wrong(name, format!("expected {expected}; found {shown}")));
    }
    Ok(Some(value.as_str().unwrap_or_default().to_owned()))
}

fn check_base64(raw: &RawValue) -> Result<(), Rejection> {
    let text: Option<String> = serde_json::from_str(raw.get()).unwrap_or_default();
    match text.map(|text| BASE64_STANDARD.decode(text)) {
        Some(Ok(_)) => Ok(()),
        _ => Err(wrong("data_base64", "expected text in base64 (RFC 4648 section 4)".to_owned())),
    }
}

/// Section 3.2, *String*.
fn is_allowed(letter: char) -> bool {
    let code = u32::from(letter);
    let is_noncharacter = (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe;
    !letter.is_control() && !is_noncharacter
}

/// `type/subtype`, whatever its parameters are (RFC 2045 section 5.1).
fn is_media_type(text: &str) -> bool {
    let is_token =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte));
    essence(text).split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or("").trim()
}

fn wrong(name: &str, message: String) -> Rejection {
    Rejection::new(RejectionTag::SchemaMismatch, message).at(pointer(name))
}

/// The attributes of an event in binary mode, as the fields of its request have them.
#[derive(Debug)]
pub(crate) struct Attributes(Result<BTreeMap<String, String>, Rejection>);

/// The event in JSON.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(flatten)]
    attributes: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

impl Attributes {
    /// Reads the fields of a request; nothing when it is no event in binary mode.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let is_event = REQUIRED_FIELDS.iter().any(|name| headers.contains_key(*name));
        is_event.then(|| Self(Self::read(headers)))
    }

    fn read(headers: &HeaderMap) -> Result<BTreeMap<String, String>, Rejection> {
        let mut attributes = BTreeMap::new();
        for (field, value) in headers {
            let name = match field.as_str().strip_prefix(FIELD_PREFIX) {
                Some("datacontenttype") => return Err(wrong("datacontenttype", "send it as Content-Type".to_owned())),
                Some("data" | "data_base64") => return Err(wrong("data", "send it as the body".to_owned())),
                Some(name) => name,
                None if field == header::CONTENT_TYPE => "datacontenttype",
                None => continue,
            };
            let text = decode(value.as_bytes()).ok_or_else(|| wrong(name, "expected UTF-8, percent-encoded".to_owned()))?;
            if attributes.insert(name.to_owned(), text).is_some() {
                return Err(wrong(name, "it stands in the request more than once".to_owned()));
            }
        }
        Ok(attributes)
    }

    /// The event with its data: JSON as it is, other text as text, all else in base64 (JSON format section 3.1).
    ///
    /// # Errors
    /// What is wrong with an attribute or with data that say that they are JSON.
    pub(crate) fn with_data(self, data: &Bytes, caps: &Caps) -> Item {
        let event = self.event(data, caps).map_err(|rejection| Unreadable::new(rejection, data.clone()))?;
        check(RawItem::parse(event.into(), 0, caps)?)
    }

    fn event(self, data: &[u8], caps: &Caps) -> Result<Vec<u8>, Rejection> {
        let attributes = self.0?;
        // Base64 and the marks of JSON make more of the data, never less; before anything is copied.
        if data.len() > caps.payload_bytes_max {
            let message = format!("the event's data have {} bytes; its topic takes {}", data.len(), caps.payload_bytes_max);
            return Err(Rejection::new(RejectionTag::TooLarge, message));
        }
        let content_type = attributes.get("datacontenttype").map_or("application/json", String::as_str).to_ascii_lowercase();
        let text = std::str::from_utf8(data);
        let quoted;
        let (mut raw, mut data_base64) = (None, None);
        if data.is_empty() {
            // An event without data.
        } else if is_json(&content_type) {
            let text = text.map_err(|_| Rejection::new(RejectionTag::NotUtf8, "the data are not UTF-8").at("/data"))?;
            raw = Some(
                serde_json::from_str(text)
                    .map_err(|error| Rejection::new(RejectionTag::NotJson, describe(text.as_bytes(), &error, 0)).at("/data"))?,
            );
        } else if let (true, Ok(text)) = (is_utf8_text(&content_type), text) {
            quoted = serde_json::value::to_raw_value(text).expect("text is JSON");
            raw = Some(&*quoted);
        } else {
            data_base64 = Some(BASE64_STANDARD.encode(data));
        }
        Ok(serde_json::to_vec(&Event { attributes: &attributes, data: raw, data_base64 }).expect("text and JSON are JSON"))
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn is_utf8_text(content_type: &str) -> bool {
    let charset = content_type.split_once("charset=").map_or("utf-8", |(_, charset)| charset.trim_matches('"'));
    essence(content_type).starts_with("text/") && matches!(charset, "utf-8" | "us-ascii")
}

/// The value of a field: quotes are taken off, then percent signs decoded (HTTP binding section 3.1.3.2).
fn decode(value: &[u8]) -> Option<String> {
    let bare = match value {
        [b'"', inner @ .., b'"'] => {
            let mut bare = Vec::with_capacity(inner.len());
            let mut bytes = inner.iter();
            while let Some(byte) = bytes.next() {
                bare.push(if *byte == b'\\' { *bytes.next()? } else { *byte });
            }
            bare
        }
        value => value.to_vec(),
    };
    percent_decode(&bare).decode_utf8().ok().map(String::from)
}
