//! Writing hOCR 1.2, and correcting hOCR in place.
//!
//! A corrected word is written as the specification writes alternatives: `ins` for the corrected text, `del` for the original.

use std::fmt::Write;

use record::Result;

use super::{
    super::{
        Edition,
        edition::{Ids, locate, software},
        xml::{Document, Edits, Markup, escape},
    },
    read_document,
};
use crate::page::Rect;

/// Writes a page as hOCR: one paragraph with all lines.
pub fn write(edition: &Edition<'_>) -> String {
    let page = edition.page;
    let mut ids = Ids::default();
    let engine = escape(page.engine.as_deref().unwrap_or(&software()));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \
         \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n<html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<title></title>\n\
         <meta http-equiv=\"Content-Type\" content=\"text/html;charset=utf-8\"/>\n<meta name=\"ocr-system\" content=\"{engine}\"/>\n\
         <meta name=\"ocr-capabilities\" content=\"ocr_page ocr_par ocr_line ocrx_word ocrp_wconf\"/>\n</head>\n<body>\n"
    );
    // A quotation mark would end the property, and a semicolon the name.
    let image = page.image_name.as_deref().unwrap_or_default().replace(['"', ';'], "_");
    let language = page.language.as_deref().map(|code| format!(" lang=\"{}\"", escape(code))).unwrap_or_default();
    let whole = bbox(&Rect { x: 0, y: 0, width: page.width, height: page.height });
    put(
        &mut out,
        format_args!(
            "<div class=\"ocr_page\" id=\"{}\" title=\"image &quot;{}&quot;; {whole}; ppageno 0\">\n<p class=\"ocr_par\"{language}>\n",
            ids.take("", "page1"),
            escape(&image),
        ),
    );
    for (number, (first, line)) in edition.lines().enumerate() {
        let id = ids.take(&line.id, &format!("l{}", number + 1));
        let title = title(&line.rect, &line.polygon);
        put(&mut out, format_args!("<span class=\"ocr_line\" id=\"{id}\" title=\"{title}\">"));
        if line.words.is_empty() {
            out.push_str(&escape(&edition.line_text(first, line)));
        }
        for (index, word) in line.words.iter().enumerate() {
            let id = ids.take(&word.id, &format!("w{}", first + index + 1));
            let title = self::title(&word.rect, &word.polygon);
            let confidence = word.confidence.map(|share| format!("; x_wconf {}", (share * 100.0).round())).unwrap_or_default();
            let text = match edition.correction(first + index) {
                None => escape(&word.text),
                Some(correction) => alternatives(&correction.text, &escape(&word.text)),
            };
            let space = if index > 0 { " " } else { "" };
            put(&mut out, format_args!("{space}<span class=\"ocrx_word\" id=\"{id}\" title=\"{title}{confidence}\">{text}</span>"));
        }
        out.push_str("</span>\n");
    }
    out.push_str("</p>\n</div>\n</body>\n</html>\n");
    out
}

fn bbox(rect: &Rect) -> String {
    format!("bbox {} {} {} {}", rect.x, rect.y, rect.right(), rect.bottom())
}

fn title(rect: &Rect, polygon: &[(u32, u32)]) -> String {
    let corners = polygon.iter().map(|(x, y)| format!(" {x} {y}")).collect::<String>();
    if corners.is_empty() { bbox(rect) } else { format!("{}; poly{corners}", bbox(rect)) }
}

/// `original` is markup.
fn alternatives(corrected: &str, original: &str) -> String {
    format!("<span class=\"alternatives\"><ins class=\"alt\">{}</ins><del class=\"alt\">{original}</del></span>", escape(corrected))
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string does not fail");
}

/// Corrects words in the file that the page was read from.
///
/// # Errors
/// `Invalid` when the page was not read from this file.
pub fn correct(name: &str, bytes: &[u8], edition: &Edition<'_>) -> Result<String> {
    let document = Document::parse(name, bytes, Markup::Html)?;
    let (read, places) = locate(name, read_document(name, &document)?, edition)?;
    let mut edits = Edits::default();
    for (index, place) in places {
        let word = document.element(read.sources[place]);
        if let (Some(correction), Some(inner)) = (edition.correction(index), word.inner_span()) {
            let original = &document.source()[inner.clone()];
            edits.replace(inner, alternatives(&correction.text, original.trim()));
        }
    }
    Ok(edits.apply(document.source()))
}
