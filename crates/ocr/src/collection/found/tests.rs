//! Which image belongs to which file, and what is no OCR file.

use super::*;

/// A folder with empty files of these names; OCR files begin like Tesseract's TSV where they are none of XML.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, if file.ends_with("mets.xml") { "<?xml version=\"1.0\"?>\n<mets:mets xmlns:mets=\"m\"/>" } else { "" }).unwrap();
    }
    root
}

fn found(root: &Path, paths: &[&str]) -> Found {
    Found::below(&paths.iter().map(|path| root.join(path)).collect::<Vec<_>>()).unwrap()
}

/// Which image each file gets, as paths below the root; `expected` has none where there is an error that says this.
fn check(files: &[&str], paths: &[&str], name_inside: Option<&str>, expected: &[(&str, Result<&str, &str>)]) {
    let root = folder(files);
    let found = found(root.path(), paths);
    for (ocr, image) in expected {
        let ocr = root.path().join(ocr);
        assert!(found.ocr.contains(&ocr), "{} is found: {:?}", ocr.display(), found.ocr);
        match (found.image_of(&ocr, name_inside), image) {
            (Ok(got), Ok(image)) => assert_eq!(got, root.path().join(image), "for {}", ocr.display()),
            (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
            (got, wanted) => panic!("{}: {got:?}, expected {wanted:?}", ocr.display()),
        }
    }
}

/// Seen to fail when the first image of a name is taken, whatever its folder: `vol2` then gets the picture of `vol1`.
#[test]
fn volumes_with_the_same_names_keep_their_own_images() {
    let files = ["vol1/0001.tsv", "vol1/0001.png", "vol2/0001.tsv", "vol2/0001.png"];
    let own = [("vol1/0001.tsv", Ok("vol1/0001.png")), ("vol2/0001.tsv", Ok("vol2/0001.png"))];
    check(&files, &["vol1", "vol2"], None, &own);
    check(&files, &[""], None, &own);
    check(&files, &["vol1", "vol2"], Some("scans\\0001.png"), &own);
}

#[test]
fn an_image_in_one_of_two_equally_near_folders_is_not_guessed() {
    check(&["ocr/1.tsv", "a/1.png", "b/1.png"], &[""], None, &[("ocr/1.tsv", Err("two images could be meant"))]);
    check(&["ocr/1.tsv", "a/1.png", "b/2.png"], &[""], None, &[("ocr/1.tsv", Ok("a/1.png"))]);
}

#[test]
fn the_name_inside_a_file_comes_before_the_file_s_own() {
    check(&["x.xml", "x.png", "scan_7.png"], &[""], Some("in/scan_7.png"), &[("x.xml", Ok("scan_7.png"))]);
    check(&["x.xml", "x.png", "scan_7.jpg"], &[""], Some("scan_7.tif"), &[("x.xml", Ok("scan_7.jpg"))]);
    check(&["x.xml", "x.png"], &[""], Some("gone.tif"), &[("x.xml", Ok("x.png"))]);
    check(&["x.xml"], &[""], Some("gone.tif"), &[("x.xml", Err("gone.tif or x.xml"))]);
}

/// Seen to fail when every ending is taken off: `vol.001.xml` is then of `vol.png`.
#[test]
fn only_endings_that_mean_nothing_are_taken_off() {
    let files = ["vol.001.xml", "vol.png", "vol.002.gt.xml", "vol.002.png", "3.tif.xml", "3.tif", "4.ALTO.xml", "4.jpg"];
    let expected = [
        ("vol.001.xml", Err("no image belongs")),
        ("vol.002.gt.xml", Ok("vol.002.png")),
        ("3.tif.xml", Ok("3.tif")),
        ("4.ALTO.xml", Ok("4.jpg")),
    ];
    check(&files, &[""], None, &expected);
}

#[test]
fn of_two_copies_in_one_folder_the_better_one_is_taken() {
    check(&["1.tsv", "1.jpg", "1.tif", "1.png"], &[""], None, &[("1.tsv", Ok("1.png"))]);
}

/// As Transkribus and OCR-D lay their folders out, also when only the folder with the OCR files is named.
#[test]
fn images_in_the_folder_above_are_found() {
    let files = ["book/1.jpg", "book/2.jpg", "book/mets.xml", "book/page/1.xml", "book/page/2.xml"];
    let expected = [("book/page/1.xml", Ok("book/1.jpg")), ("book/page/2.xml", Ok("book/2.jpg"))];
    check(&files, &[""], None, &expected);
    check(&files, &["book/page"], None, &expected);
    check(&files, &["book/page/1.xml"], None, &expected[..1]);
    check(&["w/OCR-D-IMG/1.tif", "w/OCR-D-OCR/1.xml", "v/OCR-D-IMG/1.tif"], &[""], None, &[("w/OCR-D-OCR/1.xml", Ok("w/OCR-D-IMG/1.tif"))]);
}

#[test]
fn a_mets_file_is_left_out_with_a_word_and_not_an_error() {
    let root = folder(&["mets.xml", "1.tsv", "1.png", ".hidden.tsv", "notes.doc"]);
    let found = found(root.path(), &[""]);
    assert_eq!(found.ocr, [root.path().join("1.tsv")]);
    assert_eq!(found.left_out.len(), 1);
    assert!(found.left_out[0].contains("mets.xml") && found.left_out[0].contains("METS"), "{:?}", found.left_out);
    // Who names it is told so by its format.
    let named = Found::below(&[root.path().join("mets.xml")]).unwrap();
    assert_eq!((named.ocr.len(), named.left_out.len()), (1, 0));
}

#[test]
fn a_path_that_is_not_there_is_named_and_a_circle_of_links_ends() {
    let root = folder(&["a/1.tsv", "a/1.png"]);
    let error = Found::below(&[root.path().join("gone")]).unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
    #[cfg(unix)]
    std::os::unix::fs::symlink(root.path(), root.path().join("a/round")).unwrap();
    assert_eq!(found(root.path(), &["", "a", "a/1.tsv"]).ocr.len(), 1, "each file once");
}
