//! Dawid–Skene: each worker has a confusion matrix; truth and matrices are fitted in turns.
//!
//! A. P. Dawid & A. M. Skene, *Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm*, Applied Statistics 28 (1979).
//! With T_ik the posterior of class k of task i, and N_jkl = Σ T_ik over the tasks i that worker j gave label l:
//! - π_jkl = (N_jkl + s) / Σ_l' (N_jkl' + s), their equation (2.3) with a Dirichlet prior of s per cell beyond the flat one;
//! - p_k = mean of T_ik over answered tasks, their (2.4);
//! - T_ik ∝ p_k Π_j π_j,k,l(i,j), their (2.5).
//!
//! Start: vote shares, as they propose. No randomness: sums run by task and by worker id.

use crate::{
    labels::{Fit, Labels, mean_rows},
    numeric::softmax_into,
};

/// Settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Imagined answers in each cell of each worker's confusion matrix (Dirichlet parameter minus one).
    pub smoothing: f64,
    /// Ends when no posterior moves by more than this.
    pub tolerance: f64,
    /// Most rounds.
    pub rounds_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { smoothing: 0.001, tolerance: 1e-4, rounds_max: 100 }
    }
}

/// Fits by expectation–maximisation. Any number of classes: a worker's matrix is kept only for the labels that the worker used.
pub fn dawid_skene(labels: &Labels, config: &Config) -> Fit {
    let classes = labels.classes();
    let mut posterior = labels.vote_shares();
    let mut matrices = Matrices::new(labels);
    let mut rounds = 0;
    let mut scores = vec![0.0; classes];
    while rounds < config.rounds_max && classes > 1 {
        rounds += 1;
        matrices.fit(labels, &posterior, config.smoothing.max(1e-12));
        let prior: Vec<f64> = mean_rows(labels, &posterior).iter().map(|share| share.max(1e-300).ln()).collect();
        let mut moved: f64 = 0.0;
        for task in 0..labels.tasks() {
            let cells = labels.task_cells(task);
            if cells.is_empty() {
                continue;
            }
            scores.copy_from_slice(&prior);
            for cell in cells {
                for (score, log) in scores.iter_mut().zip(matrices.column(cell.other as usize, cell.class)) {
                    *score += log;
                }
            }
            moved = moved.max(softmax_into(&scores, &mut posterior[task * classes..(task + 1) * classes]));
        }
        if moved < config.tolerance {
            break;
        }
    }
    Fit::summarise(labels, posterior, rounds)
}

/// Each worker's ln π, one column (over true classes) for each label that the worker used.
struct Matrices {
    classes: usize,
    used: Vec<Vec<u16>>,
    columns: Vec<Vec<f64>>,
}

impl Matrices {
    fn new(labels: &Labels) -> Self {
        let classes = labels.classes();
        let used: Vec<Vec<u16>> = (0..labels.workers())
            .map(|worker| {
                let mut used: Vec<u16> = labels.worker_cells(worker).iter().map(|cell| cell.class).collect();
                used.sort_unstable();
                used.dedup();
                used
            })
            .collect();
        let columns = used.iter().map(|used| vec![0.0; used.len() * classes]).collect();
        Self { classes, used, columns }
    }

    fn fit(&mut self, labels: &Labels, posterior: &[f64], smoothing: f64) {
        let classes = self.classes;
        let mut totals = vec![0.0; classes];
        for worker in 0..self.used.len() {
            let columns = &mut self.columns[worker];
            columns.fill(0.0);
            totals.fill(smoothing * classes as f64);
            for cell in labels.worker_cells(worker) {
                let row = &posterior[cell.other as usize * classes..][..classes];
                let at = self.used[worker].binary_search(&cell.class).unwrap_or(0);
                for class in 0..classes {
                    columns[at * classes + class] += row[class];
                    totals[class] += row[class];
                }
            }
            for column in columns.chunks_exact_mut(classes) {
                for (count, total) in column.iter_mut().zip(&totals) {
                    *count = ((*count + smoothing) / total).ln();
                }
            }
        }
    }

    fn column(&self, worker: usize, class: u16) -> &[f64] {
        let at = self.used[worker].binary_search(&class).unwrap_or(0);
        &self.columns[worker][at * self.classes..][..self.classes]
    }
}
