//! A topic's name: the first word of a path, a cursor and a folder, hence checked once, here.

use std::{fmt, sync::Arc};

use crate::{Error, Result};

/// Names of tables and views that are not topics' tables: no topic may be called so.
const RESERVED: [&str; 9] = ["dead_letters", "pages", "tasks", "words", "readings", "verdicts", "workers", "accuracy", "collections"];

/// The longest name of a topic, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name of a topic: 1 to 64 of `a-z 0-9 _ -`, beginning with a letter. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks a name.
    ///
    /// # Errors
    /// `Invalid` when the name is empty, too long, or has another character.
    pub fn parse(name: &str) -> Result<Self> {
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-');
        let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !plain || !begins_well || name.len() > NAME_BYTES_MAX {
            let shown: String = name.chars().take(80).collect();
            return Err(Error::invalid("a topic's name is 1 to 64 of a-z, 0-9, _ and -, beginning with a letter")
                .with("found", format_args!("{shown:?}")));
        }
        Ok(Self(name.into()))
    }

    /// The built-in topic of the crowd's answers.
    pub fn answers() -> Self {
        Self("answers".into())
    }

    /// The built-in topic of any JSON object.
    pub fn events() -> Self {
        Self("events".into())
    }

    /// The queue's own topic of records that a door rejected, each a [`Letter`](crate::Letter). Nobody sends to it.
    pub fn dead_letters() -> Self {
        Self("dead_letters".into())
    }

    /// Whether a table or view of ours has this name, so that no topic can be declared under it.
    pub fn is_reserved(&self) -> bool {
        RESERVED.contains(&self.as_str())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
