//! What goes to people (standard error) and to programs (standard output). Who reads may go away at any time, as `| head` does: that
//! is no failure, and nothing of ours ends by it.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use record::{Error, Result};

/// How often a spinner moves.
const SPINNER_TICK: Duration = Duration::from_millis(120);

/// A line for people.
pub fn say(line: impl Display) {
    let _gone = writeln!(io::stderr(), "{line}");
}

/// Text for people that ends its own lines.
pub fn say_text(text: impl Display) {
    let _gone = write!(io::stderr(), "{text}");
}

/// A line of what was asked for.
///
/// # Errors
/// `Unavailable` when it cannot be written, such as to a file on a full disk.
pub fn print(line: impl Display) -> Result<()> {
    print_text(format_args!("{line}\n"))
}

/// What was asked for, as text that ends its own lines.
///
/// # Errors
/// As [`print`].
pub fn print_text(text: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::unavailable("cannot write to standard output").because(error)),
        _ => Ok(()),
    }
}

/// A progress bar on standard error; it draws nothing where that is no terminal.
pub fn progress_bar(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_prefix(what);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar
}

/// A spinner with a text, for work of unknown length.
pub fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(SPINNER_TICK);
    bar
}
