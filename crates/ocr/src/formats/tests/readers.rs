//! What each format's reader makes of small files, and of the real ones.

use super::*;
use crate::page::Rect;

const PAGE: &str = r#"<?xml version="1.0"?>
<pc:PcGts xmlns:pc="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<pc:Metadata><pc:Creator>someone</pc:Creator><pc:MetadataItem type="processingStep" name="ocrd/recognition/text" value="tesserocr 5"/></pc:Metadata>
<pc:Page imageFilename="img/a.png" imageWidth="400" imageHeight="300" primaryLanguage="German">
<pc:ReadingOrder><pc:OrderedGroup id="o"><pc:RegionRefIndexed index="1" regionRef="r1"/><pc:RegionRefIndexed index="0" regionRef="r2"/></pc:OrderedGroup></pc:ReadingOrder>
<pc:TextRegion id="r1"><pc:Coords points="0,0 400,0 400,100 0,100"/>
 <pc:TextLine id="b"><pc:Coords points="10,60 200,60 200,90 10,90"/>
  <pc:Word id="w3"><pc:Coords points="10,60 15,58 100,62 100,90 10,90"/><pc:TextEquiv index="1" conf="0.5"><pc:Unicode>wrong</pc:Unicode></pc:TextEquiv><pc:TextEquiv index="0" conf="0.9"><pc:Unicode>&#x17f;o &amp; so</pc:Unicode></pc:TextEquiv></pc:Word></pc:TextLine>
 <pc:TextLine id="a"><pc:Coords points="10,10 200,10 200,40 10,40"/>
  <pc:Word id="w1"><pc:Coords points="10,10 100,10 100,40 10,40"/><pc:TextEquiv><pc:Unicode>eins</pc:Unicode></pc:TextEquiv></pc:Word>
  <pc:Word id="gone"><pc:Coords points="390,10 410,10 410,40 390,40"/><pc:TextEquiv><pc:Unicode>x</pc:Unicode></pc:TextEquiv></pc:Word>
  <pc:Word id="flat"><pc:Coords points="110,10 110,10"/><pc:TextEquiv><pc:Unicode>x</pc:Unicode></pc:TextEquiv></pc:Word>
  <pc:Word id="w2"><pc:Coords points="110,10 200,10 200,40 110,40"/><pc:TextEquiv><pc:Unicode>zwei</pc:Unicode></pc:TextEquiv></pc:Word></pc:TextLine>
</pc:TextRegion>
<pc:TextRegion id="r2"><pc:Coords points="0,200 400,200 400,300 0,300"/><pc:TextLine id="c"><pc:Coords points="10,210 200,210 200,240 10,240"/>
  <pc:Word id="w0"><pc:Coords points="10,210 200,210 200,240 10,240"/><pc:TextEquiv><pc:PlainText>null</pc:PlainText></pc:TextEquiv></pc:Word>
  <pc:TextEquiv><pc:Unicode>null </pc:Unicode></pc:TextEquiv></pc:TextLine></pc:TextRegion>
</pc:Page></pc:PcGts>"#;

const ALTO: &str = r#"<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Description><MeasurementUnit>pixel</MeasurementUnit>
<sourceImageInformation><fileName>a.tif</fileName></sourceImageInformation>
<OCRProcessing ID="o"><ocrProcessingStep><processingSoftware><softwareName>Reader</softwareName><softwareVersion>7</softwareVersion></processingSoftware></ocrProcessingStep></OCRProcessing></Description>
<Layout><Page ID="p" WIDTH="400" HEIGHT="300"><PrintSpace><ComposedBlock><TextBlock ID="t" LANG="de">
<TextLine ID="l1" HPOS="10" VPOS="10" WIDTH="300" HEIGHT="30"><String ID="s1" HPOS="10" VPOS="10" WIDTH="90" HEIGHT="30" WC="0.75" CONTENT="eins"/><SP WIDTH="10" HPOS="100" VPOS="10"/><String ID="s2" HPOS="110" VPOS="10" WIDTH="90" HEIGHT="30" CONTENT="Men" SUBS_TYPE="HypPart1" SUBS_CONTENT="Menschen"/><HYP HPOS="200" VPOS="10" WIDTH="10" CONTENT="&#xAD;"/></TextLine>
<TextLine ID="l2"><String HPOS="10" VPOS="50" WIDTH="90" HEIGHT="30" CONTENT="schen &lt;" SUBS_TYPE="HypPart2" SUBS_CONTENT="Menschen"><Shape><Polygon POINTS="10,50 100,52 100,80 10,78"/></Shape></String></TextLine>
</TextBlock></ComposedBlock></PrintSpace></Page></Layout></alto>"#;

