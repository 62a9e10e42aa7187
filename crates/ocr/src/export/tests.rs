//! What `export` promises.

use super::*;
use crate::formats::{
    ReadPage, read,
    tests::{one_page, real_files},
};

mod schemas;

const AT: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

const WRITTEN: [Format; 4] = [Format::PageXml, Format::Alto, Format::Hocr, Format::Tsv];

fn correction(word: usize, text: &str) -> WordCorrection {
    WordCorrection { word, text: text.to_owned(), by: "crowd".to_owned(), posterior: 0.987_654 }
}

fn export(name: &str, text: &str, corrections: &[WordCorrection], target: Format) -> String {
    let page = one_page(name, text).page;
    String::from_utf8(corrected(Original { name, bytes: text.as_bytes() }, &page, corrections, target, AT).unwrap()).unwrap()
}

fn texts(page: &Page) -> Vec<&str> {
    page.words().map(|word| word.text.as_str()).collect()
}

/// What must stand in the file instead of what; all other bytes must be as before.
fn check(name: &str, before: &str, corrections: &[WordCorrection], changes: &[(&str, &str)]) {
    let format = one_page(name, before).format;
    let mut expected = before.to_owned();
    for (old, new) in changes {
        assert_eq!(expected.matches(old).count(), 1, "{old:?} is once in the file");
        expected = expected.replace(old, new);
    }
    let after = export(name, before, corrections, format);
    assert_eq!(after, expected);
    let page = one_page(name, &after).page;
    let mut words = one_page(name, before).page;
    for correction in corrections {
        let word = words.lines.iter_mut().flat_map(|line| &mut line.words).nth(correction.word).unwrap();
        word.text.clone_from(&correction.text);
    }
    assert_eq!(texts(&page), texts(&words));
}

const PAGE: &str = r#"<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page imageFilename="a.png" imageWidth="400" imageHeight="300">
<TextRegion id="r"><Coords points="0,0 400,0 400,300"/>
<TextLine id="l"><Coords points="0,0 400,0 400,40 0,40"/>
 <Word id="a"><Coords points="0,0 90,0 90,40 0,40"/><TextEquiv conf="0.5"><Unicode>tbe</Unicode></TextEquiv></Word>
 <Word id="b"><Coords points="100,0 190,0 190,40 100,40"/><TextEquiv index="2"><Unicode>wa11</Unicode></TextEquiv><TextEquiv index="5"><Unicode>vvall</Unicode></TextEquiv></Word>
 <TextEquiv><Unicode>tbe  wa11</Unicode></TextEquiv></TextLine>
<TextEquiv><Unicode>tbe  wa11
</Unicode></TextEquiv></TextRegion></Page></PcGts>"#;

#[test]
fn page_xml_keeps_the_original_at_a_higher_index_and_all_else_as_it_was() {
    let new = |text: &str, attributes: &str| format!("<TextEquiv index=\"0\"{attributes}><Unicode>{text}</Unicode></TextEquiv>");
    let by = " conf=\"0.9877\" comments=\"crowd\"";
    check(
        "a.xml",
        PAGE,
        &[correction(0, "the"), correction(1, "w & all")],
        &[
            ("<TextEquiv conf=", &format!("{}<TextEquiv index=\"1\" conf=", new("the", by))),
            ("<TextEquiv index=\"2\">", &format!("{}<TextEquiv index=\"1\">", new("w &amp; all", by))),
            ("index=\"5\"", "index=\"2\""),
            (" <TextEquiv><Unicode>tbe  wa11</", &format!(" {}<TextEquiv index=\"1\"><Unicode>tbe  wa11</", new("the  w &amp; all", ""))),
            (
                "\n<TextEquiv><Unicode>tbe  wa11\n",
                &format!("\n{}<TextEquiv index=\"1\"><Unicode>tbe  wa11\n", new("the  w &amp; all\n", "")),
            ),
        ],
    );
}

#[test]
fn page_xml_before_2016_has_its_text_replaced() {
    let old = PAGE.replace("2019-07-15", "2013-07-15");
    check(
        "a.xml",
        &old,
        &[correction(0, "the")],
        &[
            (">tbe<", ">the<"),
            (" <TextEquiv><Unicode>tbe  wa11</", " <TextEquiv><Unicode>the  wa11</"),
            ("\n<TextEquiv><Unicode>tbe  wa11\n", "\n<TextEquiv><Unicode>the  wa11\n"),
        ],
    );
}

