//! Writing PAGE XML 2019, and correcting PAGE XML of any version in place.
//!
//! The corrected text becomes the `TextEquiv` with index 0, which the schema calls the main text content; what was there moves to
//! index 1 and on. Before 2016 an element has one `TextEquiv` without index: there the text is replaced and the original is lost.

use std::{collections::HashMap, fmt::Write};

use record::Result;

use super::{
    super::{
        Edition,
        edition::{Ids, Piece, locate, points_of, software, with_pieces_replaced},
        xml::{Document, Edits, Element, Markup, escape},
    },
    language, main_text_equiv, read_document, text_of,
};
use crate::page::{Line, Rect};

const NAMESPACE: &str = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15";

/// Writes a page as PAGE XML 2019: one region with all lines.
pub fn write(edition: &Edition<'_>) -> String {
    let page = edition.page;
    let mut ids = Ids::default();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PcGts xmlns=\"{NAMESPACE}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xsi:schemaLocation=\"{NAMESPACE} {NAMESPACE}/pagecontent.xsd\">\n  <Metadata>\n    <Creator>{}</Creator>\n    \
         <Created>{time}</Created>\n    <LastChange>{time}</LastChange>\n",
        software(),
        time = edition.written_at
    );
    if let Some(engine) = &page.engine {
        put(&mut out, format_args!("    <MetadataItem type=\"processingStep\" name=\"recognition\" value=\"{}\"/>\n", escape(engine)));
    }
    put(
        &mut out,
        format_args!(
            "  </Metadata>\n  <Page imageFilename=\"{}\" imageWidth=\"{}\" imageHeight=\"{}\"",
            escape(page.image_name.as_deref().unwrap_or_default()),
            page.width,
            page.height
        ),
    );
    if let Some(name) = page.language.as_deref().and_then(language::name) {
        put(&mut out, format_args!(" primaryLanguage=\"{name}\""));
    }
    out.push_str(">\n");
    let around = page.lines.iter().map(|line| line.rect).reduce(|a, b| a.union(&b));
    if let Some(around) = around {
        let id = ids.take("", "region1");
        put(&mut out, format_args!("    <TextRegion id=\"{id}\">\n      <Coords points=\"{}\"/>\n", points_of(&around, &[])));
        for (number, (first, line)) in edition.lines().enumerate() {
            write_line(&mut out, edition, &mut ids, (number, first, line));
        }
        out.push_str("    </TextRegion>\n");
    }
    out.push_str("  </Page>\n</PcGts>\n");
    out
}

fn write_line(out: &mut String, edition: &Edition<'_>, ids: &mut Ids, (number, first, line): (usize, usize, &Line)) {
    let place = |rect: &Rect, polygon: &[(u32, u32)]| format!("<Coords points=\"{}\"/>", points_of(rect, polygon));
    let id = ids.take(&line.id, &format!("l{}", number + 1));
    put(out, format_args!("      <TextLine id=\"{id}\">\n        {}\n", place(&line.rect, &line.polygon)));
    for (index, word) in line.words.iter().enumerate().map(|(index, word)| (first + index, word)) {
        let id = ids.take(&word.id, &format!("w{}", index + 1));
        put(out, format_args!("        <Word id=\"{id}\">\n          {}\n", place(&word.rect, &word.polygon)));
        let conf = word.confidence.map(|share| format!(" conf=\"{share}\"")).unwrap_or_default();
        match edition.correction(index) {
            None => put(out, format_args!("          <TextEquiv{conf}><Unicode>{}</Unicode></TextEquiv>\n", escape(&word.text))),
            Some(correction) => {
                let (by, sure) = (escape(&correction.by), correction.posterior.clamp(0.0, 1.0));
                put(
                    out,
                    format_args!(
                        "          <TextEquiv index=\"0\" conf=\"{sure:.4}\" comments=\"{by}\"><Unicode>{}</Unicode></TextEquiv>\n          \
                     <TextEquiv index=\"1\"{conf}><Unicode>{}</Unicode></TextEquiv>\n",
                        escape(&correction.text),
                        escape(&word.text)
                    ),
                );
            }
        }
        out.push_str("        </Word>\n");
    }
    let text = escape(&edition.line_text(first, line));
    put(out, format_args!("        <TextEquiv><Unicode>{text}</Unicode></TextEquiv>\n      </TextLine>\n"));
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string does not fail");
}

