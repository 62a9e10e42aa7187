//! How good a worker is, and which workers are set apart: their answers stay, but carry no weight. Recomputed at every refit, so reversible.
//!
//! A worker is judged by informedness, sensitivity + specificity − 1 (Youden's J), not by accuracy: where nine readings in ten are right, always
//! saying *right* is nine tenths accurate and says nothing.

use crate::{
    numeric::{log_gamma, log_sum_exp, logistic},
    words::{Inference, Label, NOTHING},
};

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
/// How sure the verdict must be against a shared text.
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
        let own = worker.counts.map(|row| row.map(|count| count.get().max(0.0)));
        let blind = blindness(&own);
        (low.max(blind) > inference.config.apart_level).then_some(Reason::Uninformative)
    };
    inference.workers.iter().enumerate().map(judge).collect()
}

/// How common workers are who do not look, before anything is known.
const BLIND_SHARE: f64 = 0.1;
/// Their labels: nearly always *right*, or anything.
const BLIND_LABELS: [[f64; 4]; 2] = [[40.0, 0.2, 0.1, 0.1], [2.0, 2.0, 0.2, 0.1]];

/// People who look, (right words, wrong words) × label: with care, and without much.
const READERS: [Counts; 2] = [[[57.0, 2.4, 0.9, 0.3], [1.6, 7.5, 0.4, 0.5]], [[54.0, 4.5, 1.8, 0.6], [5.5, 3.5, 0.7, 0.3]]];

/// The posterior probability that a worker's labels have nothing to do with the words: one row of label probabilities for right and wrong
/// words alike, against two rows drawn from the crowd's prior. Both marginal likelihoods are Dirichlet-multinomial.
fn blindness(own: &Counts) -> f64 {
    let both: [f64; 4] = std::array::from_fn(|label| own[0][label] + own[1][label]);
    let blind = BLIND_LABELS.map(|prior| marginal(&both, &prior) - (BLIND_LABELS.len() as f64).ln());
    let blind = BLIND_SHARE.ln() + log_sum_exp(&blind);
    let sees = READERS.map(|rows| marginal(&own[0], &rows[0]) + marginal(&own[1], &rows[1]) - (READERS.len() as f64).ln());
    let sees = (1.0 - BLIND_SHARE).ln() + log_sum_exp(&sees);
    logistic(blind - sees)
}

/// The log probability of counts, in expectation, under a Dirichlet prior.
fn marginal(counts: &[f64; 4], prior: &[f64; 4]) -> f64 {
    let (total, strength): (f64, f64) = (counts.iter().sum(), prior.iter().sum());
    let cells: f64 = counts.iter().zip(prior).map(|(count, prior)| log_gamma(count + prior) - log_gamma(*prior)).sum();
    cells - log_gamma(total + strength) + log_gamma(strength)
}

/// For each worker: typed texts shared with another and contradicted by the verdict, and typed texts that at least two others could judge.
///
/// The verdict has all answers in it, the group's too. Without them it would be that of those who overlooked an error, and whoever saw it
/// would stand against it.
fn copies(inference: &Inference) -> Vec<(u32, u32)> {
    let mut counts = vec![(0, 0); inference.workers.len()];
    for task in &inference.tasks {
        let mut typed: Vec<(u32, u32)> = task
            .answers
            .iter()
            .filter_map(|(worker, answer)| Some((answer.typed()?.number, *worker)))
            .filter(|(text, _)| *text != NOTHING)
            .collect();
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
            let text = group[0].0;
            let rival = task.text.filter(|(best, _)| *best != text).map_or(0.0, |(_, posterior)| posterior);
            if (task.states[0] + task.states[1]).max(rival) > AGAINST {
                members.iter().for_each(|worker| counts[*worker as usize].0 += 1);
            }
        }
    }
    counts
}
