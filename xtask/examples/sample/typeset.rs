//! From words to ink: breaks a text into justified lines, with hyphens, and draws it in an old-style font.
//!
//! The true text is kept line by line as it was set, with the place of each line.

use std::path::Path;

use ab_glyph::{Font, FontVec, PxScale, ScaleFont, point};
use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::SmallRng;

use crate::field::Field;
use crate::text::{Text, long_s};

/// A font family with its italic, from a Debian package.
pub struct Family {
    /// The family's name.
    pub name: &'static str,
    /// The Debian package.
    pub package: &'static str,
    /// The licence that the package states.
    pub licence: &'static str,
    roman: &'static str,
    italic: &'static str,
}

/// Fonts after types of the 16th to 19th century, all under open licences.
pub const FAMILIES: [Family; 4] = [
    Family {
        name: "Junicode",
        package: "fonts-junicode",
        licence: "OFL-1.1",
        roman: "/usr/share/fonts/opentype/junicode/JunicodeTwoBeta-Regular.otf",
        italic: "/usr/share/fonts/opentype/junicode/JunicodeTwoBeta-Italic.otf",
    },
    Family {
        name: "GFS Didot",
        package: "fonts-gfs-didot",
        licence: "OFL-1.1",
        roman: "/usr/share/fonts/opentype/didot/GFSDidot.otf",
        italic: "/usr/share/fonts/opentype/didot/GFSDidotItalic.otf",
    },
    Family {
        name: "EB Garamond",
        package: "fonts-ebgaramond",
        licence: "OFL-1.1",
        roman: "/usr/share/fonts/opentype/ebgaramond/EBGaramond12-Regular.otf",
        italic: "/usr/share/fonts/opentype/ebgaramond/EBGaramond12-Italic.otf",
    },
    Family {
        name: "Goudy Bookletter 1911",
        package: "fonts-goudybookletter",
        licence: "public domain",
        roman: "/usr/share/fonts/opentype/sortsmill/GoudyBookletter1911.otf",
        italic: "/usr/share/fonts/opentype/ebgaramond/EBGaramond12-Italic.otf",
    },
];

/// The printed area's width in pixels, and the margin around it.
const MEASURE: f32 = 760.0;
const MARGIN: f32 = 80.0;
/// Distance of base lines, in ems.
const LEADING: f32 = 1.22;

/// A font at a size.
pub struct Face {
    /// Which of [`FAMILIES`].
    pub family: &'static Family,
    /// Whether `ſ` is set.
    pub long_s: bool,
    roman: FontVec,
    italic: FontVec,
    size: f32,
}

/// A line as it was set: its text and its box before any wear, in pixels.
pub struct SetLine {
    /// The true text, with the hyphen at its end where a word was broken.
    pub text: String,
    /// Left, top, right, bottom.
    pub edges: [f32; 4],
}

/// A page of ink.
pub struct Sheet {
    /// The file stem, such as `en-bees`.
    pub name: String,
    /// `en` or `es`.
    pub language: &'static str,
    /// The heading.
    pub title: String,
    /// The font's family.
    pub family: &'static Family,
    /// Lines from top to bottom.
    pub lines: Vec<SetLine>,
    /// 0 to 1 for each pixel.
    pub ink: Field,
}

impl Face {
    /// The font of page `number`: families in turn, begun anew by the seed; every second page has long s where the font has it.
    pub fn draw(number: usize, text: &Text, rng: &mut SmallRng) -> Result<Self> {
        // Two pages in turn share a family, so that each language meets each.
        let family = &FAMILIES[(number / 2 + number % 2) % FAMILIES.len()];
        let (roman, italic) = (load(family.roman)?, load(family.italic)?);
        let has_long_s = [&roman, &italic].iter().all(|font| font.glyph_id('ſ').0 != 0);
        let early = if text.language == "en" { 0.8 } else { 0.5 };
        let long_s = has_long_s && rng.random_bool(early);
        Ok(Self { family, long_s, roman, italic, size: rng.random_range(34.0..39.0) })
    }
}

