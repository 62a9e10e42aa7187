//! The documents: every path that they name exists, and every promise has its tests or says that it has none yet.

use std::path::Path;

use super::code::function_name;
use super::{Findings, Source, is_test};

const INVARIANTS: &str = "docs/invariants.md";
/// How `docs/invariants.md` says that no test holds a promise yet.
const NOT_YET: &str = "no test yet";

/// The promises that the design makes. Each has its row: a promise does not vanish by its row being deleted.
const PROMISES: [&str; 11] = ["Q1", "Q2", "Q3", "C1", "C2", "C3", "L1", "L2", "T1", "T2", "S1"];

/// Checks paths and promises.
pub(super) fn check(sources: &[Source], root: &Path) -> Findings {
    let mut findings = Findings::new();
    for source in sources.iter().filter(|source| is_map(&source.path)) {
        for (line, path) in paths(&source.text) {
            let beside = root.join(&source.path).parent().is_some_and(|folder| folder.join(&path).exists());
            if !beside && !root.join(&path).exists() {
                findings.push(format!("{}:{line}: `{path}` does not exist", source.path));
            }
        }
    }
    let invariants = sources.iter().find(|source| source.path == INVARIANTS).map_or("", |source| source.text.as_str());
    findings.extend(missing_promises(invariants));
    findings.extend(promises(invariants, sources));
    findings
}

/// Promises of the design that have no row of their own, or more than one.
pub(super) fn missing_promises(text: &str) -> Findings {
    let rows = |id: &str| {
        text.lines().filter(|line| line.strip_prefix("| ").and_then(|row| row.split('|').next()).map(str::trim) == Some(id)).count()
    };
    let wrong = PROMISES.iter().filter(|id| rows(id) != 1);
    wrong.map(|id| format!("{INVARIANTS}: the promise {id} has {} rows, and must have one", rows(id))).collect()
}

/// The documents that describe the present. A changelog speaks of the past and may name what is gone.
fn is_map(path: &str) -> bool {
    path == "ARCHITECTURE.md" || path == "README.md" || (path.starts_with("docs/") && path.ends_with(".md"))
}

/// Paths in backticks and in links, with their line numbers. A word counts as a path when it begins with a folder or file
/// of the repository's top, or is a link's target; names with `*`, `<` or a space are patterns, not paths.
pub(super) fn paths(text: &str) -> Vec<(usize, String)> {
    const TOPS: [&str; 5] = ["crates/", "xtask/", "docs/", ".ci/", ".cargo/"];
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2).filter(|word| TOPS.iter().any(|top| word.starts_with(top)));
        let linked = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let linked = linked.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:"));
        for word in quoted.chain(linked) {
            if !word.contains(['*', '<', ' ', '…']) {
                let word = word.split('#').next().unwrap_or(word);
                found.extend(braces(word).into_iter().map(|path| (number + 1, path)));
            }
        }
    }
    found
}

/// `a/{b,c}.rs` → `a/b.rs`, `a/c.rs`.
fn braces(word: &str) -> Vec<String> {
    let parts = word.split_once('{').and_then(|(before, rest)| rest.split_once('}').map(|(inside, after)| (before, inside, after)));
    let Some((before, inside, after)) = parts else { return vec![word.to_string()] };
    inside.split(',').flat_map(|choice| braces(&format!("{before}{}{after}", choice.trim()))).collect()
}

/// Each row `| Q1 | … | crate::test_name, … |`: the tests exist, and the id stands in at least one file of tests.
pub(super) fn promises(text: &str, sources: &[Source]) -> Findings {
    let tests: Vec<&Source> = sources.iter().filter(|source| source.path.ends_with(".rs") && is_test(&source.path)).collect();
    let mut findings = Findings::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [id, .., held] = cells.as_slice() else { continue };
        if !is_promise(id) || *held == NOT_YET {
            continue;
        }
        let names: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            findings.push(format!("{INVARIANTS}: {id} names neither a test nor \"{NOT_YET}\""));
        }
        for name in names {
            let function = name.rsplit("::").next().unwrap_or(name);
            let folder = name.split("::").next().map(|name| format!("/{name}/")).unwrap_or_default();
            let exists = |source: &&&Source| {
                format!("/{}", source.path).contains(&folder) && source.text.lines().any(|line| function_name(line) == Some(function))
            };
            if tests.iter().find(exists).is_none() {
                findings.push(format!("{INVARIANTS}: {id} names the test `{name}`, which does not exist"));
            }
        }
        if !tests.iter().any(|source| source.text.split(|c: char| !c.is_alphanumeric()).any(|word| word == *id)) {
            findings.push(format!("{INVARIANTS}: no file of tests names the promise {id}"));
        }
    }
    findings
}

/// A capital and a digit, such as `Q1`.
fn is_promise(cell: &str) -> bool {
    let mut letters = cell.chars();
    letters.next().is_some_and(|c| c.is_ascii_uppercase()) && letters.next().is_some_and(|c| c.is_ascii_digit()) && letters.next().is_none()
}
