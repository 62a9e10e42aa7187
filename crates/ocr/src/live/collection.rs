//! One collection while people read it: every word's answers, verdict and standing, and what the next worker gets.
//!
//! A fold over answers: the same set of answers, in any order, gives the same state.

mod activity;
mod pass;

use std::collections::HashMap;

use record::{Digest, RecordId, Timestamp};
use truth::{
    accuracy::Accuracy,
    stopping::{self, Decision, StopConfig},
    words::{self, Inference, Verdict},
};

use activity::Activity;
pub use pass::Pass;

use super::{change, status::AccuracyPoint};
use crate::{
    answer::Answer,
    collection::{PageEntry, PageReading, Settings, word_tasks},
    convention::Convention,
    page::Rect,
    selection::{self, Selection},
    task::Label,
};

/// Points of the accuracy's history that are kept.
const HISTORY_POINTS_MAX: usize = 400;

/// A text less likely than this does not replace what the engine read: a page is not to get a guess for a reading.
const CORRECTION_POSTERIOR_MIN: f64 = 0.5;

/// How much work an accuracy is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// For the board, every second.
    Quick,
    /// For the report: with everything that the interval can rest on.
    Full,
}

/// How a word stands, for maps and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WordState {
    /// Wants more answers.
    Open,
    /// Read rightly, surely enough.
    Right,
    /// Read wrongly, and the printed text is known surely enough.
    Wrong,
    /// As many answers as a word gets, and still not sure.
    Doubt,
    /// Most weight says that it cannot be read.
    Unreadable,
    /// Nothing is printed there, or several words that nobody typed.
    NotOneWord,
}

/// A word under way.
#[derive(Clone, Debug)]
pub struct WordEntry {
    /// Index of its page.
    pub page: usize,
    /// Index of its reading within the page.
    pub engine: usize,
    /// Its index in [`Page::words`](crate::page::Page::words) order.
    pub word: usize,
    /// Its text as the engine gave it.
    pub text: String,
    /// Its box.
    pub rect: Rect,
    /// Its line's box.
    pub line_rect: Rect,
    /// The place.
    pub task: Digest,
    /// The text at the place.
    pub reading: Digest,
    /// Whether it belongs to the census share.
    pub census: bool,
    /// Each worker's latest answer.
    answers: Vec<Latest>,
    /// How it was last judged, and the how many-th change of such a standing in the collection that was.
    standing: (Decision, bool),
    changed: u64,
}

#[derive(Clone, Debug)]
struct Latest {
    worker: u32,
    /// By these the latest is known: undo is a new answer.
    order: (i64, RecordId),
    text: Option<String>,
}

/// What is known of a word.
#[derive(Clone, Debug)]
pub struct WordVerdict {
    /// How it stands.
    pub state: WordState,
    /// The inference's verdict.
    pub verdict: Verdict,
    /// The best text other than the one shown, as people typed it, with its posterior; empty where nothing is printed.
    pub typed: Option<(String, f64)>,
    /// How many workers' answers count.
    pub answers: usize,
    /// Whether these are as many as a word is asked for at least: no one person changes a page.
    pub is_heard_enough: bool,
}

impl WordVerdict {
    /// The text that is to stand in place of the engine's, with its posterior: only if enough people were heard, and it is likelier than all
    /// others together.
    pub fn correction(&self) -> Option<(&str, f64)> {
        let sure = |(_, posterior): &&(String, f64)| self.is_heard_enough && *posterior > CORRECTION_POSTERIOR_MIN;
        self.typed.as_ref().filter(sure).map(|(text, posterior)| (text.as_str(), *posterior))
    }
}

/// One collection under way.
#[derive(Clone, Debug)]
pub struct LiveCollection {
    settings: Settings,
    pages: Vec<PageEntry>,
    words: Vec<WordEntry>,
    by_reading: HashMap<Digest, u32>,
    by_task: HashMap<Digest, u32>,
    inference: Inference,
    selection: Selection,
    stop: StopConfig,
    decided: usize,
    changes: u64,
    workers: HashMap<Digest, u32>,
    worker_ids: Vec<Digest>,
    /// Ids of the answers that were counted; a record sent again counts once (C3).
    counted: std::collections::HashSet<RecordId>,
    pub(super) activity: Activity,
    accuracy: Option<AccuracyPoint>,
    history: Vec<AccuracyPoint>,
    /// Records that were counted when verdicts were last worked out as a whole.
    refreshed_at: Option<usize>,
    meanwhile: pass::Meanwhile,
}

