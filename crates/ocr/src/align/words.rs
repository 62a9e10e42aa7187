//! Which printed words belong to which of the engine's words on one line, by text and place. Called by `align`.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{EngineWord, PrintedWord};
use crate::{
    convention::Convention,
    distance::{counterparts, distance},
};

/// How many engine words may share how many printed words.
const SIZES: [(usize, usize); 8] = [(1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (2, 3), (3, 2)];

/// Above this number of words on both sides only a band around the diagonal is searched.
const FREE_WORDS: usize = 400;
const BAND_WORDS: usize = 200;

/// How far apart (as [`Table::apart`] counts) an emptied box and a printed word may stand to be one: three characters.
const EMPTIED_APART_MAX: f64 = 0.45;

/// Words that belong together; one of the two is empty where a word has no counterpart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub engine: Range<usize>,
    pub truth: Range<usize>,
}

/// Splits both sides, which are in the same order, into groups with the least cost: characters to change, and a little for words
/// that stand apart, which decides where the engine's text is nothing like the print.
pub(super) fn groups(engine: &[&EngineWord<'_>], printed: &[&PrintedWord], convention: &Convention) -> Vec<Group> {
    Table::new(engine, printed, convention).filled().groups()
}

struct Table<'a> {
    engine: &'a [&'a EngineWord<'a>],
    printed: &'a [&'a PrintedWord],
    /// Text of the 1, 2 and 3 words that end before an index.
    engine_texts: Vec<[Vec<char>; 3]>,
    printed_texts: Vec<[Vec<char>; 3]>,
    character_px: f64,
    cells: Cells,
}

/// The cells of the band: what is outside of it takes no memory.
struct Cells {
    /// For each row its first column and where its cells begin.
    rows: Vec<(usize, usize)>,
    costs: Vec<f64>,
    steps: Vec<(u8, u8)>,
}

impl Cells {
    fn new(rows: usize, columns: usize) -> Self {
        let mut cells = 0;
        let starts = (0..=rows).map(|row| {
            let (first, last) = band(row, rows, columns);
            let start = cells;
            cells += last + 1 - first;
            (first, start)
        });
        let rows = starts.collect();
        Self { rows, costs: vec![f64::INFINITY; cells], steps: vec![(0, 0); cells] }
    }

    /// Where a cell is; none when it is outside of the band.
    fn at(&self, i: usize, j: usize) -> Option<usize> {
        let (first, start) = self.rows[i];
        let end = self.rows.get(i + 1).map_or(self.costs.len(), |(_, next)| *next);
        j.checked_sub(first).map(|offset| start + offset).filter(|cell| *cell < end)
    }

    fn cost(&self, i: usize, j: usize) -> f64 {
        self.at(i, j).map_or(f64::INFINITY, |cell| self.costs[cell])
    }
}

