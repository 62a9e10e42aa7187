//! A small tree of an XML or XHTML file in which every element and attribute knows its bytes. Called by the readers of PAGE,
//! ALTO and hOCR, and by their correctors, which replace some of those bytes and keep all others.
//!
//! bytes → text in UTF-8 → quick-xml events → tree
//!
//! What comes from outside is capped: bytes, elements, depth. Only the five predefined entities and character references are
//! resolved (in HTML also a few well-known names); a document type that declares its own is refused, so nothing can grow.

use std::{borrow::Cow, ops::Range};

use quick_xml::{
    Reader,
    escape::{resolve_xml_entity, unescape_with},
    events::{BytesStart, Event},
};
use record::{Error, Result};

use super::encoding::decode;

/// The largest file that is read, in bytes.
pub const XML_BYTES_MAX: usize = 64 << 20;
/// The most elements in a file.
pub const ELEMENTS_MAX: usize = 1_000_000;
/// The deepest nesting of elements.
pub const DEPTH_MAX: usize = 128;

/// Elements that HTML never closes.
const VOID: [&str; 14] = ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];

/// A parsed file.
#[derive(Debug)]
pub struct Document {
    source: String,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    name: Range<u32>,
    open: Range<u32>,
    close: Range<u32>,
    line: u32,
    parent: Option<u32>,
    attributes: Vec<(Range<u32>, Range<u32>)>,
    children: Vec<Child>,
}

#[derive(Debug)]
enum Child {
    Element(u32),
    Text(Range<u32>),
    CData(Range<u32>),
}

/// One element of a [`Document`].
#[derive(Clone, Copy, Debug)]
pub struct Element<'d> {
    document: &'d Document,
    index: u32,
}

/// Which rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// XML 1.0: every element is closed by its own name.
    Xml,
    /// (X)HTML: void elements, attributes without quotes, end tags that are left out.
    Html,
}

impl Document {
    /// Parses a file.
    ///
    /// # Errors
    /// `Invalid` names the file, line and byte, and what was expected there.
    pub fn parse(file: &str, bytes: &[u8], markup: Markup) -> Result<Self> {
        if bytes.len() > XML_BYTES_MAX {
            return Err(Error::invalid("the file is too large: split it, one page for each file")
                .with("file", file)
                .with("bytes", bytes.len())
                .with("bytes_max", XML_BYTES_MAX));
        }
        let source = decode(bytes).map_err(|error| error.with("file", file))?;
        let mut document = Self { source: String::new(), nodes: Vec::new() };
        Parser { source: &source, markup, nodes: &mut document.nodes, stack: Vec::new(), line: 1, start: 0, root_closed: false }
            .run()
            .map_err(|error| error.with("file", file))?;
        document.source = source;
        Ok(document)
    }

