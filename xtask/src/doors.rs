//! `cargo xtask bench doors`: the real server with its safe defaults beside servers that do less, in turns in the same minutes, as the
//! table of `docs/performance.md`.
//!
//! release build → disk → for each round, for each case: peer, ours (`wrk`, or the client of `collector`'s example `bench`) → medians
//! → phones, idle connections, recovery: once each
//!
//! Ratios alone mean something: the machine and its load are whatever they are, and the same for both.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::processes::Guard;
use crate::{machine, peers, workspace};

/// Rounds where nothing is said.
const ROUNDS: usize = 5;
/// How long a load runs, in seconds.
const SECONDS: &str = "3";
/// Lines of a request with many.
const LINES: usize = 100;
/// One record of the topic that the server is told of.
const RECORD: &str = r#"{"device":"attic-7","celsius":21.5,"at":"2026-11-24T11:15:24Z"}"#;
const SCHEMA: &str = r#"{"type":"object","required":["device","celsius"],"properties":{
    "device":{"type":"string"},"celsius":{"type":"number"},"at":{"type":"string","format":"date-time"}}}"#;
const SETTINGS: &str = "[topics.sensors]\nschema = \"sensors.json\"\nopen = true\n\n[doors.mqtt]\nlisten = \"127.0.0.1:MQTT\"\n";
/// The topic under its own name, for a server that has no other listeners: connections share the limit of open files.
const ONE_DOOR: &str = "[topics.sensors]\nschema = \"sensors.json\"\nopen = true\n";
/// Phones that each answer every two seconds.
const PHONES: &str = "10000";
/// Connections that say nothing.
const IDLE: usize = 50_000;
/// The journal that is opened again, in GiB.
const JOURNAL_GIB: &str = "4";
/// A server that does not listen in this many tenths of a second does not start.
const STARTS_MAX: usize = 600;

/// What one load gave: records a second, and the time in which 99 of 100 were answered, in milliseconds.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    p99_ms: f64,
}

/// A running program, ended with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where everything is.
struct Bench {
    guard: Guard,
    client: PathBuf,
    folder: PathBuf,
    noop: u16,
    parse: u16,
    ours: u16,
}

