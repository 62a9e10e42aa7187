//! `cargo xtask tidy`: the rules of the house that no compiler knows. Also run as a test.
//!
//! files → code (sizes, file docs, names) · arrows (crate graph) · documents (paths, promises)

mod arrows;
mod code;
mod documents;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::workspace;

/// A file of the repository, read whole.
struct Source {
    /// Relative to the root, with `/`.
    path: String,
    /// Empty where the file is not text.
    text: String,
}

/// What is wrong, one line each.
type Findings = Vec<String>;

/// Files above this size are pictures or data, not text that a rule speaks about.
const TEXT_BYTES_MAX: u64 = 2 << 20;

/// Checks every rule and prints what breaks one.
///
/// # Errors
/// At least one rule is broken, or the repository cannot be read.
pub fn run() -> Result<()> {
    let sources = read(&workspace::root())?;
    let mut findings = code::check(&sources);
    findings.extend(arrows::check(&sources)?);
    findings.extend(documents::check(&sources, &workspace::root()));
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings, named above", findings.len());
    }
    Ok(())
}

/// Every file below `root` that is not ignored, sorted by path.
fn read(root: &Path) -> Result<Vec<Source>> {
    let ignored = std::fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim().trim_matches('/')).filter(|line| !line.is_empty()).collect();
    let mut sources = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if name == ".git" || ignored.iter().any(|ignored| path == Path::new(ignored)) {
                continue;
            }
            let data = entry.metadata()?;
            if data.is_dir() {
                folders.push(path);
            } else if data.len() <= TEXT_BYTES_MAX {
                let text = String::from_utf8(std::fs::read(entry.path())?).unwrap_or_default();
                sources.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

/// A Rust file that holds tests and nothing else.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

#[cfg(test)]
mod tests;
