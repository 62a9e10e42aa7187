//! Verdicts and accuracy worked out as a whole while readers go on: a pass takes long, so it runs on a copy and without the lock.
//!
//! `begin_pass` (locked, copies) → [`Pass::run`] (no lock) → `end_pass` (locked: takes the result over, counts what came meanwhile)

use truth::{
    accuracy::{self, Accuracy, Given},
    words::{self, Inference},
};

use super::{LiveCollection, Thoroughness, change};

/// Answers that may come during one pass; with more of them the pass is thrown away, and the next one has them all.
const MEANWHILE_MAX: usize = 1 << 20;

/// A pass under way.
#[derive(Debug)]
pub struct Pass {
    number: u64,
    inference: Inference,
    census: Vec<bool>,
    workers: Vec<u32>,
    answers: usize,
    records: usize,
    accuracy: Option<Accuracy>,
}

/// Answers that came while a pass runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Meanwhile {
    /// The number of the pass under way.
    number: u64,
    /// `None` while no pass is under way, or when too many came.
    answers: Option<Vec<(u32, u32, words::Answer)>>,
}

impl Meanwhile {
    pub(super) fn note(&mut self, word: u32, worker: u32, answer: words::Answer) {
        let Some(answers) = &mut self.answers else { return };
        if answers.len() < MEANWHILE_MAX {
            answers.push((word, worker, answer));
        } else {
            self.answers = None;
        }
    }
}

impl Pass {
    /// The work, on the copy.
    pub fn run(&mut self) {
        self.inference.refit();
        self.accuracy = work_out(&self.inference, &self.census, &self.workers, Thoroughness::Quick);
    }
}

/// The engine's accuracy as a state of the inference has it.
pub(super) fn work_out(inference: &Inference, census: &[bool], workers: &[u32], thoroughness: Thoroughness) -> Option<Accuracy> {
    let given = Given { census, workers, ..Given::default() };
    let config = accuracy::Config::default();
    match thoroughness {
        Thoroughness::Quick => accuracy::accuracy_quick(inference, &given, &config),
        Thoroughness::Full => accuracy::accuracy(inference, &given, &config),
    }
}

impl LiveCollection {
    /// Starts a pass if any answer came since the last one. A pass that was begun before and has not ended is given up.
    pub fn begin_pass(&mut self) -> Option<Pass> {
        if self.is_settled() {
            return None;
        }
        let records = self.records();
        self.meanwhile = Meanwhile { number: self.meanwhile.number + 1, answers: Some(Vec::new()) };
        Some(Pass {
            number: self.meanwhile.number,
            inference: self.inference.clone(),
            census: self.census(),
            workers: self.worker_numbers(),
            answers: self.answers(),
            records,
            accuracy: None,
        })
    }

    /// Whether verdicts were worked out as a whole since the last answer came. Until then a word that is decided may open again.
    pub fn is_settled(&self) -> bool {
        self.refreshed_at == Some(self.records())
    }

    /// Takes over what a pass worked out, with the pages and answers that came while it ran.
    pub fn end_pass(&mut self, pass: Pass) {
        if pass.number != self.meanwhile.number {
            return;
        }
        let Some(meanwhile) = self.meanwhile.answers.take() else { return };
        let mut inference = pass.inference;
        for word in inference.tasks()..self.words.len() {
            let (confidence, signs) = self.what_the_engine_said(word as u32);
            inference.add_task(confidence, &signs);
        }
        for (word, worker, answer) in meanwhile {
            inference.set_answer(word, worker, answer);
        }
        self.inference = inference;
        self.judge_all();
        self.take_accuracy(pass.accuracy, pass.answers, Thoroughness::Quick);
        self.refreshed_at = Some(pass.records);
    }

    /// A copy for work that takes long and changes nothing here, such as a report.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        self.clone()
    }

    /// Takes a new title.
    pub fn rename(&mut self, title: &str) {
        title.clone_into(&mut self.settings.title);
    }

    /// The engine's confidence in a word, and the letters that it read, as the inference wants them.
    fn what_the_engine_said(&self, word: u32) -> (Option<f64>, Vec<u32>) {
        let entry = &self.words[word as usize];
        let confidence = self.reading(word).page.words().nth(entry.word).and_then(|word| word.confidence).map(f64::from);
        (confidence, change::letters(&self.settings.convention.apply(&entry.text)))
    }
}
