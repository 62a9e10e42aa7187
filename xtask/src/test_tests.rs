//! What the end of a run says is what cargo said.

use super::Counts;

#[test]
fn counts_are_cargos_own() {
    let mut counts = Counts::default();
    counts.read("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s");
    counts.read("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s");
    counts.read("test tidy::the_repository_is_tidy ... ok");
    assert_eq!(counts, Counts { passed: 15, failed: 2 });
}
