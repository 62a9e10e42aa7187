//! How long the writer waits for more appends before it writes: pure arithmetic, `drive` asks it before each batch.
//!
//! A batch costs the processor as much as several records, whatever is in it. Where many senders each wait for their answer, a fast disk is
//! back before more than a few of them have come again, and batches stay small. So the writer waits for about half of a crowd: the other
//! half is answered and comes again while this one is written, and neither disk nor processor idles. How large the crowd is shows now and
//! then, when the writer waits until hardly anybody comes any more. A lone append, and those of a few senders, never wait.

use std::time::Duration;

/// Fewer in a batch are no crowd.
const FEW: usize = 4;
/// What a batch costs is nothing beside so many.
const MANY: usize = 128;
/// The longest time until another one of a crowd comes, in microseconds.
const NEXT_US: u64 = 16;
/// When not even this many have come in [`LOOK`], the crowd is there.
const STRAGGLERS: usize = 6;
const LOOK: Duration = Duration::from_micros(STRAGGLERS as u64 * NEXT_US);
/// After so many batches the crowd is counted again.
const BATCHES: usize = 128;

/// What the writer waits for before it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing.
    Not,
    /// So many appends, for so long at most.
    Until { groups: usize, time: Duration },
    /// So many appends, as long as at least `more` of them come in each such time.
    WhileComing { groups: usize, more: usize, time: Duration },
}

/// What is known of those who send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crowd {
    /// How many the last batch had.
    last: usize,
    /// Half of them all, when they were counted.
    half: usize,
    /// For so many batches that count is good.
    good_for: usize,
}

impl Crowd {
    /// What to wait for before the next batch.
    pub fn wait(&self) -> Wait {
        if self.last < FEW {
            Wait::Not
        } else if self.good_for == 0 {
            Wait::WhileComing { groups: 2 * MANY, more: STRAGGLERS, time: LOOK }
        } else {
            Wait::Until { groups: self.half, time: Duration::from_micros(NEXT_US * self.half as u64) }
        }
    }

    /// The wait is over, and so many are there.
    pub fn came(&mut self, groups: usize) {
        match self.wait() {
            Wait::Not => self.good_for = self.good_for.saturating_sub(1),
            Wait::WhileComing { .. } => (self.half, self.good_for) = ((groups / 2).min(MANY), BATCHES),
            // Some of them have left: counted again soon.
            Wait::Until { groups: wanted, .. } if groups < wanted => self.good_for /= 2,
            Wait::Until { .. } => self.good_for -= 1,
        }
        self.last = groups;
    }
}
