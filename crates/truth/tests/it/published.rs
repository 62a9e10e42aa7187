//! Majority vote and Dawid–Skene against the figures measured and published for seven public label sets.
//!
//! The sets are read in place: from `$CROWDREAD_SHARED/data/crowd`, or from a folder `shared` beside the checkout.

use std::{fs, path::PathBuf};

use truth::{
    Fit, Labels,
    dawid_skene::{self, dawid_skene},
    majority_vote::{self, majority_vote},
};

fn sets() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("CROWDREAD_SHARED").map_or_else(beside, PathBuf::from);
    let sets = shared.join("data/crowd");
    if sets.is_dir() {
        return Some(sets);
    }
    println!("skipped: no label sets at {}", sets.display());
    None
}

fn numbers(path: PathBuf) -> Vec<Vec<u32>> {
    let text = fs::read_to_string(path).expect("the set is readable");
    text.lines().skip(1).map(|line| line.split(',').map(|value| value.trim().parse().expect("an integer")).collect()).collect()
}

fn accuracy(fit: &Fit, truth: &[Vec<u32>]) -> f64 {
    let right: f64 = truth.iter().map(|row| fit.expected_correct(row[0] as usize, row[1] as u16)).sum();
    right / truth.len() as f64
}

/// s_rel holds 1,570 repeated answers; here a worker's last one counts, where the published .5411 counts each.
/// Measured with other implementations. s_rel and web move with the stopping rule and the smoothing, hence ± .003 (one item of bluebirds is .009).
#[test]
fn majority_and_dawid_skene_reach_the_published_figures() {
    let Some(folder) = sets() else { return };
    let figures = [
        ("bluebirds", 0.7593, 0.8981),
        ("d_product", 0.8966, 0.9397),
        ("d_possent", 0.9335, 0.9600),
        ("s_rel", 0.5412, 0.6119),
        ("s_dog", 0.8222, 0.8426),
        ("rte", 0.8969, 0.9275),
        ("web", 0.7307, 0.8266),
    ];
    for (set, votes, expected) in figures {
        let labels = Labels::new(numbers(folder.join(set).join("label.csv")).iter().map(|row| (row[0], row[1], row[2] as u16)));
        let truth = numbers(folder.join(set).join("truth.csv"));
        let majority = accuracy(&majority_vote(&labels, &majority_vote::Config::default()), &truth);
        let fit = dawid_skene(&labels, &dawid_skene::Config::default());
        let found = accuracy(&fit, &truth);
        println!("{set}: majority {majority:.4} (published {votes}), Dawid-Skene {found:.4} ({expected}), {} rounds", fit.rounds);
        assert!((majority - votes).abs() < 0.000_051, "{set}: majority vote {majority}");
        assert!((found - expected).abs() <= 0.003, "{set}: Dawid-Skene {found}");
    }
}
