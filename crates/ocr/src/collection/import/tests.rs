//! What import promises: all of a page or nothing of it, and what is wrong is said.

use super::{super::sorted_entries, *};
use crate::collection::tests::{empty, page_files, picture, texts, tsv};

fn import(collection: &mut Collection, files: &PageFiles, engine: Option<&str>) -> Result<Imported> {
    import_page(collection, files, engine)
}

/// The error of a page that is refused; the collection is as it was, also on disk.
fn refused(files: &PageFiles) -> String {
    let (_folder, mut collection) = empty();
    let error = import(&mut collection, files, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(collection.pages.is_empty() && Collection::open(&collection.folder).unwrap().pages.is_empty());
    error.to_string()
}

fn alto(unit: &str, size: (u32, u32)) -> Vec<u8> {
    format!(
        r#"<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Description><MeasurementUnit>{unit}</MeasurementUnit></Description>
<Layout><Page ID="p" WIDTH="{}" HEIGHT="{}"><PrintSpace><TextBlock ID="t"><TextLine ID="l" HPOS="10" VPOS="10" WIDTH="300" HEIGHT="30">
<String ID="s1" HPOS="10" VPOS="10" WIDTH="90" HEIGHT="30" CONTENT="eins"/><SP/><String ID="s2" HPOS="110" VPOS="10" WIDTH="90" HEIGHT="30" CONTENT="zwei">
<Shape><Polygon POINTS="110,10 200,12 200,40 110,38"/></Shape></String></TextLine></TextBlock></PrintSpace></Page></Layout></alto>"#,
        size.0, size.1
    )
    .into_bytes()
}

fn alto_files(unit: &str, size: (u32, u32), image_px: (u32, u32)) -> PageFiles {
    PageFiles { ocr_name: "a.xml".to_owned(), ocr: alto(unit, size), image_name: "a.png".to_owned(), image: picture(image_px, 200) }
}

fn rects(collection: &Collection) -> Vec<Rect> {
    collection.pages[0].readings[0].page.words().map(|word| word.rect).collect()
}

#[test]
fn a_page_has_its_words_and_what_exports_need() {
    let (_folder, mut collection) = empty();
    let imported = import(&mut collection, &page_files("0001", 9, "el camino"), Some(" tesseract ")).unwrap();
    assert_eq!((imported.words, imported.known, imported.problems.len()), (2, false, 0));
    let reading = &collection.pages[0].readings[0];
    assert_eq!((texts(reading), reading.engine.as_str()), (vec!["el", "camino"], "tesseract"));
    // The file has neither; in another format they would be lost.
    assert_eq!((reading.page.image_name.as_deref(), reading.page.engine.as_deref()), (Some("0001.png"), Some("tesseract")));
    assert_eq!(source_bytes(&collection, &collection.pages[0].id, reading).unwrap(), tsv("el camino"));
}

#[test]
fn bad_images_are_refused_with_what_is_wrong() {
    let good = page_files("a", 9, "uno");
    let cut = good.image[..good.image.len() / 2].to_vec();
    let mut huge = good.image.clone();
    huge[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]); // 100,000 × 100,000 in the header
    for (image, says) in [(b"no image".to_vec(), "expected a PNG, JPEG or TIFF"), (cut, "a.png"), (huge, "a.png"), (Vec::new(), "a.png")] {
        let found = refused(&PageFiles { image, ocr: good.ocr.clone(), ocr_name: "a.tsv".to_owned(), image_name: "a.png".to_owned() });
        assert!(found.contains(says), "{found}");
    }
}

#[test]
fn pages_without_words_are_refused_with_advice() {
    let text = PageFiles { ocr: b"a.png\t1 1 50 20\tline by line\n".to_vec(), ..page_files("a", 9, "uno") };
    assert!(refused(&text).contains("no word boxes"));
    let rows = String::from_utf8(tsv("uno")).unwrap().replace("\t400\t100\t", "\t0\t0\t").replace("\t10\t10\t40\t", "\t390\t10\t40\t");
    let outside = refused(&PageFiles { ocr: rows.into_bytes(), ..page_files("a", 9, "uno") });
    assert!(outside.contains("no words on this page"), "{outside}");
    let two =
        String::from_utf8(alto("pixel", (400, 100))).unwrap().replace("</Layout>", "<Page ID=\"q\" WIDTH=\"9\" HEIGHT=\"9\"/></Layout>");
    assert!(refused(&PageFiles { ocr: two.into_bytes(), ..alto_files("pixel", (400, 100), (400, 100)) }).contains("one page in a file"));
}

