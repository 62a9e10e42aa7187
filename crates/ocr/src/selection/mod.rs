//! Which word for which worker: a state machine without clock, lock or I/O, driven by the live state.
//!
//! Words that want an answer stand in buckets by how unsure their verdict is; a word leaves its bucket when enough people
//! are looking at it, and comes back when a lease ends without an answer. A choice costs O(words asked for + words skipped
//! because this worker had them).

use std::collections::{HashMap, HashSet, VecDeque};

use record::Timestamp;

/// Limits of the choice.
#[derive(Clone, Debug)]
pub struct Config {
    /// No word gets more answers than this, leases counted (T1).
    pub answers_max: u32,
    /// A word outside the census wants at least this many answers.
    pub answers_min: u32,
    /// A word of the census share gets this many answers, sure or not.
    pub census_answers: u32,
    /// How long a lease runs, in microseconds.
    pub lease_micros: i64,
    /// After this long without an answer, the word is offered to one more worker, in microseconds.
    pub patience_micros: i64,
    /// Most words in one offer.
    pub batch_max: usize,
    /// Most words that one worker holds without having answered them.
    pub held_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            answers_max: 20,
            answers_min: 2,
            census_answers: 5,
            lease_micros: 15 * 60 * 1_000_000,
            patience_micros: 20 * 1_000_000,
            batch_max: 100,
            held_max: 200,
        }
    }
}

/// Buckets of uncertainty for each of the two lists.
const BUCKETS: usize = 64;

/// One word's standing.
#[derive(Clone, Debug)]
struct Slot {
    census: bool,
    /// Whether the verdict still wants answers (beyond the census share's fixed number).
    open: bool,
    answers: u32,
    bucket: usize,
    /// Index in its bucket; `None` while it is not offered.
    place: Option<usize>,
    /// Workers who hold a live lease, and whether the lease still counts as being looked at.
    leases: Vec<(u32, bool)>,
}

/// A lease under way.
#[derive(Clone, Copy, Debug)]
struct Lease {
    until: Timestamp,
    word: u32,
    worker: u32,
}

/// What is on offer.
#[derive(Clone, Debug)]
pub struct Selection {
    config: Config,
    slots: Vec<Slot>,
    /// Words by list (0 census share not complete, 1 others) and bucket, most unsure last.
    offers: [Vec<Vec<u32>>; 2],
    /// What each worker was offered or has answered (T1).
    had: HashMap<u32, HashSet<u32>>,
    /// Live leases of each worker.
    held: HashMap<u32, usize>,
    fresh: VecDeque<Lease>,
    live: VecDeque<Lease>,
    turn: usize,
}

impl Selection {
    /// With no words.
    pub fn new(config: Config) -> Self {
        let empty = || vec![Vec::new(); BUCKETS];
        let offers = [empty(), empty()];
        Self {
            config,
            slots: Vec::new(),
            offers,
            had: HashMap::new(),
            held: HashMap::new(),
            fresh: VecDeque::new(),
            live: VecDeque::new(),
            turn: 0,
        }
    }

