//! `cargo xtask test`: every check of the house, in the order in which a failure is cheapest to find.
//!
//! machine → format → clippy → tidy → tests (browser tests among them) → doc tests → default features. Stops at the first
//! red part, says which, and prints the minutes of each part in any case.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::processes::Guard;
use crate::{machine, tidy, workspace};

/// How much of the run is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything; what the machine lacks is installed.
    Full,
    /// Only what a Rust toolchain can do.
    Quick,
}

/// The target folder is cleaned above this size, in bytes: artefacts of earlier checkouts have other names and never go away.
const TARGET_BYTES_MAX: u64 = 20 << 30;

/// One run: its parts with their seconds, and cargo's own counts added up.
struct Run {
    guard: Guard,
    variables: Vec<(&'static str, PathBuf)>,
    parts: Vec<(&'static str, f64)>,
    counts: Counts,
}

/// What cargo's test summaries add up to.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    /// Takes in one line of output; only lines such as `test result: ok. 3 passed; 0 failed; …` count.
    fn read(&mut self, line: &str) {
        let Some((_, rest)) = line.trim_start().strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        let number = |name: &str| {
            let part = rest.split(';').find_map(|part| part.trim().strip_suffix(name))?;
            part.trim().parse::<u64>().ok()
        };
        self.passed += number("passed").unwrap_or(0);
        self.failed += number("failed").unwrap_or(0);
    }
}

/// Runs all of it.
///
/// # Errors
/// The first red part, by name.
pub fn run(extent: Extent) -> Result<()> {
    let mut run = Run { guard: Guard::start()?, variables: Vec::new(), parts: Vec::new(), counts: Counts::default() };
    let result = run.all(extent);
    run.print(extent, &result);
    result
}

impl Run {
    fn all(&mut self, extent: Extent) -> Result<()> {
        self.part("machine", |run| run.machine(extent))?;
        self.part("format", |run| run.cargo(&["fmt", "--all", "--check"], "run `cargo fmt --all`"))?;
        let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
        self.part("clippy", |run| run.cargo(&clippy, "mend what clippy says above"))?;
        self.part("tidy", |_| tidy::run())?;
        // One feature set is compiled, the whole one; `--no-fail-fast`, so that one run shows every red test.
        let tests = ["test", "--workspace", "--all-features", "--lib", "--bins", "--tests", "--examples", "--no-fail-fast"];
        self.part("tests", |run| run.cargo(&tests, "the failed tests are named above"))?;
        let doc_tests = ["test", "--workspace", "--all-features", "--doc", "--no-fail-fast"];
        self.part("doc tests", |run| run.cargo(&doc_tests, "the failed examples are named above"))?;
        self.part("default features", |run| run.cargo(&["check", "--package", "crowdread"], "the default build is broken"))
    }

    fn part(&mut self, name: &'static str, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        eprintln!("xtask: {name}");
        let start = now();
        let result = work(self);
        self.parts.push((name, start.elapsed().as_secs_f64()));
        result.with_context(|| format!("red: {name}"))
    }

    /// Gets what is missing and tells the tests where things are.
    fn machine(&mut self, extent: Extent) -> Result<()> {
        machine::toolchain()?;
        trim_target()?;
        let root = workspace::root();
        if let Some(shared) = root.parent().map(|above| above.join("shared")).filter(|shared| shared.is_dir()) {
            if std::env::var_os("CROWDREAD_SHARED").is_none() {
                self.variables.push(("CROWDREAD_SHARED", shared));
            }
        } else if std::env::var_os("CROWDREAD_SHARED").is_none() {
            eprintln!("xtask: no folder `shared` beside the checkout: tests with real pages say that they skip");
        }
        if extent == Extent::Quick {
            eprintln!("xtask: --quick: tests of Tesseract, Chromium, xmllint, Mosquitto and Python are left out");
            self.variables.push(("CROWDREAD_QUICK", PathBuf::from("1")));
            return Ok(());
        }
        machine::install(&machine::TEST_NEEDS)?;
        let python = machine::python()?;
        self.variables.push(("CROWDREAD_SCHEMAS", machine::schemas(&python)?));
        self.variables.push(("CROWDREAD_PYTHON", python));
        for (variable, program) in [("CROWDREAD_CHROMIUM", "chromium"), ("CROWDREAD_CHROMEDRIVER", "chromedriver")] {
            let path = machine::find(program).with_context(|| format!("{program} is not on the path"))?;
            self.variables.push((variable, path));
        }
        Ok(())
    }

