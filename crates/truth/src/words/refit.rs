//! The full pass: from the answers alone to verdicts, workers and crowd, the same bits for the same set of answers.

use super::{Crowd, Engine, Inference, Worker};
use crate::{numeric::Fixed, workers};

/// How a full pass went.
#[derive(Clone, Debug, PartialEq)]
pub struct Refit {
    /// Rounds made.
    pub rounds: usize,
    /// The largest change of a posterior in the last round.
    pub moved: f64,
    /// The largest difference between a posterior before (live) and after.
    pub drift: f64,
    /// Workers whose answers carry no weight.
    pub set_apart: usize,
}

/// A round that moves no posterior by more than this is the last.
const TOLERANCE: f64 = 1e-5;
/// Rounds between two fits of the crowd's figures.
const CROWD_ROUNDS: usize = 3;

impl Inference {
    /// Fits everything anew. Starts from vote shares; nothing of the state before matters.
    pub fn refit(&mut self) -> Refit {
        let before: Vec<f64> = self.tasks.iter().map(|task| task.states[0] + task.states[1]).collect();
        self.restart();
        let (mut rounds, mut moved) = self.settle();
        // Who is set apart changes the verdicts, and these who is set apart: two looks are enough to find the rest of a group.
        for _ in 0..2 {
            let apart = workers::set_apart(self);
            if apart.iter().zip(&self.workers).all(|(apart, worker)| *apart == worker.apart) {
                break;
            }
            for (worker, apart) in self.workers.iter_mut().zip(apart) {
                worker.apart = apart;
            }
            let again = self.settle();
            (rounds, moved) = (rounds + again.0, again.1);
        }
        let drift =
            self.tasks.iter().zip(&before).map(|(task, before)| (task.states[0] + task.states[1] - before).abs()).fold(0.0, f64::max);
        Refit { rounds, moved, drift, set_apart: self.workers.iter().filter(|worker| worker.apart.is_some()).count() }
    }

    fn restart(&mut self) {
        self.crowd = Crowd::new(&self.config);
        self.engine = Engine::new(&self.config);
        self.workers.iter_mut().for_each(|worker| *worker = Worker::default());
        let base = self.config.base_right;
        for task in &mut self.tasks {
            let count = |label: usize| task.answers.iter().filter(|(_, answer)| answer.label.index() == label).count() as f64;
            let (yes, no) = (count(0), count(1));
            let right = match task.gold {
                Some(right) => f64::from(u8::from(right)),
                None => (yes + 0.5 * base) / (yes + no + 0.5),
            };
            task.prior_right = self.engine.prior_right(None, &[]);
            task.states = self.crowd.state_prior(right);
            (task.text, task.taught) = (None, Vec::new());
        }
        for task in 0..self.tasks.len() {
            self.book(task, Fixed::add, 1);
        }
    }

    /// Rounds over all answered words until they rest; then the words without answers follow the crowd's figures.
    fn settle(&mut self) -> (usize, f64) {
        let (mut rounds, mut moved) = (0, f64::INFINITY);
        while rounds < self.config.rounds_max && (moved > TOLERANCE || rounds < 2 * CROWD_ROUNDS) {
            if rounds.is_multiple_of(CROWD_ROUNDS) {
                self.crowd.fit(&self.config, &self.tasks, &self.workers);
                let workers = &self.workers;
                self.engine.fit(&self.config, &mut self.tasks, |worker| workers[worker as usize].apart.is_none());
                self.follow_engine();
            }
            rounds += 1;
            moved = 0.0;
            for task in 0..self.tasks.len() {
                if !self.tasks[task].answers.is_empty() {
                    moved = moved.max(self.update(task, |_| ()));
                }
            }
        }
        for task in 0..self.tasks.len() {
            if self.tasks[task].answers.is_empty() {
                self.update(task, |_| ());
            }
        }
        (rounds, moved)
    }

    fn follow_engine(&mut self) {
        for task in &mut self.tasks {
            task.prior_right = self.engine.prior_right(task.confidence, &task.signs);
        }
    }
}
