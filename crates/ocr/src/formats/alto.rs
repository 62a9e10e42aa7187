//! ALTO, the format of libraries' mass digitisation: versions 2 to 4, any prefix.
//!
//! Source: the schemas of <https://github.com/altoxml/schema>. A `HYP` belongs to the `String` before it, since both are one printed
//! word with its hyphen; `SUBS_CONTENT`, the word put together over the line's end, is not printed and so not read. eScriptorium puts
//! a whole line into one `String`: a page on which no line has two of them, and some hold a space, has lines and no words.

use std::collections::HashMap;

use record::{Error, Result};

use super::{
    Format, ReadPage, Scale,
    builder::{Builder, BuiltLine, FoundWord},
    edition::software,
    outline::{Outline, points},
    xml::{Document, Element, Markup},
};
use crate::page::Page;

mod write;

pub use write::{correct, write};

/// Reads the file's pages.
///
/// # Errors
/// `Invalid` when it is not ALTO or not well-formed, or in another unit than pixels while the image's size is not known.
pub(crate) fn read(name: &str, bytes: &[u8], scale: Scale) -> Result<Vec<ReadPage>> {
    let document = Document::parse(name, bytes, Markup::Xml)?;
    read_document(name, &document, scale)
}

pub(super) fn read_document(name: &str, document: &Document, scale: Scale) -> Result<Vec<ReadPage>> {
    let root = document.root();
    let layout = root.child("Layout");
    let pages: Vec<_> = layout.iter().flat_map(|layout| layout.children_named("Page")).collect();
    if pages.is_empty() {
        return Err(Error::invalid("expected a Page element in alto/Layout, found none").with("file", name));
    }
    let description = root.child("Description");
    let image_name = description
        .and_then(|description| description.child("sourceImageInformation")?.child("fileName"))
        .map(|file| file.text().trim().to_owned())
        .filter(|file| !file.is_empty());
    let engine = engine(root);
    let order = reading_order(root);
    let read_one = |element: Element<'_>| {
        let unit = Unit::new(root, element, scale)?;
        let page = Page {
            image_name: image_name.clone(),
            width: unit.page.0,
            height: unit.page.1,
            language: language(element),
            engine: engine.clone(),
            lines: Vec::new(),
        };
        read_page(element, &unit, &order, Builder::new(Format::Alto, page))
    };
    pages.into_iter().map(|page| read_one(page).map_err(|error| error.with("file", name))).collect()
}

/// How the page's numbers become pixels.
struct Unit {
    page: (u32, u32),
    scale: (f64, f64),
}

impl Unit {
    fn new(root: Element<'_>, page: Element<'_>, scale: Scale) -> Result<Self> {
        let unit = root.child("Description").and_then(|description| description.child("MeasurementUnit")).map(Element::text);
        let unit = unit.as_deref().map_or("pixel", str::trim);
        let size = |name: &str| page.number(name).filter(|number| (0.0..1e6).contains(number)).unwrap_or(0.0);
        let (width, height) = (size("WIDTH"), size("HEIGHT"));
        match (unit, scale) {
            ("pixel", _) | (_, Scale::Unknown) => Ok(Self { page: (width.round() as u32, height.round() as u32), scale: (1.0, 1.0) }),
            ("mm10" | "inch1200", Scale::Image(size_px)) if width > 0.0 && height > 0.0 => {
                Ok(Self { page: size_px, scale: (f64::from(size_px.0) / width, f64::from(size_px.1) / height) })
            }
            ("mm10" | "inch1200", _) => {
                Err(Error::invalid("places are not in pixels: they are read with the image at hand, and with WIDTH and HEIGHT of Page")
                    .with("unit", unit)
                    .with("line", page.line()))
            }
            _ => Err(Error::invalid("expected the MeasurementUnit pixel, mm10 or inch1200").with("found", unit)),
        }
    }

    fn place(&self, element: Element<'_>) -> std::result::Result<Outline, String> {
        let list = element.child("Shape").and_then(|shape| shape.child("Polygon")?.attribute("POINTS"));
        let outline = match list {
            Some(list) => {
                let corners: Vec<_> = points(&list)?.into_iter().map(|(x, y)| (x * self.scale.0, y * self.scale.1)).collect();
                Some(Outline::from_points(&corners)?)
            }
            None => None,
        };
        let numbers = ["HPOS", "VPOS", "WIDTH", "HEIGHT"].map(|name| element.number(name));
        let [Some(x), Some(y), Some(width), Some(height)] = numbers else {
            return outline.ok_or_else(|| "expected HPOS, VPOS, WIDTH and HEIGHT".to_owned());
        };
        let (right, bottom) = ((x + width) * self.scale.0, (y + height) * self.scale.1);
        let boxed = Outline::from_corners(x * self.scale.0, y * self.scale.1, right, bottom)?;
        Ok(Outline { rect: boxed.rect, polygon: outline.unwrap_or_default().polygon })
    }
}

