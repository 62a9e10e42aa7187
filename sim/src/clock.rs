//! The time of day of a simulated machine, and whose turn it is. Every other file asks here.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use record::{Clock, Timestamp};
use tokio::time::Instant;

/// When each run begins: 2026-01-01T00:00:00Z, so that no run sees another date than its next one.
const START_US: i64 = 1_767_225_600_000_000;

/// A machine's clock on the runtime's virtual time. It can be set; the time that runs cannot.
#[derive(Debug)]
pub struct VirtualClock {
    started: Instant,
    set_by_us: AtomicI64,
}

impl VirtualClock {
    /// A clock that starts now; to be made on the runtime.
    pub fn new() -> Self {
        Self { started: Instant::now(), set_by_us: AtomicI64::new(0) }
    }

    /// Sets the time of day forward, or back when negative.
    pub fn set_by_micros(&self, micros: i64) {
        self.set_by_us.fetch_add(micros, Ordering::SeqCst);
    }

    /// Milliseconds since the start.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for the next turn of a part, which is never now.
    pub async fn until(&self, turn: Turn) {
        let wait = (turn as u64 + TURNS - self.millis() % TURNS - 1) % TURNS + 1;
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(START_US + micros + self.set_by_us.load(Ordering::SeqCst))
    }

    fn monotonic_micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// So many milliseconds are one round. Whoever sleeps for a multiple of it keeps its turn.
pub const TURNS: u64 = 4;

/// Who acts in which millisecond of a round. A loader waits for work that blocks while time stands still; nothing else that it could meet
/// happens in the same millisecond, so that the machine's threads decide nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The journal's writer.
    Writer = 0,
    /// The loader of the server, and who asks it.
    Loader = 1,
    /// Clients and the driver of the run.
    World = 2,
    /// A second loader.
    Rival = 3,
}
