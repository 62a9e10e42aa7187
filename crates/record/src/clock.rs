//! Time as a part that is plugged in, so that tests and the simulator decide what time it is.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::{Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Microseconds since 1970-01-01T00:00:00 UTC, as in the tables (leap seconds not counted).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Reads an RFC 3339 time such as `2026-11-24T11:15:24.5Z`.
    ///
    /// # Errors
    /// `Invalid` when the text is not one.
    pub fn parse(text: &str) -> Result<Self> {
        let time: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| {
            Error::invalid("not an RFC 3339 time such as 2026-11-24T11:15:24.5Z").with("found", text).because(error)
        })?;
        Ok(Self(time.as_microsecond()))
    }

    /// Whether a sender may give this time: in the years 1970 to 9999. Later ones have no RFC 3339 text, which tables and their readers
    /// need, and both are seconds or nanoseconds taken for microseconds, or a clock that was never set.
    pub const fn is_sendable(self) -> bool {
        const YEAR_10000: i64 = 253_402_300_800_000_000;
        0 <= self.0 && self.0 < YEAR_10000
    }

    /// This time plus some microseconds (minus, when negative); stops at the ends of the range.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to `self`; negative when `earlier` is later.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// RFC 3339 in UTC with microseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(out, "{time:.6}"),
            Err(_) => write!(out, "{} us", self.0),
        }
    }
}

/// Where every room gets the time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time of day. May jump when the machine's clock is set.
    fn now(&self) -> Timestamp;

    /// Microseconds from an arbitrary start; never goes back. For durations.
    fn monotonic_micros(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[allow(clippy::disallowed_methods)] // the one place where the machine's clock is read
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place where the machine's clock is read
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic_micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
    start: i64,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { micros: AtomicI64::new(start.0), start: start.0 }
    }

    /// Moves the clock forward.
    pub fn advance_micros(&self, micros: u64) {
        self.micros.fetch_add(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.micros.load(Ordering::SeqCst))
    }

    fn monotonic_micros(&self) -> u64 {
        u64::try_from(self.micros.load(Ordering::SeqCst) - self.start).unwrap_or(0)
    }
}
