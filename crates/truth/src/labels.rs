//! Sparse labels, readable by task and by worker, and the common result of the inference methods.

use std::collections::BTreeMap;

/// Ids beyond this are a caller's mistake: ids are dense, and memory goes with the largest one.
const ID_MAX: u32 = 1 << 28;

/// One answer as seen from its task or from its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The worker (by task) or the task (by worker).
    pub other: u32,
    pub class: u16,
}

/// Answers task × worker → class, compressed by task and by worker.
///
/// Ids are dense and start at 0; a task, worker or class without any answer is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    classes: usize,
    task_starts: Vec<usize>,
    by_task: Vec<Cell>,
    worker_starts: Vec<usize>,
    by_worker: Vec<Cell>,
}

impl Labels {
    /// From `(task, worker, class)`. Of several answers of a worker to one task the last counts.
    ///
    /// # Panics
    /// When a task or worker id is above 2²⁸: ids are dense.
    pub fn new(answers: impl IntoIterator<Item = (u32, u32, u16)>) -> Self {
        let latest: BTreeMap<(u32, u32), u16> = answers.into_iter().map(|(task, worker, class)| ((task, worker), class)).collect();
        let tasks = latest.keys().map(|key| key.0 + 1).max().unwrap_or(0);
        let workers = latest.keys().map(|key| key.1 + 1).max().unwrap_or(0);
        assert!(tasks <= ID_MAX && workers <= ID_MAX, "ids of tasks and workers are dense");
        let classes = latest.values().map(|class| usize::from(*class) + 1).max().unwrap_or(0);
        let (task_starts, by_task) = compress(tasks, latest.iter().map(|(&(task, worker), &class)| (task, worker, class)));
        let mut turned: Vec<_> = latest.iter().map(|(&(task, worker), &class)| (worker, task, class)).collect();
        turned.sort_unstable();
        let (worker_starts, by_worker) = compress(workers, turned.into_iter());
        Self { classes, task_starts, by_task, worker_starts, by_worker }
    }

    /// Number of tasks: the largest id plus one.
    pub fn tasks(&self) -> usize {
        self.task_starts.len().saturating_sub(1)
    }

    /// Number of workers: the largest id plus one.
    pub fn workers(&self) -> usize {
        self.worker_starts.len().saturating_sub(1)
    }

    /// Number of classes: the largest class plus one.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of answers that count.
    pub fn len(&self) -> usize {
        self.by_task.len()
    }

    /// Whether there is no answer.
    pub fn is_empty(&self) -> bool {
        self.by_task.is_empty()
    }

    /// A task's answers as `(worker, class)`, by worker.
    pub fn of_task(&self, task: usize) -> impl Iterator<Item = (u32, u16)> + '_ {
        self.task_cells(task).iter().map(|cell| (cell.other, cell.class))
    }

    /// A worker's answers as `(task, class)`, by task.
    pub fn of_worker(&self, worker: usize) -> impl Iterator<Item = (u32, u16)> + '_ {
        self.worker_cells(worker).iter().map(|cell| (cell.other, cell.class))
    }

    pub(crate) fn task_cells(&self, task: usize) -> &[Cell] {
        &self.by_task[self.task_starts[task]..self.task_starts[task + 1]]
    }

    pub(crate) fn worker_cells(&self, worker: usize) -> &[Cell] {
        &self.by_worker[self.worker_starts[worker]..self.worker_starts[worker + 1]]
    }

    /// Vote shares, tasks × classes; a task without answers has a row of zeros.
    pub(crate) fn vote_shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.tasks() * self.classes];
        for task in 0..self.tasks() {
            let cells = self.task_cells(task);
            for cell in cells {
                shares[task * self.classes + usize::from(cell.class)] += 1.0;
            }
            for share in &mut shares[task * self.classes..(task + 1) * self.classes] {
                *share /= cells.len().max(1) as f64;
            }
        }
        shares
    }
}

fn compress(rows: u32, sorted: impl Iterator<Item = (u32, u32, u16)>) -> (Vec<usize>, Vec<Cell>) {
    let mut starts = vec![0; rows as usize + 1];
    let mut cells = Vec::new();
    for (row, other, class) in sorted {
        starts[row as usize + 1] += 1;
        cells.push(Cell { other, class });
    }
    for row in 0..rows as usize {
        starts[row + 1] += starts[row];
    }
    (starts, cells)
}

/// What a method infers.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Number of classes.
    pub classes: usize,
    /// Posterior, tasks × classes, each row summing to 1; for a task without answers the class prior.
    pub posterior: Vec<f64>,
    /// Share of each class over the answered tasks.
    pub class_prior: Vec<f64>,
    /// Each worker's probability of a correct answer, mean over their own answers; the overall mean for a worker without any.
    pub worker_accuracy: Vec<f64>,
    /// Rounds made; 0 where the method has none.
    pub rounds: usize,
}

impl Fit {
    /// The posterior of a task, one value per class.
    pub fn of_task(&self, task: usize) -> &[f64] {
        &self.posterior[task * self.classes..(task + 1) * self.classes]
    }

    /// The likeliest classes of a task: several on a tie, in ascending order.
    pub fn best(&self, task: usize) -> Vec<u16> {
        let row = self.of_task(task);
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (0..row.len()).filter(|class| row[*class] == most).map(|class| class as u16).collect()
    }

    /// The chance that the task is answered correctly when a tie is broken at random, 0 to 1.
    pub fn expected_correct(&self, task: usize, truth: u16) -> f64 {
        let best = self.best(task);
        if best.contains(&truth) { 1.0 / best.len() as f64 } else { 0.0 }
    }

    /// Fills `class_prior` and `worker_accuracy` from the posterior.
    pub(crate) fn summarise(labels: &Labels, mut posterior: Vec<f64>, rounds: usize) -> Self {
        let classes = labels.classes();
        let class_prior = mean_rows(labels, &posterior);
        for task in (0..labels.tasks()).filter(|task| labels.task_cells(*task).is_empty()) {
            posterior[task * classes..(task + 1) * classes].copy_from_slice(&class_prior);
        }
        let correct = |worker: usize| -> (f64, usize) {
            let cells = labels.worker_cells(worker);
            (cells.iter().map(|cell| posterior[cell.other as usize * classes + usize::from(cell.class)]).sum(), cells.len())
        };
        let counts: Vec<_> = (0..labels.workers()).map(correct).collect();
        let overall = counts.iter().map(|count| count.0).sum::<f64>() / labels.len().max(1) as f64;
        let worker_accuracy = counts.iter().map(|(right, answers)| if *answers == 0 { overall } else { right / *answers as f64 }).collect();
        Self { classes, posterior, class_prior, worker_accuracy, rounds }
    }
}

/// Mean of the rows of the answered tasks; equal shares when there are none.
pub(crate) fn mean_rows(labels: &Labels, posterior: &[f64]) -> Vec<f64> {
    let classes = labels.classes();
    let mut mean = vec![0.0; classes];
    let mut answered = 0usize;
    for task in (0..labels.tasks()).filter(|task| !labels.task_cells(*task).is_empty()) {
        answered += 1;
        for class in 0..classes {
            mean[class] += posterior[task * classes + class];
        }
    }
    for share in &mut mean {
        *share = if answered == 0 { 1.0 / classes as f64 } else { *share / answered as f64 };
    }
    mean
}
