//! `cargo xtask sample`: makes the sample collection. The work stands in `examples/sample`, so that its fonts and pictures
//! cost nothing when xtask itself is compiled; this file gets what the machine lacks and calls it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{self, Need};
use crate::workspace;

/// The engine, its languages and the fonts of `examples/sample/typeset.rs`.
const NEEDS: [Need; 7] = [
    Need { thing: "tesseract", package: "tesseract-ocr" },
    Need { thing: "/usr/share/tesseract-ocr/5/tessdata/eng.traineddata", package: "tesseract-ocr-eng" },
    Need { thing: "/usr/share/tesseract-ocr/5/tessdata/spa.traineddata", package: "tesseract-ocr-spa" },
    Need { thing: "/usr/share/fonts/opentype/junicode/JunicodeTwoBeta-Regular.otf", package: "fonts-junicode" },
    Need { thing: "/usr/share/fonts/opentype/ebgaramond/EBGaramond12-Regular.otf", package: "fonts-ebgaramond" },
    Need { thing: "/usr/share/fonts/opentype/sortsmill/GoudyBookletter1911.otf", package: "fonts-goudybookletter" },
    Need { thing: "/usr/share/fonts/opentype/didot/GFSDidot.otf", package: "fonts-gfs-didot" },
];

/// Reads `--seed N [--out DIR]` and makes the collection.
///
/// # Errors
/// Wrong arguments; a missing package that cannot be installed; the generator's own failure.
pub fn run(args: &[&str]) -> Result<()> {
    let (mut seed, mut out) = (None, workspace::root().join("crates/ocr/sample"));
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match *word {
            "--seed" => seed = Some(value.parse::<u64>().with_context(|| format!("--seed takes a whole number, not `{value}`"))?),
            "--out" => out = std::env::current_dir().context("no current folder")?.join(PathBuf::from(value)),
            other => bail!("sample does not know `{other}`: sample --seed N [--out DIR]"),
        }
    }
    let seed = seed.context("sample needs --seed N; the shipped collection names its own in collection.json")?;
    may_write(&out)?;
    machine::install(&NEEDS)?;
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--example", "sample", "--", &seed.to_string()]).arg(&out);
    if !command.stdin(Stdio::null()).status().context("cargo does not start")?.success() {
        bail!("the sample was not made; the reason stands above");
    }
    let text = std::fs::read_to_string(out.join(NOTE)).with_context(|| format!("the generator left no {NOTE}"))?;
    let misses = misses(&serde_json::from_str(&text)?, bytes_in(&out));
    if !misses.is_empty() {
        bail!("seed {seed} gives no sample: {}; it is left in {} to be looked at, take another seed", misses.join(", "), out.display());
    }
    Ok(())
}

/// The file by which a folder is known as made by this command: its `command` says so.
const NOTE: &str = "collection.json";
/// What the note's `command` begins with.
const MADE_BY: &str = "cargo xtask sample";

/// Whether the folder may be emptied and filled: it is new, empty, or was made by this command.
///
/// # Errors
/// It holds something else; nothing was touched.
fn may_write(out: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot look into {}", out.display())),
    };
    if entries.count() == 0 {
        return Ok(());
    }
    let note: Option<Value> = std::fs::read_to_string(out.join(NOTE)).ok().and_then(|text| serde_json::from_str(&text).ok());
    if note.and_then(|note| note["command"].as_str().map(|command| command.starts_with(MADE_BY))) != Some(true) {
        bail!(
            "{} is not empty and was not made by `{MADE_BY}`: its folders pages and truth would be emptied; name a new folder",
            out.display()
        );
    }
    Ok(())
}

/// What a sample must have: see the tests of `ocr`, which hold the one that ships to the same.
const PAGES_MIN: usize = 6;
const WORDS_MIN: u64 = 1_500;
const SHARE_RIGHT: std::ops::RangeInclusive<f64> = 0.75..=0.92;
const BYTES_MAX: u64 = 3_000_000;

/// What a collection lacks to be a sample, in words; nothing when it lacks nothing.
fn misses(collection: &Value, bytes: u64) -> Vec<String> {
    let pages = collection["pages"].as_array().map_or(&[][..], Vec::as_slice);
    let sum = |name: &str| pages.iter().map(|page| page[name].as_u64().unwrap_or(0)).sum::<u64>();
    let (words, boxes, right) = (sum("words_printed"), sum("boxes"), sum("boxes_right"));
    let share = right as f64 / boxes.max(1) as f64;
    let mut misses = Vec::new();
    let mut want = |holds: bool, what: String| {
        if !holds {
            misses.push(what)
        }
    };
    want(pages.len() >= PAGES_MIN, format!("{} pages where {PAGES_MIN} are wanted", pages.len()));
    for language in ["en", "es"] {
        want(pages.iter().any(|page| page["language"] == language), format!("no page in {language}"));
    }
    want(words >= WORDS_MIN, format!("{words} words where {WORDS_MIN} are wanted"));
    want(SHARE_RIGHT.contains(&share), format!("{:.1} % of the words are right where 75 to 92 % are wanted", 100.0 * share));
    want(bytes <= BYTES_MAX, format!("{bytes} bytes where {BYTES_MAX} are allowed"));
    misses
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_in(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
#[path = "sample_tests.rs"]
mod tests;
