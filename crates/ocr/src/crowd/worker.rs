//! A simulated worker: what one person, or one bot, answers to a word. Pure; no network.
//!
//! see the print → compare with the shown text → say right, wrong, unreadable or not one word → type
//!
//! An answer is a function of (seed, worker number, task, shown text, printed text). The behaviour is written from how people
//! read, not from the worker models of statistical inference, and shares no code with it: errors depend on the word, come in
//! common misreadings, lean towards the shown text, and typing adds its own.

use rand::{Rng, rngs::SmallRng};
use rand_distr::{Distribution, LogNormal};

use super::{
    confusion::garbled,
    draw,
    mix::WorkerKind,
    typing::typed,
    word::{Look, Print, WordRates, WordView},
};
use crate::task::Label;

/// What a worker says of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub label: Label,
    /// What is printed, with the label *wrong*; always another text than the shown one.
    pub text: Option<String>,
}

/// Error rates of a kind of people on easy words, between 0 and 1; each worker's own lie around them.
#[derive(Clone, Debug, PartialEq)]
pub struct PeopleRates {
    /// Says that a right text is wrong.
    pub false_alarm: f64,
    /// Overlooks a plain error in the shown text.
    pub overlook: f64,
    /// Typed words with a slip.
    pub slip: f64,
}

/// All error rates of the simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Of words.
    pub word: WordRates,
    /// Of careful workers.
    pub careful: PeopleRates,
    /// Of careless workers, when they do look.
    pub careless: PeopleRates,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            word: WordRates::default(),
            careful: PeopleRates { false_alarm: 0.02, overlook: 0.033, slip: 0.034 },
            careless: PeopleRates { false_alarm: 0.07, overlook: 0.18, slip: 0.12 },
        }
    }
}

/// One simulated worker.
#[derive(Clone, Debug)]
pub struct Worker {
    seed: u64,
    number: u64,
    kind: WorkerKind,
    own: PeopleRates,
    word_rates: WordRates,
    /// Share of words that get a *right* without a look.
    glances: f64,
    /// Share of errors seen that are passed over as unreadable, to be spared the typing.
    spares_typing: f64,
    /// With several words in a box: says so, or else types them all.
    says_not_one_word: bool,
    /// How much slower than the quickest; 0 for the quickest.
    slowness: f64,
}

/// What a worker takes the box to hold.
enum Seen {
    Text(String),
    NotOneWord,
    Unreadable,
}

