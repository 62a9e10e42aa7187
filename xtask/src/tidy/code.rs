//! Rules about files of code: size, file doc, names, where tests stand, no path of somebody's machine.

use super::{Findings, Source, is_test};

const FILE_LINES_MAX: usize = 500;
const TEST_LINES_ADVISED: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
/// Names that say nothing about what is inside.
const NAMES_BANNED: [&str; 9] = ["common", "core", "utils", "util", "helpers", "helper", "manager", "misc", "v2"];
/// Functions that were already longer when the rule came: `path name lines` each. It may only shrink.
const EXCEPTIONS: &str = "xtask/long-functions.txt";

/// Checks all of it.
pub(super) fn check(sources: &[Source]) -> Findings {
    let mut findings = Findings::new();
    let mut long = Vec::new();
    for source in sources {
        names(source, &mut findings);
        machine_paths(source, &mut findings);
        if source.path.ends_with(".rs") {
            rust_file(source, &mut findings);
            if !is_test(&source.path) {
                long.extend(long_functions(source));
            }
        } else if source.path.starts_with("crates/ocr/web/") && source.text.lines().count() > FILE_LINES_MAX {
            findings.push(format!("{}: more than {FILE_LINES_MAX} lines: split it", source.path));
        }
    }
    ratchet(&long, sources, &mut findings);
    findings
}

fn names(source: &Source, findings: &mut Findings) {
    for part in source.path.split('/') {
        let stem = part.split('.').next().unwrap_or(part);
        if NAMES_BANNED.contains(&stem) {
            findings.push(format!("{}: the name `{stem}` says nothing: name it after what it holds", source.path));
        }
    }
}

fn machine_paths(source: &Source, findings: &mut Findings) {
    // Put together here, so that this file does not find itself.
    let folders = ["work", "root", "home", "Users", "tmp"].map(|folder| format!("/{folder}/"));
    for (number, line) in source.text.lines().enumerate() {
        let at_start = |at: usize| !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-~}*/".contains(before));
        if folders.iter().any(|folder| line.match_indices(folder.as_str()).any(|(at, _)| at_start(at))) {
            findings.push(format!("{}:{}: a path of one machine: {}", source.path, number + 1, line.trim()));
        }
    }
}

fn rust_file(source: &Source, findings: &mut Findings) {
    let (path, lines) = (&source.path, source.text.lines().count());
    if !source.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!")).is_some_and(|line| line.starts_with("//!")) {
        findings.push(format!("{path}: no file doc: begin with `//!`, why the file exists and who calls it"));
    }
    if is_test(path) {
        if lines > TEST_LINES_ADVISED {
            eprintln!("tidy: {path}: {lines} lines of tests; {TEST_LINES_ADVISED} are easier to read (advice only)");
        }
        return;
    }
    if lines > FILE_LINES_MAX {
        findings.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}: split it by what it does"));
    }
    if source.text.lines().any(|line| line.starts_with("mod ") && line.ends_with('{') && line.contains("tests")) {
        findings.push(format!("{path}: tests at the foot of a code file: move them to a sibling `tests.rs`"));
    }
}

/// A function longer than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LongFunction {
    path: String,
    pub(super) name: String,
    pub(super) lines: usize,
}

/// Functions over the limit. Leans on rustfmt: a function ends at the first line that is its own indentation and a brace.
pub(super) fn long_functions(source: &Source) -> Vec<LongFunction> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| rest == "}");
        // A trait's method without a body ends with its signature; one on a single line is short by itself.
        let signature = lines[start..].iter().position(|line| line.ends_with([';', '{', '}']));
        if signature.is_none_or(|at| !lines[start + at].ends_with('{')) {
            continue;
        }
        let Some(length) = lines[start..].iter().position(ends).map(|at| at + 1) else { continue };
        if length > FUNCTION_LINES_MAX {
            found.push(LongFunction { path: source.path.clone(), name: name.to_string(), lines: length });
        }
    }
    found
}

/// The name in a line such as `    pub(crate) async fn name<T>(`.
pub(super) fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub(") {
        rest = after.split_once(") ")?.1;
    }
    loop {
        let (word, after) = rest.split_once(' ')?;
        match word {
            "fn" => return Some(&after[..after.find(|c: char| !(c.is_alphanumeric() || c == '_'))?]),
            "pub" | "const" | "async" | "unsafe" => rest = after,
            _ => return None,
        }
    }
}

/// What is long must be listed, no longer than listed; what is listed must still be long.
fn ratchet(long: &[LongFunction], sources: &[Source], findings: &mut Findings) {
    let list = sources.iter().find(|source| source.path == EXCEPTIONS).map_or("", |source| source.text.as_str());
    let entry = |line: &str| -> Option<LongFunction> {
        let mut words = line.split_whitespace();
        let (path, name, lines) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        Some(LongFunction { path: path.to_string(), name: name.to_string(), lines })
    };
    let listed: Vec<LongFunction> = list.lines().filter_map(entry).collect();
    for function in long {
        let LongFunction { path, name, lines } = function;
        let allowed = listed.iter().find(|entry| entry.path == *path && entry.name == *name);
        if allowed.is_none_or(|entry| entry.lines < *lines) {
            findings.push(format!("{path}: `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: split it by its steps"));
        }
    }
    for LongFunction { path, name, lines } in &listed {
        if !long.iter().any(|function| function.path == *path && function.name == *name && function.lines == *lines) {
            findings.push(format!("{EXCEPTIONS}: `{name}` in {path} no longer has {lines} lines: mend or delete its entry"));
        }
    }
}
