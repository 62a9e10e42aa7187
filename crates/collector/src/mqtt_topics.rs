//! MQTT's topic names → our topics, and a PUBLISH's payload → its records. `mqtt_conversation` asks for each PUBLISH.
//!
//! A name is that of one of our topics, alone or after [`PREFIX`]; else the first of the settings' filters that it matches decides
//! (MQTT 5 section 4.7). Devices put who they are into the topic's name, so a mapping may write it into each record.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use mqtt_proto::TopicFilter;
use record::{Error, Rejection, RejectionTag, Result};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::{
    http,
    ingest::Ingest,
    limits::Caps,
    raw_item::{RawItem, Unreadable},
    wire::{Form, Item},
};

#[cfg(test)]
mod tests;

/// What may stand before the name of a topic of ours.
const PREFIX: &str = "crowdread/";

/// The longest name of a field that a mapping writes, in bytes.
const FIELD_BYTES_MAX: usize = 64;

/// Which of MQTT's topics are one of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The names, as MQTT's filters have them: `+` for one level, `#` for all that follow.
    pub filter: String,
    /// The topic of ours.
    pub topic: String,
    /// The field of each record that gets MQTT's topic name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_field: Option<String>,
}

impl Mapping {
    /// What is wrong with it by itself, in a sentence that says what was expected.
    pub fn wrong(&self) -> Option<String> {
        let (is_invalid, shared_at) = TopicFilter::is_invalid(&self.filter);
        if is_invalid || shared_at > 0 {
            return Some(format!("a filter such as zigbee2mqtt/+/state or sensors/#, found {:?}", self.filter));
        }
        if record::Topic::parse(&self.topic).is_err() {
            return Some(format!("the name of a topic, such as events, found {:?}", self.topic));
        }
        let is_field = |field: &String| {
            (1..=FIELD_BYTES_MAX).contains(&field.len()) && field != "record_id" && !field.contains(|letter: char| letter.is_control())
        };
        let wrong = self.topic_field.as_ref().filter(|field| !is_field(field))?;
        Some(format!("a topic_field of 1 to {FIELD_BYTES_MAX} bytes other than record_id, found {wrong:?}"))
    }
}

/// A topic of ours, and what is written into its records.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) topic: Arc<str>,
    field: Option<String>,
}

/// Why nothing of a payload can be stored. It is told as one rejection for the whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A word for programs.
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

/// All names that are taken.
#[derive(Debug)]
pub(crate) struct Topics {
    ours: Vec<Arc<Target>>,
    mapped: Vec<(String, Arc<Target>)>,
}

impl Topics {
    /// # Errors
    /// `Invalid` for a mapping that is wrong by itself, or to a topic that is not taken here.
    pub(crate) fn new(ingest: &Ingest, mappings: &[Mapping]) -> Result<Self> {
        let ours: Vec<_> = ingest.topics().map(|topic| Arc::new(Target { topic: topic.into(), field: None })).collect();
        let mapped = mappings.iter().map(|mapping| {
            if let Some(expected) = mapping.wrong() {
                return Err(Error::invalid("a mapping of MQTT topics cannot be used").with("expected", expected));
            }
            let known = ours.iter().find(|target| *target.topic == mapping.topic);
            let unknown = || Error::invalid("a mapping of MQTT topics names a topic that is not taken here").with("topic", &mapping.topic);
            let target = Target { topic: Arc::clone(&known.ok_or_else(unknown)?.topic), field: mapping.topic_field.clone() };
            Ok((mapping.filter.clone(), Arc::new(target)))
        });
        Ok(Self { mapped: mapped.collect::<Result<_>>()?, ours })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Target>> {
        let bare = name.strip_prefix(PREFIX).unwrap_or(name);
        let ours = self.ours.iter().find(|target| &*target.topic == bare);
        ours.or_else(|| self.mapped.iter().find(|(filter, _)| matches(filter, name)).map(|(_, target)| target))
    }
}

/// Whether a name matches a filter (MQTT 5 sections 4.7.1 and 4.7.2).
fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = name.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

impl Target {
    /// The records of a payload; at least one item. Where nothing of it can be stored, the one item is the rejection of the whole.
    pub(crate) fn items(&self, name: &str, payload: &Bytes, caps: &Caps) -> (Vec<Item>, Option<Refusal>) {
        let found = http::items(payload, Form::Unsaid, caps);
        let found = found.map_err(|problem| Refusal { code: problem.code(), detail: problem.detail().to_owned() });
        match found.and_then(|items| self.with_field(name, payload.len(), items, caps)) {
            Ok(items) => (items, None),
            Err(refusal) => {
                let tag = if refusal.code == "no_record" { RejectionTag::NotJson } else { RejectionTag::TooLarge };
                (vec![Err(Unreadable::new(Rejection::new(tag, refusal.detail.clone()), payload.clone()))], Some(refusal))
            }
        }
    }

    /// The same records with the name in the mapping's field. The name may be long and the records many: all together stay under the cap.
    fn with_field(&self, name: &str, payload_bytes: usize, items: Vec<Item>, caps: &Caps) -> Result<Vec<Item>, Refusal> {
        let Some(field) = &self.field else { return Ok(items) };
        let text = |text: &str| serde_json::to_string(text).expect("text can be written as JSON");
        let member = format!("{}:{}", text(field), text(name));
        if payload_bytes + items.len() * (member.len() + 1) > caps.body_bytes_max {
            let detail = format!("with the topic's name in each of them the records have more than {} bytes", caps.body_bytes_max);
            return Err(Refusal { code: "body_too_large", detail });
        }
        Ok(items.into_iter().map(|item| item.and_then(|item| with_member(&item, field, &member, caps))).collect())
    }
}

fn with_member(item: &RawItem, field: &str, member: &str, caps: &Caps) -> Item {
    let object = item.payload();
    let names: Names = serde_json::from_slice(object).expect("a record is a JSON object");
    if names.0.iter().any(|name| name == field) {
        let pointer = format!("/{}", field.replace('~', "~0").replace('/', "~1"));
        let rejection = Rejection::new(RejectionTag::ForgedField, "this field gets MQTT's topic name: leave it out").at(pointer);
        return Err(Unreadable::new(rejection, object.clone()));
    }
    let comma: &[u8] = if names.0.is_empty() { b"" } else { b"," };
    RawItem::parse([b"{", member.as_bytes(), comma, &object[1..]].concat().into(), 0, caps)
}

/// The names of an object's fields.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Names;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = fields.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        reader.deserialize_map(Fields)
    }
}
