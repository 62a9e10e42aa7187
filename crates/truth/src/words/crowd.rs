//! What is learned of the crowd as a whole: the prior of a worker's rows, and hard words.
//!
//! A Dirichlet prior A_cl shared by all workers, fitted to their expected counts with Minka's fixed point (*Estimating a Dirichlet
//! distribution*, 2000, eq. 55), so that a newcomer is taken for the crowd's average and a diverse crowd lets each worker speak for
//! themself. Ten imagined workers stand beside the real ones; they keep the fit safe while there are few answers.

use super::{Config, Task, Worker};
use crate::numeric::{digamma, exact_sum};

/// Expected answers of the imagined workers, (right words, wrong words) × label, and how many workers are like that.
const IMAGINED: [([[f64; 4]; 2], f64); 3] = [
    ([[18.8, 0.8, 0.3, 0.1], [1.6, 7.5, 0.3, 0.6]], 8.0),     // careful
    ([[19.8, 0.1, 0.05, 0.05], [9.7, 0.2, 0.05, 0.05]], 1.0), // always yes
    ([[12.0, 7.0, 0.5, 0.5], [6.0, 3.5, 0.3, 0.2]], 1.0),     // at random
];

/// Imagined answers to hard words, (right, wrong) × label: three in four right of right words, three in five of wrong ones.
const HARD: [[f64; 4]; 2] = [[14.5, 4.5, 0.7, 0.3], [7.4, 11.0, 0.7, 0.9]];

/// What makes a word hard, so that the fit cannot swap hard and easy, or read what the crowd finds wrong as right words that it misreads: a
/// hard word at least halves the odds of the right answer, and hard words are the minority.
const HARD_ODDS_MAX: f64 = 0.5;
const HARD_SHARE_MAX: f64 = 0.4;

/// Imagined answers that the crowd's average is worth at most, for right and for wrong words.
const STRENGTH_MAX: [f64; 2] = [30.0, 10.0];

/// The crowd's figures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Crowd {
    /// Dirichlet parameters of workers' rows, (right, wrong) × label.
    pub rows: [[f64; 4]; 2],
    /// Expected answers to hard words, with the prior.
    pub hard_rows: [[f64; 4]; 2],
    /// Share of hard ones among right and among wrong words.
    pub hard_share: [f64; 2],
}

impl Crowd {
    pub fn new(config: &Config) -> Self {
        let mut crowd = Self {
            rows: [[8.5, 0.5, 0.1, 0.05], [1.2, 3.8, 0.1, 0.2]],
            hard_rows: HARD,
            hard_share: config.hard_prior.map(|(hard, easy)| hard / (hard + easy)),
        };
        for _ in 0..200 {
            crowd.fit_rows(&[]);
        }
        crowd
    }

    /// Prior of right easy, right hard, wrong easy, wrong hard.
    pub fn state_prior(&self, right: f64) -> [f64; 4] {
        let [hard_right, hard_wrong] = self.hard_share;
        [right * (1.0 - hard_right), right * hard_right, (1.0 - right) * (1.0 - hard_wrong), (1.0 - right) * hard_wrong]
    }

    pub fn fit(&mut self, config: &Config, tasks: &[Task], workers: &[Worker]) {
        for _ in 0..2 {
            self.fit_rows(workers);
        }
        self.fit_hard(config, tasks, workers);
    }

    /// One step of Minka's fixed point for each row.
    fn fit_rows(&mut self, workers: &[Worker]) {
        let real: Vec<[[f64; 4]; 2]> = workers
            .iter()
            .filter(|worker| worker.answers > 0 && worker.apart.is_none())
            .map(|w| w.counts.map(|row| row.map(|n| n.get())))
            .collect();
        for class in 0..2 {
            let prior = self.rows[class];
            let strength: f64 = prior.iter().sum();
            let over = |gain: &dyn Fn(&[f64; 4]) -> f64| {
                let imagined: f64 = IMAGINED.iter().map(|(rows, times)| times * gain(&rows[class])).sum();
                imagined + exact_sum(real.iter().map(|rows| gain(&rows[class])))
            };
            let row_base = digamma(strength);
            let below = over(&|row| digamma(row.iter().sum::<f64>() + strength) - row_base);
            for label in 0..4 {
                let base = digamma(prior[label]);
                let above = over(&|row| if row[label] > 0.0 { digamma(row[label] + prior[label]) - base } else { 0.0 });
                self.rows[class][label] = (prior[label] * above / below.max(1e-9)).max(0.02);
            }
            // A crowd that looks all alike is still not all alike: the next worker may be a bot.
            let total: f64 = self.rows[class].iter().sum();
            let scale = total.clamp(2.0, STRENGTH_MAX[class]) / total;
            self.rows[class].iter_mut().for_each(|value| *value *= scale);
        }
    }

    fn fit_hard(&mut self, config: &Config, tasks: &[Task], workers: &[Worker]) {
        self.hard_rows = HARD;
        let mut sums = [0.0; 4];
        for task in tasks.iter().filter(|task| !task.answers.is_empty()) {
            for (sum, state) in sums.iter_mut().zip(task.states) {
                *sum += state;
            }
            let mut labels = [0.0; 4];
            for (_, answer) in task.answers.iter().filter(|(worker, _)| workers[*worker as usize].apart.is_none()) {
                labels[answer.label.index()] += 1.0;
            }
            for (label, count) in labels.iter().enumerate() {
                self.hard_rows[0][label] += task.states[1] * count;
                self.hard_rows[1][label] += task.states[3] * count;
            }
        }
        for class in 0..2 {
            let odds = HARD_ODDS_MAX * self.rows[class][class] / self.rows[class][1 - class];
            let row = &mut self.hard_rows[class];
            row[class] = row[class].min(odds * row[1 - class]);
            let (hard, easy) = config.hard_prior[class];
            let share = (sums[2 * class + 1] + hard) / (sums[2 * class] + sums[2 * class + 1] + hard + easy);
            self.hard_share[class] = share.min(HARD_SHARE_MAX);
        }
    }
}