    /// The outermost element.
    pub fn root(&self) -> Element<'_> {
        Element { document: self, index: 0 }
    }

    /// The element at an index as given by [`Element::index`].
    pub fn element(&self, index: usize) -> Element<'_> {
        assert!(index < self.nodes.len(), "element {index} of {}", self.nodes.len());
        Element { document: self, index: index as u32 }
    }

    /// The whole text.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl<'d> Element<'d> {
    fn node(self) -> &'d Node {
        &self.document.nodes[self.index as usize]
    }

    fn slice(self, range: &Range<u32>) -> &'d str {
        &self.document.source[bytes(range)]
    }

    /// The position in document order; 0 is the root.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The name without its prefix.
    pub fn name(self) -> &'d str {
        let name = self.slice(&self.node().name);
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// The prefix with its colon, or nothing: what a new element beside this one begins with.
    pub fn prefix(self) -> &'d str {
        let name = self.slice(&self.node().name);
        name.rfind(':').map_or("", |colon| &name[..=colon])
    }

    /// The line in the file, from 1.
    pub fn line(self) -> usize {
        self.node().line as usize
    }

    /// An attribute's value by its name without prefix.
    pub fn attribute(self, name: &str) -> Option<Cow<'d, str>> {
        let (_, value) = self.find_attribute(name)?;
        let raw = self.slice(value);
        Some(unescape_with(raw, resolve).unwrap_or(Cow::Borrowed(raw)))
    }

    /// The bytes of an attribute's value, within the quotes.
    pub fn attribute_span(self, name: &str) -> Option<Range<usize>> {
        self.find_attribute(name).map(|(_, value)| bytes(value))
    }

    fn find_attribute(self, name: &str) -> Option<&'d (Range<u32>, Range<u32>)> {
        self.node().attributes.iter().find(|(key, _)| {
            let key = self.slice(key);
            key == name || key.rsplit_once(':').is_some_and(|(_, local)| local == name)
        })
    }

    /// An attribute as a number.
    pub fn number(self, name: &str) -> Option<f64> {
        self.attribute(name)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The element around this one.
    pub fn parent(self) -> Option<Self> {
        self.node().parent.map(|index| Self { document: self.document, index })
    }

    /// The elements directly inside, in order.
    pub fn children(self) -> impl DoubleEndedIterator<Item = Self> + Clone {
        self.node().children.iter().filter_map(move |child| match child {
            Child::Element(index) => Some(Self { document: self.document, index: *index }),
            Child::Text(_) | Child::CData(_) => None,
        })
    }

    /// The elements directly inside with a name.
    pub fn children_named(self, name: &str) -> impl DoubleEndedIterator<Item = Self> + Clone {
        self.children().filter(move |child| child.name() == name)
    }

    /// The first element directly inside with a name.
    pub fn child(self, name: &str) -> Option<Self> {
        self.children_named(name).next()
    }

    /// All elements inside, in document order, without this one.
    pub fn descendants(self) -> impl Iterator<Item = Self> {
        // Nodes are stored in document order, so what is inside stands together.
        let last = self.last_inside();
        (self.index + 1..=last).map(move |index| Self { document: self.document, index })
    }

    fn last_inside(self) -> u32 {
        let mut last = self;
        while let Some(inner) = last.children().next_back() {
            last = inner;
        }
        last.index
    }

    /// The text directly inside, references resolved.
    pub fn text(self) -> String {
        self.node().children.iter().filter_map(|child| self.child_text(child)).collect()
    }

    /// The text inside this and all elements in it, but for those that `skip` says yes to.
    pub fn deep_text(self, skip: &dyn Fn(Self) -> bool) -> String {
        let mut text = String::new();
        self.push_deep_text(skip, &mut text);
        text
    }

    // Depth is at most DEPTH_MAX.
    fn push_deep_text(self, skip: &dyn Fn(Self) -> bool, text: &mut String) {
        for child in &self.node().children {
            if let Child::Element(index) = child {
                let inner = Self { document: self.document, index: *index };
                if !skip(inner) {
                    inner.push_deep_text(skip, text);
                }
            }
            text.push_str(&self.child_text(child).unwrap_or_default());
        }
    }

    fn child_text(self, child: &Child) -> Option<Cow<'d, str>> {
        match child {
            Child::Element(_) => None,
            Child::Text(range) => {
                let raw = self.slice(range);
                Some(unescape_with(raw, resolve).unwrap_or(Cow::Borrowed(raw)))
            }
            Child::CData(range) => Some(Cow::Borrowed(self.slice(range))),
        }
    }

    /// The bytes of the start tag, or of the whole of `<a/>`.
    pub fn open_span(self) -> Range<usize> {
        bytes(&self.node().open)
    }

    /// The bytes of the end tag; those of the start tag for `<a/>`.
    pub fn close_span(self) -> Range<usize> {
        bytes(&self.node().close)
    }

    /// The bytes from the start tag to the end tag.
    pub fn span(self) -> Range<usize> {
        self.open_span().start..self.close_span().end
    }

    /// The bytes between the tags; nothing for `<a/>`.
    pub fn inner_span(self) -> Option<Range<usize>> {
        let (open, close) = (self.open_span(), self.close_span());
        (open != close).then_some(open.end..close.start)
    }
}

