//! The engine's accuracy θ: the share of a collection's readings that equal the print, a finite population, with its interval.
//!
//! Board and report call [`accuracy`] (refits about ten times) or [`accuracy_quick`] (no refit). Which estimator is used follows from the
//! evidence, the strongest first; an interval is *promised* only where something outside the crowd's answers carries it.
//!
//! | evidence | estimate | variance |
//! |---|---|---|
//! | expert sample, ≥ 50 words | mean prediction + Σ w(r − p)/Σ w, w = 1/inclusion (two-phase difference; Särndal et al. 1992, §9.7) | of the differences, Student's t, guard .75/n² below five disagreements |
//! | random words settled by experts, ≥ 20 right and ≥ 20 wrong | (mean prediction − b₀)/(b₁ − b₀), b = mean prediction over right and over wrong gold words | of b₁ and b₀ between words, at least a quarter of the binomial one |
//! | none | mean prediction | of the posteriors + delete-a-group jackknife over workers + allowance for what workers misread alike |
//!
//! A word's prediction p is its posterior when it has answers, else what its confidence says. Words without answers are corrected by the mean
//! residual (posterior − prediction from confidence) of the census words, which were drawn at random; the residuals' spread goes into the variance.
//!
//! Misreading that all workers share cannot be seen in their answers. The interval without experts allows for it: see [`Config::overlooked`].

mod estimate;

use crate::words::Inference;

/// Settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The interval's level, 0 to 1.
    pub level: f64,
    /// Groups of workers left out in turn by the jackknife.
    pub groups: usize,
    /// Without experts the interval reaches further down by this many words (rule of three: what was seen in no word may still be in three),
    /// and by this share of the words: wrong readings that nearly everyone overlooks.
    pub overlooked: (f64, f64),
    /// The same upwards: right readings that nearly everyone misreads.
    pub disputed: (f64, f64),
    /// Fewer expert words than this are not taken for a sample.
    pub expert_words_min: usize,
    /// Fewer right or fewer wrong gold words than this do not correct the estimate.
    pub gold_words_min: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: 0.95, groups: 10, overlooked: (3.0, 0.01), disputed: (1.0, 0.005), expert_words_min: 50, gold_words_min: 20 }
    }
}

/// An expert's judgement of a word that was drawn with a known probability.
#[derive(Clone, Copy, Debug)]
pub struct ExpertLabel {
    /// The word.
    pub task: u32,
    /// Whether the reading equals the print.
    pub right: bool,
    /// The probability with which the word came into the sample, above 0 and at most 1.
    pub inclusion: f64,
}

/// A word of this collection drawn at random whose truth an expert settled. Planted or agreed words must not stand here: they are too easy.
#[derive(Clone, Copy, Debug)]
pub struct RandomGold {
    /// The word.
    pub task: u32,
    /// Whether the reading equals the print.
    pub right: bool,
}

/// What is known beside the answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// By word: whether it belongs to the census share (drawn at random, answered whatever the verdict). Missing ones do not.
    pub census: &'a [bool],
    /// By word: whether it stands outside the population, as planted readings do. Missing ones stand inside.
    pub outside: &'a [bool],
    /// By worker: a number, such as a hash of the name, that decides with whom the jackknife leaves the worker out; so the interval does
    /// not depend on who came first. Missing ones have their own.
    pub workers: &'a [u32],
    /// The expert sample.
    pub experts: &'a [ExpertLabel],
    /// Random words settled by experts.
    pub gold: &'a [RandomGold],
}

/// What an interval rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// An expert sample: the interval is promised.
    ExpertSample,
    /// Random words of this collection settled by experts: promised while a part is read.
    RandomGold,
    /// The answers alone: conditional on the model.
    ConditionalOnModel,
}

impl Evidence {
    /// In words, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExpertSample => "expert sample",
            Self::RandomGold => "random words settled by experts",
            Self::ConditionalOnModel => "readers' answers only, conditional on the model",
        }
    }
}

/// The engine's accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// The share of readings that equal the print, 0 to 1.
    pub estimate: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// The interval's level, such as 0.95.
    pub level: f64,
    /// What it rests on.
    pub evidence: Evidence,
    /// What must hold for it to hold.
    pub assumptions: Vec<&'static str>,
    /// The estimate if every word that most weight calls unreadable or not one word were wrong, and if every one were right.
    pub unreadable_bound: (f64, f64),
    /// Words of the population.
    pub words: usize,
    /// Those with answers.
    pub answered: usize,
}

/// The accuracy with its full interval. Costs about [`Config::groups`] refits when there is no expert evidence. `None` without words or answers.
pub fn accuracy(inference: &Inference, given: &Given, config: &Config) -> Option<Accuracy> {
    estimate::accuracy(inference, given, config, true)
}

/// The same without the jackknife, for a live board: in its place stands the variance of a random sample of as many words.
/// Costs one pass over the words.
pub fn accuracy_quick(inference: &Inference, given: &Given, config: &Config) -> Option<Accuracy> {
    estimate::accuracy(inference, given, config, false)
}
