//! Files are compared whatever their units, and boxes that were emptied stay boxes.

use std::fs;

use super::*;
use crate::{
    collection::tests::tsv,
    export::{Original, WordCorrection, corrected},
    formats::Format,
};

const AT: record::Timestamp = record::Timestamp::from_micros(1_790_000_000_000_000);

fn compared(ocr: (&str, &[u8]), truth: (&str, &[u8])) -> Compared {
    let folder = tempfile::tempdir().unwrap();
    for (side, (name, bytes)) in [("ocr", ocr), ("truth", truth)] {
        fs::create_dir(folder.path().join(side)).unwrap();
        fs::write(folder.path().join(side).join(name), bytes).unwrap();
    }
    evaluate_files(&folder.path().join("ocr"), &folder.path().join("truth"), &Convention::default()).unwrap()
}

const PIXELS: &str = r#"<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Description><MeasurementUnit>pixel</MeasurementUnit></Description>
<Layout><Page ID="p" WIDTH="400" HEIGHT="100"><PrintSpace><TextBlock ID="t"><TextLine ID="l" HPOS="10" VPOS="10" WIDTH="380" HEIGHT="30">
<String ID="s1" HPOS="10" VPOS="10" WIDTH="40" HEIGHT="30" CONTENT="uno"/><SP/><String ID="s2" HPOS="60" VPOS="10" WIDTH="40" HEIGHT="30" CONTENT="dos"/>
</TextLine></TextBlock></PrintSpace></Page></Layout></alto>"#;

/// Seen to fail when the engine's file must be in pixels.
#[test]
fn alto_in_other_units_is_compared_without_its_image() {
    for unit in ["mm10", "inch1200"] {
        let ocr = PIXELS.replace("pixel", unit);
        let truths: [(&str, &str); 4] = [
            ("a.xml", PIXELS),
            ("a.xml", &ocr),
            ("a.txt", "uno dos\n"),
            ("a.tsv", "a.png\t900 900 990 930\tuno dos\n"), // pixels of an image whose size nobody says
        ];
        for truth in truths {
            let all = compared(("a.xml", ocr.as_bytes()), (truth.0, truth.1.as_bytes())).evaluation.all;
            assert_eq!((all.figures.boxes, all.figures.boxes_right), (Some(2), Some(2)), "{unit} with {truth:?}");
        }
        let all = compared(("a.xml", PIXELS.as_bytes()), ("a.xml", ocr.as_bytes())).evaluation.all;
        assert_eq!(all.figures.boxes_right, Some(2), "{unit} as truth");
    }
}

/// Seen to fail when readers drop a word without text: one box less, and a problem for each.
#[test]
fn an_emptied_box_is_a_box_and_right_where_nothing_is_printed() {
    let ocr = tsv("uno | dos");
    let page = formats::read("a.tsv", &ocr).unwrap().remove(0).page;
    let emptied = [WordCorrection { word: 1, text: String::new(), by: "crowd".to_owned(), posterior: 0.9 }];
    let nothing_there = "a.png\t10 10 390 40\tuno           dos\n";
    for target in [Format::PageXml, Format::Alto, Format::Hocr, Format::Tsv] {
        let file = corrected(Original { name: "a.tsv", bytes: &ocr }, &page, &emptied, target, AT).unwrap();
        let name = format!("a.{}", target.ending());
        let read = formats::read(&name, &file).unwrap().remove(0);
        assert!(read.problems.is_empty(), "{target:?}: {:?}", read.problems);
        assert_eq!((read.page.words().count(), read.emptied.len()), (2, 1), "{target:?}");
        let places: Vec<_> = read.with_emptied().words().map(|word| (word.rect, word.text.clone())).collect();
        let expected: Vec<_> =
            page.words().enumerate().map(|(index, word)| (word.rect, if index == 1 { String::new() } else { word.text.clone() })).collect();
        assert_eq!(places, expected, "{target:?}");
        let found = compared((&name, &file), ("a.tsv", nothing_there.as_bytes()));
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let figures = found.evaluation.all.figures;
        assert_eq!((figures.boxes, figures.boxes_right, figures.printed_words), (Some(3), Some(3), 2), "{target:?}");
        // Without places nothing tells that something is printed just there.
        let figures = compared((&name, &file), ("a.txt", b"uno dos tres\n")).evaluation.all.figures;
        assert_eq!((figures.boxes, figures.boxes_right, figures.printed_without_box), (Some(3), Some(3), Some(1)), "{target:?}");
        // Where a word is printed in the box, it was wrong to empty it.
        let figures = compared((&name, &file), ("a.xml", PIXELS.replace("\"dos\"", "\"tres\"").as_bytes())).evaluation.all.figures;
        assert_eq!((figures.boxes, figures.boxes_right), (Some(3), Some(1)), "{target:?}");
    }
}

