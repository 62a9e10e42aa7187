//! Writing Tesseract's TSV, and correcting it in place.
//!
//! The original of a corrected word goes into a thirteenth column `original`, which every row then has: readers that go by the header
//! or by position pass over it. A file without corrections has the twelve columns.

use std::fmt::Write;

use record::Result;

use super::{
    super::{Edition, edition::locate, encoding},
    ORIGINAL, read_text,
};

const HEADER: &str = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext";

/// Writes a page as TSV: one block with all lines.
pub fn write(edition: &Edition<'_>) -> String {
    let page = edition.page;
    let corrected = (0..page.words().count()).any(|word| edition.correction(word).is_some());
    let mut out = HEADER.to_owned();
    if corrected {
        put(&mut out, format_args!("\t{ORIGINAL}"));
    }
    out.push('\n');
    let end = if corrected { "\t\n" } else { "\n" };
    let around = page.lines.iter().map(|line| line.rect).reduce(|a, b| a.union(&b)).unwrap_or_default();
    put(&mut out, format_args!("1\t1\t0\t0\t0\t0\t0\t0\t{}\t{}\t-1\t{end}", page.width, page.height));
    for (level, paragraph) in [(2, 0), (3, 1)] {
        let (x, y, width, height) = (around.x, around.y, around.width, around.height);
        put(&mut out, format_args!("{level}\t1\t1\t{paragraph}\t0\t0\t{x}\t{y}\t{width}\t{height}\t-1\t{end}"));
    }
    for (number, (first, line)) in edition.lines().enumerate() {
        let (number, rect) = (number + 1, line.rect);
        put(&mut out, format_args!("4\t1\t1\t1\t{number}\t0\t{}\t{}\t{}\t{}\t-1\t{end}", rect.x, rect.y, rect.width, rect.height));
        for (index, word) in line.words.iter().enumerate() {
            let rect = word.rect;
            let confidence = word.confidence.map_or("-1".to_owned(), |share| format!("{:.6}", share * 100.0));
            put(
                &mut out,
                format_args!(
                    "5\t1\t1\t1\t{number}\t{}\t{}\t{}\t{}\t{}\t{confidence}\t{}",
                    index + 1,
                    rect.x,
                    rect.y,
                    rect.width,
                    rect.height,
                    cell(edition.text(first + index, word))
                ),
            );
            match edition.correction(first + index) {
                Some(_) => put(&mut out, format_args!("\t{}\n", cell(&word.text))),
                None => out.push_str(end),
            }
        }
    }
    out
}

/// A text without the characters that would end its column or row.
fn cell(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string does not fail");
}

/// Corrects words in the file that the page was read from.
///
/// # Errors
/// `Invalid` when the page was not read from this file.
pub fn correct(name: &str, bytes: &[u8], edition: &Edition<'_>) -> Result<String> {
    let text = encoding::decode(bytes)?;
    let (read, places) = locate(name, read_text(name, &text)?, edition)?;
    let rows: std::collections::HashMap<usize, usize> = places.into_iter().map(|(index, place)| (read.sources[place], index)).collect();
    if rows.is_empty() {
        return Ok(text);
    }
    let words: Vec<_> = edition.page.words().collect();
    let has_column = text.lines().next().is_some_and(|header| header.split('\t').any(|column| column == ORIGINAL));
    let mut out = String::with_capacity(text.len() + text.len() / 10);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let row = line.trim_end_matches(['\r', '\n']);
        let end = &line[row.len()..];
        match rows.get(&number).and_then(|index| edition.correction(*index).map(|correction| (index, correction))) {
            Some((index, correction)) => {
                let before: Vec<&str> = row.split('\t').take(super::COLUMNS - 1).collect();
                // A text that was corrected before keeps its first original.
                let original = row.split('\t').nth(super::COLUMNS).filter(|text| !text.is_empty()).unwrap_or(&words[*index].text);
                put(&mut out, format_args!("{}\t{}\t{}", before.join("\t"), cell(&correction.text), cell(original)));
            }
            None if number == 0 && !has_column => put(&mut out, format_args!("{row}\t{ORIGINAL}")),
            None if has_column || row.is_empty() => out.push_str(row),
            None => {
                // Levels above the word may lack their empty text.
                let missing = super::COLUMNS.saturating_sub(row.split('\t').count());
                put(&mut out, format_args!("{row}{}", "\t".repeat(missing + 1)));
            }
        }
        out.push_str(end);
    }
    Ok(out)
}
