//! Files that are cut off, too large, hostile or something else: each gets an error that names it, none a panic.

use super::*;

fn error(name: &str, bytes: &[u8]) -> String {
    let error = read(name, bytes).unwrap_err();
    assert_eq!(error.kind(), record::ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains(name), "names the file: {text}");
    text
}

#[test]
fn files_of_another_kind_are_refused_with_what_was_found() {
    for (bytes, says) in [
        (&b"\x89PNG\r\n\x1a\n"[..], "not an OCR file"),
        (b"", "begins_with: nothing"),
        (b"{\"a\":1}", "begins_with: {"),
        (b"<rss><channel/></rss>", "outermost_element: rss"),
        (b"<PcGts/>", "expected a Page element"),
        (b"<alto><Layout/></alto>", "expected a Page element"),
        (b"<html><body><p>hello</p></body></html>", "ocr_page"),
        (b"<alto>\n<Layout>\n</alto>", "line: 3"),
        (b"<alto></alto><alto></alto>", "second outermost"),
        (b"<alto></alto> and more", "text outside"),
        (b"<alto>&unknown;</alto>", "not known"),
        (b"<alto a='&unknown;'></alto>", "not known"),
        (b"<alto a='1' a='2'></alto>", "attribute"),
        (b"<alto>\xff</alto>", "byte: 6"),
        (b"<?xml version='1.0' encoding='EBCDIC'?><alto/>", "ebcdic"),
        (b"<alto><Description><MeasurementUnit>furlong</MeasurementUnit></Description><Layout><Page/></Layout></alto>", "furlong"),
        (b"level\tpage_num\tblock\n5\t1\t1\n", "12 columns"),
        (b"level\tpage_num\tblock\n5\t1\t1\t1\t1\t1\tx\t2\t3\t4\t50\tword\n", "column: 7"),
        (b"level\tpage_num\tblock\n", "no rows"),
        (b"a.png\t1 2 3 4\ttext\nno tabs here\n", "line: 2"),
    ] {
        let found = error("some.file", bytes);
        assert!(found.contains(says), "expected {says:?} in {found:?}");
    }
}

/// Seen to fail without the arm for `Event::DocType`: the references are then refused one by one, but the declaration is not named.
#[test]
fn entity_bombs_are_refused() {
    let bomb =
        br#"<?xml version="1.0"?><!DOCTYPE alto [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><alto>&b;</alto>"#;
    assert!(error("bomb.xml", bomb).contains("own entities"));
    let outside = br#"<!DOCTYPE alto [<!ENTITY a SYSTEM "file:///etc/passwd">]><alto>&a;</alto>"#;
    assert!(error("bomb.xml", outside).contains("own entities"));
}

#[test]
fn deep_and_large_files_are_refused() {
    let deep = "<alto>".to_owned() + &"<a>".repeat(xml::DEPTH_MAX + 1);
    assert!(error("deep.xml", deep.as_bytes()).contains("nested too deeply"));
    let many = "<alto>".to_owned() + &"<a/>".repeat(xml::ELEMENTS_MAX) + "</alto>";
    assert!(error("many.xml", many.as_bytes()).contains("too many elements"));
    let large = "<alto>".to_owned() + &" ".repeat(xml::XML_BYTES_MAX);
    assert!(error("large.xml", large.as_bytes()).contains("too large"));
}

#[test]
fn too_many_words_are_refused() {
    let row = "5\t1\t1\t1\t1\t1\t10\t10\t90\t30\t96\tuno\n";
    let tsv = "level\tpage_num\tblock\n".to_owned() + &row.repeat(WORDS_PER_PAGE_MAX + 1);
    assert!(error("many.tsv", tsv.as_bytes()).contains("too many words"));
}

/// XML and Tesseract's TSV show where they end, so each cut is an error. In other formats a cut may leave a file that is whole.
#[test]
fn real_files_cut_anywhere_give_an_error_and_no_panic() {
    for (name, bytes) in real_files() {
        let end = String::from_utf8_lossy(&bytes).trim_end().len();
        for part in 0..120 {
            let cut = part * end / 120 + part % 7;
            let whole = read(&name, &bytes[..cut.min(end - 1)]);
            if name.ends_with(".xml") {
                let error = whole.expect_err(&name).to_string();
                assert!(error.contains(&name), "{error}");
            }
        }
    }
}

/// Every byte may be anything: no panic, and an error where it is not a file any more.
#[test]
fn real_files_with_a_damaged_byte_do_not_panic() {
    for (name, bytes) in real_files() {
        for part in 0..40 {
            let mut damaged = bytes.clone();
            let at = part * bytes.len() / 40;
            damaged[at] = [b'<', b'>', b'"', b'&', 0xff, 0][part % 6];
            let _ = read(&name, &damaged);
        }
    }
}
