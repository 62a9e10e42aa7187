//! hOCR, HTML with the OCR's places in `title`: what Tesseract, OCRopus, kraken and others write.
//!
//! Source: the hOCR specification 1.2, <https://kba.github.io/hocr-spec/1.2/>. Lines are `ocr_line`, `ocr_header`, `ocr_caption`,
//! `ocr_textfloat`; words are `ocrx_word`. Of a word with alternatives (`ins`/`del`) the inserted text counts.

use record::{Error, Result};

use super::{
    Format, ReadPage,
    builder::{Builder, FoundWord},
    outline::{Outline, points},
    xml::{Document, Element, Markup},
};
use crate::page::Page;

mod write;

pub use write::{correct, write};

const LINES: [&str; 4] = ["ocr_line", "ocr_header", "ocr_caption", "ocr_textfloat"];

/// Reads the file's pages.
///
/// # Errors
/// `Invalid` when it is HTML without `ocr_page`, or cut off.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<ReadPage>> {
    let document = Document::parse(name, bytes, Markup::Html)?;
    read_document(name, &document)
}

pub(super) fn read_document(name: &str, document: &Document) -> Result<Vec<ReadPage>> {
    let root = document.root();
    let pages: Vec<_> = root.descendants().filter(|element| has_class(*element, &["ocr_page"])).collect();
    if pages.is_empty() {
        return Err(Error::invalid("expected hOCR, found HTML without an element of class ocr_page").with("file", name));
    }
    let engine = root
        .descendants()
        .filter(|element| element.name().eq_ignore_ascii_case("meta"))
        .find(|meta| meta.attribute("name").is_some_and(|name| name == "ocr-system"))
        .and_then(|meta| meta.attribute("content"))
        .map(String::from);
    pages.into_iter().map(|page| read_page(page, engine.clone()).map_err(|error| error.with("file", name))).collect()
}

fn read_page(element: Element<'_>, engine: Option<String>) -> Result<ReadPage> {
    let rect = place(element).unwrap_or_default().rect;
    let language = std::iter::once(element).chain(element.descendants()).find_map(|inner| inner.attribute("lang")).map(String::from);
    let page = Page {
        image_name: property(element, "image").map(|name| name.trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty()),
        width: rect.right(),
        height: rect.bottom(),
        language,
        engine,
        lines: Vec::new(),
    };
    let mut builder = Builder::new(Format::Hocr, page);
    let mut open = None;
    for inner in element.descendants() {
        if has_class(inner, &LINES) {
            if let Some((_, line)) = open.take() {
                builder.push(line);
            }
            let mut line = builder.line(id(inner), place(inner).unwrap_or_default());
            if !inner.descendants().any(|word| has_class(word, &["ocrx_word"])) {
                line.line.text = Some(text_of(inner).split_whitespace().collect::<Vec<_>>().join(" "));
            }
            open = Some((inner.span().end, line));
        } else if has_class(inner, &["ocrx_word"]) {
            let found = FoundWord {
                id: id(inner),
                place: place(inner),
                text: text_of(inner),
                has_original: inner
                    .descendants()
                    .any(|part| part.name().eq_ignore_ascii_case("del") && !part.deep_text(&|_| false).trim().is_empty()),
                confidence: property(inner, "x_wconf").and_then(|number| number.parse::<f64>().ok()).map(|percent| percent / 100.0),
                source: inner.index(),
                at_line: inner.line(),
            };
            match &mut open {
                Some((end, line)) if inner.span().end <= *end => builder.word(line, found)?,
                _ => {
                    // A word outside of every line is a line of its own.
                    let mut line = builder.line(None, Outline::default());
                    builder.word(&mut line, found)?;
                    builder.push(line);
                }
            }
        }
    }
    if let Some((_, line)) = open {
        builder.push(line);
    }
    Ok(builder.finish())
}

fn id(element: Element<'_>) -> Option<String> {
    element.attribute("id").map(String::from)
}

fn has_class(element: Element<'_>, classes: &[&str]) -> bool {
    element.attribute("class").is_some_and(|found| found.split_ascii_whitespace().any(|class| classes.contains(&class)))
}

/// The value of a property in `title="bbox 1 2 3 4; x_wconf 90"`.
fn property(element: Element<'_>, name: &str) -> Option<String> {
    let title = element.attribute("title")?;
    title.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix(' ').map(|value| value.trim().to_owned()))
}

fn place(element: Element<'_>) -> std::result::Result<Outline, String> {
    let outline = property(element, "poly").map(|list| Outline::from_points(&points(&list)?)).transpose()?;
    let Some(numbers) = property(element, "bbox") else {
        return outline.ok_or_else(|| "expected a bbox in the title, found none".to_owned());
    };
    match points(&numbers)?[..] {
        [(x0, y0), (x1, y1)] => {
            let rect = Outline::from_corners(x0, y0, x1, y1)?.rect;
            Ok(Outline { rect, polygon: outline.unwrap_or_default().polygon })
        }
        _ => Err(format!("expected bbox x0 y0 x1 y1, found {numbers:?}")),
    }
}

/// The text, without what the file itself says is deleted.
fn text_of(element: Element<'_>) -> String {
    element.deep_text(&|inner| inner.name().eq_ignore_ascii_case("del")).split_whitespace().collect::<Vec<_>>().join(" ")
}
