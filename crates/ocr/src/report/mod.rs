//! What was found in a collection, for people: how good the engine is, what was mended, who read how well.

mod html;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use truth::workers::Reason;
use utoipa::ToSchema;

use crate::{
    convention::Convention,
    crop::PageImage,
    live::{AccuracyPoint, LiveCollection, WordState, WordVerdict, hardest},
};

pub use html::to_html;
pub use text::to_text;

/// Hard words that a report shows with their pictures.
const HARD_WORDS_MAX: usize = 24;
/// The pictures' size, of the scan's.
const PICTURE_SCALE: f64 = 1.5;
/// Workers that a report lists; the rest is summed up.
const WORKERS_MAX: usize = 5_000;

/// The report.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The collection's name.
    pub collection: String,
    /// Its title.
    pub title: String,
    /// The convention's name and rules.
    pub convention: (String, Vec<String>),
    /// Pages.
    pub pages: usize,
    /// Words: the engine's boxes.
    pub words: usize,
    /// Words by how they stand.
    pub states: BTreeMap<String, usize>,
    /// Words that want no more answers.
    pub words_decided: usize,
    /// Answers that count.
    pub answers: usize,
    /// Answers for each word, on average.
    pub answers_per_word: f64,
    /// The engine's accuracy with its interval.
    pub accuracy: Option<AccuracyPoint>,
    /// Words whose text changes.
    pub words_mended: usize,
    /// The share of words that are right after the corrections as the model itself expects: it tends to be too high, and has no interval.
    /// None before there are answers: it would be the prior alone.
    pub right_after_expected: Option<f64>,
    /// What true texts say, where they are at hand.
    pub known: Option<Known>,
    /// The words that stayed least sure.
    pub hardest: Vec<HardWord>,
    /// The workers, those with most answers first.
    pub workers: Vec<WorkerLine>,
    /// Workers beyond those listed.
    pub workers_more: usize,
    /// Kinds of simulated workers, and how many of each were set apart.
    pub kinds: Vec<KindLine>,
    /// What became of the records, where the loader's books are at hand.
    pub books: Option<Books>,
    /// Where things are: what, and its path or address.
    pub files: Vec<(String, String)>,
}

/// What true texts say.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Known {
    /// Words with a true text.
    pub words: usize,
    /// Of these, words that the engine read rightly.
    pub right_before: usize,
    /// Of these, words that are right after the corrections.
    pub right_after: usize,
}

/// A word that stayed unsure.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HardWord {
    /// The place.
    pub task_id: String,
    /// The engine's text.
    pub text: String,
    /// The likeliest other text; empty where nothing is printed.
    pub typed: Option<String>,
    /// The posterior that the engine is right.
    pub right: f64,
    /// Answers that count.
    pub answers: usize,
    /// The page's title.
    pub page: String,
    /// The picture as a data URI.
    pub picture: Option<String>,
    /// The true text, where it is at hand.
    pub truth: Option<String>,
}

/// A worker.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WorkerLine {
    /// The worker's id.
    pub worker_id: String,
    /// Answers that count.
    pub answers: usize,
    /// P(says right │ right).
    pub sensitivity: f64,
    /// P(says wrong │ wrong).
    pub specificity: f64,
    /// Sensitivity + specificity − 1: 0 for one who does not look, 1 for one who never errs.
    pub informedness: f64,
    /// Its 95 % interval.
    pub informedness_interval: (f64, f64),
    /// Why the worker's answers carry no weight, if so.
    pub set_apart: Option<String>,
    /// What the simulation knows of the worker.
    pub kind: Option<String>,
}

/// Simulated workers of one kind.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KindLine {
    /// The kind.
    pub kind: String,
    /// How many of them answered.
    pub workers: usize,
    /// How many of these are set apart.
    pub set_apart: usize,
    /// Their answers.
    pub answers: usize,
    /// Their mean informedness.
    pub informedness: f64,
}

/// Stored = landed + repeated + dead letters + quarantined + in flight (promise L2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Books {
    /// Records acknowledged as stored.
    pub stored: u64,
    /// Rows in the table.
    pub landed: u64,
    /// Records that were there already.
    pub repeated: u64,
    /// Records in the dead letters.
    pub dead_letters: u64,
    /// Records in damaged ranges of the queue.
    pub quarantined: u64,
    /// Stored and not landed yet.
    pub in_flight: u64,
}

impl Report {
    /// What the live state knows. A word whose page's image cannot be read has no picture.
    pub fn of(live: &LiveCollection) -> Self {
        let verdicts: Vec<WordVerdict> = (0..live.words().len() as u32).map(|word| live.verdict(word)).collect();
        let mut states = BTreeMap::new();
        for verdict in &verdicts {
            *states.entry(state_name(verdict.state).to_owned()).or_default() += 1;
        }
        let best = |verdict: &WordVerdict| verdict.typed.as_ref().map_or(0.0, |(_, posterior)| *posterior).max(verdict.verdict.right);
        let settings = live.settings();
        let mut workers = worker_lines(live);
        let workers_more = workers.len().saturating_sub(WORKERS_MAX);
        workers.truncate(WORKERS_MAX);
        let answers = live.answers();
        let words = live.words().len();
        Self {
            collection: settings.name.clone(),
            title: settings.title.clone(),
            convention: (settings.convention.name.clone(), rules(&settings.convention)),
            pages: live.pages().len(),
            words,
            states,
            words_decided: live.words_decided(),
            answers,
            answers_per_word: answers as f64 / words.max(1) as f64,
            accuracy: live.accuracy().cloned(),
            words_mended: verdicts.iter().filter(|verdict| verdict.correction().is_some()).count(),
            right_after_expected: (answers > 0).then(|| verdicts.iter().map(best).sum::<f64>() / words.max(1) as f64),
            known: None,
            hardest: hard_words(live, &verdicts),
            workers,
            workers_more,
            kinds: Vec::new(),
            books: None,
            files: Vec::new(),
        }
    }

