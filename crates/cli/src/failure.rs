//! How a failure leaves the process: one line for people on standard error, an exit code for programs.

use std::process::ExitCode;

use record::{Error, ErrorKind};
use tracing_subscriber::EnvFilter;

/// Log lines go to standard error; `CROWDREAD_LOG` says which (such as `info` or `loader=debug`).
pub fn start_log() {
    let filter = EnvFilter::try_from_env("CROWDREAD_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// The exit code: 0, or by the kind of the error, as in the design's table.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("crowdread: {error:#}");
    let kind = error.downcast_ref::<Error>().map_or(ErrorKind::Internal, Error::kind);
    ExitCode::from(match kind {
        ErrorKind::Invalid => 2,
        ErrorKind::Unavailable => 3,
        ErrorKind::Corrupt => 4,
        ErrorKind::Closed => 5,
        ErrorKind::Conflict | ErrorKind::Internal => 1,
    })
}
