//! When to commit: a pure function of what was seen. Asked by `run` after each read and each wait.

/// When a roll is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records that wait for a commit.
    pub rows_max: usize,
    /// Their size in memory, as columns.
    pub bytes_max: usize,
    /// How long the oldest has waited, in microseconds.
    pub age_us_max: u64,
    /// How long nothing has come, in microseconds.
    pub idle_us_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows_max: 2_000_000, bytes_max: 128 << 20, age_us_max: 10_000_000, idle_us_max: 1_000_000 }
    }
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Records that wait for a commit: rows, repeats, dead letters and quarantined ones.
    pub rows: usize,
    /// Size of the rows.
    pub bytes: usize,
    /// Microseconds since the oldest came.
    pub age_us: u64,
    /// Microseconds since the newest came.
    pub idle_us: u64,
    /// Whether someone waits for a commit, or the loader ends.
    pub asked: bool,
}

/// Why a roll is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Enough records.
    Rows,
    /// Enough bytes.
    Bytes,
    /// Old enough.
    Age,
    /// Nothing more came.
    Idle,
    /// Asked for.
    Asked,
}

impl Reason {
    /// As in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Idle => "idle",
            Self::Asked => "asked",
        }
    }
}

/// Whether a roll is due, and why. Nothing waiting is never rolled.
pub fn decide(facts: &Facts, limits: &Limits) -> Option<Reason> {
    let reasons = [
        (facts.asked, Reason::Asked),
        (facts.rows >= limits.rows_max, Reason::Rows),
        (facts.bytes >= limits.bytes_max, Reason::Bytes),
        (facts.age_us >= limits.age_us_max, Reason::Age),
        (facts.idle_us >= limits.idle_us_max, Reason::Idle),
    ];
    reasons.into_iter().find(|(due, _)| *due && facts.rows > 0).map(|(_, reason)| reason)
}
