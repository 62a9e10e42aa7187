//! Holds on the queue's trimming while a backup copies it. `run` asks before it trims; [`crate::Handle`] gives them out. A hold lasts for
//! the time that it was taken for: whoever took it and died keeps no disk filling up.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use record::{Clock, Error, Result};

/// The most holds at one time.
const HOLDS_MAX: usize = 16;
/// The longest time of a hold that is not renewed, in seconds.
const SECONDS_MAX: u64 = 600;

/// The holds of a loader.
#[derive(Debug)]
pub(crate) struct Holds {
    clock: Arc<dyn Clock>,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    last: u64,
    /// When each ends, by the clock that never goes back.
    ends: BTreeMap<u64, u64>,
}

impl Holds {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, given: Mutex::default() }
    }

    /// Whether nothing is to be trimmed now.
    pub(crate) fn any(&self) -> bool {
        !self.given().ends.is_empty()
    }

    /// Takes a hold; the loader does, when it trims nothing.
    ///
    /// # Errors
    /// `Invalid` when it is to last too long; `Unavailable` when there are too many.
    pub(crate) fn take(&self, seconds: u64) -> Result<u64> {
        let end = self.end(seconds)?;
        let mut given = self.given();
        if given.ends.len() >= HOLDS_MAX {
            return Err(Error::unavailable("too many backups are under way").with("holds_max", HOLDS_MAX));
        }
        given.last += 1;
        let number = given.last;
        given.ends.insert(number, end);
        Ok(number)
    }

    /// Lets a hold last on, or ends it.
    ///
    /// # Errors
    /// `Conflict` when it has lapsed: the queue may have been trimmed since; `Invalid` when it is to last too long.
    pub(crate) fn renew(&self, number: u64, seconds: u64) -> Result<()> {
        let end = self.end(seconds)?;
        let mut given = self.given();
        match given.ends.get_mut(&number) {
            Some(held) => *held = end,
            None => return Err(Error::conflict("the hold on the journal has lapsed: begin the backup again").with("hold", number)),
        }
        if seconds == 0 {
            given.ends.remove(&number);
        }
        Ok(())
    }

    fn end(&self, seconds: u64) -> Result<u64> {
        if seconds > SECONDS_MAX {
            return Err(Error::invalid(format!("a hold lasts for {SECONDS_MAX} seconds at most: renew it")).with("seconds", seconds));
        }
        Ok(self.clock.monotonic_micros().saturating_add(seconds * 1_000_000))
    }

    /// Without those that have lapsed.
    fn given(&self) -> MutexGuard<'_, Given> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic_micros();
        given.ends.retain(|_, end| now < *end);
        given
    }
}
