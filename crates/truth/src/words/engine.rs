//! What is learned of the engine: when its readings are right, and what it takes for what.
//!
//! - Prior of a word: logistic regression of being right on confidence, ln(1 − confidence) and the word's signs, with the posteriors as
//!   targets (Raykar et al. 2010, *Learning from crowds*, eq. 5), slopes held towards 0. It starts flat. Signs are what may make the engine
//!   err, such as the letters of its text: a press's long s is read as f again and again.
//! - Changes: of the texts that people typed, how many of each kind of change turned out to be printed, T, and how many not, M. A typed
//!   text with change k is likelier than others by the odds of (T_k + c s)/(T_k + M_k + c) over those of s = T/(T + M): the noisy channel
//!   of the engine against that of the readers (Kernighan, Church & Gale 1990, *A spelling correction program based on a noisy channel
//!   model*), learned from this collection alone. What a word gave to these sums is left out where it is judged.

use std::collections::BTreeMap;

use super::{Config, NOTHING, Task, Text};
use crate::numeric::{Fixed, logistic, solve3};

/// Precision of the prior of the slopes (their mean is 0).
const SLOPE_PRECISION: f64 = 1.0;
/// The same for the weights of signs.
const SIGN_PRECISION: f64 = 1.0;
/// Rounds over all signs in a fit.
const SIGN_ROUNDS: usize = 3;
/// Imagined texts of each kind of change, and in all.
const CHANGE_STRENGTH: f64 = 2.0;
const CHANGES_STRENGTH: f64 = 4.0;

/// No kind of change is surer than this, either way.
const SHARE_LEAST: f64 = 0.01;

/// The engine's figures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Engine {
    /// Coefficients of `features`.
    slopes: [f64; 3],
    /// Weights of signs.
    signs: BTreeMap<u32, f64>,
    /// By kind of change: typed texts that are printed, and that are not, in expectation.
    changes: BTreeMap<u32, Outcomes>,
    /// The same over all kinds.
    all: Outcomes,
}

/// Typed texts that are printed, and that are not, in expectation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcomes {
    printed: Fixed,
    mistaken: Fixed,
}

impl Outcomes {
    fn of(posterior: f64) -> Self {
        Self { printed: Fixed::of(posterior), mistaken: Fixed::of(1.0 - posterior) }
    }

    fn add(&mut self, other: Self) {
        self.printed.add(other.printed);
        self.mistaken.add(other.mistaken);
    }

    fn without(mut self, other: Self) -> (f64, f64) {
        self.printed.take(other.printed);
        self.mistaken.take(other.mistaken);
        (self.printed.get().max(0.0), self.mistaken.get().max(0.0))
    }
}

/// 1, confidence and ln(1 − confidence), the latter two centred and scaled; without a confidence only the 1.
fn features(confidence: Option<f64>) -> [f64; 3] {
    match confidence {
        None => [1.0, 0.0, 0.0],
        Some(c) => [1.0, (c - 0.85) * 4.0, ((1.0 - c).max(0.005).ln() + 2.5) / 1.2],
    }
}

/// A word that teaches: its features, what its signs say, and how likely it is right.
struct Lesson {
    x: [f64; 3],
    signs: f64,
    target: f64,
}

impl Lesson {
    fn score(&self, slopes: &[f64; 3]) -> f64 {
        self.signs + slopes.iter().zip(self.x).map(|(slope, x)| slope * x).sum::<f64>()
    }
}

impl Engine {
    pub fn new(config: &Config) -> Self {
        let base = (config.base_right / (1.0 - config.base_right)).ln();
        Self { slopes: [base, 0.0, 0.0], signs: BTreeMap::new(), changes: BTreeMap::new(), all: Outcomes::default() }
    }

    /// Probability that a word is right before any answer, kept off 0 and 1: the engine alone never settles a word.
    pub fn prior_right(&self, confidence: Option<f64>, signs: &[u32]) -> f64 {
        let of_signs: f64 = signs.iter().filter_map(|sign| self.signs.get(sign)).sum();
        let x = features(confidence);
        logistic(of_signs + self.slopes.iter().zip(x).map(|(slope, x)| slope * x).sum::<f64>()).clamp(0.03, 0.98)
    }

    /// How much likelier a typed text is than one of which nothing is known, as a logarithm.
    pub fn favour(&self, text: Text, task: &Task) -> f64 {
        let Some(known) = self.changes.get(&text.change).filter(|_| text.number != NOTHING) else { return 0.0 };
        let own = task.taught.iter().find(|(number, _)| *number == text.number).map_or_else(Outcomes::default, |(_, own)| *own);
        let (printed, mistaken) = self.all.without(own);
        let share = (printed + 0.5 * CHANGES_STRENGTH) / (printed + mistaken + CHANGES_STRENGTH);
        let (printed, mistaken) = known.without(own);
        let of_kind = (printed + CHANGE_STRENGTH * share) / (printed + mistaken + CHANGE_STRENGTH);
        // Held alike: where nearly all or nearly none are printed, a kind that is no different says nothing.
        let odds = |share: f64| {
            let share = share.clamp(SHARE_LEAST, 1.0 - SHARE_LEAST);
            (share / (1.0 - share)).ln()
        };
        odds(of_kind) - odds(share)
    }

