//! Reading what libFuzzer says.

use super::{Said, TARGETS, run};
use crate::workspace;

#[test]
fn figures_are_read_from_what_the_fuzzer_says() {
    let mut said = Said::default();
    for line in [
        "INFO: Running with entropic power schedule (0xFF, 100).",
        "#2	INITED cov: 411 ft: 980 corp: 12/1010b exec/s: 0 rss: 44Mb",
        "#8192	pulse  cov: 512 ft: 1993 corp: 88/2410b lim: 122 exec/s: 4096 rss: 61Mb",
        "Done 41231 runs in 11 second(s)",
        "stat::number_of_executed_units: 41231",
        "stat::average_exec_per_sec:     3748",
    ] {
        said.read(line);
    }
    assert_eq!(said, Said { executions: 41_231, covered: 512, corpus: 88 });
}

#[test]
fn every_target_has_a_program_and_inputs() {
    let fuzz = workspace::root().join("fuzz");
    for target in TARGETS {
        assert!(fuzz.join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
        assert!(fuzz.join("inputs").join(target).is_dir(), "{target}");
    }
    let programs = std::fs::read_dir(fuzz.join("fuzz_targets")).expect("a folder").count();
    assert_eq!(programs, TARGETS.len(), "each program is run");
}

#[test]
fn wrong_arguments_are_refused() {
    for args in [&["--minutes"][..], &["--minutes", "x"], &["5"]] {
        assert!(run(args).is_err(), "{args:?}");
    }
}
