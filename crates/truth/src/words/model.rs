//! One word's posterior from its answers: Dawid–Skene with difficulty and with typed texts.
//!
//! Each word is right or wrong, and easy or hard (four states s). Given s the answers are independent:
//!
//! P(s, answers) = P(s) Π_w R_w,s(label_w) · F_s(typed texts)
//!
//! - R for an easy word: the worker's own row, (N_wcl + A_cl) / Σ_l (N_wcl + A_cl), where N counts the worker's answers to *other* words
//!   (so no answer vouches for its own worker; collapsed variational Bayes of order 0, Asuncion et al. 2009) and A is the crowd's Dirichlet
//!   prior. For a hard word: one row for all workers. That is what keeps the posterior from over-confidence: errors of several workers on
//!   one word are not independent, and a hard word says so (the latent-class model with difficulty of the accuracy estimate).
//! - F, the noisy channel of typed texts: when h is printed, a worker types h with probability 1 − τ_w, else a mistaken text. A mistaken
//!   text that is there already comes again with probability ρ, since misreadings are alike. Prior of each text and cost of each new
//!   mistake are the same 1/V, so V cancels. So one typing is worth the typing accuracy, two that agree much more, and one by a worker of
//!   little strength next to nothing.

use super::{Inference, Task};
use crate::numeric::{Fixed, log_sum_exp};

/// A typed text and who typed it, as (worker) numbers.
struct Typed {
    text: u32,
    workers: Vec<u32>,
}

impl Inference {
    /// The posterior of the states, and the best typed text with its posterior, from the answers of all but `without`.
    ///
    /// The word's own share must not be in its workers' counts.
    pub(crate) fn judge(&self, task: &Task, without: &[u32]) -> ([f64; 4], Option<(u32, f64)>) {
        let heard = |worker: u32| self.workers[worker as usize].apart.is_none() && !without.contains(&worker);
        let mut sums = self.crowd.state_prior(task.prior_right).map(|share| Fixed::of(share.ln()));
        for (worker, answer) in task.answers.iter().filter(|(worker, _)| heard(*worker)) {
            let counts = self.counts(&self.workers[*worker as usize]);
            let label = answer.label.index();
            let rows = [counts[0], self.crowd.hard_rows[0], counts[1], self.crowd.hard_rows[1]];
            for (sum, row) in sums.iter_mut().zip(rows) {
                sum.add(Fixed::of((row[label] / row.iter().sum::<f64>()).max(1e-9).ln()));
            }
        }
        let typed = self.typed(task, heard);
        let texts = self.weigh_texts(&typed);
        let mut logs = sums.map(Fixed::get);
        for (state, log) in logs.iter_mut().enumerate() {
            *log += match (task.gold, state < 2) {
                (Some(gold), right) if gold != right => f64::NEG_INFINITY,
                (_, true) => texts.mistaken,
                (_, false) => log_sum_exp(&texts.printed[state - 2]),
            };
        }
        let total = log_sum_exp(&logs);
        let states = logs.map(|log| (log - total).exp());
        let posterior = |at: usize| -> f64 {
            let share = |state: usize| states[2 + state] * (texts.printed[state][at] - log_sum_exp(&texts.printed[state])).exp();
            share(0) + share(1)
        };
        let candidates = typed.iter().enumerate().map(|(at, typed)| (typed.text, posterior(at)));
        // Of equal ones the first number stands: the order of the answers must not matter.
        let best =
            candidates.fold(None, |best: Option<(u32, f64)>, next| if best.is_none_or(|best| next.1 > best.1) { Some(next) } else { best });
        (states, best)
    }

    fn typed(&self, task: &Task, heard: impl Fn(u32) -> bool) -> Vec<Typed> {
        let mut typed: Vec<Typed> = Vec::new();
        for (worker, answer) in task.answers.iter().filter(|(worker, _)| heard(*worker)) {
            let Some(text) = answer.typed() else { continue };
            match typed.iter_mut().find(|typed| typed.text == text) {
                Some(typed) => typed.workers.push(*worker),
                None => typed.push(Typed { text, workers: vec![*worker] }),
            }
        }
        typed.sort_by_key(|typed| typed.text);
        typed
    }

    fn weigh_texts(&self, typed: &[Typed]) -> TextWeights {
        let again = self.config.same_mistake.ln();
        let repeats: Vec<f64> = typed.iter().map(|typed| (typed.workers.len() - 1) as f64 * again).collect();
        let mistaken: f64 = repeats.iter().sum();
        let printed = [self.config.typing_error, self.config.typing_error_hard].map(|error| {
            let logs = |typed: &Typed, right: bool| {
                let one = |worker: &u32| {
                    let accuracy = (1.0 - error) * self.strength(*worker);
                    Fixed::of(if right { accuracy.ln() } else { (1.0 - accuracy).ln() })
                };
                let mut sum = Fixed::default();
                typed.workers.iter().for_each(|worker| sum.add(one(worker)));
                sum.get()
            };
            let wrong: Vec<f64> = typed.iter().map(|typed| logs(typed, false)).collect();
            let all_wrong = wrong.iter().sum::<f64>() + mistaken;
            let mut printed: Vec<f64> =
                typed.iter().enumerate().map(|(at, typed)| all_wrong - wrong[at] - repeats[at] + logs(typed, true)).collect();
            printed.push(all_wrong); // a text that nobody typed
            printed
        });
        TextWeights { mistaken, printed }
    }

    /// How much a worker's word is worth, 0.05 to 1: informedness against 0.6, which is as good as it needs to be.
    pub(crate) fn strength(&self, worker: u32) -> f64 {
        let worker = &self.workers[worker as usize];
        if worker.apart.is_some() {
            return 0.001;
        }
        let [right, wrong] = self.counts(worker);
        let informedness = right[0] / (right[0] + right[1]) + wrong[1] / (wrong[0] + wrong[1]) - 1.0;
        (informedness / 0.6).clamp(0.05, 1.0)
    }
}

/// Log weights of the typed texts: if all are mistaken, and for easy and hard wrong words if the n-th one is printed (last: none of them).
struct TextWeights {
    mistaken: f64,
    printed: [Vec<f64>; 2],
}