/// The number that stands for a typed text in the inference: a hash, so that it does not depend on who typed first. Two of the
/// few texts of one word are confused once in four billion times.
fn text_number(normalised: &str) -> u32 {
    let number = (Digest::of(&[normalised.as_bytes()]).short() & !words::SEVERAL).min(words::SEVERAL - 2);
    if normalised.contains(' ') { number | words::SEVERAL } else { number }
}

impl LiveCollection {
    /// With all words of the pages, and no answers.
    pub fn new(settings: Settings, pages: &[PageEntry], selection: selection::Config) -> Self {
        let stop = StopConfig { answers_min: selection.answers_min, answers_max: selection.answers_max, ..StopConfig::default() };
        let mut live = Self {
            settings,
            pages: Vec::new(),
            words: Vec::new(),
            by_reading: HashMap::new(),
            by_task: HashMap::new(),
            inference: Inference::new(words::Config::default()),
            selection: Selection::new(selection),
            stop,
            decided: 0,
            changes: 0,
            workers: HashMap::new(),
            worker_ids: Vec::new(),
            counted: std::collections::HashSet::new(),
            activity: Activity::default(),
            accuracy: None,
            history: Vec::new(),
            refreshed_at: None,
            meanwhile: pass::Meanwhile::default(),
        };
        for page in pages {
            live.add_page(page);
        }
        live
    }

    /// Adds the words of a page that are not there yet. A reading that is there keeps its place and its words, since those that are
    /// under way point into it: another reading by the same engine is taken at the next start.
    pub fn add_page(&mut self, entry: &PageEntry) {
        let known = self.pages.iter().position(|page| page.id == entry.id);
        let page = known.unwrap_or(self.pages.len());
        if known.is_none() {
            self.pages.push(PageEntry { readings: Vec::new(), ..entry.clone() });
        }
        for reading in &entry.readings {
            let readings = &mut self.pages[page].readings;
            if readings.iter().any(|known| known.engine == reading.engine) {
                continue;
            }
            let engine = readings.len();
            readings.push(reading.clone());
            let texts: Vec<_> = reading.page.words().collect();
            for task in word_tasks(&self.settings, &entry.id, reading) {
                if self.by_reading.contains_key(&task.reading) {
                    continue;
                }
                let prior = texts[task.word].confidence.map(f64::from);
                let signs = change::letters(&self.settings.convention.apply(&texts[task.word].text));
                let index = self.inference.add_task(prior, &signs);
                self.selection.add_word(task.census, stopping::uncertainty(&self.inference.verdict(index)));
                self.by_reading.insert(task.reading, index);
                self.by_task.entry(task.task).or_insert(index);
                self.words.push(WordEntry {
                    page,
                    engine,
                    word: task.word,
                    text: texts[task.word].text.clone(),
                    rect: texts[task.word].rect,
                    line_rect: reading.page.lines[task.line].rect,
                    task: task.task,
                    reading: task.reading,
                    census: task.census,
                    answers: Vec::new(),
                    standing: (Decision::Open, false),
                    changed: 0,
                });
            }
        }
    }

    /// Counts an answer. One that was counted already, or is older than the same worker's answer to the same reading, changes nothing.
    pub fn apply(&mut self, id: RecordId, answer: &Answer, received_at: Timestamp) {
        let (Ok(reading), Ok(worker)) = (Digest::parse(&answer.reading_id), Digest::parse(&answer.worker_id)) else { return };
        let Some(&word) = self.by_reading.get(&reading) else { return }; // of a page that was taken away
        if !self.counted.insert(id) {
            return;
        }
        let worker = self.worker_index(worker);
        self.activity.answered(worker, received_at);
        let order = (answer.answered_at, id);
        let latest = &mut self.words[word as usize].answers;
        match latest.iter_mut().find(|latest| latest.worker == worker) {
            Some(known) if known.order > order => return,
            Some(known) => *known = Latest { worker, order, text: answer.text.clone() },
            None => latest.push(Latest { worker, order, text: answer.text.clone() }),
        }
        let answer = self.as_label(word, answer);
        self.inference.set_answer(word, worker, answer);
        self.meanwhile.note(word, worker, answer);
        self.selection.answered(word, worker);
        self.judge(word);
    }

