//! The topics of the settings, as the doors and the loader want them.

use std::{path::Path, sync::Arc};

use collector::{
    api::{Described, Entry},
    ingest::Entrance,
    json_schema::JsonSchema,
};
use record::{AcceptAnyObject, Error, Result, Topic, TopicSchema, Validator};

use crate::settings::{self, Settings};

/// The largest file of a JSON Schema that is read, in bytes.
const SCHEMA_BYTES_MAX: u64 = 1 << 20;

/// A topic: what its table looks like, and how its records come in.
pub struct Declared {
    /// Its table.
    pub schema: TopicSchema,
    json_schema: Option<JsonSchema>,
    /// Whether anybody may write to it.
    pub is_open: bool,
}

impl Declared {
    /// As the API's document has it.
    pub fn described(&self) -> Described {
        Described {
            name: self.schema.topic.to_string(),
            details: String::new(),
            entry: if self.is_open { Entry::Anybody } else { Entry::Token },
            json_schema: self.json_schema.as_ref().map(|json_schema| json_schema.source().clone()),
            record_bytes_max: self.schema.payload_bytes_max,
        }
    }

    /// What its records have to pass at a door.
    pub fn entrance(self) -> Entrance {
        let entrance = Entrance::open(self.schema, Arc::new(AcceptAnyObject));
        let entrance = match self.json_schema {
            Some(json_schema) => entrance.with_json_schema(json_schema),
            None => entrance,
        };
        if self.is_open { entrance } else { entrance.with_tokens_only() }
    }
}

/// Reads the topics of the settings, their JSON Schemas with them.
///
/// # Errors
/// `Invalid` names the topic and the file of a schema that cannot be used, and says what to mend.
pub fn declared(settings: &Settings) -> Result<Vec<Declared>> {
    settings.topics.iter().map(|(name, topic)| read(name, topic)).collect()
}

fn read(name: &str, asked: &settings::Topic) -> Result<Declared> {
    let topic = Topic::parse(name)?;
    let json_schema = match &asked.schema {
        None => None,
        Some(path) => {
            let path = path.relative();
            let read = read_schema(&path).and_then(|text| JsonSchema::parse(&text));
            Some(read.map_err(|error| {
                Error::new(error.kind(), "a topic cannot be used for its schema")
                    .with("topic", name)
                    .with("file", path.display())
                    .because(error)
            })?)
        }
    };
    let columns = json_schema.as_ref().map(|json_schema| json_schema.columns().to_vec()).unwrap_or_default();
    let schema = TopicSchema { topic, columns, payload_bytes_max: asked.record_bytes_max };
    Ok(Declared { schema, json_schema, is_open: asked.open })
}

fn read_schema(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| Error::invalid("the file cannot be read").because(error);
    if std::fs::metadata(path).map_err(failed)?.len() > SCHEMA_BYTES_MAX {
        return Err(Error::invalid(format!("a JSON Schema has at most {SCHEMA_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// All topics as the API's document has them.
pub fn described(declared: &[Declared]) -> Vec<Described> {
    let answers = Described {
        name: TopicSchema::answers().topic.to_string(),
        details: "An answer needs the worker's secret and the task's lease; others are rejected one by one.".to_owned(),
        entry: Entry::Worker,
        json_schema: Some(ocr::answer::json_schema()),
        record_bytes_max: TopicSchema::answers().payload_bytes_max,
    };
    [answers].into_iter().chain(declared.iter().map(Declared::described)).collect()
}

/// The entrances of all topics: the crowd's answers with their own validator, then the declared ones.
pub fn entrances(answers: Arc<dyn Validator>, declared: Vec<Declared>) -> Vec<Entrance> {
    let answers = Entrance::open(TopicSchema::answers(), answers);
    [answers].into_iter().chain(declared.into_iter().map(Declared::entrance)).collect()
}
