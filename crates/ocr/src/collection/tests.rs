//! What a collection's folder promises: what is whole counts, what is not is passed over or named.

use std::io::Cursor;

use super::*;

/// A white picture in PNG; another shade is another page.
pub(crate) fn picture((width, height): (u32, u32), shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::GrayImage::from_pixel(width, height, image::Luma([shade])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Tesseract's TSV of a page of 400 × 100 pixels with one line, a box of 40 pixels for each word.
pub(crate) fn tsv(text: &str) -> Vec<u8> {
    let mut rows = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n".to_owned();
    rows += "1\t1\t0\t0\t0\t0\t0\t0\t400\t100\t-1\t\n4\t1\t1\t1\t1\t0\t10\t10\t380\t30\t-1\t\n";
    for (index, word) in text.split(' ').enumerate() {
        rows += &format!("5\t1\t1\t1\t1\t{}\t{}\t10\t40\t30\t90\t{word}\n", index + 1, 10 + 50 * index);
    }
    rows.into_bytes()
}

pub(crate) fn page_files(name: &str, shade: u8, text: &str) -> import::PageFiles {
    import::PageFiles {
        ocr_name: format!("{name}.tsv"),
        ocr: tsv(text),
        image_name: format!("{name}.png"),
        image: picture((400, 100), shade),
    }
}

/// A collection in a folder that goes with the first of the two.
pub(crate) fn empty() -> (tempfile::TempDir, Collection) {
    let folder = tempfile::tempdir().unwrap();
    let collection = Collection::open_or_create(folder.path(), "books").unwrap();
    (folder, collection)
}

pub(crate) fn texts(reading: &PageReading) -> Vec<&str> {
    reading.page.words().map(|word| word.text.as_str()).collect()
}

#[test]
fn a_collection_is_the_same_when_it_is_opened_again() {
    let (_folder, mut collection) = empty();
    for (name, shade, engine) in [("b", 1, "zeta"), ("a", 2, "zeta"), ("b", 1, "alpha")] {
        import::import_page(&mut collection, &page_files(name, shade, "uno dos"), Some(engine)).unwrap();
    }
    let again = Collection::open(&collection.folder).unwrap();
    let page = again.pages.iter().find(|page| page.title == "b").unwrap();
    let engines: Vec<&str> = page.readings.iter().map(|reading| reading.engine.as_str()).collect();
    assert_eq!(engines, ["alpha", "zeta"], "by name, whatever their hashes");
    assert_eq!(again.pages.iter().map(|page| page.title.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(again.settings, collection.settings);
    let here = collection.pages.iter().find(|known| known.id == page.id).unwrap();
    assert_eq!(here.readings, page.readings);
    assert!(page.image.is_file() && page.size_px == (400, 100));
}

/// Cut off before its image was whole: there is a folder, and no page.
#[test]
fn an_import_that_was_cut_off_leaves_no_page() {
    let (_folder, mut collection) = empty();
    let imported = import::import_page(&mut collection, &page_files("a", 1, "uno"), None).unwrap();
    let page = collection.folder.join("pages").join(&imported.page);
    fs::remove_file(page.join("image.json")).unwrap();
    fs::create_dir(collection.folder.join("pages/something-else")).unwrap();
    assert!(Collection::open(&collection.folder).unwrap().pages.is_empty());
    // The next try makes it whole.
    let mut opened = Collection::open(&collection.folder).unwrap();
    import::import_page(&mut opened, &page_files("a", 1, "uno"), None).unwrap();
    assert_eq!((opened.pages.len(), Collection::open(&collection.folder).unwrap().pages.len()), (1, 1));
}

#[test]
fn a_damaged_file_is_named() {
    let (_folder, mut collection) = empty();
    let imported = import::import_page(&mut collection, &page_files("a", 1, "uno"), None).unwrap();
    let folder = collection.folder.join("pages").join(&imported.page);
    let reading = sorted_entries(&folder)
        .unwrap()
        .into_iter()
        .find(|path| path.to_string_lossy().contains("reading-") && path.extension().unwrap() == "json");
    fs::write(reading.unwrap(), b"{\"engine\":").unwrap();
    let error = Collection::open(&collection.folder).unwrap_err();
    assert_eq!(error.kind(), record::ErrorKind::Corrupt);
    assert!(error.to_string().contains("reading-"), "{error}");
}

#[test]
fn names_that_cannot_be_a_folder_s_are_refused() {
    for name in ["", "Books", "../books", "a b", &"a".repeat(65)] {
        assert_eq!(check_name(name).unwrap_err().kind(), record::ErrorKind::Invalid, "{name:?}");
    }
}

/// Two words in one box with one text would be one place judged twice.
#[test]
fn a_second_word_with_the_same_box_and_text_is_no_task() {
    let (_folder, mut collection) = empty();
    let mut files = page_files("a", 1, "uno dos");
    let rows = String::from_utf8(files.ocr).unwrap();
    let last = rows.lines().last().unwrap().to_owned();
    files.ocr = format!("{rows}{last}\n").into_bytes();
    import::import_page(&mut collection, &files, None).unwrap();
    let page = &collection.pages[0];
    let tasks = word_tasks(&collection.settings, &page.id, &page.readings[0]);
    assert_eq!((page.readings[0].page.words().count(), tasks.len()), (3, 2));
}
