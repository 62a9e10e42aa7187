//! What happens at the fault points of the rooms: only in builds with the feature `faults`, for the tests in `tests/it/faults`.
//! `main` calls [`arm`] before anything else; the server gives the lake its [`hook`].
//!
//! - `FAILPOINTS` is read as the crate `fail` has it, such as `lake::commit=pause`.
//! - `FAULT_KILL=journal::written=7` lets the process kill itself (SIGKILL) there the eighth time, and say so on standard error before.
//!
//! The lake's own points ([`FaultPoint`]) have the names that stand in [`name`]; those of the other rooms stand in their code.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lake::{FaultHook, FaultPoint};
use record::{Error, Result};
use rustix::process::{Signal, getpid, kill_process};

/// Arms the points that the environment names; they stay armed for as long as the scenario lives.
///
/// # Errors
/// `Invalid` when `FAULT_KILL` is not `POINT=COUNT`.
pub fn arm() -> Result<fail::FailScenario<'static>> {
    let scenario = fail::FailScenario::setup();
    let Ok(asked) = std::env::var("FAULT_KILL") else { return Ok(scenario) };
    let wrong = || Error::invalid("FAULT_KILL is not POINT=COUNT").with("found", &asked);
    let (point, count) = asked.rsplit_once('=').ok_or_else(wrong)?;
    let (point, left) = (point.to_owned(), AtomicU64::new(count.parse().map_err(|_| wrong())?));
    fail::cfg_callback(point.clone(), move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 0 {
            // Nobody could be told if this failed.
            let _ = writeln!(std::io::stderr(), "fault point {point}: killed");
            let _ = kill_process(getpid(), Signal::KILL);
        }
    })
    .map_err(|error| Error::invalid("this fault point cannot be armed").because(error))?;
    Ok(scenario)
}

/// The lake's points as points of the crate `fail`. One that waits there keeps no other task of its thread waiting.
pub fn hook() -> FaultHook {
    Arc::new(|point| {
        tokio::task::block_in_place(|| fail::fail_point!(name(point)));
        Ok(())
    })
}

const fn name(point: FaultPoint) -> &'static str {
    match point {
        FaultPoint::WriteFile => "lake::write_file",
        FaultPoint::SyncFile => "lake::sync_file",
        FaultPoint::Commit => "lake::commit",
        FaultPoint::SyncCommit => "lake::sync_commit",
        FaultPoint::Reply => "lake::reply",
        FaultPoint::Index => "loader::index",
        FaultPoint::Trim => "loader::trim",
    }
}