#[test]
fn a_line_of_nothing_but_an_emptied_box_is_a_box() {
    let rows = String::from_utf8(tsv("|")).unwrap();
    let second = "4\t1\t1\t1\t2\t0\t10\t60\t380\t30\t-1\t\n5\t1\t1\t1\t2\t1\t10\t60\t40\t30\t90\tuno\n";
    let ocr = format!("{rows}{second}");
    let page = formats::read("a.tsv", ocr.as_bytes()).unwrap().remove(0).page;
    let emptied = [WordCorrection { word: 0, text: String::new(), by: "crowd".to_owned(), posterior: 0.9 }];
    let file = corrected(Original { name: "a.tsv", bytes: ocr.as_bytes() }, &page, &emptied, Format::Tsv, AT).unwrap();
    let read = formats::read("a.tsv", &file).unwrap().remove(0);
    assert_eq!((read.page.lines.len(), read.emptied[0].alone), (1, true));
    let texts: Vec<String> = read.with_emptied().words().map(|word| word.text.clone()).collect();
    assert_eq!(texts, ["", "uno"]);
}

/// Seen to fail when a text is compared as a page of boxes: 100 % errors whatever it says.
#[test]
fn a_text_export_is_compared_with_any_true_text() {
    for (name, truth) in
        [("a.txt", "uno dos\n"), ("a.xml", PIXELS), ("a.xml", &PIXELS.replace("pixel", "mm10")), ("a.tsv", "a.png\t9 9 99 39\tuno dos\n")]
    {
        let found = compared(("a.txt", b"uno tres\n"), (name, truth.as_bytes()));
        let all = found.evaluation.all;
        assert_eq!((all.figures.boxes, all.figures.printed_words, all.figures.word_errors), (None, 2, 1), "{name}");
        assert!(all.cer.is_some_and(|rate| rate > 0.0 && rate < 1.0), "{name}: {all:?}");
    }
}

#[test]
fn pages_without_truth_and_broken_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in
        [("ocr/a.tsv", tsv("uno")), ("ocr/b.tsv", tsv("dos")), ("truth/a.txt", b"uno\n".to_vec()), ("truth/c.xml", b"<alto>".to_vec())]
    {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let (ocr, truth) = (folder.path().join("ocr"), folder.path().join("truth"));
    let found = evaluate_files(&ocr, &truth, &Convention::default()).unwrap();
    assert_eq!(found.evaluation.pages.len(), 1);
    assert!(
        found.problems.iter().any(|problem| problem.contains("b.tsv")) && found.problems.iter().any(|problem| problem.contains("c.xml"))
    );
    fs::remove_file(truth.join("a.txt")).unwrap();
    fs::write(truth.join("z.txt"), "uno\n").unwrap();
    let error = evaluate_files(&ocr, &truth, &Convention::default()).unwrap_err();
    assert!(error.to_string().contains("no page has a true text"), "{error}");
    assert!(evaluate_files(&ocr, &folder.path().join("gone"), &Convention::default()).is_err());
}