impl Worker {
    /// The `number`-th worker of the crowd with this seed.
    pub fn new(seed: u64, number: u64, kind: WorkerKind, rates: &Rates) -> Self {
        let mut rng = draw::rng(seed, "worker", &[&number.to_le_bytes()]);
        let people = if kind == WorkerKind::Careful { &rates.careful } else { &rates.careless };
        let mut around = |rate: f64| (rate * log_normal(0.4, &mut rng)).clamp(0.0, 0.8);
        let own = PeopleRates { false_alarm: around(people.false_alarm), overlook: around(people.overlook), slip: around(people.slip) };
        let careful = kind == WorkerKind::Careful;
        Self {
            seed,
            number,
            kind,
            own,
            word_rates: rates.word.clone(),
            glances: if careful { 0.0 } else { rng.random_range(0.2..0.7) },
            spares_typing: if careful { 0.01 } else { 0.2 },
            says_not_one_word: rng.random_bool(0.5),
            slowness: log_normal(0.8, &mut rng),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> WorkerKind {
        self.kind
    }

    /// Its number in the crowd; the server's `worker_id` is another thing.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How much longer than the quickest it takes, as a factor: log-normal, median 1, sd .8 of the logarithm.
    pub fn slowness(&self) -> f64 {
        self.slowness
    }

    /// What it says of a word.
    pub fn answer(&self, word: &WordView<'_>) -> Answer {
        let names: [&[u8]; 3] = [&self.number.to_le_bytes(), word.task_id.as_bytes(), word.shown.as_bytes()];
        let mut rng = draw::rng(self.seed, "answer", &names);
        match self.kind {
            WorkerKind::AlwaysYes => Answer { label: Label::Right, text: None },
            WorkerKind::Random => by_chance(word.shown, &mut rng),
            WorkerKind::Colluding => self.ring_answer(word, &mut rng),
            WorkerKind::Careful | WorkerKind::Careless => self.read(word, &mut rng),
        }
    }

    /// Reads the word as a person does.
    fn read(&self, word: &WordView<'_>, rng: &mut SmallRng) -> Answer {
        if rng.random::<f64>() < self.glances {
            return Answer { label: Label::Right, text: None };
        }
        let look = Look::at(word, &self.word_rates, self.seed);
        match self.see(word, &look, rng) {
            Seen::Unreadable => Answer { label: Label::Unreadable, text: None },
            Seen::NotOneWord => Answer { label: Label::NotOneWord, text: None },
            Seen::Text(seen) if seen == word.shown => Answer { label: Label::Right, text: None },
            Seen::Text(_) if rng.random::<f64>() < self.spares_typing => Answer { label: Label::Unreadable, text: None },
            Seen::Text(seen) => match typed(&seen, self.own.slip, rng) {
                // The slip undid the difference: the text box still holds the shown text, and the page takes that as right.
                text if text.is_empty() || text == word.shown => Answer { label: Label::Right, text: None },
                text => Answer { label: Label::Wrong, text: Some(text) },
            },
        }
    }

    /// What the worker takes the print to be. The shown text pulls: whoever is in doubt sees what is under the picture.
    fn see(&self, word: &WordView<'_>, look: &Look, rng: &mut SmallRng) -> Seen {
        let shown = || Seen::Text(word.shown.to_owned());
        let printed = || Seen::Text(word.printed.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "));
        let misread = |rng: &mut SmallRng| Seen::Text(look.misreading.clone().unwrap_or_else(|| garbled(word.shown, rng)));
        let chance: f64 = rng.random();
        if look.illegible {
            return match chance {
                ..0.6 => Seen::Unreadable,
                ..0.8 => shown(),
                ..0.9 => printed(),
                _ => misread(rng),
            };
        }
        if chance < 0.004 + 0.03 * look.hardness {
            return Seen::Unreadable;
        }
        let overlooks = if look.overlooked { 0.95 } else { harder(self.own.overlook, look.hardness + 0.8 * look.likeness) };
        match look.print {
            Print::None if rng.random::<f64>() < 2.0 * self.own.overlook => shown(),
            Print::None => {
                if rng.random_bool(0.2) {
                    Seen::Unreadable
                } else {
                    Seen::NotOneWord
                }
            }
            _ if !look.right && rng.random::<f64>() < overlooks => shown(),
            Print::Several if self.says_not_one_word => Seen::NotOneWord,
            Print::Several => printed(),
            // What one worker in ten misreads, a careless one misreads more often.
            Print::One if rng.random::<f64>() < look.attraction * (1.0 + 3.0 * self.own.false_alarm) => misread(rng),
            Print::One if look.right && rng.random::<f64>() < harder(self.own.false_alarm, look.hardness) => {
                if rng.random_bool(0.6) {
                    misread(rng)
                } else {
                    Seen::Text(garbled(word.shown, rng))
                }
            }
            Print::One => printed(),
        }
    }

    /// The ring has a table of answers made without looking at any print. Where the table has none, a member answers as a
    /// careless worker would.
    fn ring_answer(&self, word: &WordView<'_>, rng: &mut SmallRng) -> Answer {
        let mut table = draw::rng(self.seed, "ring", &[word.task_id.as_bytes(), word.shown.as_bytes()]);
        match table.random::<f64>() {
            ..0.2 => self.read(word, rng),
            ..0.65 => Answer { label: Label::Right, text: None },
            _ => Answer { label: Label::Wrong, text: Some(garbled(word.shown, &mut table)) },
        }
    }
}

/// An answer by chance.
fn by_chance(shown: &str, rng: &mut SmallRng) -> Answer {
    match rng.random::<f64>() {
        ..0.46 => Answer { label: Label::Right, text: None },
        ..0.9 => Answer { label: Label::Wrong, text: Some(garbled(shown, rng)) },
        ..0.97 => Answer { label: Label::Unreadable, text: None },
        _ => Answer { label: Label::NotOneWord, text: None },
    }
}

/// An error rate on harder print: the rate itself at hardness 0, its square root at 1.
fn harder(rate: f64, hardness: f64) -> f64 {
    rate.powf(1.0 / (1.0 + hardness))
}

/// A factor around 1, log-normal with this standard deviation of its logarithm.
fn log_normal(deviation: f64, rng: &mut SmallRng) -> f64 {
    LogNormal::new(0.0, deviation).map_or(1.0, |distribution| distribution.sample(rng))
}
