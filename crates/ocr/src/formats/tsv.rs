//! Tesseract's TSV: a row for each page, block, paragraph, line and word, in reading order.
//!
//! Source: Tesseract 3.05 and later, `TessBaseAPI::GetTSVText`. Columns: `level page_num block_num par_num line_num word_num left top
//! width height conf text`; text is not quoted. Level 5 is a word; `conf` is 0 to 100, or -1 for no confidence. More columns are
//! passed over.

use record::{Error, Result};

use super::{
    Format, ReadPage,
    builder::{Builder, BuiltLine, FoundWord},
    encoding,
    outline::Outline,
};
use crate::page::Page;

mod write;

pub use write::{correct, write};

/// What the first row begins with.
pub(super) const HEADER_START: &str = "level\tpage_num\t";
const COLUMNS: usize = 12;
/// The thirteenth column of a corrected file: what a corrected word was before.
const ORIGINAL: &str = "original";

/// Reads the file's pages.
///
/// # Errors
/// `Invalid` when a row has too few columns or a number is none.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<ReadPage>> {
    let text = encoding::decode(bytes).map_err(|error| error.with("file", name))?;
    read_text(name, &text)
}

pub(super) fn read_text(name: &str, text: &str) -> Result<Vec<ReadPage>> {
    let mut pages = Vec::new();
    let mut open: Option<(i64, Builder, Option<BuiltLine>)> = None;
    // A last row without its line end may have been cut off.
    if !text.ends_with('\n') {
        return Err(Error::invalid("the last row does not end: the file was cut off, write it again")
            .with("file", name)
            .with("line", text.lines().count()));
    }
    let has_originals = text.lines().next().is_some_and(|header| header.split('\t').nth(COLUMNS) == Some(ORIGINAL));
    for (index, row) in text.lines().enumerate().skip(1).filter(|(_, row)| !row.is_empty()) {
        let found = Row::parse(row).map_err(|error| error.with("file", name).with("line", index + 1))?;
        if open.as_ref().is_none_or(|(number, ..)| *number != found.page) {
            pages.extend(open.take().map(finish));
            open = Some((found.page, Builder::new(Format::Tsv, Page::default()), None));
        }
        let (_, builder, line) = open.as_mut().expect("a page was opened above");
        let original = if has_originals { found.original } else { "" };
        match found.level {
            1 => *builder = Builder::new(Format::Tsv, Page { width: found.width(), height: found.height(), ..Page::default() }),
            2 | 3 => {}
            4 => {
                line.take().into_iter().for_each(|line| builder.push(line));
                *line = Some(builder.line(None, found.place().unwrap_or_default()));
            }
            // Tesseract's rows for rules and specks.
            _ if found.text.trim().is_empty() && original.is_empty() => builder.pass_over(),
            _ => {
                let mut to = line.take().unwrap_or_else(|| builder.line(None, Outline::default()));
                let confidence = Some(found.confidence / 100.0);
                let word = FoundWord {
                    id: None,
                    place: found.place(),
                    text: found.text.to_owned(),
                    has_original: !original.is_empty(),
                    confidence,
                    source: index,
                    at_line: index + 1,
                };
                let added = builder.word(&mut to, word);
                *line = Some(to);
                added.map_err(|error| error.with("file", name))?;
            }
        }
    }
    pages.extend(open.map(finish));
    if pages.is_empty() {
        Err(Error::invalid("no rows below the header: expected a row for each word").with("file", name))
    } else {
        Ok(pages)
    }
}

fn finish((_, mut builder, line): (i64, Builder, Option<BuiltLine>)) -> ReadPage {
    line.into_iter().for_each(|line| builder.push(line));
    builder.finish()
}

struct Row<'t> {
    level: i64,
    page: i64,
    /// left, top, width, height
    box_px: [f64; 4],
    confidence: f64,
    text: &'t str,
    /// The thirteenth column, which is the original's only where the header says so.
    original: &'t str,
}

impl<'t> Row<'t> {
    fn parse(row: &'t str) -> Result<Self> {
        let columns: Vec<&str> = row.split('\t').collect();
        // A level above the word may lack its empty text.
        if columns.len() + 1 < COLUMNS {
            return Err(Error::invalid("expected 12 columns with tabs between: was the file cut off or opened in a spreadsheet?")
                .with("columns", columns.len()));
        }
        let number = |index: usize| -> Result<f64> {
            let number = columns[index].parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| {
                Error::invalid("expected a number")
                    .with("column", index + 1)
                    .with("found", columns[index].chars().take(40).collect::<String>())
            })
        };
        Ok(Self {
            level: number(0)? as i64,
            page: number(1)? as i64,
            box_px: [number(6)?, number(7)?, number(8)?, number(9)?],
            confidence: number(10)?,
            text: columns.get(11).copied().unwrap_or_default(),
            original: columns.get(COLUMNS).map_or("", |text| text.trim()),
        })
    }

    fn width(&self) -> u32 {
        self.box_px[2].clamp(0.0, 1e6) as u32
    }

    fn height(&self) -> u32 {
        self.box_px[3].clamp(0.0, 1e6) as u32
    }

    fn place(&self) -> std::result::Result<Outline, String> {
        let [left, top, width, height] = self.box_px;
        Outline::from_corners(left, top, left + width, top + height)
    }
}