    /// Its limits.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Adds the next word; words are numbered in the order in which they are added.
    pub fn add_word(&mut self, census: bool, uncertainty: f64) {
        let word = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { census, open: true, answers: 0, bucket: bucket_of(uncertainty), place: None, leases: Vec::new() });
        self.place(word);
    }

    /// Takes an answer into account: the worker's lease ends, and the worker never gets the word again.
    pub fn answered(&mut self, word: u32, worker: u32) {
        self.had.entry(worker).or_default().insert(word);
        if let Some(slot) = self.slots.get_mut(word as usize)
            && let Some(at) = slot.leases.iter().position(|(holder, _)| *holder == worker)
        {
            slot.leases.swap_remove(at);
            self.let_go(worker);
        }
        self.place(word);
    }

    /// Tells how a word stands: how many answers count, whether it wants more, and how unsure its verdict is (0 sure to 1).
    pub fn judge(&mut self, word: u32, answers: u32, open: bool, uncertainty: f64) {
        self.remove(word);
        if let Some(slot) = self.slots.get_mut(word as usize) {
            (slot.answers, slot.open, slot.bucket) = (answers, open, bucket_of(uncertainty));
        }
        self.place(word);
    }

    /// Chooses at most `count` words for a worker, and leases them until `now + lease`.
    ///
    /// Every third word is one of the census share while that wants answers, so that the accuracy can be told early.
    pub fn choose(&mut self, worker: u32, count: usize, now: Timestamp) -> Vec<u32> {
        self.end_leases(now);
        let mut chosen = Vec::new();
        let had = self.had.entry(worker).or_default();
        let mut cursors = [Cursor::at_end(), Cursor::at_end()];
        let held = self.held.entry(worker).or_default();
        let count = count.min(self.config.batch_max).min(self.config.held_max.saturating_sub(*held));
        while chosen.len() < count {
            let first = usize::from(!self.turn.is_multiple_of(3));
            let found = [first, 1 - first].into_iter().find_map(|list| cursors[list].next(&self.offers[list], had));
            let Some(word) = found else { break };
            self.turn = self.turn.wrapping_add(1);
            had.insert(word);
            chosen.push(word);
        }
        *held += chosen.len();
        let until = now.plus_micros(self.config.lease_micros);
        for &word in &chosen {
            let lease = Lease { until, word, worker };
            self.fresh.push_back(Lease { until: now.plus_micros(self.config.patience_micros), ..lease });
            self.live.push_back(lease);
            if let Some(slot) = self.slots.get_mut(word as usize) {
                slot.leases.push((worker, true));
            }
            self.remove(word);
            self.place(word);
        }
        chosen
    }

    /// Whether any word wants an answer that nobody is giving just now.
    pub fn is_exhausted(&self) -> bool {
        self.offers.iter().flatten().all(Vec::is_empty)
    }

    fn end_leases(&mut self, now: Timestamp) {
        while let Some(lease) = self.fresh.pop_front_if(|lease| lease.until <= now) {
            self.change_lease(lease, |leases, at| leases[at].1 = false);
        }
        while let Some(lease) = self.live.pop_front_if(|lease| lease.until <= now) {
            if self.change_lease(lease, |leases, at| _ = leases.swap_remove(at)) {
                self.let_go(lease.worker);
            }
        }
    }

    /// Changes a lease that is live; whether it was.
    fn change_lease(&mut self, lease: Lease, change: impl FnOnce(&mut Vec<(u32, bool)>, usize)) -> bool {
        let Some(slot) = self.slots.get_mut(lease.word as usize) else { return false };
        let Some(at) = slot.leases.iter().position(|(holder, _)| *holder == lease.worker) else { return false };
        change(&mut slot.leases, at);
        self.place(lease.word);
        true
    }

    fn let_go(&mut self, worker: u32) {
        if let Some(held) = self.held.get_mut(&worker) {
            *held = held.saturating_sub(1);
        }
    }

    /// Puts a word on offer if it wants one more answer now, or takes it off.
    fn place(&mut self, word: u32) {
        let Some(slot) = self.slots.get(word as usize) else { return };
        match (self.wants_answer(slot), slot.place) {
            (true, None) => {
                let list = self.list_of(slot);
                let bucket = &mut self.offers[list][slot.bucket];
                bucket.push(word);
                self.slots[word as usize].place = Some(bucket.len() - 1);
            }
            (false, Some(_)) => self.remove(word),
            _ => {}
        }
    }

    fn remove(&mut self, word: u32) {
        // The list may have changed with the answers, so both are looked at.
        let Some(slot) = self.slots.get_mut(word as usize) else { return };
        let Some(place) = slot.place.take() else { return };
        let bucket = slot.bucket;
        for list in &mut self.offers {
            if list[bucket].get(place) == Some(&word) {
                list[bucket].swap_remove(place);
                if let Some(&moved) = list[bucket].get(place) {
                    self.slots[moved as usize].place = Some(place);
                }
                return;
            }
        }
    }

    fn list_of(&self, slot: &Slot) -> usize {
        usize::from(!(slot.census && slot.answers < self.config.census_answers))
    }

    fn wants_answer(&self, slot: &Slot) -> bool {
        let looking = slot.leases.iter().filter(|(_, fresh)| *fresh).count() as u32;
        let census_wants = if slot.census { self.config.census_answers.saturating_sub(slot.answers) } else { 0 };
        let verdict_wants = if slot.open { self.config.answers_min.saturating_sub(slot.answers).max(1) } else { 0 };
        // T1: leases that are live, looked at or not, count against the cap.
        slot.answers + (slot.leases.len() as u32) < self.config.answers_max && looking < census_wants.max(verdict_wants)
    }
}

/// Walks one list from the most unsure word down, over words that the worker has not had.
struct Cursor {
    bucket: usize,
    left: Option<usize>,
}

impl Cursor {
    fn at_end() -> Self {
        Self { bucket: BUCKETS, left: None }
    }

    fn next(&mut self, list: &[Vec<u32>], had: &HashSet<u32>) -> Option<u32> {
        loop {
            match self.left {
                Some(left) if left > 0 => {
                    self.left = Some(left - 1);
                    let word = list[self.bucket][left - 1];
                    if !had.contains(&word) {
                        return Some(word);
                    }
                }
                _ => {
                    self.bucket = self.bucket.checked_sub(1)?;
                    self.left = Some(list[self.bucket].len());
                }
            }
        }
    }
}

fn bucket_of(uncertainty: f64) -> usize {
    // NaN counts as quite sure; it cannot come from a verdict.
    ((uncertainty.clamp(0.0, 1.0) * BUCKETS as f64) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests;
