//! The live state of word verification: which readings equal the print, and what is printed where they do not.
//!
//! Task selection calls [`Inference::set_answer`] with each answer (cost: the answers of that word) and [`Inference::refit`] now and then;
//! reports refit once. An answer moves its word and its workers at once; the crowd's own figures move at a refit, which starts from the
//! answers alone, so that live and batch agree at rest.
//!
//! The model, with its equations, stands in `model.rs`; what is learned of the crowd as a whole in `crowd.rs`, and of the engine in
//! `engine.rs`.

mod crowd;
mod engine;
mod model;
mod refit;
#[cfg(test)]
mod tests;

use crate::{
    numeric::Fixed,
    workers::{self, Counts, Reason, WorkerQuality},
};
pub(crate) use crowd::Crowd;
pub(crate) use engine::Engine;
pub use refit::Refit;

/// Texts, workers and tasks that one state holds at most; ids are dense.
const ID_MAX: u32 = 1 << 28;

/// In the number of a typed text: it has several words.
pub const SEVERAL: u32 = 1 << 31;
/// The text of a box in which nothing is printed.
pub const NOTHING: u32 = u32::MAX;

/// Priors and limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// The share of readings that are right before anything is known, 0 to 1; it counts like `base_strength` words.
    pub base_right: f64,
    /// See `base_right`.
    pub base_strength: f64,
    /// How often a typed text differs from the print although the worker read it rightly, 0 to 1: of an easy word, of a hard one.
    pub typing_error: [f64; 2],
    /// How readily mistaken texts of one word differ: the second is another than the first in a / (1 + a) of the cases, the third in
    /// a / (2 + a). Misreadings are alike.
    pub new_mistakes: f64,
    /// Imagined answers about hard words, (right words hard, not hard), then the same for wrong words.
    pub hard_prior: [(f64, f64); 2],
    /// A worker is set apart when the posterior probability of an informedness of at most `apart_informedness` is above this.
    pub apart_level: f64,
    /// See `apart_level`.
    pub apart_informedness: f64,
    /// Rounds of a refit at most.
    pub rounds_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_right: 0.85,
            base_strength: 4.0,
            typing_error: [0.08, 0.25],
            new_mistakes: 1.0,
            hard_prior: [(3.0, 22.0), (6.0, 14.0)],
            apart_level: 0.95,
            apart_informedness: 0.2,
            rounds_max: 60,
        }
    }
}

/// What a worker says of the text that is shown beside the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// The text equals the print.
    Right,
    /// It does not.
    Wrong,
    /// The print cannot be read.
    Unreadable,
    /// The picture shows no word, or several.
    NotOneWord,
}

impl Label {
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// A worker's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// What the worker says.
    pub label: Label,
    /// The text typed with [`Label::Wrong`]. Ignored with other labels.
    pub text: Option<Text>,
}

/// A typed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text {
    /// Stands for the text under the collection's convention, with [`SEVERAL`] set if it has several words.
    pub number: u32,
    /// Stands for what it changes of the text that was shown, such as f to s, wherever that is; 0 for more than one change.
    pub change: u32,
}

impl Answer {
    /// The text that the answer puts in place of the reading: [`NOTHING`] for *not one word*.
    pub(crate) fn typed(&self) -> Option<Text> {
        match self.label {
            Label::Wrong => self.text,
            Label::NotOneWord => Some(Text { number: NOTHING, change: 0 }),
            Label::Right | Label::Unreadable => None,
        }
    }
}

/// A truth that is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gold {
    /// Whether the text that is shown equals the print.
    pub right: bool,
}

/// What is known of a word.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Posterior probability that the reading equals the print, 0 to 1.
    pub right: f64,
    /// The likeliest text other than the one shown, and the posterior probability that it equals the print. It was typed, or is
    /// [`NOTHING`].
    pub text: Option<(u32, f64)>,
    /// Share of the workers' weight that says *unreadable*, shrunk towards 0 while there are few answers.
    pub unreadable: f64,
    /// The same for *not one word*.
    pub not_one_word: f64,
    /// Answers that count, those of workers set apart included.
    pub answers: u32,
    /// What was expected before any answer to this word, from the engine's confidence, 0 to 1.
    pub prior_right: f64,
    /// Posterior probability that the word is one of those which workers often misjudge.
    pub hard: f64,
}

