//! PAGE XML, the format of PRImA, Transkribus, OCR-D and eScriptorium: versions 2009 to 2019, any prefix.
//!
//! Source: the schemas of <https://github.com/PRImA-Research-Lab/PAGE-XML>. Of several `TextEquiv` the one with the lowest `index`
//! is the text. Regions come in the order of `ReadingOrder`, those that it does not name after them in file order. A region's lines
//! come by `index` where all have one, else by `custom="readingOrder {index:…}"`, else in file order, unless that goes upwards: then by y.

use std::collections::HashMap;

use record::{Error, Result};

use super::{
    Format, ReadPage,
    builder::{Builder, BuiltLine, FoundWord},
    outline::{Outline, points},
    xml::{Document, Element, Markup},
};
use crate::page::Page;

mod language;
mod write;

pub use write::{correct, write};

/// Reads the file's page.
///
/// # Errors
/// `Invalid` when it is not PAGE XML, or not well-formed.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<ReadPage>> {
    let document = Document::parse(name, bytes, Markup::Xml)?;
    read_document(name, &document)
}

pub(super) fn read_document(name: &str, document: &Document) -> Result<Vec<ReadPage>> {
    let pages: Vec<_> = document.root().children_named("Page").collect();
    if pages.is_empty() {
        return Err(Error::invalid("expected a Page element in PcGts, found none").with("file", name));
    }
    pages.into_iter().map(|page| read_page(page, engine(document.root())).map_err(|error| error.with("file", name))).collect()
}

/// The last recognition step, or the program that made the file.
fn engine(root: Element<'_>) -> Option<String> {
    let metadata = root.child("Metadata")?;
    let steps =
        metadata.children_named("MetadataItem").filter(|item| item.attribute("name").is_some_and(|name| name.contains("recognition")));
    let step = steps.filter_map(|item| item.attribute("value")).next_back().map(String::from);
    step.or_else(|| metadata.child("Creator").map(Element::text)).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn read_page(element: Element<'_>, engine: Option<String>) -> Result<ReadPage> {
    let size = |name: &str| element.number(name).filter(|number| (0.0..1e6).contains(number)).unwrap_or(0.0) as u32;
    let regions = regions_in_order(element);
    let language = std::iter::once(element)
        .chain(regions.iter().copied())
        .find_map(|place| place.attribute("primaryLanguage"))
        .map(|name| language::code(&name).to_owned());
    let page = Page {
        image_name: element.attribute("imageFilename").map(String::from).filter(|name| !name.is_empty()),
        width: size("imageWidth"),
        height: size("imageHeight"),
        language,
        engine,
        lines: Vec::new(),
    };
    let mut builder = Builder::new(Format::PageXml, page);
    for region in regions {
        read_region(region, &mut builder)?;
    }
    Ok(builder.finish())
}

/// All text regions, also those within tables and other regions, in reading order.
fn regions_in_order<'d>(page: Element<'d>) -> Vec<Element<'d>> {
    let mut order = HashMap::new();
    if let Some(reading_order) = page.child("ReadingOrder") {
        number_regions(reading_order, &mut order);
    }
    let mut regions: Vec<_> = page.descendants().filter(|element| element.name() == "TextRegion").collect();
    // A region that is not named goes where the region around it goes, which stands before it in the file.
    regions.sort_by_key(|region| {
        let mut around = Some(*region);
        while let Some(element) = around {
            if let Some(number) = element.attribute("id").and_then(|id| order.get(&*id)) {
                return *number;
            }
            around = element.parent();
        }
        usize::MAX
    });
    regions
}

fn number_regions(group: Element<'_>, order: &mut HashMap<String, usize>) {
    let mut members: Vec<_> = group.children().collect();
    members.sort_by_key(|member| member.number("index").map_or(i64::MAX, |index| index as i64));
    for member in members {
        if let Some(region) = member.attribute("regionRef") {
            let next = order.len();
            order.entry(region.into_owned()).or_insert(next);
        }
        number_regions(member, order);
    }
}

