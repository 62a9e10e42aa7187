//! The demo, cut short by Ctrl-C: the crowd ends, the report and the figures follow.

use std::{fs, process::Stdio};

use serde_json::Value;

use crate::programs::{Process, crowdread, wait_until};

/// The shape that programs rely on, and L2: stored = landed + repeated + dead letters + in flight.
#[test]
fn the_demo_ends_with_figures_that_add_up() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let file = |name: &str| Stdio::from(fs::File::create(at(name)).expect("file"));
    let mut command = crowdread();
    command.args(["demo", "--once", "--json", "--phones", "8", "--data"]).arg(at("data")).stdout(file("out")).stderr(file("told"));
    let mut demo = Process(command.spawn().expect("starts"));
    let told = || fs::read_to_string(at("told")).expect("UTF-8");
    wait_until("answers", || told().lines().any(|line| line.contains(" answers, ") && !line.contains(" 0 answers, ")));
    demo.signal("INT");
    assert_eq!(demo.exit_code(), 0, "{}", told());
    let out = fs::read_to_string(at("out")).expect("UTF-8");
    let figures: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    let count = |name: &str| figures[name].as_u64().unwrap_or_else(|| panic!("{name}: {figures}"));
    assert!(count("answers_landed") > 0);
    assert_eq!(
        count("answers_stored"),
        count("answers_landed") + count("repeated") + count("dead_letters") + count("in_flight"),
        "{figures}"
    );
    assert!(count("words") >= 1_500 && count("words_decided") <= count("words"), "{figures}");
    assert!(count("words_right_before") > 0 && count("words_right_after") > 0, "{figures}");
    assert!(figures["answers_per_word"].is_f64());
    let accuracy = |name: &str| figures["accuracy"][name].as_f64().unwrap_or_else(|| panic!("{name}: {figures}"));
    assert!(accuracy("low") <= accuracy("estimate") && accuracy("estimate") <= accuracy("high"));
    assert!((0.75..=0.92).contains(&accuracy("truth")));
    for name in ["table", "report", "export"] {
        assert!(std::path::Path::new(figures[name].as_str().expect("a path")).exists(), "{name}: {figures}");
    }
    assert!(told().contains("words are still open. The simulated crowd ended because it was told to"), "{}", told());
}
