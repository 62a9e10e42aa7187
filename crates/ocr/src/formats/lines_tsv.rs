//! True text by lines: `image TAB x0 y0 x1 y1 TAB text`, a row for each line of print, as ground truth for training is kept. Only read.

use record::{Error, Result};

use super::{
    Format, ReadPage,
    builder::Builder,
    encoding,
    outline::{Outline, points},
};
use crate::page::Page;

/// Whether a row has this form.
pub(super) fn is_row(row: &str) -> bool {
    parts(row).is_some()
}

fn parts(row: &str) -> Option<(&str, [f64; 4], &str)> {
    let (image, rest) = row.split_once('\t')?;
    let (place, text) = rest.split_once('\t')?;
    match points(place).ok()?[..] {
        [(x0, y0), (x1, y1)] => Some((image, [x0, y0, x1, y1], text)),
        _ => None,
    }
}

/// Reads the file's pages: rows with the same image, in file order.
///
/// # Errors
/// `Invalid` names the first row of another form.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<ReadPage>> {
    let text = encoding::decode(bytes).map_err(|error| error.with("file", name))?;
    let mut pages: Vec<(&str, Builder)> = Vec::new();
    for (index, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let Some((image, [x0, y0, x1, y1], text)) = parts(row) else {
            return Err(Error::invalid("expected image, x0 y0 x1 y1, text with tabs between").with("file", name).with("line", index + 1));
        };
        if pages.last().is_none_or(|(last, _)| *last != image) {
            pages.push((image, Builder::new(Format::LinesTsv, Page { image_name: Some(image.to_owned()), ..Page::default() })));
        }
        let (_, builder) = pages.last_mut().expect("a page was pushed above");
        match Outline::from_corners(x0, y0, x1, y1) {
            Ok(place) => {
                let mut line = builder.line(None, place);
                line.line.text = Some(text.trim().to_owned());
                builder.push(line);
            }
            Err(message) => builder.problem(format!("row {}", index + 1), Some(index + 1), message),
        }
    }
    Ok(pages.into_iter().map(|(_, builder)| builder.finish()).collect())
}
