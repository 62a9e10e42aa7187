//! A topic's name: the first word of a path, a cursor and a folder, hence checked once, here.

use std::{fmt, sync::Arc};

use crate::{Error, Result};

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
