//! Corrected pages, in the format they came in or in another. Called by `crowdread export` and by the server's download.
//!
//! page + verdicts → corrections → same format: the original file with only the corrected words changed │ other format: written anew

use record::{Result, Timestamp};

pub use crate::formats::WordCorrection;
use crate::{
    formats::{self, Edition, Format},
    page::Page,
};

/// The file that a page was read from.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// Its name, for errors.
    pub name: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// The page with its corrections as a file of the `target` format, in UTF-8.
///
/// In the original's own format everything but the corrected words, their lines' text and what the format has for alternatives is
/// kept byte for byte (a file that was not UTF-8 says UTF-8 afterwards). The original text stands beside the corrected one where the
/// format can say so: PAGE from 2016, ALTO, hOCR, and TSV in a further column.
///
/// # Errors
/// `Invalid` when the page was not read from `original`, or `target` is only read.
pub fn corrected(
    original: Original<'_>,
    page: &Page,
    corrections: &[WordCorrection],
    target: Format,
    written_at: Timestamp,
) -> Result<Vec<u8>> {
    let edition = Edition::new(page, corrections, written_at);
    let same = formats::detect(original.name, original.bytes).is_ok_and(|format| format == target);
    let text = if same && !matches!(target, Format::Text | Format::LinesTsv) {
        let corrected = formats::correct(original.name, original.bytes, &edition)?;
        if std::str::from_utf8(original.bytes).is_ok() { corrected } else { says_utf8(corrected) }
    } else {
        formats::write(target, &edition)?
    };
    Ok(text.into_bytes())
}

/// Changes the XML declaration of a file that is now in UTF-8.
fn says_utf8(text: String) -> String {
    let Some(end) = text.starts_with("<?xml").then(|| text.find("?>")).flatten() else { return text };
    let version = if text[..end].contains("1.1") { "1.1" } else { "1.0" };
    format!("<?xml version=\"{version}\" encoding=\"UTF-8\"{}", &text[end..])
}

#[cfg(test)]
mod tests;
