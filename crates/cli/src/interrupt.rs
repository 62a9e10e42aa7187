//! Ctrl-C and SIGTERM: one listener for the whole process. The first asks for the orderly end; a second ends at once, whatever is under
//! way. That loses nothing: what was acknowledged is in the journal.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::console::say;

/// The exit codes of a process that a signal ended, as shells tell them.
const INTERRUPTED: i32 = 128 + 2;
const TERMINATED: i32 = 128 + 15;

/// Catches both signals from now on, for as long as the process lives: tokio never gives a signal back, so a second listener that is
/// made and dropped would leave Ctrl-C without effect. To be called once, within the runtime.
///
/// # Errors
/// When the system lets no signal be caught.
pub fn catch() -> Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let first = CancellationToken::new();
    let told = first.clone();
    tokio::spawn(async move {
        loop {
            let code = tokio::select! { _ = interrupt.recv() => INTERRUPTED, _ = terminate.recv() => TERMINATED };
            if told.is_cancelled() {
                std::process::exit(code);
            }
            say("ending; once more ends at once");
            told.cancel();
        }
    });
    Ok(first)
}
