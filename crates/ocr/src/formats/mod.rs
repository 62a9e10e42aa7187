//! Reading and writing the files that OCR engines exchange. Called by import, export, evaluation and the crowd simulator.
//!
//! bytes → `detect` → the format's `read` → pages, each with the words that had to be left out
//!
//! | file | format | boxes of words |
//! |---|---|---|
//! | `page_xml` | PAGE XML 2009 to 2019 | where it has `Word` elements |
//! | `alto` | ALTO 2 to 4 | where a `String` is a word, not a line |
//! | `hocr` | hOCR 1.2 | where it has `ocrx_word` elements |
//! | `tsv` | Tesseract TSV | always |
//! | `lines_tsv` | `image TAB x0 y0 x1 y1 TAB text`, a line of print for each row | never: true text |
//! | `text` | plain text | never: true text |
//!
//! A new format is a file with the same parts in the same order (`read`, `write`, `correct`), an arm in each `match` here, and a
//! line in the tests that run over all formats.

pub mod alto;
mod builder;
pub mod edition;
pub mod encoding;
pub mod hocr;
pub mod lines_tsv;
mod outline;
pub mod page_xml;
pub mod text;
pub mod tsv;
pub mod xml;

use std::{fmt, path::Path, str::FromStr};

use record::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::page::{Line, Page, Word};
pub use edition::{Edition, WordCorrection};

/// The most words on a page; a newspaper's page has about 10,000.
pub const WORDS_PER_PAGE_MAX: usize = 100_000;
/// The most pages in a file.
pub const PAGES_PER_FILE_MAX: usize = 10_000;

/// A format that is read, and written but for `LinesTsv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PAGE XML (PRImA).
    #[serde(rename = "page")]
    PageXml,
    /// ALTO (Library of Congress).
    Alto,
    /// hOCR: HTML with the OCR's places in `title`.
    Hocr,
    /// Tesseract's TSV: a row for each page, block, paragraph, line and word.
    Tsv,
    /// Plain text.
    Text,
    /// True text line by line with the box of each line.
    LinesTsv,
}

/// A page as read from a file.
#[derive(Clone, Debug)]
pub struct ReadPage {
    /// The page; its words have text and a box of some size within it.
    pub page: Page,
    /// What was left out, and why.
    pub problems: Vec<Problem>,
    /// Boxes that a correction found nothing printed in, in reading order: they have no text any more, and the file keeps what was read.
    pub emptied: Vec<Emptied>,
    /// The format it was in.
    pub format: Format,
    /// For each word in [`Page::words`] order the element or row that it came from, for the format's `correct`.
    pub(crate) sources: Vec<usize>,
}

/// A box that has no text any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Emptied {
    /// The box; its text is empty.
    pub word: Word,
    /// The index of its line in the page; that of the next line when nothing else is on its own.
    pub line: usize,
    /// Before which of that line's words it stands.
    pub before: usize,
    /// Whether nothing else is on its line, so that the page does not have it.
    pub alone: bool,
}

impl ReadPage {
    /// The page with its emptied boxes among the others: what a count of boxes is over.
    pub fn with_emptied(self) -> Page {
        let mut page = self.page;
        // From the end, so that the indexes before stay right.
        for Emptied { word, line, before, alone } in self.emptied.into_iter().rev() {
            match page.lines.get_mut(line).filter(|_| !alone) {
                Some(line) => line.words.insert(before.min(line.words.len()), word),
                None => {
                    let own = Line { id: word.id.clone(), rect: word.rect, polygon: Vec::new(), words: vec![word], text: None };
                    page.lines.insert(line.min(page.lines.len()), own);
                }
            }
        }
        page
    }
}

/// Something in a file that cannot be used; the rest of the file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The element's id, or what stands for it.
    pub element: String,
    /// The line in the file, from 1, where it is known.
    pub line: Option<usize>,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.element)?;
        if let Some(line) = self.line {
            write!(out, " (line {line})")?;
        }
        write!(out, ": {}", self.message)
    }
}

