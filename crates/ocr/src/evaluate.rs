//! How good an engine's reading is against true text: what `crowdread evaluate OCR TRUTH` prints, and the reports' known truth.
//!
//! Three figures that are never mixed: words right over boxes; printed words without a box; CER and WER of running text.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::{
    align::{Alignment, align},
    convention::Convention,
    distance::distance,
    page::{Line, Page, Word},
};

/// Counts for one page, or summed over pages: shares are always of sums, so that a page counts by its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageFigures {
    /// Boxes of the engine; none where the file has no boxes but only running text.
    pub boxes: Option<u64>,
    /// Of these, boxes whose text equals what is printed in them; of an emptied box, boxes with nothing printed in them.
    pub boxes_right: Option<u64>,
    /// Printed words, as the convention has them.
    pub printed_words: u64,
    /// Of these, words that are in no box; none where the file has no boxes.
    pub printed_without_box: Option<u64>,
    /// Grapheme clusters of the true text, spaces between words included.
    pub characters: u64,
    /// Grapheme clusters to insert, delete or substitute, line by line.
    pub character_errors: u64,
    /// Words to insert, delete or substitute, line by line.
    pub word_errors: u64,
}

/// The figures of a named page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageRow {
    /// What people call the page.
    pub page: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: PageFigures,
    /// `character_errors / characters`.
    pub cer: Option<f64>,
    /// `word_errors / printed_words`.
    pub wer: Option<f64>,
    /// `boxes_right / boxes`.
    pub accuracy: Option<f64>,
}

/// Figures page by page and in all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The convention under which texts were compared.
    pub convention: String,
    /// One for each page.
    pub pages: Vec<PageRow>,
    /// All pages, weighted by length.
    pub all: PageRow,
}

impl PageFigures {
    /// The share of boxes that are right; none without boxes.
    pub fn accuracy(&self) -> Option<f64> {
        share(self.boxes_right?, self.boxes?)
    }

    /// Character error rate; may be above 1.
    pub fn cer(&self) -> Option<f64> {
        share(self.character_errors, self.characters)
    }

    /// Word error rate; may be above 1.
    pub fn wer(&self) -> Option<f64> {
        share(self.word_errors, self.printed_words)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            boxes: sum(self.boxes, other.boxes),
            boxes_right: sum(self.boxes_right, other.boxes_right),
            printed_words: self.printed_words + other.printed_words,
            printed_without_box: sum(self.printed_without_box, other.printed_without_box),
            characters: self.characters + other.characters,
            character_errors: self.character_errors + other.character_errors,
            word_errors: self.word_errors + other.word_errors,
        }
    }
}

/// What neither side counts stays uncounted.
fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.zip(b).map(|(a, b)| a + b).or(a).or(b)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Compares a page with its true text. Words without text are boxes in which nothing is said to be printed.
///
/// CER and WER are counted over each true line and the engine's words on it, so the order in which either file has its lines changes
/// nothing. A true line that the engine missed counts as deleted, words of the engine that are on no true line as inserted.
///
/// Of a page that has lines but no word boxes, such as plain text, only the running text is compared: it has no boxes to count.
pub fn evaluate(ocr: &Page, truth: &Page, convention: &Convention) -> PageFigures {
    let is_text = !ocr.has_word_boxes() && (ocr.width == 0 || !ocr.lines.is_empty());
    if !is_text {
        return figures(ocr, &align(ocr, truth, convention), convention);
    }
    let (ocr, truth) = (by_words(ocr), without_places(truth));
    let found = figures(&ocr, &align(&ocr, &truth, convention), convention);
    PageFigures { boxes: None, boxes_right: None, printed_without_box: None, ..found }
}

/// The page's lines of text as words that are nowhere.
fn by_words(page: &Page) -> Page {
    let word = |text: &str| Word { text: text.to_owned(), ..Word::default() };
    let words = |line: &Line| line.text_or_words().split_whitespace().map(word).collect();
    Page { lines: page.lines.iter().map(|line| Line { words: words(line), ..Line::default() }).collect(), ..Page::default() }
}