    /// Adds what true texts say: `truth` gives the printed text of a task.
    pub fn compare(&mut self, live: &LiveCollection, truth: &dyn Fn(&str) -> Option<String>) {
        let convention: &Convention = &live.settings().convention;
        let mut known = Known { words: 0, right_before: 0, right_after: 0 };
        for (index, entry) in live.words().iter().enumerate() {
            let Some(printed) = truth(&entry.task.to_string()) else { continue };
            let printed = convention.apply(&printed);
            let verdict = live.verdict(index as u32);
            let after = verdict.correction().map_or(entry.text.as_str(), |(text, _)| text);
            known.words += 1;
            known.right_before += usize::from(convention.apply(&entry.text) == printed);
            known.right_after += usize::from(convention.apply(after) == printed);
        }
        self.known = Some(known);
        for word in &mut self.hardest {
            word.truth = truth(&word.task_id);
        }
    }

    /// Adds what a simulation knows of its workers: `kind` gives a worker's kind.
    pub fn name_kinds(&mut self, kind: &dyn Fn(&str) -> Option<String>) {
        let mut kinds: BTreeMap<String, KindLine> = BTreeMap::new();
        for worker in &mut self.workers {
            worker.kind = kind(&worker.worker_id);
            let Some(name) = &worker.kind else { continue };
            let line = kinds.entry(name.clone()).or_insert_with(|| KindLine {
                kind: name.clone(),
                workers: 0,
                set_apart: 0,
                answers: 0,
                informedness: 0.0,
            });
            line.workers += 1;
            line.set_apart += usize::from(worker.set_apart.is_some());
            line.answers += worker.answers;
            line.informedness += worker.informedness;
        }
        self.kinds = kinds.into_values().map(|line| KindLine { informedness: line.informedness / line.workers as f64, ..line }).collect();
    }
}

/// A state in the words of the report.
fn state_name(state: WordState) -> &'static str {
    match state {
        WordState::Open => "open",
        WordState::Right => "right",
        WordState::Wrong => "wrong",
        WordState::Doubt => "doubt",
        WordState::Unreadable => "unreadable",
        WordState::NotOneWord => "not one word",
    }
}

fn rules(convention: &Convention) -> Vec<String> {
    convention.describe().iter().map(|note| note.says.to_owned()).collect()
}

fn reason_in_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Uninformative => "answers tell next to nothing about the words",
        Reason::Copies => "types what others type where the rest reads otherwise",
    }
}

fn worker_lines(live: &LiveCollection) -> Vec<WorkerLine> {
    let lines = live.worker_ids().iter().enumerate().map(|(index, id)| {
        let quality = live.inference().worker(index as u32);
        WorkerLine {
            worker_id: id.to_string(),
            answers: quality.answers as usize,
            sensitivity: quality.sensitivity,
            specificity: quality.specificity,
            informedness: quality.informedness,
            informedness_interval: quality.informedness_interval,
            set_apart: quality.set_apart.map(|reason| reason_in_words(reason).to_owned()),
            kind: None,
        }
    });
    let mut lines: Vec<WorkerLine> = lines.filter(|line| line.answers > 0).collect();
    lines.sort_by(|a, b| b.answers.cmp(&a.answers).then(a.worker_id.cmp(&b.worker_id)));
    lines
}

fn hard_words(live: &LiveCollection, verdicts: &[WordVerdict]) -> Vec<HardWord> {
    let mut words = hardest(verdicts);
    words.truncate(HARD_WORDS_MAX);
    let mut images: BTreeMap<usize, Option<PageImage>> = BTreeMap::new();
    let hard_word = |word: u32| {
        let entry = &live.words()[word as usize];
        let page = &live.pages()[entry.page];
        let verdict = &verdicts[word as usize];
        let open =
            || PageImage::open(&page.image).inspect_err(|error| tracing::warn!(page = page.title, %error, "no pictures of this page"));
        let image = images.entry(entry.page).or_insert_with(|| open().ok());
        let picture = image.as_ref().and_then(|image| image.word_crop(&entry.rect, PICTURE_SCALE).ok());
        HardWord {
            task_id: entry.task.to_string(),
            text: entry.text.clone(),
            typed: verdict.typed.as_ref().map(|(text, _)| text.clone()),
            right: verdict.verdict.right,
            answers: verdict.answers,
            page: page.title.clone(),
            picture: picture.map(|picture| picture.data_uri()),
            truth: None,
        }
    };
    words.into_iter().map(hard_word).collect()
}
