//! Every format is read as its samples say, and bad input is told with its place.

use super::*;

mod bad_input;
mod readers;

/// The folder of real pages, where it is there: `CROWDREAD_SHARED`, else `shared` beside the checkout.
pub(crate) fn real_pages() -> Option<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("CROWDREAD_SHARED").map_or_else(|| root.join("../shared"), Into::into);
    let pages = shared.join("data/pages");
    if !pages.is_dir() {
        eprintln!("skipped: no folder of real pages (set CROWDREAD_SHARED)");
        return None;
    }
    Some(pages)
}

/// The real OCR and truth files, by path.
pub(crate) fn real_files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in real_pages().into_iter().flat_map(|pages| std::fs::read_dir(pages).unwrap()).map(|entry| entry.unwrap().path()) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if is_ocr_name(&path) {
                files.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

pub(crate) fn one_page(name: &str, text: &str) -> ReadPage {
    let mut pages = read(name, text.as_bytes()).unwrap();
    assert_eq!(pages.len(), 1);
    pages.remove(0)
}

fn words(page: &Page) -> Vec<(&str, &str)> {
    page.words().map(|word| (word.id.as_str(), word.text.as_str())).collect()
}
