//! How a failure leaves the process: one line for people on standard error, an exit code for programs.

use std::process::ExitCode;

use record::{Error, ErrorKind};
use tracing_subscriber::EnvFilter;

use crate::console::say;

/// Log lines go to standard error; `CROWDREAD_LOG` says which (such as `info` or `loader=debug`).
pub fn start_log() {
    let filter = EnvFilter::try_from_env("CROWDREAD_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // Who reads the log may go away; telling of that would go the same way.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false).init();
}

/// The exit code: 0, or by the kind of the error, as in the design's table.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    say(format_args!("crowdread: {}", told(&error)));
    ExitCode::from(match kind(&error) {
        ErrorKind::Invalid => 2,
        ErrorKind::Unavailable => 3,
        ErrorKind::Corrupt => 4,
        ErrorKind::Closed => 5,
        ErrorKind::Conflict | ErrorKind::Internal => 1,
    })
}

/// The error and its causes, each once: one of ours tells its own causes.
pub fn told(error: &anyhow::Error) -> String {
    let mut parts = Vec::new();
    for cause in error.chain() {
        parts.push(cause.to_string());
        if cause.is::<Error>() {
            break;
        }
    }
    parts.join(": ")
}

/// What to do about an error.
pub fn kind(error: &anyhow::Error) -> ErrorKind {
    error.downcast_ref::<Error>().map_or(ErrorKind::Internal, Error::kind)
}

/// Some of many things failed, and each was told: one error for all, of the kind that most needs a person or time.
pub fn some_failed(message: &'static str, kinds: &[ErrorKind]) -> Error {
    let weight = |kind: &ErrorKind| match kind {
        ErrorKind::Invalid => 0,
        ErrorKind::Conflict => 1,
        ErrorKind::Unavailable => 2,
        ErrorKind::Closed => 3,
        ErrorKind::Corrupt => 4,
        ErrorKind::Internal => 5,
    };
    let kind = kinds.iter().copied().max_by_key(weight).unwrap_or(ErrorKind::Invalid);
    Error::new(kind, message).with("failed", kinds.len())
}