    /// One cargo call: passes its output on, line by line, and reads the test counts from it.
    fn cargo(&mut self, args: &[&str], advice: &str) -> Result<()> {
        let mut command = workspace::cargo();
        command.args(args).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("CARGO_INCREMENTAL", "0").stdin(Stdio::null()).stdout(Stdio::piped());
        self.guard.mark(&mut command);
        let mut child = command.spawn().context("cargo does not start")?;
        let output = child.stdout.take().context("cargo has no output")?;
        let mut out = std::io::stdout().lock();
        for line in BufReader::new(output).split(b'\n') {
            // A test may print bytes that are no text: they are passed on as they are.
            let line = line.context("cargo's output broke off")?;
            self.counts.read(&String::from_utf8_lossy(&line));
            out.write_all(&line).and_then(|()| out.write_all(b"\n")).context("cannot write to standard output")?;
        }
        let status = child.wait().context("cargo was lost")?;
        if !status.success() {
            bail!("cargo {} ended with {status}: {advice}", args.join(" "));
        }
        Ok(())
    }

    fn print(&self, extent: Extent, result: &Result<()>) {
        println!("\n{:<18}{:>8}", "part", "minutes");
        for (name, seconds) in &self.parts {
            println!("{name:<18}{:>8.1}", seconds / 60.0);
        }
        println!("{:<18}{:>8.1}", "in all", self.parts.iter().map(|(_, seconds)| seconds).sum::<f64>() / 60.0);
        if extent == Extent::Quick {
            println!("left out by --quick: the tests that need Tesseract, Chromium, xmllint, Mosquitto or Python");
        }
        println!("{} passed, {} failed", self.counts.passed, self.counts.failed);
        println!("{}", if result.is_ok() { "green" } else { "red" });
    }
}

#[expect(clippy::disallowed_methods, reason = "the minutes of a run are the machine's own time; nothing decides by them")]
fn now() -> Instant {
    Instant::now()
}

/// Keeps the target folder from growing without end: above the limit, what this workspace's crates left there goes (their
/// file names differ from checkout to checkout), and if the dependencies alone are still above it, the whole profile goes.
fn trim_target() -> Result<()> {
    let target = workspace::metadata(false)?["target_directory"].as_str().map(PathBuf::from).context("no target folder")?;
    let debug = target.join("debug");
    if bytes_in(&debug) <= TARGET_BYTES_MAX {
        return Ok(());
    }
    eprintln!("xtask: the target folder is over {} GiB: removing what earlier builds left", TARGET_BYTES_MAX >> 30);
    let mut names: Vec<String> = workspace::members()?.into_iter().map(|member| member.name.replace('-', "_")).collect();
    names.extend(["it".to_string(), "sample".to_string()]);
    remove(&debug.join("incremental"))?;
    for folder in ["deps", ".fingerprint", "build", "examples"] {
        for entry in std::fs::read_dir(debug.join(folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().replace('-', "_");
            let stem = name.rsplit_once('_').map_or(name.as_str(), |(stem, _)| stem);
            if names.iter().any(|ours| stem == ours || stem.strip_prefix("lib") == Some(ours)) {
                remove(&entry.path())?;
            }
        }
    }
    if bytes_in(&debug) > TARGET_BYTES_MAX {
        remove(&debug)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_in(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
#[path = "test_tests.rs"]
mod tests;
