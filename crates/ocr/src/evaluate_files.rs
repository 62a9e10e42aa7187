//! Comparing files: an engine's, or corrected ones, with files of true text. Called by `crowdread evaluate`.
//!
//! two folders or files → pages → paired by name → [`evaluate`]

use std::path::Path;

use record::{Error, Result};

use crate::{
    convention::Convention,
    crowd::load::{ListedPage, TruePage, pair, read_folder},
    evaluate::{Evaluation, PageFigures, evaluate, without_places},
    formats::{self, ReadPage},
};

/// What was compared.
#[derive(Debug)]
pub struct Compared {
    /// The figures of each page and of all.
    pub evaluation: Evaluation,
    /// Pages without a true text, and files that could not be used.
    pub problems: Vec<String>,
}

/// Compares an engine's file or folder with a file or folder of true text; pages belong together by their images' or files' names.
///
/// # Errors
/// `Invalid` when a path cannot be read or no page has a true text.
pub fn evaluate_files(ocr: &Path, truth: &Path, convention: &Convention) -> Result<Compared> {
    let mut problems = Vec::new();
    let pages = read_folder(ocr, &mut problems)?;
    let truths = read_folder(truth, &mut problems)?;
    let listed: Vec<ListedPage> = pages.iter().map(listed).collect();
    let mut figures = Vec::new();
    for (page, of_page) in pages.iter().zip(pair(&listed, &truths)) {
        let Some(of_page) = of_page else {
            problems.push(format!("{}: no file of true text belongs to it", page.file));
            continue;
        };
        match compare(page, &truths[of_page], convention) {
            Ok(found) => figures.push((page.file.clone(), found)),
            Err(error) => problems.push(format!("{}: {error}", page.file)),
        }
    }
    if figures.is_empty() {
        return Err(Error::invalid("no page has a true text: name both files as the page's image")
            .with("ocr", ocr.display())
            .with("truth", truth.display())
            .with("problems", problems.iter().take(5).cloned().collect::<Vec<_>>().join("; ")));
    }
    Ok(Compared { evaluation: Evaluation::new(convention, figures), problems })
}

fn listed(page: &TruePage) -> ListedPage {
    ListedPage { id: page.file.clone(), title: page.file.clone(), image_name: page.image_name.clone(), width: 0, height: 0 }
}

fn compare(page: &TruePage, truth: &TruePage, convention: &Convention) -> Result<PageFigures> {
    let ocr = match formats::read(&page.file, &page.bytes) {
        Ok(pages) => nth(page, pages)?.with_emptied(),
        // Places in another unit than pixels: they are compared by the pages' sizes, since each file gives its own.
        Err(_) => return compare_unscaled(page, truth, convention),
    };
    if !ocr.has_word_boxes() {
        return compare_unscaled(page, truth, convention); // there is nothing to which places could be scaled
    }
    // True text may give its places without the image's size; then they are the engine's.
    let truth = nth(truth, formats::read_for_image(&truth.file, &truth.bytes, (ocr.width, ocr.height))?)?.page;
    Ok(evaluate(&ocr, &truth, convention))
}

fn compare_unscaled(page: &TruePage, truth: &TruePage, convention: &Convention) -> Result<PageFigures> {
    let ocr = nth(page, formats::read_unscaled(&page.file, &page.bytes)?)?.with_emptied();
    let truth = nth(truth, formats::read_unscaled(&truth.file, &truth.bytes)?)?.page;
    // Pixels of an image of unknown size: the text alone has to do.
    let truth = if truth.width == 0 || truth.height == 0 { without_places(&truth) } else { truth };
    Ok(evaluate(&ocr, &truth, convention))
}

fn nth(of: &TruePage, pages: Vec<ReadPage>) -> Result<ReadPage> {
    pages.into_iter().nth(of.index).ok_or_else(|| Error::internal("a file has changed its number of pages").with("file", &of.file))
}

#[cfg(test)]
mod tests;
