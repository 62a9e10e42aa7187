//! The rules hold for this repository, and each rule finds what it forbids.

use super::*;
use crate::workspace::Member;

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_string(), text: text.to_string() }
}

#[test]
fn the_repository_is_tidy() {
    run().unwrap();
}

#[test]
fn long_file_missing_doc_and_foot_tests_are_found() {
    let text = format!("use a;\n{}mod tests {{\n}}\n", "x;\n".repeat(500));
    let findings = code::check(&[source("crates/a/src/b.rs", &text)]);
    assert_eq!(findings.len(), 3, "{findings:?}");
    let fine = format!("//! doc\n{}", "x;\n".repeat(499));
    assert!(code::check(&[source("crates/a/src/b.rs", &fine), source("crates/a/tests/it/b.rs", &format!("//! d\n{text}"))]).is_empty());
}

#[test]
fn banned_names_and_machine_paths_are_found() {
    let path = format!("see /{}/somebody/x", "home");
    let findings = code::check(&[source("crates/a/src/utils.rs", "//! d\n"), source("docs/a.md", &path)]);
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[test]
fn function_may_not_grow_past_its_limit() {
    let function = |lines: usize| {
        format!(
            "//! d\nimpl A {{\n    pub(crate) async fn grows<T>(\n        a: T,\n    ) {{\n{}    }}\n}}\n",
            "        x;\n".repeat(lines - 4)
        )
    };
    assert!(code::long_functions(&source("a.rs", &function(70))).is_empty());
    let long = code::long_functions(&source("a.rs", &function(71)));
    assert_eq!((long[0].name.as_str(), long[0].lines), ("grows", 71));
    let listed = source("xtask/long-functions.txt", "crates/a/src/b.rs grows 71\n");
    assert!(code::check(&[source("crates/a/src/b.rs", &function(71)), listed]).is_empty());
    let shrunk = source("xtask/long-functions.txt", "crates/a/src/b.rs grows 71\n");
    assert_eq!(code::check(&[source("crates/a/src/b.rs", &function(70)), shrunk]).len(), 1);
}

#[test]
fn trait_method_without_body_has_no_length() {
    let text = format!("//! d\ntrait A {{\n    fn a(&self);\n{}}}\n", "    const B: u8 = 0;\n".repeat(100));
    assert!(code::long_functions(&source("a.rs", &text)).is_empty());
}

#[test]
fn arrow_that_the_map_does_not_have_is_found() {
    let member = |name: &str, arrows: &[&str], dev: &[&str]| Member {
        name: name.to_string(),
        arrows: arrows.iter().map(ToString::to_string).collect(),
        dev_arrows: dev.iter().map(ToString::to_string).collect(),
    };
    let table = arrows::table(
        "## Crate graph\n\n| crate | uses |\n|---|---|\n| `a` | `c`, `b` |\n| `b` | |\n| `c` | `b` |\n\n## Next\n| `x` | |\n",
    );
    let right = [member("a", &["b", "c"], &[]), member("b", &[], &[]), member("c", &["b"], &[])];
    assert!(arrows::compare(&table, &right).is_empty());
    let more = [member("a", &["b", "c"], &[]), member("b", &["c"], &[]), member("c", &[], &[])];
    assert_eq!(arrows::compare(&table, &more).len(), 2);
    let turned = [member("a", &["b", "c"], &[]), member("b", &[], &["a"]), member("c", &["b"], &[])];
    assert_eq!(arrows::compare(&table, &turned).len(), 1);
}

#[test]
fn paths_are_read_from_backticks_and_links() {
    let found = documents::paths("see `crates/{a,b}/src`, `cargo test`, [x](docs/y.md#z), [w](https://a.b/c)\n`crates/*/x`");
    let found: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(found, ["crates/a/src", "crates/b/src", "docs/y.md"]);
}

#[test]
fn promise_that_has_vanished_is_found() {
    let all: String = ["Q1", "Q2", "Q3", "C1", "C2", "C3", "L1", "L2", "T1", "T2", "S1"].map(|id| format!("| {id} | x | y |\n")).concat();
    assert!(documents::missing_promises(&all).is_empty());
    assert_eq!(documents::missing_promises(&all.replace("| L2 | x | y |\n", "L2 is told of here\n")).len(), 1);
    assert_eq!(documents::missing_promises(&format!("{all}| L2 | x | y |\n")).len(), 1);
    assert_eq!(documents::missing_promises("").len(), 11);
}

#[test]
fn promise_without_its_test_is_found() {
    let tests = source("crates/a/tests/it/b.rs", "//! Q1\n#[test]\nfn holds() {}\n");
    let check = |row: &str| documents::promises(row, std::slice::from_ref(&tests)).len();
    assert_eq!(check("| Q1 | text | `a::holds` |"), 0);
    assert_eq!(check("| Q1 | text | `a::gone` |"), 1);
    assert_eq!(check("| Q2 | text | `a::holds` |"), 1);
    assert_eq!(check("| Q2 | text | no test yet |"), 0);
    assert_eq!(check("| Q2 | text | |"), 2);
}
