//! A page as an OCR engine read it: lines, words, their places and texts.
//!
//! The readers in `formats` make these; import, task making, crops, export and evaluation use them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rectangle in pixels of the page's image; `x`, `y` is its upper left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Rect {
    /// Left edge, pixels from the left of the image.
    pub x: u32,
    /// Upper edge, pixels from the top.
    pub y: u32,
    /// Width in pixels; at least 1 in a checked page.
    pub width: u32,
    /// Height in pixels; at least 1 in a checked page.
    pub height: u32,
}

/// A word's box and the text that the engine read in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Word {
    /// The element's id in the file it came from, or `w<n>` by position where it has none.
    pub id: String,
    /// The bounding box (of the polygon, where the file has one).
    pub rect: Rect,
    /// The corners of the outline, where the file has more than a box.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polygon: Vec<(u32, u32)>,
    /// The text as the engine gave it: not normalised, not trimmed of punctuation.
    pub text: String,
    /// The engine's own confidence, 0 to 1, where it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
}

/// A line of print.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// The element's id in the file, or `l<n>`.
    pub id: String,
    /// The bounding box.
    pub rect: Rect,
    /// The corners of the outline, where the file has more than a box.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polygon: Vec<(u32, u32)>,
    /// The words in reading order; empty where the format has only whole lines.
    pub words: Vec<Word>,
    /// The whole line's text, where the file gives it apart from the words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// The name of the image, as the file says it (often only a hint).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_name: Option<String>,
    /// Width of the image in pixels, as the file says it; 0 where it does not.
    pub width: u32,
    /// Height of the image in pixels, likewise.
    pub height: u32,
    /// The language, where the file says it, as a BCP 47 or ISO 639 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The engine and its version, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The lines in reading order.
    pub lines: Vec<Line>,
}

impl Rect {
    /// One past the right edge.
    pub fn right(&self) -> u32 {
        self.x.saturating_add(self.width)
    }

    /// One past the lower edge.
    pub fn bottom(&self) -> u32 {
        self.y.saturating_add(self.height)
    }

    /// The smallest rectangle around both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        Self { x, y, width: self.right().max(other.right()) - x, height: self.bottom().max(other.bottom()) - y }
    }

    /// The same place on an image of another size: each edge times the factor across or down.
    #[must_use]
    pub fn scaled(&self, (across, down): (f64, f64)) -> Self {
        let times = |number: u32, factor: f64| (f64::from(number) * factor).round() as u32;
        let (x, y) = (times(self.x, across), times(self.y, down));
        let (right, bottom) = (times(self.right(), across), times(self.bottom(), down));
        Self { x, y, width: right.saturating_sub(x), height: bottom.saturating_sub(y) }
    }

    /// Pixels that lie in both.
    pub fn overlap_px(&self, other: &Self) -> u64 {
        let width = self.right().min(other.right()).saturating_sub(self.x.max(other.x));
        let height = self.bottom().min(other.bottom()).saturating_sub(self.y.max(other.y));
        u64::from(width) * u64::from(height)
    }
}

/// The factors across and down from one size to another; 1 where either is not known.
pub fn scale_between(from: (u32, u32), to: (u32, u32)) -> (f64, f64) {
    let ratio = |from: u32, to: u32| if from > 0 && to > 0 { f64::from(to) / f64::from(from) } else { 1.0 };
    (ratio(from.0, to.0), ratio(from.1, to.1))
}

impl Line {
    /// The line's text: as the file gives it, else its words with one space between.
    pub fn text_or_words(&self) -> std::borrow::Cow<'_, str> {
        match &self.text {
            Some(text) => text.into(),
            None => self.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ").into(),
        }
    }
}

impl Page {
    /// Whether words have boxes: a file with lines only has to be read again, with words, before a crowd can judge it.
    pub fn has_word_boxes(&self) -> bool {
        self.words().next().is_some()
    }

    /// All words in reading order.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        self.lines.iter().flat_map(|line| &line.words)
    }
}
