//! Edge cases and order independence of the methods for any number of classes.

use proptest::prelude::*;
use truth::{
    Fit, Labels,
    dawid_skene::{self, dawid_skene},
    majority_vote::{self, majority_vote},
    one_coin::{self, one_coin},
};

fn all(labels: &Labels) -> [Fit; 3] {
    [
        majority_vote(labels, &majority_vote::Config::default()),
        one_coin(labels, &one_coin::Config::default()),
        dawid_skene(labels, &dawid_skene::Config::default()),
    ]
}

fn check(answers: &[(u32, u32, u16)], task: usize, best: &[u16]) {
    for fit in all(&Labels::new(answers.iter().copied())) {
        assert_eq!(fit.best(task), best);
        assert!((fit.of_task(task).iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(fit.posterior.iter().chain(&fit.worker_accuracy).all(|value| (0.0..=1.0 + 1e-9).contains(value)));
    }
}

#[test]
fn the_empty_set_has_no_posterior() {
    for fit in all(&Labels::new([])) {
        assert!(fit.posterior.is_empty() && fit.worker_accuracy.is_empty());
    }
}

#[test]
fn a_tie_shows_both_classes_and_counts_half() {
    let answers = [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)];
    check(&answers, 0, &[0, 1]);
    let fit = majority_vote(&Labels::new(answers), &majority_vote::Config::default());
    assert_eq!((fit.expected_correct(0, 0), fit.expected_correct(0, 2)), (0.5, 0.0));
}

#[test]
fn one_answer_of_one_worker_stands() {
    check(&[(0, 0, 1)], 0, &[1]);
    check(&[(0, 0, 1), (0, 1, 1), (0, 2, 0), (1, 0, 0), (1, 1, 0)], 0, &[1]);
}

#[test]
fn one_class_only_is_certain() {
    check(&[(0, 0, 0), (1, 0, 0), (1, 1, 0)], 1, &[0]);
}

#[test]
fn a_task_without_answers_gets_the_class_prior() {
    for fit in all(&Labels::new([(0, 0, 0), (2, 0, 0), (3, 1, 1)])) {
        assert_eq!(fit.of_task(1), fit.class_prior);
    }
}

#[test]
fn a_worker_who_always_says_the_same_does_not_outweigh_those_who_look() {
    let mut answers = Vec::new();
    for task in 0..100 {
        let class = u16::from(task % 3 == 0);
        answers.extend([(task, 0, 0), (task, 1, class), (task, 2, class), (task, 3, 0)]);
    }
    let fit = dawid_skene(&Labels::new(answers), &dawid_skene::Config::default());
    assert!((0..100).all(|task| fit.best(task) == [u16::from(task % 3 == 0)]));
}

#[test]
fn a_thousand_classes_are_fitted() {
    let answers =
        (0..3_000u32).flat_map(|task| (0..5).map(move |k| (task, (task + 7 * k) % 40, if k == 4 { 999 } else { (task % 1_000) as u16 })));
    let labels = Labels::new(answers);
    assert_eq!(labels.classes(), 1_000);
    let fit = dawid_skene(&labels, &dawid_skene::Config { rounds_max: 5, ..Default::default() });
    assert_eq!(fit.best(1_234), [234]);
}

#[test]
fn the_latest_answer_of_a_worker_counts() {
    let labels = Labels::new([(0, 0, 1), (0, 0, 0)]);
    assert_eq!(labels.of_task(0).collect::<Vec<_>>(), [(0, 0)]);
    assert_eq!(labels.of_worker(0).collect::<Vec<_>>(), [(0, 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_same_set_gives_the_same_bits_in_any_order(
        set in prop::collection::btree_map((0u32..30, 0u32..8), 0u16..4, 0..150), seed in any::<u64>(),
    ) {
        let answers: Vec<_> = set.into_iter().map(|((task, worker), class)| (task, worker, class)).collect();
        let mut turned = answers.clone();
        turned.sort_by_key(|(task, worker, _)| (u64::from(task * 31 + worker) ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        prop_assert_eq!(all(&Labels::new(answers)), all(&Labels::new(turned)));
    }
}
