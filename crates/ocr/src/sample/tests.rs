//! The sample that ships is what the demo promises.

use super::*;
use crate::{convention::Convention, evaluate};

#[test]
fn the_sample_has_what_the_demo_promises() {
    let shipped = pages().unwrap();
    assert!(shipped.len() >= 6, "{} pages", shipped.len());
    let note = SAMPLE.get_file("collection.json").and_then(|file| file.contents_utf8()).unwrap();
    let note: serde_json::Value = serde_json::from_str(note).unwrap();
    for language in ["en", "es"] {
        assert!(note["pages"].as_array().unwrap().iter().any(|page| page["language"] == language), "a page in {language}");
    }
    let mut all = evaluate::PageFigures::default();
    for page in &shipped {
        let ocr = formats::read(&page.files.ocr_name, &page.files.ocr).unwrap().remove(0).page;
        all = all.plus(evaluate::evaluate(&ocr, &page.truth, &Convention::default()));
    }
    assert!(all.printed_words >= 1_500 && all.boxes >= Some(1_500), "{all:?}");
    let right = all.accuracy().unwrap();
    assert!((0.75..=0.92).contains(&right), "{right} of the words are right");
    let bytes = |dir: &Dir<'_>| -> usize { dir.files().map(|file| file.contents().len()).sum() };
    let all_bytes = bytes(&SAMPLE) + SAMPLE.dirs().map(bytes).sum::<usize>();
    assert!(all_bytes <= 3_000_000, "{all_bytes} bytes");
}

#[test]
fn every_page_is_imported_whole() {
    let (_folder, mut collection) = crate::collection::tests::empty();
    for page in pages().unwrap() {
        let imported = crate::collection::import::import_page(&mut collection, &page.files, Some("tesseract")).unwrap();
        assert!(imported.words > 100 && imported.problems.is_empty(), "{imported:?}");
    }
}
