//! Slips of the thumb: what arrives when a worker types a word on a phone. `worker` passes each typed text through here.

use rand::{Rng, rngs::SmallRng};

use super::confusion::without_accent;

/// The text as typed, with the worker's slips. `slip_rate` (0 to 1) is about the share of typed words that go wrong.
pub(super) fn typed(text: &str, slip_rate: f64, rng: &mut SmallRng) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let slips = |share: f64, rng: &mut SmallRng| rng.random::<f64>() < (slip_rate * share).min(1.0);
    // Accents need a long press, capitals a shift key, punctuation another keyboard: these go first.
    if slips(0.8, rng) {
        chars.iter_mut().for_each(|letter| *letter = without_accent(*letter));
    }
    if slips(0.3, rng) && chars.first().is_some_and(|first| first.is_uppercase()) {
        let lower: Vec<char> = chars[0].to_lowercase().collect();
        chars.splice(0..1, lower);
    }
    if slips(0.5, rng) && chars.len() > 1 && chars.last().is_some_and(|last| last.is_ascii_punctuation()) {
        chars.pop();
    }
    // Long words give more chances; six letters are usual.
    if slips(0.6 * (chars.len() as f64 / 6.0).clamp(0.3, 2.0), rng) && chars.len() > 1 {
        let at = rng.random_range(0..chars.len() - 1);
        match rng.random_range(0..3) {
            0 => chars.swap(at, at + 1),
            1 => drop(chars.remove(at)),
            _ => chars.insert(at, chars[at]),
        }
    }
    chars.into_iter().collect()
}