/// A line of the page with words and a text of its own; `what_became_of` it when some of its words are corrected.
fn what_became_of(line: &str, words: &[&str], corrections: &[(usize, &str)]) -> String {
    let boxed = |(index, word): (usize, &&str)| {
        let (left, right) = (index * 20, index * 20 + 18);
        format!(
            "<Word id=\"w{index}\"><Coords points=\"{left},0 {right},0 {right},40 {left},40\"/><TextEquiv><Unicode>{word}</Unicode></TextEquiv></Word>"
        )
    };
    let words: String = words.iter().enumerate().map(boxed).collect();
    let (start, end) = (PAGE.find(" <Word").unwrap(), PAGE.find(" <TextEquiv><Unicode>tbe").unwrap());
    let file = PAGE[..start].to_owned() + &words + &PAGE[end..].replace("tbe  wa11", line);
    let corrections: Vec<_> = corrections.iter().map(|(word, text)| correction(*word, text)).collect();
    let after = export("a.xml", &file, &corrections, Format::PageXml);
    let document = formats::xml::Document::parse("a.xml", after.as_bytes(), formats::xml::Markup::Xml).unwrap();
    let region = document.root().descendants().find(|element| element.name() == "TextRegion").unwrap();
    let main = |element: formats::xml::Element<'_>| element.child("TextEquiv").unwrap().child("Unicode").unwrap().text();
    let (of_line, of_region) = (main(region.child("TextLine").unwrap()), main(region));
    assert_eq!(of_region.trim_end_matches('\n'), of_line);
    of_line
}

/// Seen to fail when a word is looked for anywhere in the line: *casas casa* then becomes *cosas casa*.
#[test]
fn a_line_s_text_is_mended_at_the_word_and_nowhere_else() {
    assert_eq!(what_became_of("casas casa", &["casas", "casa"], &[(1, "cosa")]), "casas cosa");
    assert_eq!(what_became_of("a  ab abc", &["a", "ab", "abc"], &[(0, "x"), (2, "c")]), "x  ab c");
    assert_eq!(what_became_of("de de de", &["de", "de", "de"], &[(1, "la")]), "de la de");
    assert_eq!(what_became_of(" casa, casa ", &["casa", ",", "casa"], &[(2, "cosa")]), " casa, cosa ");
    assert_eq!(what_became_of("uno | dos", &["uno", "|", "dos"], &[(1, "")]), "uno dos");
    assert_eq!(what_became_of(" | uno", &["|", "uno"], &[(0, "")]), " uno");
    assert_eq!(what_became_of("uno |", &["uno", "|"], &[(1, "")]), "uno");
    // The line says other than its words: it is put together from them.
    assert_eq!(what_became_of("casas cosa y casa", &["casas", "casa"], &[(1, "cosa")]), "casas cosa");
    assert_eq!(what_became_of("casa s", &["casas", "casa"], &[(1, "")]), "casas");
    // Nothing to mend: nothing is touched.
    assert_eq!(what_became_of("not its words", &["casas", "casa"], &[]), "not its words");
}

const ALTO: &str = r#"<a:alto xmlns:a="http://www.loc.gov/standards/alto/ns-v3#"><a:Layout><a:Page ID="p" PHYSICAL_IMG_NR="1" WIDTH="400" HEIGHT="300"><a:PrintSpace><a:TextBlock ID="t">
<a:TextLine ID="l"><a:String ID="a" HPOS="0" VPOS="0" WIDTH="90" HEIGHT="40" WC="0.5" CONTENT="tbe"/><a:SP/><a:String ID="b" HPOS="100" VPOS="0" WIDTH="90" HEIGHT="40" CONTENT="Mem" SUBS_TYPE="HypPart1" SUBS_CONTENT="Memschen"><a:Glyph CONTENT="M"/></a:String><a:HYP CONTENT="-"/></a:TextLine>
<a:TextLine ID="m"><a:String ID="c" HPOS="0" VPOS="50" WIDTH="90" HEIGHT="40" CONTENT="schen" SUBS_TYPE="HypPart2" SUBS_CONTENT="Memschen"/></a:TextLine>
</a:TextBlock></a:PrintSpace></a:Page></a:Layout></a:alto>"#;

