//! Reads a page with the real Tesseract, and says how many of its words are right.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::typeset::Sheet;

/// What the engine made of a page.
pub struct Reading {
    /// Its TSV, as it came.
    pub tsv: String,
    /// The wear of the picture that it read.
    pub wear: f64,
    /// Printed words.
    pub words: usize,
    /// Word boxes with a text.
    pub boxes: usize,
    /// Boxes whose text is the printed one.
    pub right: usize,
}

impl Reading {
    /// Right boxes over all boxes; 0 where there are none.
    pub fn accuracy(&self) -> f64 {
        if self.boxes == 0 { 0.0 } else { self.right as f64 / self.boxes as f64 }
    }
}

/// Tesseract's language name for a language code.
fn language_data(language: &str) -> &'static str {
    if language == "es" { "spa" } else { "eng" }
}

/// The engine's name and version, from its first line.
pub fn version() -> Result<String> {
    let output = Command::new("tesseract").arg("--version").stdin(Stdio::null()).output().context("tesseract does not start")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok(text.lines().next().unwrap_or_default().trim().to_string())
}

/// Reads one picture.
pub fn read(image: &Path, sheet: &Sheet, wear: f64) -> Result<Reading> {
    let mut command = Command::new("tesseract");
    command.arg(image).args(["stdout", "-l", language_data(sheet.language), "tsv"]);
    // One thread: the result must not depend on the number of cores.
    let output = command.env("OMP_THREAD_LIMIT", "1").stdin(Stdio::null()).output().context("tesseract does not start")?;
    if !output.status.success() {
        bail!("tesseract failed on {}: {}", image.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    let tsv = String::from_utf8(output.stdout).context("tesseract's TSV is not UTF-8")?;
    let read: Vec<String> = tsv.lines().filter_map(word).map(|word| plain(&word)).collect();
    let printed: Vec<String> = sheet.lines.iter().flat_map(|line| line.text.split_whitespace()).map(plain).collect();
    Ok(Reading { right: in_common(&printed, &read), words: printed.len(), boxes: read.len(), tsv, wear })
}

/// The text of a word row: level 5, twelve columns.
fn word(row: &str) -> Option<String> {
    let columns: Vec<&str> = row.split('\t').collect();
    let text = columns.get(11)?.trim();
    (columns[0] == "5" && !text.is_empty()).then(|| text.to_string())
}

/// Long s counts as s.
fn plain(word: &str) -> String {
    word.replace('ſ', "s")
}

/// The length of the longest common subsequence of words. Rough: the product aligns by place too, and a test of the shipped
/// collection measures it that way.
fn in_common(printed: &[String], read: &[String]) -> usize {
    let mut above = vec![0; read.len() + 1];
    for word in printed {
        let mut row = vec![0];
        for (at, other) in read.iter().enumerate() {
            row.push(if word == other { above[at] + 1 } else { above[at + 1].max(row[at]) });
        }
        above = row;
    }
    above.last().copied().unwrap_or(0)
}