const HOCR: &str = r#"<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html><head><meta charset="utf-8"><meta name='ocr-system' content='tesseract 5.3.0'></head><body>
<div class='ocr_page' id='page_1' title='image "a b.png"; bbox 0 0 400 300; ppageno 0'>
 <p class='ocr_par' lang='spa'><span class='ocr_line' id='line_1_1' title="bbox 10 10 200 40; baseline 0 0">
  <span class='ocrx_word' id='word_1_1' title='bbox 10 10 100 40; x_wconf 91'><strong>uno</strong></span>
  <span class='ocrx_word' id='word_1_2' title='bbox 110 10 200 40; poly 110 12 200 10 200 40 110 38; x_wconf 30'><span class="alternatives"><ins class="alt">dos</ins><del class="alt">d0s</del></span></span>
 </span><br></p></div></body></html>"#;

#[test]
fn page_xml_is_read_in_reading_order_with_the_lowest_index() {
    let read = one_page("a.xml", PAGE);
    assert_eq!(words(&read.page), [("w0", "null"), ("w1", "eins"), ("w2", "zwei"), ("w3", "ſo & so")]);
    assert_eq!(read.page.image_name.as_deref(), Some("img/a.png"));
    assert_eq!((read.page.width, read.page.height), (400, 300));
    assert_eq!(read.page.language.as_deref(), Some("de"));
    assert_eq!(read.page.engine.as_deref(), Some("tesserocr 5"));
    let last = read.page.words().last().unwrap();
    assert_eq!((last.confidence, last.polygon.len()), (Some(0.9), 5));
    assert_eq!(last.rect, Rect { x: 10, y: 58, width: 90, height: 32 });
    assert_eq!(read.page.lines[0].text.as_deref(), Some("null"));
}

#[test]
fn words_outside_the_page_or_of_no_size_are_named_and_left_out() {
    let problems = one_page("a.xml", PAGE).problems;
    let named: Vec<_> = problems.iter().map(|problem| (problem.element.as_str(), problem.line)).collect();
    assert_eq!(named, [("gone", Some(11)), ("flat", Some(12))]);
    assert!(problems[0].to_string().contains("not within the page of 400x300"), "{}", problems[0]);
    assert!(problems[1].to_string().contains("no size"), "{}", problems[1]);
}

#[test]
fn alto_joins_a_hyphen_to_its_word() {
    let read = one_page("a.xml", ALTO);
    assert_eq!(words(&read.page), [("s1", "eins"), ("s2", "Men\u{ad}"), ("w3", "schen <")]);
    assert_eq!(read.page.engine.as_deref(), Some("Reader 7"));
    assert_eq!(read.page.image_name.as_deref(), Some("a.tif"));
    assert_eq!(read.page.language.as_deref(), Some("de"));
    let found: Vec<_> = read.page.words().map(|word| (word.confidence, word.polygon.len())).collect();
    assert_eq!(found, [(Some(0.75), 0), (None, 0), (None, 4)]);
    assert_eq!(read.page.lines[1].rect, Rect { x: 10, y: 50, width: 90, height: 30 });
}

#[test]
fn alto_with_a_prefix_is_the_same() {
    let prefixed = regex_free_prefix(ALTO);
    assert_eq!(one_page("a.xml", &prefixed).page, one_page("a.xml", ALTO).page);
}

fn regex_free_prefix(text: &str) -> String {
    let text = text.replace("xmlns=", "xmlns:x=").replace("</", "\u{1}").replace('<', "<x:").replace('\u{1}', "</x:");
    text.replace("&lt;", "&#60;")
}

#[test]
fn alto_in_millimetres_needs_the_image() {
    let alto = ALTO.replace(">pixel<", ">mm10<");
    let error = read("a.xml", alto.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("mm10") && error.contains("a.xml"), "{error}");
    assert_eq!(image_names("a.xml", alto.as_bytes()).unwrap(), [Some("a.tif".to_owned())]);
    let page = read_for_image("a.xml", alto.as_bytes(), (800, 600)).unwrap().remove(0).page;
    assert_eq!((page.width, page.height), (800, 600));
    assert_eq!(page.words().next().unwrap().rect, Rect { x: 20, y: 20, width: 180, height: 60 });
}

