//! How a collection stands, in the form in which the pages ask for it.

use record::Timestamp;
use serde::{Deserialize, Serialize};
use truth::accuracy::Evidence;
use utoipa::ToSchema;

use super::collection::{LiveCollection, WordState, WordVerdict};

/// A picture's address and size in pixels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Picture {
    /// The address on this server.
    pub url: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// The stable words for programs of what an interval rests on; people get [`Evidence::as_str`].
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(remote = "Evidence", rename_all = "snake_case")]
#[schema(as = Evidence, description = "What an interval rests on.")]
enum EvidenceWord {
    ExpertSample,
    RandomGold,
    ConditionalOnModel,
}

/// The engine's accuracy at one moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccuracyPoint {
    /// How many answers it rests on.
    pub answers: usize,
    /// The share of the collection's readings that equal the print, 0 to 1.
    pub estimate: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// The interval's level, such as 0.95.
    pub level: f64,
    /// The estimate if every word that most readers cannot read were wrong, and if every one were right.
    pub unreadable_bound: (f64, f64),
    /// What the interval rests on.
    #[serde(with = "EvidenceWord")]
    #[schema(value_type = EvidenceWord)]
    pub evidence: Evidence,
    /// What must hold for the interval to hold.
    pub assumptions: Vec<String>,
}

/// A page and how much of it is decided.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PageStatus {
    /// The page's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Its words.
    pub words: usize,
    /// Those that want no more answers.
    pub words_decided: usize,
}

/// A word for the lists of the board.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WordStatus {
    /// The place.
    pub task_id: String,
    /// The engine's text.
    pub text: String,
    /// The text that stands in its place, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected: Option<String>,
    /// The posterior that the engine's text equals the print.
    pub right: f64,
    /// Workers' answers that count.
    pub answers: usize,
    /// Its picture.
    pub crop: Picture,
}

/// All that the board shows of a collection.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CollectionStatus {
    /// Its name.
    pub collection: String,
    /// Its title.
    pub title: String,
    /// Readers with a sign of life in the last half minute.
    pub readers_now: usize,
    /// Answers that count.
    pub answers: usize,
    /// Answers a second over the last seconds.
    pub answers_per_second: f64,
    /// Words.
    pub words: usize,
    /// Words that want no more answers.
    pub words_decided: usize,
    /// Answers for each word, on average.
    pub answers_per_word: f64,
    /// The engine's accuracy; `None` before there is anything to tell it from.
    pub accuracy: Option<AccuracyPoint>,
    /// The accuracy as it was, oldest first.
    pub history: Vec<AccuracyPoint>,
    /// The pages.
    pub pages: Vec<PageStatus>,
    /// The words that took most answers and are least sure.
    pub hardest: Vec<WordStatus>,
    /// Words that people mended, the latest decided first.
    pub corrected: Vec<WordStatus>,
}

/// Words in each list of the board.
const LIST_WORDS_MAX: usize = 12;

impl LiveCollection {
    /// How the collection stands now. `picture` gives a word's picture.
    pub fn status(&self, now: Timestamp, picture: &dyn Fn(u32) -> Picture) -> CollectionStatus {
        let verdicts: Vec<WordVerdict> = (0..self.words().len() as u32).map(|word| self.verdict(word)).collect();
        let answers = self.answers();
        let list = |words: Vec<u32>| {
            words.into_iter().take(LIST_WORDS_MAX).map(|word| self.word_status(word, &verdicts[word as usize], picture)).collect()
        };
        CollectionStatus {
            collection: self.settings().name.clone(),
            title: self.settings().title.clone(),
            readers_now: self.activity.readers_now(now),
            answers,
            answers_per_second: self.activity.answers_per_second(now),
            words: self.words().len(),
            words_decided: self.words_decided(),
            answers_per_word: answers as f64 / self.words().len().max(1) as f64,
            accuracy: self.accuracy().cloned(),
            history: self.accuracy_history().to_vec(),
            pages: self.page_statuses(&verdicts),
            hardest: list(
                hardest(&verdicts).into_iter().filter(|word| self.told(*word, &verdicts[*word as usize]) != WordState::Open).collect(),
            ),
            corrected: list(self.corrected(&verdicts)),
        }
    }

    /// A word with what is known of it.
    pub fn word_status(&self, word: u32, verdict: &WordVerdict, picture: &dyn Fn(u32) -> Picture) -> WordStatus {
        let entry = &self.words()[word as usize];
        WordStatus {
            task_id: entry.task.to_string(),
            text: entry.text.clone(),
            corrected: verdict.correction().map(|(text, _)| text.to_owned()),
            right: verdict.verdict.right,
            answers: verdict.answers,
            crop: picture(word),
        }
    }

    /// A word's state as everybody may know it: open as long as people are asked about it, so that nobody sees what others answered
    /// before answering (T1). Words of the census share are asked about though their verdict is sure.
    pub fn told_state(&self, word: u32) -> WordState {
        self.told(word, &self.verdict(word))
    }

    fn told(&self, word: u32, verdict: &WordVerdict) -> WordState {
        let census_wants = self.words()[word as usize].census && verdict.answers < self.selection().config().census_answers as usize;
        if census_wants { WordState::Open } else { verdict.state }
    }

    /// Mended words, the latest first.
    fn corrected(&self, verdicts: &[WordVerdict]) -> Vec<u32> {
        let mended =
            |word: &u32| self.told(*word, &verdicts[*word as usize]) == WordState::Wrong && verdicts[*word as usize].correction().is_some();
        let mut words: Vec<u32> = (0..verdicts.len() as u32).filter(mended).collect();
        words.sort_by_key(|word| std::cmp::Reverse(self.changed(*word)));
        words
    }

    fn page_statuses(&self, verdicts: &[WordVerdict]) -> Vec<PageStatus> {
        let mut counts = vec![(0, 0); self.pages().len()];
        for (word, (entry, verdict)) in self.words().iter().zip(verdicts).enumerate() {
            counts[entry.page].0 += 1;
            counts[entry.page].1 += usize::from(self.told(word as u32, verdict) != WordState::Open);
        }
        let pages = self.pages().iter().zip(counts);
        pages
            .map(|(page, (words, words_decided))| PageStatus {
                id: page.id.to_string(),
                title: page.title.clone(),
                width: page.size_px.0,
                height: page.size_px.1,
                words,
                words_decided,
            })
            .collect()
    }
}

/// Words by how unsure they stay after how many answers, the hardest first. Words without an answer are not hard, only unread.
pub fn hardest(verdicts: &[WordVerdict]) -> Vec<u32> {
    let unsure = |verdict: &WordVerdict| {
        let best = verdict.typed.as_ref().map_or(0.0, |(_, posterior)| *posterior).max(verdict.verdict.right);
        (1.0 - best) * verdict.answers as f64
    };
    let mut words: Vec<u32> = (0..verdicts.len() as u32).filter(|word| verdicts[*word as usize].answers > 1).collect();
    words.sort_by(|a, b| unsure(&verdicts[*b as usize]).total_cmp(&unsure(&verdicts[*a as usize])).then(a.cmp(b)));
    words
}
