//! Which printed text belongs to which word box. Called by `evaluate`, by the crowd simulator and by import for truth that is given.
//!
//! engine's words + true lines → lines that belong together (by place, else by text) → words that belong together, line by line
//!
//! The unit is the engine's word box. What is printed in it is one word, none (the engine saw a word where there is none), several
//! (it missed a space), or a part of one (it saw a space where there is none).

mod lines;
mod place;
mod words;

use crate::{
    convention::Convention,
    page::{Page, Rect},
};

/// What is printed in each of the engine's boxes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alignment {
    /// For each engine word in [`Page::words`] order the printed text, words joined by one space; none where nothing is printed.
    pub truth_of: Vec<Option<String>>,
    /// Printed words that are in no box.
    pub unaligned_printed: Vec<String>,
    /// The true lines in their order, each with the engine's words on it: what CER and WER are counted over.
    pub lines: Vec<LineRun>,
    /// Engine words that are on no true line.
    pub unplaced: Vec<usize>,
}

/// A true line and the engine's words on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineRun {
    /// The true text.
    pub truth: String,
    /// Indexes into [`Page::words`], in the line's order.
    pub words: Vec<usize>,
}

/// A word of the engine, ready to be compared.
#[derive(Clone, Debug)]
pub(crate) struct EngineWord<'p> {
    pub text: &'p str,
    pub rect: Rect,
    /// The engine's own line.
    pub line: usize,
}

/// Aligns true text to the engine's boxes: by place and text where the truth has places, else by text alone.
///
/// The order of lines does not matter, in neither of the two; where the pages' sizes differ, the truth is scaled to the engine's.
/// Texts are compared under the convention; what is returned is as printed.
pub fn align(page: &Page, truth: &Page, convention: &Convention) -> Alignment {
    let engine: Vec<EngineWord<'_>> = page
        .lines
        .iter()
        .enumerate()
        .flat_map(|(line, content)| content.words.iter().map(move |word| EngineWord { text: &word.text, rect: word.rect, line }))
        .collect();
    let printed = place::printed_lines(page, truth);
    let has_places = printed.iter().filter(|line| line.rect.width > 0).count() * 2 > printed.len();
    let on_line = if has_places { place::words_on_lines(&engine, &printed) } else { lines::words_on_lines(&engine, &printed, convention) };
    let mut aligned = Aligned::new(engine.len());
    for (line, on_line) in printed.iter().zip(&on_line.of_line) {
        aligned.line(&engine, line, on_line, convention);
    }
    if has_places {
        aligned.mend_neighbours(&engine, &printed, convention);
    } else {
        aligned.rest(&engine, &printed, &on_line.rest, convention);
    }
    aligned.finish(&engine, &printed)
}

/// A printed line with its words.
#[derive(Clone, Debug, Default)]
pub(crate) struct PrintedLine {
    pub text: String,
    pub rect: Rect,
    pub polygon: Vec<(u32, u32)>,
    pub words: Vec<PrintedWord>,
}

/// A printed word and where about it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct PrintedWord {
    pub text: String,
    /// The middle, pixels from the left; none where the line has no place.
    pub middle_x: Option<f64>,
}

/// Engine words by printed line, and what no line was found for.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnLines {
    pub of_line: Vec<Vec<usize>>,
    pub rest: Vec<usize>,
}

/// The alignment while it grows.
struct Aligned {
    truth_of: Vec<Option<String>>,
    line_of: Vec<Option<usize>>,
    /// Printed words that have no box: line and word.
    open: Vec<(usize, usize)>,
    lines_done: usize,
}

impl Aligned {
    fn new(words: usize) -> Self {
        Self { truth_of: vec![None; words], line_of: vec![None; words], open: Vec::new(), lines_done: 0 }
    }

