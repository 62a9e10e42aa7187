//! Who is here and how fast answers come: signs of life of the last seconds. Kept by `collection`, told by `status`.

use std::collections::{HashMap, VecDeque};

use record::Timestamp;

/// Who is here and how fast answers come, for the board.
#[derive(Clone, Debug, Default)]
pub(in crate::live) struct Activity {
    seen: HashMap<u32, Timestamp>,
    /// Answers by second of receipt, newest last.
    recent: VecDeque<(i64, u64)>,
}

/// Over how many seconds the rate is told.
const RATE_SECONDS: i64 = 5;
/// A reader counts as being here for so long after a sign of life, in microseconds.
const HERE_MICROS: i64 = 30_000_000;

impl Activity {
    pub(super) fn answered(&mut self, worker: u32, at: Timestamp) {
        self.see(worker, at);
        let second = at.as_micros().div_euclid(1_000_000);
        match self.recent.back_mut() {
            Some((last, count)) if *last >= second => *count += 1,
            _ => self.recent.push_back((second, 1)),
        }
        while self.recent.len() > 2 * RATE_SECONDS as usize {
            self.recent.pop_front();
        }
    }

    pub(super) fn see(&mut self, worker: u32, at: Timestamp) {
        self.seen.insert(worker, at);
    }

    pub(in crate::live) fn readers_now(&self, now: Timestamp) -> usize {
        self.seen.values().filter(|seen| now.micros_since(**seen) < HERE_MICROS).count()
    }

    pub(in crate::live) fn answers_per_second(&self, now: Timestamp) -> f64 {
        let second = now.as_micros().div_euclid(1_000_000);
        // The second under way is not whole yet.
        let counted = self.recent.iter().filter(|(at, _)| (second - RATE_SECONDS..second).contains(at));
        counted.map(|(_, count)| count).sum::<u64>() as f64 / RATE_SECONDS as f64
    }
}
