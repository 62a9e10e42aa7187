//! What is judged: a *task* is a place on a page, a *reading* is what an engine read there.
//!
//! The two are apart so that a second engine, or a new import, never makes an old *right* point at a new text.

use record::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::page::Rect;

/// What a worker says of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// The text is what is printed, under the collection's convention.
    Right,
    /// It is not; the answer's `text` says what is printed.
    Wrong,
    /// The print cannot be read.
    Unreadable,
    /// The box does not hold one word.
    NotOneWord,
}

impl Label {
    /// The label as it stands in records and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Unreadable => "unreadable",
            Self::NotOneWord => "not_one_word",
        }
    }
}

/// The id of a place: hash of collection, digest of the page's image, and box.
pub fn task_id(collection: &str, image: &Digest, place: &Rect) -> Digest {
    let place: Vec<u8> = [place.x, place.y, place.width, place.height].iter().flat_map(|number| number.to_le_bytes()).collect();
    Digest::of(&[b"task", collection.as_bytes(), image.as_bytes(), &place])
}

/// The id of a reading: hash of its task, the engine's name and the text that is shown.
pub fn reading_id(task: &Digest, engine: &str, text: &str) -> Digest {
    Digest::of(&[b"reading", task.as_bytes(), engine.as_bytes(), text.as_bytes()])
}
