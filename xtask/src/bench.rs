//! `cargo xtask bench build`: what a stranger pays for the first `cargo run --release`, measured in an empty target folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace;

/// How many of the dearest crates are shown.
const SHOWN: usize = 20;

/// Builds the binary cold and prints CPU-minutes, wall minutes, the dearest crates and the download size.
///
/// # Errors
/// The build fails, or cargo's timing report is not as expected.
pub fn build() -> Result<()> {
    let target = workspace::cache()?.join(format!("bench-build-{}", std::process::id()));
    let result = measure(&target);
    if target.exists() {
        std::fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    }
    result
}

fn measure(target: &Path) -> Result<()> {
    let fetched = workspace::cargo().args(["fetch", "--locked"]).stdin(Stdio::null()).status().context("cargo fetch does not start")?;
    if !fetched.success() {
        bail!("cargo fetch failed");
    }
    let (start, before) = (now(), children_seconds()?);
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--locked", "--package", "crowdread", "--timings"]).arg("--target-dir").arg(target);
    if !command.stdin(Stdio::null()).status().context("cargo build does not start")?.success() {
        bail!("the release build failed");
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), children_seconds()? - before);
    let report = target.join("cargo-timings/cargo-timing.html");
    let report = std::fs::read_to_string(&report).with_context(|| format!("cannot read {}", report.display()))?;
    let units = units(&report).context("cargo's timing report has no line `const UNIT_DATA = [`")?;
    let download = download()?;
    let binary = std::fs::metadata(target.join("release/crowdread")).map_or(0, |data| data.len());
    println!("cold release build, default features, {} cores", std::thread::available_parallelism().map_or(1, usize::from));
    println!("CPU-minutes        {:>8.1}", cpu / 60.0);
    println!("wall minutes       {:>8.1}", wall / 60.0);
    println!("crates downloaded  {:>8}  ({:.1} MB)", download.crates, download.bytes as f64 / 1e6);
    println!("binary             {:>8.1} MB", binary as f64 / 1e6);
    println!("\nseconds  share  crate");
    let all: f64 = units.iter().map(|(_, seconds)| seconds).sum();
    for (name, seconds) in units.iter().take(SHOWN) {
        println!("{seconds:>7.1}  {:>4.1}%  {name}", 100.0 * seconds / all);
    }
    Ok(())
}

/// Seconds by crate and version, build scripts and all, dearest first.
fn units(report: &str) -> Option<Vec<(String, f64)>> {
    let data = report.split_once("const UNIT_DATA = ")?.1.split_once("];")?.0;
    let data: Value = serde_json::from_str(&format!("{data}]")).ok()?;
    let mut units: Vec<(String, f64)> = Vec::new();
    for unit in data.as_array()? {
        let name = format!("{} {}", unit["name"].as_str()?, unit["version"].as_str()?);
        let seconds = unit["duration"].as_f64()?;
        match units.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += seconds,
            None => units.push((name, seconds)),
        }
    }
    units.sort_by(|a, b| b.1.total_cmp(&a.1));
    Some(units)
}

struct Download {
    crates: usize,
    bytes: u64,
}

/// The packed crates that the default build needs, as they lie in cargo's cache after `cargo fetch`.
fn download() -> Result<Download> {
    let mut tree = workspace::cargo();
    tree.args(["tree", "--locked", "--package", "crowdread", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let output = tree.output().context("cargo tree does not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let name = |line: &str| {
        let mut words = line.split_whitespace();
        Some(format!("{}-{}.crate", words.next()?, words.next()?.trim_start_matches('v')))
    };
    let names: BTreeSet<String> = text.lines().filter(|line| !line.contains("(/")).filter_map(name).collect();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let caches: Vec<PathBuf> =
        std::fs::read_dir(home.join("registry/cache")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let size = |name: &String| caches.iter().find_map(|cache| std::fs::metadata(cache.join(name)).ok()).map_or(0, |data| data.len());
    Ok(Download { crates: names.len(), bytes: names.iter().map(size).sum() })
}

/// CPU seconds, user and system, of all ended children and theirs: fields 16 and 17 of `/proc/self/stat`, see proc(5).
fn children_seconds() -> Result<f64> {
    /// `sysconf(_SC_CLK_TCK)`: 100 on every Linux that Rust runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").context("no /proc/self/stat: this command needs Linux")?;
    // The second field is the program's name in parentheses and may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks: f64 = fields.iter().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

#[expect(clippy::disallowed_methods, reason = "a measurement of the machine's own time; nothing decides by it")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
#[path = "bench_tests.rs"]
mod tests;
