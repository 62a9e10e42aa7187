//! Randomness that depends on nothing but the seed and what it is for, so that a worker's answer to a reading is the same
//! in every run, whatever the order in which a server hands out the tasks. All of the crowd draws through here.

use rand::{SeedableRng, rngs::SmallRng};
use record::Digest;

/// A generator of its own for each purpose and set of names.
pub(super) fn rng(seed: u64, purpose: &str, names: &[&[u8]]) -> SmallRng {
    SmallRng::seed_from_u64((unit(seed, purpose, names) * (1_u64 << 53) as f64) as u64)
}

/// A number in [0, 1) for a purpose and a set of names.
pub(super) fn unit(seed: u64, purpose: &str, names: &[&[u8]]) -> f64 {
    let seed = seed.to_le_bytes();
    let mut parts: Vec<&[u8]> = vec![b"crowd", &seed, purpose.as_bytes()];
    parts.extend_from_slice(names);
    Digest::of(&parts).unit_interval()
}
