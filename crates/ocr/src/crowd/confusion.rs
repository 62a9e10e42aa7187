//! What looks alike in old print: how easily an error in the shown text is overlooked, and what a word is misread as.
//!
//! The pairs are those that readers of printed books mix up: worn or broken types (c/e, u/n, rn/m), long s and f, accents and
//! dots that specks imitate, commas and full stops. `word` asks here; nothing here knows of workers.

use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Print that is mixed up, in both directions.
const LOOKALIKES: &[(&str, &str)] = &[
    ("u", "n"),
    ("c", "e"),
    ("f", "s"),
    ("ſ", "f"),
    ("i", "l"),
    ("l", "t"),
    ("l", "1"),
    ("l", "I"),
    ("I", "1"),
    ("i", "j"),
    ("h", "b"),
    ("o", "c"),
    ("o", "0"),
    ("O", "0"),
    ("O", "Q"),
    ("v", "y"),
    ("u", "v"),
    ("a", "o"),
    ("r", "x"),
    ("k", "t"),
    ("B", "V"),
    ("N", "R"),
    ("C", "E"),
    ("G", "S"),
    ("S", "5"),
    ("3", "8"),
    ("1", "7"),
    ("B", "8"),
    ("n", "ñ"),
    ("i", "í"),
    ("a", "á"),
    ("e", "é"),
    ("o", "ó"),
    ("u", "ú"),
    ("a", "ä"),
    ("o", "ö"),
    ("u", "ü"),
    (".", ","),
    (";", ":"),
    (":", "."),
    (";", ","),
    ("!", "l"),
    ("'", "’"),
    ("-", "—"),
    ("rn", "m"),
    ("ni", "m"),
    ("in", "m"),
    ("ri", "n"),
    ("cl", "d"),
    ("ii", "u"),
    ("vv", "w"),
    ("li", "h"),
    ("ck", "d"),
];

/// The cost of a pair that looks alike, where a plainly different letter costs 1.
const LOOKALIKE_COST: f64 = 0.3;
/// More of a word than this is not compared: one glance does not hold more.
const CHARS_COMPARED_MAX: usize = 64;

/// How much the shown text visibly differs from the printed one: 0 for equal, .3 for one look-alike, about 1 for each plain difference.
pub(super) fn visible_difference(shown: &str, printed: &str) -> f64 {
    let shown: Vec<char> = shown.chars().take(CHARS_COMPARED_MAX).collect();
    let printed: Vec<char> = printed.chars().take(CHARS_COMPARED_MAX).collect();
    let mut cost = vec![vec![f64::INFINITY; printed.len() + 1]; shown.len() + 1];
    for row in 0..=shown.len() {
        for column in 0..=printed.len() {
            let mut best = if row == 0 && column == 0 { 0.0 } else { f64::INFINITY };
            for (taken, given) in [(1, 1), (1, 0), (0, 1), (1, 2), (2, 1)] {
                if taken <= row && given <= column {
                    let step = step_cost(&shown[row - taken..row], &printed[column - given..column]);
                    best = best.min(cost[row - taken][column - given] + step);
                }
            }
            cost[row][column] = best;
        }
    }
    cost[shown.len()][printed.len()]
}

/// The cost of seeing `printed` where `shown` stands; each is at most two letters.
fn step_cost(shown: &[char], printed: &[char]) -> f64 {
    match (shown, printed) {
        ([left], [right]) if left == right => 0.0,
        ([left], [right]) if without_accent(*left) == without_accent(*right) => LOOKALIKE_COST,
        ([left], [right]) if left.to_lowercase().eq(right.to_lowercase()) => 0.5,
        ([only], []) | ([], [only]) => {
            if only.is_alphanumeric() {
                1.0
            } else {
                0.4
            }
        }
        (left, right) => {
            let (left, right) = (left.iter().collect::<String>(), right.iter().collect::<String>());
            let alike = LOOKALIKES.iter().any(|&(one, other)| (one == left && other == right) || (one == right && other == left));
            match (alike, left.chars().count() == right.chars().count()) {
                (true, _) => LOOKALIKE_COST,
                (false, true) => 1.0,
                (false, false) => f64::INFINITY,
            }
        }
    }
}

/// The letter without its accents: `í` is `i`.
pub(super) fn without_accent(letter: char) -> char {
    std::iter::once(letter).nfd().find(|part| !is_combining_mark(*part)).unwrap_or(letter)
}

/// A plausible misreading: one place replaced by what looks alike there. None where nothing does.
pub(super) fn misreading(printed: &str, rng: &mut SmallRng) -> Option<String> {
    let mut places: Vec<(usize, &str, &str)> = Vec::new();
    for &(one, other) in LOOKALIKES {
        for (from, to) in [(one, other), (other, one)] {
            places.extend(printed.match_indices(from).map(|(at, _)| (at, from, to)));
        }
    }
    let &(at, from, to) = places.choose(rng)?;
    Some(format!("{}{to}{}", &printed[..at], &printed[at + from.len()..]))
}

/// Text spoiled without looking at any print: one letter replaced, or one added to a text without letters.
pub(super) fn garbled(text: &str, rng: &mut SmallRng) -> String {
    const LETTERS: &[u8] = b"aeiostrnlm";
    let mut chars: Vec<char> = text.chars().collect();
    let letters: Vec<usize> = (0..chars.len()).filter(|&at| chars[at].is_alphabetic()).collect();
    let at = letters.choose(rng).copied();
    let offset = rng.random_range(0..LETTERS.len());
    match at {
        Some(at) => {
            let other =
                (0..LETTERS.len()).map(|step| char::from(LETTERS[(offset + step) % LETTERS.len()])).find(|other| *other != chars[at]);
            chars[at] = other.unwrap_or('x');
        }
        None => chars.push(char::from(LETTERS[offset])),
    }
    chars.into_iter().collect()
}