    /// Chooses words for a worker and leases them.
    pub fn choose(&mut self, worker: &Digest, count: usize, now: Timestamp) -> Vec<u32> {
        let worker = self.worker_index(*worker);
        self.activity.see(worker, now);
        self.selection.choose(worker, count, now)
    }

    /// A full pass of the inference over all answers; verdicts and offers follow.
    pub fn refit(&mut self) {
        self.inference.refit();
        self.judge_all();
    }

    fn judge_all(&mut self) {
        for word in 0..self.words.len() as u32 {
            self.judge(word);
        }
    }

    /// Works out the engine's accuracy. A quick one joins the history that the board draws.
    pub fn update_accuracy(&mut self, thoroughness: Thoroughness) {
        let worked_out = pass::work_out(&self.inference, &self.census(), &self.worker_numbers(), thoroughness);
        self.take_accuracy(worked_out, self.answers(), thoroughness);
    }

    fn census(&self) -> Vec<bool> {
        self.words.iter().map(|word| word.census).collect()
    }

    /// A number for each worker that does not depend on who came first.
    fn worker_numbers(&self) -> Vec<u32> {
        self.worker_ids.iter().map(Digest::short).collect()
    }

    fn take_accuracy(&mut self, worked_out: Option<Accuracy>, answers: usize, thoroughness: Thoroughness) {
        let Some(accuracy) = worked_out else { return };
        let point = AccuracyPoint {
            answers,
            estimate: accuracy.estimate,
            low: accuracy.low,
            high: accuracy.high,
            level: accuracy.level,
            unreadable_bound: accuracy.unreadable_bound,
            evidence: accuracy.evidence,
            assumptions: accuracy.assumptions.into_iter().map(str::to_owned).collect(),
        };
        if thoroughness == Thoroughness::Quick {
            self.history.push(AccuracyPoint { assumptions: Vec::new(), ..point.clone() });
            if self.history.len() > HISTORY_POINTS_MAX {
                // Every second point goes: the curve keeps its shape.
                let mut index = 0;
                self.history.retain(|_| {
                    index += 1;
                    index % 2 == 0
                });
            }
        }
        self.accuracy = Some(point);
    }

    /// What is known of a word.
    pub fn verdict(&self, word: u32) -> WordVerdict {
        let verdict = self.inference.verdict(word);
        let entry = &self.words[word as usize];
        let typed = verdict.text.and_then(|(text, posterior)| Some((self.spelling(entry, text)?, posterior)));
        let state = self.state(word, &verdict, typed.as_ref().map(|(text, _)| text.as_str()));
        let answers = entry.answers.len();
        WordVerdict { state, verdict, typed, answers, is_heard_enough: answers >= self.stop.answers_min as usize }
    }

    fn state(&self, word: u32, verdict: &Verdict, text: Option<&str>) -> WordState {
        match (self.words[word as usize].standing.0, text) {
            (Decision::Open, _) => WordState::Open,
            _ if verdict.unreadable >= 0.5 => WordState::Unreadable,
            _ if verdict.not_one_word >= 0.5 => WordState::NotOneWord,
            (Decision::Capped, _) => WordState::Doubt,
            (Decision::Decided, _) if verdict.right >= 0.5 => WordState::Right,
            (Decision::Decided, Some("")) => WordState::NotOneWord,
            (Decision::Decided, Some(_)) => WordState::Wrong,
            (Decision::Decided, None) => WordState::Doubt,
        }
    }