/// The page's text alone, line by line.
pub(crate) fn without_places(page: &Page) -> Page {
    let text = |line: &Line| Line { text: Some(line.text_or_words().into_owned()), ..Line::default() };
    Page { lines: page.lines.iter().map(text).collect(), ..Page::default() }
}

/// The same for a page that is aligned already.
pub fn figures(ocr: &Page, alignment: &Alignment, convention: &Convention) -> PageFigures {
    let words: Vec<&str> = ocr.words().map(|word| word.text.as_str()).collect();
    assert_eq!(words.len(), alignment.truth_of.len(), "the alignment is of another page");
    let right = |(word, truth): &(&&str, &Option<String>)| match truth {
        Some(truth) => convention.equal(word, truth),
        None => word.is_empty(),
    };
    let mut found = PageFigures {
        boxes: Some(words.len() as u64),
        boxes_right: Some(words.iter().zip(&alignment.truth_of).filter(right).count() as u64),
        printed_without_box: Some(alignment.unaligned_printed.len() as u64),
        ..PageFigures::default()
    };
    for line in &alignment.lines {
        let text = line.words.iter().map(|index| words[*index]).collect::<Vec<_>>().join(" ");
        found = found.plus(line_figures(&convention.apply(&text), &convention.apply(&line.truth)));
    }
    for index in &alignment.unplaced {
        found = found.plus(line_figures(&convention.apply(words[*index]), ""));
    }
    found
}

fn line_figures(text: &str, truth: &str) -> PageFigures {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (text.graphemes(true).collect(), truth.graphemes(true).collect());
    let (our_words, their_words): (Vec<&str>, Vec<&str>) = (text.split(' ').collect(), truth.split(' ').collect());
    let count = |words: &[&str]| words.iter().filter(|word| !word.is_empty()).count();
    let word_errors = match (count(&our_words), count(&their_words)) {
        (0, all) | (all, 0) => all,
        _ => distance(&our_words, &their_words),
    };
    PageFigures {
        printed_words: count(&their_words) as u64,
        characters: theirs.len() as u64,
        character_errors: distance(&ours, &theirs) as u64,
        word_errors: word_errors as u64,
        ..PageFigures::default()
    }
}

impl Evaluation {
    /// Puts pages together.
    pub fn new(convention: &Convention, pages: impl IntoIterator<Item = (String, PageFigures)>) -> Self {
        let mut all = PageFigures::default();
        let mut rows = Vec::new();
        for (page, figures) in pages {
            all = all.plus(figures);
            rows.push(row(page, figures));
        }
        Self { convention: convention.name.clone(), pages: rows, all: row("all".to_owned(), all) }
    }
}

fn row(page: String, figures: PageFigures) -> PageRow {
    PageRow { page, cer: figures.cer(), wer: figures.wer(), accuracy: figures.accuracy(), figures }
}

/// A table in plain text.
impl fmt::Display for Evaluation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.pages.iter().map(|row| row.page.chars().count()).max().unwrap_or(0).clamp(4, 60);
        let line = |out: &mut fmt::Formatter<'_>, cells: [&str; 6]| {
            let [page, right, percent, without, cer, wer] = cells;
            writeln!(out, "{page:<width$}  {right:>13}  {percent:>7}  {without:>11}  {cer:>7}  {wer:>7}")
        };
        writeln!(out, "convention: {}", self.convention)?;
        line(out, ["page", "boxes right", "", "without box", "CER", "WER"])?;
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0));
        for row in self.pages.iter().chain((self.pages.len() > 1).then_some(&self.all)) {
            let figures = &row.figures;
            let right = figures.boxes_right.zip(figures.boxes).map_or("-".to_owned(), |(right, boxes)| format!("{right} of {boxes}"));
            let without = figures.printed_without_box.map_or("-".to_owned(), |words| words.to_string());
            line(out, [&row.page, &right, &percent(row.accuracy), &without, &percent(row.cer), &percent(row.wer)])?;
        }
        let texts = self.pages.iter().filter(|row| row.figures.boxes.is_none()).count();
        if texts > 0 {
            writeln!(out, "{texts} of {} pages have no word boxes to count: their CER and WER are of the running text", self.pages.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
