//! A page with its corrections, as the writers see it.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use record::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ReadPage;
use crate::page::{Line, Page, Rect, Word, scale_between};

/// What a word should read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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

/// For each corrected word its index in the page as it is in the file; an importer may have left words out, and may have scaled places
/// to the image.
fn positions<'a>(page: &Page, edition: &Edition<'a>) -> Result<HashMap<usize, usize>, &'a Word> {
    let mut by_id: HashMap<&str, Vec<(usize, Rect)>> = HashMap::new();
    let scale = scale_between((page.width, page.height), (edition.page.width, edition.page.height));
    for (index, word) in page.words().enumerate() {
        by_id.entry(&word.id).or_default().push((index, word.rect.scaled(scale)));
    }
    let in_file: Vec<&Word> = page.words().collect();
    let mut found = HashMap::new();
    for (index, word) in edition.page.words().enumerate() {
        let same = by_id.get(word.id.as_str()).map_or(&[][..], Vec::as_slice);
        // Ids should be unique, but are not in every file.
        let place =
            same.iter().find(|(_, rect)| same.len() == 1 || is_near(rect, &word.rect)).filter(|(at, _)| in_file[*at].text == word.text);
        let (at, _) = place.ok_or(word)?;
        if edition.correction(index).is_some() {
            found.insert(*at, index);
        }
    }
    Ok(found.into_iter().map(|(at, index)| (index, at)).collect())
}

/// The same but for what rounding does.
fn is_near(a: &Rect, b: &Rect) -> bool {
    let near = |a: u32, b: u32| a.abs_diff(b) <= 1;
    near(a.x, b.x) && near(a.y, b.y) && near(a.right(), b.right()) && near(a.bottom(), b.bottom())
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

/// A piece of a file's text and what is to stand in its place, if anything is.
pub(super) type Piece<'t> = (Cow<'t, str>, Option<Cow<'t, str>>);

/// A file's own text of a line (or of a region) with some of its words (or lines) replaced: all of them are given, in their order, and
/// nothing but white space may stand between them, so that no word is taken for a part of another. White space stays as it was, but
/// for that before a piece that becomes empty. None where the text is not just these pieces.
pub(super) fn with_pieces_replaced(text: &str, pieces: &[Piece<'_>]) -> Option<String> {
    let mut replaced = String::with_capacity(text.len());
    let (mut rest, mut lead) = (text, None);
    for (piece, new) in pieces {
        if piece.trim().is_empty() {
            continue;
        }
        let start = rest.trim_start();
        let space = &rest[..rest.len() - start.len()];
        rest = after(start, piece)?;
        let new = new.as_deref().map_or(&start[..start.len() - rest.len()], str::trim);
        // What comes first begins where the text began, also when a piece before it has gone.
        let lead = lead.get_or_insert(space);
        if !new.is_empty() {
            replaced.push_str(if replaced.is_empty() { lead } else { space });
            replaced.push_str(new);
        }
    }
    replaced.push_str(rest);
    rest.trim().is_empty().then_some(replaced)
}

/// What follows a piece that a text begins with, whatever white space either has where the other has some.
fn after<'t>(text: &'t str, piece: &str) -> Option<&'t str> {
    let mut rest = text;
    for (index, part) in piece.split_whitespace().enumerate() {
        let next = rest.trim_start();
        if index > 0 && next.len() == rest.len() {
            return None;
        }
        rest = next.strip_prefix(part)?;
    }
    Some(rest)
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
