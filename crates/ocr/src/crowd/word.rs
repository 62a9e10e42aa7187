//! What a word looks like to anybody: whether the shown text is right, how hard the print is, what it is misread as.
//!
//! All draws here are keyed by seed and task alone, so that every worker meets the same difficulty and two workers can make
//! the same misreading. `worker` adds the person.

use rand::Rng;

use super::{
    confusion::{misreading, visible_difference},
    draw,
};

/// A word as the simulation sees it: both texts as a reader would write them under the collection's convention.
#[derive(Clone, Copy, Debug)]
pub struct WordView<'a> {
    /// The place that is judged.
    pub task_id: &'a str,
    /// The text shown under the picture.
    pub shown: &'a str,
    /// What is printed in the box: no word, one, or several with blanks between.
    pub printed: Option<&'a str>,
}

/// How often words have which trouble; shares between 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct WordRates {
    /// Words whose print can hardly be read.
    pub illegible: f64,
    /// Wrong readings whose error nearly everyone overlooks; look-alike errors up to twice as often, plain ones rarely.
    pub overlooked: f64,
    /// Words with a misreading that suggests itself to one worker in four or so.
    pub misread: f64,
}

impl Default for WordRates {
    fn default() -> Self {
        Self { illegible: 0.01, overlooked: 0.03, misread: 0.05 }
    }
}

/// What the print and the shown text make of the task, the same for all workers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    /// What the box holds.
    pub print: Print,
    /// Whether the shown text is what is printed.
    pub right: bool,
    /// 0 for easy print, above 1 for the hardest.
    pub hardness: f64,
    /// How like the shown text is to the printed one: 1 where one can hardly tell them apart, 0 where the error is plain.
    pub likeness: f64,
    /// Whether it can hardly be read at all.
    pub illegible: bool,
    /// Whether nearly everyone overlooks that the shown text is wrong.
    pub overlooked: bool,
    /// The text that this print is misread as, by all who misread it.
    pub misreading: Option<String>,
    /// The chance that a worker of usual attention misreads it so, beside the usual errors.
    pub attraction: f64,
}

/// How many printed words a box holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Print {
    None,
    One,
    Several,
}

impl Look {
    /// Looks at a word.
    pub fn at(word: &WordView<'_>, rates: &WordRates, seed: u64) -> Self {
        let printed = word.printed.unwrap_or("").trim();
        let print = match printed.split_whitespace().count() {
            0 => Print::None,
            1 => Print::One,
            _ => Print::Several,
        };
        let right = print == Print::One && word.shown == printed;
        let mut rng = draw::rng(seed, "word", &[word.task_id.as_bytes()]);
        let length = printed.chars().count();
        let of_length = if length <= 2 { 0.05 } else { 0.03 * length.saturating_sub(9).min(10) as f64 };
        let hardness = 1.5 * rng.random::<f64>().powi(6) + of_length;
        let illegible = rng.random::<f64>() < rates.illegible;
        let misreading = misreading(printed, &mut rng);
        let suggests_itself = rng.random::<f64>() < rates.misread;
        let strength = rng.random_range(0.1..0.4);
        let attraction = if misreading.is_some() && suggests_itself { strength } else { 0.0 };
        let difference = if print == Print::None { 1.0 } else { visible_difference(word.shown, printed) };
        let likeness = if right { 0.0 } else { (1.2 - difference).clamp(0.0, 1.0) };
        // Keyed by the shown text too: another engine's error may well be seen.
        let unseen = draw::unit(seed, "overlooked", &[word.task_id.as_bytes(), word.shown.as_bytes()]);
        let overlooked = print != Print::None && !right && unseen < rates.overlooked * (0.3 + 1.7 * likeness);
        Self { print, right, hardness, likeness, illegible, overlooked, misreading, attraction }
    }
}
