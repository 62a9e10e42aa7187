//! What all readers do with the words that they find: check, number, cap, collect. Called by each format's `read`.

use record::{Error, Result};

use super::{Emptied, Format, Problem, ReadPage, WORDS_PER_PAGE_MAX, outline::Outline};
use crate::page::{Line, Page, Word};

/// A page while it is read.
#[derive(Debug)]
pub(super) struct Builder {
    page: Page,
    format: Format,
    lines: Vec<BuiltLine>,
    problems: Vec<Problem>,
    emptied: Vec<Emptied>,
    words_seen: usize,
    lines_seen: usize,
}

/// A line and where its words stand in the file.
#[derive(Debug)]
pub(super) struct BuiltLine {
    pub line: Line,
    pub sources: Vec<usize>,
    emptied: Vec<(usize, Word)>,
}

/// A word as it stands in a file, unchecked.
pub(super) struct FoundWord {
    pub id: Option<String>,
    pub place: Result<Outline, String>,
    pub text: String,
    /// Whether the file keeps another text that the word had before: without a text of its own it was then emptied.
    pub has_original: bool,
    /// 0 to 1; anything else is taken for none.
    pub confidence: Option<f64>,
    /// The element's or row's index.
    pub source: usize,
    /// The line in the file.
    pub at_line: usize,
}

impl Builder {
    /// `page` has everything but its lines.
    pub fn new(format: Format, page: Page) -> Self {
        Self { page, format, lines: Vec::new(), problems: Vec::new(), emptied: Vec::new(), words_seen: 0, lines_seen: 0 }
    }

    /// An empty line; without an id it is named by position.
    pub fn line(&mut self, id: Option<String>, place: Outline) -> BuiltLine {
        self.lines_seen += 1;
        let id = named(id, 'l', self.lines_seen);
        BuiltLine {
            line: Line { id, rect: place.rect, polygon: place.polygon, words: Vec::new(), text: None },
            sources: Vec::new(),
            emptied: Vec::new(),
        }
    }

    /// Adds a word to a line, or a problem to the page.
    ///
    /// # Errors
    /// `Invalid` when the page has too many words.
    pub fn word(&mut self, line: &mut BuiltLine, found: FoundWord) -> Result<()> {
        self.words_seen += 1;
        if self.words_seen > WORDS_PER_PAGE_MAX {
            return Err(Error::invalid("too many words on one page").with("words_max", WORDS_PER_PAGE_MAX));
        }
        let id = named(found.id, 'w', self.words_seen);
        match found.place.and_then(|place| self.checked(place)) {
            Err(message) => self.problem(id, Some(found.at_line), message),
            Ok(place) if found.text.trim().is_empty() && found.has_original => {
                let word = Word { id, rect: place.rect, polygon: place.polygon, text: String::new(), confidence: None };
                line.emptied.push((line.line.words.len(), word));
            }
            Ok(_) if found.text.trim().is_empty() => self.problem(id, Some(found.at_line), "the word has no text".to_owned()),
            Ok(place) => {
                let confidence = found.confidence.filter(|share| (0.0..=1.0).contains(share)).map(|share| share as f32);
                line.line.words.push(Word { id, rect: place.rect, polygon: place.polygon, text: found.text.trim().to_owned(), confidence });
                line.sources.push(found.source);
            }
        }
        Ok(())
    }

    fn checked(&self, place: Outline) -> Result<Outline, String> {
        let (rect, width, height) = (place.rect, self.page.width, self.page.height);
        let outside = (width > 0 && rect.right() > width) || (height > 0 && rect.bottom() > height);
        if outside {
            return Err(format!(
                "the box {}x{}+{}+{} is not within the page of {width}x{height} pixels",
                rect.width, rect.height, rect.x, rect.y
            ));
        }
        Ok(place)
    }

    /// Notes something that is left out.
    pub fn problem(&mut self, element: String, line: Option<usize>, message: String) {
        self.problems.push(Problem { element, line, message });
    }

    /// A word that is no word, such as Tesseract's rows for rules: it has a number but is not spoken of.
    pub fn pass_over(&mut self) {
        self.words_seen += 1;
    }

    /// Takes a line, unless there is nothing in it. A line without a box gets that of its words.
    pub fn push(&mut self, mut built: BuiltLine) {
        let line = &mut built.line;
        line.text = line.text.take().filter(|text| !text.trim().is_empty());
        let alone = line.words.is_empty() && line.text.is_none();
        let number = self.lines.len();
        self.emptied.extend(built.emptied.drain(..).map(|(before, word)| Emptied { word, line: number, before, alone }));
        if alone {
            return;
        }
        if line.rect.width == 0 || line.rect.height == 0 {
            line.rect = line.words.iter().map(|word| word.rect).reduce(|a, b| a.union(&b)).unwrap_or(line.rect);
        }
        self.lines.push(built);
    }

    /// The page.
    pub fn finish(mut self) -> ReadPage {
        let mut sources = Vec::new();
        for built in self.lines {
            sources.extend(built.sources);
            self.page.lines.push(built.line);
        }
        debug_assert_eq!(sources.len(), self.page.words().count());
        ReadPage { page: self.page, problems: self.problems, emptied: self.emptied, format: self.format, sources }
    }
}

fn named(id: Option<String>, letter: char, number: usize) -> String {
    id.filter(|id| !id.trim().is_empty()).unwrap_or_else(|| format!("{letter}{number}"))
}