fn bytes(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

fn small(range: Range<usize>) -> Range<u32> {
    range.start as u32..range.end as u32 // XML_BYTES_MAX fits, also when decoding makes the text three times as long
}

/// The five predefined entities and some that hOCR files use.
fn resolve(entity: &str) -> Option<&'static str> {
    resolve_xml_entity(entity).or(match entity {
        "nbsp" => Some("\u{a0}"),
        "shy" => Some("\u{ad}"),
        "mdash" => Some("—"),
        "ndash" => Some("–"),
        "lsquo" => Some("‘"),
        "rsquo" => Some("’"),
        "ldquo" => Some("“"),
        "rdquo" => Some("”"),
        "laquo" => Some("«"),
        "raquo" => Some("»"),
        "hellip" => Some("…"),
        _ => None,
    })
}

struct Parser<'s> {
    source: &'s str,
    markup: Markup,
    nodes: &'s mut Vec<Node>,
    stack: Vec<u32>,
    line: usize,
    start: usize,
    root_closed: bool,
}

impl<'s> Parser<'s> {
    fn run(mut self) -> Result<()> {
        let mut reader = Reader::from_str(self.source);
        // Ends are checked here, because HTML may leave them out.
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        loop {
            self.start = reader.buffer_position() as usize;
            let event = reader.read_event();
            let end = reader.buffer_position() as usize;
            match event {
                Ok(Event::Eof) => break,
                Ok(event) => self.take(event, end)?,
                Err(error) => {
                    return Err(self
                        .wrong("not well-formed XML: mend the file, or write it again with the program that made it")
                        .because(error));
                }
            }
            self.line += self.source.as_bytes()[self.start..end].iter().filter(|byte| **byte == b'\n').count();
        }
        self.start = self.source.len();
        if let Some(open) = self.stack.last() {
            let name = &self.source[bytes(&self.nodes[*open as usize].name)];
            return Err(self.wrong("the file ends in the middle: it was cut off, copy or write it again").with("open_element", name));
        }
        if self.nodes.is_empty() { Err(self.wrong("expected an XML element, found none")) } else { Ok(()) }
    }

