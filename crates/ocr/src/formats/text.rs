//! Plain text: true text without places, or the last resort of an export. A form feed begins a new page.

use record::Result;

use super::{Edition, Format, ReadPage, builder::Builder, encoding, outline::Outline};
use crate::page::Page;

/// Reads the file's pages: a line for each row that is not blank.
///
/// # Errors
/// `Invalid` when it is not text.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<ReadPage>> {
    let text = encoding::decode(bytes).map_err(|error| error.with("file", name))?;
    let pages = text.trim_end_matches('\u{c}').split('\u{c}');
    Ok(pages.map(read_page).collect())
}

fn read_page(text: &str) -> ReadPage {
    let mut builder = Builder::new(Format::Text, Page::default());
    for row in text.lines() {
        let mut line = builder.line(None, Outline::default());
        line.line.text = Some(row.trim().to_owned());
        builder.push(line);
    }
    builder.finish()
}

/// A row for each line, corrected; a line in which nothing is left has none.
pub fn write(edition: &Edition<'_>) -> String {
    let texts = edition.lines().map(|(first, line)| edition.line_text(first, line));
    texts.filter(|text| !text.trim().is_empty()).map(|text| text + "\n").collect()
}