#[test]
fn alto_keeps_the_original_as_an_alternative_and_mends_the_word_over_the_lines_end() {
    check(
        "a.xml",
        ALTO,
        &[correction(0, "the \"A\""), correction(1, "Men-")],
        &[
            ("CONTENT=\"tbe\"/>", "CONTENT=\"the &quot;A&quot;\"><a:ALTERNATIVE PURPOSE=\"original\">tbe</a:ALTERNATIVE></a:String>"),
            (
                "CONTENT=\"Mem\" SUBS_TYPE=\"HypPart1\" SUBS_CONTENT=\"Memschen\">",
                "CONTENT=\"Men\" SUBS_TYPE=\"HypPart1\" SUBS_CONTENT=\"Menschen\"><a:ALTERNATIVE PURPOSE=\"original\">Mem</a:ALTERNATIVE>",
            ),
            ("SUBS_TYPE=\"HypPart2\" SUBS_CONTENT=\"Memschen\"", "SUBS_TYPE=\"HypPart2\" SUBS_CONTENT=\"Menschen\""),
        ],
    );
    check("a.xml", ALTO, &[correction(1, "Mem⸗")], &[("<a:HYP CONTENT=\"-\"/>", "<a:HYP CONTENT=\"⸗\"/>")]);
    check("a.xml", ALTO, &[correction(1, "Mem")], &[("<a:HYP CONTENT=\"-\"/>", "")]);
}

const HOCR: &str = "<html><body><div class='ocr_page' title='bbox 0 0 400 300'><span class='ocr_line' title='bbox 0 0 400 40'>\n\
    <span class='ocrx_word' id='a' title='bbox 0 0 90 40'><em>tbe</em></span> <span class='ocrx_word' id='b' title='bbox 100 0 190 40'>wall</span></span></div></body></html>";

#[test]
fn hocr_keeps_the_original_as_a_deleted_alternative() {
    check(
        "a.hocr",
        HOCR,
        &[correction(0, "t<e")],
        &[("<em>tbe</em>", "<span class=\"alternatives\"><ins class=\"alt\">t&lt;e</ins><del class=\"alt\"><em>tbe</em></del></span>")],
    );
}

/// A box in which nothing is printed: the file keeps what was read there, and readers tell it from a word that has no text.
#[test]
fn a_word_that_is_emptied_in_place_is_told_and_no_problem() {
    let tsv = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
        5\t1\t1\t1\t1\t1\t0\t0\t90\t40\t50\ttbe\n5\t1\t1\t1\t1\t2\t100\t0\t90\t40\t50\twall\n";
    for (name, before) in [("a.xml", PAGE), ("a.xml", ALTO), ("a.hocr", HOCR), ("a.tsv", tsv)] {
        let format = one_page(name, before).format;
        let after = export(name, before, &[correction(1, "")], format);
        let read = one_page(name, &after);
        assert!(read.problems.is_empty(), "{format:?}: {:?}", read.problems);
        assert_eq!(read.emptied.len(), 1, "{format:?}: {after}");
        assert_eq!((read.emptied[0].before, read.emptied[0].word.rect.x), (1, 100), "{format:?}");
        // Mended once more, the file is still the page's.
        let again = corrected(Original { name, bytes: after.as_bytes() }, &read.page, &[correction(0, "the")], format, AT).unwrap();
        assert_eq!(one_page(name, std::str::from_utf8(&again).unwrap()).emptied, read.emptied, "{format:?}");
    }
}

#[test]
fn tsv_keeps_the_original_in_a_column_of_its_own() {
    let header = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext";
    let row = |n: u32, text: &str| format!("5\t1\t1\t1\t1\t{n}\t{n}0\t10\t9\t30\t50\t{text}");
    let before = format!("{header}\r\n4\t1\t1\t1\t1\t0\t10\t10\t90\t30\t-1\t\r\n{}\r\n{}\r\n", row(1, "tbe"), row(2, "wall"));
    let after =
        format!("{header}\toriginal\r\n4\t1\t1\t1\t1\t0\t10\t10\t90\t30\t-1\t\t\r\n{}\ttbe\r\n{}\t\r\n", row(1, "the"), row(2, "wall"));
    assert_eq!(export("a.tsv", &before, &[correction(0, "the")], Format::Tsv), after);
    assert_eq!(export("a.tsv", &before, &[], Format::Tsv), before);
    // A second round keeps the first original.
    assert_eq!(export("a.tsv", &after, &[correction(0, "The")], Format::Tsv), after.replace("\tthe\t", "\tThe\t"));
    assert_eq!(texts(&one_page("a.tsv", &after).page), ["the", "wall"]);
}