    fn take(&mut self, event: Event<'s>, end: usize) -> Result<()> {
        let span = self.start..end;
        match event {
            Event::Start(tag) => {
                let index = self.add(&tag, span)?;
                let void = self.markup == Markup::Html && VOID.contains(&tag.name().as_ref());
                if void {
                    self.root_closed |= self.stack.is_empty()
                } else {
                    self.stack.push(index)
                }
                if self.stack.len() > DEPTH_MAX {
                    return Err(self.wrong("elements are nested too deeply").with("depth_max", DEPTH_MAX));
                }
            }
            Event::Empty(tag) => {
                self.add(&tag, span)?;
                self.root_closed |= self.stack.is_empty();
            }
            Event::End(tag) => self.close(tag.name().as_ref(), span)?,
            Event::Text(_) | Event::GeneralRef(_) => self.text(span)?,
            Event::CData(_) => {
                let inner = span.start + "<![CDATA[".len()..span.end - "]]>".len();
                match self.stack.last() {
                    Some(parent) => self.nodes[*parent as usize].children.push(Child::CData(small(inner))),
                    None => return Err(self.wrong("text outside of the outermost element")),
                }
            }
            // Own entities could grow without limit, and files from OCR have none.
            Event::DocType(content) if content.contains("<!ENTITY") || content.contains('[') => {
                return Err(self.wrong("the document type declares its own entities, which are refused: take the declaration out"));
            }
            Event::DocType(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn add(&mut self, tag: &BytesStart<'s>, span: Range<usize>) -> Result<u32> {
        if self.root_closed {
            return Err(self.wrong("a second outermost element"));
        }
        if self.nodes.len() >= ELEMENTS_MAX {
            return Err(self.wrong("too many elements: split the file, one page for each file").with("elements_max", ELEMENTS_MAX));
        }
        let index = self.nodes.len() as u32;
        let name = span.start + 1..span.start + 1 + tag.name().as_ref().len();
        let base = self.source.as_ptr() as usize;
        let mut attributes = Vec::new();
        let mut found = if self.markup == Markup::Html { tag.html_attributes() } else { tag.attributes() };
        for attribute in found.with_checks(self.markup == Markup::Xml) {
            let attribute = attribute.map_err(|error| self.wrong("an attribute is not well-formed").because(error))?;
            unescape_with(&attribute.value, resolve).map_err(|error| self.wrong("a reference that is not known").because(error))?;
            let place = |text: &str| {
                // Names and values are slices of the source, but for the empty value of a bare name in HTML.
                let start = (text.as_ptr() as usize).checked_sub(base).filter(|start| start + text.len() <= span.end).unwrap_or(span.end);
                small(start..start + text.len())
            };
            attributes.push((place(attribute.key.as_ref()), place(&attribute.value)));
        }
        let parent = self.stack.last().copied();
        self.nodes.push(Node {
            name: small(name),
            open: small(span.clone()),
            close: small(span),
            line: self.line as u32,
            parent,
            attributes,
            children: Vec::new(),
        });
        if let Some(parent) = parent {
            self.nodes[parent as usize].children.push(Child::Element(index));
        }
        Ok(index)
    }

    fn close(&mut self, name: &str, span: Range<usize>) -> Result<()> {
        let open_name = |index: &u32| &self.source[bytes(&self.nodes[*index as usize].name)];
        let depth = match self.markup {
            Markup::Xml => self.stack.last().filter(|index| open_name(index) == name).map(|_| self.stack.len() - 1),
            Markup::Html => self.stack.iter().rposition(|index| open_name(index) == name),
        };
        let Some(depth) = depth else {
            if self.markup == Markup::Html {
                return Ok(()); // an end without a beginning says nothing
            }
            let expected = self.stack.last().map_or("no end tag".to_owned(), |index| format!("</{}>", open_name(index)));
            return Err(self.wrong("an end tag without its start tag").with("found", format!("</{name}>")).with("expected", expected));
        };
        for index in self.stack.split_off(depth + 1) {
            self.nodes[index as usize].close = small(span.start..span.start);
        }
        let index = self.stack.pop().expect("rposition and last are within the stack");
        self.nodes[index as usize].close = small(span);
        self.root_closed |= self.stack.is_empty();
        Ok(())
    }

    fn text(&mut self, span: Range<usize>) -> Result<()> {
        let raw = &self.source[span.clone()];
        match self.stack.last() {
            Some(parent) => {
                if let Err(error) = unescape_with(raw, resolve) {
                    // HTML lets an ampersand stand alone.
                    if self.markup == Markup::Xml {
                        return Err(self.wrong("a reference that is not known").because(error));
                    }
                }
                self.nodes[*parent as usize].children.push(Child::Text(small(span)));
                Ok(())
            }
            None if raw.trim().is_empty() => Ok(()),
            None => Err(self
                .wrong("text outside of the outermost element: expected XML")
                .with("found", raw.trim().chars().take(40).collect::<String>())),
        }
    }

    fn wrong(&self, message: &'static str) -> Error {
        Error::invalid(message).with("line", self.line).with("byte", self.start)
    }
}

/// Text for an element's content or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' => escaped.push(character), // a space where an attribute is read
            // XML 1.0 has no way to write them.
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Replacements of bytes in a file; everything between them is kept.
#[derive(Debug, Default)]
pub struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Replaces a range; an empty one inserts.
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.0.push((range, text.into()));
    }

    /// The file with the replacements made.
    ///
    /// # Panics
    /// When two of them overlap: a bug of the caller.
    pub fn apply(mut self, source: &str) -> String {
        self.0.sort_by_key(|(range, _)| (range.start, range.end)); // stable: insertions at one place keep their order
        let mut edited = String::with_capacity(source.len() + self.0.iter().map(|(_, text)| text.len()).sum::<usize>());
        let mut kept = 0;
        for (range, text) in &self.0 {
            assert!(range.start >= kept, "edits overlap at byte {}", range.start);
            edited.push_str(&source[kept..range.start]);
            edited.push_str(text);
            kept = range.end;
        }
        edited.push_str(&source[kept..]);
        edited
    }
}
