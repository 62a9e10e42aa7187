//! How good a worker is, and which workers are set apart: their answers stay, but carry no weight. Recomputed at every refit, so reversible.
//!
//! A worker is judged by informedness, sensitivity + specificity − 1 (Youden's J), not by accuracy: where nine readings in ten are right, always
//! saying *right* is nine tenths accurate and says nothing.

use crate::words::{Inference, Label};

/// Expected answers (right words, wrong words) × label, prior included.
pub(crate) type Counts = [[f64; 4]; 2];

/// Where a worker is judged, the crowd's average is worth at most so many answers to right and to wrong words: own answers must be able to speak.
pub(crate) const PRIOR_STRENGTH_MAX: [f64; 2] = [12.0, 6.0];

/// Why a worker is set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The answers tell next to nothing about the words (always *right*, at random, or worse than chance).
    Uninformative,
    /// The typed texts agree with others' where the rest of the crowd reads otherwise.
    Copies,
}

/// What a worker's answers say of the worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerQuality {
    /// Answers that count.
    pub answers: u32,
    /// Probability of saying *right* of a right reading (when saying right or wrong), 0 to 1.
    pub sensitivity: f64,
    /// Probability of saying *wrong* of a wrong reading, 0 to 1.
    pub specificity: f64,
    /// Sensitivity + specificity − 1, −1 to 1; 0 tells nothing.
    pub informedness: f64,
    /// Standard deviation of its posterior.
    pub informedness_sd: f64,
    /// 95 % interval of the informedness.
    pub informedness_interval: (f64, f64),
    /// Why the answers carry no weight, if so.
    pub set_apart: Option<Reason>,
}

impl WorkerQuality {
    pub(crate) fn of(counts: &Counts, answers: u32, set_apart: Option<Reason>) -> Self {
        let beta = |hit: f64, miss: f64| (hit / (hit + miss), hit * miss / ((hit + miss).powi(2) * (hit + miss + 1.0)));
        let (sensitivity, spread) = beta(counts[0][0], counts[0][1]);
        let (specificity, more) = beta(counts[1][1], counts[1][0]);
        let informedness = sensitivity + specificity - 1.0;
        let informedness_sd = (spread + more).sqrt();
        let cut = Informedness::of(counts);
        let informedness_interval = (cut.quantile(0.025), cut.quantile(0.975));
        Self { answers, sensitivity, specificity, informedness, informedness_sd, informedness_interval, set_apart }
    }
}

/// Cells of the grid on which the posterior is laid out.
const CELLS: usize = 64;

/// The posterior of the informedness: sensitivity and specificity have independent Beta posteriors.
struct Informedness {
    /// Probability of (i + j)-th sum of grid cells.
    sums: Vec<f64>,
}

impl Informedness {
    fn of(counts: &Counts) -> Self {
        let right = grid(counts[0][0], counts[0][1]);
        let wrong = grid(counts[1][1], counts[1][0]);
        let mut sums = vec![0.0; 2 * CELLS - 1];
        for (i, p) in right.iter().enumerate() {
            for (j, q) in wrong.iter().enumerate() {
                sums[i + j] += p * q;
            }
        }
        Self { sums }
    }

    fn value(at: usize) -> f64 {
        (at + 1) as f64 / CELLS as f64 - 1.0
    }

    fn at_most(&self, limit: f64) -> f64 {
        self.sums.iter().enumerate().filter(|(at, _)| Self::value(*at) <= limit).map(|(_, p)| p).sum()
    }

    fn quantile(&self, level: f64) -> f64 {
        let mut below = 0.0;
        for (at, p) in self.sums.iter().enumerate() {
            below += p;
            if below >= level {
                return Self::value(at);
            }
        }
        1.0
    }
}

/// Beta(a, b) on the midpoints of equal cells.
fn grid(a: f64, b: f64) -> [f64; CELLS] {
    let mut cells = std::array::from_fn(|i| {
        let x = (i as f64 + 0.5) / CELLS as f64;
        (a - 1.0) * x.ln() + (b - 1.0) * (1.0 - x).ln()
    });
    let scores = cells;
    crate::numeric::softmax_into(&scores, &mut cells);
    cells
}

/// Fewer answers than this set nobody apart.
const ANSWERS_MIN: u32 = 6;
/// Shared texts against the rest of the crowd from which on a worker is taken for a copier.
const COPIES_MIN: u32 = 3;
/// Their least share among the worker's typed texts that others could judge.
const COPIES_SHARE: f64 = 0.5;
/// How sure the rest of the crowd must be against a shared text.
const AGAINST: f64 = 0.85;

/// Who is to be set apart, by worker.
pub(crate) fn set_apart(inference: &Inference) -> Vec<Option<Reason>> {
    let copies = copies(inference);
    let judge = |(number, worker): (usize, &crate::words::Worker)| {
        if worker.answers < ANSWERS_MIN {
            return None;
        }
        let (against, typed) = copies[number];
        if against >= COPIES_MIN && f64::from(against) >= COPIES_SHARE * f64::from(typed) {
            return Some(Reason::Copies);
        }
        let low = Informedness::of(&inference.counts_within(worker, PRIOR_STRENGTH_MAX)).at_most(inference.config.apart_informedness);
        (low > inference.config.apart_level).then_some(Reason::Uninformative)
    };
    inference.workers.iter().enumerate().map(judge).collect()
}

/// For each worker: typed texts shared with another and contradicted by all others, and typed texts that at least two others could judge.
///
/// A text on which several agree is judged by the answers of those who did *not* type it; so a group cannot vouch for itself.
fn copies(inference: &Inference) -> Vec<(u32, u32)> {
    let mut counts = vec![(0, 0); inference.workers.len()];
    for task in &inference.tasks {
        let mut typed: Vec<(u32, u32)> = task.answers.iter().filter_map(|(worker, answer)| Some((answer.typed()?, *worker))).collect();
        typed.sort_unstable();
        for group in typed.chunk_by(|a, b| a.0 == b.0) {
            let members: Vec<u32> = group.iter().map(|(_, worker)| *worker).collect();
            let says = |answer: &crate::words::Answer| matches!(answer.label, Label::Right | Label::Wrong);
            let others = task.answers.iter().filter(|(worker, answer)| !members.contains(worker) && says(answer)).count();
            if others < 2 {
                continue;
            }
            members.iter().for_each(|worker| counts[*worker as usize].1 += 1);
            if members.len() < 2 {
                continue;
            }
            // Counts hold this word's share; that lends the group a little, never takes from it.
            let (states, text) = inference.judge(task, &members);
            let other_text = text.map_or(0.0, |(_, posterior)| posterior);
            if (states[0] + states[1]).max(other_text) > AGAINST {
                members.iter().for_each(|worker| counts[*worker as usize].0 += 1);
            }
        }
    }
    counts
}
