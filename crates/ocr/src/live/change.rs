//! What a typed text changes of the one that was shown, as numbers that the inference learns from. Called by `collection`.

use record::Digest;

/// Letters on either side of a change at most: more is not one change.
const LETTERS_MAX: usize = 2;

/// The number of what turns one text into the other, such as f to s, wherever in the word that is; 0 for more than one change.
pub(super) fn number(shown: &str, typed: &str) -> u32 {
    let (shown, typed): (Vec<char>, Vec<char>) = (shown.chars().collect(), typed.chars().collect());
    let before = shown.iter().zip(&typed).take_while(|(a, b)| a == b).count();
    let (shown, typed) = (&shown[before..], &typed[before..]);
    let after = shown.iter().rev().zip(typed.iter().rev()).take_while(|(a, b)| a == b).count();
    let (from, to) = (&shown[..shown.len() - after], &typed[..typed.len() - after]);
    if from.len().max(to.len()) > LETTERS_MAX {
        return 0;
    }
    hash(&[from.iter().collect::<String>().as_bytes(), to.iter().collect::<String>().as_bytes()])
}

/// The letters and marks of a text as numbers, each once.
pub(super) fn letters(text: &str) -> Vec<u32> {
    let mut letters: Vec<u32> = text.chars().map(|letter| hash(&[letter.to_string().as_bytes()])).collect();
    letters.sort_unstable();
    letters.dedup();
    letters
}

/// Never 0.
fn hash(parts: &[&[u8]]) -> u32 {
    Digest::of(parts).short().max(1)
}

#[cfg(test)]
mod tests;