/// Corrects words in the file that the page was read from, and the text of their lines and regions.
///
/// # Errors
/// `Invalid` when the page was not read from this file.
pub fn correct(name: &str, bytes: &[u8], edition: &Edition<'_>) -> Result<String> {
    let document = Document::parse(name, bytes, Markup::Xml)?;
    let (read, places) = locate(name, read_document(name, &document)?, edition)?;
    let mut edits = Edits::default();
    let mut new_text = HashMap::new(); // by the word's element
    for (index, place) in places {
        let Some(correction) = edition.correction(index) else { continue };
        let element = document.element(read.sources[place]);
        new_text.insert(element.index(), correction.text.as_str());
        let comment = format!(" conf=\"{:.4}\" comments=\"{}\"", correction.posterior.clamp(0.0, 1.0), escape(&correction.by));
        correct_element(element, &correction.text, &comment, &mut edits);
    }
    for region in document.root().descendants().filter(|element| element.name() == "TextRegion") {
        let lines: Vec<Piece<'_>> = region.children_named("TextLine").map(|line| correct_line(line, &new_text, &mut edits)).collect();
        let Some(text) = text_of(region).filter(|_| lines.iter().any(|(_, new)| new.is_some())) else { continue };
        let rebuilt = || {
            // What else stands in the region is not known here, if it is more than these lines.
            let only_lines = region.child("TextRegion").is_none();
            only_lines.then(|| lines.iter().map(|(old, new)| &**new.as_ref().unwrap_or(old)).collect::<Vec<_>>().join("\n"))
        };
        if let Some(new) = with_pieces_replaced(&text, &lines).or_else(rebuilt) {
            correct_element(region, &new, "", &mut edits);
        }
    }
    Ok(edits.apply(document.source()))
}

/// Gives a line whose words are corrected its new text; tells the old one and, where it is another, the new one. A line without a text
/// of its own has that of its words.
fn correct_line<'d>(line: Element<'d>, new_text: &HashMap<usize, &str>, edits: &mut Edits) -> Piece<'d> {
    let words: Vec<Piece<'_>> = line
        .children_named("Word")
        .map(|word| (text_of(word).unwrap_or_default().into(), new_text.get(&word.index()).map(|new| (*new).into())))
        .collect();
    let joined = |corrected: bool| {
        let texts = words.iter().map(|(old, new)| new.as_ref().filter(|_| corrected).unwrap_or(old).trim());
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let old = text_of(line);
    if words.iter().all(|(_, new)| new.is_none()) {
        return (old.unwrap_or_else(|| joined(false)).into(), None);
    }
    match old {
        None => (joined(false).into(), Some(joined(true).into())),
        Some(old) => {
            let new = with_pieces_replaced(&old, &words).unwrap_or_else(|| joined(true));
            correct_element(line, &new, "", edits);
            (old.into(), Some(new.into()))
        }
    }
}

/// Gives an element a new main text and moves the others one place down.
fn correct_element(element: Element<'_>, text: &str, attributes: &str, edits: &mut Edits) {
    let Some(main) = main_text_equiv(element) else { return };
    let unicode = main.child("Unicode").or_else(|| main.child("PlainText"));
    if !has_index(element) {
        if let Some(inner) = unicode.and_then(Element::inner_span) {
            edits.replace(inner, escape(text));
        }
        return;
    }
    let mut equivs: Vec<_> = element.children_named("TextEquiv").collect();
    let first = equivs[0].open_span().start;
    let p = main.prefix();
    edits.replace(first..first, format!("<{p}TextEquiv index=\"0\"{attributes}><{p}Unicode>{}</{p}Unicode></{p}TextEquiv>", escape(text)));
    equivs.sort_by_key(|equiv| equiv.number("index").map_or(0, |index| index as i64));
    for (number, equiv) in equivs.into_iter().enumerate() {
        match equiv.attribute_span("index") {
            Some(span) => edits.replace(span, (number + 1).to_string()),
            None => {
                let at = equiv.open_span().start + 1 + p.len() + "TextEquiv".len();
                edits.replace(at..at, format!(" index=\"{}\"", number + 1));
            }
        }
    }
}

/// Whether the file's version of PAGE has `TextEquiv/@index`: 2016 and later.
fn has_index(element: Element<'_>) -> bool {
    let mut root = element;
    while let Some(parent) = root.parent() {
        root = parent;
    }
    let prefix = root.prefix().trim_end_matches(':');
    let namespace = root.attribute(if prefix.is_empty() { "xmlns" } else { prefix }).unwrap_or_default();
    let year = namespace.split_once("pagecontent/").and_then(|(_, date)| date.get(..4)?.parse::<u32>().ok());
    year.is_none_or(|year| year >= 2016)
}