fn load(path: &str) -> Result<FontVec> {
    let bytes = std::fs::read(Path::new(path)).with_context(|| format!("cannot read the font {path}"))?;
    FontVec::try_from_vec(bytes).with_context(|| format!("{path} is no font"))
}

/// Sets a page.
pub fn set(text: &Text, face: &Face, folio: u32, rng: &mut SmallRng) -> Result<Sheet> {
    let body = Setter::new(&face.roman, face.size);
    let spell = |word: &str| if face.long_s { long_s(word) } else { word.to_string() };
    let mut broken: Vec<(Vec<String>, bool, f32)> = Vec::new();
    for paragraph in &text.paragraphs {
        let words: Vec<String> = paragraph.split_whitespace().map(spell).collect();
        broken.extend(body.break_lines(words, face.size * 1.2));
    }
    let leading = (face.size * LEADING).round();
    let height = MARGIN * 2.0 + leading * (broken.len() as f32 + 4.2);
    let mut ink = Field::new((MEASURE + 2.0 * MARGIN) as usize, height as usize);
    let mut lines = Vec::new();
    let mut base = MARGIN + leading;
    let number = vec![format!("({folio})")];
    lines.push(body.draw(&mut ink, &number, MARGIN + (MEASURE - body.width(&number[0])) / 2.0, base, body.space(), rng));
    base += leading * 1.4;
    let heading = Setter::new(&face.italic, face.size * 1.12);
    let title: Vec<String> = text.title.split_whitespace().map(spell).collect();
    let width = heading.width(&title.join(" "));
    let heading = if width > MEASURE { Setter::new(&face.italic, face.size * 1.12 * MEASURE / width) } else { heading };
    let width = heading.width(&title.join(" "));
    lines.push(heading.draw(&mut ink, &title, MARGIN + (MEASURE - width) / 2.0, base, heading.space(), rng));
    rule(&mut ink, base + leading * 0.55);
    base += leading * 1.6;
    for (words, last, indent) in broken {
        let natural: f32 = words.iter().map(|word| body.width(word)).sum();
        let gaps = words.len().saturating_sub(1).max(1) as f32;
        let gap = if last { body.space() } else { (MEASURE - indent - natural) / gaps };
        lines.push(body.draw(&mut ink, &words, MARGIN + indent, base, gap, rng));
        base += leading;
    }
    let name = format!("{}-{}", text.language, text.topic);
    Ok(Sheet { name, language: text.language, title: text.title.clone(), family: face.family, lines, ink })
}

/// A thin rule across the middle third.
fn rule(ink: &mut Field, y: f32) {
    for x in (MARGIN + MEASURE / 3.0) as usize..(MARGIN + MEASURE * 2.0 / 3.0) as usize {
        for row in [y as usize, y as usize + 1] {
            ink.values[row * ink.width + x] = 0.8;
        }
    }
}

struct Setter<'a> {
    font: &'a FontVec,
    scale: PxScale,
}

impl<'a> Setter<'a> {
    fn new(font: &'a FontVec, em: f32) -> Self {
        // ab_glyph's scale is the height from ascent to descent; type is measured in ems.
        let units = font.units_per_em().unwrap_or(1000.0);
        Self { font, scale: PxScale::from(em * font.height_unscaled() / units) }
    }

    fn space(&self) -> f32 {
        self.font.as_scaled(self.scale).h_advance(self.font.glyph_id(' '))
    }

    fn width(&self, word: &str) -> f32 {
        let font = self.font.as_scaled(self.scale);
        let glyphs: Vec<_> = self.shape(word).into_iter().map(|letter| font.glyph_id(letter)).collect();
        let kerns: f32 = glyphs.windows(2).map(|pair| font.kern(pair[0], pair[1])).sum();
        kerns + glyphs.iter().map(|glyph| font.h_advance(*glyph)).sum::<f32>()
    }