#[test]
fn a_page_of_another_file_is_refused() {
    let mut page = one_page("a.xml", PAGE).page;
    page.lines[0].words[1].text = "other".to_owned();
    let original = Original { name: "a.xml", bytes: PAGE.as_bytes() };
    let error = corrected(original, &page, &[correction(0, "the")], Format::PageXml, AT).unwrap_err().to_string();
    assert!(error.contains("a.xml") && error.contains("other"), "{error}");
}

#[test]
fn words_that_import_left_out_do_not_shift_corrections() {
    let mut page = one_page("a.xml", PAGE).page;
    page.lines[0].words.remove(0);
    let original = Original { name: "a.xml", bytes: PAGE.as_bytes() };
    let bytes = corrected(original, &page, &[correction(0, "wall")], Format::PageXml, AT).unwrap();
    assert_eq!(texts(&read("a.xml", &bytes).unwrap()[0].page), ["tbe", "wall"]);
}

#[test]
fn a_file_that_was_not_utf8_says_so_afterwards() {
    let mut wide = vec![0xff, 0xfe];
    wide.extend(format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{PAGE}").encode_utf16().flat_map(u16::to_le_bytes));
    let page = read("a.xml", &wide).unwrap().remove(0).page;
    let bytes = corrected(Original { name: "a.xml", bytes: &wide }, &page, &[correction(0, "thé")], Format::PageXml, AT).unwrap();
    assert!(bytes.starts_with(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    assert_eq!(texts(&read("a.xml", &bytes).unwrap()[0].page), ["thé", "wa11"]);
}

#[test]
fn without_corrections_a_file_in_its_own_format_is_the_same_bytes() {
    for (name, bytes) in real_files() {
        let read = read(&name, &bytes).unwrap().remove(0);
        if read.page.has_word_boxes() {
            assert!(corrected(Original { name: &name, bytes: &bytes }, &read.page, &[], read.format, AT).unwrap() == bytes, "{name}");
        }
    }
}

/// Among lines with words, a line without any is no word of its own when the export is read again.
#[test]
fn a_line_without_words_stays_a_line_in_other_formats() {
    let line = "<TextLine id=\"m\"><Coords points=\"0,50 400,50 400,90 0,90\"/><TextEquiv><Unicode>a line alone</Unicode></TextEquiv></TextLine>\n<TextEquiv><Unicode>tbe  wa11\n";
    let file = PAGE.replace("<TextEquiv><Unicode>tbe  wa11\n", line);
    for target in [Format::PageXml, Format::Alto, Format::Hocr] {
        let page = one_page("a.xml", &file).page;
        let bytes = corrected(Original { name: "none.txt", bytes: b"none" }, &page, &[], target, AT).unwrap();
        let again = one_page("again", std::str::from_utf8(&bytes).unwrap());
        assert_eq!(texts(&again.page), ["tbe", "wa11"], "{target:?}");
        assert_eq!(again.page.lines[1].text.as_deref(), Some("a line alone"), "{target:?}");
        assert!(again.problems.is_empty(), "{target:?}");
    }
}

/// Each real page with word boxes, every seventh word corrected, to each format and back: the same ids (but in TSV, which has none),
/// boxes and texts.
#[test]
fn an_import_of_an_export_gives_the_same_words() {
    for (name, bytes) in real_files() {
        let ReadPage { page, .. } = read(&name, &bytes).unwrap().remove(0);
        let corrections: Vec<_> = (0..page.words().count()).step_by(7).map(|word| correction(word, &format!("neu{word} & <é>"))).collect();
        for target in WRITTEN.into_iter().filter(|_| page.has_word_boxes()) {
            let file = corrected(Original { name: &name, bytes: &bytes }, &page, &corrections, target, AT).unwrap();
            let again = read("again", &file).unwrap().remove(0);
            assert!(again.problems.is_empty(), "{name} as {target:?}: {:?}", again.problems);
            assert_eq!(again.page.words().count(), page.words().count());
            for (index, (word, again)) in page.words().zip(again.page.words()).enumerate() {
                let text = if index % 7 == 0 { format!("neu{index} & <é>") } else { word.text.clone() };
                assert_eq!((&again.rect, &again.text), (&word.rect, &text), "{name} as {target:?}, word {index}");
                assert!(
                    target == Format::Tsv || (again.id == word.id && again.polygon == word.polygon),
                    "{name} as {target:?}, word {index}"
                );
            }
            assert_eq!(again.page.lines.len(), page.lines.len());
        }
    }
}

#[test]
fn plain_text_has_a_row_for_each_line() {
    assert_eq!(export("a.xml", ALTO, &[correction(0, "the"), correction(2, "")], Format::Text), "the Mem-\n");
}
