//! Writing ALTO 4, and correcting ALTO of any version in place.
//!
//! The corrected text becomes a `String`'s `CONTENT`, the original an `ALTERNATIVE`, which the schema has for that since version 2.

use std::{collections::HashMap, fmt::Write};

use record::Result;

use super::{
    super::{
        Edition, Scale,
        edition::{Ids, locate, points_of, software},
        xml::{Document, Edits, Element, Markup, escape},
    },
    hyphen_after, hyphen_text, read_document,
};
use crate::page::{Line, Rect, Word};

const NAMESPACE: &str = "http://www.loc.gov/standards/alto/ns-v4#";

/// What an `ALTERNATIVE` is for.
const ORIGINAL: &str = "original";

/// Writes a page as ALTO 4: one block with all lines.
pub fn write(edition: &Edition<'_>) -> String {
    let page = edition.page;
    let mut ids = Ids::default();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<alto xmlns=\"{NAMESPACE}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xsi:schemaLocation=\"{NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd\">\n  <Description>\n    \
         <MeasurementUnit>pixel</MeasurementUnit>\n    <sourceImageInformation>\n      <fileName>{}</fileName>\n    </sourceImageInformation>\n",
        escape(page.image_name.as_deref().unwrap_or_default())
    );
    for (id, name) in [("recognition", page.engine.as_deref()), ("correction", Some(software().as_str()))] {
        let (Some(name), id) = (name, ids.take("", id)) else { continue };
        let time =
            if id == "correction" { format!("<processingDateTime>{}</processingDateTime>", edition.written_at) } else { String::new() };
        put(
            &mut out,
            format_args!(
                "    <Processing ID=\"{id}\">{time}<processingSoftware><softwareName>{}</softwareName></processingSoftware></Processing>\n",
                escape(name)
            ),
        );
    }
    put(
        &mut out,
        format_args!(
            "  </Description>\n  <Layout>\n    <Page ID=\"{}\" PHYSICAL_IMG_NR=\"1\" WIDTH=\"{}\" HEIGHT=\"{}\">\n",
            ids.take("", "page1"),
            page.width,
            page.height
        ),
    );
    if let Some(around) = page.lines.iter().map(|line| line.rect).reduce(|a, b| a.union(&b)) {
        let language =
            page.language.as_deref().filter(|code| is_language(code)).map(|code| format!(" LANG=\"{code}\"")).unwrap_or_default();
        let id = ids.take("", "block1");
        let place = place(&around);
        put(&mut out, format_args!("      <PrintSpace {place}>\n        <TextBlock ID=\"{id}\"{language} {place}>\n"));
        for (number, (first, line)) in edition.lines().enumerate() {
            write_line(&mut out, edition, &mut ids, (number, first, line));
        }
        out.push_str("        </TextBlock>\n      </PrintSpace>\n");
    }
    out.push_str("    </Page>\n  </Layout>\n</alto>\n");
    out
}

fn write_line(out: &mut String, edition: &Edition<'_>, ids: &mut Ids, (number, first, line): (usize, usize, &Line)) {
    let id = ids.take(&line.id, &format!("l{}", number + 1));
    put(out, format_args!("          <TextLine ID=\"{id}\" {}>\n", place(&line.rect)));
    write_shape(out, &line.rect, &line.polygon);
    if line.words.is_empty() {
        let text = edition.line_text(first, line);
        if edition.page.has_word_boxes() {
            // Among lines with words a line in one String would be taken for a word.
            let words = text.split_whitespace().map(|word| format!("            <String CONTENT=\"{}\"/>\n", escape(word)));
            out.push_str(&words.collect::<Vec<_>>().join("            <SP/>\n"));
        } else {
            put(out, format_args!("            <String CONTENT=\"{}\" {}/>\n", escape(&text), place(&line.rect)));
        }
    }
    for (index, word) in line.words.iter().enumerate() {
        if index > 0 {
            out.push_str("            <SP/>\n");
        }
        write_word(out, edition, ids, (first + index, word));
    }
    out.push_str("          </TextLine>\n");
}

fn write_word(out: &mut String, edition: &Edition<'_>, ids: &mut Ids, (index, word): (usize, &Word)) {
    let id = ids.take(&word.id, &format!("w{}", index + 1));
    let confidence = word.confidence.map(|share| format!(" WC=\"{share}\"")).unwrap_or_default();
    let text = escape(edition.correction(index).map_or(&word.text, |correction| &correction.text));
    put(out, format_args!("            <String ID=\"{id}\" CONTENT=\"{text}\" {}{confidence}>\n", place(&word.rect)));
    write_shape(out, &word.rect, &word.polygon);
    if edition.correction(index).is_some() {
        put(out, format_args!("              <ALTERNATIVE PURPOSE=\"{ORIGINAL}\">{}</ALTERNATIVE>\n", escape(&word.text)));
    }
    out.push_str("            </String>\n");
}