#[test]
fn boxes_outside_the_image_are_left_out_and_named() {
    let (_folder, mut collection) = empty();
    let rows =
        String::from_utf8(tsv("uno dos")).unwrap().replace("\t400\t100\t", "\t0\t0\t").replace("\t60\t10\t40\t30\t", "\t380\t10\t40\t30\t");
    let imported = import(&mut collection, &PageFiles { ocr: rows.into_bytes(), ..page_files("a", 9, "uno") }, None).unwrap();
    assert_eq!((imported.words, texts(&collection.pages[0].readings[0])), (1, vec!["uno"]));
    assert!(imported.problems[0].contains("40x30+380+10 is not within the image of 400x100"), "{:?}", imported.problems);
}

/// Seen to fail when the file is read before the image's size is known: ALTO in these units is then refused.
#[test]
fn alto_in_millimetres_or_inches_is_scaled_to_its_image() {
    for unit in ["mm10", "inch1200"] {
        let (_folder, mut collection) = empty();
        import(&mut collection, &alto_files(unit, (400, 100), (800, 200)), None).unwrap();
        assert_eq!(rects(&collection)[0], Rect { x: 20, y: 20, width: 180, height: 60 }, "{unit}");
        let page = &collection.pages[0].readings[0].page;
        assert_eq!((page.width, page.height), (800, 200));
    }
}

/// Seen to fail without `fit`: the boxes then stand where the words were on the larger copy.
#[test]
fn a_smaller_copy_of_the_image_gets_its_places_and_another_shape_is_refused() {
    let (_folder, mut collection) = empty();
    import(&mut collection, &alto_files("pixel", (400, 100), (200, 50)), None).unwrap();
    assert_eq!(rects(&collection), [Rect { x: 5, y: 5, width: 45, height: 15 }, Rect { x: 55, y: 5, width: 45, height: 15 }]);
    assert_eq!(collection.pages[0].readings[0].page.words().last().unwrap().polygon, [(55, 5), (100, 6), (100, 20), (55, 19)]);
    let turned = refused(&alto_files("pixel", (400, 100), (100, 400)));
    assert!(turned.contains("400x100") && turned.contains("100x400"), "{turned}");
    // A pixel more or less is no other copy.
    let (_folder, mut collection) = empty();
    import(&mut collection, &alto_files("pixel", (400, 100), (401, 101)), None).unwrap();
    assert_eq!(rects(&collection)[0], Rect { x: 10, y: 10, width: 90, height: 30 });
}

#[test]
fn lines_without_words_stay_and_are_told() {
    let page = r#"<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page imageFilename="a.png" imageWidth="400" imageHeight="100">
<TextRegion id="r"><Coords points="0,0 400,0 400,100"/><TextLine id="l"><Coords points="0,0 400,0 400,40 0,40"/>
<Word id="a"><Coords points="0,0 90,0 90,40 0,40"/><TextEquiv><Unicode>uno</Unicode></TextEquiv></Word></TextLine>
<TextLine id="m"><Coords points="0,50 400,50 400,90 0,90"/><TextEquiv><Unicode>dos tres</Unicode></TextEquiv></TextLine></TextRegion></Page></PcGts>"#;
    let (_folder, mut collection) = empty();
    let files = PageFiles { ocr_name: "a.xml".to_owned(), ocr: page.into(), ..page_files("a", 9, "uno") };
    let imported = import(&mut collection, &files, None).unwrap();
    assert_eq!(imported.words, 1);
    assert!(imported.problems[0].contains("1 lines have no word boxes"), "{:?}", imported.problems);
    let lines: Vec<_> = collection.pages[0].readings[0].page.lines.iter().map(|line| line.text_or_words().into_owned()).collect();
    assert_eq!(lines, ["uno", "dos tres"]);
}

#[test]
fn the_same_file_again_changes_nothing() {
    let (_folder, mut collection) = empty();
    let files = page_files("a", 9, "uno dos");
    let first = import(&mut collection, &files, Some("e")).unwrap();
    let before = collection.pages[0].readings.clone();
    let again = import(&mut collection, &files, Some("e")).unwrap();
    assert_eq!((first.known, again.known, again.page), (false, true, first.page));
    assert_eq!(collection.pages[0].readings, before);
    assert_eq!(Collection::open(&collection.folder).unwrap().pages[0].readings, before);
}

/// Seen to fail when a reading is written over: words under way then point into a page that is not theirs.
#[test]
fn another_reading_by_the_same_engine_is_refused_while_people_may_be_reading() {
    let (_folder, mut collection) = empty();
    import(&mut collection, &page_files("a", 9, "uno dos"), Some("e")).unwrap();
    let other = page_files("a", 9, "uno tres dos");
    let error = import(&mut collection, &other, Some("e")).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("--engine"), "{error}");
    let opened = Collection::open(&collection.folder).unwrap();
    assert_eq!(texts(&opened.pages[0].readings[0]), ["uno", "dos"]);
    assert_eq!(source_bytes(&opened, &opened.pages[0].id, &opened.pages[0].readings[0]).unwrap(), tsv("uno dos"));
    assert!(!import(&mut collection, &other, Some("e2")).unwrap().known);
    assert_eq!(collection.pages[0].readings.len(), 2);
}

