//! The crate graph: what `cargo metadata` says must equal the table under "Crate graph" in `ARCHITECTURE.md`.

use anyhow::Result;

use super::{Findings, Source};
use crate::workspace::{self, Member};

const MAP: &str = "ARCHITECTURE.md";

/// Compares the table with the crates.
///
/// # Errors
/// Cargo does not answer.
pub(super) fn check(sources: &[Source]) -> Result<Findings> {
    let text = sources.iter().find(|source| source.path == MAP).map_or("", |source| source.text.as_str());
    Ok(compare(&table(text), &workspace::members()?))
}

/// The rows below the heading: a crate and the crates that it may use, each in backticks, in the first two columns.
pub(super) fn table(text: &str) -> Vec<(String, Vec<String>)> {
    let names = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(String::from).collect() };
    let section = text.lines().skip_while(|line| !line.starts_with("## Crate graph")).skip(1);
    let rows = section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        let name = names(cells.next()?).into_iter().next()?;
        let mut arrows = names(cells.next()?);
        arrows.sort();
        Some((name, arrows))
    })
    .collect()
}

/// What differs between the table and the crates.
pub(super) fn compare(table: &[(String, Vec<String>)], members: &[Member]) -> Findings {
    let mut findings = Findings::new();
    for member in members {
        let Member { name, arrows, dev_arrows, .. } = member;
        match table.iter().find(|(row, _)| row == name) {
            None => findings.push(format!("{MAP}: no row for the crate `{name}` under \"Crate graph\"")),
            Some((_, wanted)) if wanted != arrows => {
                findings.push(format!("crate `{name}` uses [{}], but {MAP} says [{}]", arrows.join(" "), wanted.join(" ")));
            }
            Some(_) => {}
        }
        // A test may lean on a room below, never on one above: the arrows of tests may not turn the graph round.
        for arrow in dev_arrows {
            if reaches(members, arrow, name) {
                findings.push(format!("crate `{name}` uses `{arrow}` in its tests, but `{arrow}` stands above it"));
            }
        }
    }
    for (row, _) in table {
        if !members.iter().any(|member| member.name == *row) {
            findings.push(format!("{MAP}: a row for `{row}`, which is no crate here"));
        }
    }
    findings
}

/// Whether `from` depends on `to`, through however many crates.
fn reaches(members: &[Member], from: &str, to: &str) -> bool {
    from == to
        || members.iter().filter(|member| member.name == from).any(|member| member.arrows.iter().any(|next| reaches(members, next, to)))
}