impl Verdict {
    /// The posterior of the likeliest text: the one shown, or one that was typed.
    pub fn decided(&self) -> f64 {
        self.right.max(self.text.map_or(0.0, |(_, posterior)| posterior))
    }
}

/// One word. `states` are right easy, right hard, wrong easy, wrong hard.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub confidence: Option<f64>,
    pub signs: Vec<u32>,
    pub gold: Option<bool>,
    pub answers: Vec<(u32, Answer)>,
    pub prior_right: f64,
    pub states: [f64; 4],
    pub text: Option<(u32, f64)>,
    /// What each typed text gave to the engine's changes at the last fit.
    pub taught: Vec<(u32, engine::Outcomes)>,
}

impl Task {
    /// The posterior that a typed text is printed; next to nothing for all but the likeliest.
    pub fn posterior_of(&self, text: u32) -> f64 {
        self.text.filter(|(best, _)| *best == text).map_or(0.0, |(_, posterior)| posterior)
    }
}

/// One worker: counts of (right easy, wrong easy) × label in expectation, without trace of order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Worker {
    pub counts: [[Fixed; 4]; 2],
    pub answers: u32,
    pub apart: Option<Reason>,
}

/// All answers to a collection's words, and what follows from them.
#[derive(Clone, Debug)]
pub struct Inference {
    pub(crate) config: Config,
    pub(crate) tasks: Vec<Task>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) crowd: Crowd,
    pub(crate) engine: Engine,
}

impl Inference {
    /// With no words and no answers.
    pub fn new(config: Config) -> Self {
        let (crowd, engine) = (Crowd::new(&config), Engine::new(&config));
        Self { config, tasks: Vec::new(), workers: Vec::new(), crowd, engine }
    }

    /// Adds a word; gives its number, which counts from 0.
    ///
    /// `confidence` is the engine's own, 0 to 1, uncalibrated: how it bears on being right is learned from the crowd at each refit, and
    /// until then it means nothing. `signs` are numbers of whatever may make the engine err here, such as the letters of its text, each
    /// once; what they mean is learned likewise.
    pub fn add_task(&mut self, confidence: Option<f64>, signs: &[u32]) -> u32 {
        let number = self.tasks.len() as u32;
        assert!(number < ID_MAX, "a state holds at most 2^28 words");
        let confidence = confidence.filter(|value| value.is_finite()).map(|value| value.clamp(0.0, 1.0));
        let signs = signs.to_vec();
        let mut task =
            Task { confidence, signs, gold: None, answers: Vec::new(), prior_right: 0.0, states: [0.0; 4], text: None, taught: Vec::new() };
        task.prior_right = self.engine.prior_right(confidence, &task.signs);
        self.tasks.push(task);
        self.update(number as usize, |_| ());
        number
    }

    /// Number of words.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Number of workers: the largest id seen plus one.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Counts a worker's answer to a word in place of that worker's earlier one. A word that does not exist is ignored.
    ///
    /// # Panics
    /// When the worker's id is above 2²⁸: ids are dense.
    pub fn set_answer(&mut self, task: u32, worker: u32, answer: Answer) {
        assert!(worker < ID_MAX, "ids of workers are dense");
        if task as usize >= self.tasks.len() {
            return;
        }
        if worker as usize >= self.workers.len() {
            self.workers.resize_with(worker as usize + 1, Worker::default);
        }
        self.update(task as usize, |answers| match answers.binary_search_by_key(&worker, |(worker, _)| *worker) {
            Ok(at) => answers[at].1 = answer,
            Err(at) => answers.insert(at, (worker, answer)),
        });
    }

    /// Takes a worker's answer to a word away, as if it had never been given.
    pub fn remove_answer(&mut self, task: u32, worker: u32) {
        if (task as usize) < self.tasks.len() {
            self.update(task as usize, |answers| answers.retain(|(holder, _)| *holder != worker));
        }
    }

    /// Tells the truth of a word, for judging workers. Its verdict is that truth from now on.
    pub fn set_gold(&mut self, task: u32, gold: Gold) {
        if let Some(entry) = self.tasks.get_mut(task as usize) {
            entry.gold = Some(gold.right);
            self.update(task as usize, |_| ());
        }
    }

    /// A worker's answer to a word, if there is one.
    pub fn answer(&self, task: u32, worker: u32) -> Option<Answer> {
        let answers = &self.tasks.get(task as usize)?.answers;
        answers.binary_search_by_key(&worker, |(worker, _)| *worker).ok().map(|at| answers[at].1)
    }

