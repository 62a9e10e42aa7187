//! How many files and sockets the process may have open, and how many of them connections may take. `server` asks at its start.
//!
//! Every connection takes one handle. When they run out, it is not only connections that are refused: the journal cannot begin a segment
//! and the loader cannot write a file. So connections leave some to the others.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::telemetry;

/// What connections leave to the journal, the tables and the rest: a quarter, and at least so many, or half of a small limit.
const RESERVED_MIN: u64 = 512;

/// The most connections where nobody says how many.
const CONNECTIONS_MAX: usize = 16_384;

/// Raises the process's own limit of open files to what the system allows it; returns the limit in force, `None` for no limit.
fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        telemetry::handles_not_raised(&error.into());
    }
    getrlimit(Resource::Nofile).current
}

/// How many connections of one of some listeners fit under a limit of open files; at least one.
fn fitting(connections_max: usize, listeners: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return connections_max };
    let reserved = (limit / 4).max(RESERVED_MIN.min(limit / 2));
    connections_max.min(usize::try_from(limit - reserved).unwrap_or(usize::MAX) / listeners).max(1)
}

/// How many connections a door may have of those that are asked for, where so many listeners share what there is, once the limit is raised; says so in the log. Only who asked for a
/// number is warned of a smaller one.
pub(crate) fn connections_max(door: &'static str, asked: Option<usize>, listeners: usize) -> usize {
    let limit = raise();
    let fitting = fitting(asked.unwrap_or(CONNECTIONS_MAX), listeners, limit);
    telemetry::connections_limited(door, asked, fitting, limit);
    fitting
}

#[cfg(test)]
mod tests;
