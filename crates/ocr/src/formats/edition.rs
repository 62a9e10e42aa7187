//! A page with its corrections, as the writers see it.

use std::collections::{HashMap, HashSet};

use record::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::ReadPage;
use crate::page::{Line, Page, Rect, Word};

/// What a word should read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordCorrection {
    /// The word's index in [`Page::words`] order.
    pub word: usize,
    /// The right text; empty when nothing is printed there.
    pub text: String,
    /// Who says so, such as `crowd` or `expert`.
    pub by: String,
    /// How sure that is, 0 to 1.
    pub posterior: f64,
}

/// A page, what is wrong on it, and when it is written.
#[derive(Clone, Debug)]
pub struct Edition<'a> {
    /// The page as the engine read it.
    pub page: &'a Page,
    /// The time for the file's metadata.
    pub written_at: Timestamp,
    corrections: HashMap<usize, &'a WordCorrection>,
}

impl<'a> Edition<'a> {
    /// Joins a page and its corrections. A correction that says what the engine said is none; of two for one word the later counts.
    pub fn new(page: &'a Page, corrections: &'a [WordCorrection], written_at: Timestamp) -> Self {
        let words: Vec<&Word> = page.words().collect();
        let changed = corrections.iter().filter(|correction| words.get(correction.word).is_some_and(|word| word.text != correction.text));
        Self { page, written_at, corrections: changed.map(|correction| (correction.word, correction)).collect() }
    }

    /// The correction of a word, by its index in [`Page::words`] order.
    pub fn correction(&self, word: usize) -> Option<&'a WordCorrection> {
        self.corrections.get(&word).copied()
    }

    /// The lines, each with the index of its first word.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &'a Line)> + use<'a> {
        self.page.lines.iter().scan(0, |words, line| {
            let first = *words;
            *words += line.words.len();
            Some((first, line))
        })
    }

    /// A word's text after correction.
    pub fn text(&self, index: usize, word: &'a Word) -> &'a str {
        self.correction(index).map_or(&word.text, |correction| &correction.text)
    }

    /// A line's text after correction: its words with one space between, or its own text where it has no words.
    pub fn line_text(&self, first: usize, line: &'a Line) -> String {
        if line.words.is_empty() {
            return line.text.clone().unwrap_or_default();
        }
        let words = line.words.iter().enumerate().map(|(index, word)| self.text(first + index, word));
        words.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// Whether any word of a line is corrected.
    pub fn is_line_corrected(&self, first: usize, line: &Line) -> bool {
        (first..first + line.words.len()).any(|word| self.corrections.contains_key(&word))
    }
}

/// Finds the edition's page in the file that it was read from. Gives that page and, for each corrected word, its place in it.
///
/// # Errors
/// `Invalid` when a word of the edition is in none of the file's pages.
pub(super) fn locate(name: &str, pages: Vec<ReadPage>, edition: &Edition<'_>) -> Result<(ReadPage, HashMap<usize, usize>)> {
    let mut missing = None;
    for page in pages {
        match positions(&page.page, edition) {
            Ok(found) => return Ok((page, found)),
            Err(word) => missing = missing.or(Some(word)),
        }
    }
    let word = missing.map(|word| format!("{} {:?}", word.id, word.text)).unwrap_or_default();
    Err(Error::invalid("the page was not read from this file: give the file that was imported").with("file", name).with("missing", word))
}

/// For each corrected word its index in the page as it is in the file; an importer may have left words out.
fn positions<'a>(page: &Page, edition: &Edition<'a>) -> Result<HashMap<usize, usize>, &'a Word> {
    let mut by_id: HashMap<&str, Vec<(usize, Rect)>> = HashMap::new();
    for (index, word) in page.words().enumerate() {
        by_id.entry(&word.id).or_default().push((index, word.rect));
    }
    let in_file: Vec<&Word> = page.words().collect();
    let mut found = HashMap::new();
    for (index, word) in edition.page.words().enumerate() {
        let same = by_id.get(word.id.as_str()).map_or(&[][..], Vec::as_slice);
        // Ids should be unique, but are not in every file.
        let place = same.iter().find(|(_, rect)| same.len() == 1 || *rect == word.rect).filter(|(at, _)| in_file[*at].text == word.text);
        let (at, _) = place.ok_or(word)?;
        if edition.correction(index).is_some() {
            found.insert(*at, index);
        }
    }
    Ok(found.into_iter().map(|(at, index)| (index, at)).collect())
}

/// Ids for elements of an XML file: the page's own where they are names and not yet taken, else new ones.
#[derive(Debug, Default)]
pub(super) struct Ids(HashSet<String>);

impl Ids {
    /// The id for an element; `fallback` names one that has no usable id of its own.
    pub fn take(&mut self, id: &str, fallback: &str) -> String {
        let mut characters = id.chars();
        let starts = characters.next().is_some_and(|first| first.is_alphabetic() || first == '_');
        let is_name = starts && characters.all(|character| character.is_alphanumeric() || matches!(character, '_' | '-' | '.'));
        let base = if is_name { id } else { fallback };
        let mut name = base.to_owned();
        let mut number = 1;
        while !self.0.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    }
}

/// A file's own text of a line, or of more, with some words replaced, in their order; none where one is not in it.
pub(super) fn with_words_replaced(text: &str, words: &[(&str, &str)]) -> Option<String> {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    for (from, to) in words {
        let at = rest.find(from)?;
        replaced.push_str(&rest[..at]);
        replaced.push_str(to);
        rest = &rest[at + from.len()..];
    }
    replaced.push_str(rest);
    Some(replaced)
}

/// A list of points as PAGE and ALTO write it, of the outline or the corners of the box.
pub(super) fn points_of(rect: &Rect, polygon: &[(u32, u32)]) -> String {
    let (left, top, right, bottom) = (rect.x, rect.y, rect.right(), rect.bottom());
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
    let points = if polygon.len() < 2 { &corners[..] } else { polygon };
    points.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
}

/// The name under which the files are written.
pub(super) fn software() -> String {
    format!("crowdread {}", env!("CARGO_PKG_VERSION"))
}