fn write_shape(out: &mut String, rect: &Rect, polygon: &[(u32, u32)]) {
    if !polygon.is_empty() {
        put(out, format_args!("            <Shape><Polygon POINTS=\"{}\"/></Shape>\n", points_of(rect, polygon)));
    }
}

fn place(rect: &Rect) -> String {
    format!("HPOS=\"{}\" VPOS=\"{}\" WIDTH=\"{}\" HEIGHT=\"{}\"", rect.x, rect.y, rect.width, rect.height)
}

/// `xsd:language`, which takes no `spa+eng`.
fn is_language(code: &str) -> bool {
    code.split('-').all(|part| (1..=8).contains(&part.len()) && part.chars().all(|character| character.is_ascii_alphanumeric()))
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string does not fail");
}

/// Corrects words in the file that the page was read from.
///
/// # Errors
/// `Invalid` when the page was not read from this file.
pub fn correct(name: &str, bytes: &[u8], edition: &Edition<'_>) -> Result<String> {
    let document = Document::parse(name, bytes, Markup::Xml)?;
    let (read, places) = locate(name, read_document(name, &document, Scale::Unknown)?, edition)?;
    let mut edits = Edits::default();
    let mut contents = HashMap::new();
    for (index, place) in places {
        let Some(correction) = edition.correction(index) else { continue };
        let string = document.element(read.sources[place]);
        contents.insert(string.index(), correct_string(string, &correction.text, &mut edits));
    }
    correct_substitutions(&document, &contents, &mut edits);
    Ok(edits.apply(document.source()))
}

/// Changes `CONTENT`, keeps what it was, and gives the new `CONTENT`.
fn correct_string(string: Element<'_>, text: &str, edits: &mut Edits) -> String {
    let old = string.attribute("CONTENT").unwrap_or_default();
    let mut new = text.to_owned();
    if let Some(hyphen) = hyphen_after(string) {
        match split_hyphen(text, &hyphen_text(hyphen)) {
            Some((word, mark)) => {
                new = word.to_owned();
                if let Some(span) = hyphen.attribute_span("CONTENT").filter(|_| mark != hyphen_text(hyphen)) {
                    edits.replace(span, escape(mark));
                }
            }
            None => edits.replace(hyphen.span(), ""),
        }
    }
    if let Some(span) = string.attribute_span("CONTENT") {
        edits.replace(span, escape(&new));
    }
    if new != old {
        insert_alternative(string, &old, edits);
    }
    new
}

fn insert_alternative(string: Element<'_>, old: &str, edits: &mut Edits) {
    let p = string.prefix();
    let alternative = format!("<{p}ALTERNATIVE PURPOSE=\"{ORIGINAL}\">{}</{p}ALTERNATIVE>", escape(old));
    match string.inner_span() {
        // The schema's order is Shape, ALTERNATIVE, Glyph.
        Some(inner) => {
            let at = string.child("Shape").map_or(inner.start, |shape| shape.span().end);
            edits.replace(at..at, alternative);
        }
        None => {
            let end = string.open_span().end;
            edits.replace(end - "/>".len()..end, format!(">{alternative}</{p}String>"));
        }
    }
}

/// The word and its hyphen, of whichever kind; none when the text has no hyphen at its end.
fn split_hyphen<'t>(text: &'t str, known: &str) -> Option<(&'t str, &'t str)> {
    if let Some(word) = text.strip_suffix(known) {
        return Some((word, &text[word.len()..]));
    }
    let mark = text.chars().next_back().filter(|last| ['-', '\u{ad}', '\u{ac}', '\u{2010}', '⸗', '='].contains(last))?;
    Some(text.split_at(text.len() - mark.len_utf8()))
}

/// `SUBS_CONTENT` is the word over the line's end, put together: from its corrected parts, where one was corrected.
fn correct_substitutions(document: &Document, contents: &HashMap<usize, String>, edits: &mut Edits) {
    let strings: Vec<_> = document.root().descendants().filter(|element| element.name() == "String").collect();
    for pair in strings.windows(2) {
        let is_part = |string: Element<'_>, kind: &str| string.attribute("SUBS_TYPE").is_some_and(|found| found == kind);
        let changed = pair.iter().any(|string| contents.contains_key(&string.index()));
        if !changed || !is_part(pair[0], "HypPart1") || !is_part(pair[1], "HypPart2") {
            continue;
        }
        let content = |string: &Element<'_>| {
            contents.get(&string.index()).cloned().unwrap_or_else(|| string.attribute("CONTENT").unwrap_or_default().into_owned())
        };
        let whole = escape(&pair.iter().map(content).collect::<String>());
        for span in pair.iter().filter_map(|string| string.attribute_span("SUBS_CONTENT")) {
            edits.replace(span, whole.clone());
        }
    }
}
