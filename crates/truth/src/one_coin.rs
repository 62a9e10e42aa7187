//! One coin per worker: correct with one probability whatever the class, otherwise any other class alike.
//!
//! Ghosh, Kale & McAfee 2011; "Zencrowd" in the survey of Zheng et al. 2017. It suits many classes with few answers per worker, and fails
//! where workers lean to one class: then Dawid–Skene is the method.

use crate::labels::{Fit, Labels};

/// Settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Beta prior on each worker's probability of a correct answer: imagined correct and incorrect answers.
    pub prior: (f64, f64),
    /// Ends when no posterior moves by more than this.
    pub tolerance: f64,
    /// Most rounds.
    pub rounds_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { prior: (4.0, 1.0), tolerance: 1e-4, rounds_max: 100 }
    }
}

/// Expectation–maximisation from vote shares, with a flat class prior.
pub fn one_coin(labels: &Labels, config: &Config) -> Fit {
    let classes = labels.classes();
    let mut posterior = labels.vote_shares();
    let mut rounds = 0;
    while rounds < config.rounds_max && classes > 1 {
        rounds += 1;
        let weights: Vec<f64> = (0..labels.workers()).map(|worker| weight(labels, worker, &posterior, config)).collect();
        let mut moved: f64 = 0.0;
        for task in 0..labels.tasks() {
            let mut scores = vec![0.0; classes];
            for cell in labels.task_cells(task) {
                scores[usize::from(cell.class)] += weights[cell.other as usize];
            }
            moved = moved.max(crate::numeric::softmax_into(&scores, &mut posterior[task * classes..(task + 1) * classes]));
        }
        if moved < config.tolerance {
            break;
        }
    }
    Fit::summarise(labels, posterior, rounds)
}

/// ln p(K − 1)/(1 − p): what one answer of the worker adds to its class.
fn weight(labels: &Labels, worker: usize, posterior: &[f64], config: &Config) -> f64 {
    let classes = labels.classes();
    let cells = labels.worker_cells(worker);
    let correct: f64 = cells.iter().map(|cell| posterior[cell.other as usize * classes + usize::from(cell.class)]).sum();
    let p = (correct + config.prior.0) / (cells.len() as f64 + config.prior.0 + config.prior.1);
    (p * (classes - 1) as f64 / (1.0 - p)).ln()
}