    fn line(&mut self, engine: &[EngineWord<'_>], line: &PrintedLine, on_line: &[usize], convention: &Convention) {
        let number = self.lines_done;
        self.lines_done += 1;
        for index in on_line {
            self.line_of[*index] = Some(number);
        }
        let places: Vec<(usize, usize)> = (0..line.words.len()).map(|word| (number, word)).collect();
        let printed: Vec<&PrintedWord> = line.words.iter().collect();
        self.run(engine, on_line, (&printed, &places), convention);
    }

    fn run(
        &mut self,
        engine: &[EngineWord<'_>],
        on_line: &[usize],
        printed: (&[&PrintedWord], &[(usize, usize)]),
        convention: &Convention,
    ) {
        let boxes: Vec<&EngineWord<'_>> = on_line.iter().map(|index| &engine[*index]).collect();
        let (printed, places) = printed;
        for group in words::groups(&boxes, printed, convention) {
            if group.engine.is_empty() {
                self.open.extend(&places[group.truth]);
                continue;
            }
            let pieces = words::pieces(&boxes[group.engine.clone()], &printed[group.truth.clone()], convention);
            for (index, piece) in on_line[group.engine].iter().zip(pieces) {
                self.truth_of[*index] = piece;
                if let Some((line, _)) = places.get(group.truth.start).filter(|_| !group.truth.is_empty()) {
                    self.line_of[*index] = Some(*line);
                }
            }
        }
    }

    /// A word that was taken for one on the line above or below, because boxes overlap: its text and place say where it belongs.
    fn mend_neighbours(&mut self, engine: &[EngineWord<'_>], printed: &[PrintedLine], convention: &Convention) {
        let open = std::mem::take(&mut self.open);
        for (line, word) in open {
            let (content, text) = (&printed[line], &printed[line].words[word]);
            let near = |candidate: &EngineWord<'_>| {
                let height = f64::from(candidate.rect.height);
                let middle = f64::from(candidate.rect.x) + f64::from(candidate.rect.width) / 2.0;
                let beside = text.middle_x.is_some_and(|x| (x - middle).abs() < 4.0 * height);
                let gap =
                    content.rect.y.saturating_sub(candidate.rect.bottom()).max(candidate.rect.y.saturating_sub(content.rect.bottom()));
                beside && f64::from(gap) < height
            };
            // A large initial stands on several lines; its own line has nothing but it.
            let fills = |candidate: &EngineWord<'_>| {
                let area = |rect: &Rect| u64::from(rect.width) * u64::from(rect.height);
                let smaller = area(&content.rect).min(area(&candidate.rect));
                content.words.len() == 1
                    && content.rect.overlap_px(&candidate.rect) * 2 > smaller
                    && area(&candidate.rect) * 4 > area(&content.rect)
            };
            let found = (0..engine.len())
                .filter(|index| self.truth_of[*index].is_none())
                .map(|index| (words::likeness(engine[index].text, &text.text, convention), index))
                .filter(|(likeness, index)| (*likeness >= 0.6 && near(&engine[*index])) || fills(&engine[*index]))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            match found {
                Some((_, index)) => {
                    self.truth_of[index] = Some(text.text.clone());
                    self.line_of[index] = Some(line);
                }
                None => self.open.push((line, word)),
            }
        }
    }

    /// What no line was found for, aligned in its order: texts whose lines are not those of the print.
    fn rest(&mut self, engine: &[EngineWord<'_>], printed: &[PrintedLine], rest: &[usize], convention: &Convention) {
        let alone: Vec<usize> = (0..printed.len()).filter(|line| !self.line_of.contains(&Some(*line))).collect();
        let (open, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open).into_iter().partition(|(line, _)| alone.contains(line));
        self.open = kept;
        let words: Vec<&PrintedWord> = open.iter().map(|(line, word)| &printed[*line].words[*word]).collect();
        self.run(engine, rest, (&words, &open), convention);
    }

    fn finish(self, engine: &[EngineWord<'_>], printed: &[PrintedLine]) -> Alignment {
        let mut lines: Vec<LineRun> = printed.iter().map(|line| LineRun { truth: line.text.clone(), words: Vec::new() }).collect();
        let mut unplaced = Vec::new();
        for (index, line) in self.line_of.iter().enumerate() {
            match line {
                Some(line) => lines[*line].words.push(index),
                None => unplaced.push(index),
            }
        }
        for (run, line) in lines.iter_mut().zip(printed) {
            if line.rect.width > 0 {
                run.words.sort_by_key(|index| 2 * engine[*index].rect.x + engine[*index].rect.width);
            }
        }
        let mut open = self.open;
        open.sort_unstable();
        let unaligned_printed = open.into_iter().map(|(line, word)| printed[line].words[word].text.clone()).collect();
        Alignment { truth_of: self.truth_of, unaligned_printed, lines, unplaced }
    }
}

#[cfg(test)]
mod tests;