fn read_region(region: Element<'_>, builder: &mut Builder) -> Result<()> {
    let mut lines = Vec::new();
    for element in region.children_named("TextLine") {
        if let Some(line) = read_line(element, builder)? {
            lines.push((element, line));
        }
    }
    if lines.is_empty() {
        // Some files have the text of a region only; its lines then share the region's box.
        let id = region.attribute("id").unwrap_or_default();
        let text = text_of(region).unwrap_or_default();
        for (index, row) in text.lines().filter(|row| !row.trim().is_empty()).enumerate() {
            let mut line = builder.line(Some(format!("{id}_{}", index + 1)), place(region).unwrap_or_default());
            line.line.text = Some(row.trim().to_owned());
            builder.push(line);
        }
        return Ok(());
    }
    order_lines(&mut lines);
    lines.into_iter().for_each(|(_, line)| builder.push(line));
    Ok(())
}

fn read_line(element: Element<'_>, builder: &mut Builder) -> Result<Option<BuiltLine>> {
    let id = element.attribute("id").map(String::from);
    let outline = match place(element) {
        Ok(outline) => outline,
        Err(message) => {
            builder.problem(id.clone().unwrap_or_else(|| "TextLine".to_owned()), Some(element.line()), message);
            Outline::default()
        }
    };
    let mut line = builder.line(id, outline);
    line.line.text = text_of(element).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    for word in element.children_named("Word") {
        let text_equiv = main_text_equiv(word);
        let found = FoundWord {
            id: word.attribute("id").map(String::from),
            place: place(word),
            text: text_of(word).unwrap_or_default(),
            has_original: word
                .children_named("TextEquiv")
                .any(|equiv| equiv.child("Unicode").is_some_and(|text| !text.text().trim().is_empty())),
            confidence: text_equiv.and_then(|equiv| equiv.number("conf")),
            source: word.index(),
            at_line: word.line(),
        };
        builder.word(&mut line, found)?;
    }
    Ok(Some(line))
}

fn order_lines(lines: &mut [(Element<'_>, BuiltLine)]) {
    let indexes: Option<Vec<i64>> = lines.iter().map(|(element, _)| line_index(*element)).collect();
    if let Some(indexes) = indexes {
        let by_id: HashMap<usize, i64> = lines.iter().map(|(element, _)| element.index()).zip(indexes).collect();
        lines.sort_by_key(|(element, _)| by_id[&element.index()]);
        return;
    }
    let middle = |line: &BuiltLine| line.line.rect.y + line.line.rect.height / 2;
    let goes_up = lines.windows(2).any(|pair| {
        let (above, below) = (&pair[0].1.line.rect, &pair[1].1.line.rect);
        let beside = above.right().min(below.right()) <= above.x.max(below.x);
        !beside && middle(&pair[1].1) + below.height / 2 < middle(&pair[0].1)
    });
    if goes_up {
        lines.sort_by_key(|(_, line)| middle(line));
    }
}

/// `index`, or the number in `custom="readingOrder {index:3;} …"` as Transkribus writes it.
fn line_index(line: Element<'_>) -> Option<i64> {
    if let Some(index) = line.number("index") {
        return Some(index as i64);
    }
    let custom = line.attribute("custom")?;
    let digits = custom.split_once("readingOrder")?.1.split_once("index:")?.1;
    digits.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn main_text_equiv(element: Element<'_>) -> Option<Element<'_>> {
    element.children_named("TextEquiv").min_by_key(|equiv| equiv.number("index").map_or(0, |index| index as i64))
}

fn text_of(element: Element<'_>) -> Option<String> {
    let equiv = main_text_equiv(element)?;
    equiv.child("Unicode").or_else(|| equiv.child("PlainText")).map(Element::text)
}

/// `Coords points="x,y x,y"`, or before 2013 `Coords` with `Point` elements.
fn place(element: Element<'_>) -> std::result::Result<Outline, String> {
    let coords = element.child("Coords").ok_or("expected a Coords element, found none")?;
    match coords.attribute("points") {
        Some(list) => Outline::from_points(&points(&list)?),
        None => {
            let corners: Option<Vec<_>> =
                coords.children_named("Point").map(|point| Some((point.number("x")?, point.number("y")?))).collect();
            Outline::from_points(&corners.ok_or("expected Point elements with x and y")?)
        }
    }
}