impl Format {
    /// The name as in commands: `page`, `alto`, `hocr`, `tsv`, `text`, `lines_tsv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PageXml => "page",
            Self::Alto => "alto",
            Self::Hocr => "hocr",
            Self::Tsv => "tsv",
            Self::Text => "text",
            Self::LinesTsv => "lines_tsv",
        }
    }

    /// The ending of a file in this format, without the dot.
    pub fn ending(self) -> &'static str {
        match self {
            Self::PageXml | Self::Alto => "xml",
            Self::Hocr => "hocr",
            Self::Tsv | Self::LinesTsv => "tsv",
            Self::Text => "txt",
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let all = [Self::PageXml, Self::Alto, Self::Hocr, Self::Tsv, Self::Text, Self::LinesTsv];
        let known = all.into_iter().find(|format| format.as_str() == name);
        known.ok_or_else(|| Error::invalid("expected one of page, alto, hocr, tsv, text").with("found", name))
    }
}

/// Whether a file in a folder may be an engine's output, by its ending. (Plain text is not: it has no places.)
pub fn is_ocr_name(path: &Path) -> bool {
    const ENDINGS: [&str; 7] = ["xml", "alto", "page", "hocr", "html", "htm", "tsv"];
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// Which format a file has: by what is in it, and only for plain text by its name.
///
/// # Errors
/// `Invalid` says what was found instead.
pub fn detect(name: &str, bytes: &[u8]) -> Result<Format> {
    const HEAD_BYTES: usize = 64 << 10;
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    // A cut through a character is no fault of the file; a UTF-16 head is cut at an even place.
    let head = encoding::decode(head).unwrap_or_else(|_| String::from_utf8_lossy(head).into_owned());
    let start = head.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with('<') {
        return root_name(start).and_then(format_of_root).ok_or_else(|| {
            Error::invalid("expected PAGE XML (PcGts), ALTO (alto) or hOCR (html)")
                .with("file", name)
                .with("outermost_element", root_name(start).unwrap_or("none"))
        });
    }
    if start.starts_with(tsv::HEADER_START) {
        return Ok(Format::Tsv);
    }
    if start.lines().next().is_some_and(lines_tsv::is_row) {
        return Ok(Format::LinesTsv);
    }
    if name.to_ascii_lowercase().ends_with(".txt") {
        return Ok(Format::Text);
    }
    let found: String = start.chars().take(40).filter(|character| !character.is_control()).collect();
    Err(Error::invalid("not an OCR file: expected PAGE XML, ALTO, hOCR, Tesseract TSV, or text in a file that ends in .txt")
        .with("file", name)
        .with("begins_with", if found.is_empty() { "nothing" } else { &found }))
}

/// The name of the outermost element, where a file is XML of a kind that is no OCR: METS, TEI and others stand beside OCR files.
pub fn other_xml(bytes: &[u8]) -> Option<String> {
    let head = encoding::decode(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
    let start = head.trim_start_matches('\u{feff}').trim_start();
    let root = start.starts_with('<').then(|| root_name(start)).flatten()?;
    format_of_root(root).is_none().then(|| root.to_owned())
}

/// The name of the first element, without its prefix.
fn root_name(mut text: &str) -> Option<&str> {
    loop {
        text = &text[text.find('<')? + 1..];
        if let Some(comment) = text.strip_prefix("!--") {
            text = comment.split_once("-->")?.1;
        } else if text.starts_with(|character: char| character.is_alphabetic() || character == '_') {
            let name = text.split(|character: char| character.is_whitespace() || matches!(character, '>' | '/')).next()?;
            return Some(name.rsplit_once(':').map_or(name, |(_, local)| local));
        }
    }
}

fn format_of_root(name: &str) -> Option<Format> {
    match name {
        "PcGts" => Some(Format::PageXml),
        "alto" | "ALTO" => Some(Format::Alto),
        _ if name.eq_ignore_ascii_case("html") => Some(Format::Hocr),
        _ => None,
    }
}

/// Reads all pages of a file. Places are in pixels of the image.
///
/// # Errors
/// `Invalid` names the file, the place in it, and how to mend it; also for ALTO in another unit than pixels, which needs
/// [`read_for_image`].
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<ReadPage>> {
    read_scaled(name, bytes, Scale::Pixels)
}

/// Reads all pages of a file whose image has this width and height in pixels; ALTO in tenths of a millimetre or 1/1200 inch is
/// scaled to it.
///
/// # Errors
/// As [`read`].
pub fn read_for_image(name: &str, bytes: &[u8], size_px: (u32, u32)) -> Result<Vec<ReadPage>> {
    read_scaled(name, bytes, Scale::Image(size_px))
}

/// Reads all pages of a file with places in the file's own unit, as the page's size is: what is compared with another file of the page
/// needs no image.
///
/// # Errors
/// As [`read`], but for the unit.
pub fn read_unscaled(name: &str, bytes: &[u8]) -> Result<Vec<ReadPage>> {
    read_scaled(name, bytes, Scale::Unknown)
}

/// The names of the images that a file speaks of, page by page: what an importer asks first, since it needs the image's size to
/// read the rest.
///
/// # Errors
/// As [`read`].
pub fn image_names(name: &str, bytes: &[u8]) -> Result<Vec<Option<String>>> {
    Ok(read_unscaled(name, bytes)?.into_iter().map(|page| page.page.image_name).collect())
}

/// How the numbers in a file become pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scale {
    /// They must be pixels.
    Pixels,
    /// They are scaled to an image of this width and height where they are not pixels.
    Image((u32, u32)),
    /// They are left as they are.
    Unknown,
}

pub(crate) fn read_scaled(name: &str, bytes: &[u8], scale: Scale) -> Result<Vec<ReadPage>> {
    let pages = match detect(name, bytes)? {
        Format::PageXml => page_xml::read(name, bytes),
        Format::Alto => alto::read(name, bytes, scale),
        Format::Hocr => hocr::read(name, bytes),
        Format::Tsv => tsv::read(name, bytes),
        Format::Text => text::read(name, bytes),
        Format::LinesTsv => lines_tsv::read(name, bytes),
    }?;
    if pages.len() > PAGES_PER_FILE_MAX {
        return Err(Error::invalid("too many pages in one file: split it")
            .with("file", name)
            .with("pages", pages.len())
            .with("pages_max", PAGES_PER_FILE_MAX));
    }
    Ok(pages)
}

/// Writes a page, with its corrections, as a new file.
///
/// # Errors
/// `Invalid` for `LinesTsv`, which is only read.
pub fn write(format: Format, edition: &Edition<'_>) -> Result<String> {
    match format {
        Format::PageXml => Ok(page_xml::write(edition)),
        Format::Alto => Ok(alto::write(edition)),
        Format::Hocr => Ok(hocr::write(edition)),
        Format::Tsv => Ok(tsv::write(edition)),
        Format::Text => Ok(text::write(edition)),
        Format::LinesTsv => Err(Error::invalid("true text by lines is only read: write it as page, alto, hocr, tsv or text")),
    }
}

/// Corrects a file in its own format: what is not corrected stays byte for byte.
///
/// # Errors
/// `Invalid` when the page was not read from this file, or the format has no words.
pub fn correct(name: &str, bytes: &[u8], edition: &Edition<'_>) -> Result<String> {
    match detect(name, bytes)? {
        Format::PageXml => page_xml::correct(name, bytes, edition),
        Format::Alto => alto::correct(name, bytes, edition),
        Format::Hocr => hocr::correct(name, bytes, edition),
        Format::Tsv => tsv::correct(name, bytes, edition),
        Format::Text | Format::LinesTsv => Err(Error::invalid("the file has no words that could be corrected").with("file", name)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
