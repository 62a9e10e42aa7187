//! The journal's settings and their bounds.

use record::{Error, Result};

use super::{entry, segment};

/// The largest segment that is written or read, in bytes: recovery holds one in memory.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// The settings of a [`Journal`](super::Journal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The size of a segment file, 16 KiB to 1 GiB, a multiple of 4 KiB. Trimming frees whole segments; recovery holds one in memory.
    pub segment_bytes: u64,
    /// One batch, hence one fdatasync, takes at most so many bytes (a single larger append is a batch of its own); at least 4 KiB.
    /// A batch is what came while the one before was written, and of many senders some more (`crowd`); a lone append waits for nobody.
    pub batch_bytes_max: usize,
    /// The largest payload of a record, in bytes; 1 B to 16 MiB, and it must fit into a segment.
    pub payload_bytes_max: usize,
    /// Appends that wait for the disk may hold so many bytes; beyond that they are refused as `Unavailable` (promise C2).
    pub in_flight_bytes_max: u64,
    /// So many appends may wait for the disk; 1 to 65,536.
    pub in_flight_appends_max: usize,
    /// So many bytes of the disk are left free: the journal makes no new segment that would take them (promise C2).
    pub headroom_bytes_min: u64,
    /// One read brings about so many bytes at most; 4 KiB to 64 MiB.
    pub read_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            batch_bytes_max: 8 << 20,
            payload_bytes_max: 1 << 20,
            in_flight_bytes_max: 64 << 20,
            in_flight_appends_max: 16_384,
            headroom_bytes_min: 256 << 20,
            read_bytes_max: 4 << 20,
        }
    }
}

impl Config {
    /// The largest append, in bytes as stored: one append never spans two segments.
    pub(crate) fn append_bytes_max(&self) -> usize {
        usize::try_from(self.segment_bytes - segment::ENTRIES_AT).unwrap_or(usize::MAX) - entry::HEADER_BYTES
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// `Invalid`, naming the setting, its value and its bounds.
    pub fn check(&self) -> Result<()> {
        within("segment_bytes", self.segment_bytes, 16 << 10, SEGMENT_BYTES_MAX)?;
        if !self.segment_bytes.is_multiple_of(4096) {
            return Err(Error::invalid("segment_bytes is not a multiple of 4096").with("segment_bytes", self.segment_bytes));
        }
        within("batch_bytes_max", self.batch_bytes_max as u64, 4 << 10, SEGMENT_BYTES_MAX)?;
        within("payload_bytes_max", self.payload_bytes_max as u64, 1, (16 << 20).min(self.segment_bytes / 2))?;
        within("in_flight_bytes_max", self.in_flight_bytes_max, self.payload_bytes_max as u64 + 1024, 16 << 30)?;
        within("in_flight_appends_max", self.in_flight_appends_max as u64, 1, 65_536)?;
        within("read_bytes_max", self.read_bytes_max as u64, 4 << 10, 64 << 20)
    }
}

fn within(name: &'static str, value: u64, min: u64, max: u64) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid("a setting of the journal is out of its bounds")
        .with("setting", name)
        .with("found", value)
        .with("min", min)
        .with("max", max))
}