/// Reads `[--rounds N]`, builds, and prints the table.
///
/// # Errors
/// Wrong arguments, a build that fails, a server that does not start, or a load with other answers than *stored*.
pub fn run(args: &[&str]) -> Result<()> {
    let rounds = match args {
        [] => ROUNDS,
        ["--rounds", number] => number.parse().context("--rounds wants a number")?,
        other => bail!("bench doors takes [--rounds N], not {other:?}"),
    };
    machine::install(&machine::BENCH_NEEDS)?;
    let jars = peers::install()?;
    let target = build()?;
    let folder = std::env::temp_dir().join(format!("crowdread-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let measured = measure(&target, &folder, &jars, rounds.max(1));
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    measured
}

/// The server and the example, in release; gives their folder.
fn build() -> Result<PathBuf> {
    for what in [["--package", "crowdread", "--bin", "crowdread"], ["--package", "collector", "--example", "bench"]] {
        let status = workspace::cargo().args(["build", "--release", "--locked"]).args(what).status().context("cargo does not start")?;
        if !status.success() {
            bail!("the release build failed");
        }
    }
    let target = workspace::metadata(false)?["target_directory"].as_str().map(PathBuf::from);
    Ok(target.context("cargo does not say where its target folder is")?.join("release"))
}

fn measure(target: &Path, folder: &Path, jars: &Path, rounds: usize) -> Result<()> {
    let [noop, parse, ours, mqtt] = [free_port()?, free_port()?, free_port()?, free_port()?];
    let bench = Bench { guard: Guard::start()?, client: target.join("examples/bench"), folder: folder.to_owned(), noop, parse, ours };
    std::fs::write(folder.join("sensors.json"), SCHEMA)?;
    std::fs::write(folder.join("crowdread.toml"), SETTINGS.replace("MQTT", &mqtt.to_string()))?;
    let script = |name: &str, body: &str| {
        let text = format!("wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/x-ndjson'\nwrk.body = [[{body}]]\n");
        std::fs::write(folder.join(name), text)
    };
    script("one.lua", RECORD)?;
    std::fs::write(folder.join("flume.lua"), flume_script())?;
    script("many.lua", &[RECORD; LINES].join("\n"))?;
    let _noop = bench.start(&bench.client, &["noop", &address(noop)], noop)?;
    let _parse = bench.start(&bench.client, &["parse", &address(parse)], parse)?;
    let _ours = bench.start(&target.join("crowdread"), &["serve", "--listen", &address(ours), "--data", "data"], ours)?;
    let before = bench.ask(&["disk", ".", "3"])?;
    println!("{} cores, {rounds} rounds of {SECONDS} s each, medians; the load runs on the same cores\n", cores());
    println!("| what | peer | records/s | p99 ms | crowdread | records/s | p99 ms | ratio |\n|---|---|---|---|---|---|---|---|");
    let posts = "POST, one record";
    let post =
        bench.pair(rounds, &format!("{posts}, 64 connections"), "axum, no-op", |b| b.wrk(b.noop, 64, 1), |b| b.wrk(b.ours, 64, 1))?;
    bench.pair(rounds, &format!("{posts}, 512 connections"), "axum, no-op", |b| b.wrk(b.noop, 512, 1), |b| b.wrk(b.ours, 512, 1))?;
    bench.beside_flume(jars, rounds)?;
    let lines = format!("POST, {LINES} lines, 64 connections");
    bench.pair(rounds, &lines, "axum, parses", |b| b.wrk(b.parse, 64, LINES), |b| b.wrk(b.ours, 64, LINES))?;
    let ways = [("WebSocket", "websocket", ours), ("MQTT QoS 1", "mqtt", mqtt)];
    for (what, mode, port) in ways {
        for depth in ["1", "16"] {
            let label = format!("{what}, 1,000 connections, {depth} in flight");
            let load = |b: &Bench| b.load(&[mode, &address(port), "sensors", "1000", depth, SECONDS]);
            bench.pair(rounds, &label, "crowdread, POST, 1,000", |b| b.wrk(b.ours, 1_000, 1), load)?;
        }
    }
    bench.beside_mosquitto(mqtt, rounds)?;
    // Half of what it can at most, at times that do not wait for it.
    let half = (post.per_second / 2.0).round().to_string();
    let open = bench.ask(&["open", &address(ours), "/v1/records/sensors", &half, "64", "10"])?;
    let after = bench.ask(&["disk", ".", "3"])?;
    println!("\nPOST at {half} a second, latency from when each was due: p50 {} µs, p99 {} µs", open["p50_us"], open["p99_us"]);
    for (when, disk) in [("before", before), ("after", after)] {
        println!("fdatasync of 4 KiB {when}: p50 {} µs, p99 {} µs, n {}", disk["p50_us"], disk["p99_us"], disk["count"]);
    }
    bench.crowds(target)?;
    let recovered = bench.ask(&["recovery", "recovered", JOURNAL_GIB])?;
    println!(
        "a journal of {JOURNAL_GIB} GiB is open again at {} MB/s; reading its files takes {} MB/s",
        recovered["opened"], recovered["read"]
    );
    Ok(())
}

/// The record as Flume's HTTP source takes it.
fn flume_script() -> String {
    let event = serde_json::json!([{ "headers": {}, "body": RECORD }]);
    format!("wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\nwrk.body = [==[{event}]==]\n")
}

impl Bench {
    fn beside_flume(&self, jars: &Path, rounds: usize) -> Result<()> {
        let port = free_port()?;
        let _flume = self.spawn(peers::flume(jars, &self.folder, port)?, port)?;
        let theirs = |b: &Self| b.wrk_at("flume.lua", &format!("http://{}/", address(port)), 64, 1);
        self.pair(rounds, "POST, one record, 64 connections", "Flume 1.11, file channel", theirs, |b| b.wrk(b.ours, 64, 1)).map(drop)
    }

    fn beside_mosquitto(&self, mqtt: u16, rounds: usize) -> Result<()> {
        let port = free_port()?;
        let _mosquitto = self.spawn(peers::mosquitto(&self.folder, port)?, port)?;
        peers::keeper(port, "sensors")?;
        for depth in ["1", "16"] {
            let load = |b: &Self, port: u16| b.load(&["mqtt", &address(port), "sensors", "1000", depth, SECONDS]);
            let label = format!("MQTT QoS 1, 1,000 connections, {depth} in flight");
            self.pair(rounds, &label, "mosquitto, persistence", |b| load(b, port), |b| load(b, mqtt))?;
        }
        Ok(())
    }

    /// Many connections, of a server that has one door.
    fn crowds(&self, target: &Path) -> Result<()> {
        std::fs::write(self.folder.join("one-door.toml"), ONE_DOOR)?;
        let port = free_port()?;
        let args = ["serve", "--config", "one-door.toml", "--listen", &address(port), "--data", "one-door"];
        let server = self.start(&target.join("crowdread"), &args, port)?;
        let pid = server.0.id().to_string();
        let phones = self.ask(&["phones", &address(port), "sensors", PHONES, "2000", "60", &pid])?;
        println!(
            "{PHONES} WebSocket phones, each every 2 s for 60 s: {} stored, {} not; p50 {} µs, p99 {} µs",
            phones["stored"], phones["refused"], phones["p50_us"], phones["p99_us"]
        );
        println!("  resident memory of the server for each of them: {} B", phones["bytes_each"]);
        let most = idle_max()?;
        let idle = self.ask(&["idle", &address(port), "sensors", &most.to_string(), &pid])?;
        println!(
            "{most} idle WebSocket connections (of {IDLE} wanted; a process may have {} files open here): {} B each",
            open_files()?,
            idle["bytes_each"]
        );
        Ok(())
    }

    /// Both in turns; prints the medians and gives ours.
    fn pair(
        &self,
        rounds: usize,
        what: &str,
        peer: &str,
        theirs: impl Fn(&Self) -> Result<Rate>,
        ours: impl Fn(&Self) -> Result<Rate>,
    ) -> Result<Rate> {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            left.push(theirs(self)?);
            right.push(ours(self)?);
        }
        let (left, right) = (median(&left), median(&right));
        let ratio = right.per_second / left.per_second;
        let side = |rate: Rate| format!("{:.0} | {:.1}", rate.per_second, rate.p99_ms);
        println!("| {what} | {peer} | {} | | {} | {ratio:.2} |", side(left), side(right));
        Ok(right)
    }

    fn start(&self, program: &Path, args: &[&str], port: u16) -> Result<Running> {
        let mut command = Command::new(program);
        command.args(args);
        self.spawn(command, port)
    }

    fn spawn(&self, mut command: Command, port: u16) -> Result<Running> {
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        command.stderr(log);
        self.guard.mark(&mut command);
        let running = Running(command.spawn().with_context(|| format!("{:?} does not start", command.get_program()))?);
        for _ in 0..STARTS_MAX {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(running);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("{:?} does not listen: {}", command.get_program(), std::fs::read_to_string(self.folder.join("log")).unwrap_or_default())
    }

    /// `wrk` with one thread, since the server needs the other cores.
    fn wrk(&self, port: u16, connections: usize, lines: usize) -> Result<Rate> {
        let script = if lines == 1 { "one.lua" } else { "many.lua" };
        self.wrk_at(script, &format!("http://{}/v1/records/sensors", address(port)), connections, lines)
    }

    fn wrk_at(&self, script: &str, url: &str, connections: usize, lines: usize) -> Result<Rate> {
        let mut command = Command::new("wrk");
        command.args(["-t1", "--latency", "--timeout", "30s", "-s", script, &format!("-d{SECONDS}s"), &format!("-c{connections}"), url]);
        self.guard.mark(&mut command);
        let output = command.current_dir(&self.folder).output().context("wrk does not start")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if text.contains("Non-2xx") || text.contains("Socket errors") || !output.status.success() {
            bail!("wrk saw other answers than 200:\n{text}");
        }
        let field = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        let requests: f64 = field("Requests/sec:").and_then(|text| text.parse().ok()).context("wrk does not say how many a second")?;
        let p99_ms = field("99%").and_then(millis).context("wrk does not say how long they took")?;
        Ok(Rate { per_second: requests * lines as f64, p99_ms })
    }

    fn load(&self, args: &[&str]) -> Result<Rate> {
        let told = self.ask(args)?;
        if told["refused"] != 0 {
            bail!("some were not stored: {told}");
        }
        let number = |name: &str| told[name].as_f64().with_context(|| format!("the client says no {name}"));
        Ok(Rate { per_second: number("per_second")?, p99_ms: number("p99_us")? / 1_000.0 })
    }

    /// Runs the client; its JSON.
    fn ask(&self, args: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.client);
        command.args(args).current_dir(&self.folder);
        self.guard.mark(&mut command);
        let output = command.output().context("the client does not start")?;
        if !output.status.success() {
            bail!("the client failed: {args:?}\n{}", String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("the client's answer is not JSON")
    }
}

/// `1.25ms`, `930.00us` or `1.10s`, as wrk writes them.
fn millis(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)];
    units.into_iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

fn median(rates: &[Rate]) -> Rate {
    let middle = |of: fn(&Rate) -> f64| {
        let mut values: Vec<f64> = rates.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Rate { per_second: middle(|rate| rate.per_second), p99_ms: middle(|rate| rate.p99_ms) }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// How many files a process may have open, as the system says.
fn open_files() -> Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").context("no /proc")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no limit of open files")?;
    let hard = line.split_whitespace().nth(1).context("no hard limit")?;
    Ok(if hard == "unlimited" { usize::MAX } else { hard.parse()? })
}

/// As many as the server leaves to connections: it keeps a quarter of the open files for other things.
fn idle_max() -> Result<usize> {
    Ok(IDLE.min(open_files()? / 4 * 3 - 100))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
#[path = "doors_tests.rs"]
mod tests;