impl<'a> Table<'a> {
    fn new(engine: &'a [&'a EngineWord<'a>], printed: &'a [&'a PrintedWord], convention: &Convention) -> Self {
        let engine_words: Vec<&str> = engine.iter().map(|word| word.text).collect();
        let printed_words: Vec<&str> = printed.iter().map(|word| word.text.as_str()).collect();
        let with_text = engine.iter().filter(|word| !word.text.is_empty());
        let (pixels, characters) = with_text.fold((0, 1), |(px, n), word| (px + word.rect.width, n + word.text.chars().count() as u32));
        Self {
            engine,
            printed,
            engine_texts: joined(&engine_words, convention),
            printed_texts: joined(&printed_words, convention),
            character_px: (f64::from(pixels) / f64::from(characters)).max(1.0),
            cells: Cells::new(engine.len(), printed.len()),
        }
    }

    fn filled(mut self) -> Self {
        let (rows, columns) = (self.engine.len(), self.printed.len());
        self.cells.costs[0] = 0.0;
        for i in 0..=rows {
            let (first, last) = band(i, rows, columns);
            for j in first..=last {
                if i > 0 {
                    let cost = if self.is_emptied(i - 1..i) { 0.0 } else { gap(&self.engine_texts[i][0]) };
                    self.offer(i, j, (1, 0), cost);
                }
                if j > 0 {
                    self.offer(i, j, (0, 1), gap(&self.printed_texts[j][0]));
                }
                for (m, n) in SIZES {
                    if m <= i && n <= j {
                        self.offer_group(i, j, (m, n));
                    }
                }
            }
        }
        self
    }

    fn offer_group(&mut self, i: usize, j: usize, (m, n): (usize, usize)) {
        let (ours, theirs) = (&self.engine_texts[i][m - 1], &self.printed_texts[j][n - 1]);
        let apart = self.apart(i - m..i, j - n..j);
        let emptied = self.is_emptied(i - m..i);
        if emptied && self.printed[j - 1].middle_x.is_none() {
            return;
        }
        // A box without text costs nothing alone. It holds a word only where the word stands and has no other box.
        let extra = 0.3 * (m + n - 2) as f64 + apart - if emptied { EMPTIED_APART_MAX } else { 0.0 };
        let before = self.cells.cost(i - m, j - n);
        let least = ours.len().abs_diff(theirs.len()) as f64 + extra;
        if before + least < self.cells.cost(i, j) {
            let cost = distance(ours, theirs) as f64 + extra;
            self.offer(i, j, (m, n), cost);
        }
    }

    fn offer(&mut self, i: usize, j: usize, step: (usize, usize), cost: f64) {
        let cost = self.cells.cost(i - step.0, j - step.1) + cost;
        let cell = self.cells.at(i, j).expect("only cells of the band are filled");
        if cost < self.cells.costs[cell] {
            self.cells.costs[cell] = cost;
            self.cells.steps[cell] = (step.0 as u8, step.1 as u8);
        }
    }

    /// Whether none of these boxes has a text: people found nothing printed there.
    fn is_emptied(&self, engine: Range<usize>) -> bool {
        self.engine[engine].iter().all(|word| word.text.is_empty())
    }

    /// 0.15 for each character's width between the middles, at most 2.
    fn apart(&self, engine: Range<usize>, printed: Range<usize>) -> f64 {
        let (first, last) = (&self.engine[engine.start].rect, &self.engine[engine.end - 1].rect);
        let ours = f64::midpoint(f64::from(first.x), f64::from(last.right()));
        let ends = self.printed[printed.start].middle_x.zip(self.printed[printed.end - 1].middle_x);
        ends.map_or(0.0, |(a, b)| (0.15 * (f64::midpoint(a, b) - ours).abs() / self.character_px).min(2.0))
    }

    fn groups(&self) -> Vec<Group> {
        let (mut i, mut j) = (self.engine.len(), self.printed.len());
        let mut groups = Vec::new();
        while i > 0 || j > 0 {
            let (m, n) = self.cells.at(i, j).map_or((0, 0), |cell| self.cells.steps[cell]);
            assert!(m > 0 || n > 0, "a cell within the band was not reached");
            let (to_i, to_j) = (i - usize::from(m), j - usize::from(n));
            groups.push(Group { engine: to_i..i, truth: to_j..j });
            (i, j) = (to_i, to_j);
        }
        groups.reverse();
        groups
    }
}

/// A word without a counterpart costs its characters, so that a wrong reading is rather taken for one than for a word more and a word less.
fn gap(text: &[char]) -> f64 {
    text.len().max(1) as f64
}

/// The columns of a row that are searched; rows overlap, and the ends are within.
fn band(row: usize, rows: usize, columns: usize) -> (usize, usize) {
    if rows.max(columns) <= FREE_WORDS {
        return (0, columns);
    }
    let reach = BAND_WORDS + columns / rows.max(1);
    let middle = (row * columns).checked_div(rows).unwrap_or(columns);
    if rows == 0 { (0, columns) } else { (middle.saturating_sub(reach), (middle + reach).min(columns)) }
}

fn joined(words: &[&str], convention: &Convention) -> Vec<[Vec<char>; 3]> {
    let text = |from: usize, to: usize| -> Vec<char> { convention.apply(&words[from..to].join(" ")).chars().collect() };
    (0..=words.len()).map(|end| [1, 2, 3].map(|count| if count <= end { text(end - count, end) } else { Vec::new() })).collect()
}

/// How many cells are kept for so many words on both sides.
#[cfg(test)]
pub(super) fn cells_of(engine: usize, printed: usize) -> usize {
    Cells::new(engine, printed).costs.len()
}

/// What is printed in each box of a group. Of several boxes each gets its characters.
pub(super) fn pieces(engine: &[&EngineWord<'_>], printed: &[&PrintedWord], convention: &Convention) -> Vec<Option<String>> {
    let truth = printed.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    if engine.len() == 1 || truth.is_empty() {
        return engine.iter().map(|_| Some(truth.clone()).filter(|truth| !truth.is_empty())).collect();
    }
    let text = engine.iter().map(|word| word.text).collect::<Vec<_>>().join(" ");
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (text.graphemes(true).collect(), truth.graphemes(true).collect());
    let mut box_of = Vec::with_capacity(ours.len());
    for (index, word) in engine.iter().enumerate() {
        box_of.resize(box_of.len() + word.text.graphemes(true).count() + 1, index); // a space belongs to the word before it
    }
    let against = counterparts(&ours, &theirs, |a, b| convention.equal(a, b));
    let mut found = vec![String::new(); engine.len()];
    let mut current = 0;
    for (grapheme, counterpart) in theirs.iter().zip(against) {
        current = counterpart.map_or(current, |index| box_of[index]).max(current);
        found[current].push_str(grapheme);
    }
    found.into_iter().map(|piece| Some(piece.trim().to_owned()).filter(|piece| !piece.is_empty())).collect()
}

/// 1 for equal texts, 0 for texts with nothing in common.
pub(super) fn likeness(a: &str, b: &str, convention: &Convention) -> f64 {
    let (a, b): (Vec<char>, Vec<char>) = (convention.apply(a).chars().collect(), convention.apply(b).chars().collect());
    1.0 - distance(&a, &b) as f64 / a.len().max(b.len()).max(1) as f64
}