fn engine(root: Element<'_>) -> Option<String> {
    // Version 4 has Processing, older ones OCRProcessing/ocrProcessingStep; the last program named is the one that read the text.
    let programs = root.descendants().filter(|element| element.name() == "processingSoftware");
    let names = programs.filter_map(|program| {
        let part = |name: &str| program.child(name).map(|part| part.text().trim().to_owned()).filter(|part| !part.is_empty());
        let name = part("softwareName").or_else(|| part("softwareCreator"))?;
        Some(part("softwareVersion").map_or(name.clone(), |version| format!("{name} {version}")))
    });
    names.filter(|name| *name != software()).last() // what corrected the text did not read it
}

fn language(page: Element<'_>) -> Option<String> {
    std::iter::once(page)
        .chain(page.descendants())
        .find_map(|place| place.attribute("LANG").or_else(|| place.attribute("language")))
        .map(String::from)
}

/// Version 4.2 and later: which block or line comes when.
fn reading_order(root: Element<'_>) -> HashMap<String, usize> {
    let group = root.descendants().find(|element| element.name() == "ReadingOrder");
    let references = group.into_iter().flat_map(Element::descendants).filter_map(|element| element.attribute("REF"));
    let mut order = HashMap::new();
    for reference in references {
        let next = order.len();
        order.entry(reference.into_owned()).or_insert(next);
    }
    order
}

fn read_page(page: Element<'_>, unit: &Unit, order: &HashMap<String, usize>, mut builder: Builder) -> Result<ReadPage> {
    let mut lines: Vec<_> = page.descendants().filter(|element| element.name() == "TextLine").collect();
    lines.sort_by_key(|line| place_in_order(*line, order));
    let whole_lines = is_whole_lines(&lines);
    for element in lines {
        let place = unit.place(element).unwrap_or_default(); // version 2 leaves a line's place out; it then has that of its words
        let mut line = builder.line(element.attribute("ID").map(String::from), place);
        if whole_lines {
            let texts = element.children_named("String").filter_map(|string| string.attribute("CONTENT"));
            line.line.text = Some(texts.collect::<Vec<_>>().join(" ").trim().to_owned());
        } else if is_text_alone(element) {
            let texts: Vec<_> = element.children_named("String").filter_map(|string| string.attribute("CONTENT")).collect();
            line.line.text = Some(texts.join(" "));
        } else {
            read_words(element, unit, &mut line, &mut builder)?;
        }
        builder.push(line);
    }
    Ok(builder.finish())
}

fn place_in_order(line: Element<'_>, order: &HashMap<String, usize>) -> usize {
    let mut around = Some(line);
    while let Some(element) = around {
        if let Some(number) = element.attribute("ID").and_then(|id| order.get(&*id)) {
            return *number;
        }
        around = element.parent();
    }
    usize::MAX
}

fn is_whole_lines(lines: &[Element<'_>]) -> bool {
    let strings = |line: &Element<'_>| line.children_named("String").count();
    let has_space = |line: &Element<'_>| {
        line.children_named("String").filter_map(|string| string.attribute("CONTENT")).any(|text| text.trim().contains(char::is_whitespace))
    };
    // A word that was corrected to two has a space too, and what it was before.
    let corrected = |line: &Element<'_>| line.children_named("String").any(|string| string.child("ALTERNATIVE").is_some());
    lines.iter().all(|line| strings(line) <= 1 && !corrected(line)) && lines.iter().any(has_space)
}

/// A line whose words have no places at all, as they are written where only the line's text is known.
fn is_text_alone(line: Element<'_>) -> bool {
    let has_place = |string: Element<'_>| string.attribute("HPOS").is_some() || string.child("Shape").is_some();
    line.child("String").is_some() && !line.children_named("String").any(has_place)
}

fn read_words(line: Element<'_>, unit: &Unit, built: &mut BuiltLine, builder: &mut Builder) -> Result<()> {
    for string in line.children_named("String") {
        let mut text = string.attribute("CONTENT").unwrap_or_default().into_owned();
        let mut place = unit.place(string);
        if let Some(hyphen) = hyphen_after(string) {
            text.push_str(&hyphen_text(hyphen));
            if let (Ok(outline), Ok(more)) = (&mut place, unit.place(hyphen)) {
                outline.rect = outline.rect.union(&more.rect);
            }
        }
        let found = FoundWord {
            id: string.attribute("ID").map(String::from),
            place,
            text,
            has_original: string.child("ALTERNATIVE").is_some(),
            confidence: string.number("WC"),
            source: string.index(),
            at_line: string.line(),
        };
        builder.word(built, found)?;
    }
    Ok(())
}

/// The `HYP` that stands directly after a `String`.
fn hyphen_after(string: Element<'_>) -> Option<Element<'_>> {
    string.parent()?.children().skip_while(|element| element.index() != string.index()).nth(1).filter(|next| next.name() == "HYP")
}

fn hyphen_text(hyphen: Element<'_>) -> String {
    hyphen.attribute("CONTENT").map(String::from).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
}
