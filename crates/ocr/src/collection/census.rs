//! Which words belong to the census share: drawn by a hash that is keyed, so that every process draws the same and nobody without the
//! collection's folder can tell which words are in it.

use std::fmt;

use record::{Digest, Error, Key, Result};
use serde::{Deserialize, Serialize};

use super::Settings;

/// What the draw is keyed with: 32 random bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CensusKey([u8; 32]);

impl CensusKey {
    /// A new key.
    ///
    /// # Errors
    /// `Unavailable` when the system has no randomness to give.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| Error::unavailable("no randomness from the system").because(error))?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for CensusKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CensusKey(secret)")
    }
}

/// Whether a place belongs to the census share.
pub(super) fn includes(settings: &Settings, task: &Digest) -> bool {
    let parts = [b"census", task.as_bytes().as_slice()];
    let draw = match &settings.census_key {
        Some(CensusKey(key)) => Key::from_bytes(*key).sign(&parts),
        None => Digest::of(&parts),
    };
    draw.unit_interval() < settings.census_share
}

#[cfg(test)]
mod tests;