    /// Letters as types: `fi` and `fl` were cast in one piece.
    fn shape(&self, word: &str) -> Vec<char> {
        let mut shaped = word.to_string();
        for (pair, ligature) in [("fi", 'ﬁ'), ("fl", 'ﬂ')] {
            if self.font.glyph_id(ligature).0 != 0 {
                shaped = shaped.replace(pair, &ligature.to_string());
            }
        }
        shaped.chars().collect()
    }

    /// Lines of words, each with whether it ends a paragraph and its indent; the first is indented.
    fn break_lines(&self, words: Vec<String>, indent: f32) -> Vec<(Vec<String>, bool, f32)> {
        let (mut lines, mut line, mut used) = (Vec::new(), Vec::new(), indent);
        let mut margin = indent;
        for word in words {
            let gap = if line.is_empty() { 0.0 } else { self.space() * 0.8 };
            let width = self.width(&word);
            if used + gap + width <= MEASURE {
                used += gap + width;
                line.push(word);
                continue;
            }
            let mut rest = word;
            if let Some((head, tail)) = self.hyphenate(&rest, MEASURE - used - gap) {
                line.push(head);
                rest = tail;
            }
            lines.push((std::mem::take(&mut line), false, margin));
            margin = 0.0;
            used = self.width(&rest);
            line.push(rest);
        }
        lines.push((line, true, margin));
        lines
    }

    /// Breaks a word before a consonant that a vowel follows, three letters at least on both sides, as late as fits.
    fn hyphenate(&self, word: &str, room: f32) -> Option<(String, String)> {
        let letters: Vec<char> = word.chars().collect();
        let vowel = |letter: char| "aeiouyáéíóúü".contains(letter);
        let consonant = |letter: char| letter.is_lowercase() && letter.is_alphabetic() && !vowel(letter);
        // Pairs that stay together: they are one sound, or begin a syllable.
        let together = |a: char, b: char| "hlr".contains(b) && consonant(a) && !"lmnrsſ".contains(a) || (a == 'q' || b == 'h');
        let fits = |at: usize| {
            let (before, here, after) = (letters[at - 1], letters[at], letters[at + 1]);
            let plain = letters[at - 3..(at + 3).min(letters.len())].iter().all(|letter| letter.is_alphabetic());
            plain && consonant(here) && vowel(after) && !together(before, here)
        };
        let places = (3..letters.len().saturating_sub(2)).rev().filter(|at| fits(*at));
        let mut parts = places.map(|at| (format!("{}-", letters[..at].iter().collect::<String>()), letters[at..].iter().collect()));
        parts.find(|(head, _): &(String, String)| self.width(head) <= room)
    }

    /// Draws a line; each type stands a little off its place and takes a little more or less ink.
    fn draw(&self, ink: &mut Field, words: &[String], left: f32, base: f32, gap: f32, rng: &mut SmallRng) -> SetLine {
        let font = self.font.as_scaled(self.scale);
        let mut x = left;
        for word in words {
            let mut before = None;
            for letter in self.shape(word) {
                let id = font.glyph_id(letter);
                x += before.map_or(0.0, |before| font.kern(before, id));
                let place = point(x + rng.random_range(-0.3..0.3), base + rng.random_range(-0.8..0.8));
                let weight = rng.random_range(0.78..1.0);
                if let Some(outline) = self.font.outline_glyph(id.with_scale_and_position(self.scale, place)) {
                    let corner = outline.px_bounds().min;
                    outline
                        .draw(|dx, dy, cover| stain(ink, corner.x as i64 + i64::from(dx), corner.y as i64 + i64::from(dy), cover * weight));
                }
                x += font.h_advance(id);
                before = Some(id);
            }
            x += gap;
        }
        SetLine { text: words.join(" "), edges: [left, base - font.ascent() * 0.85, x - gap, base - font.descent() * 1.05] }
    }
}

fn stain(ink: &mut Field, x: i64, y: i64, cover: f32) {
    if x >= 0 && y >= 0 && (x as usize) < ink.width && (y as usize) < ink.height {
        let value = &mut ink.values[y as usize * ink.width + x as usize];
        *value = (*value + cover).min(1.0);
    }
}
