//! Nothing that a test started outlives the run: `test` calls this.
//!
//! Every child inherits a variable with a token that no other run has. A guard process holds one end of a pipe; when the run
//! ends in whatever way (green, red, interrupted, killed), the pipe closes, and the guard ends each process that carries the
//! token. So a server, browser or driver is found also when it has left its parent or its process group.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// The hidden command word under which the guard runs.
pub const GUARD: &str = "guard-processes";
/// The variable that children inherit.
const VARIABLE: &str = "CROWDREAD_TEST_RUN";

/// While this lives, the run goes on; when it is dropped, everything that carries its token is ended.
pub struct Guard {
    token: String,
    child: Child,
}

impl Guard {
    /// Starts the guard beside this process.
    ///
    /// # Errors
    /// The guard does not start.
    pub fn start() -> Result<Self> {
        // The id alone could return after a restart of the machine, but then no process of the earlier run is alive.
        let token = format!("crowdread-{}", std::process::id());
        let own = std::env::current_exe().context("the path of xtask itself is not known")?;
        let mut command = Command::new(own);
        // A group of its own: an interrupt from the keyboard must not end the guard before it has done its work.
        command.args([GUARD, &token]).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).env_remove(VARIABLE);
        let child = command.spawn().context("the process guard does not start")?;
        Ok(Self { token, child })
    }

    /// Marks a command, so that it and all that it starts are ended with the run.
    pub fn mark(&self, command: &mut Command) {
        command.env(VARIABLE, &self.token);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // The guard ends by itself once its input is closed; its result changes nothing here.
        let _ = self.child.wait();
    }
}

/// The guard itself: waits until its input closes, then ends what carries the token.
///
/// # Errors
/// None today; the type is the one of every command.
pub fn guard(token: &str) -> Result<()> {
    let mut byte = [0_u8; 1];
    while matches!(std::io::stdin().read(&mut byte), Ok(n) if n > 0) {}
    end_marked(token);
    Ok(())
}

/// Ends what carries the token.
fn end_marked(token: &str) {
    // A process may start another between the look and the signal, so look again until nothing is left.
    for _ in 0..20 {
        let found = marked(token);
        if found.is_empty() {
            break;
        }
        let ids: Vec<String> = found.iter().map(u32::to_string).collect();
        eprintln!("xtask: ending what the tests left behind: {}", ids.join(" "));
        let _ = Command::new("kill").arg("-KILL").args(&ids).stderr(Stdio::null()).status();
    }
}

/// The ids of the processes that carry the token; empty where there is no `/proc`.
fn marked(token: &str) -> Vec<u32> {
    let wanted = format!("{VARIABLE}={token}");
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| *id != std::process::id())
        .filter(|id| {
            let variables = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .collect()
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
