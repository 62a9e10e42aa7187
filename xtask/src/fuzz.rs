//! `cargo xtask fuzz`: the decoders under libFuzzer, each target for its share of the minutes.
//!
//! `fuzz/` (built with coverage) → one target after another → executions and coverage, as a table
//!
//! The compiler is the usual one: the passes that count what is covered are LLVM's, and these flags are what `cargo fuzz` gives a nightly
//! compiler as well. Sanitizers would need one; this workspace has no unsafe code of its own. What covers something new is kept in the user's
//! cache folder, an input that breaks something in `fuzz/inputs`, where a plain test finds it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::processes::Guard;
use crate::workspace;

/// In the order of the rooms.
const TARGETS: [&str; 7] =
    ["journal_entry", "journal_scan", "journal_recovery", "http_body", "cloud_event", "mqtt_stream", "websocket_stream"];

/// What `cargo fuzz` gives the compiler, sanitizers apart.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// The largest input, in bytes: what is decoded has small parts, and small inputs are tried often.
const INPUT_BYTES_MAX: u32 = 4096;

/// What libFuzzer said at the end of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    executions: u64,
    /// Edges of the program that were passed.
    covered: u64,
    /// Inputs that are kept.
    corpus: u64,
}

impl Said {
    /// Takes in a line, such as `#8192 pulse cov: 412 ft: 993 corp: 88/2410b …` or `stat::number_of_executed_units: 41231`.
    fn read(&mut self, line: &str) {
        let after = |name: &str| {
            let rest = line.split_once(name)?.1.trim_start();
            rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        self.covered = after(" cov: ").unwrap_or(self.covered);
        self.corpus = after(" corp: ").unwrap_or(self.corpus);
        self.executions = after("stat::number_of_executed_units:").unwrap_or(self.executions);
    }
}

/// Reads `[--minutes N]` and runs every target.
///
/// # Errors
/// Wrong arguments, a build that fails, or the first target that breaks: where its input is, and the test that plays it again.
pub fn run(args: &[&str]) -> Result<()> {
    let minutes = match args {
        [] => 10,
        ["--minutes", number] => number.parse::<u64>().with_context(|| format!("--minutes needs a number, and {number} is none"))?,
        other => bail!("no arguments `{}` of `cargo xtask fuzz`", other.join(" ")),
    };
    let guard = Guard::start()?;
    let programs = build(&guard)?;
    let seconds = (60 * minutes / TARGETS.len() as u64).max(1);
    let mut table = Vec::new();
    for target in TARGETS {
        println!("fuzz: {target} for {seconds} seconds");
        table.push((target, fuzz(&guard, &programs.join(target), target, seconds)?));
    }
    println!("\n{:<20}{:>14}{:>10}{:>10}", "target", "executions", "edges", "inputs");
    for (target, Said { executions, covered, corpus }) in &table {
        println!("{target:<20}{executions:>14}{covered:>10}{corpus:>10}");
    }
    println!("{:<20}{:>14}", "in all", table.iter().map(|(_, said)| said.executions).sum::<u64>());
    Ok(())
}

/// Builds the targets; the folder that they are in.
fn build(guard: &Guard) -> Result<PathBuf> {
    let version = Command::new("rustc").arg("-vV").output().context("rustc does not start")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say for which machine it is")?;
    let target = workspace::metadata(false)?["target_directory"].as_str().map(PathBuf::from).context("no target folder")?;
    let folder = target.join("fuzz");
    let mut command = workspace::cargo();
    // For a named machine, so that build scripts are not compiled with these flags.
    command.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", host, "--target-dir"]).arg(&folder);
    command.env("RUSTFLAGS", FLAGS).env("CARGO_INCREMENTAL", "0").stdin(Stdio::null());
    guard.mark(&mut command);
    if !command.status().context("cargo does not start")?.success() {
        bail!("red: the fuzz targets are not built (they need a C++ compiler)");
    }
    Ok(folder.join(host).join("release"))
}

fn fuzz(guard: &Guard, program: &Path, target: &str, seconds: u64) -> Result<Said> {
    let kept = workspace::root().join("fuzz/inputs").join(target);
    let corpus = workspace::cache()?.join("fuzz").join(target);
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let mut command = Command::new(program);
    command.arg(&corpus).arg(&kept).arg(format!("-artifact_prefix={}/broke-", kept.display()));
    command.args([format!("-max_total_time={seconds}"), format!("-max_len={INPUT_BYTES_MAX}")]);
    command.args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    command.current_dir(workspace::root()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    guard.mark(&mut command);
    let mut child = command.spawn().with_context(|| format!("{} does not start", program.display()))?;
    let output = child.stderr.take().context("the target has no output")?;
    let (mut said, mut last) = (Said::default(), Vec::new());
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("the target's output broke off")?).into_owned();
        said.read(&line);
        last.push(line);
        if last.len() > 40 {
            last.remove(0);
        }
    }
    if !child.wait().context("the target was lost")?.success() {
        let room = if target.starts_with("journal") { "queue" } else { "collector" };
        bail!(
            "{}\nred: {target} broke; the input is in fuzz/inputs/{target}, and `cargo test -p {room} fuzz` plays it again",
            last.join("\n")
        );
    }
    Ok(said)
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
