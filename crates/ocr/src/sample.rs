//! The sample collection that ships inside the binary: pages, what an engine read on them, and their true texts.
//!
//! `crowdread demo` imports the pages like anybody's, and gives the true texts to the simulated crowd alone.

use include_dir::{Dir, include_dir};
use record::{Error, Result};

use crate::{collection::import::PageFiles, formats, page::Page};

static SAMPLE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/sample");

/// A page of the sample.
#[derive(Debug)]
pub struct SamplePage {
    /// Its name without endings; the image's title.
    pub title: String,
    /// What is imported.
    pub files: PageFiles,
    /// The true text, with the places of its lines.
    pub truth: Page,
}

/// The sample's pages, by name.
///
/// # Errors
/// `Internal`: what ships was checked when it was made.
pub fn pages() -> Result<Vec<SamplePage>> {
    let folder = |name: &'static str| SAMPLE.get_dir(name).ok_or_else(|| Error::internal("the sample is not whole").with("missing", name));
    let truths = folder("truth")?;
    let mut pages = Vec::new();
    for ocr in folder("pages")?.files().filter(|file| file.path().extension().is_some_and(|ending| ending == "tsv")) {
        let title = stem(ocr.path());
        let belongs = |file: &&include_dir::File<'static>| stem(file.path()) == title;
        let missing = |what: &'static str| Error::internal("the sample is not whole").with("page", &title).with("missing", what);
        let image = folder("pages")?.files().filter(|file| file.path() != ocr.path()).find(belongs).ok_or_else(|| missing("image"))?;
        let truth = truths.files().find(belongs).ok_or_else(|| missing("truth"))?;
        let read = formats::read(&name(truth.path()), truth.contents())?.into_iter().next().ok_or_else(|| missing("truth"))?;
        let files = PageFiles {
            ocr_name: name(ocr.path()),
            ocr: ocr.contents().to_vec(),
            image_name: name(image.path()),
            image: image.contents().to_vec(),
        };
        pages.push(SamplePage { title, files, truth: read.page });
    }
    pages.sort_by(|a, b| a.title.cmp(&b.title));
    Ok(pages)
}

fn stem(path: &std::path::Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn name(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