    fn judge(&mut self, word: u32) {
        let verdict = self.inference.verdict(word);
        let answers = self.words[word as usize].answers.len() as u32;
        let decision = stopping::retire(&verdict, answers, &self.stop);
        let entry = &mut self.words[word as usize];
        let standing = (decision, verdict.right >= 0.5);
        self.decided += usize::from(decision != Decision::Open);
        self.decided -= usize::from(entry.standing.0 != Decision::Open);
        if entry.standing != standing {
            self.changes += 1;
            (entry.standing, entry.changed) = (standing, self.changes);
        }
        self.selection.judge(word, answers, decision == Decision::Open, stopping::uncertainty(&verdict));
    }

    /// The inference's form of an answer. *Wrong* with the very text that was shown says *right*.
    fn as_label(&self, word: u32, answer: &Answer) -> words::Answer {
        let convention: &Convention = &self.settings.convention;
        let label = match answer.label {
            Label::Right => words::Label::Right,
            Label::Wrong => words::Label::Wrong,
            Label::Unreadable => words::Label::Unreadable,
            Label::NotOneWord => words::Label::NotOneWord,
        };
        let Some(typed) = answer.text.as_deref().map(|text| convention.apply(text)) else {
            return words::Answer { label, text: None };
        };
        let shown = convention.apply(&self.words[word as usize].text);
        if typed == shown {
            return words::Answer { label: words::Label::Right, text: None };
        }
        words::Answer { label, text: Some(words::Text { number: text_number(&typed), change: change::number(&shown, &typed) }) }
    }

    /// How most workers spelled a normalised text; of equally many the first in the alphabet.
    fn spelling(&self, entry: &WordEntry, text: u32) -> Option<String> {
        if text == words::NOTHING {
            return Some(String::new());
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for typed in entry.answers.iter().filter_map(|answer| answer.text.as_deref()) {
            if text_number(&self.settings.convention.apply(typed)) == text {
                *counts.entry(typed).or_default() += 1;
            }
        }
        counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0))).map(|(typed, _)| typed.to_owned())
    }

    fn worker_index(&mut self, worker: Digest) -> u32 {
        let next = self.worker_ids.len() as u32;
        let index = *self.workers.entry(worker).or_insert(next);
        if index == next {
            self.worker_ids.push(worker);
        }
        index
    }
}

/// What others read from it.
impl LiveCollection {
    /// The collection's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its pages.
    pub fn pages(&self) -> &[PageEntry] {
        &self.pages
    }

    /// Its words, in the order in which they were added.
    pub fn words(&self) -> &[WordEntry] {
        &self.words
    }

    /// How many words want no more answers.
    pub fn words_decided(&self) -> usize {
        self.decided
    }

    /// Words decided or judged otherwise later have larger numbers.
    pub fn changed(&self, word: u32) -> u64 {
        self.words[word as usize].changed
    }

    /// How many answers count: one for each worker and reading.
    pub fn answers(&self) -> usize {
        self.words.iter().map(|word| word.answers.len()).sum()
    }

    /// How many answer records were counted, changes of mind included.
    pub fn records(&self) -> usize {
        self.counted.len()
    }

    /// The engine's accuracy as last worked out.
    pub fn accuracy(&self) -> Option<&AccuracyPoint> {
        self.accuracy.as_ref()
    }

    /// The accuracy as it was, oldest first.
    pub fn accuracy_history(&self) -> &[AccuracyPoint] {
        &self.history
    }

    /// Answers a second over the last seconds.
    pub fn answers_per_second(&self, now: Timestamp) -> f64 {
        self.activity.answers_per_second(now)
    }

    /// The inference's state.
    pub fn inference(&self) -> &Inference {
        &self.inference
    }

    /// Workers' ids by their number in the inference.
    pub fn worker_ids(&self) -> &[Digest] {
        &self.worker_ids
    }

    /// The limits of the choice.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The word with this place.
    pub fn word_of_task(&self, task: &Digest) -> Option<u32> {
        self.by_task.get(task).copied()
    }

    /// The reading that a word belongs to.
    pub fn reading(&self, word: u32) -> &PageReading {
        let entry = &self.words[word as usize];
        &self.pages[entry.page].readings[entry.engine]
    }
}