#[test]
fn alto_of_whole_lines_has_no_word_boxes() {
    let alto = ALTO.replace(r#"CONTENT="eins"/>"#, r#"CONTENT="eins zwei"/>"#);
    let only_one = alto.find("<SP").unwrap()..alto.find("</TextLine>").unwrap();
    let alto = alto.replace(&alto[only_one], "");
    let page = one_page("a.xml", &alto).page;
    assert!(!page.has_word_boxes());
    assert_eq!(page.lines[0].text.as_deref(), Some("eins zwei"));
}

#[test]
fn hocr_is_read_with_void_elements_and_alternatives() {
    let read = one_page("a.hocr", HOCR);
    assert_eq!(words(&read.page), [("word_1_1", "uno"), ("word_1_2", "dos")]);
    assert_eq!(read.page.image_name.as_deref(), Some("a b.png"));
    assert_eq!(read.page.engine.as_deref(), Some("tesseract 5.3.0"));
    assert_eq!((read.page.width, read.page.language.as_deref()), (400, Some("spa")));
    let found: Vec<_> = read.page.words().map(|word| (word.confidence, word.polygon.len())).collect();
    assert_eq!(found, [(Some(0.91), 0), (Some(0.3), 4)]);
}

#[test]
fn tsv_is_read_by_pages_and_lines() {
    let tsv = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
        1\t1\t0\t0\t0\t0\t0\t0\t400\t300\t-1\t\n4\t1\t1\t1\t1\t0\t10\t10\t190\t30\t-1\t\n\
        5\t1\t1\t1\t1\t1\t10\t10\t90\t30\t96.5\t\"uno\n5\t1\t1\t1\t1\t2\t105\t10\t2\t30\t95\t \n5\t1\t1\t1\t1\t3\t110\t10\t90\t30\t-1\tdos\n\
        1\t2\t0\t0\t0\t0\t0\t0\t500\t300\t-1\t\n4\t2\t1\t1\t1\t0\t10\t10\t190\t30\t-1\t\n5\t2\t1\t1\t1\t1\t10\t10\t90\t30\t50\ttres\n";
    let pages = read("a.tsv", tsv.as_bytes()).unwrap();
    assert_eq!(words(&pages[0].page), [("w1", "\"uno"), ("w3", "dos")]);
    let confidences: Vec<_> = pages[0].page.words().map(|word| word.confidence).collect();
    assert_eq!(confidences, [Some(0.965), None]);
    assert!(pages[0].problems.is_empty());
    assert_eq!((pages.len(), pages[1].page.width, words(&pages[1].page)), (2, 500, vec![("w1", "tres")]));
}

#[test]
fn true_text_by_lines_and_plain_text_are_read() {
    let page = one_page("a.tsv", "a.png\t10 20 110 50\tτὸν δὲ\na.png\t10 60 110 90\tend\n").page;
    assert_eq!(page.lines[0].rect, Rect { x: 10, y: 20, width: 100, height: 30 });
    assert_eq!(page.lines[0].text.as_deref(), Some("τὸν δὲ"));
    let pages = read("a.txt", "one two\r\n\r\nthree\n\u{c}next\n\u{c}".as_bytes()).unwrap();
    let lines: Vec<Vec<_>> = pages.iter().map(|page| page.page.lines.iter().map(|line| line.text.as_deref().unwrap()).collect()).collect();
    assert_eq!(lines, [vec!["one two", "three"], vec!["next"]]);
}

#[test]
fn other_encodings_are_read() {
    let latin: Vec<u8> =
        ALTO.replace("<alto", "<?xml version='1.0' encoding='ISO-8859-1'?><alto").replace("eins", "é").chars().map(|c| c as u8).collect();
    assert_eq!(read("a.xml", &latin).unwrap()[0].page.words().next().unwrap().text, "é");
    let mut wide = vec![0xff, 0xfe];
    wide.extend(ALTO.encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(read("a.xml", &wide).unwrap()[0].page, one_page("a.xml", ALTO).page);
}

/// Counted in the files with other tools: lines, words with boxes, words of text.
#[test]
fn real_pages_are_read_whole() {
    let expected = [
        ("PAGE_0017_ALTO.xml", 24, 161),
        ("PAGE_0017_PAGE.xml", 24, 161),
        ("apocaliptica.xml", 36, 0),
        ("bebel_frau_1879_0146.xml", 50, 0),
        ("clauren_mimil_1815_0023.xml", 23, 0),
        ("clauren_mimil_1815_0050.xml", 24, 0),
        ("delirio_page-0003.xml", 36, 0),
        ("kistler_kraeuter_1500_0007.xml", 29, 206),
        ("laube_europa0202_1837_0105.xml", 26, 0),
        ("ocios_filosoficos_page_80.xml", 29, 0),
        ("Lettre42.xml", 19, 0),
        ("Lettre43.xml", 29, 0),
    ];
    let files = real_files();
    for (name, ..) in expected.iter().filter(|_| real_pages().is_some()) {
        assert!(files.iter().any(|(found, _)| found == name), "{name} is not among the real pages");
    }
    for (name, bytes) in files {
        let pages = read(&name, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let page = &pages[0];
        assert!(page.problems.is_empty(), "{name}: {:?}", page.problems);
        if let Some((_, lines, words)) = expected.iter().find(|(expected, ..)| *expected == name) {
            assert_eq!((page.page.lines.len(), page.page.words().count()), (*lines, *words), "{name}");
        }
    }
}

#[test]
fn real_page_out_of_order_is_read_from_top_to_bottom() {
    let Some((name, bytes)) = real_files().into_iter().find(|(name, _)| name == "clauren_mimil_1815_0023.xml") else { return };
    let page = read(&name, &bytes).unwrap().remove(0).page;
    let tops: Vec<u32> = page.lines.iter().map(|line| line.rect.y + line.rect.height / 2).collect();
    assert!(tops.windows(2).all(|pair| pair[0] < pair[1]), "{tops:?}");
}
