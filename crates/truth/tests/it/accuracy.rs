//! The engine's accuracy: estimators on their evidence, and coverage on simulated pages.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use truth::{
    accuracy::{Accuracy, Config, Evidence, ExpertLabel, Given, RandomGold, accuracy, accuracy_quick},
    words::Inference,
};

use crate::crowds::{Page, read_page};

fn of(page: &Page, experts: &[ExpertLabel], gold: &[RandomGold]) -> Accuracy {
    let given = Given { census: &page.census, experts, gold, ..Given::default() };
    accuracy(&page.inference, &given, &Config::default()).expect("a page that was read")
}

#[test]
fn nothing_read_tells_nothing() {
    let mut inference = Inference::new(truth::words::Config::default());
    assert_eq!(accuracy(&inference, &Given::default(), &Config::default()), None);
    inference.add_task(None, &[]);
    assert_eq!(accuracy_quick(&inference, &Given::default(), &Config::default()), None);
}

#[test]
fn the_strongest_evidence_is_used_and_too_little_is_refused() {
    let page = read_page(400, 0.8, 60, 0.015, 7);
    let expert = |task: usize| ExpertLabel { task: task as u32, right: page.right[task], inclusion: 0.2 };
    let experts: Vec<_> = (0..400).step_by(5).map(expert).collect();
    let gold: Vec<_> = (0..400).step_by(2).map(|task| RandomGold { task: task as u32, right: page.right[task] }).collect();
    let by_experts = of(&page, &experts, &gold);
    let by_gold = of(&page, &experts[..49], &gold);
    let by_crowd = of(&page, &experts[..49], &gold[..30]);
    assert_eq!(by_experts.evidence, Evidence::ExpertSample);
    assert_eq!(by_gold.evidence, Evidence::RandomGold);
    assert_eq!(by_crowd.evidence, Evidence::ConditionalOnModel);
    for found in [by_experts, by_gold, by_crowd] {
        println!("{found:?}, truth {}", page.theta());
        assert!(found.low <= page.theta() && page.theta() <= found.high);
    }
}

/// T2. Also where many errors are overlooked by nearly everyone, which no answers can show. Seen to fail when the experts' differences are left
/// out of the estimate.
#[test]
fn with_an_expert_sample_the_interval_holds_whatever_all_workers_misread() {
    let seeds: u64 = std::env::var("CROWDREAD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    for (theta, workers, fooled) in [(0.8, 60, 0.0), (0.8, 60, 0.03), (0.95, 30, 0.015)] {
        let held = (0..seeds).filter(|seed| {
            let page = read_page(300, theta, workers, fooled, seed * 77 + 5);
            let rng = &mut SmallRng::seed_from_u64(*seed);
            let drawn = (0..300usize).filter(|_| rng.random::<f64>() < 0.25);
            let experts: Vec<_> = drawn.map(|task| ExpertLabel { task: task as u32, right: page.right[task], inclusion: 0.25 }).collect();
            let found = of(&page, &experts, &[]);
            // A draw of less than fifty words is no sample, and is not taken for one.
            found.evidence != Evidence::ExpertSample || (found.low <= page.theta() && page.theta() <= found.high)
        });
        let held = held.count() as u64;
        println!("theta {theta}, {workers} workers, {fooled} overlooked: covered {held}/{seeds}");
        assert!(held * 100 >= seeds * 93, "theta {theta}, overlooked {fooled}: {held} of {seeds}");
    }
}

#[test]
fn the_interval_holds_on_single_small_pages() {
    let seeds: u64 = std::env::var("CROWDREAD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(20);
    let mut short = Vec::new();
    for (words, theta, workers) in [(120, 0.73, 40), (210, 0.95, 100), (300, 0.80, 200), (120, 0.95, 200), (300, 0.73, 40)] {
        let (mut held, mut held_quick, mut width, mut bias, mut answers, mut right) = (0u64, 0u64, 0.0, 0.0, 0.0, 0.0);
        for seed in 0..seeds {
            let page = read_page(words, theta, workers, 0.015, seed * 1_000 + words as u64);
            let found = of(&page, &[], &[]);
            let given = Given { census: &page.census, ..Given::default() };
            let quick = accuracy_quick(&page.inference, &given, &Config::default()).expect("a page that was read");
            held += u64::from(found.low <= page.theta() && page.theta() <= found.high);
            held_quick += u64::from(quick.low <= page.theta() && page.theta() <= quick.high);
            width += (found.high - found.low) / 2.0 / seeds as f64;
            bias += (found.estimate - page.theta()) / seeds as f64;
            answers += page.answers as f64 / (words as f64 * seeds as f64);
            let agree = (0..words).filter(|word| (page.inference.verdict(*word as u32).right >= 0.5) == page.right[*word]).count();
            right += agree as f64 / (words as f64 * seeds as f64);
        }
        println!(
            "{words} words, theta {theta}, {workers} workers: covered {held}/{seeds}, quick {held_quick}/{seeds}, half width {width:.4}, \
             bias {bias:+.4}, {answers:.2} answers a word, verdicts right {right:.4}"
        );
        if held * 10 < seeds * 9 || held_quick * 10 < seeds * 9 {
            short.push((words, theta, held, held_quick));
        }
    }
    assert!(short.is_empty(), "below nine in ten: {short:?}");
}
