//! Identities made from content: 128-bit BLAKE3 hashes, printed as 32 hexadecimal digits.

use std::fmt;

use crate::{Error, Result};

/// A 128-bit hash. 2^-64 chance of a collision among four billion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

/// A secret that hashes and signs; 256 bits.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Digest {
    /// The hash of some parts; parts are told apart, so `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn of(parts: &[&[u8]]) -> Self {
        Self::finish(blake3::Hasher::new(), parts)
    }

    /// Reads 32 hexadecimal digits.
    ///
    /// # Errors
    /// `Invalid` when the text is something else.
    pub fn parse(text: &str) -> Result<Self> {
        let mut bytes = [0; 16];
        let wrong = || Error::invalid("not an id of 32 hexadecimal digits").with("found", text.chars().take(80).collect::<String>());
        if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Its first four bytes as a number, where a few may be confused once in four billion times.
    pub fn short(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The hash as a number in [0, 1): a draw that is the same in every process.
    pub fn unit_interval(&self) -> f64 {
        let mut high = [0; 8];
        high.copy_from_slice(&self.0[..8]);
        // 53 bits: what an f64 holds exactly.
        (u64::from_be_bytes(high) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn finish(mut hasher: blake3::Hasher, parts: &[&[u8]]) -> Self {
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Key {
    /// From 32 secret bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, to be kept in a file that only the owner reads.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The keyed hash of some parts: nobody without the key can make it or guess the parts from it.
    pub fn sign(&self, parts: &[&[u8]]) -> Digest {
        Digest::finish(blake3::Hasher::new_keyed(&self.0), parts)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key(secret)")
    }
}
