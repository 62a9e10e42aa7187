//! When a word has enough answers, and how unsure its verdict is. Task selection asks both after each answer.

use crate::words::Verdict;

/// When to stop.
#[derive(Clone, Debug)]
pub struct StopConfig {
    /// Posterior of the likeliest text from which on a word is decided, 0 to 1.
    pub level: f64,
    /// No word is decided with fewer answers.
    pub answers_min: u32,
    /// No word gets more answers.
    pub answers_max: u32,
}

impl Default for StopConfig {
    fn default() -> Self {
        Self { level: 0.995, answers_min: 2, answers_max: 20 }
    }
}

/// Whether a word wants more answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It wants more.
    Open,
    /// The verdict is sure enough.
    Decided,
    /// As many answers as a word gets, and not sure.
    Capped,
}

/// Weight of *unreadable* and *not one word* from which on more answers are no use.
const REFUSED: f64 = 0.8;
/// The answers that this takes. *Not one word* is also said of several words, and somebody may type them.
const UNREADABLE_ANSWERS_MIN: u32 = 3;
const REFUSED_ANSWERS_MIN: u32 = 6;

/// Whether a word with this verdict and so many answers is done.
///
/// A word is decided by its likeliest text, or when nearly all weight of enough answers says that there is nothing to read.
pub fn retire(verdict: &Verdict, answers: u32, config: &StopConfig) -> Decision {
    let refused = answers >= UNREADABLE_ANSWERS_MIN && verdict.unreadable >= REFUSED
        || answers >= REFUSED_ANSWERS_MIN && verdict.unreadable + verdict.not_one_word >= REFUSED;
    if answers >= config.answers_min.max(1) && (verdict.decided() >= config.level || refused) {
        Decision::Decided
    } else if answers >= config.answers_max {
        Decision::Capped
    } else {
        Decision::Open
    }
}

/// How unsure a verdict is: one minus the posterior of the likeliest text, 0 (sure) to 1.
pub fn uncertainty(verdict: &Verdict) -> f64 {
    (1.0 - verdict.decided()).clamp(0.0, 1.0)
}
