//! The house's own commands: checks, the sample collection, build measurements. Kept light: it compiles in seconds.
//!
//! Called as `cargo xtask …` (the alias stands in `.cargo/config.toml`), by people and by `.ci/run` alike.

mod bench;
mod doors;
mod faults;
mod fuzz;
mod machine;
mod pages;
mod peers;
mod processes;
mod sample;
mod test;
mod tidy;
mod workspace;

use anyhow::{Result, bail};

const USAGE: &str = "cargo xtask COMMAND

  test [--quick]               format, clippy, tidy, every test, doc tests, browser tests; installs what the machine lacks
                               --quick leaves out what needs more than a Rust toolchain, and says so
  faults [--minutes N] [--seed S]
                               the fault tests at length: a million power cuts on the model disk, a thousand seeds of the simulation, a
                               thousand kills, a hundred power cuts of the binary, bad disks and networks; again and again until the minutes are over
  sim SEED                     one seed of the simulation of all rooms, told line by line
  fuzz [--minutes N]           the decoders under libFuzzer, all targets together for ten minutes or as many as you like
  tidy                         the rules of the house: sizes, names, crate arrows, paths in the documents
  sample --seed N [--out DIR]  make the sample collection again, or another one (default folder crates/ocr/sample)
  bench build                  what a cold default release build costs: CPU-minutes, wall, the dearest crates, download size
  bench doors [--rounds N]     what the doors take, beside servers that do less: the table of docs/performance.md
  bench pages [--seeds N] [--phones N] [NAME …]
                               real pages, and pages drawn from another seed, all the way: the tables of docs/real-pages.md";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&args) {
        eprintln!("xtask: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test::run(test::Extent::Full),
        ["test", "--quick"] => test::run(test::Extent::Quick),
        ["faults", rest @ ..] => faults::run(rest),
        ["sim", seed] => faults::simulate(seed),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["tidy"] => tidy::run(),
        ["sample", rest @ ..] => sample::run(rest),
        ["bench", "build"] => bench::build(),
        ["bench", "doors", rest @ ..] => doors::run(rest),
        ["bench", "pages", rest @ ..] => pages::run(rest),
        // Not for people: the guard that `test` starts beside itself.
        [processes::GUARD, token] => processes::guard(token),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => bail!("no command given\n\n{USAGE}"),
        other => bail!("no command `{}`\n\n{USAGE}", other.join(" ")),
    }
}
