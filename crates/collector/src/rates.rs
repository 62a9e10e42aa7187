//! How many records a second come from one address, or with one token. `ingest` asks before a request is read and counts after it, so that
//! a sender who brought many at once waits the longer.
//!
//! GCRA (ATM Forum, Traffic Management 4.0, section 4.4.2), with debt: each sender has one number, the time at which all that it sent
//! would have been due at its rate. It may run ahead of now by the burst.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use quick_cache::sync::Cache;
use record::{Clock, Digest};

/// Senders that are remembered; of more, those that were quiet longest are forgotten and begin anew.
const SENDERS_MAX: usize = 65_536;
/// A sender may be so far ahead of its rate.
const BURST_US: u64 = 10_000_000;

/// The rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Records a second from one address to topics that need no token; 0 for no limit. This machine's own addresses have none: a proxy may
    /// stand there for everybody. Of IPv6 the first 64 bits count, which is what one household has.
    pub address_records_per_second_max: u32,
    /// Records a second with one write token; 0 for no limit.
    pub token_records_per_second_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        // A room of 500 people behind one address sends some hundred answers a second.
        Self { address_records_per_second_max: 10_000, token_records_per_second_max: 100_000 }
    }
}

/// Whose records are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Address(IpAddr),
    Token(Digest),
}

impl Who {
    /// Nobody in particular for this machine's own addresses.
    pub(crate) fn of_address(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        match address {
            _ if address.is_loopback() => None,
            IpAddr::V4(_) => Some(Self::Address(address)),
            IpAddr::V6(address) => Some(Self::Address(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)))),
        }
    }
}

/// When each sender's records would all have been due.
pub(crate) struct Rates {
    due: Cache<Who, Arc<AtomicU64>>,
    clock: Arc<dyn Clock>,
    config: Config,
    burst_us: u64,
}

impl Rates {
    pub(crate) fn new(clock: Arc<dyn Clock>, config: Config) -> Self {
        Self { due: Cache::new(SENDERS_MAX), clock, config, burst_us: BURST_US }
    }

    /// A sender may be so far ahead of its rate, in place of ten seconds.
    pub(crate) fn with_burst(self, burst_us: u64) -> Self {
        Self { burst_us, ..self }
    }

    fn per_second(&self, who: Who) -> u64 {
        u64::from(match who {
            Who::Address(_) => self.config.address_records_per_second_max,
            Who::Token(_) => self.config.token_records_per_second_max,
        })
    }

    /// How long a sender has to wait, in milliseconds; nothing when it may send now.
    pub(crate) fn wait_ms(&self, who: Who) -> Option<u64> {
        if self.per_second(who) == 0 {
            return None;
        }
        let due = self.due.get(&who)?.load(Ordering::Relaxed);
        let ahead = due.saturating_sub(self.clock.monotonic_micros()).saturating_sub(self.burst_us);
        (ahead > 0).then(|| ahead.div_ceil(1_000))
    }

    /// Counts what a sender brought.
    pub(crate) fn count(&self, who: Who, records: usize) {
        let per_second = self.per_second(who);
        if per_second == 0 {
            return;
        }
        let due =
            self.due.get_or_insert_with(&who, || Ok::<_, std::convert::Infallible>(Arc::default())).unwrap_or_else(|never| match never {});
        let (now, takes) = (self.clock.monotonic_micros(), (records as u64).saturating_mul(1_000_000) / per_second);
        let _ = due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| Some(due.max(now).saturating_add(takes)));
    }
}

#[cfg(test)]
mod tests;
