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
//! - F, the noisy channel of typed texts: when h is printed, a worker types h with probability 1 − τ_w, else a mistaken text. Mistaken texts
//!   are alike, and the more alike the more of them there are: their partition has the probability of a Chinese restaurant's, so that three
//!   who mistype the same are little rarer than two. Prior of each text and cost of each new mistake are the same 1/V, so V cancels. So one
//!   typing is worth the typing accuracy, two that agree more, and one by a worker of little strength next to nothing. *Not one word* speaks
//!   for a box with nothing in it, and half as much for one with several words, which some type and some refuse.

use super::{Inference, NOTHING, SEVERAL, Task, Text};
use crate::numeric::{Fixed, log_sum_exp};

/// What can be printed where a reading is wrong: nothing, one word, several. For each its share, and how much oftener than on average
/// people say *not one word* of it.
const KINDS: [(f64, f64); 3] = [(0.1, 6.0), (0.8, 0.1), (0.1, 4.0)];

/// A typed text and who typed it, as (worker) numbers.
struct Typed {
    text: Text,
    workers: Vec<u32>,
}

impl Typed {
    fn is_nothing(&self) -> bool {
        self.text.number == NOTHING
    }
}

impl Inference {
    /// The posterior of the states, and the best typed text with its posterior.
    ///
    /// The word's own share must not be in its workers' counts.
    pub(crate) fn judge(&self, task: &Task) -> ([f64; 4], Option<(u32, f64)>) {
        let heard = |worker: u32| self.workers[worker as usize].apart.is_none();
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
        let texts = self.weigh_texts(task, &typed);
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
        let candidates = typed.iter().enumerate().map(|(at, typed)| (typed.text.number, posterior(at)));
        // Of equal ones the first number stands: the order of the answers must not matter.
        let best =
            candidates.fold(None, |best: Option<(u32, f64)>, next| if best.is_none_or(|best| next.1 > best.1) { Some(next) } else { best });
        (states, best)
    }

    fn typed(&self, task: &Task, heard: impl Fn(u32) -> bool) -> Vec<Typed> {
        let mut typed: Vec<Typed> = Vec::new();
        for (worker, answer) in task.answers.iter().filter(|(worker, _)| heard(*worker)) {
            let Some(text) = answer.typed() else { continue };
            match typed.iter_mut().find(|typed| typed.text.number == text.number) {
                Some(typed) => typed.workers.push(*worker),
                None => typed.push(Typed { text, workers: vec![*worker] }),
            }
        }
        typed.sort_by_key(|typed| typed.text);
        typed
    }

    fn weigh_texts(&self, task: &Task, typed: &[Typed]) -> TextWeights {
        let sizes: Vec<usize> = typed.iter().map(|typed| if typed.is_nothing() { 0 } else { typed.workers.len() }).collect();
        let mistaken = self.alike(&sizes, None);
        let others_mistaken: Vec<f64> = (0..sizes.len()).map(|at| self.alike(&sizes, Some(at))).collect();
        // What *not one word* says of each kind of print, given that it was said of a wrong reading.
        let said = |share: f64| {
            let one = |worker: &u32| Fixed::of((1.0 + self.strength(*worker) * (share - 1.0)).ln());
            let mut sum = Fixed::default();
            typed.iter().find(|typed| typed.is_nothing()).iter().flat_map(|typed| &typed.workers).for_each(|worker| sum.add(one(worker)));
            sum.get()
        };
        let kinds = KINDS.map(|(share, said_of_it)| share.ln() + said(said_of_it));
        let printed = self.config.typing_error.map(|error| {
            let logs = |typed: &Typed, right: bool| {
                let one = |worker: &u32| {
                    let accuracy = (1.0 - error) * self.strength(*worker);
                    Fixed::of(if right { accuracy.ln() } else { (1.0 - accuracy).ln() })
                };
                let mut sum = Fixed::default();
                typed.workers.iter().for_each(|worker| sum.add(one(worker)));
                sum.get()
            };
            let wrong: Vec<f64> = typed.iter().map(|typed| if typed.is_nothing() { 0.0 } else { logs(typed, false) }).collect();
            let all_wrong = wrong.iter().sum::<f64>();
            let of = |(at, typed): (usize, &Typed)| {
                if typed.is_nothing() {
                    return all_wrong + mistaken + kinds[0];
                }
                let kind = kinds[if typed.text.number & SEVERAL == 0 { 1 } else { 2 }] + self.engine.favour(typed.text, task);
                all_wrong - wrong[at] + others_mistaken[at] + logs(typed, true) + kind
            };
            let mut printed: Vec<f64> = typed.iter().enumerate().map(of).collect();
            // A text that nobody typed. Where nobody says *not one word*, that nothing is printed is one of its cases.
            let unseen = if typed.iter().any(Typed::is_nothing) { &kinds[1..] } else { &kinds[..] };
            printed.push(all_wrong + mistaken + log_sum_exp(unseen));
            printed
        });
        TextWeights { mistaken, printed }
    }

    /// How likely mistaken texts are as alike as these, typed so many times each, one of them left out as printed: a Chinese restaurant's
    /// tables (Pitman 1995, *Exchangeable and partially exchangeable random partitions*, prop. 9).
    pub(super) fn alike(&self, sizes: &[usize], printed: Option<usize>) -> f64 {
        let alpha = self.config.new_mistakes;
        let (mut sum, mut seated) = (0.0, 0);
        for (_, size) in sizes.iter().enumerate().filter(|(at, size)| Some(*at) != printed && **size > 0) {
            sum += alpha.ln() + (1..*size).map(|n| (n as f64).ln()).sum::<f64>();
            seated += size;
        }
        sum - (0..seated).map(|n| (alpha + n as f64).ln()).sum::<f64>()
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