    /// What is known of a word.
    ///
    /// # Panics
    /// When there is no such word.
    pub fn verdict(&self, task: u32) -> Verdict {
        let entry = &self.tasks[task as usize];
        let (unreadable, not_one_word) = self.refusals(entry);
        Verdict {
            right: entry.states[0] + entry.states[1],
            text: entry.text,
            unreadable,
            not_one_word,
            answers: entry.answers.len() as u32,
            prior_right: entry.prior_right,
            hard: entry.states[1] + entry.states[3],
        }
    }

    /// The posterior that a word is right from its answers alone, as if its truth were not known and had taught nothing of its workers.
    pub(crate) fn score_without_truth(&mut self, task: u32) -> f64 {
        self.book(task as usize, Fixed::take, -1);
        let entry = Task { gold: None, ..self.tasks[task as usize].clone() };
        let (states, _) = self.judge(&entry);
        self.book(task as usize, Fixed::add, 1);
        states[0] + states[1]
    }

    /// The same words without the answers of some workers, not yet refitted.
    pub(crate) fn without_workers(&self, gone: impl Fn(u32) -> bool) -> Self {
        let mut left = self.clone();
        for task in &mut left.tasks {
            task.answers.retain(|(worker, _)| !gone(*worker));
        }
        left
    }

    /// How good a worker is; a worker without answers is as good as the crowd's average.
    pub fn worker(&self, worker: u32) -> WorkerQuality {
        let fallback = Worker::default();
        let entry = self.workers.get(worker as usize).unwrap_or(&fallback);
        WorkerQuality::of(&self.counts_within(entry, workers::PRIOR_STRENGTH_MAX), entry.answers, entry.apart)
    }

    /// Expected answers with the crowd's average as prior.
    pub(crate) fn counts(&self, worker: &Worker) -> Counts {
        self.counts_within(worker, [f64::INFINITY; 2])
    }

    /// The same, the prior of each row being worth at most so many answers.
    pub(crate) fn counts_within(&self, worker: &Worker, strength_max: [f64; 2]) -> Counts {
        let mut counts = self.crowd.rows;
        for (row, most) in counts.iter_mut().zip(strength_max) {
            let scale = (most / row.iter().sum::<f64>()).min(1.0);
            row.iter_mut().for_each(|value| *value *= scale);
        }
        for (row, own) in counts.iter_mut().zip(&worker.counts) {
            for (count, own) in row.iter_mut().zip(own) {
                *count += own.get();
            }
        }
        counts
    }

    /// Takes a word's share out of its workers' counts, changes its answers, judges it, and puts the new share in. Gives how far it moved.
    pub(crate) fn update(&mut self, task: usize, change: impl FnOnce(&mut Vec<(u32, Answer)>)) -> f64 {
        self.book(task, Fixed::take, -1);
        change(&mut self.tasks[task].answers);
        let (states, text) = self.judge(&self.tasks[task]);
        let entry = &mut self.tasks[task];
        let moved = (states[0] + states[1] - entry.states[0] - entry.states[1]).abs();
        (entry.states, entry.text) = (states, text);
        self.book(task, Fixed::add, 1);
        moved
    }

    /// Adds a word's share to its workers' counts, or takes it away.
    pub(crate) fn book(&mut self, task: usize, apply: impl Fn(&mut Fixed, Fixed), answers: i32) {
        let entry = &self.tasks[task];
        let (right, wrong) = (Fixed::of(entry.states[0]), Fixed::of(entry.states[2]));
        for (worker, answer) in &entry.answers {
            let worker = &mut self.workers[*worker as usize];
            apply(&mut worker.counts[0][answer.label.index()], right);
            apply(&mut worker.counts[1][answer.label.index()], wrong);
            worker.answers = worker.answers.saturating_add_signed(answers);
        }
    }

    /// Weight of *unreadable* and *not one word* among the answers, with half an imagined answer that says neither.
    fn refusals(&self, task: &Task) -> (f64, f64) {
        let mut total = Fixed::of(0.5);
        let mut sums = [Fixed::default(); 4];
        for (worker, answer) in &task.answers {
            let weight = Fixed::of(self.strength(*worker));
            total.add(weight);
            sums[answer.label.index()].add(weight);
        }
        (sums[2].get() / total.get(), sums[3].get() / total.get())
    }
}