    pub fn fit(&mut self, config: &Config, tasks: &mut [Task], heard: impl Fn(u32) -> bool) {
        self.fit_changes(tasks, heard);
        let tasks = &*tasks;
        let learn: Vec<&Task> = tasks.iter().filter(|task| !task.answers.is_empty() && task.gold.is_none()).collect();
        let mut lessons: Vec<Lesson> = learn
            .iter()
            .map(|task| Lesson {
                x: features(task.confidence),
                signs: task.signs.iter().filter_map(|sign| self.signs.get(sign)).sum(),
                target: task.states[0] + task.states[1],
            })
            .collect();
        self.fit_slopes(config, &lessons);
        self.fit_signs(&learn, &mut lessons);
    }

    /// A word whose texts were not weighed yet teaches nothing: it would say that all of them are mistaken.
    fn fit_changes(&mut self, tasks: &mut [Task], heard: impl Fn(u32) -> bool) {
        self.changes.clear();
        self.all = Outcomes::default();
        for task in tasks {
            task.taught.clear();
            if task.gold.is_some() || task.text.is_none() {
                continue;
            }
            let mut texts: Vec<Text> =
                task.answers.iter().filter(|(worker, _)| heard(*worker)).filter_map(|(_, answer)| answer.typed()).collect();
            texts.sort_unstable();
            texts.dedup_by_key(|text| text.number);
            for text in texts.into_iter().filter(|text| text.number != NOTHING) {
                let outcomes = Outcomes::of(task.posterior_of(text.number));
                self.changes.entry(text.change).or_default().add(outcomes);
                self.all.add(outcomes);
                task.taught.push((text.number, outcomes));
            }
        }
    }

    /// Newton steps with halving: full steps diverge on confidences near 1.
    fn fit_slopes(&mut self, config: &Config, lessons: &[Lesson]) {
        let base = Lesson { x: [1.0, 0.0, 0.0], signs: 0.0, target: config.base_right };
        let weighed = || lessons.iter().map(|lesson| (lesson, 1.0)).chain([(&base, config.base_strength)]);
        let loss = |slopes: &[f64; 3]| -> f64 {
            let one = |(lesson, weight): (&Lesson, f64)| {
                let score = lesson.score(slopes);
                weight * ((1.0 + (-score.abs()).exp()).ln() + score.max(0.0) - lesson.target * score)
            };
            0.5 * SLOPE_PRECISION * (slopes[1] * slopes[1] + slopes[2] * slopes[2]) + weighed().map(one).sum::<f64>()
        };
        for _ in 0..8 {
            let mut gradient = [0.0, SLOPE_PRECISION * self.slopes[1], SLOPE_PRECISION * self.slopes[2]];
            let mut hessian = [[1e-9, 0.0, 0.0], [0.0, SLOPE_PRECISION, 0.0], [0.0, 0.0, SLOPE_PRECISION]];
            for (lesson, weight) in weighed() {
                let p = logistic(lesson.score(&self.slopes));
                for (i, (gradient, row)) in gradient.iter_mut().zip(&mut hessian).enumerate() {
                    *gradient += weight * (p - lesson.target) * lesson.x[i];
                    for (cell, x) in row.iter_mut().zip(lesson.x) {
                        *cell += weight * p * (1.0 - p) * lesson.x[i] * x;
                    }
                }
            }
            let step = solve3(hessian, gradient);
            let before = loss(&self.slopes);
            let stepped = |size: f64| [0, 1, 2].map(|i| self.slopes[i] - size * step[i]);
            let sizes = std::iter::successors(Some(1.0), |size| Some(size * 0.5)).take(10);
            let Some(next) = sizes.map(stepped).find(|next| loss(next) <= before) else { break };
            self.slopes = next;
            if step.iter().all(|step| step.abs() < 1e-7) {
                break;
            }
        }
    }

    /// One sign after the other, each by a Newton step of its own.
    fn fit_signs(&mut self, tasks: &[&Task], lessons: &mut [Lesson]) {
        let mut places: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, task) in tasks.iter().enumerate() {
            task.signs.iter().for_each(|sign| places.entry(*sign).or_default().push(at));
        }
        for _ in 0..SIGN_ROUNDS {
            for (sign, at) in &places {
                let weight = self.signs.get(sign).copied().unwrap_or(0.0);
                let (mut gradient, mut curvature) = (SIGN_PRECISION * weight, SIGN_PRECISION);
                for lesson in at.iter().map(|at| &lessons[*at]) {
                    let p = logistic(lesson.score(&self.slopes));
                    gradient += p - lesson.target;
                    curvature += p * (1.0 - p);
                }
                // At most one at a time: far from the optimum the curvature says little.
                let step = (gradient / curvature).clamp(-1.0, 1.0);
                self.signs.insert(*sign, weight - step);
                at.iter().for_each(|at| lessons[*at].signs -= step);
            }
        }
    }
}
