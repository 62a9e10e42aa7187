//! Which of the engine's lines is which printed line, by text alone: true text without places. Called by `align`.

use std::collections::{BTreeMap, HashMap};

use super::{EngineWord, OnLines, PrintedLine};
use crate::convention::Convention;

/// Two lines with fewer pairs of characters in common than this share are not taken for the same.
const LIKENESS_MIN: f64 = 0.5;

/// Finds the printed line for each of the engine's lines, the most alike first; the words of the others are left to be aligned in order.
pub(super) fn words_on_lines(engine: &[EngineWord<'_>], printed: &[PrintedLine], convention: &Convention) -> OnLines {
    let mut ours: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, word) in engine.iter().enumerate() {
        ours.entry(word.line).or_default().push(index);
    }
    let text = |words: &Vec<usize>| words.iter().map(|index| engine[*index].text).collect::<Vec<_>>().join(" ");
    let our_pairs: Vec<(usize, Pairs)> = ours.iter().map(|(line, words)| (*line, Pairs::of(&text(words), convention))).collect();
    let mut likely = Vec::new();
    for (number, line) in printed.iter().enumerate() {
        let pairs = Pairs::of(&line.text, convention);
        for (line, our_pairs) in &our_pairs {
            let likeness = pairs.likeness(our_pairs);
            if likeness >= LIKENESS_MIN {
                likely.push((likeness, number, *line));
            }
        }
    }
    // Of equally like lines those in like order first.
    likely.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
    let mut found = OnLines { of_line: vec![Vec::new(); printed.len()], rest: Vec::new() };
    for (_, number, line) in likely {
        if found.of_line[number].is_empty()
            && let Some(words) = ours.remove(&line)
        {
            found.of_line[number] = words;
        }
    }
    found.rest = ours.into_values().flatten().collect();
    found
}

/// A text's pairs of neighbouring characters, with their numbers.
struct Pairs {
    counts: HashMap<(char, char), u32>,
    all: u32,
}

impl Pairs {
    fn of(text: &str, convention: &Convention) -> Self {
        let characters: Vec<char> = convention.apply(text).chars().filter(|character| !character.is_whitespace()).collect();
        let mut counts = HashMap::new();
        // The ends count as characters, so that a single letter has pairs too.
        let ends = std::iter::once('\0').chain(characters.iter().copied()).zip(characters.iter().copied().chain(std::iter::once('\0')));
        let mut all = 0;
        for pair in ends {
            *counts.entry(pair).or_default() += 1;
            all += 1;
        }
        Self { counts, all }
    }

    /// Twice the pairs in common over all pairs (Dice 1945).
    fn likeness(&self, other: &Self) -> f64 {
        if self.all.min(other.all) * 3 < self.all.max(other.all) {
            return 0.0; // at most 0.5
        }
        let shared: u32 = self.counts.iter().filter_map(|(pair, count)| other.counts.get(pair).map(|other| count.min(other))).sum();
        2.0 * f64::from(shared) / f64::from(self.all + other.all)
    }
}