fn write(folder: &Path, files: &PageFiles) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(&files.ocr_name), &files.ocr).unwrap();
    fs::write(folder.join(&files.image_name), &files.image).unwrap();
}

/// What became of a folder's files.
#[derive(Debug, Default)]
struct ImportReport {
    imported: Vec<Imported>,
    failed: Vec<String>,
    left_out: Vec<String>,
}

fn import_folder(collection: &mut Collection, folder: &Path) -> ImportReport {
    let found = Found::below(&[folder.to_owned()]).unwrap();
    let mut report = ImportReport { left_out: found.left_out.clone(), ..ImportReport::default() };
    let mut batch = Batch::default();
    for ocr in &found.ocr {
        match read_files(&found, ocr).and_then(|files| batch.import_page(collection, ocr, &files, None)) {
            Ok(imported) => report.imported.push(imported),
            Err(error) => report.failed.push(format!("{}: {error}", ocr.display())),
        }
    }
    report
}

#[test]
fn without_a_server_another_reading_takes_the_place_and_its_source_with_it() {
    let (folder, mut collection) = empty();
    let pages = folder.path().join("in");
    for text in ["uno dos", "uno tres dos"] {
        write(&pages, &page_files("a", 9, text));
        let report = import_folder(&mut collection, &pages);
        assert_eq!((report.imported.len(), report.failed.len()), (1, 0), "{report:?}");
        let opened = Collection::open(&collection.folder).unwrap();
        assert_eq!(texts(&opened.pages[0].readings[0]), text.split(' ').collect::<Vec<_>>());
        assert_eq!(source_bytes(&opened, &opened.pages[0].id, &opened.pages[0].readings[0]).unwrap(), tsv(text));
    }
    let sources = sorted_entries(collection.pages[0].image.parent().unwrap()).unwrap();
    assert_eq!(sources.iter().filter(|path| path.to_string_lossy().contains(".source.")).count(), 1, "{sources:?}");
}

/// A page in ALTO and in PAGE beside one image: which one is meant is for the person to say.
#[test]
fn two_files_of_one_image_and_engine_in_one_import_are_told() {
    let (folder, mut collection) = empty();
    let pages = folder.path().join("in");
    write(&pages, &page_files("a", 9, "uno dos"));
    write(&pages, &PageFiles { ocr_name: "a.xml".to_owned(), ..alto_files("pixel", (400, 100), (400, 100)) });
    write(&pages, &page_files("a", 9, "uno dos"));
    write(&pages, &page_files("b", 8, "tres"));
    let report = import_folder(&mut collection, &pages);
    assert_eq!((report.imported.len(), report.failed.len(), collection.pages.len()), (2, 1, 2), "{report:?}");
    assert!(report.failed[0].contains("a.xml") && report.failed[0].contains("a.tsv"), "{:?}", report.failed);
}

#[test]
fn what_is_wrong_with_one_file_does_not_stop_the_rest() {
    let (folder, mut collection) = empty();
    let pages = folder.path().join("in");
    write(&pages, &page_files("a", 9, "uno"));
    fs::write(pages.join("broken.xml"), "<alto><Lay").unwrap();
    fs::write(pages.join("mets.xml"), "<mets/>").unwrap();
    fs::write(pages.join("alone.tsv"), tsv("dos")).unwrap();
    let report = import_folder(&mut collection, &pages);
    assert_eq!((report.imported.len(), report.failed.len(), report.left_out.len()), (1, 2, 1), "{report:?}");
    assert!(report.failed[0].contains("alone.tsv") && report.failed[0].contains("no image belongs"), "{:?}", report.failed);
    assert!(report.failed[1].contains("broken.xml"), "{:?}", report.failed);
}

/// Every real page whose image is there can be imported, and what is written is read back.
#[test]
fn real_pages_are_imported() {
    let Some(pages) = formats::tests::real_pages() else { return };
    // Truth by lines, the same page in two formats, and a file that names no image and has another name.
    let known = ["no word boxes", "same image and engine", "looked_for: PAGE_0017_ALTO.xml)"];
    for folder in ["kant-1784", "campbell-1881", "jebb-1896", "laube-1837"] {
        let (_folder, mut collection) = empty();
        let report = import_folder(&mut collection, &pages.join(folder));
        for failed in &report.failed {
            assert!(known.iter().any(|known| failed.contains(known)), "{failed}");
        }
        assert_eq!(report.imported.len(), usize::from(folder == "kant-1784"), "{folder}: {:?}", report.imported);
    }
}
