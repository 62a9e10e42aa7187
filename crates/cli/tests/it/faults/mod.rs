//! Faults at the binary, judged by an oracle: real processes, real sockets, real files, and books of what was told to whom that the
//! server knows nothing of. Each test here is the bounded run of something that `cargo xtask faults` does for as long as one likes.
//!
//! ```text
//! clients ─HTTP─▶ crowdread serve ─▶ folder      killed, cut off, failed, stuck, …
//!    │ issued, told                    │
//!    ▼                                 ▼
//!  ledger ◀──────── judge ──────── the tables, as Python reads them
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `clients` | [`Load`](clients::Load): clients that send, hear, and send again |
//! | `ledger` | [`Ledger`](ledger::Ledger): what was issued, acknowledged and refused; the judgement |
//! | `life` | [`Life`](life::Life): one data folder and the servers that it has, one after the other |
//! | `kills` | SIGKILL at random moments and at named points |
//! | `shim` | power cuts, failed calls, short writes, slow disks: through `shim.c` |
//! | `network` | a proxy that does what networks do; thousands of slow senders |
//! | `pressure` | a loader that is stuck, a disk that is full, a clock that jumps |
//! | `replay` | [`Disk`](replay::Disk): what a power cut leaves |
//!
//! How much: the variables that [`asked`] reads. A run prints its seed; the same seed draws the same.

mod clients;
mod kills;
mod ledger;
mod life;
mod network;
mod pressure;
mod replay;
mod shim;

/// The seed of a run: `CROWDREAD_SEED`, by default 1.
fn seed() -> u64 {
    asked("CROWDREAD_SEED", 1)
}

/// A number from the environment: how much of something is wanted.
fn asked(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// What a process has in memory (`VmRSS`).
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}
